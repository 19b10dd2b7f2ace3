"""How a run shows itself: a live line on a terminal, one plain line at intervals elsewhere."""

import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from regard.look.terminal import visible
from regard.runs.reporter import Reporter, told_scores
from regard.runs.settings import Settings
from regard.training.loop import Progress
from regard.training.plan import TrainingPlan

_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_INTERVAL_SECONDS = 15.0
_SAMPLE_CHARACTERS = 200  # of a text shown at a validation


class ConsoleReporter(Reporter):
    """Writes to stderr. Use as a context manager around the run."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.live: Live | None = None
        self.last_plain = 0.0
        self.step = 0
        self.dev = ""
        self.began = (1.0, 0.0)  # share of the plan done and seconds spent, when this process began

    def __enter__(self) -> "ConsoleReporter":
        if self.console.is_terminal:
            self.live = Live(console=self.console, refresh_per_second=4, transient=True)
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None

    def note(self, text: str) -> None:
        self.console.print(Text("  " + text))

    def settings(self, settings: Settings) -> None:
        """Say what sizes the run has, for they may have been chosen for it."""
        sizes = {
            key: value
            for key, value in settings.model.items()
            if key.endswith(("_size", "_layers", "_heads")) and value
        }
        shown = ", ".join(f"{key} {value}" for key, value in sizes.items())
        self.note(
            f"{settings.arch}: {shown}, dropout {settings.model['dropout']}; vocabulary {settings.tokens.vocab_size:,}"
        )

    def progress(self, progress: Progress, rate: float, unit: str, plan: TrainingPlan, elapsed: float) -> None:
        if progress.step <= self.step:  # of another run, which follows
            self.dev, self.began = "", (1.0, 0.0)
        self.step = progress.step
        now = time.monotonic()
        if self.live is None and now - self.last_plain < _PLAIN_INTERVAL_SECONDS:
            return
        self.last_plain = now
        share = _done(progress, plan, elapsed)
        self.began = min(self.began, (share, elapsed))
        left = _time_left(share - self.began[0], 1 - share, elapsed - self.began[1])
        line = (
            f"  step {progress.step:,}  {_bar(share)}  "
            f"loss {progress.negative_log_likelihood:.3f}  {rate:,.0f} {unit}/s"
        )
        line += f"  {self.dev}" if self.dev else ""
        line += f"  about {left} left" if left else ""
        if self.live is not None:
            self.live.update(Text(line))
        else:
            print(line, file=sys.stderr, flush=True)

    def validation(self, row: Mapping[str, Any], samples: Sequence[tuple[str, str, str]], is_best: bool) -> None:
        scores, old = told_scores(row, "dev_"), told_scores(row, "old_")
        self.dev = f"dev {scores[0]}"
        self.note(f"step {row['step']:,}  dev {'  '.join(scores)}{'  (best)' if is_best else ''}")
        if old:
            self.note(f"    old dev {'  '.join(old)}")
        for source, _, output in samples:
            self.note(f"    {_shortened(source)}  →  {_shortened(output)}")  # a young model may write any character


class Bars:
    """Several trainings at once, a bar each; plain lines at intervals where there is no terminal."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.live = Live(console=self.console, refresh_per_second=4, transient=True)
        self.began = self.last_plain = time.monotonic()

    def __enter__(self) -> "Bars":
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()

    def show(self, shares: Mapping[str, float]) -> None:
        """Which share of its training each has done, 0 to 1."""
        now = time.monotonic()
        if self.console.is_terminal:
            lines = [f"  {name:<12} {_bar(share, 24)} {100 * share:3.0f} %" for name, share in shares.items()]
            self.live.update(Text("\n".join([*lines, f"  {now - self.began:.0f} s"])))
        elif now - self.last_plain >= _PLAIN_INTERVAL_SECONDS:
            self.last_plain = now
            line = "   ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
            print(f"  {now - self.began:.0f} s   {line}", file=sys.stderr, flush=True)


def _shortened(text: str) -> str:
    return visible(text if len(text) <= _SAMPLE_CHARACTERS else text[: _SAMPLE_CHARACTERS - 1] + "…")


def _done(progress: Progress, plan: TrainingPlan, elapsed: float) -> float:
    """The share of the plan that is done, by whichever limit is nearer."""
    shares = [progress.step / plan.max_steps]
    if plan.max_minutes:
        shares.append(elapsed / (plan.max_minutes * 60))
    if plan.max_epochs:
        shares.append(progress.position.epoch / plan.max_epochs)
    return min(max(shares), 1.0)


def _bar(share: float, width: int = 10) -> str:
    eighths = round(share * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_BARS[rest - 1] if rest else "")).ljust(width, "·")


def _time_left(done: float, left: float, seconds: float) -> str:
    """How long the rest takes at the pace of what this process has done; both are shares of the plan."""
    if done <= 0 or seconds < 5:
        return ""
    seconds = seconds / done * left
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
