"""How to search for a text, and what is found. No torch: every engine takes and gives these."""

import math
from dataclasses import dataclass

from regard.errors import ConfigError

# Far beyond what is of use, and far from where numbers of 32 bits would overflow.
MAX_LENGTH_PENALTY, MAX_REPETITION_PENALTY, LEAST_TEMPERATURE = 10.0, 1_000.0, 1e-6


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How to look for a translation, or for how a text goes on."""

    beam_size: int = 5  # hypotheses kept at each step; 1: greedy
    length_penalty: float = 0.6  # α of Wu et al. 2016, equation 14; 0: none, higher prefers longer
    n_best: int = 1  # hypotheses returned
    min_length: int = 0  # tokens, eos not counted
    max_length: int = 0  # tokens, eos not counted; 0: `max_length_ratio` decides
    max_length_ratio: float = 2.0  # of the source length, plus 16 tokens
    sample: bool = False  # draw from the distribution instead of searching for its best; n_best independent draws
    temperature: float = 1.0  # divides the logits before drawing
    top_k: int = 0  # draw from the k best tokens only; 0: all
    top_p: float = 1.0  # draw from the best tokens that hold this share of the probability
    seed: int = 1  # of the draws
    # Keskar et al. 2019, section 4.1, θ: logits of tokens already there (a language model's prompt counts) are divided
    # by it, or multiplied if negative (as in `transformers`: dividing would raise them), before temperature; 1: off.
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        for name in ("beam_size", "n_best"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("min_length", "max_length", "top_k", "length_penalty"):
            if not getattr(self, name) >= 0:  # nan neither
                raise ConfigError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.length_penalty > MAX_LENGTH_PENALTY:
            raise ConfigError(f"length_penalty must be at most {MAX_LENGTH_PENALTY:g}, got {self.length_penalty}")
        if not self.sample and self.n_best > self.beam_size:
            raise ConfigError(f"n_best ({self.n_best}) needs a beam_size as large, got {self.beam_size}")
        if self.max_length and self.min_length > self.max_length:
            raise ConfigError(f"min_length ({self.min_length}) is above max_length ({self.max_length})")
        if not LEAST_TEMPERATURE <= self.temperature < math.inf:  # nan neither
            raise ConfigError(
                f"temperature must be at least {LEAST_TEMPERATURE:g} and finite, got {self.temperature}; to take "
                "always the likeliest, be greedy: do not sample, and take a beam_size of 1"
            )
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p must be above 0 and at most 1, got {self.top_p}")
        if not 0 < self.max_length_ratio < math.inf:
            raise ConfigError(f"max_length_ratio must be above 0 and finite, got {self.max_length_ratio}")
        if not 1 / MAX_REPETITION_PENALTY <= self.repetition_penalty <= MAX_REPETITION_PENALTY:
            raise ConfigError(
                f"repetition_penalty must be from {1 / MAX_REPETITION_PENALTY:g} to {MAX_REPETITION_PENALTY:g}, got "
                f"{self.repetition_penalty}"
            )
        if self.repetition_penalty != 1 and self.searches:
            raise ConfigError("repetition_penalty needs sample, or a beam_size of 1: a beam compares whole hypotheses")

    @property
    def searches(self) -> bool:
        """Whether hypotheses compete; else each is extended by itself, greedily or by draws."""
        return not self.sample and self.beam_size > 1

    def limit(self, source_length: int, model_limit: int) -> int:
        """Most target tokens for a source of this length, eos not counted.

        Args:
            model_limit: one more than the most tokens that the model could write.
        """
        wanted = self.max_length or max(self.min_length, math.ceil(self.max_length_ratio * source_length) + 16)
        return max(1, min(wanted, model_limit - 1))


@dataclass(frozen=True)
class Hypothesis:
    """One text in ids."""

    ids: tuple[int, ...]  # without bos and eos
    log_probs: tuple[float, ...]  # of each id, then of eos if finished; nats, before temperature
    score: float  # total log-probability divided by the length penalty: what the search maximised
    finished: bool  # False: cut at the length limit, or ended from outside


@dataclass(frozen=True)
class Written:
    """A step of one hypothesis, as the search goes on."""

    sentence: int
    column: int  # which of the sentence's hypotheses
    ids: tuple[int, ...]  # all of its ids so far
    hypothesis: Hypothesis | None  # when it is complete
