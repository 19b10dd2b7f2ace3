"""The training loop: a generator of steps. The caller prints, validates, saves, and stops by not asking for more."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.nn.utils import clip_grad_norm_

from regard.errors import TrainingError
from regard.models.protocol import Seq2Seq
from regard.training.batches import Batch, Position
from regard.training.loss import translation_loss
from regard.training.optimizer import WeightAverage
from regard.training.plan import TrainingPlan


@dataclass(frozen=True)
class Progress:
    """One optimizer step that has been taken."""

    step: int  # from 1
    position: Position  # of the next batch
    loss: float  # nats a target token, with label smoothing
    negative_log_likelihood: float  # nats a target token, without
    gradient_norm: float  # before clipping
    learning_rate: float
    target_tokens: int


def train(
    model: Seq2Seq,
    batches: Iterator[tuple[Batch, Position]],
    optimizer: torch.optim.Optimizer,
    plan: TrainingPlan,
    average: WeightAverage | None = None,
    first_step: int = 0,
) -> Iterator[Progress]:
    """Take optimizer steps one by one, yielding a `Progress` after each.

    Args:
        batches: from the position that belongs to `first_step`.
        average: takes in the weights after each step.
        first_step: steps taken before, in an interrupted run.

    Raises:
        TrainingError: the gradient is not finite; the weights are still those of the step before.
    """
    for step in range(first_step, plan.max_steps):
        model.train()  # the caller may have evaluated since the last step
        learning_rate = plan.learning_rate_at(step)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        parts = [next(batches) for _ in range(plan.batches_per_step)]
        # Per target token of the whole step, so how it was cut into batches does not matter.
        target_tokens = sum(batch.target_tokens for batch, _ in parts)
        loss = likelihood = 0.0
        for number, (batch, _) in enumerate(parts):
            # Dropout is a function of (seed, step, micro-batch): no random state needs saving.
            torch.manual_seed(dropout_seed(plan.seed, step, number))
            losses = translation_loss(model, batch, label_smoothing=plan.label_smoothing)
            (losses.loss / target_tokens).backward()
            loss += losses.loss.item() / target_tokens
            likelihood += losses.negative_log_likelihood.item() / target_tokens
        gradient_norm = clip_grad_norm_(model.parameters(), plan.clip_norm or math.inf).item()
        if not (math.isfinite(gradient_norm) and math.isfinite(loss)):
            optimizer.zero_grad()
            raise TrainingError(
                f"step {step + 1}: loss is {loss} and gradient norm {gradient_norm}; weights are unchanged. "
                f"Lower training.learning_rate (now {learning_rate:g}) or inspect the data."
            )
        optimizer.step()
        optimizer.zero_grad()
        if average is not None:
            average.update(model, step + 1)
        yield Progress(step + 1, parts[-1][1], loss, likelihood, gradient_norm, learning_rate, target_tokens)


def dropout_seed(seed: int, step: int, micro_batch: int) -> int:
    """One 63-bit seed from three integers, by multiplication with odd constants (Steele et al. 2014, SplitMix)."""
    mixed = seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + micro_batch * 0x94D049BB133111EB
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & (2**64 - 1)
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & (2**64 - 1)
    return (mixed ^ (mixed >> 31)) & (2**63 - 1)
