"""A model against the gold of the built-in corpus: do its weights align words, does its *it* get the right gender?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from regard.api import Model
from regard.data.world import WorldPair
from regard.errors import DataError, ModelError
from regard.evaluation import alignment
from regard.evaluation.alignment import AlignmentScore

Groups = list[list[int]]


@dataclass(frozen=True)
class LayerAlignment:
    """Word alignments read from one decoder layer, heads averaged."""

    layer: int  # from 0
    score: AlignmentScore


def best_layer(model: Model, dev: Sequence[WorldPair]) -> int:
    """The decoder layer whose attention aligns the dev pairs best (so that test pairs are scored once).

    Raises:
        ModelError: the model has no attention to its source.
    """
    scores = [alignment_score(weights, dev) for weights in zip(*_layers(model, dev), strict=True)]
    return int(np.argmin([score.aer for score in scores]))


def align(model: Model, pairs: Sequence[WorldPair], layer: int) -> LayerAlignment:
    """Alignment error rate of one layer: each target word is linked to the source word it attends to most.

    The weights come from a forced pass over the reference translation.

    Raises:
        ModelError: the model has no attention to its source.
    """
    weights = [layers[layer] for layers in _layers(model, pairs)]
    return LayerAlignment(layer, alignment_score(weights, pairs))


def alignment_score(weights: Sequence[np.ndarray], pairs: Sequence[WorldPair]) -> AlignmentScore:
    """Score word-to-word weights (target words, source words) of each pair against gold."""
    predicted = [alignment.from_weights(matrix) for matrix in weights]
    return alignment.alignment_error_rate(predicted, [set(pair.alignment) for pair in pairs])


def word_weights(model: Model, pair: WorldPair) -> np.ndarray:
    """Attention between the words of a pair, (layers, heads, target words, source words); see `words_from_pieces`.

    Raises:
        ModelError: the model has no attention to its source.
    """
    return _word_weights(model, [pair])[0]


def word_spans(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Where each word stands in the text, in order: characters (first, end).

    Raises:
        DataError: a word is not there, or not in this order.
    """
    spans, position = [], 0
    for word in words:
        first = text.find(word, position)
        if first < 0:
            raise DataError(f"word {word!r} does not stand in {text!r} after character {position}.")
        position = first + len(word)
        spans.append((first, position))
    return spans


def piece_groups(spans: Sequence[tuple[int, int]], words: Sequence[tuple[int, int]]) -> Groups:
    """For each word the pieces that share most of their characters with it; a piece of no word is in no group."""
    groups: Groups = [[] for _ in words]
    for piece, (first, end) in enumerate(spans):
        shared = [min(end, word_end) - max(first, word_first) for word_first, word_end in words]
        if shared and max(shared) > 0:
            groups[int(np.argmax(shared))].append(piece)
    return groups


def _layers(model: Model, pairs: Sequence[WorldPair]) -> list[list[np.ndarray]]:
    """For each pair the word weights of each layer, heads averaged: (target words, source words)."""
    return [list(weights.mean(axis=1)) for weights in _word_weights(model, pairs)]


def _word_weights(model: Model, pairs: Sequence[WorldPair]) -> list[np.ndarray]:
    tokens = model.engine.tokens
    sources = [tokens.encode_source(pair.source) for pair in pairs]
    targets = [tokens.encode_target(pair.target) for pair in pairs]
    found = model.engine.attention(sources, targets)
    if not all("cross" in weights for weights in found):
        raise ModelError("this model has no attention to its source: there is nothing to align with.")
    results = []
    for pair, weights in zip(pairs, found, strict=True):
        source_groups = piece_groups(tokens.source_spans(pair.source), word_spans(pair.source, pair.source_tokens))
        target_groups = piece_groups(tokens.target_spans(pair.target), word_spans(pair.target, pair.target_tokens))
        merged = [
            [alignment.words_from_pieces(head, source_groups, target_groups) for head in layer]
            for layer in weights["cross"]
        ]
        results.append(np.array(merged))
    return results
