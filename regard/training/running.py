"""Stretches of running text in which each token is to be told from those before it: what GPT learns from."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from regard.data.corpus import Corpus
from regard.nn.padded import Padded
from regard.training.stretches import Stretches, stretches


@dataclass(frozen=True)
class RunningBatch:
    """Some stretches, ready for a language model."""

    tokens: Padded  # what it reads
    labels: Tensor  # (tokens,), what follows each token read, in row order; no filling

    @property
    def target_tokens(self) -> int:
        """How many tokens the loss sums over."""
        return len(self.labels)


@dataclass(frozen=True)
class RunningCorpus:
    """Running text by epoch; see `training.batches.ExamplesByEpoch`."""

    corpus: Corpus
    max_length: int  # tokens that are read at once
    seed: int

    def at(self, epoch: int) -> "RunningStretches":
        """The stretches of an epoch: no document is crossed; a long one is cut at other places in each epoch.

        The last token of a stretch is the first of the next: each is a label once, but for a document's first.
        """
        generator = np.random.Generator(np.random.Philox(key=[self.seed, epoch], counter=[0, 0, 0, 4]))
        spans = self.corpus.spans.copy()
        spans[:, 1] -= 1  # of labels
        found = stretches(spans[spans[:, 1] > spans[:, 0]], self.max_length, generator)
        found[:, 1] += 1
        return RunningStretches(self.corpus, found)


@dataclass(frozen=True)
class RunningStretches(Stretches):
    """Stretches that are read up to their last token, which is a label alone."""

    @property
    def source_lengths(self) -> np.ndarray:
        """Tokens of each stretch but the last."""
        return self.spans[:, 1] - self.spans[:, 0] - 1

    def batch(self, rows: np.ndarray) -> RunningBatch:
        """The stretches with these numbers as one batch."""
        starts, lengths = self.spans[rows, 0], self.source_lengths[rows]
        columns = np.arange(lengths.max())
        real = columns < lengths[:, None]
        index = np.minimum(starts[:, None] + columns, len(self.corpus.ids) - 2)
        ids = np.where(real, self.corpus.ids[index], 0).astype(np.int64)
        labels = self.corpus.ids[index + 1][real].astype(np.int64)
        return RunningBatch(Padded(torch.from_numpy(ids), torch.from_numpy(lengths)), torch.from_numpy(labels))
