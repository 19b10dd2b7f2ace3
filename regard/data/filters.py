"""Which pairs are used, and the reason for each that is not.

The defaults suit translation, yet a task may be to copy, to spell out, or to write numbers as words. So a rule that
compares the two sides first looks at the first 5,000 pairs of each file: where more than a tenth of them break it (and
at least 50), breaking it is the task and not a mistake; the rule is off for that file, and the report says so.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby

from regard.errors import ConfigError
from regard.formats import Row

REASONS = ("empty", "too long", "length ratio", "identical", "control characters", "duplicate", "wrong script")
SAMPLE_ROWS = 5_000  # from which the habits of a file are learnt
_HABIT_SHARE = 0.1  # of the sample; more exceptions than this are the rule
_HABIT_ROWS = 50  # and at least so many, or a small file could not have a single bad pair
_SCRIPT_SHARE = 0.8  # of the sample's rows that a script needs to be the main one
_SCRIPT_ROWS = 50  # fewer rows with letters show no main script

# Cc except tab, lone surrogates, U+FFFD (a trace of text decoded wrongly) and noncharacters.
_NONCHARACTERS = "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
_CONTROL = re.compile(f"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffd{_NONCHARACTERS}]")
_LETTER = re.compile(r"[^\W\d_]")
_PLAIN_LATIN = re.compile("[\x00-\u024f\u2000-\u20cf]*")  # the second range: quotes, dashes, currencies


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What a pair must be like to be used. Words are what white space separates. None = no limit."""

    max_characters: int | None = 2_000  # of each side
    max_words: int | None = 250  # of each side
    # Longer side / shorter side, in words, in characters and in UTF-8 bytes: a pair goes only if all three are above.
    # Words alone would punish Chinese, characters too; bytes alone would punish Hindi.
    max_length_ratio: float | None = 3.0
    length_ratio_min_words: int = 10  # the ratio is looked at only if the longer side has more words than this
    drop_identical: bool = True  # target = source
    # Names, numbers and single words may well stay as they are; so may text with no letter.
    identical_min_words: int = 3
    drop_control_characters: bool = True
    drop_duplicates: bool = True  # same source and same target as an earlier used pair of any file
    drop_wrong_script: bool = True  # most letters are not of the script that most rows of the file have on that side

    def __post_init__(self) -> None:
        for name in ("max_characters", "max_words", "max_length_ratio"):
            value = getattr(self, name)
            if value is not None and not value >= 1:
                raise ConfigError(f"{name} is {value}. It must be at least 1, or none for no limit.")

    @classmethod
    def none(cls) -> "Filters":
        """Use every pair that can be read and has two sides."""
        return cls(
            max_characters=None,
            max_words=None,
            max_length_ratio=None,
            drop_identical=False,
            drop_control_characters=False,
            drop_duplicates=False,
            drop_wrong_script=False,
        )


@dataclass
class Counts:
    """How many rows of one file (or of all) were read and used, and why the others were not."""

    name: str
    read: int = 0
    used: int = 0
    skipped: Counter[str] = field(default_factory=Counter)  # reason -> rows

    def add(self, reason: str | None) -> None:
        self.read += 1
        if reason is None:
            self.used += 1
        else:
            self.skipped[reason] += 1

    def line(self) -> str:
        """ "read 9 · used 7 · skipped 2: empty 2", the most frequent reason first."""
        text = f"read {self.read:,} · used {self.used:,} · skipped {self.skipped.total():,}"
        reasons = sorted(self.skipped.items(), key=lambda item: (-item[1], item[0]))
        return text + (": " if reasons else "") + ", ".join(f"{reason} {count:,}" for reason, count in reasons)

    def to_json(self) -> dict[str, object]:
        skipped = {reason: self.skipped[reason] for reason in REASONS if self.skipped[reason]}
        return {"name": self.name, "read": self.read, "used": self.used, "skipped": skipped}


