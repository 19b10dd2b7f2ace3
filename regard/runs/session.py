"""One process's part of a run: from a checkpoint, or the start, to the end or a signal."""

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from regard.errors import CheckpointError, DataError, Stopped
from regard.nn.layers import fast_in_bf16, multiply_in_bf16
from regard.runs.reporter import Reporter
from regard.runs.signals import stop_requests
from regard.storage import flush, storing, write_file
from regard.training import checkpoint
from regard.training.batches import ExamplesByEpoch, Position, batches_from
from regard.training.loop import Progress, train
from regard.training.loss import Losses
from regard.training.optimizer import WeightAverage, adamw, swapped
from regard.training.plan import ENDLESS, TrainingPlan


@dataclass(frozen=True)
class Learner:
    """What is trained, and what trains it."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: WeightAverage | None  # None: the last weights are validated and kept

    @classmethod
    def of(
        cls, model: nn.Module, plan: TrainingPlan, levels: Sequence[Sequence[nn.Parameter]] | None = None
    ) -> "Learner":
        """A model made ready to be trained as the plan says; `levels` as in `training.optimizer.adamw`.

        Raises:
            ConfigError: some levels would never learn.
        """
        if levels is not None:
            plan.check_levels(len(levels))
        if plan.bf16_products and fast_in_bf16():
            multiply_in_bf16(model)
        average = WeightAverage(model, plan.average_decay) if plan.average_decay else None
        return cls(model, adamw(model, plan, levels), average)


@dataclass(frozen=True)
class Validation:
    """How good a model is."""

    row: dict[str, float]  # scores by their names, "dev_loss" and so on
    decisive: str  # the one that says which model is best: more is better, but of a loss
    samples: list[tuple[str, str, str]]  # source, reference, what the model makes of it
    remark: str = ""  # a sentence for the person who waits

    def beats(self, best: Mapping[str, Any]) -> bool:
        """Whether this is better than an earlier row."""
        gain = self.row[self.decisive] - best[self.decisive]
        return gain < 0 if self.decisive == "dev_loss" else gain > 0


class Lesson(Protocol):
    """What is learnt from, how wrong a model is on a batch of it, and how good the model has become."""

    @property
    def unit(self) -> str:
        """What the loss sums over, in the plural: "tokens"."""
        ...

    @property
    def train(self) -> ExamplesByEpoch:
        """What is learnt from."""
        ...

    def loss(self, model: Any, batch: Any) -> Losses:
        """The loss of a batch, summed over its target tokens."""
        ...

    def validate(self, model: Any) -> Validation:
        """Score a model in evaluation mode on the dev set."""
        ...


@dataclass(frozen=True)
class LessonAround:
    """Another lesson, of which a subclass changes something."""

    lesson: Lesson

    @property
    def unit(self) -> str:
        return self.lesson.unit

    @property
    def train(self) -> ExamplesByEpoch:
        return self.lesson.train

    def loss(self, model: Any, batch: Any) -> Losses:
        return self.lesson.loss(model, batch)

    def validate(self, model: Any) -> Validation:
        return self.lesson.validate(model)


class Session:
    """One process's part of a run."""

    def __init__(
        self,
        folder: Path,
        plan: TrainingPlan,
        learner: Learner,
        lesson: Lesson,
        facts: Mapping[str, Any],
        reporter: Reporter,
    ):
        """Make ready to run.

        Args:
            folder: the run folder.
            facts: what a resumed run must have in common with this one; see `folder.facts_of`.
        """
        self.checkpoints, self.log_path, self.best_path = (
            folder / "checkpoints",
            folder / "metrics.jsonl",
            folder / "best.json",
        )
        self.plan, self.learner, self.lesson, self.facts, self.reporter = plan, learner, lesson, facts, reporter
        self.step, self.position = 0, Position(0, 0)
        self.best: dict[str, Any] = {}
        self.validations_without_gain = 0
        self.window = Window()
        self.elapsed_before = 0.0
        self.started = time.monotonic()

    def run(self) -> dict[str, Any]:
        """Train until a limit of the plan is reached, and return the best validation.

        Raises:
            Stopped: a signal came; a checkpoint was written.
            CheckpointError: the checkpoints belong to other data.
            TrainingError, StorageError: see `train` and `checkpoint.save`.
        """
        self._resume()
        plan = self.plan
        if plan.bf16_products and not fast_in_bf16():
            self.reporter.note(
                "this processor has no instructions for bfloat16: products are taken in float32, "
                "as with training.bf16_products=false."
            )
        if self._ended():
            self._tell_nothing_left()
        batches = batches_from(self.lesson.train, plan.batch_tokens, plan.seed, self.position)
        learner = self.learner
        with stop_requests() as stop:
            # A run that had ended, but for its model folder, must not take one more step.
            steps = (
                ()
                if self._ended()
                else train(
                    learner.model, self.lesson.loss, batches, learner.optimizer, plan, learner.average, self.step
                )
            )
            for progress in steps:
                self.step, self.position = progress.step, progress.position
                self.window.add(progress)
                self.reporter.progress(progress, self.window.tokens_per_second(), self.lesson.unit, plan, self.elapsed)
                if self.step % plan.log_every == 0:
                    self._log({**self.window.row(progress), "epoch": self.position.epoch})
                    self.window = Window()
                last = self._ended()
                validated = self.step % plan.validate_every == 0 or last
                if validated:
                    self._validate()
                    last = last or self._ended()  # patience may be used up
                if validated or self.step % plan.save_every == 0 or stop.number:
                    self._save()
                if stop.number:
                    raise Stopped(stop.number, f"saved at step {self.step:,}; the same command goes on from there.")
                if last:
                    self._tell_end()
                    break
        if not self.best and self.step:  # the checkpoint of the best model was lost
            self._validate()
        if not self.best:
            raise DataError("the run ended before its first validation: there is no model to keep.")
        return self.best

    @property
    def elapsed(self) -> float:
        """Seconds spent on this run, earlier processes included."""
        return self.elapsed_before + time.monotonic() - self.started

    def _ended(self) -> bool:
        return bool(self._limit())

    def _limit(self) -> str:
        """The setting of the plan that ends the run here; "" where none does."""
        plan = self.plan
        limits = {
            "max_steps": self.step >= plan.max_steps,
            "max_epochs": 0 < plan.max_epochs <= self.position.epoch,
            "patience": 0 < plan.patience <= self.validations_without_gain,
            # At least one step is taken, however long getting ready took: without any there is no model to keep.
            "max_minutes": self.step > 0 and 0 < plan.max_minutes * 60 <= self.elapsed,
        }
        return next((name for name, reached in limits.items() if reached), "")

    def _tell_nothing_left(self) -> None:
        plan, limit = self.plan, self._limit()
        why = "" if limit == "max_steps" else f" (training.{limit} is reached)"
        longer = ""
        if limit == "max_steps" and plan.schedule in ENDLESS:  # the usual warm-up may be a share of them
            longer = (
                " To train longer, give the same command with a larger training.max_steps, "
                f"and training.warmup_steps={plan.warmup_steps} as before."
            )
        self.reporter.note(f"already at step {self.step:,} of {plan.max_steps:,}: nothing left to train{why}.{longer}")

    def _tell_end(self) -> None:
        """Say why no more steps are taken, where the steps and epochs that were asked for do not say it."""
        plan, limit = self.plan, self._limit()
        at = f"step {self.step:,} of {plan.max_steps:,}"
        if limit == "patience":
            self.reporter.note(
                f"stopped: {plan.patience} validations without a better dev score ({at}). "
                "To train longer, raise training.patience and give the same command."
            )
        elif limit == "max_minutes":
            self.reporter.note(
                f"stopped: {plan.max_minutes:g} minutes are over ({at}). "
                "To train longer, raise training.max_minutes and give the same command."
            )

    def _validate(self) -> None:
        began = time.monotonic()
        with swapped(self.learner.model, self.learner.average):
            self.learner.model.eval()
            found = self.lesson.validate(self.learner.model)
        row = {"step": self.step, **found.row}
        is_best = not self.best or found.beats(self.best)
        if is_best:
            self.best, self.validations_without_gain = row, 0
        else:
            self.validations_without_gain += 1
        samples = [{"source": source, "translation": output} for source, _, output in found.samples]
        self._log(
            {
                **row,
                "samples": samples,
                "time": {"validation_seconds": time.monotonic() - began, "elapsed_seconds": self.elapsed},
            }
        )
        self.reporter.validation(row, found.samples, is_best)
        if found.remark:
            self.reporter.note(found.remark)

    def _save(self) -> None:
        state = {
            "position": list(self.position),
            "best": self.best,
            "validations_without_gain": self.validations_without_gain,
            "window": self.window.state(),
            "facts": self.facts,
            "time": {"elapsed_seconds": self.elapsed},
        }
        learner = self.learner
        checkpoint.save(self.checkpoints, self.step, state, learner.model, learner.optimizer, learner.average)
        best_step = self.best.get("step", 0)
        if self.best:
            write_file(self.best_path, json.dumps(self.best, indent=1).encode())
        # Later ones were damaged and passed over: they must not push out those that can be read.
        old = [step for step in checkpoint.steps(self.checkpoints) if step != best_step and step <= self.step]
        for step in old[: -self.plan.keep_checkpoints]:
            checkpoint.remove(checkpoint.folder_of(self.checkpoints, step))

    def _resume(self) -> None:
        checkpoint.sweep(self.checkpoints)
        newest, warnings = checkpoint.newest(self.checkpoints)
        for warning in warnings:
            self.reporter.note(warning)
        if newest is None:
            if (warnings or self.best_path.exists()) and self.log_path.exists():
                kept = self.log_path.with_name("metrics.old.jsonl")
                self.log_path.replace(kept)
                self.reporter.note(f"no complete checkpoint is left: beginning anew; the log so far is {kept.name}.")
            self.best_path.unlink(missing_ok=True)
            self._cut_log(0)
            return
        state = checkpoint.read_state(newest)
        facts = state["facts"]
        for key, what in (("data", "training data"), ("dev", "dev data"), ("old_dev", "old dev data")):
            if facts.get(key, "") != self.facts[key]:
                raise CheckpointError(
                    f"{newest}: was trained with other {what} (their sha256 differs). "
                    "Put the old files back to go on, or use another --out."
                )
        ours = self.facts["short_tokens"]
        if (before := facts.get("short_tokens", ours)) != ours:  # older checkpoints do not say
            raise CheckpointError(
                f"{newest}: read {before:,} tokens in short stretches before all else, and was now to read {ours:,}: "
                "the text would come in another order. training.max_epochs, given or not, and training.max_steps "
                "decide it: use them as before to go on, or another --out."
            )
        for key in ("versions", "threads"):
            if facts[key] != self.facts[key]:
                self.reporter.note(
                    f"{key} were {facts[key]} and are now {self.facts[key]}: "
                    "from here on numbers may differ in the last bits."
                )
        checkpoint.restore(newest, self.learner.model, self.learner.optimizer, self.learner.average)
        self.step, self.position = state["step"], Position(*state["position"])
        self.best, self.validations_without_gain = state["best"], state["validations_without_gain"]
        if self.best and not checkpoint.is_complete(best := checkpoint.folder_of(self.checkpoints, self.best["step"])):
            self.reporter.note(
                f"{best}: the best model so far is incomplete or damaged; the best from here on is kept."
            )
            self.best, self.validations_without_gain = {}, 0
        self.window = Window(**state["window"])
        self.elapsed_before = state["time"]["elapsed_seconds"]
        self._cut_log(self.step)
        self.reporter.note(f"going on from {newest.name}")

    def _log(self, row: Mapping[str, Any]) -> None:
        with storing(self.log_path, "Checkpoints are intact; make room, then run the same command again."):
            with self.log_path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            flush(self.log_path)  # a checkpoint that follows must not outlive these lines

    def _cut_log(self, step: int) -> None:
        """Drop what the log says of steps after the checkpoint, and a line that was cut short."""
        log = self.log_path
        if not log.exists():
            return
        kept = []
        for line in log.read_bytes().split(b"\n"):
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and row.get("step", step + 1) <= step:
                kept.append(line + b"\n")
        write_file(log, b"".join(kept))


