"""Is attention an explanation? What the output loses without a source word, beside what attention gives that word."""

import math
from dataclasses import dataclass

import numpy as np
from rich.cells import cell_len

from regard.evaluation.correlation import spearman
from regard.look.terminal import padded, visible
from regard.look.weights import Look


@dataclass(frozen=True)
class Effects:
    """What leaving out each source word does to the probability of the translation that the model gave."""

    words: tuple[str, ...]  # of the source, without special tokens
    losses: np.ndarray  # (target words with the end, source words): nats each target word loses without the source word
    weights: np.ndarray  # the same shape: the share of a target word's attention that goes to the source word
    kind: str  # which attention that is
    layer: int | None  # None: the mean of all
    head: int | None

    @property
    def attention(self) -> np.ndarray:
        """(source words,): the share of all attention that goes to the word; the rest goes to special tokens."""
        return self.weights.mean(axis=0)

    @property
    def effect(self) -> np.ndarray:
        """(source words,): nats the whole translation loses without the word; negative: it would gain."""
        return self.losses.sum(axis=0)

    @property
    def rank_correlation(self) -> float:
        """Spearman's, between attention and effect over the source words; NaN where there are fewer than two."""
        return spearman(self.attention, self.effect)

    def rank_correlations(self) -> list[float]:
        """Of each target word, between its row of weights and its row of losses; see `rank_correlation`."""
        return [spearman(*rows) for rows in zip(self.weights, self.losses, strict=True)]

    def lines(self) -> list[str]:
        """For people."""
        words = [visible(word) for word in self.words]
        width = max([4, *map(cell_len, words)])
        lines = [f"{'word':<{width}}  attention  effect (nats)"]
        for word, share, effect in zip(words, self.attention, self.effect, strict=True):
            lines.append(f"{padded(word, width)}  {share:9.2f}  {effect:13.2f}")
        agree = f"rank correlation of the two: {self.rank_correlation:.2f}."
        if math.isnan(self.rank_correlation):
            agree = "no rank correlation of the two: there are too few words, or they are all alike."
        return [
            *lines,
            "",
            "effect: what the translation's log-probability loses when the word is taken out of the source.",
            f"{agree} Attention says where the model looks, not what its output rests on.",
        ]


def effects(look: Look, losses: np.ndarray, kind: str, layer: int | None, head: int | None) -> Effects:
    """Put losses beside the attention that a layer or head gives each source word.

    Args:
        losses: (target words, source words), without special source tokens; see `Effects`.
    """
    kind = look.kind(kind)
    real = np.flatnonzero(~np.array(look.source.special))
    weights = look.attention(kind, layer, head)[:, real]  # (rows, source words)
    if kind == "encoder":  # its rows are source words: what it gives a word is the same for every target word
        weights = np.broadcast_to(weights.mean(axis=0), losses.shape)
    words = tuple(look.source.words[place] for place in real)
    return Effects(words, losses, weights, kind, layer, head)
