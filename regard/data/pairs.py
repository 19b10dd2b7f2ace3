"""What DATA means on the command line, and the pairs it stands for.

DATA is two line-aligned plain text files, or any number of TSV, JSONL, TMX or PO files, each optionally FILE:WEIGHT
(for two plain files the weight stands on the second); or world[:N], the built-in corpus.
"""

import hashlib
import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy

from regard import formats
from regard.data.filters import FilterReport, Filters, RowFilter
from regard.errors import DataError
from regard.formats import Row

if TYPE_CHECKING:
    from regard.data.world import WorldPair  # its modules take a while, and are read only where it is used

Split = Literal["train", "dev", "test"]
WORLD_PAIRS = 20_000  # of "world" without a number
_MAX_LOST_SHARE = 0.1  # of all pairs: what holding out may cost in pairs that clash
_MAX_CLASHES = 10  # a pair that clashes with more than these stays in train


@dataclass(frozen=True)
class DataSource:
    """One part of DATA: a file, two aligned files, or the built-in corpus."""

    paths: tuple[Path, ...] = ()  # one file, or two plain ones; none for the built-in corpus
    world_pairs: int = 0  # of the built-in corpus
    weight: float = 1.0  # each pair is shown so many times in an epoch, on average

    @property
    def name(self) -> str:
        return " + ".join(map(str, self.paths)) or f"world:{self.world_pairs}"

    def where(self, line: int) -> str:
        """Where a pair stands, for people: "my.en:12"."""
        return f"{self.paths[0]}:{line}" if self.paths else f"world:{line}"


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
        return PairSet(sources, targets, self.weights[indices], self.files[indices], self.lines[indices], self.origins)


class HeldOut(NamedTuple):
    """What `hold_out` makes of one set of pairs. train + dev + dropped = all pairs."""

    train: PairSet
    dev: PairSet
    dropped: int  # pairs in neither: they share a source or a target with dev
    shared_targets: bool  # targets of dev may occur in train, for there are too few different ones to keep them apart


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
        path, weight = (None, None) if _is_world(argument) else path_and_weight(argument)
        plain = path is not None and formats.kind(path) == "plain"
        if waiting is not None and not plain:
            raise _alone(waiting)
        if path is None:
            sources.append(DataSource(world_pairs=_world_pairs(argument)))
        elif not plain:
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

    `split` ("train", "dev" or "test") and `seed` concern the built-in corpus only.

    Raises:
        DataError: a file cannot be read; see `formats.read_pairs`.
    """
    for number, source in enumerate(sources):
        if source.paths:
            rows = formats.read_pairs(source.paths, source_language, target_language)
        else:
            rows = _world_rows(source.world_pairs, split, seed)
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
) -> tuple[PairSet, FilterReport]:
    """The pairs of DATA that pass the filters (None: the default ones), in order, and what was skipped why.

    Raises:
        DataError: a file cannot be read, or no pair passes.
    """
    sources = as_sources(data)
    row_filter = RowFilter(filters or Filters(), [source.name for source in sources])
    texts: tuple[list[str], list[str]] = ([], [])
    files: list[int] = []
    lines: list[int] = []
    rows = read(sources, source_language, target_language, split=split, seed=seed)
    for number, row, reason in row_filter.apply(rows):
        if reason is None:
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
    return PairSet(*texts, weights, file_numbers, line_numbers, tuple(sources)), report


def draw_world(data: Sequence[str], split: Split, *, it_share: float = 0.3) -> "list[WorldPair] | None":
    """The pairs of the built-in corpus with their gold, where DATA is world[:N] alone; else None.

    Args:
        it_share: share of sentences with an *it* to resolve.

    Raises:
        DataError: a bad world:N.
    """
    if len(data) != 1 or not _is_world(data[0]):
        return None
    from regard.data import world

    return list(world.generate(split, _world_pairs(data[0]), it_share=it_share))


def as_sources(data: Sequence[str] | Sequence[DataSource]) -> list[DataSource]:
    """DATA as sources, whether it comes as written on the command line or parsed before."""
    parsed = [part for part in data if isinstance(part, DataSource)]
    return parsed if parsed and len(parsed) == len(data) else parse_data([str(part) for part in data])


def hold_out(pairs: PairSet, count: int, seed: int) -> HeldOut:
    """Set `count` pairs aside (a tenth of all at most) as a dev set that shares no source and no target with train.

    Texts are compared after `normalise`; within dev too they differ. Pairs left in train that clash with dev are
    dropped; a pair with many clashes is not chosen, and all that is dropped is a tenth of the pairs at most, so dev may
    come out smaller than asked. Where targets are too few to keep apart (labels, small numbers), only sources are.

    Raises:
        DataError: too few pairs, or too few different ones.
    """
    keys = [group_numbers(pairs.sources), group_numbers(pairs.targets)]
    train, chosen = hold_out_rows(keys, count, seed)
    shared_targets = 2 * len(chosen) < min(count, len(pairs) // 10)
    if shared_targets:
        train, chosen = hold_out_rows(keys[:1], count, seed)
    dropped = len(pairs) - len(train) - len(chosen)
    return HeldOut(pairs.select(train), pairs.select(chosen), dropped, shared_targets)


def hold_out_rows(keys: Sequence[numpy.ndarray], count: int, seed: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Choose up to `count` rows (a tenth of all at most) for dev; rows with equal keys never stand on both sides.

    Args:
        keys: int64, (rows,) each: equal numbers for texts that are the same.

    Returns:
        The rows of train and of dev, in order; rows in neither clash with dev.

    Raises:
        DataError: too few rows, or too few different ones.
    """
    total = len(keys[0])
    wanted = min(count, total // 10)
    if wanted < 1:
        raise DataError(
            f"{total:,} rows are too few to hold out {count:,}: a dev set takes one in ten at most. "
            f"Give a dev set of its own with --dev."
        )
    order = numpy.random.default_rng(seed).permutation(total)
    chosen = _choose(order, keys, wanted)
    if not len(chosen) and len(keys) == 1:
        raise DataError(
            f"{total:,} rows repeat so few different texts that none can be held out as a dev set. "
            f"Give a dev set of its own with --dev."
        )
    chosen.sort()  # in the order of the files
    clashes = numpy.zeros(total, dtype=bool)
    for key in keys:
        clashes |= numpy.isin(key, key[chosen])
    return numpy.flatnonzero(~clashes), chosen


def fingerprint(pairs: PairSet) -> str:
    """sha256, in hexadecimal, over sources, targets and weights in their order: equal sets of pairs, equal string."""
    digest = hashlib.sha256(len(pairs).to_bytes(8, "little"))
    for texts in (pairs.sources, pairs.targets):
        for text in texts:
            data = text.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "little"))  # so that no text can run into the next
            digest.update(data)
    digest.update(numpy.ascontiguousarray(pairs.weights, dtype="<f4").tobytes())
    return digest.hexdigest()


