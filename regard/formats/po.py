"""Gettext catalogues (.po): message -> translation."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from regard.errors import DataError
from regard.formats.files import MAX_LINE_BYTES, TOO_LONG, Row, one_line, read_lines

_KEYWORD = re.compile(r"(msgctxt|msgid_plural|msgid|msgstr)(?:\[(\d{1,3})\])?[ \t]*(?=\")")
_STRING = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"[ \t]*')
_ESCAPE = re.compile(r"((?:\\[0-7]{1,3}|\\x[0-9a-fA-F]{1,2})+)|\\(.)", re.DOTALL)
_BYTE = re.compile(r"\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3}))")
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_SIMPLE |= {character: character for character in "\\\"'?"}


@dataclass(slots=True)
class _Entry:
    line: int = 0
    fuzzy: bool = False
    texts: dict[str, list[str]] = field(default_factory=dict)  # "msgid", "msgstr[0]", ... -> its strings
    size: int = 0  # characters in all texts


def read_pairs(path: Path) -> Iterator[Row]:
    """The translated messages; line breaks inside a text become spaces.

    A message with plural gives (msgid, msgstr[0]) and (msgid_plural, msgstr[1]). Header, fuzzy, obsolete (#~) and
    untranslated entries give nothing; contexts are ignored.

    Raises:
        DataError: the file cannot be read as text (see `read_lines`), a line is not PO, an entry is not whole, or
            there is no translated entry at all.
    """
    num_rows = 0
    for entry in _entries(path):
        for row in _rows(entry):
            num_rows += 1
            yield row
    if num_rows == 0:
        raise DataError(f"{path}: no entry is translated. Pairs were expected. Give a catalogue with filled-in msgstr.")


def _rows(entry: _Entry) -> Iterator[Row]:
    texts = {name: "".join(strings) for name, strings in entry.texts.items()}
    if entry.fuzzy or (texts["msgid"] == "" and "msgctxt" not in texts):
        return
    unusable = TOO_LONG if entry.size > MAX_LINE_BYTES else None
    sides = (
        [("msgid", "msgstr[0]"), ("msgid_plural", "msgstr[1]")] if "msgid_plural" in texts else [("msgid", "msgstr")]
    )
    for source, target in sides:
        if unusable or texts.get(target):
            yield Row(entry.line, one_line(texts[source]), one_line(texts.get(target, "")), unusable)
        if unusable:
            return


def _entries(path: Path) -> Iterator[_Entry]:
    entry = _Entry()
    current: list[str] | None = None  # the text that a continuation line belongs to
    for number, line in enumerate(read_lines(path), 1):
        where = f"{path}, line {number:,}"
        if line is None:
            raise DataError(
                f"{where}: longer than {MAX_LINE_BYTES:,} bytes. PO text is wrapped. Rewrap it with msgcat."
            )
        line = line.strip(" \t\r")
        if not line:
            continue
        keyword = _KEYWORD.match(line)
        begins = line[0] == "#" or (keyword is not None and keyword[1] in ("msgctxt", "msgid"))
        if begins and any(name.startswith("msgstr") for name in entry.texts):
            yield _whole(entry, path)
            entry = _Entry()
        if line[0] == "#":
            current = None
            if line[1:2] in (",", "="):
                entry.fuzzy |= "fuzzy" in (flag.strip() for flag in line[2:].split(","))
            elif line[1:2] == "~":
                entry.fuzzy = False  # what was said so far was said of an obsolete entry
            continue
        if keyword is not None:
            name = keyword[1] + (f"[{int(keyword[2])}]" if keyword[2] else "")
            if problem := _misplaced(name, entry):
                raise DataError(f"{where}: {problem}. Each entry is msgid, then msgstr. Repair it (msgfmt -c helps).")
            entry.line = entry.line or number
            current = entry.texts[name] = []
        if current is None or not (keyword or line[0] == '"'):
            raise DataError(
                f"{where}: {line[:60]!r} is not PO. A comment, a msgid or msgstr, or a text in quotes was expected. "
                f"Repair it (msgfmt -c helps)."
            )
        text = _text(line, keyword.end() if keyword else 0, where)
        entry.size += len(text)
        if entry.size <= MAX_LINE_BYTES:
            current.append(text)
    if entry.texts:
        yield _whole(entry, path)


def _misplaced(name: str, entry: _Entry) -> str | None:
    """What is wrong with `name` at this place of the entry, if anything."""
    if name in entry.texts:
        return f"a second {name} in one entry"
    if "[" in name and not name.startswith("msgstr["):
        return f"{name} cannot have a number"
    if name.startswith("msgstr") and "msgid" not in entry.texts:
        return f"{name} without msgid"
    if name.startswith("msgstr") and ("[" in name) != ("msgid_plural" in entry.texts):
        return f"{name} does not fit: msgstr[0], msgstr[1], ... go with msgid_plural, msgstr goes without"
    if name == "msgid_plural" and ("msgid" not in entry.texts or "msgstr" in entry.texts):
        return "msgid_plural must follow msgid"
    if name == "msgctxt" and entry.texts:
        return "msgctxt must come before msgid"
    return None


def _whole(entry: _Entry, path: Path) -> _Entry:
    if any(name.startswith("msgstr") for name in entry.texts):
        return entry
    raise DataError(
        f"{path}, line {entry.line:,}: the entry has no msgstr. Each entry is msgid, then msgstr. "
        f"Repair it (msgfmt -c helps), or fetch the file again if it ends here."
    )


def _text(line: str, start: int, where: str) -> str:
    """The text of the strings in quotes that fill the line from `start` on."""
    texts = []
    while start < len(line):
        string = _STRING.match(line, start)
        if string is None:
            raise DataError(
                f"{where}: {line[start : start + 60]!r} is not a text in quotes. Quotes and backslashes inside a text "
                f"need a backslash before them. Repair it (msgfmt -c helps)."
            )
        texts.append(string[1])
        start = string.end()
    text = "".join(texts)
    return _ESCAPE.sub(lambda escape: _unescaped(escape, where), text) if "\\" in text else text


def _unescaped(escape: re.Match[str], where: str) -> str:
    try:
        if escape[1] is None:
            return _SIMPLE[escape[2]]
        codes = [
            int(hexadecimal, 16) if hexadecimal else int(octal, 8) for hexadecimal, octal in _BYTE.findall(escape[1])
        ]
        return bytes(codes).decode("utf-8")
    except (KeyError, ValueError) as error:
        raise DataError(
            f'{where}: the escape {escape[0][:20]!r} means nothing here. Known are \\n \\t \\\\ \\" and the bytes of '
            f"UTF-8 text in octal or hexadecimal. Repair it (msgfmt -c helps)."
        ) from error
