"""Where running text is cut for training: within documents, at other places in each epoch."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from regard.data.corpus import Corpus


@dataclass(frozen=True)
class Stretches(ABC):
    """The stretches that an epoch reads; with `batch` they are `training.batches.Examples`."""

    corpus: Corpus
    spans: np.ndarray  # int64, (stretches, 2), in the corpus's ids

    def __len__(self) -> int:
        return len(self.spans)

    @property
    def weights(self) -> np.ndarray:
        """Each is shown once."""
        return np.ones(len(self.spans), dtype=np.float32)

    @property
    @abstractmethod
    def source_lengths(self) -> np.ndarray:
        """Tokens that are read of each stretch."""

    @property
    def target_lengths(self) -> np.ndarray:
        """The same: batches are made by them."""
        return self.source_lengths


def stretches(documents: np.ndarray, size: int, generator: np.random.Generator) -> np.ndarray:
    """Cut documents into stretches of at most `size` tokens, both (..., 2): where each begins and ends.

    A document that fits is one stretch. A longer one is first cut after 1 to `size` tokens, drawn anew, and then after
    every `size`: so each border falls elsewhere the next time.
    """
    lengths = documents[:, 1] - documents[:, 0]
    # Drawn for all documents, so that what one gets depends on no other.
    drawn = generator.integers(1, size + 1, size=len(documents))
    first = np.where(lengths <= size, lengths, drawn)
    counts = 1 + -(-(lengths - first) // size)
    document = np.repeat(np.arange(len(documents)), counts)
    number = np.arange(len(document)) - np.repeat(np.cumsum(counts) - counts, counts)  # within the document
    begin = documents[document, 0]
    start = np.where(number == 0, begin, begin + first[document] + (number - 1) * size)
    end = np.minimum(begin + first[document] + number * size, documents[document, 1])
    return np.stack([start, end], axis=1)
