"""How good labels are: accuracy, F1 and Matthews' correlation of classes, F1 of entities, correlations of numbers.

All scores are in percent; their 95 % intervals come from a bootstrap over texts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from regard.evaluation.correlation import pearson, spearman

RESAMPLES = 1_000


@dataclass(frozen=True)
class LabelScore:
    """One number, 0 to 100 (correlations: -100 to 100), and the middle 95 % of its bootstrap, if one was asked for."""

    name: str  # for people
    value: float
    low: float | None
    high: float | None

    @property
    def interval(self) -> str:
        """For people; "" where there is none."""
        return "" if self.low is None or self.high is None else f"[{self.low:.1f}, {self.high:.1f}]"


Scores = dict[str, LabelScore]  # by key: "accuracy", "f1" and so on


def classes(gold: np.ndarray, predicted: np.ndarray, labels: Sequence[str], *, resamples: int = RESAMPLES) -> Scores:
    """Accuracy, F1 and Matthews' correlation coefficient (for several classes: Gorodkin 2004).

    F1 is that of the last label where there are two, as in GLUE, and the mean over labels ("macro") where there are
    more; a label that is neither in the texts nor predicted is left out, in resamples too.

    Args:
        gold, predicted: (texts,), numbers of labels.
    """
    size = len(labels)

    def of(rows: np.ndarray) -> list[float]:
        return _class_scores(np.bincount(gold[rows] * size + predicted[rows], minlength=size**2).reshape(size, size))

    f1 = f"F1 ({labels[-1]})" if size == 2 else "F1 (macro)"
    return _scored({"accuracy": "accuracy", "f1": f1, "matthews": "Matthews"}, of, len(gold), resamples)


def numbers(gold: np.ndarray, predicted: np.ndarray, *, resamples: int = RESAMPLES) -> Scores:
    """Pearson's and Spearman's correlation; 0 where either side is constant."""

    def of(rows: np.ndarray) -> list[float]:
        a, b = gold[rows], predicted[rows]
        return [100 * float(np.nan_to_num(value)) for value in (pearson(a, b), spearman(a, b))]

    return _scored({"pearson": "Pearson", "spearman": "Spearman"}, of, len(gold), resamples)


def tags(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], *, resamples: int = RESAMPLES) -> Scores:
    """F1, precision and recall of entities (exact borders and kind), and the accuracy of single tags."""
    counts = np.zeros((len(gold), 5), dtype=np.int64)  # found, predicted and gold entities; right and all tags
    for row, (wanted, got) in enumerate(zip(gold, predicted, strict=True)):
        a, b = set(entities(wanted)), set(entities(got))
        counts[row] = len(a & b), len(b), len(a), sum(map(str.__eq__, wanted, got)), len(wanted)

    def of(rows: np.ndarray) -> list[float]:
        right, guessed, real, right_tags, all_tags = counts[rows].sum(axis=0).tolist()
        return [
            100 * value
            for value in (
                _ratio(2 * right, guessed + real),
                _ratio(right, guessed),
                _ratio(right, real),
                _ratio(right_tags, all_tags),
            )
        ]

    names = {"entity_f1": "entity F1", "precision": "precision", "recall": "recall", "accuracy": "tag accuracy"}
    return _scored(names, of, len(gold), resamples)


def entities(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """Kind, first and end (words) of each entity that tags of the schemes BIO or BIOES mark.

    As conlleval reads them: an "I-X" that continues no X begins one. The kind may be missing ("B", "I"); a tag of no
    scheme, such as a part of speech, is an entity of one word.
    """
    found: list[tuple[str, int, int]] = []
    kind: str | None = None
    first = 0
    for place, tag in enumerate([*tags, "O"]):
        mark, dash, name = tag.partition("-")
        if not dash and mark not in ("B", "I", "E", "M", "S", "O", ""):
            mark, name = "S", tag
        inside = mark in ("I", "E", "M") and name == kind
        if kind is not None and not inside:
            found.append((kind, first, place))
            kind = None
        if not inside and mark not in ("O", ""):
            kind, first = name, place
        if kind is not None and mark in ("E", "S"):
            found.append((kind, first, place + 1))
            kind = None
    return found


def _class_scores(confusion: np.ndarray) -> list[float]:
    """From texts by (gold, predicted)."""
    total = confusion.sum()
    right = np.diag(confusion)
    gold, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    f1 = [_ratio(2 * hits, a + b) for hits, a, b in zip(right, gold, predicted, strict=True)]
    covariance = right.sum() * total - float(gold @ predicted)
    spread = (float(total) ** 2 - float(predicted @ predicted)) * (float(total) ** 2 - float(gold @ gold))
    matthews = covariance / spread**0.5 if spread else 0.0
    known = [value for value in f1 if not np.isnan(value)]
    return [100 * right.sum() / total, 100 * (f1[-1] if len(f1) == 2 else float(np.mean(known))), 100 * matthews]


def _scored(names: dict[str, str], of: Callable[[np.ndarray], list[float]], count: int, resamples: int) -> Scores:
    """Scores and their intervals; what a resample leaves undefined (F1 of what is neither there nor predicted: NaN)
    says nothing of an interval, and what all texts leave undefined is 0."""
    values = np.nan_to_num(of(np.arange(count)))
    bounds: list[tuple[float | None, float | None]] = [(None, None)] * len(values)
    if resamples:
        generator = np.random.default_rng(0)
        drawn = np.array([of(generator.integers(count, size=count)) for _ in range(resamples)])
        drawn[:, np.isnan(drawn).all(axis=0)] = 0
        bounds = [(float(low), float(high)) for low, high in np.nanquantile(drawn, [0.025, 0.975], axis=0).T]
    return {
        key: LabelScore(name, float(value), *bound)
        for (key, name), value, bound in zip(names.items(), values, bounds, strict=True)
    }


def _ratio(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else float("nan")