@dataclass
class FilterReport:
    """Counts by file, and remarks on rules that were switched off for one."""

    files: list[Counts]
    remarks: list[str] = field(default_factory=list)

    @property
    def total(self) -> Counts:
        total = Counts("all")
        for counts in self.files:
            total.read += counts.read
            total.used += counts.used
            total.skipped.update(counts.skipped)
        return total

    def lines(self) -> list[str]:
        """The total, then each file if there are several, then the remarks."""
        files = [f"  {counts.name}: {counts.line()}" for counts in self.files] if len(self.files) > 1 else []
        return [self.total.line(), *files, *self.remarks]

    def to_json(self) -> dict[str, object]:
        files = [counts.to_json() for counts in self.files]
        return {"total": self.total.to_json(), "files": files, "remarks": list(self.remarks)}


@dataclass(frozen=True)
class Habits:
    """What is normal in one file, learnt from a sample of its rows."""

    copies: bool = False  # the sides are often the same
    unequal: bool = False  # the sides are often of very different length
    source_script: str | None = None  # None: no script is the main one
    target_script: str | None = None


class RowFilter:
    """Streams rows through the filters and counts. `report` is complete once the rows are used up."""

    def __init__(self, filters: Filters, names: Sequence[str]):
        """`names`: of the files, by the number that comes with each row."""
        self.filters = filters
        self.report = FilterReport([Counts(name) for name in names])
        self._seen: set[int] = set()  # 64-bit hashes: in ten million pairs, a false duplicate is one chance in 400,000

    def apply(self, rows: Iterable[tuple[int, Row]]) -> Iterator[tuple[int, Row, str | None]]:
        """Each row, in order, with the reason it is not used, or None if it is.

        In memory are a sample of each file and, where duplicates are looked for, 64 bits for each used row.
        """
        for number, file_rows in groupby(rows, key=lambda pair: pair[0]):
            counts = self.report.files[number]
            for row, reason in self._file(file_rows, counts.name):
                if reason is None and self.filters.drop_duplicates:
                    key = hash((row.source, row.target))
                    if key in self._seen:
                        reason = "duplicate"
                    else:
                        self._seen.add(key)
                counts.add(reason)
                yield number, row, reason

    def _file(self, rows: Iterator[tuple[int, Row]], name: str) -> Iterator[tuple[Row, str | None]]:
        own, compared = own_reason, compared_reason
        filters = self.filters
        head: list[tuple[Row, str | None]] = []
        num_good = 0
        for _, row in rows:
            reason = own(row, filters)
            head.append((row, reason))
            num_good += reason is None
            if num_good == SAMPLE_ROWS or len(head) == 20 * SAMPLE_ROWS:
                break
        sample = [row for row, reason in head if reason is None]
        habits = learn(sample, filters)
        self.report.remarks += _remarks(habits, name)
        for row, reason in head:
            yield row, reason or compared(row, filters, habits)
        for _, row in rows:
            yield row, own(row, filters) or compared(row, filters, habits)


def own_reason(row: Row, filters: Filters) -> str | None:
    """Why a row cannot be used, whatever the rest of its file is like."""
    _, source, target, unusable = row
    if unusable is not None:
        return unusable
    if not source or not target or source.isspace() or target.isspace():
        return "empty"
    source_length, target_length = len(source), len(target)
    longer = max(source_length, target_length)
    if filters.max_characters is not None and longer > filters.max_characters:
        return "too long"
    limit = filters.max_words
    # n words are 2n - 1 characters at least, so a short text need not be split to know.
    if limit is not None and longer > 2 * limit and max(len(source.split()), len(target.split())) > limit:
        return "too long"
    if filters.drop_control_characters and (has_control_characters(source) or has_control_characters(target)):
        return "control characters"
    return None


def has_control_characters(text: str) -> bool:
    """Is there a control character other than tab, a lone surrogate, a noncharacter or U+FFFD?"""
    if text.isprintable() and "\ufffd" not in text:  # 10 times faster than the search, and enough for most texts
        return False
    return _CONTROL.search(text) is not None


def compared_reason(row: Row, filters: Filters, habits: Habits) -> str | None:
    """Why a row stands out from the rest of its file."""
    source, target = row.source, row.target
    if source == target and filters.drop_identical and not habits.copies and _is_copy(source, filters):
        return "identical"
    if filters.max_length_ratio is not None and not habits.unequal and _is_unequal(source, target, filters):
        return "length ratio"
    if _is_foreign(source, habits.source_script) or _is_foreign(target, habits.target_script):
        return "wrong script"
    return None


