"""Examples in batches whose order is a function of (seed, epoch, index), so that a position is two integers."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from regard.data.subwords import SampledLines, flatten
from regard.data.tokens import Tokens
from regard.data.word_pieces import piece_groups, word_spans
from regard.errors import DataError
from regard.formats.links import parse_links
from regard.nn.padded import Padded


class Position(NamedTuple):
    """The next batch to train on."""

    epoch: int  # from 0
    batch: int  # from 0 within the epoch


@dataclass(frozen=True)
class Batch:
    """Some pairs, ready for a model."""

    source: Padded
    target: Padded  # what the decoder reads: bos, then the target
    labels: torch.Tensor  # (tokens,), what it should say next, in row order: the target, then eos; no filling
    num_pairs: int
    links: torch.Tensor | None = None  # (links, 3) int64: pair, target token, source token, where they are known

    @property
    def target_tokens(self) -> int:
        """How many tokens the loss sums over."""
        return len(self.labels)


@dataclass(frozen=True)
class IdPairs:
    """Encoded sentence pairs in flat arrays (a few bytes a token, whatever the number of pairs)."""

    source_ids: np.ndarray  # int32, all sources one after another, each with its eos
    source_starts: np.ndarray  # int64, (pairs + 1,)
    target_ids: np.ndarray  # int32, without bos and eos
    target_starts: np.ndarray
    weights: np.ndarray  # float32, how often an epoch shows each pair on average
    bos_id: int
    eos_id: int
    pad_id: int
    links: np.ndarray | None = None  # int32, (links, 2): target token, source token, of all pairs one after another
    link_starts: np.ndarray | None = None  # int64, (pairs + 1,)

    def __len__(self) -> int:
        return len(self.weights)

    def at(self, epoch: int) -> "IdPairs":
        """The pairs as an epoch sees them: always the same (see `SampledPairs`)."""
        del epoch
        return self

    @property
    def source_lengths(self) -> np.ndarray:
        return np.diff(self.source_starts)

    @property
    def target_lengths(self) -> np.ndarray:
        """With the eos (or bos) that each target carries."""
        return np.diff(self.target_starts) + 1

    def batch(self, rows: np.ndarray) -> Batch:
        """The pairs with these numbers as one batch."""
        source = gather(self.source_ids, self.source_starts, rows, self.pad_id)
        target, lengths = gather(self.target_ids, self.target_starts, rows, self.pad_id)
        first = np.full((len(rows), 1), self.bos_id)
        labels = np.concatenate([target, np.full((len(rows), 1), self.pad_id)], axis=1)
        labels[np.arange(len(rows)), lengths] = self.eos_id
        real = np.arange(labels.shape[1]) < lengths[:, None] + 1
        return Batch(
            source=Padded(torch.from_numpy(source[0]), torch.from_numpy(source[1])),
            target=Padded(torch.from_numpy(np.concatenate([first, target], axis=1)), torch.from_numpy(lengths + 1)),
            labels=torch.from_numpy(labels[real]),
            num_pairs=len(rows),
            links=self._links(rows),
        )

    def _links(self, rows: np.ndarray) -> torch.Tensor | None:
        if self.links is None or self.link_starts is None:
            return None
        parts = [self.links[self.link_starts[row] : self.link_starts[row + 1]] for row in rows]
        pairs = np.repeat(np.arange(len(rows)), [len(part) for part in parts])
        return torch.from_numpy(np.concatenate([pairs[:, None], np.concatenate(parts)], axis=1).astype(np.int64))


@dataclass(frozen=True)
class SampledPairs:
    """Pairs whose words are cut into other pieces in each epoch, as a function of (seed, epoch)."""

    plain: IdPairs
    sources: SampledLines
    targets: SampledLines
    max_length: int
    seed: int

    def __len__(self) -> int:
        return len(self.plain)

    def at(self, epoch: int) -> IdPairs:
        """The pairs as an epoch sees them."""
        # The counter keeps these numbers apart from those of `epoch_order`.
        generator = np.random.Generator(np.random.Philox(key=[self.seed, epoch], counter=[0, 0, 0, 1]))
        source_ids, source_starts = self.sources.draw(generator, self.max_length)
        target_ids, target_starts = self.targets.draw(generator, self.max_length - 1)
        return dataclasses.replace(
            self.plain,
            source_ids=source_ids,
            source_starts=source_starts,
            target_ids=target_ids,
            target_starts=target_starts,
        )


class Examples(Protocol):
    """What can be put into batches: pairs here, labelled texts in `training/examples.py`."""

    @property
    def weights(self) -> np.ndarray:
        """How often an epoch shows each example on average, float32."""
        ...

    @property
    def source_lengths(self) -> np.ndarray:
        """Tokens that are read."""
        ...

    @property
    def target_lengths(self) -> np.ndarray:
        """Tokens that are written; of a text that is only read, its own."""
        ...

    def __len__(self) -> int: ...

    def batch(self, rows: np.ndarray) -> Any:
        """The examples with these numbers as one batch."""
        ...


class ExamplesByEpoch(Protocol):
    """Examples that an epoch may see in its own way."""

    def at(self, epoch: int) -> Examples:
        """The examples as an epoch sees them, always in the same order."""
        ...


def encode_pairs(
    sources: Sequence[str],
    targets: Sequence[str],
    tokens: Tokens,
    *,
    max_length: int,
    weights: np.ndarray | None = None,
    links: Sequence[str] | None = None,
) -> tuple[IdPairs, list[int]]:
    """Encode text pairs; those longer than the model can take are left out.

    Args:
        max_length: most tokens on either side, eos counted.
        weights: how often an epoch shows each pair on average; 1 if not given.
        links: between the words of each pair, if they are known; see `regard.formats.links`.

    Returns:
        The encoded pairs and the numbers of those that were encoded.

    Raises:
        DataError: no pair is left.
    """
    source_parts, target_parts, kept = [], [], []
    for number, (source, target) in enumerate(zip(sources, targets, strict=True)):
        source_ids, target_ids = tokens.encode_source(source), tokens.encode_target(target)
        if len(source_ids) <= max_length and len(target_ids) < max_length:
            source_parts.append(np.asarray(source_ids, dtype=np.int32))
            target_parts.append(np.asarray(target_ids, dtype=np.int32))
            kept.append(number)
    if not kept:
        raise DataError(f"none of {len(sources)} pairs fits into {max_length} tokens. Set model.max_length higher.")
    all_weights = np.ones(len(sources), dtype=np.float32) if weights is None else weights
    pairs = IdPairs(
        *flatten(source_parts),
        *flatten(target_parts),
        weights=all_weights[kept],
        bos_id=tokens.bos_id,
        eos_id=tokens.eos_id,
        pad_id=tokens.pad_id,
    )
    if links is not None:
        parts = [token_links(sources[number], targets[number], links[number], tokens) for number in kept]
        all_links, starts = flatten(parts)
        pairs = dataclasses.replace(pairs, links=all_links, link_starts=starts)
    return pairs, kept


def token_links(source: str, target: str, links: str, tokens: Tokens) -> np.ndarray:
    """The links of a pair between its tokens, (links, 2) int32, target first: all of a word to all of the other word.

    Args:
        links: between words, that is what stands between white space; see `regard.formats.links`.
    """
    of_source = piece_groups(tokens.source_spans(source), word_spans(source, source.split()))
    of_target = piece_groups(tokens.target_spans(target), word_spans(target, target.split()))
    found = [(t, s) for i, j in sorted(parse_links(links)[0]) for t in of_target[j] for s in of_source[i]]
    return np.array(found, dtype=np.int32).reshape(-1, 2)


def sample_pairs(
    sources: Sequence[str],
    targets: Sequence[str],
    tokens: Tokens,
    *,
    dropout: float,
    seed: int,
    max_length: int,
    weights: np.ndarray | None = None,
) -> tuple[SampledPairs, list[int]]:
    """As `encode_pairs`, with BPE-dropout: each epoch cuts the words in its own way (see `regard.data.subwords`)."""
    plain, kept = encode_pairs(sources, targets, tokens, max_length=max_length, weights=weights)
    source_merges, target_merges = tokens.merges()
    source_lines = SampledLines(
        [sources[number] for number in kept], source_merges, dropout=dropout, seed=seed, end_id=tokens.eos_id
    )
    target_lines = SampledLines([targets[number] for number in kept], target_merges, dropout=dropout, seed=seed)
    return SampledPairs(plain, source_lines, target_lines, max_length, seed), kept


def epoch_order(examples: Examples, batch_tokens: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The batches of an epoch, each an array of numbers: examples of like length together, batches in random order.

    An example of weight w is shown floor(w) times, and once more with probability w - floor(w).

    Args:
        batch_tokens: most target tokens in a batch, padding counted; sources may have twice as many. An example longer
            than that is a batch alone.
    """
    random = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    whole = np.floor(examples.weights).astype(np.int64)
    times = whole + (random.random(len(examples)) < examples.weights - whole)
    rows = np.repeat(np.arange(len(examples)), times)
    random.shuffle(rows)
    source_lengths, target_lengths = examples.source_lengths[rows], examples.target_lengths[rows]
    by_length = np.lexsort((source_lengths, target_lengths))  # stable: ties keep their random order
    rows, source_lengths, target_lengths = rows[by_length], source_lengths[by_length], target_lengths[by_length]
    batches, first, longest_source = [], 0, 0
    for last in range(len(rows)):
        longest_source = max(longest_source, source_lengths[last])
        size = last - first + 1
        too_many = target_lengths[last] * size > batch_tokens or longest_source * size > 2 * batch_tokens
        if too_many and size > 1:
            batches.append(rows[first:last])
            first, longest_source = last, source_lengths[last]
    if first < len(rows):
        batches.append(rows[first:])
    return [batches[number] for number in random.permutation(len(batches))]


def batches_from(
    examples: ExamplesByEpoch, batch_tokens: int, seed: int, position: Position
) -> Iterator[tuple[Any, Position]]:
    """All batches from a position on, epoch after epoch without end, each with the position that follows it."""
    epoch, batch = position
    while True:
        seen = examples.at(epoch)
        order = epoch_order(seen, batch_tokens, seed, epoch)
        if not order:
            raise DataError("an epoch shows no example at all: the weights of the data are too small.")
        for number in range(batch, len(order)):
            following = Position(epoch, number + 1) if number + 1 < len(order) else Position(epoch + 1, 0)
            yield seen.batch(order[number]), following
        epoch, batch = epoch + 1, 0


def gather(ids: np.ndarray, starts: np.ndarray, rows: np.ndarray, pad_id: int) -> tuple[np.ndarray, np.ndarray]:
    """The sequences with these numbers, padded: ids (rows, longest) int64 and lengths (rows,) int64."""
    lengths = starts[rows + 1] - starts[rows]
    columns = np.arange(lengths.max(initial=0))
    index = np.minimum(starts[rows][:, None] + columns, len(ids) - 1)
    return np.where(columns < lengths[:, None], ids[index], pad_id).astype(np.int64), lengths