def normalise(text: str) -> str:
    """The text without case, compatibility forms, punctuation and extra space: by this two texts are "the same".

    Apostrophes vanish, other punctuation parts words. Text that is nothing but punctuation keeps it.
    """
    if text.isascii():
        text = text.lower()
    else:  # case folding can undo the normal form
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(text.translate(_PUNCTUATION).split()) or " ".join(text.split())


class _Punctuation(dict[int, str]):
    """A table for `str.translate`, filled as characters are met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        removed = " " if unicodedata.category(character).startswith("P") else character
        self[code] = "" if character in "'’‘ʼ" else removed
        return self[code]


_PUNCTUATION = _Punctuation()  # at most as large as Unicode


def group_numbers(texts: Sequence[str]) -> numpy.ndarray:
    """int64, (texts,): equal numbers for texts equal after `normalise`."""
    # 64-bit hashes instead of a dictionary of texts: 8 bytes a pair. Only equality is used, so their salt is harmless.
    hashes = numpy.fromiter((hash(normalise(text)) for text in texts), dtype=numpy.int64, count=len(texts))
    return numpy.unique(hashes, return_inverse=True)[1]


def _choose(order: numpy.ndarray, keys: Sequence[numpy.ndarray], wanted: int) -> numpy.ndarray:
    """The first positions of `order` that differ from each other in every key and cost few clashing pairs."""
    counts = [numpy.bincount(key)[key] - 1 for key in keys]  # per pair: the others that have its key
    clashes = numpy.sum(counts, axis=0)
    taken: list[set[int]] = [set() for _ in keys]
    chosen: list[int] = []
    allowed = _MAX_LOST_SHARE * len(order)
    for index in order[clashes[order] <= _MAX_CLASHES]:
        own = [int(key[index]) for key in keys]
        if clashes[index] > allowed or any(number in numbers for number, numbers in zip(own, taken, strict=True)):
            continue
        for number, numbers in zip(own, taken, strict=True):
            numbers.add(number)
        allowed -= int(clashes[index])
        chosen.append(int(index))
        if len(chosen) == wanted:
            break
    return numpy.array(chosen, dtype=numpy.int64)


def path_and_weight(argument: str) -> tuple[Path, float | None]:
    """The file an argument names, and its weight if it has one."""
    head, colon, tail = argument.rpartition(":")
    try:
        weight = float(tail) if colon and head and not Path(argument).exists() else None
    except ValueError:  # a colon in a name
        weight = None
    if weight is None:
        return Path(argument), None
    if not (math.isfinite(weight) and weight > 0):
        raise DataError(f"{argument}: the weight is {tail}. It must be a positive number, such as {head}:0.5.")
    return Path(head), weight


def _is_world(argument: str) -> bool:
    return (argument == "world" or argument.startswith("world:")) and not Path(argument).is_file()


def _world_pairs(argument: str) -> int:
    number = argument.partition(":")[2]
    if argument == "world":
        return WORLD_PAIRS
    if not (number.isascii() and number.isdigit() and int(number[:19]) > 0):
        raise DataError(
            f"{argument}: {number!r} is not a number of pairs. world:N takes a whole number of at least 1, "
            f"such as world:{WORLD_PAIRS}."
        )
    return int(number[:19])


def _world_rows(count: int, split: Split, seed: int) -> Iterator[Row]:
    from regard.data import world  # its lexicon is read only when it is used

    # In training the candidates' genders need not differ; see `world.frames`.
    same = world.SAME_GENDER_SHARE if split == "train" else 0.0
    for line, pair in enumerate(world.generate(split, count, seed=seed, same_gender_share=same), 1):
        yield Row(line, pair.source, pair.target)


def _alone(path: Path) -> DataError:
    return DataError(
        f"{path}: a plain text file without a partner. Plain files come in twos, source then target. "
        f"Name the other right after it, or use a file that ends in .tsv, .jsonl, .tmx or .po."
    )
