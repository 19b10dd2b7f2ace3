"""Everything a run is made from: the tables of config.toml, completed with sizes that fit the data or a model's own."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regard.config import check_tables, from_dict, refuse_idle, to_dict, to_toml
from regard.data.tokens import Sharing
from regard.errors import ConfigError
from regard.models import MODELS
from regard.models.folder import LoadedModel, arch_of
from regard.runs import sizes
from regard.training.distil import TranslatorDistilSettings
from regard.training.plan import TrainingPlan

_TABLES = ("model", "tokens", "training", "data")
_METRICS = ("chrf", "bleu", "loss")  # what can be called best of a translator


@dataclass(frozen=True, kw_only=True)
class TokenSettings:
    """The [tokens] table."""

    vocab_size: int  # pieces; where nothing is said of it, it follows the number of pairs
    sharing: Sharing = "joint"  # of pieces between source and target
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
    # What a base could translate before; dev_pairs at most are used. Left out of config.toml where there is none, so
    # that runs which began before there was such a setting go on.
    old_dev: tuple[str, ...] | None = None
    alignments: str | None = None  # a file of links that attention is taught (see training.guided_alignment)

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
    base: str = ""  # the model folder to go on with, or to learn from; else the run begins from nothing
    base_sha256: str = ""  # of its weights
    distil: TranslatorDistilSettings | None = None  # with it the base is a teacher, and what learns is its student

    def to_toml(self) -> str:
        sections = {"data": self.data, "tokens": self.tokens, "training": self.training, "distil": self.distil}
        plain = {name: to_dict(section) for name, section in sections.items() if section is not None}
        base = {"base": self.base, "base_sha256": self.base_sha256} if self.base else {}
        return to_toml({"model": {"arch": self.arch, **base, **self.model}, **plain})


def settings_from(
    tables: Mapping[str, Mapping[str, Any]], data: DataSettings, num_pairs: int, arch: str, where: str
) -> Settings:
    """Complete the settings a person gave with defaults for the size of the data.

    Raises:
        ConfigError: unknown table, key or architecture, or a value out of range.
    """
    check_tables(tables, _TABLES, where)
    given = dict(tables.get("model", {}))
    if "vocab_size" in given:
        raise ConfigError(f"{where}, [model]: vocab_size stands in [tokens].")
    arch = _known(arch or given.get("arch", "transformer"), where)
    given.pop("arch", None)
    base = sizes.defaults(arch, num_pairs)
    model = {**base["model"], **given}
    tokens = from_dict(TokenSettings, {**base["tokens"], **tables.get("tokens", {})}, f"{where}, [tokens]")
    if tokens.sharing == "separate":
        model.setdefault("tied_embeddings", arch != "transformer")
    checked = from_dict(MODELS[arch][0], {"vocab_size": tokens.vocab_size, **model}, f"{where}, [model]")
    model = {key: value for key, value in to_dict(checked).items() if key != "vocab_size"}
    steps = tables.get("training", {})
    training = from_dict(TrainingPlan, {**base["training"], **steps}, f"{where}, [training]")
    if arch == "transformer" and "learning_rate" not in steps:
        # The usual rate was chosen for the narrow model; wider ones bear less (Yang et al. 2022).
        rate = training.learning_rate * min(1.0, sizes.NARROW / model["hidden_size"])
        training = dataclasses.replace(training, learning_rate=rate)
    if "warmup_steps" not in steps:
        warmup = max(1, min(training.warmup_steps, training.max_steps // 10))
        training = dataclasses.replace(training, warmup_steps=warmup)
    _check_plan(training, where)
    data = from_dict(DataSettings, {**to_dict(data), **tables.get("data", {})}, f"{where}, [data]")
    if data.old_dev:
        raise ConfigError(
            f"{where}, [data]: old_dev was given, but a model that begins from nothing has nothing to forget. "
            "Use `regard finetune MODEL DATA --task translate`."
        )
    _check_alignments(arch, tokens, training, data, where)
    return Settings(arch, model, tokens, training, data)


def settings_on(
    tables: Mapping[str, Mapping[str, Any]], data: DataSettings, name: str, base: LoadedModel, digest: str, where: str
) -> Settings:
    """Complete the settings a person gave for a translator that goes on: its sizes and its tokenizer stay.

    Args:
        name: the base's folder.
        digest: the sha256 of its weights.

    Raises:
        ConfigError: unknown table or key, a value out of range, or one that a trained model cannot change.
    """
    check_tables(tables, _TABLES, where)
    arch = arch_of(Path(name))
    sizes_of_base = to_dict(base.model.config)
    fixed = {"arch": arch, "base": name, "base_sha256": digest}
    fixed |= {key: value for key, value in sizes_of_base.items() if not key.endswith("dropout")}
    given = dict(tables.get("model", {}))
    for key in [key for key in given if key in fixed]:
        _check_stays(f"model.{key}", given.pop(key), fixed[key], name, where)
    model = to_dict(from_dict(MODELS[arch][0], {**sizes_of_base, **given}, f"{where}, [model]"))
    del model["vocab_size"]
    made = {"vocab_size": base.tokens.vocab_size, "sharing": "joint" if base.tokens.shared else "separate"}
    tokens = from_dict(TokenSettings, {**made, **tables.get("tokens", {})}, f"{where}, [tokens]")
    for key, value in made.items():
        _check_stays(f"tokens.{key}", getattr(tokens, key), value, name, where)
    steps = tables.get("training", {})
    usual = sizes.continued(arch, base.model.config.hidden_size)
    plan = from_dict(TrainingPlan, {**usual, **steps}, f"{where}, [training]")
    if "warmup_steps" not in steps:
        plan = dataclasses.replace(plan, warmup_steps=max(1, plan.max_steps // 20))
    _check_plan(plan, where)
    data = from_dict(DataSettings, {**to_dict(data), **tables.get("data", {})}, f"{where}, [data]")
    _check_alignments(arch, tokens, plan, data, where)
    return Settings(arch, model, tokens, plan, _with_languages(data, base), name, digest)


def settings_of_student(
    tables: Mapping[str, Mapping[str, Any]],
    data: DataSettings,
    num_pairs: int,
    name: str,
    teacher: LoadedModel,
    digest: str,
    where: str,
) -> Settings:
    """Complete the settings a person gave for the student of a translator.

    It keeps the teacher's tokenizer; where nothing else is said it is of the teacher's family and sizes, with fewer
    layers where they cost most in translating: a Transformer's decoder has one (Kasai et al. 2021), recurrent networks
    have half as many on both sides. Where there are no fewer, it is half as wide. The [training] table is that of a run
    from nothing.

    Args:
        name: the teacher's folder.
        digest: the sha256 of its weights.

    Raises:
        ConfigError: unknown table, key or architecture, a value out of range, or another teacher or tokenizer.
    """
    check_tables(tables, (*_TABLES, "distil"), where)
    distil = from_dict(TranslatorDistilSettings, tables.get("distil", {}), f"{where}, [distil]")
    if data.old_dev or tables.get("data", {}).get("old_dev"):
        raise ConfigError(f"{where}, [data]: old_dev does nothing here: a student is compared with its teacher.")
    if data.alignments or tables.get("data", {}).get("alignments"):
        raise ConfigError(
            f"{where}, [data]: alignments do nothing here: a student learns from translations that its teacher writes."
        )
    given, family = dict(tables.get("model", {})), arch_of(Path(name))
    for key, value in (("base", name), ("base_sha256", digest)):  # a run's own config.toml says them too
        if given.pop(key, value) != value:
            raise ConfigError(f"{where}: model.{key} is another than that of {name}, the teacher that was named.")
    arch = _known(given.get("arch", family), where)
    usual = {"max_length": teacher.model.config.max_length}
    if arch == family:
        usual = to_dict(teacher.model.config) | _less(arch, teacher.model.config, distil.layers)
        del usual["vocab_size"]
    layers = _LAYERS.get(arch, ("", 0))[0]
    if distil.layers and (not layers or arch != family or layers in given):
        of_its_own = f"set model.{layers} instead" if layers else f"one of type {arch} has but one"
        raise ConfigError(f"{where}: distil.layers says how many layers a student keeps of its teacher; {of_its_own}.")
    made = {"vocab_size": teacher.tokens.vocab_size, "sharing": "joint" if teacher.tokens.shared else "separate"}
    said = tables.get("tokens", {})
    for key, value in made.items():
        if said.get(key, value) != value:
            raise ConfigError(
                f"{where}: tokens.{key} is {value!r} in {name} and cannot become {said[key]!r}: "
                "a student reads and writes with its teacher's tokenizer."
            )
    rest = {table: values for table, values in tables.items() if table != "distil"}
    completed = {**rest, "model": {"arch": arch, **usual, **given}, "tokens": {**made, **said}}
    settings = settings_from(completed, data, num_pairs, "", where)
    settings = dataclasses.replace(settings, base=name, base_sha256=digest, distil=distil)
    return dataclasses.replace(settings, data=_with_languages(settings.data, teacher))


def _known(arch: Any, where: str) -> str:
    if not isinstance(arch, str) or arch not in MODELS:
        raise ConfigError(f"{where}: unknown architecture {arch!r}. Known are {', '.join(MODELS)}.")
    return arch


# How a family calls the layers that a student has fewer of, and how few there can be.
_LAYERS = {"transformer": ("decoder_num_layers", 1), "gnmt": ("num_layers", 2), "rnn": ("num_layers", 1)}


def _less(arch: str, teacher: Any, layers: int) -> dict[str, int]:
    """What differs from the teacher in the sizes of a student: fewer layers, or half the width."""
    key, least = _LAYERS.get(arch, ("", 0))
    if layers and key:
        return {key: layers}
    count = getattr(teacher, key, 0) or getattr(teacher, "num_layers", 0)
    if count <= least:
        return {"hidden_size": teacher.hidden_size // 2}
    return {key: 1 if arch == "transformer" else max(least, count // 2)}


def _with_languages(data: DataSettings, base: LoadedModel) -> DataSettings:
    """Where a person named no languages, those of the model that is gone on with or learnt from."""
    return dataclasses.replace(
        data,
        source_language=data.source_language or base.source_language,
        target_language=data.target_language or base.target_language,
    )


def _check_plan(plan: TrainingPlan, where: str) -> None:
    """A plan that says something of translators only."""
    if plan.dev_metric not in _METRICS:
        raise ConfigError(
            f"{where}: training.dev_metric {plan.dev_metric!r} says nothing of a translation. "
            f"Known are {', '.join(_METRICS)}."
        )
    idle = {"layer_decay": 1.0, "unfreeze_steps": 0}
    refuse_idle(plan, idle, "the layers of a translator all learn alike", f"{where}, [training]")


def _check_alignments(arch: str, tokens: TokenSettings, plan: TrainingPlan, data: DataSettings, where: str) -> None:
    """Alignments that can be taught, or none."""
    if data.alignments is None:
        refuse_idle(plan, {"guided_alignment": None}, "no data.alignments are given", f"{where}, [training]")
    elif arch == "rnn":
        raise ConfigError(f"{where}: data.alignments teach attention, and an rnn has none. Take another architecture.")
    elif tokens.dropout:
        raise ConfigError(
            f"{where}: data.alignments and tokens.dropout cannot go together: links are between pieces that stay the "
            "same. Leave one of them out."
        )


def _check_stays(key: str, found: Any, expected: Any, base: str, where: str) -> None:
    if found != expected:
        raise ConfigError(
            f"{where}: {key} is {expected!r} in {base} and cannot become {found!r}: a model that goes on keeps its "
            "sizes and its tokenizer. Dropout may be changed; for another model use `regard train`."
        )
