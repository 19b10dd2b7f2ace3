"""Everything a run is made from: the tables of config.toml, completed with sizes that fit the data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regard.config import from_dict, to_dict, to_toml
from regard.data.tokens import Sharing
from regard.errors import ConfigError
from regard.models import MODELS
from regard.runs import sizes
from regard.training.plan import TrainingPlan


@dataclass(frozen=True, kw_only=True)
class TokenSettings:
    """The [tokens] table."""

    vocab_size: int
    sharing: Sharing = "joint"
    dropout: float = 0.0  # BPE-dropout: the probability of leaving out a merge in training (Provilkov et al. 2020)

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"tokens.dropout must be at least 0 and below 1, got {self.dropout}")


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """The [data] table: what DATA, --dev and the language options said."""

    train: tuple[str, ...]
    dev: tuple[str, ...] = ()  # empty: dev_pairs of the training data are held out
    dev_pairs: int = 1_000  # held out, or most used of --dev
    source_language: str = ""
    target_language: str = ""
    reverse: bool = False  # translate from the second side to the first
    filter: bool = True  # skip pairs that look wrong (see `regard audit`)

    def __post_init__(self) -> None:
        if self.dev_pairs < 1:
            raise ConfigError(f"data.dev_pairs must be at least 1, got {self.dev_pairs}")


@dataclass(frozen=True)
class Settings:
    """Everything a run is made from; config.toml holds it."""

    arch: str
    model: Mapping[str, Any]  # of the family's own configuration, without vocab_size
    tokens: TokenSettings
    training: TrainingPlan
    data: DataSettings

    def to_toml(self) -> str:
        sections = {"data": self.data, "tokens": self.tokens, "training": self.training}
        plain = {name: to_dict(section) for name, section in sections.items()}
        return to_toml({"model": {"arch": self.arch, **self.model}, **plain})


def settings_from(
    tables: Mapping[str, Mapping[str, Any]], data: DataSettings, num_pairs: int, arch: str, where: str
) -> Settings:
    """Complete the settings a person gave with defaults for the size of the data.

    Raises:
        ConfigError: unknown table, key or architecture, or a value out of range.
    """
    unknown = sorted(set(tables) - {"model", "tokens", "training", "data"})
    if unknown:
        raise ConfigError(f"{where}: unknown table [{unknown[0]}]. Known are [model], [tokens], [training], [data].")
    for name, table in tables.items():
        if not isinstance(table, Mapping):
            raise ConfigError(f"{where}: {name} must be a table of settings, [{name}], found {table!r}.")
    given = dict(tables.get("model", {}))
    if "vocab_size" in given:
        raise ConfigError(f"{where}, [model]: vocab_size stands in [tokens].")
    arch = arch or given.get("arch", "transformer")
    given.pop("arch", None)
    if not isinstance(arch, str) or arch not in MODELS:
        raise ConfigError(f"{where}: unknown architecture {arch!r}. Known are {', '.join(MODELS)}.")
    base = sizes.defaults(arch, num_pairs)
    model = {**base["model"], **given}
    tokens = from_dict(TokenSettings, {**base["tokens"], **tables.get("tokens", {})}, f"{where}, [tokens]")
    if tokens.sharing == "separate":
        model.setdefault("tied_embeddings", arch != "transformer")
    checked = from_dict(MODELS[arch][0], {"vocab_size": tokens.vocab_size, **model}, f"{where}, [model]")
    model = {key: value for key, value in to_dict(checked).items() if key != "vocab_size"}
    training = from_dict(TrainingPlan, {**base["training"], **tables.get("training", {})}, f"{where}, [training]")
    data = from_dict(DataSettings, {**to_dict(data), **tables.get("data", {})}, f"{where}, [data]")
    return Settings(arch, model, tokens, training, data)
