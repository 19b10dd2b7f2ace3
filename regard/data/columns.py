"""Columns of labelled data: which are label and texts, as they were named or by habit, and what a row has there."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regard.errors import ConfigError, DataError
from regard.formats.files import kind_suffix, one_line
from regard.formats.tables import Record

_LABEL_NAMES, _TEXT_NAMES = ("label",), ("text", "sentence", "sentence1")
_OTHER_NAMES = ("other", "text_pair", "sentence2")
_WORD_KEYS, _TAG_KEYS = ("words", "tokens"), ("tags", "ner_tags")
# What stands over columns; two of these in a first row, and it is no label and no text.
_HEADING_WORDS = frozenset(
    {"answer", "body", "category", "class", "comment", "content", "description", "hypothesis", "id", "idx", "index"}
    | {"label", "message", "other", "premise", "question", "rating", "review", "score", "sentence", "sentence1"}
    | {"sentence2", "sentiment", "stars", "target", "text", "text_pair", "title", "topic", "tweet"}
)


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Where label and text stand: names of a heading or of JSON keys, or numbers from 1. Empty: the usual names.

    Without a heading that has the usual names: the label in column 1, the text in 2, the second text of a pair in 3.
    """

    label: str = ""
    text: tuple[str, ...] = ()  # several are joined with a space
    other: str = ""  # the second text of a pair

    def __post_init__(self) -> None:
        given = [name for name in (self.label, *self.text, self.other) if name]
        numbers = [name for name in given if name.isdecimal()]
        if numbers and len(numbers) < len(given):
            raise ConfigError(f"columns {', '.join(given)}: give names only, or numbers only.")
        if any(int(name) == 0 for name in numbers):
            raise ConfigError("column 0: columns are counted from 1.")


