"""Stretches of running text with words masked out, in batches: what BERT learns from (Devlin et al. 2019, 3.1).

What is masked is a function of (seed, epoch, stretch), new in every epoch ("dynamic", Liu et al. 2019). With
`Masking.ends_sentence` a stretch is read in two parts, and in half of them another document's text takes the second's
place.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from regard.data.corpus import Corpus
from regard.nn.padded import Padded
from regard.training.examples import LabelBatch
from regard.training.stretches import Stretches, stretches

_MASKED, _RANDOM = 0.8, 0.9  # of the chosen tokens: below become [MASK], below become another token, the rest stay


@dataclass(frozen=True)
class Masking:
    """How words are masked."""

    mask_id: int
    start_id: int  # before a stretch
    end_id: int  # after it
    pad_id: int
    ordinary_ids: np.ndarray  # int64: what may stand for a token: all but special ones
    share: float = 0.15  # of the tokens of a stretch, that are to be guessed
    starts_word: np.ndarray | None = field(default=None, repr=False)  # (V,): mask whole words; None: single tokens
    ends_sentence: np.ndarray | None = field(default=None, repr=False)  # (V,): read two parts; None: one

    @property
    def num_special(self) -> int:
        """Special tokens of a text: at its start and at the end of each part."""
        return 2 if self.ends_sentence is None else 3


@dataclass(frozen=True)
class MaskedBatch(LabelBatch):
    """Some texts with masks; the labels are the tokens behind them."""

    follows: Tensor | None = None  # (B,), int64: 0 where the second part follows the first, 1 where not; None: one part


@dataclass(frozen=True)
class MaskedCorpus:
    """Running text by epoch; see `training.batches.ExamplesByEpoch`."""

    corpus: Corpus
    masking: Masking
    max_length: int  # of a stretch with its special tokens
    seed: int
    short_length: int = 0  # of a stretch in the first epochs, with its special tokens
    short_tokens: int = 0  # so many tokens of text are read in such stretches before all else

    def at(self, epoch: int) -> "MaskedStretches":
        """The stretches of an epoch: no document is crossed; a long one is cut at other places in each epoch.

        The first epochs are of short stretches, until there were `short_tokens` of text; the last of these has only as
        many documents, drawn by chance, as are still needed. Where two parts are read, a stretch of a single token is
        left out.
        """
        generator = np.random.Generator(np.random.Philox(key=[self.seed, epoch], counter=[0, 0, 0, 2]))
        documents, length = self.corpus.spans, self.max_length
        missing = self.short_tokens - epoch * self.corpus.num_tokens
        if missing > 0:
            drawn = generator.permutation(len(documents))
            enough = np.searchsorted(np.cumsum(self.corpus.lengths[drawn]), missing) + 1
            documents, length = documents[np.sort(drawn[:enough])], self.short_length
        found = stretches(documents, length - self.masking.num_special, generator)
        if self.masking.ends_sentence is not None:
            found = found[found[:, 1] - found[:, 0] > 1]
        return MaskedStretches(self.corpus, found, self.masking, self.seed, epoch)


@dataclass(frozen=True)
class MaskedStretches(Stretches):
    """Stretches with words masked out."""

    masking: Masking
    seed: int
    epoch: int

    @property
    def source_lengths(self) -> np.ndarray:
        """Tokens of each stretch, special ones counted: at most, where another second part may take its own's place."""
        return self.spans[:, 1] - self.spans[:, 0] + self.masking.num_special

    @cached_property
    def documents(self) -> np.ndarray:
        """The document of each stretch; found for all at once, for a search copies where every document begins."""
        return np.searchsorted(self.corpus.spans[:, 0], self.spans[:, 0], side="right") - 1

    def batch(self, rows: np.ndarray) -> MaskedBatch:
        """The stretches with these numbers as one batch."""
        masking = self.masking
        inputs, types, which, places, labels, follows = [], [], [], [], [], []
        for number, row in enumerate(rows.tolist()):
            generator = np.random.Generator(np.random.Philox(key=[self.seed, self.epoch], counter=[0, 0, row, 3]))
            parts, other = self._parts(row, generator)
            original = np.concatenate(parts)
            chosen = _choose(original, masking, generator)
            seen = original.copy()
            dice = generator.random(len(chosen))
            seen[chosen[dice < _MASKED]] = masking.mask_id
            others = chosen[(dice >= _MASKED) & (dice < _RANDOM)]
            seen[others] = generator.choice(masking.ordinary_ids, len(others))
            first = len(parts[0])
            framed = np.full(1 + len(seen) + len(parts), masking.end_id, dtype=np.int64)  # after each part
            framed[0], framed[1 : first + 1] = masking.start_id, seen[:first]
            framed[first + 2 : len(seen) + 2] = seen[first:]
            inputs.append(framed)
            types.append(np.arange(len(framed)) > first + 1)
            which.append(np.full(len(chosen), number))
            places.append(chosen + 1 + (chosen >= first))
            labels.append(original[chosen])
            follows.append(other)
        lengths = np.array([len(each) for each in inputs])
        real = np.arange(lengths.max()) < lengths[:, None]
        ids, kinds = np.full(real.shape, masking.pad_id, dtype=np.int64), np.zeros(real.shape, dtype=np.int64)
        ids[real], kinds[real] = np.concatenate(inputs), np.concatenate(types)
        return MaskedBatch(
            tokens=Padded(torch.from_numpy(ids), torch.from_numpy(lengths)),
            types=torch.from_numpy(kinds),
            rows=torch.from_numpy(np.concatenate(which)),
            places=torch.from_numpy(np.concatenate(places)),
            labels=torch.from_numpy(np.concatenate(labels)),
            follows=None if masking.ends_sentence is None else torch.tensor(follows),
        )

    def _parts(self, row: int, generator: np.random.Generator) -> tuple[list[np.ndarray], int]:
        """A stretch in one part or two, and whether the second comes from another document (1) or its own (0)."""
        first, end = self.spans[row]
        ids, ends = self.corpus.ids[first:end].astype(np.int64), self.masking.ends_sentence
        if ends is None:
            return [ids], 0
        borders = sentence_borders(ids, ends)
        cut = int(generator.choice(borders)) if len(borders) else int(generator.integers(1, len(ids)))
        if generator.integers(2) == 0:
            return [ids[:cut], ids[cut:]], 0
        return [ids[:cut], self._elsewhere(row, len(ids) - cut, len(borders) > 0, generator)], 1

    def _elsewhere(self, row: int, size: int, whole_sentence: bool, generator: np.random.Generator) -> np.ndarray:
        """Text of another document, to take the place of a stretch's second part.

        Nothing but what they say should tell the two apart. So it has as many tokens, begins with a sentence where that
        part does, and ends with its document where that does, as far as the other document has such a piece.
        """
        assert self.masking.ends_sentence is not None
        spans = self.corpus.spans
        own = int(self.documents[row])
        other = int(generator.integers(len(spans) - 1))
        start, stop = spans[other + (other >= own)]
        size = min(size, stop - start)
        ends_document = self.spans[row, 1] == spans[own, 1]
        begin = stop - size if ends_document else int(generator.integers(start, stop - size + 1))
        found = self.corpus.ids[begin : min(stop, begin + 2 * size)].astype(np.int64)
        if whole_sentence and begin > start:
            latest = size - 1 if ends_document else len(found) - size  # that leaves something, or enough
            borders = sentence_borders(found, self.masking.ends_sentence)
            found = found[next((border for border in borders.tolist() if border <= latest), 0) :]
        return found[:size]


