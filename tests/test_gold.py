"""Word alignments and attention against the gold of the built-in corpus."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from regard import gold
from regard.api import Model
from regard.data import world
from regard.data.world import WorldPair
from regard.errors import DataError, ModelError


@pytest.fixture(scope="module")
def pairs() -> list[WorldPair]:
    return list(world.generate("dev", 12, seed=3, max_words=14))


class WordTokens:
    """A tokenizer whose pieces are the halves of words, with an eos on the source side."""

    def __init__(self, pairs: Sequence[WorldPair]):
        self.words = {pair.source: pair.source_tokens for pair in pairs}
        self.words |= {pair.target: pair.target_tokens for pair in pairs}

    def pieces(self, text: str) -> list[tuple[int, int]]:
        spans = []
        for first, end in gold.word_spans(text, self.words[text]):
            middle = (first + end) // 2
            spans += [(first, middle), (middle, end)] if middle > first else [(first, end)]
        return spans

    def encode_source(self, text: str) -> list[int]:
        return [*range(len(self.pieces(text))), -1]

    def encode_target(self, text: str) -> list[int]:
        return list(range(len(self.pieces(text))))

    def source_spans(self, text: str) -> list[tuple[int, int]]:
        return [*self.pieces(text), (len(text), len(text))]

    def target_spans(self, text: str) -> list[tuple[int, int]]:
        return self.pieces(text)


def fake_model(pairs: Sequence[WorldPair], planted_layer: int, layers: int = 3, heads: int = 2) -> Any:
    """A model whose planted layer looks where gold says, from the first to the last piece; the others look at eos."""
    tokens = WordTokens(pairs)

    def attention(sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> list[dict[str, np.ndarray]]:
        found = []
        for pair, source, target in zip(pairs, sources, targets, strict=True):
            weights = np.zeros((layers, heads, len(target) + 1, len(source)), dtype=np.float32)
            weights[..., -1] = 1
            places = gold.word_spans(pair.source, pair.source_tokens), gold.word_spans(pair.target, pair.target_tokens)
            source_groups = gold.piece_groups(tokens.source_spans(pair.source), places[0])
            target_groups = gold.piece_groups(tokens.target_spans(pair.target), places[1])
            weights[planted_layer, :, :-1] = 0
            for source_word, target_word in pair.alignment:
                for row in target_groups[target_word]:
                    for column in source_groups[source_word]:
                        weights[planted_layer, :, row, column] = 1
            found.append({"cross": weights})
        return found

    return SimpleNamespace(engine=SimpleNamespace(tokens=tokens, attention=attention))


def one_to_one(pairs: Sequence[WorldPair]) -> list[WorldPair]:
    """Those whose target words have one source word at most, as argmax can say."""
    return [pair for pair in pairs if len({target for _, target in pair.alignment}) == len(pair.alignment)]


def test_word_spans_are_in_order_and_may_touch() -> None:
    assert gold.word_spans("a cat, a dog.", ["a", "cat", ",", "a", "dog", "."]) == [
        (0, 1), (2, 5), (5, 6), (7, 8), (9, 12), (12, 13),
    ]  # fmt: skip
    assert gold.word_spans("", []) == []


def test_a_word_that_is_not_there_is_an_error() -> None:
    with pytest.raises(DataError, match=r"word 'cat' does not stand in 'a cat' after character 5"):
        gold.word_spans("a cat", ["a", "cat", "cat"])


def test_word_spans_cover_every_letter_of_the_corpus(pairs: list[WorldPair]) -> None:
    for pair in pairs:
        for text, words in ((pair.source, pair.source_tokens), (pair.target, pair.target_tokens)):
            spans = gold.word_spans(text, words)
            assert [text[first:end] for first, end in spans] == list(words)
            assert sum(end - first for first, end in spans) == len(text.replace(" ", ""))


@pytest.mark.parametrize(
    ("spans", "words", "expected"),
    [
        ([(0, 3), (3, 5)], [(0, 5)], [[0, 1]]),  # two pieces of one word
        ([(0, 4)], [(0, 3), (3, 4)], [[0], []]),  # one piece over two words goes to the one it shares more with
        ([(0, 2)], [(0, 1), (1, 2)], [[0], []]),  # ... and to the first of equals
        ([(0, 1), (1, 6), (6, 6)], [(0, 1), (2, 6)], [[0], [1]]),  # the space before a word, and eos
        ([(3, 4)], [(0, 3), (5, 7)], [[], []]),  # a piece that is only a space
        ([], [(0, 1)], [[]]),
        ([(0, 1)], [], []),
    ],
)
def test_piece_groups(spans: list[tuple[int, int]], words: list[tuple[int, int]], expected: gold.Groups) -> None:
    assert gold.piece_groups(spans, words) == expected


def test_weights_made_from_gold_score_perfectly(pairs: list[WorldPair]) -> None:
    chosen = one_to_one(pairs)
    assert len(chosen) > 3
    weights = []
    for pair in chosen:
        matrix = np.zeros((len(pair.target_tokens), len(pair.source_tokens)))
        for source, target in pair.alignment:
            matrix[target, source] = 0.9
        weights.append(matrix)
    score = gold.alignment_score(weights, chosen)
    assert (score.aer, score.precision, score.recall) == (0, 1, 1)
    assert gold.alignment_score([np.roll(matrix, 1, axis=1) for matrix in weights], chosen).aer > 0.8


def test_the_planted_layer_is_found_and_aligns_perfectly(pairs: list[WorldPair]) -> None:
    chosen = one_to_one(pairs)
    for planted in range(3):
        model = fake_model(chosen, planted)
        assert gold.best_layer(model, chosen) == planted
        found = gold.align(model, chosen, planted)
        assert (found.layer, found.score.aer) == (planted, 0)
        assert gold.align(model, chosen, (planted + 1) % 3).score.predicted_links == 0, "they look at eos only"


def test_word_weights_merge_pieces(pairs: list[WorldPair]) -> None:
    pair = one_to_one(pairs)[0]
    weights = gold.word_weights(fake_model([pair], 1), pair)
    assert weights.shape == (3, 2, len(pair.target_tokens), len(pair.source_tokens))
    expected = np.zeros(weights.shape[2:], dtype=bool)
    for source, target in pair.alignment:
        expected[target, source] = True
    np.testing.assert_array_equal(weights[1, 0] > 0, expected)
    assert not weights[0].any()


def test_a_real_model_gives_weights_between_words(tmp_path: Path, pairs: list[WorldPair]) -> None:
    pytest.importorskip("torch")
    from tiny_model import make_folder

    import regard

    model = regard.load(make_folder(tmp_path / "model", max_length=128))
    weights = gold.word_weights(model, pairs[0])
    assert weights.shape == (2, 2, len(pairs[0].target_tokens), len(pairs[0].source_tokens))
    sums = weights.sum(axis=-1)
    assert (sums > 0).all()
    assert (sums <= 1 + 1e-5).all(), "what went to eos is left out"
    assert 0 <= gold.align(model, pairs, gold.best_layer(model, pairs)).score.aer <= 1


def test_a_model_without_attention_is_refused(tmp_path: Path, pairs: list[WorldPair]) -> None:
    pytest.importorskip("torch")
    from tiny_model import make_folder

    import regard

    model: Model = regard.load(make_folder(tmp_path / "model", "rnn", max_length=128))
    for ask in (lambda: gold.best_layer(model, pairs), lambda: gold.word_weights(model, pairs[0])):
        with pytest.raises(ModelError, match="no attention to its source"):
            ask()
