"""A model that goes on learning: what it gains on the new dev set, and what it loses on the old one."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from regard.runs.folder import BEFORE_FILE
from regard.runs.reporter import Reporter, told_score, told_scores
from regard.runs.session import Lesson, LessonAround, Validation
from regard.storage import write_file


@dataclass(frozen=True)
class ContinuedLesson(LessonAround):
    """Another lesson, for a model that has learnt before: what it could do then is scored beside what it learns."""

    old: Lesson  # of the old dev set: only its scores count, as "old_loss" and so on

    def validate(self, model: Any) -> Validation:
        """The new dev set decides, for it is what the run is for."""
        found, old = self.lesson.validate(model), self.old.validate(model).row
        renamed = {f"old_{name.removeprefix('dev_')}": value for name, value in old.items()}
        return dataclasses.replace(found, row={**found.row, **renamed})


def score_before(
    folder: Path, lesson: ContinuedLesson, base: nn.Module, facts: Mapping[str, Any], reporter: Reporter
) -> dict[str, float]:
    """How good the base is on both dev sets: scored once in a run, and kept in its folder.

    Args:
        folder: the run folder.
        base: before any step; an interrupted run restores its own weights later.
        facts: of the run; see `runs.folder.facts_of`.

    Raises:
        StorageError: the disk refused.
    """
    path, data = folder / BEFORE_FILE, {key: facts[key] for key in ("dev", "old_dev")}
    try:
        kept = json.loads(path.read_bytes())
        if kept["data"] == data:
            return kept["scores"]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # the base is here: what cannot be read is scored again
    base.eval()
    scores = lesson.validate(base).row
    new, old = ("  ".join(told_scores(scores, prefix)) for prefix in ("dev_", "old_"))
    reporter.note(f"before: dev {new}; old dev {old}")
    write_file(path, json.dumps({"data": data, "scores": scores}, indent=1).encode())
    return scores


def balance(before: Mapping[str, float], best: Mapping[str, Any], metric: str) -> str:
    """A line on what was gained and what was lost.

    Args:
        before, best: rows of a `ContinuedLesson`.
        metric: the one that decides, "chrf" or "loss" or another.
    """
    sets = (("new dev", f"dev_{metric}"), ("old dev", f"old_{metric}"))
    return "; ".join(f"{name}: {_change(metric, before[key], best[key])}" for name, key in sets)


def _change(metric: str, before: float, after: float) -> str:
    digits = 3 if metric == "loss" else 1
    gain = round(before - after if metric == "loss" else after - before, digits)
    verdict = f"{abs(gain):.{digits}f} {'gained' if gain > 0 else 'lost'}" if gain else "unchanged"
    return f"{told_score(metric, before)} → {after:.{digits}f}, {verdict}"
