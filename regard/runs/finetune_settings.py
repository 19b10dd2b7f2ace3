"""Everything a fine-tuning run is made from: the tables of its config.toml, completed with what fits the data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regard.config import from_dict, refuse_idle, to_dict, to_toml
from regard.data.columns import Columns
from regard.data.labelled import LabelTask, check_task
from regard.errors import ConfigError
from regard.models.heads import Pool
from regard.nn.layers import fast_in_bf16
from regard.runs.sizes import Sizes
from regard.training.distil import DistilSettings
from regard.training.plan import TrainingPlan

METRICS: dict[LabelTask, tuple[str, ...]] = {  # what can be called best, by task; the first is the default
    "classify": ("accuracy", "f1", "matthews", "loss"),
    "pair": ("accuracy", "f1", "matthews", "loss"),
    "regress": ("spearman", "pearson", "loss"),
    "tag": ("entity_f1", "accuracy", "loss"),
}

_EPOCHS = 3  # passes over the data, where neither these nor steps are given


@dataclass(frozen=True, kw_only=True)
class LabelledData:
    """The [data] table: what DATA, --dev and the column options said."""

    train: tuple[str, ...]
    dev: tuple[str, ...] = ()  # empty: dev_rows of the training data are held out
    dev_rows: int = 1_000  # held out
    label: str = ""
    text: tuple[str, ...] = ()
    other: str = ""
    # Texts longer than the model takes are learnt in stretches, and judged as wholes; else they are left out.
    split_long: bool | None = None
    language: str | None = None  # of the texts, BCP-47, for pages and the model card; None: the base's, if it has one

    def __post_init__(self) -> None:
        if self.dev_rows < 1:
            raise ConfigError(f"data.dev_rows must be at least 1, got {self.dev_rows}")
        self.columns()

    def columns(self) -> Columns:
        """Where label and texts stand."""
        return Columns(label=self.label, text=self.text, other=self.other)


@dataclass(frozen=True, kw_only=True)
class HeadSettings(Sizes):
    """The [model] table: what is fine-tuned, and for what."""

    task: str
    base_sha256: str = ""  # of the folder's weights
    # What a label is told from: `first`, the first token's state through BERT's pooling layer; or `mean`, the mean of
    # all tokens' states, for encoders that were made for it; None: as the base has it, else `first`.
    pool: Pool | None = None
    dropout: float = 0.1  # before the head
    encoder_dropout: float | None = None  # in the encoder; None: 0.1 from nothing, else as the base has it
    vocab_size: int = 8_000  # from nothing: at most
    lowercase: bool = True  # from nothing
    max_length: int = 0  # tokens of a text; 0: 512 from nothing, else what the base takes; more lengthens a BERT

    def __post_init__(self) -> None:
        super().__post_init__()
        check_task(self.task)
        if self.task == "tag":
            refuse_idle(self, {"pool": None}, "each word has its own tag", "[model]")
        if self.vocab_size < 10 or (self.max_length and self.max_length < 3):
            raise ConfigError("model.vocab_size must be at least 10 and model.max_length at least 3")
        for name in ("dropout", "encoder_dropout"):
            if not 0 <= (getattr(self, name) or 0.0) < 1:
                raise ConfigError(f"model.{name} must be at least 0 and below 1, got {getattr(self, name)}")
        if Path(self.base).exists():
            idle = {"vocab_size": 8_000, "lowercase": True}
            refuse_idle(self, idle, f"{self.base} keeps the tokenizer that it has", "[model]")


@dataclass(frozen=True)
class FinetuneSettings:
    """Everything a fine-tuning run is made from; config.toml holds it."""

    model: HeadSettings
    training: TrainingPlan
    data: LabelledData
    distil: DistilSettings | None = None  # with it the base is a teacher, and what learns is its student

    def to_toml(self) -> str:
        sections = {"model": self.model, "training": self.training, "data": self.data, "distil": self.distil}
        return to_toml({name: to_dict(section) for name, section in sections.items() if section is not None})


def plan_from(
    given: Mapping[str, Any], task: LabelTask, hidden_size: int, batches_of: Callable[[TrainingPlan], int], where: str
) -> TrainingPlan:
    """Complete the [training] table: three passes over the data with a rate that falls to nothing, and so on.

    Args:
        hidden_size: of the encoder: smaller ones take larger steps.
        batches_of: the number of batches of an epoch.

    Raises:
        ConfigError: an unknown key, a value out of range, or a metric that the task does not know.
    """
    usual: dict[str, Any] = {
        "max_epochs": 0 if "max_steps" in given else _EPOCHS,
        "batch_tokens": 2_000,
        "learning_rate": 5e-5 if hidden_size >= 512 else 2e-4,
        "schedule": "linear",
        "beta2": 0.999,  # Devlin et al. 2019, A.2, as is the decay
        "epsilon": 1e-6,
        "weight_decay": 0.01,
        "label_smoothing": 0.0,
        "average_decay": 0.0,
        "bf16_products": fast_in_bf16(),
        "dev_metric": METRICS[task][0],
        "log_every": 20,
    }
    values = {**usual, **given}
    draft = from_dict(TrainingPlan, values, f"{where}, [training]")
    if draft.dev_metric not in METRICS[task]:
        raise ConfigError(
            f"{where}: training.dev_metric {draft.dev_metric!r} says nothing of --task {task}. "
            f"Known are {', '.join(METRICS[task])}."
        )
    refuse_idle(
        draft, {"dev_beam_size": 1, "guided_alignment": None}, "labels are not searched for", f"{where}, [training]"
    )
    if task == "regress":
        refuse_idle(draft, {"label_smoothing": 0.0}, "numbers are not smoothed", f"{where}, [training]")
    steps = max(1, batches_of(draft) // draft.batches_per_step)  # of an epoch
    values.setdefault("max_steps", max(1, (draft.max_epochs or _EPOCHS) * steps))
    values.setdefault("warmup_steps", values["max_steps"] // 10)
    values.setdefault("validate_every", min(steps, max(1, values["max_steps"] // 3)))
    values.setdefault("save_every", values["validate_every"])
    return from_dict(TrainingPlan, values, f"{where}, [training]")
