"""Correlation of two rows of numbers."""

from collections.abc import Sequence

import numpy as np

Numbers = Sequence[float] | np.ndarray


def pearson(first: Numbers, second: Numbers) -> float:
    """Pearson's correlation coefficient; NaN where either side is constant or empty."""
    a, b = (np.asarray(values, dtype=np.float64) for values in (first, second))
    if not len(a) or (a == a[0]).all() or (b == b[0]).all():  # their mean need not be the constant, by rounding
        return float("nan")
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / scale if scale else float("nan")


def spearman(first: Numbers, second: Numbers) -> float:
    """Rank correlation: Pearson's of the ranks, equal values sharing the mean of theirs."""
    return pearson(_ranks(np.asarray(first, dtype=np.float64)), _ranks(np.asarray(second, dtype=np.float64)))


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse]
