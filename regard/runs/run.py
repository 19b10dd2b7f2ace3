"""One training run in its folder."""

import fcntl
import hashlib
import json
import os
import platform
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch

import regard
from regard.config import read_toml
from regard.data import pairs as pair_data
from regard.data.pairs import PairSet
from regard.data.tokens import Tokens
from regard.errors import CheckpointError, ModelError, StorageError
from regard.models import build
from regard.models.folder import save as save_model
from regard.models.protocol import Seq2Seq
from regard.nn.layers import multiply_in_bf16
from regard.runs.card import write_card
from regard.runs.reporter import Reporter
from regard.runs.session import Learner, Session
from regard.runs.settings import Settings
from regard.runs.translating import TranslationLesson
from regard.training import checkpoint
from regard.training.batches import IdPairs, SampledPairs, encode_pairs, sample_pairs
from regard.training.optimizer import WeightAverage, adamw


class Run:
    """One training run in its folder."""

    def __init__(self, folder: Path, settings: Settings, reporter: Reporter | None = None):
        self.folder = folder
        self.settings = settings
        self.reporter = reporter or Reporter()
        self.checkpoints = folder / "checkpoints"

    def train(self, train_pairs: PairSet, dev_pairs: PairSet) -> dict[str, Any]:
        """Train to the end of the plan, from the newest checkpoint if there is one, and write `model/`.

        Returns:
            The best validation's row.

        Raises:
            CheckpointError: the folder holds a run with other settings or data.
            Stopped: a signal came; a checkpoint was written.
            TrainingError: the loss is not finite.
            StorageError: the disk refused.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / ".lock").open("a")
        except OSError as error:
            raise StorageError(f"{self.folder}: cannot be written ({error.strerror}).") from error
        with lock:
            self._lock(lock)
            return self._train(train_pairs, dev_pairs)

    def _train(self, train_pairs: PairSet, dev_pairs: PairSet) -> dict[str, Any]:
        plan = self.settings.training
        if plan.threads:
            torch.set_num_threads(plan.threads)
        self._check_settings()
        tokens = self._tokens(train_pairs)
        torch.manual_seed(plan.seed)
        model = build(
            self.settings.arch, {**self.settings.model, "vocab_size": tokens.vocab_size}, "config.toml, [model]"
        )
        if plan.bf16_products:
            multiply_in_bf16(model)
        average = WeightAverage(model, plan.average_decay) if plan.average_decay else None
        learner = Learner(model, adamw(model, plan), average)
        limit = model.config.max_length
        encoded = self._encode(train_pairs, tokens, limit)
        dev, dev_kept = encode_pairs(dev_pairs.sources, dev_pairs.targets, tokens, max_length=limit)
        too_long = len(train_pairs) - len(encoded), len(dev_pairs) - len(dev_kept)
        if any(too_long):
            self.reporter.note(
                f"{too_long[0]:,} training and {too_long[1]:,} dev pairs have more than {limit} tokens: "
                "not trained on, not in the dev loss."
            )
        facts = {
            "data": pair_data.fingerprint(train_pairs),
            "dev": pair_data.fingerprint(dev_pairs),
            "settings": hashlib.sha256(self.settings.to_toml().encode()).hexdigest(),
            "versions": {"regard": regard.__version__, "torch": torch.__version__, "python": platform.python_version()},
            "threads": torch.get_num_threads(),
        }
        lesson = TranslationLesson(encoded, dev, dev_pairs, tokens, plan)
        best = Session(self.folder, plan, learner, lesson, facts, self.reporter).run()
        self._write_model(model, tokens, train_pairs, dev_pairs, best, facts)
        return best

    def _lock(self, lock: IO[str]) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CheckpointError(
                f"{self.folder}: another process is training here. Wait for it, or use another --out."
            ) from error

    def _check_settings(self) -> None:
        """Write config.toml, or refuse when the folder's own says something that changes the outcome."""
        path = self.folder / "config.toml"
        wanted = self.settings.to_toml()
        if path.exists():
            old, new = read_toml(path), tomllib.loads(wanted)
            differing = [
                f"{section}.{key} was {old.get(section, {}).get(key)!r} and is now {new.get(section, {}).get(key)!r}"
                for section in sorted(set(old) | set(new))
                for key in sorted(set(old.get(section, {})) | set(new.get(section, {})))
                if old.get(section, {}).get(key) != new.get(section, {}).get(key) and (section, key) not in _MAY_CHANGE
            ]
            if differing:
                raise CheckpointError(
                    f"{self.folder}: holds a run with other settings: {'; '.join(differing)}. "
                    "Use the same settings to go on, or another --out."
                )
        checkpoint.write_file(path, wanted.encode())

    def _tokens(self, pairs: PairSet) -> Tokens:
        folder = self.folder / "tokens"
        facts_path = folder / "tokens.json"
        if facts_path.exists():
            try:
                facts = json.loads(facts_path.read_bytes())
            except (OSError, ValueError) as error:
                raise ModelError(f"{facts_path}: cannot be read as JSON ({error}). Use another --out.") from error
            return Tokens.load(folder, facts)
        settings = self.settings.tokens
        tokens = Tokens.train(pairs.sources, pairs.targets, settings.vocab_size, settings.sharing)
        try:
            folder.mkdir(exist_ok=True)
            facts = tokens.save(folder)
            for path in folder.iterdir():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        except OSError as error:
            raise StorageError(f"{folder}: could not be written ({error.strerror}).") from error
        checkpoint.write_file(facts_path, json.dumps(facts).encode())  # last: without it the folder does not count
        return tokens

    def _encode(self, pairs: PairSet, tokens: Tokens, max_length: int) -> IdPairs | SampledPairs:
        """The training pairs as ids, cut anew in each epoch if the settings say so."""
        texts = pairs.sources, pairs.targets, tokens
        dropout, seed = self.settings.tokens.dropout, self.settings.training.seed
        if dropout:
            return sample_pairs(*texts, max_length=max_length, weights=pairs.weights, dropout=dropout, seed=seed)[0]
        return encode_pairs(*texts, max_length=max_length, weights=pairs.weights)[0]

    def _write_model(
        self,
        model: Seq2Seq,
        tokens: Tokens,
        train_pairs: PairSet,
        dev_pairs: PairSet,
        best: Mapping[str, Any],
        facts: Mapping[str, Any],
    ) -> None:
        kept = checkpoint.folder_of(self.checkpoints, best["step"])
        file = checkpoint.AVERAGE_FILE if self.settings.training.average_decay else checkpoint.WEIGHTS_FILE
        weights = checkpoint.read_weights(kept / file)
        languages = {
            "source_language": self.settings.data.source_language,
            "target_language": self.settings.data.target_language,
        }
        card = write_card(self.settings, model, len(train_pairs), len(dev_pairs), best, facts)
        save_model(self.folder / "model", model, weights, tokens, card, **languages)


_MAY_CHANGE = {  # settings with which a run may go on: they end it, show it or save it, and change nothing on the way
    ("training", key)
    for key in ("max_epochs", "max_minutes", "patience", "log_every", "save_every", "keep_checkpoints", "threads")
}
