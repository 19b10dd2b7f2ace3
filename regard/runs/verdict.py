"""Whether pre-training works, in words: its loss against that of guessing by frequency."""

import math

import numpy as np

from regard.data.corpus import Corpus
from regard.training.plan import TrainingPlan

_AT_ONCE = 1 << 22  # ids that are counted together, so that memory stays bounded
_STUCK_SHARE = 0.97  # of the loss of guessing by frequency: above, nothing but frequencies has been learnt
_UNORDERED_SHARE = 0.8  # of that loss: above, a model to which the order of words tells nothing is far from its end
_ORDER_GAIN = 0.05  # nats a token that the order of words tells at least, once a model reads it


def unigram_loss(corpus: Corpus, labels: np.ndarray, vocab_size: int) -> float:
    """Nats a label, for who guesses by how often tokens occur in a corpus (one more of each)."""
    counts = np.ones(vocab_size)
    # Most documents follow one another: counted one by one, short ones would cost a vocabulary's length each.
    firsts, ends = corpus.spans.T
    breaks = np.flatnonzero(firsts[1:] != ends[:-1]) + 1
    for first, end in zip(firsts[np.r_[0, breaks]], ends[np.r_[breaks - 1, -1]], strict=True):
        for start in range(first, end, _AT_ONCE):
            counts += np.bincount(corpus.ids[start : min(start + _AT_ONCE, end)], minlength=vocab_size)
    return float((math.log(counts.sum()) - np.log(counts))[labels].mean())


def verdict(
    loss: float, by_frequency: float, plan: TrainingPlan, achieved: str, order_gain: float | None = None
) -> str:
    """A sentence for the person who waits.

    Args:
        loss, by_frequency: nats a token.
        achieved: what else can be said of a model that learns.
        order_gain: nats a token that the order of words tells; None: it was not tried.
    """
    if loss > _STUCK_SHARE * by_frequency:
        return (
            f"it guesses no better than by how often words occur ({by_frequency:.2f} nats). That is how every run "
            f"begins; if it stays so for some thousand steps, change training.learning_rate (now "
            f"{plan.learning_rate:g}), by a third first, or lengthen training.warmup_steps."
        )
    if order_gain is not None and order_gain < _ORDER_GAIN and loss > _UNORDERED_SHARE * by_frequency:
        return (
            f"it guesses by which words a text has ({by_frequency - loss:.2f} nats better than by frequency), not yet "
            "by their order. Once it finds a word's neighbours the loss falls fast; if it stays so for some thousand "
            f"steps, begin again with half the training.learning_rate (now {plan.learning_rate:g}), or with more of "
            "model.short_share."
        )
    return f"it learns: {by_frequency - loss:.2f} nats better than guessing by frequency, {achieved}."
