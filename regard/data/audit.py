"""A look at data before it costs hours: counts, lengths, repetitions, and what train shares with dev and test."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from regard.data.filters import FilterReport, Filters, RowFilter
from regard.data.holding_out import normalise
from regard.data.pairs import DataSource, as_sources, read

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
MATCHES = ("pair", "source", "target")  # what of a pair can occur elsewhere
_NUM_EXAMPLES = 5  # of each kind of match


@dataclass
class Side:
    """The words of one side of the used pairs. Words are what white space separates, with their case."""

    lengths: Counter[int] = field(default_factory=Counter)  # words in a text -> texts
    words: set[str] = field(default_factory=set)
    texts: set[int] = field(default_factory=set)  # 64-bit hashes

    def add(self, text: str) -> None:
        words = text.split()
        self.lengths[len(words)] += 1
        self.words.update(words)
        self.texts.add(hash(text))

    @property
    def num_words(self) -> int:
        return sum(length * count for length, count in self.lengths.items())

    def quantiles(self) -> dict[str, int]:
        """Words in a text: "0.5" is the length that half of the texts do not exceed."""
        result, seen = {}, 0
        ordered = sorted(self.lengths.items())
        position = 0
        for share in QUANTILES if ordered else ():
            while seen + ordered[position][1] < share * self.lengths.total():
                seen += ordered[position][1]
                position += 1
            result[f"{share:g}"] = ordered[position][0]
        return result

    def to_json(self) -> dict[str, object]:
        return {
            "words": self.num_words,
            "distinct_words": len(self.words),
            "distinct_texts": len(self.texts),
            "length_quantiles": self.quantiles(),
            "length_histogram": {str(length): count for length, count in sorted(self.lengths.items())},
        }


@dataclass
class SetReport:
    """One of train, dev and test."""

    name: str
    filtering: FilterReport
    source: Side = field(default_factory=Side)
    target: Side = field(default_factory=Side)
    duplicates: int = 0  # pairs read that repeat an earlier one exactly, whether a filter drops them or not

    def to_json(self) -> dict[str, object]:
        return {
            **self.filtering.to_json(),
            "duplicates": self.duplicates,
            "source": self.source.to_json(),
            "target": self.target.to_json(),
        }

    def lines(self) -> list[str]:
        first, *others = self.filtering.lines()
        lines = [f"{self.name}: {first}", *(f"  {line}" for line in others)]
        if self.duplicates and not self.filtering.total.skipped["duplicate"]:
            lines.append(f"  {self.duplicates:,} pairs repeat an earlier one")
        for side_name, side in (("source", self.source), ("target", self.target)):
            quantiles = side.quantiles()
            if quantiles:
                lines.append(
                    f"  {side_name}: {side.num_words:,} words, {len(side.words):,} distinct; "
                    f"words a text: {quantiles['0.05']} to {quantiles['0.95']} in 90 %, half up to "
                    f"{quantiles['0.5']}, longest {quantiles['1']}; {len(side.texts):,} distinct texts"
                )
        return lines


@dataclass(frozen=True)
class Example:
    """One text found in both sets."""

    match: str  # "pair", "source" or "target"
    first: str  # where, in the set searched
    second: str  # where, in the set looked for
    text: str


@dataclass(frozen=True)
class Overlap:
    """How many pairs of one set (`second`) occur in another (`first`): all of it, or one side only.

    "source" counts pairs whose source occurs but whose pair does not; likewise "target"; a pair whose sides occur
    apart counts in both. `affected` counts each pair once. Normalised counts include the exact ones.
    """

    first: str
    second: str
    num_pairs: int  # in `second`
    exact: dict[str, int]
    normalised: dict[str, int]
    affected: int  # pairs of `second` with any normalised match
    examples: list[Example]

    def to_json(self) -> dict[str, object]:
        return {
            "in": self.first,
            "of": self.second,
            "pairs": self.num_pairs,
            "exact": self.exact,
            "normalised": self.normalised,
            "affected": self.affected,
            "examples": [vars(example) for example in self.examples],
        }

    def lines(self) -> list[str]:
        head = f"{self.second} in {self.first}: "
        if not self.affected:
            return [head + f"none of {self.num_pairs:,} pairs, nor a side of one"]
        kinds = ", ".join(
            f"{'whole pair' if match == 'pair' else match + ' only'} {self.normalised[match]:,} "
            f"({self.exact[match]:,} to the letter)"
            for match in MATCHES
        )
        lines = [head + f"{self.affected:,} of {self.num_pairs:,} pairs: {kinds}"]
        lines += [f"  {example.match}: {example.second} = {example.first}: {example.text}" for example in self.examples]
        return lines


@dataclass
class AuditReport:
    """Everything `audit` found."""

    sets: list[SetReport]
    overlaps: list[Overlap]

    def to_json(self) -> dict[str, object]:
        overlaps = [overlap.to_json() for overlap in self.overlaps]
        return {"sets": {part.name: part.to_json() for part in self.sets}, "overlaps": overlaps}

    def lines(self) -> list[str]:
        return [line for part in (*self.sets, *self.overlaps) for line in part.lines()]


def audit(
    train: Sequence[str] | Sequence[DataSource],
    dev: Sequence[str] | Sequence[DataSource] | None = None,
    test: Sequence[str] | Sequence[DataSource] | None = None,
    *,
    source_language: str | None = None,
    target_language: str | None = None,
    filters: Filters | None = None,
    seed: int = 0,
) -> AuditReport:
    """Read all DATA once, as training would, and report.

    Overlap is looked for in the pairs of train (or dev) that the filters let through, for they are what is learnt from,
    and with every readable pair of dev and test, for they are all scored. Dev and test are held in memory; of train
    only its distinct words, and a number for each distinct text, are.

    Raises:
        DataError: a file cannot be read.
    """
    given = {"train": train, "dev": dev, "test": test}
    reports: list[SetReport] = []
    overlaps: list[Overlap] = []
    searches: list[_Search] = []  # for the sets after the one being read
    for name in ("test", "dev", "train"):
        data = given[name]
        if data is None:
            continue
        sources = as_sources(data)
        row_filter = RowFilter(filters or Filters(), [source.name for source in sources])
        report = SetReport(name, row_filter.report)
        later = _Search(name)
        seen: set[int] = set()
        rows = read(sources, source_language, target_language, split=name, seed=seed)
        for number, row, reason in row_filter.apply(rows):
            if row.unusable is not None or reason == "empty":
                continue
            key = hash((row.source, row.target))
            report.duplicates += key in seen
            seen.add(key)
            where = sources[number].where(row.line)
            if name != "train":
                later.add(row.source, row.target, where)
            if reason is None:
                report.source.add(row.source)
                report.target.add(row.target)
                for search in searches:
                    search.look_at(row.source, row.target, where)
        reports.insert(0, report)
        overlaps = [search.overlap(name) for search in reversed(searches)] + overlaps
        searches = [search.again() for search in searches] + [later]
    return AuditReport(reports, overlaps)


class _Search:
    """Finds the pairs of one set while another streams past."""

    def __init__(self, name: str):
        self.name = name
        self.rows: list[tuple[str, str, str]] = []  # source, target, where
        # Per way of comparing (as it is, normalised) and match: key -> where it was first seen, "" = not yet.
        self.found: tuple[dict[str, dict[object, str]], ...] = tuple({match: {} for match in MATCHES} for _ in range(2))

    def add(self, source: str, target: str, where: str) -> None:
        self.rows.append((source, target, where))
        for found, keys in zip(self.found, self._keys(source, target), strict=True):
            for match, key in zip(MATCHES, keys, strict=True):
                found[match][key] = ""

    def again(self) -> "_Search":
        """The same search from the start, for another set to stream past."""
        copy = _Search(self.name)
        copy.rows = self.rows
        copy.found = tuple({match: dict.fromkeys(found[match], "") for match in MATCHES} for found in self.found)
        return copy

    def look_at(self, source: str, target: str, where: str) -> None:
        for found, keys in zip(self.found, self._keys(source, target), strict=True):
            for match, key in zip(MATCHES, keys, strict=True):
                if found[match].get(key) == "":
                    found[match][key] = where

    def overlap(self, first: str) -> Overlap:
        exact, normalised = dict.fromkeys(MATCHES, 0), dict.fromkeys(MATCHES, 0)
        examples: dict[str, list[Example]] = {match: [] for match in MATCHES}
        affected = 0
        for source, target, where in self.rows:
            for counted, matches in zip((exact, normalised), self._matches(source, target), strict=True):
                for match, _ in matches:
                    counted[match] += 1
            affected += bool(matches)  # the last way of comparing is the normalised one, and finds the most
            for match, there in matches:
                if len(examples[match]) < _NUM_EXAMPLES:
                    text = target if match == "target" else source
                    examples[match].append(Example(match, there, where, text[:80]))
        listed = [example for match in MATCHES for example in examples[match]]
        return Overlap(first, self.name, len(self.rows), exact, normalised, affected, listed)

    def _matches(self, source: str, target: str) -> Iterator[list[tuple[str, str]]]:
        """For each way of comparing: what of the pair was found, and where. A side counts only without the pair."""
        for found, keys in zip(self.found, self._keys(source, target), strict=True):
            seen = [(match, found[match][key]) for match, key in zip(MATCHES, keys, strict=True) if found[match][key]]
            yield seen[:1] if seen and seen[0][0] == "pair" else seen

    @staticmethod
    def _keys(source: str, target: str) -> tuple[tuple[object, str, str], ...]:
        plain = normalise(source), normalise(target)
        return ((source, target), source, target), (plain, *plain)
