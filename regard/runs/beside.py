"""A student set beside its teacher: how good, how fast and how large it is."""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from regard.models.protocol import count_parameters
from regard.storage import write_file

TIMED = 200  # dev texts, done by each in turn
_LEAST_ROUNDS, _MOST_ROUNDS, _LEAST_SECONDS = 3, 30, 3.0


def kept_line(folder: Path, step: int, make: Callable[[], str]) -> str:
    """What was said before of the student of this step; else what `make` says now, which is kept in the run folder."""
    path = folder / "beside.json"
    try:
        kept = json.loads(path.read_bytes())
        if kept["step"] == step and isinstance(kept["line"], str):
            return kept["line"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass  # both models are here: what cannot be read is measured again
    line = make()
    write_file(path, json.dumps({"step": step, "line": line}).encode())
    return line


def line_of(
    scores: tuple[str, str],
    models: tuple[nn.Module, nn.Module],
    work: tuple[Callable[[], Any], Callable[[], Any]],
    count: int,
    unit: str,
    how: str = "",
) -> str:
    """A line for people; of each two the first is the student's, the second its teacher's.

    Args:
        scores: on dev, as `reporter.told_score` tells them.
        work: what they do to be timed: `count` texts of dev.
        unit: what those texts are called.
        how: the work is done, if something has to be said of it.
    """
    faster, seconds = _speed(*work)
    ours, theirs = (count_parameters(each) for each in models)
    return (
        f"dev {scores[0]}, its teacher {scores[1].split()[-1]}; "
        f"{faster:.2f} times as fast ({count / seconds:,.0f} {unit}/s: {count:,} of dev{f', {how}' * bool(how)}); "
        f"{ours:,} parameters of {theirs:,}"
    )


def _speed(student: Callable[[], Any], teacher: Callable[[], Any]) -> tuple[float, float]:
    """How many times as fast as its teacher the student is, and how many seconds it takes.

    Both work in turn, for some seconds; of the rounds the middle ones count.
    """
    seconds: list[tuple[float, float]] = []
    began = time.perf_counter()
    while len(seconds) < _LEAST_ROUNDS or (
        len(seconds) < _MOST_ROUNDS and time.perf_counter() - began < _LEAST_SECONDS
    ):
        started = time.perf_counter()
        student()
        between = time.perf_counter()
        teacher()
        seconds.append((between - started, time.perf_counter() - between))
    return statistics.median(theirs / ours for ours, theirs in seconds), statistics.median(ours for ours, _ in seconds)