def learn(sample: Sequence[Row], filters: Filters) -> Habits:
    """The habits of a file, from rows that have no reason of their own against them."""

    def often(breaks_rule: Callable[[Row], bool]) -> bool:
        return sum(map(breaks_rule, sample)) >= max(_HABIT_ROWS, _HABIT_SHARE * len(sample))

    return Habits(
        copies=filters.drop_identical and often(lambda row: row.source == row.target and _is_copy(row.source, filters)),
        unequal=filters.max_length_ratio is not None
        and often(lambda row: _is_unequal(row.source, row.target, filters)),
        source_script=main_script(row.source for row in sample) if filters.drop_wrong_script else None,
        target_script=main_script(row.target for row in sample) if filters.drop_wrong_script else None,
    )


def _remarks(habits: Habits, name: str) -> list[str]:
    remarks = []
    if habits.copies:
        remarks.append(f"{name}: the two sides are often identical, so such pairs are kept")
    if habits.unequal:
        remarks.append(f"{name}: the two sides often differ much in length, so such pairs are kept")
    return remarks


def _is_copy(text: str, filters: Filters) -> bool:
    return len(text.split()) >= filters.identical_min_words and _LETTER.search(text) is not None


def _is_unequal(source: str, target: str, filters: Filters) -> bool:
    limit = filters.max_length_ratio
    assert limit is not None
    short, long = (source, target) if len(source) < len(target) else (target, source)
    if len(long) <= limit * len(short) or len(long) <= 2 * filters.length_ratio_min_words:
        return False
    # From here on rare, so it may be slow. The longer in characters must be so in words and bytes as well.
    short_words, long_words = len(short.split()), len(long.split())
    short_bytes, long_bytes = (len(text.encode("utf-8", "surrogatepass")) for text in (short, long))
    return (
        long_words > filters.length_ratio_min_words
        and long_words > limit * short_words
        and long_bytes > limit * short_bytes
    )


def _is_foreign(text: str, main: str | None) -> bool:
    if main is None or (main == "LATIN" and _PLAIN_LATIN.fullmatch(text)):
        return False
    scripts = _scripts(text)
    return 2 * scripts[main] < scripts.total()


def main_script(texts: Iterable[str]) -> str | None:
    """The script most letters have in at least 80 % of the texts that have letters, if there are enough of these."""
    rows: Counter[str] = Counter()
    for text in texts:
        if scripts := _scripts(text):
            rows[scripts.most_common(1)[0][0]] += 1
    if rows.total() < _SCRIPT_ROWS:
        return None
    script, count = rows.most_common(1)[0]
    return script if count >= _SCRIPT_SHARE * rows.total() else None


def _scripts(text: str) -> Counter[str]:
    scripts = Counter(map(script_of, text))
    del scripts[""]
    return scripts


# First words of letters' names that tell no script: symbols made from letters, and marks that go with any.
_NO_SCRIPT = frozenset(
    """
    MODIFIER MATHEMATICAL FEMININE MASCULINE MICRO KELVIN OHM ANGSTROM SCRIPT PLANCK DOUBLE-STRUCK BLACK-LETTER EULER
    INFORMATION ALEF BET GIMEL DALET TURNED ROTATED
    """.split()  # noqa: SIM905 (a list of quoted words is longer and harder to read)
)
_ONE_SCRIPT = {
    "HIRAGANA": "CJK",
    "KATAKANA": "CJK",
    "KATAKANA-HIRAGANA": "CJK",
    "BOPOMOFO": "CJK",
    "IDEOGRAPHIC": "CJK",
}


@lru_cache(maxsize=1 << 16)
def script_of(character: str) -> str:
    """The script of a letter, told by its Unicode name ("LATIN", "CYRILLIC"); "" for all else.

    Chinese characters and both kana count as one, "CJK", since Japanese mixes them.
    """
    if not character.isalpha():
        return ""
    words = unicodedata.name(character, "").split()
    if words and words[0] in ("FULLWIDTH", "HALFWIDTH"):
        del words[0]
    if not words or words[0] in _NO_SCRIPT:
        return ""
    return _ONE_SCRIPT.get(words[0], words[0])
