"""Who hears what happens in a run."""

from collections.abc import Mapping, Sequence
from typing import Any

from regard.training.loop import Progress
from regard.training.plan import TrainingPlan

_SCORES = {  # as rows of a validation call them, and as people do
    "chrf": "chrF",
    "bleu": "BLEU",
    "entity_f1": "entity F1",
    "accuracy": "accuracy",
    "next_accuracy": "next sentences",  # of pairs, in how many it is known whether one follows the other
    "f1": "F1",
    "matthews": "Matthews",
    "spearman": "Spearman",
    "pearson": "Pearson",
    "loss": "loss",
    "perplexity": "perplexity",
}


class Reporter:
    """Hears what happens in a run. This one says nothing; the command line's shows it."""

    def note(self, text: str) -> None:
        """A sentence for the person who waits."""

    def progress(self, progress: Progress, rate: float, unit: str, plan: TrainingPlan, elapsed: float) -> None:
        """An optimizer step was taken; the rate is that of target tokens, or what else the unit says, in a second."""

    def validation(self, row: Mapping[str, Any], samples: Sequence[tuple[str, str, str]], is_best: bool) -> None:
        """The dev set was scored; samples are (source, reference, translation)."""


def told_scores(row: Mapping[str, Any], prefix: str) -> list[str]:
    """The scores of a validation that people know by name, the one that decides first.

    Args:
        prefix: which dev set, "dev_" or "old_".
    """
    return [told_score(name, row[prefix + name]) for name in _SCORES if prefix + name in row]


def listed_scores(row: Mapping[str, Any]) -> str:
    """All scores on the dev set by the names that rows give them, with commas."""
    return ", ".join(f"{key[4:]} {value:.4g}" for key, value in row.items() if key.startswith("dev_"))


def told_score(name: str, value: float) -> str:
    """A score as people read it: "chrF 45.6"."""
    return f"{_SCORES[name]} {value:.3f}" if name == "loss" else f"{_SCORES[name]} {value:,.1f}"
