"""Writes docs/settings.md: every setting, from the dataclasses that are made of them and the comments beside them.

`make docs` runs it; a test holds the page to the code.
"""

import ast
import dataclasses
import inspect
import io
import tokenize
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from regard.config import from_dict, to_dict
from regard.models import MODELS
from regard.runs import finetune_settings, pretrain_settings, settings, sizes
from regard.training.distil import DistilSettings, TranslatorDistilSettings
from regard.training.plan import TrainingPlan

PAGE = Path(__file__).with_suffix(".md")
_INTRODUCTION = """# Settings

Every setting of `regard train`, `regard finetune`, `regard pretrain` and `regard distil`. (Written by `make docs` from
the code; do not edit.) They stand in the tables of a TOML file, `-c settings.toml`, or are given one by one, `--set
training.seed=2`, which goes before the file. What is not set takes its default, or what fits data and model; the run
folder's `config.toml` says all of them. One that is unknown, or would do nothing, is refused. `-`: nothing, or what the
rest of the command line says.

```toml
[training]
max_steps = 5_000
learning_rate = 1e-3

[model]
dropout = 0.2
```
"""
_ABSENT = "-"


def page() -> str:
    """The text of docs/settings.md."""
    blocks = [
        _INTRODUCTION,
        "## [training], of all commands",
        _table(TrainingPlan),
        "Commands begin with other defaults, some of them by the size of model and data. For example:",
        _rows(("command", "defaults"), _plans()),
        "`bf16_products` is true there wherever the processor is fast at them, and does nothing elsewhere.",
        "## Translators: `regard train`, `regard finetune` with --task translate, `regard distil`",
        "### [model]",
        "`arch` is one of " + ", ".join(f"`{arch}`" for arch in MODELS) + "; sizes follow the number of pairs:",
        _rows(("arch", "pairs", "sizes"), _sizes()),
    ]
    for arch, (config, _) in MODELS.items():
        blocks += [f"### [model] of `{arch}`", _table(config, leave_out=("vocab_size",))]
    for name, config in (
        ("tokens", settings.TokenSettings),
        ("data", settings.DataSettings),
        ("distil", TranslatorDistilSettings),
    ):
        blocks += [f"### [{name}]", _table(config)]
    blocks += [
        "## Running text: `regard pretrain`, `regard finetune` with --task lm, `regard distil` of masked words",
        "### [model]",
        _table(pretrain_settings.ModelSettings),
        "### [data]",
        _table(pretrain_settings.CorpusSettings),
        "## Labels: `regard finetune`, `regard distil`",
        "### [model]",
        _table(finetune_settings.HeadSettings),
        "### [data]",
        _table(finetune_settings.LabelledData),
        "## Students of encoders: `regard distil`",
        "### [distil]",
        _table(DistilSettings),
    ]
    return "\n\n".join(block.strip("\n") for block in blocks) + "\n"


def _table(config: type, leave_out: tuple[str, ...] = ()) -> str:
    """The fields of a dataclass: name, values, default, meaning."""
    meanings, kinds = _comments(config), typing.get_type_hints(config)
    rows = [
        (f"`{field.name}`", _kind(kinds[field.name]), _default(field), meanings.get(field.name, ""))
        for field in dataclasses.fields(config)
        if field.name not in leave_out
    ]
    return _rows(("setting", "values", "default", "meaning"), rows)


def _rows(titles: tuple[str, ...], rows: typing.Iterable[tuple[str, ...]]) -> str:
    lines = [titles, tuple("---" for _ in titles), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _comments(config: type) -> dict[str, str]:
    """What the comments beside the fields say, or above them; those of classes that it is made from too."""
    found: dict[str, str] = {}
    for each in reversed(config.__mro__):
        if not dataclasses.is_dataclass(each):
            continue
        source = inspect.getsource(each)
        found_tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        marks = [mark for mark in found_tokens if mark.type == tokenize.COMMENT]
        notes = {mark.start[0]: mark.string.removeprefix("#").strip() for mark in marks}
        alone = {mark.start[0] for mark in marks if not mark.line[: mark.start[1]].strip()}
        tree = ast.parse(source).body[0]
        assert isinstance(tree, ast.ClassDef)
        for statement in tree.body:
            if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
                continue
            first = line = statement.lineno
            while first - 1 in alone:
                first -= 1
            said = [notes[number] for number in range(first, line) if number in notes]
            said += [notes[line]] if line in notes else []
            if said or statement.target.id not in found:
                found[statement.target.id] = " ".join(said)
    return found


def _kind(kind: Any) -> str:
    """The values that a setting takes, in words."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin in (typing.Union, types.UnionType):
        return _kind(next(each for each in inner if each is not type(None)))
    if origin is tuple:
        return f"list of {_kind(inner[0])}s"
    return {bool: "true, false", int: "whole number", float: "number", str: "text"}[kind]


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is dataclasses.MISSING or field.default is None:
        return _ABSENT
    return _value(field.default)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[]"
    return f'"{value}"' if isinstance(value, str) else f"{value:_}" if isinstance(value, int) else f"{value:g}"


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_value(value)}" for key, value in values.items() if key != "bf16_products")


def _plans() -> Iterator[tuple[str, str]]:
    """What some commands begin with where it is not the default."""
    usual = to_dict(TrainingPlan())

    def differing(plan: TrainingPlan) -> str:
        return _listed({key: value for key, value in to_dict(plan).items() if value != usual[key]})

    data = settings.DataSettings(train=("pairs.tsv",))
    for arch in ("transformer", "rnnsearch"):
        plan = settings.settings_from({}, data, 30_000, arch, "settings").training
        yield f"`train --arch {arch}`, 30,000 pairs", differing(plan)
    going_on = from_dict(TrainingPlan, sizes.continued("transformer", 512), "settings")
    yield "`finetune --task translate`, a Transformer 512 wide", differing(going_on)
    for base in ("bert-mini", "gpt2-small"):
        model = pretrain_settings.ModelSettings(base=base)
        yield f"`pretrain --arch {base}`", differing(pretrain_settings.plan_from({}, model, "settings"))
    plan = finetune_settings.plan_from({}, "classify", 384, lambda draft: 100, "settings")
    yield "`finetune --task classify`, an encoder 384 wide, 100 batches in an epoch", differing(plan)


def _sizes() -> Iterator[tuple[str, str, str]]:
    for arch in MODELS:
        for pairs, words in ((1, "under 50,000"), (50_000, "under 500,000"), (500_000, "more")):
            found = sizes.defaults(arch, pairs)
            yield f"`{arch}`", words, _listed({**found["model"], "patience": found["training"]["patience"]})


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
