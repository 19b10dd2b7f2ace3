"""Texts with a pronoun whose antecedent is known, read from files of GAP, WinoMT, Winogender and Winograd schemas.

GAP (Webster et al. 2018): a header line; a text, a pronoun and two names A and B, each with the place of its first
character. WinoMT (Stanovsky et al. 2019): no header; gender, number of the entity's first word, sentence, entity and
perhaps a stereotype. Winogender (Rudinger et al. 2018): the header "sentid sentence", and all else in the id, such as
"nurse.patient.0.female.txt": two people, which of them is meant, gender. Winograd schemas (Levesque et al. 2012, as
Kocijan et al. 2019 give them to BERT): JSON lines; a text whose pronoun is [MASK], the two "candidates" as a person
would name them, and the "answer".
"""

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from regard import formats
from regard.data.text_tokens import MASK
from regard.errors import DataError
from regard.formats.files import read_lines, text_lines
from regard.formats.tables import read_records

Kind = Literal["GAP", "WinoMT", "Winogender", "Winograd"]
KINDS = "GAP, WinoMT, Winogender or Winograd"  # for people
Span = tuple[int, int]  # characters (first, end)

_GAP_COLUMNS = ("Text", "Pronoun", "Pronoun-offset", "A", "A-offset", "A-coref", "B", "B-offset", "B-coref")
_WINOGENDER_COLUMNS = ("sentid", "sentence")
_WINOGRAD_KEYS = ("text", "candidates", "answer")
_PRONOUNS = {
    "male": ("he", "him", "his", "himself"),
    "female": ("she", "her", "hers", "herself"),
    "neutral": ("they", "them", "their", "theirs", "themselves", "themself"),
}
_NEITHER = "the pronoun stands for neither name"
_NOT_ONE_PRONOUN = "not exactly one pronoun of the row's gender"
_OTHER_UNKNOWN = "the other candidate is not known"
_NOT_ONE_NAME = "a person is not named exactly once"
_NOT_ONE_CANDIDATE = "a candidate does not stand in the text exactly once"


@dataclass(frozen=True)
class ResolvedText:
    """One or more sentences with a pronoun, or a mask where it was, and what it could stand for; no spans overlap."""

    text: str
    pronoun: Span
    candidates: tuple[Span, ...]  # in the order of the text
    antecedent: int  # which of them it stands for
    masked: bool = False  # the pronoun is `MASK`: only a model that knows masks can read it


@dataclass(frozen=True)
class ResolvedFile:
    """The rows of one file: those to use, and how many were left out for which reason. Together they are all rows."""

    name: str
    kind: Kind
    texts: tuple[ResolvedText, ...]
    left_out: dict[str, int]

    @property
    def rows(self) -> int:
        return len(self.texts) + sum(self.left_out.values())

    def line(self) -> str:
        """For people."""
        reasons = ", ".join(f"{count:,} ({reason})" for reason, count in self.left_out.items())
        used = f"{self.name}, {self.kind}: {len(self.texts):,} of {self.rows:,} rows used"
        return f"{used}; left out: {reasons}" if reasons else used

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        counts = {"rows": self.rows, "used": len(self.texts), "left_out": self.left_out}
        return {"name": self.name, "kind": self.kind, **counts}


def kind(path: str | Path) -> Kind | None:
    """Which of these a file is, told by its first line; None if it is none of them.

    Raises:
        DataError: the file cannot be read, or it has a header of GAP in which a column is missing.
    """
    path = Path(path)
    if formats.kind(path) == "jsonl":
        return "Winograd" if _is_winograd(next(read_lines(path)) or "") else None
    if formats.kind(path) not in ("tsv", "plain"):
        return None
    columns = (next(read_lines(path)) or "").split("\t")
    missing = [name for name in _GAP_COLUMNS if name not in columns]
    if not missing:
        return "GAP"
    if len(missing) <= len(_GAP_COLUMNS) - 3:  # three of these names in one line are no chance
        raise DataError(
            f"{path}, line 1: this header of GAP lacks {', '.join(missing)}. The columns {', '.join(_GAP_COLUMNS)} are "
            "needed, with tabs between. Fetch the file again as it was published."
        )
    if tuple(columns) == _WINOGENDER_COLUMNS:
        return "Winogender"
    if len(columns) > 2 and columns[0] in _PRONOUNS and _number(columns[1]) is not None:
        return "WinoMT"
    return None


