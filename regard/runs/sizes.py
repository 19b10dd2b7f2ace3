"""Sizes and settings for those who give none: they follow the architecture and the number of training pairs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regard.errors import ConfigError
from regard.models.gpt import SIZES
from regard.nn.layers import fast_in_bf16

_GPT_SIZES = ("hidden_size", "num_layers", "num_heads", "feed_forward_size", "attention_window", "max_length")
_SMALL, _MEDIUM = 50_000, 500_000  # pairs
NARROW = 128  # the width for which the Transformer's learning rate was chosen


def defaults(arch: str, num_pairs: int) -> dict[str, dict[str, Any]]:
    """The [model], [tokens] and [training] settings for a data set of this size; everything can be set by hand.

    Under 50,000 pairs the Transformer is the "tiny" of Wu et al. 2021 (4+4 layers, 128 wide), the best size they found
    for the 29,000 pairs of Multi30k; under 500,000 it is twice as wide; above, "base" of Vaswani et al. 2017.
    """
    if num_pairs < _SMALL:
        # A piece should be met often enough to be learnt: of little text few are made (Sennrich and Zhang 2019).
        size, vocab_size, dropout = "small", max(500, min(8_000, num_pairs // 4)), 0.3
    elif num_pairs < _MEDIUM:
        size, vocab_size, dropout = "medium", 16_000, 0.2
    else:
        size, vocab_size, dropout = "large", 32_000, 0.1
    scaled = {} if arch == "transformer" else {"scaled_embeddings": True}  # the Transformer's always are
    return {
        "model": {**_MODELS[arch][size], **scaled, "dropout": dropout},
        "tokens": {"vocab_size": vocab_size},
        # Little text is soon learnt by heart: what follows the best dev score is only time.
        "training": {**_TRAINING[arch], "bf16_products": fast_in_bf16(), "patience": 10 if size == "small" else 0},
    }


def continued(arch: str, hidden_size: int) -> dict[str, Any]:
    """The [training] settings for a translator that goes on with new text; everything can be set by hand.

    The rate is a tenth of that from nothing, less for the width of "base" (Vaswani et al. 2017), and falls to nothing:
    what was learnt is to be moved, not learnt anew. As a rule the new text is little, so validations are frequent and
    the run ends when five of them in a row bring no gain.
    """
    wide = arch == "transformer" and hidden_size >= 512
    return {
        "learning_rate": 5e-5 if wide else _TRAINING[arch]["learning_rate"] / 10,
        "schedule": "linear",
        "max_steps": 2_000,
        "validate_every": 200,
        "save_every": 200,
        "patience": 5,
        "bf16_products": fast_in_bf16(),
    }


# A BigBird is for long texts: one that reads 128 tokens attends in full, and is a BERT. Zaheer et al. 2020, appendix E.
_LONG = 4_096
# Encoders by name: Devlin et al. 2019 and Sanh et al. 2019; the small ones are those of Turc et al. 2019. Pre-training
# from nothing follows "max_length" where a size names one.
_TINY: dict[str, Any] = {"hidden_size": 128, "num_layers": 2, "num_heads": 2, "feed_forward_size": 512}
_MINI: dict[str, Any] = {"hidden_size": 256, "num_layers": 4, "num_heads": 4, "feed_forward_size": 1_024}
ENCODER_SIZES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert-tiny": ("bert", _TINY),
    "bert-mini": ("bert", _MINI),
    "bert-small": ("bert", {"hidden_size": 512, "num_layers": 4, "num_heads": 8, "feed_forward_size": 2_048}),
    "bert-medium": ("bert", {"hidden_size": 512, "num_layers": 8, "num_heads": 8, "feed_forward_size": 2_048}),
    "bert-base": ("bert", {}),
    "bert-large": ("bert", {"hidden_size": 1_024, "num_layers": 24, "num_heads": 16, "feed_forward_size": 4_096}),
    "distilbert": ("distilbert", {}),
    "bigbird-tiny": ("bigbird", {**_TINY, "max_length": _LONG}),
    "bigbird-mini": ("bigbird", {**_MINI, "max_length": _LONG}),
    "bigbird-base": ("bigbird", {"max_length": _LONG}),
}
# Language models by name: those of `models/gpt.py`, and two that an ordinary machine trains, nanoGPT's examples.
DECODER_SIZES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt-tiny": ("gpt", {"hidden_size": 128, "num_layers": 4, "num_heads": 4, "feed_forward_size": 512}),
    "gpt-mini": ("gpt", {"hidden_size": 384, "num_layers": 6, "num_heads": 6, "feed_forward_size": 1_536}),
    **{name: ("gpt", {key: getattr(config, key) for key in _GPT_SIZES}) for name, config in SIZES.items()},
}
ALL_SIZES = {**ENCODER_SIZES, **DECODER_SIZES}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What a [model] table may say of the sizes of a model that begins from nothing; None: as its name has it.

    They are left out of config.toml where they are not given.
    """

    base: str  # such as bert-mini or gpt-tiny, or a model folder
    hidden_size: int | None = None  # the feed-forward size follows it, four times as wide, unless given too
    num_layers: int | None = None
    num_heads: int | None = None
    feed_forward_size: int | None = None

    def __post_init__(self) -> None:
        if (given := self._given()) and Path(self.base).exists():
            raise ConfigError(f"model.{next(iter(given))} cannot be set: {self.base} keeps the sizes that it has.")

    def named(self) -> tuple[str, dict[str, Any]]:
        """The architecture that `base` names, and its sizes, what was given in their place."""
        arch, sizes = ALL_SIZES[self.base]
        follows = {} if self.hidden_size is None else {"feed_forward_size": 4 * self.hidden_size}
        return arch, {**sizes, **follows, **self._given()}

    def _given(self) -> dict[str, int]:
        names = ("hidden_size", "num_layers", "num_heads", "feed_forward_size")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


_MODELS: dict[str, dict[str, dict[str, Any]]] = {
    "transformer": {
        "small": {"hidden_size": 128, "num_layers": 4, "num_heads": 4, "feed_forward_size": 256},
        "medium": {"hidden_size": 256, "num_layers": 4, "num_heads": 4, "feed_forward_size": 1024},
        "large": {"hidden_size": 512, "num_layers": 6, "num_heads": 8, "feed_forward_size": 2048},
    },
    "rnn": {
        "small": {"hidden_size": 512, "embedding_size": 256},
        "medium": {"hidden_size": 768, "embedding_size": 384},
        "large": {"hidden_size": 1000, "embedding_size": 620},
    },
    "rnnsearch": {
        "small": {"hidden_size": 256, "embedding_size": 256, "attention_size": 256},
        "medium": {"hidden_size": 512, "embedding_size": 384, "attention_size": 512},
        "large": {"hidden_size": 1000, "embedding_size": 620, "attention_size": 1000},
    },
    "gnmt": {
        "small": {"hidden_size": 256, "num_layers": 4, "attention_size": 256},
        "medium": {"hidden_size": 512, "num_layers": 4, "attention_size": 512},
        "large": {"hidden_size": 1024, "num_layers": 8, "attention_size": 1024},
    },
}

_RECURRENT: dict[str, Any] = {"learning_rate": 0.002, "warmup_steps": 500}
_TRAINING: dict[str, dict[str, Any]] = {
    "transformer": {"learning_rate": 0.005, "warmup_steps": 2_000},
    "rnn": _RECURRENT,
    "rnnsearch": _RECURRENT,
    "gnmt": _RECURRENT,
}