def in_another_order(batch: MaskedBatch, masking: Masking) -> Padded:
    """The texts of a batch with all tokens in other places, but for those to be guessed and what frames the text."""
    ids, lengths = batch.tokens.ids.numpy().copy(), batch.tokens.lengths.numpy()
    may_move = (np.arange(ids.shape[1]) < lengths[:, None]) & (ids != masking.start_id) & (ids != masking.end_id)
    may_move[batch.rows.numpy(), batch.places.numpy()] = False
    generator = np.random.Generator(np.random.Philox(key=[0, 0]))
    for row, movable in zip(ids, may_move, strict=True):
        row[movable] = generator.permutation(row[movable])
    return Padded(torch.from_numpy(ids), batch.tokens.lengths)


def sentence_borders(ids: np.ndarray, ends_sentence: np.ndarray) -> np.ndarray:
    """The places within a text where a sentence begins after another: the numbers of their first tokens."""
    ends = ends_sentence[ids]
    return np.flatnonzero(ends[:-1] & ~ends[1:]) + 1


def _choose(ids: np.ndarray, masking: Masking, generator: np.random.Generator) -> np.ndarray:
    """The places to be guessed, in order; at least one.

    Single tokens are as many as come next to the share, as in Devlin et al.'s code: of 18 tokens 15 % are 3. Of whole
    words, taken in random order, those that would go over the share are left out; there it is rounded up or down by
    chance, so that it is kept in the mean: of 62 tokens 15 % are 9.3.
    """
    if masking.starts_word is None:
        count = max(1, round(masking.share * len(ids)))
        return np.sort(generator.permutation(len(ids))[:count])
    word = np.cumsum(masking.starts_word[ids])  # the number of each token's word
    names, sizes = np.unique(word, return_counts=True)
    order = generator.permutation(len(names))
    room = max(1, int(masking.share * len(ids) + generator.random()))
    chosen = []
    for number, size in zip(order.tolist(), sizes[order].tolist(), strict=True):
        if size <= room:
            chosen.append(number)
            room -= size
            if not room:
                break
    return np.flatnonzero(np.isin(word, names[chosen or order[:1]]))
