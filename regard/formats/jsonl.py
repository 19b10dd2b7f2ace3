r"""One JSON object a line, in one of the shapes in common use.

{"src": "…", "tgt": "…"}, {"source": "…", "target": "…"} or {"translation": {"en": "…", "pt": "…"}}.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from regard.errors import DataError
from regard.formats.files import TOO_LONG, Row, has_half_character, one_line, read_lines
from regard.formats.languages import choose_pair

_SHAPES = '{"src": …, "tgt": …}, {"source": …, "target": …} or {"translation": {"en": …, "pt": …}}'
_KINDS: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "true or false",
    type(None): "null",
}


def read_pairs(path: Path, source_language: str | None = None, target_language: str | None = None) -> Iterator[Row]:
    """The pair of every line; line breaks inside a text become spaces.

    Languages matter only for the "translation" shape. If they are not given, the first line must have exactly two, and
    their order there holds for the whole file. A text with half a surrogate pair (an escape such as backslash-ud800
    alone, which is no character) gives an unusable row.

    Raises:
        DataError: the file cannot be read as text (see `read_lines`), or a line is not such an object.
    """
    languages = _Languages(source_language, target_language)
    for number, line in enumerate(read_lines(path), 1):
        if line is None:
            yield Row(number, "", "", TOO_LONG)
            continue
        where = f"{path}, line {number:,}"
        source, target = _texts(line, where, languages)
        unusable = None
        if "\\u" in line and has_half_character(source + target):
            source, target, unusable = _replaced(source), _replaced(target), "control characters"
        yield Row(number, one_line(source), one_line(target), unusable)


class _Languages:
    """The languages asked for; those of the first line if none are."""

    def __init__(self, source: str | None, target: str | None):
        self.source, self.target = source, target

    def texts(self, translation: dict[str, object], where: str) -> tuple[object, object]:
        tags = list(translation)
        chosen = choose_pair(tags, self.source, self.target)
        if chosen is None:
            wanted = " and ".join(tag for tag in (self.source, self.target) if tag) or "exactly two languages"
            raise DataError(
                f'{where}: "translation" has {_listed(tags)}, {wanted} expected. '
                f"Name the two with --from and --to, as they stand in the file."
            )
        source, target = tags[chosen[0]], tags[chosen[1]]
        self.source, self.target = self.source or source, self.target or target
        return translation[source], translation[target]


def _texts(line: str, where: str, languages: _Languages) -> tuple[str, str]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:  # ValueError: bad JSON, also a number of thousands of digits
        problem = "an empty line" if not line.strip() else f"not JSON ({error}): {line[:60]!r}"
        raise DataError(f"{where}: {problem}. Each line must be {_SHAPES}. Repair or remove the line.") from error
    if not isinstance(found, dict):
        raise DataError(f"{where}: {_kind(found)}. Each line must be {_SHAPES}. Repair or remove the line.")
    if "src" in found and "tgt" in found:
        source, target = found["src"], found["tgt"]
    elif "source" in found and "target" in found:
        source, target = found["source"], found["target"]
    elif isinstance(found.get("translation"), dict):
        source, target = languages.texts(found["translation"], where)
    else:
        raise DataError(
            f"{where}: an object with {_listed(list(found))}. Each line must be {_SHAPES}. Rename its keys."
        )
    if isinstance(source, str) and isinstance(target, str):
        return source, target
    side, other = ("source", source) if not isinstance(source, str) else ("target", target)
    raise DataError(f"{where}: the {side} is {_kind(other)}. It must be a string. Repair or remove the line.")


def _replaced(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "a number")


def _listed(keys: list[str]) -> str:
    if not keys:
        return "no keys"
    return "the keys " + ", ".join(repr(key[:40]) for key in keys[:8]) + (", …" if len(keys) > 8 else "")
