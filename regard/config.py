"""Frozen dataclasses to and from plain data: JSON in a model folder, TOML in a run folder.

A configuration is closed: a key that the dataclass does not have is an error, never ignored. Values are data only:
no class names are looked up and nothing from the environment enters.
"""

import dataclasses
import json
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from regard.errors import ConfigError

Config = TypeVar("Config")
Choice = TypeVar("Choice")


def from_dict(cls: type[Config], values: Mapping[str, Any], where: str) -> Config:
    """Build a configuration dataclass from plain values.

    Args:
        cls: a dataclass whose fields are bool, int, float, str, a union of these with None, or tuples of them.
        values: the fields by name; missing ones take their defaults.
        where: what the values were read from, for messages ("model.toml, [training]").

    Raises:
        ConfigError: unknown or missing key, a value of another type, or one that the dataclass refuses.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected a table of settings, found {_kind(values)}.")
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ConfigError(
            f"{where}: unknown setting {', '.join(unknown)}. Known settings are {', '.join(sorted(fields))}."
        )
    required = [
        name
        for name, field in fields.items()
        if name not in values and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if required:
        raise ConfigError(f"{where}: setting {', '.join(required)} is missing.")
    expected_types = typing.get_type_hints(cls)
    found = {name: _convert(value, expected_types[name], f"{where}, {name}") for name, value in values.items()}
    try:
        return cls(**found)
    except ConfigError as error:  # the class does not know where its values stand
        raise ConfigError(f"{where}: {error}") from error


def check_tables(tables: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    """Refuse what stands in a file of settings and is none of its tables.

    Args:
        known: the tables' names.

    Raises:
        ConfigError: an unknown table, or a single value in the place of one.
    """
    if unknown := sorted(set(tables) - set(known)):
        listed = ", ".join(f"[{name}]" for name in known)
        raise ConfigError(f"{where}: unknown table [{unknown[0]}]. Known are {listed}.")
    for name, table in tables.items():
        if not isinstance(table, Mapping):
            raise ConfigError(f"{where}: {name} must be a table of settings, [{name}], found {table!r}.")


def refuse_idle(config: Any, idle: Mapping[str, Any], why: str, where: str) -> None:
    """Refuse settings that would do nothing, rather than pass over them in silence.

    Args:
        idle: fields of `config` that nothing here reads, with the values that say so.
        why: for the message.

    Raises:
        ConfigError: one of them has another value.
    """
    if name := next((name for name, value in idle.items() if getattr(config, name) != value), None):
        raise ConfigError(f"{where}: {name} does nothing here: {why}. Leave it out.")


def to_dict(config: Any) -> dict[str, Any]:
    """The fields of a configuration dataclass as plain values (tuples become lists)."""
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config) if field.init}


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: the file is missing, is not UTF-8, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:  # also bytes that are no text, and numbers of thousands of digits
        raise ConfigError(f"{path}: is not valid TOML ({error}).") from error


def to_toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Write sections of plain values as TOML. None is left out: TOML has no word for it."""
    blocks = []
    for name, values in sections.items():
        lines = [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in values.items() if value is not None)]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def one_of(value: str, choices: Sequence[Choice], what: str) -> Choice:
    """The choice that a text names.

    Args:
        what: what it is the name of, for the message.

    Raises:
        ConfigError: it is none of them.
    """
    for choice in choices:
        if value == choice:
            return choice
    raise ConfigError(f"{what} {value!r} is unknown. Known are {', '.join(map(str, choices))}.")


def parse_setting(text: str) -> tuple[str, str, Any]:
    """Read one `--set section.key=value`; the value is TOML, or else taken as a string.

    Raises:
        ConfigError: not of the form section.key=value.
    """
    left, equals, value = text.partition("=")
    section, dot, key = left.strip().partition(".")
    if not (equals and dot and section and key):
        raise ConfigError(f"--set {text}: expected section.key=value, for example training.learning_rate=0.001.")
    try:
        table = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        table = {}
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"--set {section}.{key}: cannot be read ({error}).") from error
    return section, key, table["value"] if len(table) == 1 else value.strip()


def _convert(value: Any, expected: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        choices = [argument for argument in arguments if argument is not type(None)]
        return _convert(value, choices[0], where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where}: expected a list, found {_kind(value)}.")
        return tuple(_convert(item, arguments[0], where) for item in value)
    if origin is typing.Literal:
        if value not in arguments:
            raise ConfigError(f"{where}: expected one of {', '.join(map(str, arguments))}, found {value!r}.")
        return value
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ConfigError(f"{where}: is too large for a number.") from None
    if expected in (int, float, str, bool) and type(value) is not expected:
        raise ConfigError(f"{where}: expected {_NAMES[expected]}, found {_kind(value)}.")
    return value


_NAMES: dict[type, str] = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def _kind(value: Any) -> str:
    return f"{_NAMES.get(type(value), type(value).__name__)} ({value!r})"


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML escapes this one too
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return repr(value)
