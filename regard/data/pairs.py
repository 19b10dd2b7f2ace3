"""What DATA means on the command line, and the pairs it stands for.

DATA is two line-aligned plain text files, or any number of TSV, JSONL, TMX or PO files, each optionally FILE:WEIGHT
(for two plain files the weight stands on the second); or world[:N], the built-in corpus. Of it the split is what the
data is for; world-train[:N], world-dev[:N] and world-test[:N] name one.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy

from regard import formats
from regard.data.filters import FilterReport, Filters, RowFilter
from regard.errors import DataError
from regard.formats import Row
from regard.formats.files import exists, kind_suffix, text_lines
from regard.formats.languages import best_match
from regard.formats.links import format_links, parse_links, turned

if TYPE_CHECKING:
    from regard.data.world import WorldPair  # its modules take a while, and are read only where it is used

Split = Literal["train", "dev", "test"]
WORLD_PAIRS = 20_000  # of "world" without a number
_LEAST_WEIGHT, _MOST_WEIGHT = 1e-6, 1_000_000  # weights are kept in 32 bits
_WORLD_LANGUAGES = ("en", "pt")
_WORLD_SPLITS: dict[str, Split | None] = {
    "world": None,
    "world-train": "train",
    "world-dev": "dev",
    "world-test": "test",
}


@dataclass(frozen=True)
class DataSource:
    """One part of DATA: a file, two aligned files, or the built-in corpus."""

    paths: tuple[Path, ...] = ()  # one file, or two plain ones; none for the built-in corpus
    world_pairs: int = 0  # of the built-in corpus
    world_split: Split | None = None  # of it; None: that of what the data is for
    weight: float = 1.0  # each pair is shown so many times in an epoch, on average

    @property
    def name(self) -> str:
        return " + ".join(map(str, self.paths)) or f"{self._world}:{self.world_pairs}"

    def where(self, line: int) -> str:
        """Where a pair stands, for people: "my.en:12"."""
        return f"{self.paths[0] if self.paths else self._world}:{line}"

    @property
    def _world(self) -> str:
        return f"world-{self.world_split}" if self.world_split else "world"


@dataclass(frozen=True, slots=True)
class Pair:
    """One sentence and its translation."""

    source: str
    target: str
    where: str  # file and line, for people


@dataclass
class PairSet:
    """Many pairs, by column. Columns are of equal length."""

    sources: list[str]
    targets: list[str]
    weights: numpy.ndarray  # float32, (pairs,)
    files: numpy.ndarray  # int32, (pairs,): position in `origins`
    lines: numpy.ndarray  # int64, (pairs,): 1-based line in that file
    origins: tuple[DataSource, ...]
    links: list[str] | None = None  # between words, that is what stands between white space; see `regard.formats.links`

    @classmethod
    def of_world(cls, pairs: "Sequence[WorldPair]") -> "PairSet":
        """Sentences of the built-in corpus."""
        count = len(pairs)
        return cls(
            sources=[pair.source for pair in pairs],
            targets=[pair.target for pair in pairs],
            weights=numpy.ones(count, dtype=numpy.float32),
            files=numpy.zeros(count, dtype=numpy.int32),
            lines=numpy.arange(1, count + 1, dtype=numpy.int64),
            origins=(DataSource(world_pairs=count),),
        )

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> Pair:
        return Pair(self.sources[index], self.targets[index], self.where(index))

    def where(self, index: int) -> str:
        return self.origins[int(self.files[index])].where(int(self.lines[index]))

    def select(self, indices: numpy.ndarray) -> "PairSet":
        """The pairs at these positions (int, (chosen,)), in this order."""
        sources = [self.sources[index] for index in indices]
        targets = [self.targets[index] for index in indices]
        links = None if self.links is None else [self.links[index] for index in indices]
        weights, files, lines = self.weights[indices], self.files[indices], self.lines[indices]
        return PairSet(sources, targets, weights, files, lines, self.origins, links)

    def turned(self) -> "PairSet":
        """The same pairs, each the other way round."""
        links = self.links
        if links is not None:
            links = [format_links(turned(parse_links(each)[0])) for each in links]
        return replace(self, sources=self.targets, targets=self.sources, links=links)


def parse_data(arguments: Sequence[str]) -> list[DataSource]:
    """What DATA means. Files are not opened, only looked for: an existing file "a:2" is that file, not a weight.

    Raises:
        DataError: no argument, a weight that is no positive number, a plain file without a partner, a bad world:N.
    """
    if not arguments:
        raise DataError("No data was named. Give two aligned text files, or TSV, JSONL, TMX or PO files, or world.")
    sources: list[DataSource] = []
    waiting: Path | None = None  # a plain file whose partner comes next
    for argument in arguments:
        if (built_in := _world_source(argument)) is not None:
            if waiting is not None:
                raise _alone(waiting)
            sources.append(built_in)
            continue
        path, weight = path_and_weight(argument)
        plain = formats.kind(path) == "plain"
        if waiting is not None and not plain:
            raise _alone(waiting)
        if not plain:
            sources.append(DataSource((path,), weight=1.0 if weight is None else weight))
        elif waiting is not None:
            sources.append(DataSource((waiting, path), weight=1.0 if weight is None else weight))
            waiting = None
        elif weight is not None:
            raise DataError(
                f"{argument}: a weight on the first of two aligned files. It belongs on the second: "
                f"write {path} OTHER:{weight:g}."
            )
        else:
            waiting = path
    if waiting is not None:
        raise _alone(waiting)
    return sources


def read(
    sources: Sequence[DataSource],
    source_language: str | None = None,
    target_language: str | None = None,
    *,
    split: Split = "train",
    seed: int = 0,
) -> Iterator[tuple[int, Row]]:
    """Every row of every source, in order, with the position of its source. Streams; filters nothing.

    `split` ("train", "dev" or "test"; unless the data names one) and `seed` concern the built-in corpus only.

    Raises:
        DataError: a file cannot be read; see `formats.read_pairs`.
    """
    for number, source in enumerate(sources):
        if source.paths:
            rows = formats.read_pairs(source.paths, source_language, target_language)
        else:
            rows = _world_rows(source.world_pairs, source.world_split or split, seed)
        for row in rows:
            yield number, row


def load(
    data: Sequence[str] | Sequence[DataSource],
    *,
    source_language: str | None = None,
    target_language: str | None = None,
    filters: Filters | None = None,
    split: Split = "train",
    seed: int = 0,
    alignments: Path | None = None,
) -> tuple[PairSet, FilterReport]:
    """The pairs of DATA that pass the filters (None: the default ones), in order, and what was skipped why.

    Args:
        alignments: a file with a line of links for each row of DATA, before any filter; see `PairSet.links`.

    Raises:
        DataError: a file cannot be read, no pair passes, or the alignments are not those of DATA.
    """
    sources = as_sources(data)
    row_filter = RowFilter(filters or Filters(), [source.name for source in sources])
    texts: tuple[list[str], list[str]] = ([], [])
    files: list[int] = []
    lines: list[int] = []
    links: list[str] = []
    rows = row_filter.apply(read(sources, source_language, target_language, split=split, seed=seed))
    for number, row, reason, links_of_row in _with_links(rows, sources, alignments):
        if reason is None:
            links.append(links_of_row)
            texts[0].append(row.source)
            texts[1].append(row.target)
            files.append(number)
            lines.append(row.line)
    report = row_filter.report
    if not files:
        names = ", ".join(source.name for source in sources)
        raise DataError(f"{names}: no pair can be used ({report.total.line()}). Check the files or relax the filters.")
    file_numbers = numpy.array(files, dtype=numpy.int32)
    weights = numpy.array([source.weight for source in sources], dtype=numpy.float32)[file_numbers]
    line_numbers = numpy.array(lines, dtype=numpy.int64)
    return PairSet(*texts, weights, file_numbers, line_numbers, tuple(sources), links if alignments else None), report


def _with_links(
    rows: Iterable[tuple[int, Row, str | None]], sources: Sequence[DataSource], alignments: Path | None
) -> Iterator[tuple[int, Row, str | None, str]]:
    """Each row and the reason not to use it, with its links: none where there are no alignments, or it is not used."""
    lines = text_lines(alignments) if alignments else None
    count = 0
    for number, row, reason in rows:
        count += 1
        links = ""
        if alignments and lines:
            pair = sources[number].where(row.line)
            line, text = next(lines, (0, None))
            if text is None:
                raise _not_those(alignments, f"ends before {pair}")
            links = _checked_links(text, row, f"{alignments}, line {line:,}", pair) if reason is None else ""
        yield number, row, reason, links
    if alignments and lines and next(lines, None) is not None:
        raise _not_those(alignments, f"has more than {count:,} lines")


def _checked_links(text: str, row: Row, where: str, pair: str) -> str:
    try:
        sure, _ = parse_links(text)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    ends = len(row.source.split()), len(row.target.split())
    for link in sure:
        if link[0] >= ends[0] or link[1] >= ends[1]:
            raise DataError(
                f"{where}: the link {link[0]}-{link[1]}, but {pair} has {ends[0]} and {ends[1]} words (what stands "
                "between white space, counted from 0). The file needs a line of links for each row of DATA."
            )
    return format_links(sure)


def _not_those(path: Path, found: str) -> DataError:
    return DataError(f"{path}: {found}. The file needs a line of links for each row of DATA, skipped ones too.")


def draw_world(data: Sequence[str], split: Split, *, it_share: float = 0.3) -> "list[WorldPair] | None":
    """The pairs of the built-in corpus with their gold, where DATA is that corpus alone; else None.

    Args:
        split: unless DATA names one.
        it_share: share of sentences with an *it* to resolve.

    Raises:
        DataError: a bad world:N.
    """
    source = _world_source(data[0]) if len(data) == 1 else None
    if source is None:
        return None
    from regard.data import world

    return list(world.generate(source.world_split or split, source.world_pairs, it_share=it_share))


def is_world(argument: str) -> bool:
    """Whether an argument names the built-in corpus, or a split of it.

    Raises:
        DataError: a bad world:N.
    """
    return _world_source(argument) is not None


def check_apart(dev: Sequence[str], test: Sequence[str]) -> None:
    """Refuse to choose on what is then measured: the result would flatter.

    Args:
        dev, test: names of files, or of the built-in corpus; without a split it is that of what it is given for.

    Raises:
        DataError: both hold the same file, or the same split of the built-in corpus, whose first pairs are the same.
    """
    for name, other in itertools.product(dev, test):
        first, second = _world_source(name), _world_source(other)
        if first is not None and second is not None:
            same = (first.world_split or "dev") == (second.world_split or "test")
        else:
            paths = [path_and_weight(each)[0] for each in (name, other)]
            same = all(map(exists, paths)) and paths[0].samefile(paths[1])
        if same:
            named = name if name == other else f"{name} and {other}"
            raise DataError(
                f"{named}: what is chosen on would be measured too, and the result would flatter. Give --dev another "
                "set."
            )


def check_direction(
    data: Sequence[str] | Sequence[DataSource], source_language: str, target_language: str, *, reverse: bool = False
) -> None:
    """Look whether a model reads DATA the right way round, where that can be known: of two plain files that end in
    their languages (my.en my.pt), and of the built-in corpus. TMX, and JSONL with language names, are read by name.

    Args:
        source_language, target_language: what the model translates from and to; empty: not known.
        reverse: it is to read the second side.

    Raises:
        DataError: the sides are the model's two languages, but the other way round.
    """
    for source in as_sources(data) if data else ():
        sides = [kind_suffix(path).removeprefix(".") for path in source.paths] or list(_WORLD_LANGUAGES)
        if len(sides) != 2 or not (source_language and target_language):
            continue
        read = sides[::-1] if reverse else sides
        fits, turned = (
            all(best_match(wanted, [side]) is not None for wanted, side in zip(wants, read, strict=True))
            for wants in ((source_language, target_language), (target_language, source_language))
        )
        if turned and not fits:
            raise DataError(
                f"{source.name}: its sides are {sides[0]} and {sides[1]}, and the model translates from "
                f"{source_language} to {target_language}. {'Leave out' if reverse else 'Add'} --reverse."
            )


def as_sources(data: Sequence[str] | Sequence[DataSource]) -> list[DataSource]:
    """DATA as sources, whether it comes as written on the command line or parsed before."""
    parsed = [part for part in data if isinstance(part, DataSource)]
    return parsed if parsed and len(parsed) == len(data) else parse_data([str(part) for part in data])


def fingerprint(pairs: PairSet) -> str:
    """sha256, in hexadecimal, over sources, targets, weights and links in their order: equal pairs, equal string."""
    digest = hashlib.sha256(len(pairs).to_bytes(8, "little"))
    for texts in (pairs.sources, pairs.targets):
        for text in texts:
            data = text.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "little"))  # so that no text can run into the next
            digest.update(data)
    digest.update(numpy.ascontiguousarray(pairs.weights, dtype="<f4").tobytes())
    if pairs.links is not None:  # of pairs without, the fingerprint is what it was before there were any
        digest.update("\n".join(pairs.links).encode())
    return digest.hexdigest()


def files_of(arguments: Iterable[str]) -> list[Path]:
    """The files that DATA names, without their weights; the built-in corpus is none."""
    return [path_and_weight(name)[0] for name in arguments if not is_world(name)]


def path_and_weight(argument: str) -> tuple[Path, float | None]:
    """The file an argument names, and its weight if it has one."""
    head, colon, tail = argument.rpartition(":")
    try:
        weight = float(tail) if colon and head and not exists(Path(argument)) else None
    except ValueError:  # a colon in a name
        weight = None
    if weight is None:
        return Path(argument), None
    if not _LEAST_WEIGHT <= weight <= _MOST_WEIGHT:  # nan neither
        raise DataError(
            f"{argument}: the weight is {tail}. It must be a positive number from {_LEAST_WEIGHT} to {_MOST_WEIGHT:,}, "
            f"such as {head}:0.5."
        )
    return Path(head), weight


def _world_source(argument: str) -> DataSource | None:
    """The part of the built-in corpus that an argument names; None: it names none, or there is a file of that name."""
    name, colon, number = argument.partition(":")
    if name not in _WORLD_SPLITS or (exists(Path(argument)) and Path(argument).is_file()):
        return None
    if colon and not (number.isascii() and number.isdigit() and int(number[:19]) > 0):
        raise DataError(
            f"{argument}: {number!r} is not a number of pairs. {name}:N takes a whole number of at least 1, "
            f"such as {name}:{WORLD_PAIRS}."
        )
    return DataSource(world_pairs=int(number[:19]) if colon else WORLD_PAIRS, world_split=_WORLD_SPLITS[name])


def _world_rows(count: int, split: Split, seed: int) -> Iterator[Row]:
    from regard.data import world  # its lexicon is read only when it is used

    # In training the candidates' genders need not differ; see `world.frames`.
    same = world.SAME_GENDER_SHARE if split == "train" else 0.0
    for line, pair in enumerate(world.generate(split, count, seed=seed, same_gender_share=same), 1):
        yield Row(line, pair.source, pair.target)


def _alone(path: Path) -> DataError:
    if not exists(path):
        return DataError(f"{path}: there is no such file. Check the name and the folder you are in.")
    return DataError(
        f"{path}: a plain text file without a partner. Plain files come in twos, source then target. "
        f"Name the other right after it, or use a file that ends in .tsv, .jsonl, .tmx or .po."
    )