@dataclass(frozen=True)
class Places:
    """Where in a record label and texts stand."""

    label: Any  # places (int) or keys (str); None: only the texts are asked for
    text: tuple[Any, ...]
    other: Any
    heading: bool  # the first row is no text

    @classmethod
    def find(cls, path: Path, first: Record, columns: Columns, *, pair: bool) -> "Places":
        """Where a file's first row says that they stand, or what was named of it.

        Raises:
            DataError: it cannot be told, or what was named is not there.
        """
        if isinstance(first.values, dict):
            keys = list(first.values)
            return cls(*_by_name(path, first.line, keys, keys, columns, pair), heading=False)
        cells = [str(cell).strip() for cell in first.values]
        _check_separator(path, first.line, cells)
        given = [name for name in (columns.label, *columns.text, columns.other) if name]
        named = bool(given) and not given[0].isdecimal()
        lowered = [cell.lower() for cell in cells]
        usual = not given and _usual(_LABEL_NAMES, lowered) and _usual(_TEXT_NAMES, lowered)
        if named or usual:
            where = cells if named else lowered
            label, text, other = _by_name(path, first.line, where, cells, columns, pair)
            places = [where.index(name) for name in text]
            return cls(where.index(label), tuple(places), where.index(other) if other else None, heading=True)
        if not given and _is_heading(lowered):
            raise _no_column(path, first.line, (), cells, pair, "this looks like a heading, but ")
        numbers = [int(columns.label or 1) - 1, *(int(name) - 1 for name in columns.text or ("2",))]
        other_place = int(columns.other or 3) - 1 if pair or columns.other else None
        return cls(numbers[0], tuple(numbers[1:]), other_place, heading=False)

    @classmethod
    def of_texts(cls, path: Path, first: Record, columns: Columns, *, pair: bool, words: bool) -> "Places":
        """The same without a label."""
        names = [str(name).strip() for name in first.values]  # of a JSON object its keys
        given = [name for name in (*columns.text, columns.other) if name]
        is_table = not isinstance(first.values, dict)
        if is_table and given and given[0].isdecimal():
            if not columns.text or (pair and not columns.other):
                raise _no_texts(path, first.line, (), names, pair)
            places = [int(name) - 1 for name in given]
            return cls(None, tuple(places[: len(columns.text)]), places[-1] if columns.other else None, heading=False)
        if is_table:
            _check_separator(path, first.line, names)
        lowered = [name.lower() for name in names]
        if is_table and not given and not _usual(_TEXT_NAMES, lowered):
            headed = _is_heading(lowered) or (len(names) == 1 and lowered[0] in _HEADING_WORDS)
            if headed or len(names) != 1 + pair:
                raise _no_texts(path, first.line, (), names, pair)
            return cls(None, (0,), 1 if pair else None, heading=False)
        where = lowered if is_table and not given else names
        text, other = _text_names(where, columns, pair)
        if words and not is_table and not columns.text:
            text = _some(_usual(_WORD_KEYS, where)) or text
        missing = [name for name in (*text, other) if name and name not in where]
        if missing or not text or (pair and not other):
            raise _no_texts(path, first.line, missing, names, pair)
        if not is_table:
            return cls(None, text, other, heading=False)
        return cls(None, tuple(map(where.index, text)), where.index(other) if other else None, heading=True)

    def __str__(self) -> str:
        """For people."""
        texts = [place for place in (*self.text, self.other) if place not in (None, "")]
        named = [repr(place) if isinstance(place, str) else f"column {place + 1}" for place in (self.label, *texts)]
        return f"label from {named[0]}, text from {' and '.join(named[1:])}"

    def take(self, path: Path, record: Record, words: bool = False) -> tuple[str, str, str]:
        """Label, text and second text ("" if there is none, or none is asked for)."""
        values: Any = record.values
        try:
            label = "" if self.label is None else values[self.label]
            texts = [_of_words(path, record.line, values[place]) if words else values[place] for place in self.text]
            other = "" if self.other in (None, "") else values[self.other]
        except (IndexError, KeyError) as error:
            by_number = isinstance(error, IndexError)
            places = [place for place in (self.label, *self.text, self.other) if isinstance(place, int)]
            expected = f"at least {max(places) + 1} columns" if by_number else f"the key {error}"
            options = "--text and --other" if self.label is None else "--label, --text and --other"
            raise DataError(
                f"{path}, line {record.line:,}: {len(values)} {'columns' if by_number else 'keys'}; {expected} "
                f"were expected. Repair or remove the row, or name the columns with {options}."
            ) from error
        for value in (*texts, other):
            if not isinstance(value, str):
                advice = (
                    " For tags of a list of words give --words." if self.label is None and are_strings(value) else ""
                )
                raise DataError(
                    f"{path}, line {record.line:,}: the text is {value!r:.40}, a string was expected.{advice}"
                )
        if not isinstance(label, str | int | float):
            raise DataError(
                f"{path}, line {record.line:,}: the label is {label!r:.40}, a string or number was expected."
            )
        text = " ".join(part for part in (clean(each) for each in texts) if part)
        return clean(str(label)), text, clean(other)


def word_keys(path: Path, record: Record, columns: Columns) -> tuple[str, str]:
    """The keys under which a row of JSON lines has its words and their tags; "" where none can be told.

    Raises:
        DataError: one that was named is not there.
    """
    keys = [str(key) for key in record.values]
    word_key, tag_key = "".join(columns.text) or _usual(_WORD_KEYS, keys), columns.label or _usual(_TAG_KEYS, keys)
    if missing := [key for key in (word_key, tag_key) if key and key not in keys]:
        raise _no_column(path, record.line, missing, keys, pair=False)
    return word_key, tag_key


def check_width(record: Record, num_columns: int, where: str) -> None:
    """Refuse a row of more or fewer columns than the first: a comma in a text without quotes makes columns of it, and
    the rest of the text would be lost.

    Raises:
        DataError: it has another number of them.
    """
    if not isinstance(record.values, dict) and len(record.values) != num_columns:
        raise DataError(
            f"{where}: found {len(record.values)} columns, expected {num_columns} as in the first row. "
            "Repair the row; in .csv a text with commas stands in quotes."
        )


def are_strings(value: Any) -> bool:
    """Whether it is a list of strings, as words and their tags are."""
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def clean(text: str) -> str:
    """A cell as one line without tabs."""
    return one_line(text).replace("\t", " ").strip()


