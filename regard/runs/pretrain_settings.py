"""Everything a pre-training run is made from: the tables of its config.toml, completed with what fits the model."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regard.config import from_dict, refuse_idle
from regard.data.corpus import check_documents
from regard.errors import ConfigError
from regard.nn.layers import fast_in_bf16
from regard.runs.sizes import ALL_SIZES, DECODER_SIZES, Sizes
from regard.training.plan import TrainingPlan

SHORT = {"short_length": 20, "short_share": 0.15}  # of `ModelSettings`, where nothing was said


@dataclass(frozen=True, kw_only=True)
class CorpusSettings:
    """The [data] table: which text, and how it is read."""

    train: tuple[str, ...]
    dev: tuple[str, ...] = ()  # empty: dev_tokens of the training text are held out
    dev_tokens: int = 50_000  # held out, or most used of dev files
    documents: str = ""  # "paragraphs" (encoders), "files" (language models), or "lines": each is a document
    old_dev: tuple[str, ...] | None = None  # text that a base could do before; dev_tokens at most; as in `DataSettings`
    language: str | None = None  # of the text, BCP-47, for pages and the model card; None: the base's, if it has one

    def __post_init__(self) -> None:
        if self.documents:
            check_documents(self.documents)
        if self.dev_tokens < 10:
            raise ConfigError(f"data.dev_tokens must be at least 10, got {self.dev_tokens}")


@dataclass(frozen=True, kw_only=True)
class ModelSettings(Sizes):
    """The [model] table: a size to begin from nothing with, or a model to go on with, and what is masked."""

    base_sha256: str = ""  # of the folder's weights
    vocab_size: int = 0  # from nothing, at most; 0: follows the text
    lowercase: bool = True  # from nothing, of an encoder
    # Tokens read at once, an encoder's special ones counted; from nothing all it will ever read. 0: of a new BigBird,
    # GPT-2 or GPT-3 as many as its size has, else 128.
    max_length: int = 0
    # Tokens that an encoder from nothing reads at once in its first steps, where a word's neighbours are sooner found.
    # Only if max_length is twice as much or more, and training.max_epochs is not given.
    short_length: int = 20
    short_share: float = 0.15  # of the steps that read so few; 0: none
    dropout: float = 0.1  # from nothing
    mask_share: float = 0.15  # of an encoder's tokens, that are to be guessed
    whole_words: bool = False  # mask all pieces of a word together
    next_sentence: bool | None = None  # read two texts at once, and learn too whether one follows the other

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.mask_share < 1:
            raise ConfigError(f"model.mask_share must be above 0 and below 1, got {self.mask_share}")
        if (self.vocab_size and self.vocab_size < 10) or (self.max_length and self.max_length < 4):
            raise ConfigError("model.vocab_size must be at least 10 and model.max_length at least 4")
        if self.next_sentence and 0 < self.max_length < 8:
            raise ConfigError(
                f"model.next_sentence reads two texts: max_length must be at least 8, got {self.max_length}"
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"model.dropout must be at least 0 and below 1, got {self.dropout}")
        if self.short_length < 8 or not 0 <= self.short_share <= 1:
            raise ConfigError(
                f"model.short_length must be at least 8 and model.short_share from 0 to 1, got {self.short_length} and "
                f"{self.short_share}"
            )
        if Path(self.base).exists():
            idle = {"vocab_size": 0, "lowercase": True, "dropout": 0.1, **SHORT}
            refuse_idle(self, idle, f"{self.base} keeps what it has", "[model]")
        elif self.base in DECODER_SIZES:
            idle = {"lowercase": True, "mask_share": 0.15, "whole_words": False, "next_sentence": None, **SHORT}
            refuse_idle(self, idle, "a language model reads letters as they are and masks none", "[model]")

    def with_length(self) -> "ModelSettings":
        """The same, with the length that is usual where none was given.

        Of a size that is known for its length it is that: a BigBird, and GPT-2 and GPT-3. Of all else it is 128, with
        which BERT took nine tenths of its steps (Devlin et al. 2019, A.2): longer texts cost the square in attention.
        """
        sizes = {} if Path(self.base).exists() else ALL_SIZES.get(self.base, ("", {}))[1]
        return dataclasses.replace(self, max_length=self.max_length or sizes.get("max_length", 128))


# In the [model] table, of a base.
_FIXED = ("vocab_size", "lowercase", "dropout", "mask_share", "whole_words", "next_sentence", *SHORT)


def settings_on(tables: Mapping[str, Mapping[str, Any]], base: str, where: str) -> tuple[ModelSettings, dict[str, Any]]:
    """The [model] and [training] tables of a language model that goes on with new text.

    It reads as much at once as it can, up to 1,024 tokens. The rate is that of any base (see `plan_from`); as a rule
    the new text is little, so steps are fewer, validations frequent, and five in a row without gain end the run.

    Raises:
        ConfigError: an unknown key, a value out of range, or one that a trained model cannot change.
    """
    given = tables.get("model", {})
    if fixed := [key for key in _FIXED if key in given]:
        raise ConfigError(
            f"{where}: model.{fixed[0]} cannot be set: a language model that goes on stays what it is. "
            "Only model.max_length, the tokens it reads at once, may be changed."
        )
    model = from_dict(ModelSettings, {"max_length": 1_024, **given, "base": base}, f"{where}, [model]")
    usual = {"max_steps": 2_000, "validate_every": 200, "save_every": 200, "patience": 5}
    return model, {**usual, **tables.get("training", {})}


def plan_from(given: Mapping[str, Any], model: Sizes, where: str) -> TrainingPlan:
    """Complete the [training] table.

    Raises:
        ConfigError: an unknown key or base, or a value out of range.
    """
    if model.base not in ALL_SIZES and not Path(model.base).exists():
        raise ConfigError(
            f"{model.base}: is no model folder, and no size to begin from nothing with ({', '.join(ALL_SIZES)})."
        )
    from_nothing = model.base in ALL_SIZES and not Path(model.base).exists()
    width = model.named()[1].get("hidden_size", 768) if from_nothing else 0
    usual = {
        "max_steps": 10_000,
        "batch_tokens": 4_000,
        # Smaller models take larger steps; a model that has learnt before takes small ones.
        "learning_rate": 1e-3 if 0 < width < 512 else 5e-4 if width == 512 else 1e-4,
        "schedule": "linear",
        "beta2": 0.98,  # Liu et al. 2019
        "epsilon": 1e-6,
        "weight_decay": 0.01,
        "label_smoothing": 0.0,
        "average_decay": 0.0,
        "bf16_products": fast_in_bf16(),
        "dev_metric": "loss",
        "validate_every": 1_000,
    }
    plan = from_dict(TrainingPlan, {**usual, **given}, f"{where}, [training]")
    if plan.dev_metric != "loss":
        raise ConfigError(f"{where}: training.dev_metric {plan.dev_metric!r}; pre-training is judged by its loss.")
    idle = {
        "label_smoothing": 0.0,
        "layer_decay": 1.0,
        "unfreeze_steps": 0,
        "dev_beam_size": 1,
        "guided_alignment": None,
    }
    refuse_idle(plan, idle, "running text is learnt without it", f"{where}, [training]")
    if "warmup_steps" not in given:
        plan = dataclasses.replace(plan, warmup_steps=max(1, plan.max_steps // 10))
    return plan
