"""Who hears what happens in a run."""

from collections.abc import Mapping, Sequence
from typing import Any

from regard.training.loop import Progress
from regard.training.plan import TrainingPlan


class Reporter:
    """Hears what happens in a run. This one says nothing; the command line's shows it."""

    def note(self, text: str) -> None:
        """A sentence for the person who waits."""

    def progress(self, progress: Progress, rate: float, unit: str, plan: TrainingPlan, elapsed: float) -> None:
        """An optimizer step was taken; the rate is that of target tokens, or what else the unit says, in a second."""

    def validation(self, row: Mapping[str, Any], samples: Sequence[tuple[str, str, str]], is_best: bool) -> None:
        """The dev set was scored; samples are (source, reference, translation)."""
