"""A run so small that a test can kill it twenty times."""

import itertools
import json
import os
import random
import resource
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from regard.runs.data import load_pairs
from regard.runs.reporter import Reporter
from regard.runs.run import Run
from regard.runs.settings import DataSettings, Settings, settings_from

TABLES: dict[str, dict[str, Any]] = {
    "model": {
        "arch": "transformer",
        "hidden_size": 16,
        "num_layers": 1,
        "num_heads": 2,
        "feed_forward_size": 24,
        "dropout": 0.2,
        "attention_dropout": 0.1,
        "max_length": 32,
    },
    "tokens": {"vocab_size": 300, "dropout": 0.1},
    "training": {
        "max_steps": 80,
        "batch_tokens": 80,
        "batches_per_step": 2,
        "learning_rate": 0.01,
        "warmup_steps": 10,
        "average_decay": 0.98,
        "log_every": 7,
        "validate_every": 40,
        "save_every": 5,
        "keep_checkpoints": 1,
        "threads": 1,
    },
}


def write_data(folder: Path) -> None:
    """Digits and their reverse, in train.tsv and dev.tsv."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = random.Random(1)
    for name, count in (("train", 150), ("dev", 8)):
        rows = [[numbers.choice("0123456789") for _ in range(numbers.randint(3, 8))] for _ in range(count)]
        text = "".join(f"{' '.join(row)}\t{' '.join(row[::-1])}\n" for row in rows)
        (folder / f"{name}.tsv").write_text(text, encoding="utf-8")


def settings(data: Path, arch: str = "", **training: Any) -> Settings:
    """The tiny run's settings, some of them changed."""
    tables = {**TABLES, "training": {**TABLES["training"], **training}}
    if arch:
        sizes = {"hidden_size": 16, "attention_size": 12, "embedding_size": 16, "num_layers": 2}
        unknown = {"rnn": {"attention_size"}, "rnnsearch": {"num_layers"}, "gnmt": {"embedding_size"}}[arch]
        tables["model"] = {"arch": arch, **{key: value for key, value in sizes.items() if key not in unknown}}
    sources = DataSettings(train=(str(data / "train.tsv"),), dev=(str(data / "dev.tsv"),), filter=False)
    return settings_from(tables, sources, 150, "", "test")


class Listener(Reporter):
    """Remembers the notes, and prints steps as they come."""

    def __init__(self, show: bool = False):
        self.notes: list[str] = []
        self.steps = 0
        self.show = show

    def note(self, text: str) -> None:
        self.notes.append(text)

    def progress(self, progress: Any, *_: Any) -> None:
        self.steps += 1
        if self.show:
            print(f"step {progress.step}", flush=True)

    def validation(self, row: Mapping[str, Any], samples: Sequence[Any], is_best: bool) -> None: ...


def train(out: Path, data: Path, arch: str = "", show: bool = False, **training: Any) -> Listener:
    """Train, or go on, in this process."""
    listener = Listener(show)
    chosen = settings(data, arch, **training)
    pairs, dev = (load_pairs(chosen.data, names, "train")[0] for names in (chosen.data.train, chosen.data.dev))
    Run(out, chosen, listener).train(pairs, dev)
    return listener


def outcome(run: Path) -> dict[str, Any]:
    """All that must not depend on how often a run was interrupted: bytes of tensors, and the log without times."""
    last = max((run / "checkpoints").iterdir())
    found: dict[str, Any] = {path.name: path.read_bytes() for path in last.glob("*.safetensors")}
    assert set(found) == {"weights.safetensors", "optimizer.safetensors", "average.safetensors"}
    state = json.loads((last / "state.json").read_text())
    found["state"] = {key: value for key, value in state.items() if key not in ("time", "facts")}
    found["model"] = (run / "model" / "model.safetensors").read_bytes()
    found["best"] = json.loads((run / "best.json").read_text())
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().split("\n") if line]
    found["log"] = [{key: value for key, value in row.items() if key != "time"} for row in rows]
    return found


def main(arguments: list[str]) -> None:
    """Train in the first folder on the data in the second, with a disk as the flags say."""
    write = Path.write_bytes
    saves = itertools.count(1)

    def stuck_write(path: Path, data: bytes) -> int:
        written = write(path, data)
        if "checkpoints" in str(path) and next(saves) == 7:
            print("stuck", flush=True)
            time.sleep(60)
        return written

    def slow_write(path: Path, data: bytes) -> int:
        if "checkpoints" in str(path):
            print("saving", flush=True)
            write(path, data[: len(data) // 2])
            time.sleep(0.03)
        return write(path, data)

    if "--slow-saves" in arguments:
        Path.write_bytes = slow_write
    if "--stuck-save" in arguments:
        Path.write_bytes = stuck_write
    if "--full" in arguments:  # no file may grow beyond this: the optimizer's does
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    train(Path(arguments[0]), Path(arguments[1]), show=True)


class Child:
    """A run in a forked process, which need not import torch again; what it prints comes through a pipe."""

    def __init__(self, out: Path, data: Path, *flags: str):
        reading, writing = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            status = 1
            try:
                sys.stdout = os.fdopen(writing, "w")
                sys.stderr = (out.parent / "stderr").open("a")
                main([str(out), str(data), *flags])
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        os.close(writing)
        self.stdout = os.fdopen(reading)

    def wait(self) -> int:
        """0, or what ended it: an exit status, or the negative number of a signal."""
        self.stdout.close()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def poll(self) -> int | None:
        """The same; None if it still runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None


def lines_until(stream: IO[str], word: str, count: int = 1) -> bool:
    """Read to the line that says `word` for the `count`th time; False if the process ended before."""
    for line in stream:
        count -= line.startswith(word)
        if not count:
            return True
    return False
