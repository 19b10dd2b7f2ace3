"""What DATA means to fine-tuning: texts with their labels, pairs of texts, numbers, or words with their tags.

CSV, TSV and JSON lines hold a text and its label a row, columns by name or by number. Tagged words stand a line each
(CoNLL), or as lists in JSON lines. Each file may be FILE:WEIGHT.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy

from regard.config import one_of
from regard.data.holding_out import group_numbers, hold_out_rows
from regard.data.pairs import path_and_weight
from regard.errors import ConfigError, DataError
from regard.formats.files import kind_suffix, one_line
from regard.formats.tables import Record, read_records, read_sentences

LabelTask = Literal["classify", "pair", "regress", "tag"]
Text = str | tuple[str, str]

_LABEL_NAMES, _TEXT_NAMES = ("label",), ("text", "sentence", "sentence1")
_OTHER_NAMES = ("other", "text_pair", "sentence2")
_WORD_KEYS, _TAG_KEYS = ("words", "tokens"), ("tags", "ner_tags")
# What stands over columns; two of these in a first row, and it is no label and no text.
_HEADING_WORDS = frozenset(
    {"answer", "body", "category", "class", "comment", "content", "description", "hypothesis", "id", "idx", "index"}
    | {"label", "message", "other", "premise", "question", "rating", "review", "score", "sentence", "sentence1"}
    | {"sentence2", "sentiment", "stars", "target", "text", "text_pair", "title", "topic", "tweet"}
)
_SHOWN_NAMES = 8  # labels that are listed for people


class TagSpan(NamedTuple):
    """Characters of a text, and their tag."""

    first: int
    end: int
    tag: str


Label = str | tuple[TagSpan, ...]  # of a whole text; of its words


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


@dataclass
class LabelledSet:
    """Texts and their labels, by column. Columns are of equal length."""

    texts: list[Text]
    labels: list[Label]
    weights: numpy.ndarray  # float32, how often an epoch shows each text on average
    skipped: Counter[str]  # rows that cannot be used, by reason
    read_from: str = ""  # the columns that label and text were taken from, for people

    def __len__(self) -> int:
        return len(self.texts)

    def select(self, rows: numpy.ndarray) -> "LabelledSet":
        """The texts with these numbers, in this order."""
        chosen = [self.texts[row] for row in rows], [self.labels[row] for row in rows]
        return LabelledSet(*chosen, self.weights[rows], Counter())

    def names(self) -> list[str]:
        """The different labels or tags, in order."""
        if self.labels and not isinstance(self.labels[0], str):
            return in_order({span.tag for spans in self.labels for span in spans if not isinstance(span, str)})
        return in_order({label for label in self.labels if isinstance(label, str)})

    def line(self) -> str:
        """What was read, for people."""
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(self.skipped.items()))
        read = len(self) + self.skipped.total()
        return f"read {read:,} rows, used {len(self):,}" + (
            f", skipped {self.skipped.total():,} ({reasons})" * bool(reasons)
        )

    def what(self) -> str:
        """Where label and text were found, and which labels there are, for people."""
        names = self.names()
        listed = ", ".join(name[:30] for name in names[:_SHOWN_NAMES])
        more = f" and {len(names) - _SHOWN_NAMES:,} more" if len(names) > _SHOWN_NAMES else ""
        return f"{f'{self.read_from}; ' if self.read_from else ''}{len(names):,} different labels: {listed}{more}"


def load(data: Sequence[str], task: LabelTask, columns: Columns) -> LabelledSet:
    """The labelled texts of all files, in order.

    Raises:
        DataError: a file cannot be read as what its name says, a column is missing, a number is none, or nothing is
            left.
    """
    if not data:
        raise DataError("No data was named. Give TSV, CSV or JSONL files; for tags also files of words and tags.")
    texts: list[Text] = []
    labels: list[Label] = []
    weights: list[float] = []
    skipped: Counter[str] = Counter()
    read_from: dict[str, None] = {}  # in their order, each once
    for argument in data:
        path, weight = path_and_weight(argument)
        rows = _tagged(path, columns) if task == "tag" else _labelled(path, task, columns, read_from)
        for text, label, reason in rows:
            if reason is None:
                texts.append(text)
                labels.append(label)
                weights.append(1.0 if weight is None else weight)
            else:
                skipped[reason] += 1
    if not texts:
        raise DataError(f"{', '.join(data)}: no text with a label ({dict(skipped) or 'no rows'}). Check the columns.")
    told = " or ".join(read_from)
    return LabelledSet(texts, labels, numpy.array(weights, dtype=numpy.float32), skipped, told)


def read_texts(path: Path, columns: Columns, *, pair: bool, words: bool = False) -> Iterator[tuple[int, Text]]:
    """The text of each row of a table, and the line where the row begins; no row is left out, an empty text neither.

    Columns are named as for `load`. If none are, and there is no heading with the usual names, a single column is the
    text, and two are the texts of a pair.

    Args:
        columns: where the texts stand; a label is not looked for.
        pair: each row has two texts.
        words: a text of JSON lines may be a list of words, as tags are learnt from; a space is put between each two.

    Raises:
        DataError: the file cannot be read as what its name says, it cannot be told which columns are the texts', or a
            row cannot be used.
    """
    places: _Places | None = None
    num_columns = 0
    for record in read_records(path):
        where = f"{path}, line {record.line:,}"
        if record.unusable:
            raise DataError(f"{where}: a row {record.unusable} cannot be used. Repair or remove it.")
        if places is None:
            places = _Places.of_texts(path, record, columns, pair, words)
            num_columns = len(record.values)
            if places.heading:
                continue
        _check_width(record, num_columns, where)
        _, text, other = places.take(path, record, words)
        yield record.line, (text, other) if pair else text


def hold_out(rows: LabelledSet, count: int, seed: int) -> tuple[LabelledSet, LabelledSet, int]:
    """Train and dev without a common text, and how many rows were dropped for it; see `holding_out.hold_out`.

    Raises:
        DataError: too few rows, or too few different ones.
    """
    train, dev = hold_out_rows([group_numbers(_as_one(rows.texts))], count, seed)
    return rows.select(train), rows.select(dev), len(rows) - len(train) - len(dev)


def in_order(names: Iterable[str]) -> list[str]:
    """Labels in the order in which a head has them: numbers, then words."""
    return sorted(names, key=_natural)


def num_shared(train: LabelledSet, dev: LabelledSet) -> int:
    """How many texts of dev also stand in train, by `holding_out.normalise`."""
    numbers = group_numbers([*_as_one(train.texts), *_as_one(dev.texts)])
    return int(numpy.isin(numbers[len(train) :], numbers[: len(train)]).sum())


def _as_one(texts: Sequence[Text]) -> list[str]:
    return [text if isinstance(text, str) else "\t".join(text) for text in texts]


def fingerprint(rows: LabelledSet) -> str:
    """sha256 over texts, labels and weights in their order."""
    digest = hashlib.sha256(len(rows).to_bytes(8, "little"))
    for text, label in zip(rows.texts, rows.labels, strict=True):
        digest.update(repr((text, label if isinstance(label, str) else [tuple(span) for span in label])).encode())
    digest.update(numpy.ascontiguousarray(rows.weights, dtype="<f4").tobytes())
    return digest.hexdigest()


def check_task(task: str) -> LabelTask:
    """The task, if it is one.

    Raises:
        ConfigError: it is none.
    """
    return one_of(task, get_args(LabelTask), "task")


Found = tuple[Text, Label, str | None]  # the last: why it cannot be used


def _labelled(path: Path, task: LabelTask, columns: Columns, read_from: dict[str, None]) -> Iterator[Found]:
    places: _Places | None = None
    num_columns = 0
    for record in read_records(path):
        if record.unusable:
            yield "", "", record.unusable
            continue
        if places is None:
            places = _Places.find(path, record, task, columns)
            num_columns = len(record.values)
            read_from[str(places)] = None
            if places.heading:
                continue
        _check_width(record, num_columns, f"{path}, line {record.line:,}")
        label, text, other = places.take(path, record)
        if not label or not text or (places.other not in (None, "") and not other):
            yield "", "", "empty"
            continue
        if task == "regress":
            _check_number(label, f"{path}, line {record.line:,}")
        yield (text, other) if other else text, label, None


def _check_width(record: Record, num_columns: int, where: str) -> None:
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


@dataclass(frozen=True)
class _Places:
    """Where in a record label and texts stand."""

    label: Any  # places (int) or keys (str); None: only the texts are asked for
    text: tuple[Any, ...]
    other: Any
    heading: bool  # the first row is no text

    @classmethod
    def find(cls, path: Path, first: Record, task: LabelTask, columns: Columns) -> "_Places":
        pair = task == "pair"
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
    def of_texts(cls, path: Path, first: Record, columns: Columns, pair: bool, words: bool) -> "_Places":
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
                advice = " For tags of a list of words give --words." if self.label is None and _strings(value) else ""
                raise DataError(
                    f"{path}, line {record.line:,}: the text is {value!r:.40}, a string was expected.{advice}"
                )
        if not isinstance(label, str | int | float):
            raise DataError(
                f"{path}, line {record.line:,}: the label is {label!r:.40}, a string or number was expected."
            )
        text = " ".join(part for part in (_clean(each) for each in texts) if part)
        return _clean(str(label)), text, _clean(other)


def _tagged(path: Path, columns: Columns) -> Iterator[Found]:
    by_key = kind_suffix(path) == ".jsonl"
    if columns.other or len(columns.text) > 1 or (not by_key and columns != Columns()):
        expected = (
            "one --label and one --text, keys of JSON lines" if by_key else "no column: they stand where CoNLL has them"
        )
        raise DataError(f"{path}: columns were named for words and their tags. Expected {expected}.")
    if not by_key:
        for sentence in read_sentences(path):
            yield _joined(sentence.words, sentence.tags)
        return
    for record in read_records(path):
        if record.unusable:
            yield "", "", record.unusable
            continue
        values: Any = record.values
        keys = list(values)
        word_key, tag_key = "".join(columns.text) or _usual(_WORD_KEYS, keys), columns.label or _usual(_TAG_KEYS, keys)
        if missing := [key for key in (word_key, tag_key) if key and key not in values]:
            raise _no_column(path, record.line, missing, keys, pair=False)
        words, tags = values.get(word_key), values.get(tag_key)
        if _strings(words) and isinstance(tags, list) and any(isinstance(tag, int) for tag in tags):
            raise DataError(
                f"{path}, line {record.line:,}: {tag_key!r} are numbers ({tags!s:.40}), names were expected, such as "
                "'B-PER'. Write the name of each number; the description of the data set has them."
            )
        if not (_strings(words) and _strings(tags) and len(words) == len(tags)):
            raise DataError(
                f"{path}, line {record.line:,}: no {word_key or 'words'!r} and {tag_key or 'tags'!r} that are lists of "
                "strings of one length. Each line must have both; --text and --label name other keys."
            )
        yield _joined(words, tags)


def _joined(words: Sequence[str], tags: Sequence[str]) -> Found:
    """Words with a space between each two."""
    spans = []
    parts: list[str] = []
    place = 0
    for word, tag in zip(words, tags, strict=True):
        word = _clean(word)
        if not word:
            continue
        parts.append(word)
        spans.append(TagSpan(place, place + len(word), _clean(tag)))
        place += len(word) + 1
    return " ".join(parts), tuple(spans), None if parts else "empty"


def _of_words(path: Path, line: int, text: Any) -> Any:
    """A list of words as one text in which they can be told again; anything else as it is."""
    if not _strings(text):
        return text
    words = [_clean(word) for word in text]
    for number, word in enumerate(words, 1):
        if not word or " " in word:
            raise DataError(
                f"{path}, line {line:,}: word {number} is {word[:40]!r}; words without spaces were expected, as each "
                "gets one tag. Remove it, or make several words of it."
            )
    return " ".join(words)


def _clean(text: str) -> str:
    return one_line(text).replace("\t", " ").strip()


def _check_number(label: str, where: str) -> None:
    try:
        number = float(label)
    except ValueError:
        number = float("nan")
    if not abs(number) < float("inf"):
        raise DataError(f"{where}: the label {label[:40]!r} is no finite number, as --task regress needs.")


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


def _strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


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


def _natural(label: str) -> tuple[int, float, str]:
    """Numbers in their order, then words in theirs."""
    try:
        number = float(label)
    except ValueError:
        number = math.nan
    return (1, 0.0, label) if math.isnan(number) else (0, number, label)  # nan has no place among numbers
