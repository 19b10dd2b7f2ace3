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
from regard.data import holding_out
from regard.data.columns import Columns, Places, are_strings, check_width, clean, word_keys
from regard.data.pairs import path_and_weight
from regard.errors import DataError
from regard.formats.files import kind_suffix
from regard.formats.tables import read_records, read_sentences

LabelTask = Literal["classify", "pair", "regress", "tag"]
Text = str | tuple[str, str]

_SHOWN_NAMES = 8  # labels that are listed for people


class TagSpan(NamedTuple):
    """Characters of a text, and their tag."""

    first: int
    end: int
    tag: str


Label = str | tuple[TagSpan, ...]  # of a whole text; of its words


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
    places: Places | None = None
    num_columns = 0
    for record in read_records(path):
        where = f"{path}, line {record.line:,}"
        if record.unusable:
            raise DataError(f"{where}: a row {record.unusable} cannot be used. Repair or remove it.")
        if places is None:
            places = Places.of_texts(path, record, columns, pair=pair, words=words)
            num_columns = len(record.values)
            if places.heading:
                continue
        check_width(record, num_columns, where)
        _, text, other = places.take(path, record, words)
        yield record.line, (text, other) if pair else text


def hold_out(rows: LabelledSet, count: int, seed: int) -> tuple[LabelledSet, LabelledSet, int]:
    """Train and dev without a common text, and how many rows were dropped for it; see `holding_out.hold_out`.

    Raises:
        DataError: too few rows, or too few different ones.
    """
    train, dev = holding_out.hold_out_rows([holding_out.group_numbers(_as_one(rows.texts))], count, seed)
    return rows.select(train), rows.select(dev), len(rows) - len(train) - len(dev)


def in_order(names: Iterable[str]) -> list[str]:
    """Labels in the order in which a head has them: numbers, then words."""
    return sorted(names, key=_natural)


def num_shared(train: LabelledSet, dev: LabelledSet) -> int:
    """How many texts of dev also stand in train; see `holding_out.num_shared`."""
    return holding_out.num_shared(_as_one(train.texts), _as_one(dev.texts))


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
    places: Places | None = None
    num_columns = 0
    for record in read_records(path):
        if record.unusable:
            yield "", "", record.unusable
            continue
        if places is None:
            places = Places.find(path, record, columns, pair=task == "pair")
            num_columns = len(record.values)
            read_from[str(places)] = None
            if places.heading:
                continue
        check_width(record, num_columns, f"{path}, line {record.line:,}")
        label, text, other = places.take(path, record)
        if not label or not text or (places.other not in (None, "") and not other):
            yield "", "", "empty"
            continue
        if task == "regress":
            _check_number(label, f"{path}, line {record.line:,}")
        yield (text, other) if other else text, label, None


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
        word_key, tag_key = word_keys(path, record, columns)
        words, tags = values.get(word_key), values.get(tag_key)
        if are_strings(words) and isinstance(tags, list) and any(isinstance(tag, int) for tag in tags):
            raise DataError(
                f"{path}, line {record.line:,}: {tag_key!r} are numbers ({tags!s:.40}), names were expected, such as "
                "'B-PER'. Write the name of each number; the description of the data set has them."
            )
        if not (are_strings(words) and are_strings(tags) and len(words) == len(tags)):
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
        word = clean(word)
        if not word:
            continue
        parts.append(word)
        spans.append(TagSpan(place, place + len(word), clean(tag)))
        place += len(word) + 1
    return " ".join(parts), tuple(spans), None if parts else "empty"


def _check_number(label: str, where: str) -> None:
    try:
        number = float(label)
    except ValueError:
        number = float("nan")
    if not abs(number) < float("inf"):
        raise DataError(f"{where}: the label {label[:40]!r} is no finite number, as --task regress needs.")


def _natural(label: str) -> tuple[int, float, str]:
    """Numbers in their order, then words in theirs."""
    try:
        number = float(label)
    except ValueError:
        number = math.nan
    return (1, 0.0, label) if math.isnan(number) else (0, number, label)  # nan has no place among numbers
