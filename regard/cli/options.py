"""What several commands share: options, and how their values are read."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from regard.errors import ConfigError, InputError
from regard.formats.files import has_half_character

Data = TypeVar("Data")

DataArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="DATA...",
        help="Two line-aligned files, or TSV, JSONL, TMX, PO files (each optionally FILE:WEIGHT), or world[:N].",
    ),
]
FromOption = Annotated[str, typer.Option("--from", help="Source language (BCP-47), where names or files need it.")]
ToOption = Annotated[str, typer.Option("--to", help="Target language (BCP-47).")]
LanguageOption = Annotated[
    str, typer.Option(help="Language of the text (BCP-47), for pages and the model card; else the model's own.")
]
ReverseOption = Annotated[bool, typer.Option("--reverse", help="Translate from the second side to the first.")]
NoFilterOption = Annotated[bool, typer.Option("--no-filter", help="Use every pair, even one that looks wrong.")]
DocumentsOption = Annotated[str, typer.Option(help="What a document is: paragraphs, lines or files.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print results as JSON, for machines.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="TOML file of settings; docs/settings.md lists them.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="a.b=c", help="One setting, such as training.seed=2; see docs/settings.md."),
]
LabelOption = Annotated[str, typer.Option(metavar="COLUMN", help="Column of the label: a name, or a number from 1.")]
TextOption = Annotated[
    list[str] | None, typer.Option(metavar="COLUMN", help="Column of the text; repeat it to join several.")
]
SplitLongOption = Annotated[
    bool,
    typer.Option(
        "--split-long",
        help="Texts longer than an encoder takes are read in overlapping stretches; else they are left out or refused.",
    ),
]
Float32Option = Annotated[
    bool, typer.Option("--float32", help="An encoder multiplies in float32 also where bfloat16 is faster.")
]
OutOption = Annotated[
    str, typer.Option("--out", "-o", help="File (folder for several inputs, or with / at its end); else stdout.")
]
OtherOption = Annotated[str, typer.Option(metavar="COLUMN", help="Column of the second text of a pair.")]


def read_tables(config: Path | None, settings: list[str] | None) -> tuple[dict[str, dict[str, Any]], str]:
    """The settings a person gave: a file's, with single values put over them; and where they stand, for messages."""
    from regard.config import parse_setting, read_toml

    tables: dict[str, dict[str, Any]] = read_toml(config) if config else {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigError(f"{config}: {name} stands outside any table. Put it under [model] or another.")
    for text in settings or []:
        section, key, value = parse_setting(text)
        tables.setdefault(section, {})[key] = value
    given = [str(config)] if config else []
    return tables, " and ".join([*given, "--set"] if settings else given) or "settings"


def data_table(
    kind: type[Data], tables: dict[str, dict[str, Any]], where: str, *, train: list[str], **options: object
) -> Data:
    """The [data] table, taken out of the others, with what the command line says put over it.

    Args:
        options: an empty one says nothing; of those that are on or off only `filter` can be turned off.
    """
    from regard.config import from_dict

    said = {key: value for key, value in options.items() if value or (key, value) == ("filter", False)}
    return from_dict(kind, {**tables.pop("data", {}), **said, "train": train}, f"{where}, [data]")


def refuse_options(what: str, options: Mapping[str, object]) -> None:
    """Refuse options that were given though they say nothing of what is done.

    Args:
        options: by their names in Python; what is empty, None or False was not given.
    """
    spelt = {"source_language": "--from", "target_language": "--to"}
    given = [spelt.get(name, f"--{name.replace('_', '-')}") for name, value in options.items() if value]
    if given:
        raise ConfigError(f"{', '.join(given)}: says nothing of {what}. Leave it out.")


def check_run_folder(out: Path) -> None:
    """A mistake in --out shows before the data is read.

    Raises:
        InputError: it is no folder.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file. --out names the folder of the run.")


def length_edges(lengths: str) -> tuple[int, ...]:
    try:
        edges = tuple(int(edge) for edge in lengths.split(","))
    except ValueError as error:
        raise ConfigError(f"--lengths {lengths}: expected whole numbers with commas, such as 10,20,30.") from error
    if any(low >= high for low, high in zip((0, *edges), edges, strict=False)):
        raise ConfigError(f"--lengths {lengths}: the numbers must ascend from 1 or more, such as 10,20,30.")
    return edges


def check_text(*arguments: str | None) -> None:
    """Refuse text of the command line that is not UTF-8.

    Raises:
        InputError: one of them is not.
    """
    for text in arguments:
        if text is not None and has_half_character(text):
            raise InputError(f"{text[:60]!a}: is not UTF-8. Convert the text first, for example with iconv.")


def say(text: str) -> None:
    """A line for people."""
    print(text, file=sys.stderr, flush=True)
