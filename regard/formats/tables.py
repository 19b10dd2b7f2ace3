"""Rows of columns: CSV with its quoting, TSV without any, one JSON object a line; and words with their tags."""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from regard.errors import DataError
from regard.formats.files import TOO_LONG, has_half_character, kind_suffix, read_lines, text_lines

_COMMENT = re.compile(r"# *[^ \t]+ = ")  # of CoNLL-U; a word "#" has its tag and nothing else

SUFFIXES = (".csv", ".tsv", ".jsonl")
MAX_FIELD_CHARACTERS = 1_000_000
BROKEN_CHARACTER = "with half a character"


class Record(NamedTuple):
    """One row as it stands in a file."""

    line: int  # 1-based, where it begins
    values: Sequence[Any] | dict[str, Any]  # by place in CSV and TSV (strings); by key in JSON lines
    unusable: str | None = None  # a reason for which the row cannot be used; its values are not whole


class Sentence(NamedTuple):
    """Words and their tags."""

    line: int  # 1-based, of the first word
    words: list[str]
    tags: list[str]


def read_records(path: Path) -> Iterator[Record]:
    """Every row of a CSV, TSV or JSONL file, told by its suffix; a heading is a row like any other.

    Raises:
        DataError: another suffix, a file that cannot be read as text (see `read_lines`), a quote that is never closed,
            or a line that is no JSON object.
    """
    match kind_suffix(path):
        case ".csv":
            return _csv(path)
        case ".tsv":
            return _tsv(path)
        case ".jsonl":
            return _jsonl(path)
    raise DataError(f"{path}: a table of labelled texts was expected, a file that ends in {', '.join(SUFFIXES)}.")


def read_sentences(path: Path) -> Iterator[Sentence]:
    """Tagged sentences: a word and its tag a line (first and last column, tabs or spaces), an empty line between two.

    Lines that begin with "-DOCSTART-" part documents and are left out, as in CoNLL 2003, and so are those before a
    sentence that say something of it, "# sent_id = 1", as in CoNLL-U.

    Raises:
        DataError: the file cannot be read as text, or a line has one column only.
    """
    words: list[str] = []
    tags: list[str] = []
    first = 1
    for number, line in text_lines(path):
        if not words and _COMMENT.match(line):
            continue
        # Other white space, such as a no-break space in a number, is part of a word.
        columns = line.split("\t") if "\t" in line else [column for column in line.split(" ") if column]
        columns = [column.strip(" \r") for column in columns]
        if not any(columns) or columns[0] == "-DOCSTART-":
            if words:
                yield Sentence(first, words, tags)
            words, tags = [], []
            continue
        if len(columns) < 2 or not columns[0] or not columns[-1]:
            raise DataError(
                f"{path}, line {number:,}: {line[:60]!r} is not a word and its tag. "
                "Each line must have both, with a tab or space between; sentences are parted by an empty line."
            )
        if not words:
            first = number
        words.append(columns[0])
        tags.append(columns[-1])
    if words:
        yield Sentence(first, words, tags)


def _csv(path: Path) -> Iterator[Record]:
    csv.field_size_limit(max(MAX_FIELD_CHARACTERS, csv.field_size_limit()))  # of the whole program: never lowered
    lines = (f"{line}\n" for _, line in text_lines(path))
    rows = csv.reader(lines, strict=True)
    begun = 0
    try:
        for row in rows:
            if row:  # an empty line is no row of CSV
                yield Record(begun + 1, row)
            begun = rows.line_num
    except csv.Error as error:
        raise DataError(
            f"{path}, line {begun + 1:,}: not CSV ({error}). A field with quotes, commas or line breaks stands in "
            'quotes, and a quote in it is doubled: "a ""word"", say"; columns are parted by commas. '
            "Repair the row, or use .tsv."
        ) from error


def _tsv(path: Path) -> Iterator[Record]:
    for number, line in enumerate(read_lines(path), 1):
        yield Record(number, [], TOO_LONG) if line is None else Record(number, line.split("\t"))


def _jsonl(path: Path) -> Iterator[Record]:
    for number, line in enumerate(read_lines(path), 1):
        if line is None:
            yield Record(number, {}, TOO_LONG)
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            problem = "an empty line" if not line.strip() else f"not JSON ({error}): {line[:60]!r}"
            raise DataError(f"{path}, line {number:,}: {problem}. Each line must be a JSON object.") from error
        if not isinstance(found, dict):
            raise DataError(f"{path}, line {number:,}: {line[:60]!r} is no JSON object. Each line must be one.")
        if "\\u" in line and has_half_character(json.dumps(found, ensure_ascii=False)):
            yield Record(number, {}, BROKEN_CHARACTER)
            continue
        yield Record(number, found)
