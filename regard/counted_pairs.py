"""Sentence pairs with the words that links count: what is aligned, and what alignments are scored on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from regard.data import world
from regard.data.filters import Filters, RowFilter
from regard.data.pairs import as_sources, draw_world
from regard.data.pairs import read as read_rows
from regard.data.world import WorldPair
from regard.errors import DataError
from regard.evaluation import alignment
from regard.evaluation.alignment import GoldPair
from regard.formats.links import Link, turned


@dataclass(frozen=True)
class CountedPair:
    """A sentence and its translation, with the words that links count."""

    source: str
    target: str
    source_words: tuple[str, ...]  # each stands in the source, in this order
    target_words: tuple[str, ...]
    sure: frozenset[Link] = frozenset()  # gold; empty where there is none
    possible: frozenset[Link] = frozenset()
    where: str = ""  # file and line, for people

    @classmethod
    def of_text(cls, source: str, target: str, where: str = "") -> "CountedPair":
        """Words are what stands between white space, as alignment files count them."""
        return cls(source, target, tuple(source.split()), tuple(target.split()), where=where)

    @property
    def has_both_sides(self) -> bool:
        """Whether there is anything to link."""
        return bool(self.source_words and self.target_words)

    @classmethod
    def of_gold(cls, pair: GoldPair, where: str = "") -> "CountedPair":
        """A hand-aligned pair; its tokens with single spaces between are the text."""
        source, target = " ".join(pair.source), " ".join(pair.target)
        return cls(source, target, pair.source, pair.target, pair.sure, pair.possible, where)

    @classmethod
    def of_world(cls, pair: WorldPair) -> "CountedPair":
        """A pair of the built-in corpus, whose links are all sure."""
        links = frozenset(pair.alignment)
        return cls(pair.source, pair.target, pair.source_tokens, pair.target_tokens, links, links)


def read_counted(name: str, split: world.Split) -> list[CountedPair]:
    """Pairs with gold links: a file of hand-made alignments, or world[:N].

    Raises:
        DataError: no such file, or not of that form.
    """
    if (drawn := draw_world([name], split)) is not None:
        return [CountedPair.of_world(pair) for pair in drawn]
    return [CountedPair.of_gold(pair, f"{name}:{line}") for line, pair in enumerate(alignment.read_gold(name), 1)]


def read_text(
    data: Sequence[str],
    source_language: str = "",
    target_language: str = "",
    note: Callable[[str], None] = lambda text: None,
) -> list[CountedPair]:
    """DATA whose words are to be aligned: for every line, or unit, a pair. One that cannot be used has no words.

    Args:
        note: hears how many cannot be used, and why, if there are any.

    Raises:
        DataError: it cannot be read, or no pair can be used.
    """
    sources = as_sources(data)
    row_filter = RowFilter(Filters.none(), [source.name for source in sources])
    rows = read_rows(sources, source_language or None, target_language or None, split="test")
    pairs = [
        CountedPair.of_text(row.source, row.target, sources[number].where(row.line))
        if reason is None
        else CountedPair.of_text("", "")
        for number, row, reason in row_filter.apply(rows)
    ]
    total = row_filter.report.total
    if not total.used:
        names = ", ".join(source.name for source in sources)
        raise DataError(f"{names}: no pair can be used ({total.line()}). Give pairs that have two sides.")
    if total.skipped:
        note(total.line())
    return pairs


def turned_pair(pair: CountedPair) -> CountedPair:
    """The pair as a model that translates the other way sees it."""
    return CountedPair(
        pair.target,
        pair.source,
        pair.target_words,
        pair.source_words,
        frozenset(turned(pair.sure)),
        frozenset(turned(pair.possible)),
        pair.where,
    )
