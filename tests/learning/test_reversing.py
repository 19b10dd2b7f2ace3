"""Every model learns to reverse digits through the real command line, at any seed, to a stated score."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

# Settings, longest string, and the share of 100 unseen strings that must come out right.
LESSONS: dict[str, tuple[dict[str, object], int, float]] = {
    "transformer": (
        {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "feed_forward_size": 64, "positions": "trainable"},
        5,
        0.9,
    ),
    "rnnsearch": ({"hidden_size": 32, "embedding_size": 32, "attention_size": 32}, 6, 0.9),
    "gnmt": ({"hidden_size": 64, "num_layers": 2, "attention_size": 64}, 5, 0.9),
    "rnn": ({"hidden_size": 64, "embedding_size": 32}, 4, 0.9),
}
STEPS = {"transformer": 350, "rnnsearch": 400, "gnmt": 900, "rnn": 700}


def regard(*arguments: object, text: str = "") -> str:
    command = [sys.executable, "-c", "from regard.cli import main; main()", *map(str, arguments)]
    done = subprocess.run(command, input=text, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def strings(count: int, longest: int, seed: int) -> list[list[str]]:
    numbers = random.Random(seed)
    return [numbers.choices("0123456789", k=numbers.randint(3, longest)) for _ in range(count)]


def learn(folder: Path, arch: str, seed: int) -> float:
    """Train on the command line; the share of unseen strings that are reversed without a mistake."""
    sizes, longest, _ = LESSONS[arch]
    unseen = {tuple(row) for row in strings(100, longest, seed=99)}
    rows = [row for row in strings(4_000, longest, seed=7) if tuple(row) not in unseen]
    (folder / "train.tsv").write_text("".join(f"{' '.join(row)}\t{' '.join(row[::-1])}\n" for row in rows))
    training = {
        "max_steps": STEPS[arch],
        "validate_every": STEPS[arch],
        "batch_tokens": 600,
        "learning_rate": 0.005,
        "warmup_steps": 50,
        "label_smoothing": 0.0,
        "average_decay": 0.95,
        "threads": 1,
        "seed": seed,
    }
    options = [f"model.{key}={value}" for key, value in {**sizes, "dropout": 0.0, "max_length": 24}.items()]
    options += [f"training.{key}={value}" for key, value in training.items()]
    options += ["tokens.vocab_size=300", "data.dev_pairs=50"]
    flags = [part for option in options for part in ("--set", option)]
    regard("train", folder / "train.tsv", "--arch", arch, "--no-filter", "--out", folder / "run", *flags)
    asked = "".join(f"{' '.join(row)}\n" for row in unseen)
    said = regard("translate", folder / "run", text=asked).split("\n")[:-1]
    assert len(said) == len(unseen)
    return sum(line == " ".join(row[::-1]) for line, row in zip(said, unseen, strict=True)) / len(unseen)


def test_the_transformer_learns_to_reverse(tmp_path: Path) -> None:
    assert learn(tmp_path, "transformer", seed=1) >= LESSONS["transformer"][2]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_model_learns_to_reverse(tmp_path: Path, arch: str, seed: int) -> None:
    assert learn(tmp_path, arch, seed) >= LESSONS[arch][2]
