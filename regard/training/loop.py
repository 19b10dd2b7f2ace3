"""The training loop: a generator of steps. The caller prints, validates, saves, and stops by not asking for more."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

from regard.errors import TrainingError
from regard.training.batches import Position
from regard.training.loss import Losses
from regard.training.optimizer import WeightAverage
from regard.training.plan import TrainingPlan


class AnyBatch(Protocol):
    """What the loop asks of a batch: how many tokens (or labels) its loss sums over."""

    @property
    def target_tokens(self) -> int: ...


LossOf = Callable[[Any, Any], Losses]  # of a model on a batch, summed over its target tokens


@dataclass(frozen=True)
class Progress:
    """One optimizer step that has been taken."""

    step: int  # from 1
    position: Position  # of the next batch
    loss: float  # nats a target token, with label smoothing where there is any
    negative_log_likelihood: float  # nats a target token, without
    gradient_norm: float  # before clipping
    learning_rate: float
    target_tokens: int


def train(
    model: nn.Module,
    loss_of: LossOf,
    batches: Iterator[tuple[AnyBatch, Position]],
    optimizer: torch.optim.Optimizer,
    plan: TrainingPlan,
    average: WeightAverage | None = None,
    first_step: int = 0,
) -> Iterator[Progress]:
    """Take optimizer steps one by one, yielding a `Progress` after each.

    Args:
        loss_of: what is minimised; it sums over tokens.
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
            group["lr"] = plan.learning_rate_at(step, group.get("depth", 0))
            for parameter in group["params"] if plan.unfreeze_steps else ():
                parameter.requires_grad_(group["lr"] > 0)  # what does not learn yet costs no gradient
        parts = [next(batches) for _ in range(plan.batches_per_step)]
        # Per target token of the whole step, so how it was cut into batches does not matter.
        target_tokens = sum(batch.target_tokens for batch, _ in parts)
        loss = likelihood = 0.0
        for number, (batch, _) in enumerate(parts):
            # Dropout is a function of (seed, step, micro-batch): no random state needs saving.
            torch.manual_seed(dropout_seed(plan.seed, step, number))
            losses = loss_of(model, batch)
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
