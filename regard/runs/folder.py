"""A run's folder: one process at a time, settings that do not change under it, the weights of its best step."""

import fcntl
import json
import platform
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy
import torch
from torch import Tensor

import regard
from regard.config import read_toml
from regard.data.byte_tokens import ByteTokens
from regard.data.text_tokens import TextTokens
from regard.data.tokens import Tokens
from regard.errors import CheckpointError, ConfigError, ModelError
from regard.formats.files import has_half_character
from regard.models.folder import CONFIG_FILE
from regard.storage import flush, storing, write_file
from regard.training import checkpoint
from regard.training.plan import ENDLESS, TrainingPlan

TEACHER_FOLDER = "teacher"  # in a run folder: what a translator's teacher has written
BEFORE_FILE = "before.json"  # what the base of a run that goes on could do before
AnyTokens = TypeVar("AnyTokens", Tokens, TextTokens, ByteTokens)


class RunFolder:
    """A run's folder."""

    def __init__(self, path: Path):
        self.path = path
        self.checkpoints = path / "checkpoints"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Within this block no other process trains here; the folder is made if it is missing.

        Raises:
            CheckpointError: another process trains here.
            StorageError: the disk refused.
        """
        with storing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / ".lock").open("a")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise CheckpointError(
                    f"{self.path}: another process is training here. Wait for it, or use another --out."
                ) from error
            yield

    @property
    def has_begun(self) -> bool:
        """Whether anything was learnt here, or translated to learn from: what other settings would spoil."""
        names = ("metrics.jsonl", "model", TEACHER_FOLDER)
        return bool(checkpoint.steps(self.checkpoints)) or any((self.path / name).exists() for name in names)

    def settle(self, wanted: str) -> None:
        """Write config.toml, or refuse when the folder's own says something that changes the outcome.

        Where nothing has begun there is no outcome to change: a command that failed, for a mistyped name say, does not
        keep the folder from the one that follows it.

        Raises:
            CheckpointError: the folder holds a run with other settings, or is a model's.
            ConfigError: a file's name is not UTF-8.
        """
        if (self.path / CONFIG_FILE).exists():
            raise CheckpointError(f"{self.path}: is a model's folder. Name another --out.")
        path = self.path / "config.toml"
        if has_half_character(wanted):  # as a file's name in Latin-1 arrives here
            line = next(line for line in wanted.splitlines() if has_half_character(line))
            raise ConfigError(f"{line!a}: is not UTF-8, and config.toml could not name it. Rename the file.")
        if path.exists():
            old, new = read_toml(path), tomllib.loads(wanted)
            endless = _table(old, "training").get("schedule") in ENDLESS
            may_change = _MAY_CHANGE | ({("training", "max_steps")} if endless else set())
            differing = [
                f"{section}.{key} was {before.get(key)!r} and is now {now.get(key)!r}"
                for section in sorted(set(old) | set(new))
                for before, now in [(_table(old, section), _table(new, section))]
                for key in sorted(set(before) | set(now))
                if before.get(key) != now.get(key) and (section, key) not in may_change
            ]
            # No run writes settings without its text: a file that names none is a person's own.
            if differing and (self.has_begun or "train" not in _table(old, "data")):
                raise CheckpointError(
                    f"{self.path}: holds a run with other settings: {'; '.join(differing)}. "
                    "Use the same settings to go on, or another --out."
                )
            if differing:
                (self.path / BEFORE_FILE).unlink(missing_ok=True)  # of another base, perhaps
        write_file(path, wanted.encode())

    def tokens(self, load: Callable[[Path, dict[str, Any]], AnyTokens], make: Callable[[], AnyTokens]) -> AnyTokens:
        """The tokenizer that this run made when it began, or else a new one, kept for the run's resumptions.

        One that is there is made anew as long as nothing has begun: it may be of other settings, or of other text.

        Raises:
            ModelError: what is there cannot be read.
            StorageError: the disk refused.
        """
        folder = self.path / "tokens"
        facts_path = folder / "tokens.json"
        if facts_path.exists() and self.has_begun:
            try:
                facts = json.loads(facts_path.read_bytes())
            except (OSError, ValueError) as error:
                raise ModelError(f"{facts_path}: cannot be read as JSON ({error}). Use another --out.") from error
            return load(folder, facts)
        tokens = make()
        with storing(folder):
            folder.mkdir(exist_ok=True)
            facts = tokens.save(folder)
            for path in folder.iterdir():
                flush(path)
        write_file(facts_path, json.dumps(facts).encode())  # last: without it the folder does not count
        return tokens

    def best_weights(self, step: int, plan: TrainingPlan) -> dict[str, Tensor]:
        """What was validated at this step: the average where there is one."""
        file = checkpoint.AVERAGE_FILE if plan.average_decay else checkpoint.WEIGHTS_FILE
        return checkpoint.read_weights(checkpoint.folder_of(self.checkpoints, step) / file)


def facts_of(data: str, dev: str, old_dev: str = "", *, short_tokens: int = 0) -> dict[str, Any]:
    """What a resumed run must have in common with the one before, or hears that it has not.

    Args:
        data, dev, old_dev: fingerprints; "" where there is no such data.
        short_tokens: as many are read in short stretches before all else; see `training.masking.MaskedCorpus`.
    """
    return {
        "data": data,
        "dev": dev,
        "old_dev": old_dev,
        "short_tokens": short_tokens,
        "versions": {
            "regard": regard.__version__,
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            "python": platform.python_version(),
        },
        "threads": torch.get_num_threads(),
    }


def _table(settings: Mapping[str, Any], section: str) -> dict[str, Any]:
    """A section of a settings file; empty if there is none, or something else under its name."""
    found = settings.get(section)
    return found if isinstance(found, dict) else {}


# Settings with which a run may go on: they end it, show it or save it, and change no step on the way. A run that was to
# end earlier has validated where it ended, once more than one that was not. Only where pre-training begins with short
# stretches do epochs, counted or not, and steps change the order of the text: the session refuses that (short_tokens).
# Steps join them in `settle` where the rate does not fall to nothing with the last one.
_MAY_CHANGE = {
    ("training", key)
    for key in ("max_epochs", "max_minutes", "patience", "log_every", "save_every", "keep_checkpoints", "threads")
}
