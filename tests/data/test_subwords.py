"""BPE-dropout: without dropout it is sentencepiece's own segmentation; with it the text is still the text."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regard.data.subwords import Merges, SampledLines
from regard.data.tokens import EOS_ID, Tokens
from regard.errors import ConfigError

LINES = ["the cat sees the dog", "the other cats see other dogs", "no  two   spaces are one ", "12 345 67 Größe 日本語"]
TOKENS = Tokens.train(LINES * 4, LINES * 4, 420)
MERGES, _ = TOKENS.merges()
texts = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=30)


def lines_of(drawn: tuple[np.ndarray, np.ndarray]) -> list[list[int]]:
    ids, starts = drawn
    return [ids[first:end].tolist() for first, end in itertools.pairwise(starts)]


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, 0]))


@given(lines=st.lists(texts, min_size=1, max_size=5))
@example(lines=["", " ", "the cat", "  </s> <unk> <0x41>", "👩‍👩‍👧 e\u0301 \u3000\t▁ ▁▁x"])
@settings(max_examples=100, deadline=None)
def test_without_dropout_it_is_sentencepiece(lines: list[str]) -> None:
    drawn = SampledLines(lines, MERGES, dropout=0.0, variants=2).draw(generator(), 1_000)
    assert lines_of(drawn) == [TOKENS.encode_target(line) for line in lines]


@pytest.mark.parametrize("dropout", [0.1, 0.5, 0.99])
def test_whatever_is_left_out_the_text_is_the_text(dropout: float) -> None:
    sampled = SampledLines(LINES, MERGES, dropout=dropout, variants=8)
    for seed in range(5):
        assert [TOKENS.decode(ids) for ids in lines_of(sampled.draw(generator(seed), 1_000))] == LINES


def test_each_place_of_a_word_is_drawn_by_itself_and_more_dropout_makes_more_pieces() -> None:
    lines = ["other " * 200]
    counts = []
    for dropout in (0.0, 0.1, 0.5):
        ids = lines_of(SampledLines(lines, MERGES, dropout=dropout, variants=16).draw(generator(), 10_000))[0]
        counts.append(len(ids))
    assert counts[0] < counts[1] < counts[2]
    words = SampledLines(["other"] * 50, MERGES, dropout=0.5, variants=16).draw(generator(), 100)
    assert len({tuple(ids) for ids in lines_of(words)}) > 3


def test_a_merge_is_left_out_as_often_as_asked() -> None:
    """A word of one merge: left out with the probability itself (Provilkov et al. 2020, algorithm 1)."""
    merges = Merges({"▁": 4, "a": 5, "▁a": 6}, {"▁a": -1.0}, tuple(range(100, 356)))
    chance = random.Random(1)
    cut = [merges.segment("▁a", 0.25, chance) for _ in range(4_000)]
    assert set(map(tuple, cut)) == {(4, 5), (6,)}
    assert cut.count([4, 5]) / 4_000 == pytest.approx(0.25, abs=0.03)


def test_draws_follow_the_seeds() -> None:
    first, again, other = (
        SampledLines(LINES, MERGES, dropout=0.3, seed=seed, end_id=EOS_ID).draw(generator(), 1_000)
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])
    assert all(ids[-1] == EOS_ID and EOS_ID not in ids[:-1] for ids in lines_of(first))


def test_a_line_that_would_be_too_long_is_cut_plainly() -> None:
    plain = [[*TOKENS.encode_target(line), EOS_ID] for line in LINES]
    limit = len(plain[0])
    drawn = lines_of(SampledLines(LINES, MERGES, dropout=0.99, end_id=EOS_ID).draw(generator(), limit))
    assert drawn[0] == plain[0], "every other way to cut it is longer"
    assert drawn == plain
    assert lines_of(SampledLines(LINES, MERGES, dropout=0.99).draw(generator(), 1_000)) != plain


def test_separate_vocabularies_have_merges_of_their_own_and_imported_ones_none() -> None:
    source, target = Tokens.train(LINES, [line.upper() for line in LINES], 360, "separate").merges()
    assert "▁the" in source.ids
    assert "▁the" not in target.ids
    model = TOKENS._models[0]
    imported = Tokens(model, model, vocabulary={"<unk>": 0, "</s>": 1, "<pad>": 2})
    with pytest.raises(ConfigError, match=r"tokens\.dropout needs a vocabulary that regard has learnt"):
        imported.merges()
