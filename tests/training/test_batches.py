"""The order of training pairs is a function of (seed, epoch, index)."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import SOURCES, TARGETS

from regard.data.tokens import Tokens
from regard.errors import DataError
from regard.training.batches import (
    IdPairs,
    Position,
    batches_from,
    encode_pairs,
    epoch_order,
    sample_pairs,
    token_links,
)


def pairs_of(source_lengths: list[int], target_lengths: list[int], weight: float = 1.0) -> IdPairs:
    """Pairs whose every id is their own number plus 10; lengths without eos."""
    return IdPairs(
        source_ids=np.concatenate([[10 + n] * k + [3] for n, k in enumerate(source_lengths)]).astype(np.int32),
        source_starts=np.cumsum([0, *(length + 1 for length in source_lengths)]),
        target_ids=np.concatenate([[10 + n] * k for n, k in enumerate(target_lengths)]).astype(np.int32),
        target_starts=np.cumsum([0, *target_lengths]),
        weights=np.full(len(source_lengths), weight, dtype=np.float32),
        bos_id=2,
        eos_id=3,
        pad_id=0,
    )


def test_links_between_words_are_links_between_tokens() -> None:
    tokens = Tokens.train(SOURCES * 3, TARGETS * 3, 330)
    source, target = "the  cat sees 678.", "o gato vê 678."
    source_ids, target_ids = tokens.encode_source(source), tokens.encode_target(target)
    found = token_links(source, target, "1-1 3-2", tokens)

    def of_word(spans: list[tuple[int, int]], text: str, word: str) -> list[int]:
        first = text.index(word)
        return [n for n, (a, b) in enumerate(spans) if a < first + len(word) and b > first]

    spans = tokens.source_spans(source), tokens.target_spans(target)
    expected = [
        (t, s)
        for here, there in (("cat", "gato"), ("678.", "vê"))
        for t in of_word(spans[1], target, there)
        for s in of_word(spans[0], source, here)
    ]
    assert found.tolist() == [list(link) for link in expected]
    assert len({s for _, s in expected}) > 2, "a word of several pieces"
    assert found[:, 1].max() < len(source_ids) - 1, "the end of the sentence is in no word"
    assert found[:, 0].max() < len(target_ids)
    assert token_links(source, target, "", tokens).shape == (0, 2)
    pairs, kept = encode_pairs([source] * 3, [target] * 3, tokens, max_length=99, links=["", "1-1 3-2", "1-1"])
    assert kept == [0, 1, 2]
    links = pairs.batch(np.array([1, 0])).links
    assert links is not None
    assert links.tolist() == [[0, t, s] for t, s in expected]


def many(count: int = 200, weight: float = 1.0) -> IdPairs:
    random = np.random.default_rng(0)
    lengths = random.integers(1, 30, (2, count)).tolist()
    return pairs_of(*lengths, weight)


@given(
    lengths=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=60),
    batch_tokens=st.integers(1, 200),
    seed=st.integers(0, 2**31),
    epoch=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_an_epoch_shows_each_pair_once_within_the_budget(
    lengths: list[tuple[int, int]], batch_tokens: int, seed: int, epoch: int
) -> None:
    pairs = pairs_of([source for source, _ in lengths], [target for _, target in lengths])
    order = epoch_order(pairs, batch_tokens, seed, epoch)
    assert sorted(np.concatenate(order).tolist()) == list(range(len(lengths)))
    for rows in order:
        if len(rows) > 1:
            assert pairs.target_lengths[rows].max() * len(rows) <= batch_tokens
            assert pairs.source_lengths[rows].max() * len(rows) <= 2 * batch_tokens
    again = epoch_order(pairs, batch_tokens, seed, epoch)
    assert [rows.tolist() for rows in again] == [rows.tolist() for rows in order]


def test_epochs_and_seeds_differ() -> None:
    pairs = many()
    orders = {
        str([rows.tolist() for rows in epoch_order(pairs, 100, seed, epoch)])
        for seed, epoch in itertools.product([1, 2], [0, 1, 2])
    }
    assert len(orders) == 6


def test_the_order_of_batches_is_not_that_of_lengths() -> None:
    longest = [int(many().target_lengths[rows].max()) for rows in epoch_order(many(), 100, 1, 0)]
    assert longest != sorted(longest)
    assert longest != sorted(longest, reverse=True)


@pytest.mark.parametrize("weight", [0.5, 2.5, 3.0])
def test_a_weight_is_how_often_an_epoch_shows_a_pair(weight: float) -> None:
    pairs = many(weight=weight)
    counts = np.zeros((40, 200))
    for epoch in range(40):
        shown, times = np.unique(np.concatenate(epoch_order(pairs, 100, 1, epoch)), return_counts=True)
        counts[epoch, shown] = times
    assert counts.min() >= np.floor(weight)
    assert counts.max() <= np.ceil(weight)
    assert counts.mean() == pytest.approx(weight, abs=0.03)  # five standard deviations of 8,000 draws
    assert counts.mean(0).std() < 0.2, "all pairs alike"


@pytest.mark.parametrize("taken", [0, 1, 5, 50])
def test_going_on_from_any_position_gives_the_same_batches(taken: int) -> None:
    pairs = many(weight=1.3)
    whole = list(itertools.islice(batches_from(pairs, 300, 7, Position(0, 0)), 60))
    assert whole[-1][1].epoch >= 2, "the test crosses epochs"
    position = whole[taken - 1][1] if taken else Position(0, 0)
    rest = list(itertools.islice(batches_from(pairs, 300, 7, position), 60 - taken))
    for (expected, expected_position), (found, found_position) in zip(whole[taken:], rest, strict=True):
        assert found_position == expected_position
        assert found.source.ids.equal(expected.source.ids)
        assert found.target.ids.equal(expected.target.ids)
        assert found.labels.equal(expected.labels)


def test_a_batch_holds_what_the_model_reads_and_says() -> None:
    batch = pairs_of([2, 1], [1, 3]).batch(np.array([1, 0]))
    assert batch.source.ids.tolist() == [[11, 3, 0], [10, 10, 3]]
    assert batch.source.lengths.tolist() == [2, 3]
    assert batch.target.ids.tolist() == [[2, 11, 11, 11], [2, 10, 0, 0]]
    assert batch.target.lengths.tolist() == [4, 2]
    assert batch.labels.tolist() == [11, 11, 11, 3, 10, 3]
    assert batch.target_tokens == 6
    assert batch.num_pairs == 2


def test_empty_targets() -> None:
    batch = pairs_of([2, 1], [0, 0]).batch(np.array([1, 0]))
    assert batch.target.ids.tolist() == [[2], [2]]
    assert batch.labels.tolist() == [3, 3]


def test_encoding_leaves_out_what_is_too_long(word_tokens) -> None:
    sources, targets = ["a dog", "a dog " * 30, "the cat"], ["a cat", "a", "the bird sings " * 30]
    pairs, kept = encode_pairs(sources, targets, word_tokens, max_length=20, weights=np.float32([1, 2, 3]))
    assert (len(pairs), kept) == (1, [0])
    assert pairs.weights.tolist() == [1]
    assert pairs.source_ids.tolist() == word_tokens.encode_source("a dog")
    assert pairs.target_ids.tolist() == word_tokens.encode_target("a cat")
    exact = len(word_tokens.encode_source("a dog"))
    assert len(encode_pairs(["a dog"], ["a dog"], word_tokens, max_length=exact)[0]) == 1
    with pytest.raises(DataError, match=f"none of 1 pairs fits into {exact - 1} tokens. Set model.max_length higher"):
        encode_pairs(["a dog"], ["a dog"], word_tokens, max_length=exact - 1)


def test_weights_that_show_nothing_are_refused() -> None:
    with pytest.raises(DataError, match="an epoch shows no example at all: the weights of the data are too small"):
        next(batches_from(many(3, weight=1e-6), 100, 1, Position(0, 0)))


def test_with_dropout_an_epoch_cuts_words_in_its_own_way_and_always_in_the_same(word_tokens) -> None:
    sources, targets = ["no cat sings", "the bird " * 40, "the dog"] * 5, ["12 345", "a cat", "890 67"] * 5
    made = [
        sample_pairs(sources, targets, word_tokens, dropout=0.4, seed=3, max_length=20, weights=np.float32(range(15)))
        for _ in range(2)
    ]
    (pairs, kept), (again, _) = made
    assert kept == [number for number in range(15) if number % 3 != 1]
    assert len(pairs) == 10
    for epoch in range(3):
        seen = pairs.at(epoch)
        assert np.array_equal(seen.source_ids, again.at(epoch).source_ids)
        assert np.array_equal(seen.target_ids, again.at(epoch).target_ids)
        assert seen.weights.tolist() == kept
        batch = seen.batch(np.arange(10))
        assert [word_tokens.decode(ids) for ids in batch.source.ids] == [sources[number] for number in kept]
        assert [word_tokens.decode(ids) for ids in batch.target.ids] == [targets[number] for number in kept]
        assert batch.source.lengths.max() <= 20
    assert not np.array_equal(pairs.at(0).source_ids, pairs.at(1).source_ids)
    assert not np.array_equal(pairs.at(0).target_ids, pairs.at(1).target_ids)
