"""Texts longer than a model takes, read in stretches that overlap, and what it says of the stretches as one."""

import itertools
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from regard.data.labelled import LabelTask
from regard.data.text_tokens import TextIds
from regard.errors import ConfigError, ModelError

_OVERLAP = 4  # of what a stretch has of the text at least one in so many tokens is in the next one too


class Engine(Protocol):
    """What reads the stretches."""

    @property
    def max_length(self) -> int:
        """Longest input in tokens, special ones counted."""
        ...

    def logits(self, inputs: Sequence[TextIds]) -> list[np.ndarray]:
        """The head's logits for each input."""
        ...


def check_single(task: LabelTask) -> None:
    """Refuse to split pairs.

    Raises:
        ConfigError: the task is of pairs.
    """
    if task == "pair":
        raise ConfigError("--split-long is of single texts: nothing says which of a pair to split. Leave it out.")


def logits(engine: Engine, inputs: Sequence[TextIds]) -> list[np.ndarray]:
    """The head's logits for single texts of any length.

    A text that fits is read whole. Of a longer one all stretches are as long as the model takes: its class or number
    is by the mean of their logits, and a token's label by the stretch in which most is read on both sides of it.

    Raises:
        ModelError: the model takes so few tokens that stretches cannot overlap, or an input is two texts.
    """
    parts, places = split(inputs, engine.max_length)
    said = iter(engine.logits(parts))
    return [
        _joined(len(read), found, list(itertools.islice(said, len(found))))
        for read, found in zip(inputs, places, strict=True)
    ]


def split(inputs: Sequence[TextIds], limit: int) -> tuple[list[TextIds], list[list[tuple[int, int]]]]:
    """The stretches of all texts in their order, and for each text where its stretches stand: tokens (first, end).

    Raises:
        ModelError: as for `logits`.
    """
    places = [_stretches(read, limit) for read in inputs]
    return [_part(read, *place) for read, found in zip(inputs, places, strict=True) for place in found], places


def _stretches(read: TextIds, limit: int) -> list[tuple[int, int]]:
    """Where the text of each stretch stands: tokens (first, end), the special ones around the text left out."""
    real = [place for place, special in enumerate(read.special) if not special]
    if len(read) <= limit:
        return [(real[0], real[-1] + 1) if real else (0, 0)]
    first, end = real[0], real[-1] + 1
    if end - first != len(real):
        raise ModelError("an input of two texts cannot be read in stretches: nothing says which of them to split.")
    room = limit - (len(read) - len(real))
    step = room - room // _OVERLAP
    if room < _OVERLAP:
        raise ModelError(f"the model takes {limit} tokens: too few to read a longer text in stretches.")
    spare = len(real) - room  # what stands outside of a stretch
    count = 1 + -(-spare // step)
    begins = [first + spare * number // (count - 1) for number in range(count)]
    return [(begin, begin + room) for begin in begins]


def _part(read: TextIds, first: int, end: int) -> TextIds:
    """One stretch with the special tokens that stand around the whole text."""
    kept = [place for place in range(len(read)) if read.special[place] or first <= place < end]
    return TextIds(*([field[place] for place in kept] for field in (read.ids, read.types, read.spans, read.special)))  # type: ignore[arg-type]


def _joined(size: int, places: Sequence[tuple[int, int]], said: Sequence[np.ndarray]) -> np.ndarray:
    """What the stretches of a text of so many tokens say together: (labels,) or (tokens, labels)."""
    if len(places) == 1:
        return said[0]
    if said[0].ndim == 1:
        return np.mean(said, axis=0)
    start, end = places[0][0], places[-1][1]
    around = np.array([_read_on_both_sides(np.arange(size), *place) for place in places])  # (stretches, tokens)
    around[0, :start], around[-1, end:] = size, size  # special tokens: of the first stretch and of the last
    joined = np.empty((size, said[0].shape[1]), said[0].dtype)
    for token, best in enumerate(around.argmax(axis=0)):
        joined[token] = said[best][token - (places[best][0] - start)]
    return joined


def _read_on_both_sides(tokens: np.ndarray, first: int, end: int) -> np.ndarray:
    """How many tokens a stretch has on the poorer side of each; negative outside of it."""
    return np.minimum(tokens - first, end - 1 - tokens)