def read(path: str | Path) -> ResolvedFile:
    """The rows of a GAP, WinoMT, Winogender or Winograd file, plain or compressed.

    Left out are GAP's rows whose pronoun stands for neither name; WinoMT's and Winogender's whose pronoun is not the
    only one of its gender, and those where who else could be meant is not plain. WinoMT does not mark the other
    candidate: it is the one other name of the sentence that the file's column of entities has anywhere. Of Winograd
    schemas those are left out whose candidates, without their article, do not stand in the text word for word.

    Raises:
        DataError: it is none of these, cannot be read, or a row contradicts itself (an offset where something else
            stands, say).
    """
    path = Path(path)
    found = kind(path)
    if found is None:
        raise DataError(
            f"{path}, line 1: this is neither {KINDS.replace(' or ', ' nor ')}. Expected are GAP's header (Text, "
            "Pronoun, Pronoun-offset, ...), Winogender's (sentid, sentence), WinoMT's columns (a gender, "
            "a word number, a sentence, an entity), or Winograd's keys in JSON lines (text, candidates, answer). Name "
            "another file."
        )
    if found == "Winograd":
        results = list(_winograd(path))
    else:
        rows = [(f"{path}, line {number:,}", line.split("\t")) for number, line in text_lines(path)]
        results = list({"GAP": _gap, "WinoMT": _winomt, "Winogender": _winogender}[found](rows))
    texts = tuple(each for each in results if isinstance(each, ResolvedText))
    left_out = Counter(each for each in results if isinstance(each, str))
    return ResolvedFile(str(path), found, texts, dict(left_out))


_Rows = Sequence[tuple[str, list[str]]]  # where each stands, and its columns


def _gap(rows: _Rows) -> Iterator[ResolvedText | str]:
    """Of each row the text, or the reason why it is left out."""
    names = rows[0][1]
    for where, columns in rows[1:]:
        _check_number(columns, len(names), where)
        row = dict(zip(names, columns, strict=True))
        pronoun, a, b = (_gap_span(row, name, where) for name in ("Pronoun", "A", "B"))
        ordered = sorted((pronoun, a, b))
        if any(after[0] < before[1] for before, after in itertools.pairwise(ordered)):
            raise DataError(f"{where}: pronoun and names overlap; three places were expected. Correct their offsets.")
        for name in ("A-coref", "B-coref"):
            if row[name].upper() not in ("TRUE", "FALSE"):
                raise DataError(f"{where}: {name} is {row[name]!r}; TRUE or FALSE was expected. Correct it.")
        match row["A-coref"].upper(), row["B-coref"].upper():
            case "TRUE", "FALSE":
                yield _resolved(row["Text"], pronoun, a, b)
            case "FALSE", "TRUE":
                yield _resolved(row["Text"], pronoun, b, a)
            case "FALSE", "FALSE":
                yield _NEITHER
            case _:
                raise DataError(f"{where}: A-coref and B-coref are both TRUE; one at most was expected. Correct them.")


def _gap_span(row: dict[str, str], name: str, where: str) -> Span:
    mention, offset = row[name], row[f"{name}-offset"]
    first = _number(offset)
    if first is None:
        raise DataError(f"{where}: {name}-offset is {offset[:40]!r}; a number of characters was expected. Correct it.")
    span = (first, first + len(mention))
    found = row["Text"][span[0] : span[1]]
    if not mention or found != mention:
        raise DataError(
            f"{where}: at {name}-offset {offset} the text has {found!r}; {name} is {mention!r}. Offsets count "
            "characters from 0; correct it."
        )
    return span


