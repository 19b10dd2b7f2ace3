"""What a training run is asked to do: every setting of the `[training]` table."""

import math
from dataclasses import dataclass
from typing import Literal

from regard.errors import ConfigError

Schedule = Literal["inverse_sqrt", "cosine", "linear", "constant"]
ENDLESS: tuple[Schedule, ...] = ("inverse_sqrt", "constant")  # rates that do not look at max_steps
DevMetric = Literal["chrf", "bleu", "accuracy", "f1", "matthews", "entity_f1", "pearson", "spearman", "loss"]


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Settings of a training run. The run ends at the first of max_steps, max_epochs, max_minutes and patience."""

    max_steps: int = 20_000  # optimizer steps
    max_epochs: int = 0  # passes over the data; 0: no limit
    max_minutes: float = 0.0  # time spent in training and validation, over all resumptions; 0: no limit
    batch_tokens: int = 3_500  # padded target tokens in a batch, at most
    batches_per_step: int = 1  # batches whose gradients add up to one step
    learning_rate: float = 0.002  # the highest one, reached at the end of the warm-up
    schedule: Schedule = "inverse_sqrt"  # after the warm-up; cosine and linear fall to 0 at max_steps
    warmup_steps: int = 1_000  # in which the rate rises from nothing
    beta1: float = 0.9  # Adam's, as in Vaswani et al. 2017, section 5.3
    beta2: float = 0.98
    epsilon: float = 1e-9
    weight_decay: float = 0.0  # of matrices, decoupled (Loshchilov and Hutter 2019)
    layer_decay: float = 1.0  # an encoder's layer learns at this share of the rate of the one above (Clark et al. 2020)
    unfreeze_steps: int = 0  # an encoder's layers begin to learn one by one, from the top, after so many steps each
    clip_norm: float = 1.0  # gradients are scaled down to this norm; 0: never
    label_smoothing: float = 0.1  # probability that is taken from the right answer and shared among all
    bf16_products: bool = False  # matrix products in bfloat16 where the processor is fast at them, all else in float32
    average_decay: float = 0.999  # of the running average of weights that is validated and kept; 0: no average
    log_every: int = 100  # steps
    validate_every: int = 500  # steps; a checkpoint follows each validation
    save_every: int = 500  # steps
    keep_checkpoints: int = 2  # newest ones, besides the best
    patience: int = 0  # validations without a better dev score after which to stop; 0: never
    dev_metric: DevMetric = "chrf"  # what "best" means; a task knows some of them
    dev_beam_size: int = 1  # beam search at validation; 1: greedy
    seed: int = 1  # of first weights, order of the data, dropout and what is held out
    threads: int = 0  # torch threads; 0: as many as torch chooses
    guided_alignment: float | None = None  # weight of the loss of a head that is taught data.alignments

    def __post_init__(self) -> None:
        for name in ("max_steps", "batch_tokens", "batches_per_step", "log_every", "validate_every", "save_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"training.{name} must be at least 1, got {getattr(self, name)}")
        not_negative = ("max_epochs", "max_minutes", "warmup_steps", "clip_norm", "patience", "threads", "weight_decay")
        for name in (*not_negative, "unfreeze_steps", "seed"):
            if not getattr(self, name) >= 0:  # nan neither
                raise ConfigError(f"training.{name} must not be negative, got {getattr(self, name)}")
        if self.keep_checkpoints < 1 or self.dev_beam_size < 1:
            raise ConfigError("training.keep_checkpoints and training.dev_beam_size must be at least 1")
        for name in ("learning_rate", "epsilon"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"training.{name} must be above 0 and finite, got {getattr(self, name)}")
        if not 0 < self.layer_decay <= 1:
            raise ConfigError(f"training.layer_decay must be above 0 and at most 1, got {self.layer_decay}")
        if self.seed >= 2**63:
            raise ConfigError(f"training.seed must be below 2**63, got {self.seed}")
        if self.guided_alignment is not None and not 0 < self.guided_alignment < math.inf:
            raise ConfigError(f"training.guided_alignment must be above 0 and finite, got {self.guided_alignment}")
        for name in ("label_smoothing", "average_decay", "beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"training.{name} must be at least 0 and below 1, got {getattr(self, name)}")

    def check_levels(self, count: int) -> None:
        """Refuse to unfreeze a model with so many levels so slowly that the run ends before all of them learn.

        Raises:
            ConfigError: with the greatest number of steps that would do.
        """
        begins = (count - 1) * self.unfreeze_steps
        if begins and begins >= self.max_steps:
            most = (self.max_steps - 1) // (count - 1)
            raise ConfigError(
                f"training.unfreeze_steps is {self.unfreeze_steps:,}: the lowest of the {count} levels would begin to "
                f"learn after {begins:,} steps, and the run ends after {self.max_steps:,} (training.max_steps). "
                + (f"Give {most:,} at most." if most else "Leave it out.")
            )

    def learning_rate_at(self, step: int, depth: int = 0) -> float:
        """The learning rate of the optimizer step with this number, counted from 0.

        Args:
            depth: how many levels of the model stand above the weights in question; 0 for its head.
        """
        if step < depth * self.unfreeze_steps:
            return 0.0
        return self._scheduled(step) * self.layer_decay**depth

    def _scheduled(self, step: int) -> float:
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        if self.schedule == "inverse_sqrt":
            return self.learning_rate * (max(self.warmup_steps, 1) / (step + 1)) ** 0.5
        done = min((step - self.warmup_steps) / max(self.max_steps - self.warmup_steps, 1), 1.0)
        if self.schedule == "cosine":
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
        if self.schedule == "linear":
            return self.learning_rate * (1 - done)
        return self.learning_rate
