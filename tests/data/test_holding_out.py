"""Holding out a dev set that shares no text with train, and when two texts are the same."""

from collections.abc import Sequence
from pathlib import Path

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.data.holding_out import hold_out, normalise
from regard.data.pairs import DataSource, PairSet
from regard.errors import DataError


def pair_set(sources: Sequence[str], targets: Sequence[str]) -> PairSet:
    count = len(sources)
    numbers = numpy.arange(1, count + 1)
    origin = (DataSource((Path("a.tsv"),)),)
    return PairSet(
        list(sources), list(targets), numpy.ones(count, numpy.float32), numpy.zeros(count, numpy.int32), numbers, origin
    )


def test_dev_shares_nothing_with_train():
    count = 1_000
    sources = [f"Source, {n // 2}!" if n % 2 else f"source {n // 2}" for n in range(count)]  # twins but for case
    targets = [f"target {n}" for n in range(count)]
    held = hold_out(pair_set(sources, targets), 50, seed=3)
    assert (len(held.dev), held.dropped, len(held.train)) == (50, 50, 900)
    assert not held.shared_targets
    for column in ("sources", "targets"):
        dev = [normalise(text) for text in getattr(held.dev, column)]
        assert len(set(dev)) == len(dev)
        assert not {normalise(text) for text in getattr(held.train, column)} & set(dev)


def test_holding_out_follows_the_seed_and_takes_a_tenth_at_most():
    pairs = pair_set([f"s{n}" for n in range(200)], [f"t{n}" for n in range(200)])
    first, same, other = (hold_out(pairs, 500, seed).dev.sources for seed in (1, 1, 2))
    assert len(first) == 20
    assert first == same
    assert first != other


def test_a_repeated_sentence_stays_in_train():
    sources = ["yes"] * 500 + [f"s{n}" for n in range(500)]
    held = hold_out(pair_set(sources, [f"t{n}" for n in range(1000)]), 100, seed=0)
    assert "yes" not in held.dev.sources
    assert (len(held.dev), held.dropped) == (100, 0)


def test_few_targets_are_shared_rather_than_lost():
    held = hold_out(pair_set([f"s{n}" for n in range(1000)], ["good", "bad"] * 500), 100, seed=0)
    assert held.shared_targets
    assert (len(held.dev), len(held.train), held.dropped) == (100, 900, 0)


def test_too_little_to_hold_out():
    with pytest.raises(DataError, match=r"5 rows are too few to hold out 100.*--dev"):
        hold_out(pair_set(list("abcde"), list("abcde")), 100, seed=0)
    with pytest.raises(DataError, match="repeat so few different texts"):
        hold_out(pair_set(["a"] * 50, [str(n) for n in range(50)]), 5, seed=0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdefghijklmnop"), st.text("xyz", max_size=3)), min_size=10, max_size=80))
def test_holding_out_never_leaks(rows: list[tuple[str, str]]):
    pairs = pair_set([row[0] for row in rows], [row[1] for row in rows])
    try:
        held = hold_out(pairs, 8, seed=0)
    except DataError:
        return
    assert len(held.train) + len(held.dev) + held.dropped == len(pairs)
    assert held.dropped <= len(pairs) / 10
    assert not set(held.train.sources) & set(held.dev.sources)
    assert held.shared_targets or not set(held.train.targets) & set(held.dev.targets)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Hello,   WORLD! ", "hello world"),
        ("Don’t – well-known", "dont well known"),
        ("ﬁn ＡＢ Straße", "fin ab strasse"),
        ("नमस्ते।", "नमस्ते"),
        ("?!", "?!"),
        ("3 + 4", "3 + 4"),
    ],
)
def test_normalise(text: str, expected: str):
    assert normalise(text) == expected


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30))
def test_normalising_twice_changes_nothing(text: str):
    assert normalise(normalise(text)) == normalise(text)