def _winomt(rows: _Rows) -> Iterator[ResolvedText | str]:
    for where, columns in rows:
        if len(columns) not in (4, 5) or columns[0] not in _PRONOUNS:
            raise DataError(
                f"{where}: {len(columns)} columns, the first {columns[0][:40]!r}; male, female or neutral, a word "
                "number, a sentence, an entity and perhaps a stereotype were expected. Repair or remove the line."
            )
    entities = sorted({columns[3] for _, columns in rows if columns[3]}, key=len, reverse=True)  # the longest that fits
    for where, (gender, number, text, entity, *_) in rows:
        words = [match.start() for match in re.finditer(r"\S+", text)]
        place = _number(number)
        first = words[place] if place is not None and place < len(words) else len(text)
        antecedent = (first, first + len(entity))
        if not entity or text[slice(*antecedent)].lower() != entity.lower():
            raise DataError(
                f"{where}: word {number} of the sentence should be the entity {entity!r}; there stands "
                f"{text[first:].split(' ')[0]!r}. Words stand between spaces and count from 0; correct the number."
            )
        others = [span for span in _words(text, entities) if span[1] <= first or antecedent[1] <= span[0]]
        pronouns = _pronouns(text, gender)
        if len(pronouns) != 1:
            yield _NOT_ONE_PRONOUN
        elif len(others) != 1 or text[slice(*others[0])].lower() == entity.lower():
            yield _OTHER_UNKNOWN
        else:
            yield _resolved(text, pronouns[0], antecedent, others[0])


def _winogender(rows: _Rows) -> Iterator[ResolvedText | str]:
    for where, columns in rows[1:]:
        _check_number(columns, len(_WINOGENDER_COLUMNS), where)
        name, text = columns
        match = re.fullmatch(r"([^.]+)\.([^.]+)\.([01])\.(male|female|neutral)\.txt", name)
        if match is None:
            raise DataError(
                f"{where}: sentid is {name!r}; something like nurse.patient.0.female.txt was expected. Correct it."
            )
        people = [_words(text, (person,)) for person in match.group(1, 2)]
        pronouns = _pronouns(text, match[4])
        if len(pronouns) != 1:
            yield _NOT_ONE_PRONOUN
        elif any(len(spans) != 1 for spans in people):
            yield _NOT_ONE_NAME
        else:
            right = int(match[3])
            yield _resolved(text, pronouns[0], people[right][0], people[1 - right][0])


def _is_winograd(line: str) -> bool:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(values, dict) and all(key in values for key in _WINOGRAD_KEYS) and MASK in str(values["text"])


def _winograd(path: Path) -> Iterator[ResolvedText | str]:
    for record in read_records(path):
        where = f"{path}, line {record.line:,}"
        if record.unusable:
            raise DataError(f"{where}: a row {record.unusable} cannot be used. Repair or remove it.")
        values: Any = record.values
        text, candidates, answer = (values.get(key) for key in _WINOGRAD_KEYS)
        names = (
            isinstance(candidates, list) and len(candidates) == 2 and all(isinstance(name, str) for name in candidates)
        )
        if not (isinstance(text, str) and text.count(MASK) == 1 and names and candidates.count(answer) == 1):
            raise DataError(
                f'{where}: found {json.dumps(values, ensure_ascii=False):.80}; a "text" with one {MASK}, two different '
                '"candidates" and as "answer" one of them were expected. Repair or remove the line.'
            )
        right, other = (_named(text, name) for name in (answer, candidates[1 - candidates.index(answer)]))
        if right is None or other is None or (right[0] < other[1] and other[0] < right[1]):
            yield _NOT_ONE_CANDIDATE
        else:
            first = text.index(MASK)
            yield _resolved(text, (first, first + len(MASK)), right, other, masked=True)


def _named(text: str, name: str) -> Span | None:
    """Where a candidate stands, without its article; None: not once."""
    spans = _words(text, (re.sub(r"^(?:the|an?)\s+", "", name, flags=re.IGNORECASE),))
    return spans[0] if len(spans) == 1 else None


def _resolved(text: str, pronoun: Span, antecedent: Span, other: Span, *, masked: bool = False) -> ResolvedText:
    candidates = tuple(sorted((antecedent, other)))
    return ResolvedText(text, pronoun, candidates, candidates.index(antecedent), masked)


def _pronouns(text: str, gender: str) -> list[Span]:
    return _words(text, _PRONOUNS[gender])


def _words(text: str, words: Sequence[str]) -> list[Span]:
    """Where any of them stands as a word of its own, the first that fits."""
    pattern = rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)"
    return [match.span() for match in re.finditer(pattern, text, re.IGNORECASE)]


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _check_number(columns: Sequence[str], expected: int, where: str) -> None:
    if len(columns) != expected:
        raise DataError(
            f"{where}: {len(columns)} columns; the header has {expected}. Tab-separated files have no quoting: repair "
            "or remove the line."
        )
