"""Setting a part of the data aside as a dev set that shares no text with what is trained on."""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy

from regard.data.pairs import PairSet
from regard.errors import DataError

_MAX_LOST_SHARE = 0.1  # of all pairs: what holding out may cost in pairs that clash
_MAX_CLASHES = 10  # a pair that clashes with more than these stays in train


class HeldOut(NamedTuple):
    """What `hold_out` makes of one set of pairs. train + dev + dropped = all pairs."""

    train: PairSet
    dev: PairSet
    dropped: int  # pairs in neither: they share a source or a target with dev
    shared_targets: bool  # targets of dev may occur in train, for there are too few different ones to keep them apart


def hold_out(pairs: PairSet, count: int, seed: int) -> HeldOut:
    """Set `count` pairs aside (a tenth of all at most) as a dev set that shares no source and no target with train.

    Texts are compared after `normalise`; within dev too they differ. Pairs left in train that clash with dev are
    dropped; a pair with many clashes is not chosen, and all that is dropped is a tenth of the pairs at most, so dev may
    come out smaller than asked. Where targets are too few to keep apart (labels, small numbers), only sources are.

    Raises:
        DataError: too few pairs, or too few different ones.
    """
    keys = [group_numbers(pairs.sources), group_numbers(pairs.targets)]
    train, chosen = hold_out_rows(keys, count, seed)
    shared_targets = 2 * len(chosen) < min(count, len(pairs) // 10)
    if shared_targets:
        train, chosen = hold_out_rows(keys[:1], count, seed)
    dropped = len(pairs) - len(train) - len(chosen)
    return HeldOut(pairs.select(train), pairs.select(chosen), dropped, shared_targets)


def hold_out_rows(keys: Sequence[numpy.ndarray], count: int, seed: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Choose up to `count` rows (a tenth of all at most) for dev; rows with equal keys never stand on both sides.

    Args:
        keys: int64, (rows,) each: equal numbers for texts that are the same.

    Returns:
        The rows of train and of dev, in order; rows in neither clash with dev.

    Raises:
        DataError: too few rows, or too few different ones.
    """
    total = len(keys[0])
    wanted = min(count, total // 10)
    if wanted < 1:
        raise DataError(
            f"{total:,} rows are too few to hold out {count:,}: a dev set takes one in ten at most. "
            f"Give a dev set of its own with --dev."
        )
    order = numpy.random.default_rng(seed).permutation(total)
    chosen = _choose(order, keys, wanted)
    if not len(chosen) and len(keys) == 1:
        raise DataError(
            f"{total:,} rows repeat so few different texts that none can be held out as a dev set. "
            f"Give a dev set of its own with --dev."
        )
    chosen.sort()  # in the order of the files
    clashes = numpy.zeros(total, dtype=bool)
    for key in keys:
        clashes |= numpy.isin(key, key[chosen])
    return numpy.flatnonzero(~clashes), chosen


def normalise(text: str) -> str:
    """The text without case, compatibility forms, punctuation and extra space: by this two texts are "the same".

    Apostrophes vanish, other punctuation parts words. Text that is nothing but punctuation keeps it.
    """
    if text.isascii():
        text = text.lower()
    else:  # case folding can undo the normal form
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(text.translate(_PUNCTUATION).split()) or " ".join(text.split())


def num_shared(train: Iterable[str], dev: Iterable[str]) -> int:
    """How many texts of dev also stand in train, by `normalise`."""
    keys = [normalise(text) for text in dev]
    found = set(keys).intersection(map(normalise, train))
    return sum(key in found for key in keys)


class _Punctuation(dict[int, str]):
    """A table for `str.translate`, filled as characters are met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        removed = " " if unicodedata.category(character).startswith("P") else character
        self[code] = "" if character in "'’‘ʼ" else removed
        return self[code]


_PUNCTUATION = _Punctuation()  # at most as large as Unicode


def group_numbers(texts: Sequence[str]) -> numpy.ndarray:
    """int64, (texts,): equal numbers for texts equal after `normalise`."""
    # 64-bit hashes instead of a dictionary of texts: 8 bytes a pair. Only equality is used, so their salt is harmless.
    hashes = numpy.fromiter((hash(normalise(text)) for text in texts), dtype=numpy.int64, count=len(texts))
    return numpy.unique(hashes, return_inverse=True)[1]


def _choose(order: numpy.ndarray, keys: Sequence[numpy.ndarray], wanted: int) -> numpy.ndarray:
    """The first positions of `order` that differ from each other in every key and cost few clashing pairs."""
    counts = [numpy.bincount(key)[key] - 1 for key in keys]  # per pair: the others that have its key
    clashes = numpy.sum(counts, axis=0)
    taken: list[set[int]] = [set() for _ in keys]
    chosen: list[int] = []
    allowed = _MAX_LOST_SHARE * len(order)
    for index in order[clashes[order] <= _MAX_CLASHES]:
        own = [int(key[index]) for key in keys]
        if clashes[index] > allowed or any(number in numbers for number, numbers in zip(own, taken, strict=True)):
            continue
        for number, numbers in zip(own, taken, strict=True):
            numbers.add(number)
        allowed -= int(clashes[index])
        chosen.append(int(index))
        if len(chosen) == wanted:
            break
    return numpy.array(chosen, dtype=numpy.int64)