def _of_words(path: Path, line: int, text: Any) -> Any:
    """A list of words as one text in which they can be told again; anything else as it is."""
    if not are_strings(text):
        return text
    words = [clean(word) for word in text]
    for number, word in enumerate(words, 1):
        if not word or " " in word:
            raise DataError(
                f"{path}, line {line:,}: word {number} is {word[:40]!r}; words without spaces were expected, as each "
                "gets one tag. Remove it, or make several words of it."
            )
    return " ".join(words)


def _by_name(
    path: Path, line: int, names: Sequence[str], shown: Sequence[str], columns: Columns, pair: bool
) -> tuple[str, tuple[str, ...], str]:
    """The names of label, text and second text: those that a person gave, else usual ones.

    Args:
        names: that are there.
        shown: the same as they stand in the file, for the message.
    """
    label = columns.label or _usual(_LABEL_NAMES, names)
    text, other = _text_names(names, columns, pair)
    missing = [name for name in (label, *text, other) if name and name not in names]
    if missing or not label or not text or (pair and not other):
        raise _no_column(path, line, missing, shown, pair)
    return label, text, other


def _text_names(names: Sequence[str], columns: Columns, pair: bool) -> tuple[tuple[str, ...], str]:
    """The names of text and second text, as `_by_name`; empty where there are none."""
    text = columns.text or _some(_usual(_TEXT_NAMES, names))
    return text, columns.other or (_usual(_OTHER_NAMES, names) if pair else "")


def _usual(names: Sequence[str], present: Sequence[str]) -> str:
    return next((name for name in names if name in present), "")


def _some(name: str) -> tuple[str, ...]:
    return (name,) if name else ()


def _is_heading(cells: Sequence[str]) -> bool:
    """Whether a first row, in small letters, can be nothing but the names of columns that we do not know."""
    return sum(cell in _HEADING_WORDS for cell in cells) >= 2 and all(len(cell.split()) <= 3 for cell in cells)


def _no_column(
    path: Path, line: int, missing: Sequence[str], found: Sequence[str], pair: bool, first: str = ""
) -> DataError:
    told = f"no column {', '.join(map(repr, missing))}" if missing else "no label or no text column can be told"
    listed = ", ".join(repr(name[:30]) for name in found[:8]) or "none"
    options = "--label and --text" + (" and --other" if pair else "")
    numbers = ", or by their numbers if it is none" if first else ""
    return DataError(
        f"{path}, line {line:,}: {first}{told}; there are {listed}. Name the columns with {options}{numbers}."
    )


def _no_texts(path: Path, line: int, missing: Sequence[str], found: Sequence[str], pair: bool) -> DataError:
    told = "it cannot be told which columns are the two texts" if pair else "it cannot be told which column is the text"
    what = f"no column {', '.join(map(repr, missing))}" if missing else told
    listed = ", ".join(repr(name[:30]) for name in found[:8]) or "none"
    options = "the texts with --text and --other" if pair else "the text with --text"
    how = "by its key" if kind_suffix(path) == ".jsonl" else "by its name in the heading or by number (--text 1)"
    lists = " For tags of lists of words give --words." if not pair and _usual(_WORD_KEYS, found) else ""
    return DataError(f"{path}, line {line:,}: {what}; found {len(found)}: {listed}. Name {options}, each {how}.{lists}")


def _check_separator(path: Path, line: int, cells: Sequence[str]) -> None:
    """A first row of one column in which something else than commas parts columns; in prose a space follows ";"."""
    if kind_suffix(path) != ".csv" or len(cells) != 1:
        return
    for separator, named, remedy in ((";", "semicolons", "with tabs as .tsv"), ("\t", "tabs", "name it .tsv")):
        _, _, after = cells[0].partition(separator)
        if after and not after.startswith(" "):
            raise DataError(
                f"{path}, line {line:,}: {cells[0][:60]!r} is one column; in .csv commas part columns, and these seem "
                f"to be parted by {named}. Save the file with commas, or {remedy}."
            )
