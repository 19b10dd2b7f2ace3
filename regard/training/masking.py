"""Stretches of running text with words masked out, in batches: what BERT learns from (Devlin et al. 2019, 3.1).

What is masked is a function of (seed, epoch, stretch), new in every epoch ("dynamic", Liu et al. 2019).
"""

from dataclasses import dataclass, field

import numpy as np
import torch

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


@dataclass(frozen=True)
class MaskedCorpus:
    """Running text by epoch; see `training.batches.ExamplesByEpoch`."""

    corpus: Corpus
    masking: Masking
    max_length: int  # of a stretch with its two special tokens
    seed: int

    def at(self, epoch: int) -> "MaskedStretches":
        """The stretches of an epoch: no document is crossed; a long one is cut at other places in each epoch."""
        generator = np.random.Generator(np.random.Philox(key=[self.seed, epoch], counter=[0, 0, 0, 2]))
        found = stretches(self.corpus.spans, self.max_length - 2, generator)
        return MaskedStretches(self.corpus, found, self.masking, self.seed, epoch)


@dataclass(frozen=True)
class MaskedStretches(Stretches):
    """Stretches with words masked out."""

    masking: Masking
    seed: int
    epoch: int

    @property
    def source_lengths(self) -> np.ndarray:
        """Tokens of each stretch, special ones counted."""
        return self.spans[:, 1] - self.spans[:, 0] + 2

    def batch(self, rows: np.ndarray) -> LabelBatch:
        """The stretches with these numbers as one batch; labels are the tokens behind the masks."""
        masking = self.masking
        lengths = self.source_lengths[rows]
        ids = np.full((len(rows), int(lengths.max())), masking.pad_id, dtype=np.int64)
        which, places, labels = [], [], []
        for number, row in enumerate(rows.tolist()):
            generator = np.random.Generator(np.random.Philox(key=[self.seed, self.epoch], counter=[0, 0, row, 3]))
            original = self.corpus.ids[slice(*self.spans[row])].astype(np.int64)
            chosen = _choose(original, masking, generator)
            seen = original.copy()
            dice = generator.random(len(chosen))
            seen[chosen[dice < _MASKED]] = masking.mask_id
            others = chosen[(dice >= _MASKED) & (dice < _RANDOM)]
            seen[others] = generator.choice(masking.ordinary_ids, len(others))
            ids[number, 0], ids[number, len(seen) + 1] = masking.start_id, masking.end_id
            ids[number, 1 : len(seen) + 1] = seen
            which.append(np.full(len(chosen), number))
            places.append(chosen + 1)
            labels.append(original[chosen])
        return LabelBatch(
            tokens=Padded(torch.from_numpy(ids), torch.from_numpy(lengths)),
            types=torch.zeros(ids.shape, dtype=torch.int64),
            rows=torch.from_numpy(np.concatenate(which)),
            places=torch.from_numpy(np.concatenate(places)),
            labels=torch.from_numpy(np.concatenate(labels)),
        )


def _choose(ids: np.ndarray, masking: Masking, generator: np.random.Generator) -> np.ndarray:
    """The places to be guessed, in order; at least one."""
    count = max(1, round(masking.share * len(ids)))
    if masking.starts_word is None:
        return np.sort(generator.permutation(len(ids))[:count])
    word = np.cumsum(masking.starts_word[ids])  # the number of each token's word
    names, sizes = np.unique(word, return_counts=True)
    order = generator.permutation(len(names))
    enough = int(np.searchsorted(np.cumsum(sizes[order]), count)) + 1
    return np.flatnonzero(np.isin(word, names[order[:enough]]))
