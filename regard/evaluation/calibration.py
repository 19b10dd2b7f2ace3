"""Whether probabilities are to be believed: temperature scaling and the calibration error (Guo et al. 2017)."""

import numpy as np

_BINS = 15
_LARGEST = 20.0  # temperatures are sought between this and its inverse
_STEPS = 60  # of a search that shrinks by the golden ratio: far below a thousandth


def temperature(logits: np.ndarray, gold: np.ndarray) -> float:
    """The number by which logits are to be divided for the labels to be likeliest.

    Args:
        logits: (texts, labels).
        gold: (texts,), numbers of labels.
    """
    low, high = -np.log(_LARGEST), np.log(_LARGEST)  # the loss has one valley in the inverse temperature
    ratio = (5**0.5 - 1) / 2
    for _ in range(_STEPS):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if _loss(logits, gold, left) < _loss(logits, gold, right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def calibration_error(logits: np.ndarray, gold: np.ndarray, temperature: float = 1.0) -> float:
    """How far the probability of the predicted label is from the share of right ones, in percent.

    The mean over 15 equal bins of probability, weighted by how many texts are in each.
    """
    shares = np.exp(log_softmax(logits / temperature))
    best, sure = shares.argmax(axis=1), shares.max(axis=1)
    bins = np.minimum((sure * _BINS).astype(np.int64), _BINS - 1)
    gap = np.bincount(bins, weights=(best == gold) - sure, minlength=_BINS)
    return 100 * float(np.abs(gap).sum()) / len(gold)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _loss(logits: np.ndarray, gold: np.ndarray, log_temperature: float) -> float:
    return -float(log_softmax(logits / np.exp(log_temperature))[np.arange(len(gold)), gold].mean())