@dataclass
class Window:
    """Sums over the steps since the last line of the log."""

    steps: int = 0
    target_tokens: int = 0
    loss: float = 0.0  # times target tokens
    negative_log_likelihood: float = 0.0
    largest_gradient_norm: float = 0.0

    def __post_init__(self) -> None:
        self.began = time.monotonic()
        self.tokens_here = 0  # by this process

    def add(self, progress: Progress) -> None:
        self.steps += 1
        self.target_tokens += progress.target_tokens
        self.tokens_here += progress.target_tokens
        self.loss += progress.loss * progress.target_tokens
        self.negative_log_likelihood += progress.negative_log_likelihood * progress.target_tokens
        self.largest_gradient_norm = max(self.largest_gradient_norm, progress.gradient_norm)

    def tokens_per_second(self) -> float:
        return self.tokens_here / max(time.monotonic() - self.began, 1e-9)

    def row(self, progress: Progress) -> dict[str, Any]:
        return {
            "step": progress.step,
            "loss": self.loss / self.target_tokens,
            "negative_log_likelihood": self.negative_log_likelihood / self.target_tokens,
            "largest_gradient_norm": self.largest_gradient_norm,
            "learning_rate": progress.learning_rate,
            "target_tokens": self.target_tokens,
            "time": {"tokens_per_second": round(self.tokens_per_second(), 1)},
        }

    def state(self) -> dict[str, Any]:
        return dataclasses.asdict(self)
