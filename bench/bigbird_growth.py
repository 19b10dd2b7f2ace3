"""Time and peak memory of a training step of BigBird by length, beside dense attention in the same model.

    python bench/bigbird_growth.py            # about a minute of one core

One text a step, a masked-word loss at every seventh token, no optimizer. Time is the processor's, of one thread: the
fastest of several rounds that alternate between kinds and lengths. Memory is what a step adds to the peak of a process
of its own. The exponent of growth is the slope of a line through logarithms: 1 is linear, 2 quadratic. Dense attention
is measured twice: as training has it, with dropout of weights, and without, where torch's fused kernel keeps no scores.
Linux only.
"""

import argparse
import math
import os
import time
from pathlib import Path

import torch

from regard.models import build_encoder
from regard.models.heads import TaskModel
from regard.nn.padded import Padded

LENGTHS = (512, 1_024, 2_048, 4_096)
KINDS = {
    "sparse": {"sparse": True},
    "dense": {"sparse": False},
    "dense, no dropout": {"sparse": False, "attention_dropout": 0.0},
}
VOCAB_SIZE = 1_000


def make(kind: str, hidden_size: int) -> TaskModel:
    sizes = {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": hidden_size,
        "num_layers": 2,
        "num_heads": hidden_size // 64,
        "feed_forward_size": 4 * hidden_size,
        "max_length": max(LENGTHS),
    }
    torch.manual_seed(0)
    return build_encoder("bigbird", {**sizes, **KINDS[kind]}, {"task": "mask"}).train()


def step(model: TaskModel, length: int) -> float:
    """Seconds of a forward and a backward pass."""
    torch.manual_seed(1)
    tokens = Padded(torch.randint(VOCAB_SIZE, (1, length)), torch.tensor([length]))
    start = time.process_time()
    states = model.encoder.encode(tokens).states[:, ::7]
    assert model.head is not None
    logits = model.head(states)
    torch.nn.functional.cross_entropy(logits[0], tokens.ids[0, ::7]).backward()
    model.zero_grad(set_to_none=True)
    return time.process_time() - start


def added_bytes(kind: str, hidden_size: int, length: int) -> int:
    """What a step adds to the peak, measured in a process of its own."""
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        with os.fdopen(reader) as found:
            text = found.read()
        os.wait()
        return int(text)
    model = make(kind, hidden_size)
    step(model, 64)  # what is made or kept whatever the length
    before = _peak()
    step(model, length)
    os.write(writer, str(_peak() - before).encode())
    os._exit(0)


def _peak() -> int:
    """This process's bytes at most, so far."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def exponent(values: list[float]) -> float:
    """The slope of the least-squares line through the logarithms."""
    x, y = [math.log(length) for length in LENGTHS], [math.log(value) for value in values]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    products = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return products / sum((a - mean_x) ** 2 for a in x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--hidden-size", type=int, default=128, help="a multiple of 64; the wider, the less is attention"
    )
    given = parser.parse_args()
    rounds, size = given.rounds, given.hidden_size
    torch.set_num_threads(1)
    # First: a process that has trained cannot be forked to train.
    memory = {(kind, length): added_bytes(kind, size, length) for length in LENGTHS for kind in KINDS}
    models = {kind: make(kind, size) for kind in KINDS}
    seconds: dict[tuple[str, int], float] = {}
    for number in range(rounds + 1):
        for length in LENGTHS:
            for kind, model in models.items():
                taken = step(model, length)
                if number:  # the first round warms up
                    seconds[kind, length] = min(taken, seconds.get((kind, length), math.inf))
    print(f"torch {torch.__version__}, one thread, {rounds} rounds; two layers, {size} wide; heads and blocks of 64")
    header = "".join(f"{length:>10,}" for length in LENGTHS)
    for name, unit, table in (("time", 1, seconds), ("memory", 1 << 20, memory)):
        print(f"{name + (', s' if unit == 1 else ', MiB'):<24}{header}  exponent")
        for kind in KINDS:
            values = [table[kind, length] / unit for length in LENGTHS]
            shown = "".join(f"{value:>10.3f}" if unit == 1 else f"{value:>10.1f}" for value in values)
            print(f"  {kind:<22}{shown}  {exponent(values):>8.2f}")


if __name__ == "__main__":
    main()
