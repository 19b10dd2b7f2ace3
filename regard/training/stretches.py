"""Where running text is cut for training: within documents, at other places in each epoch."""

import numpy as np


def stretches(documents: np.ndarray, size: int, generator: np.random.Generator) -> np.ndarray:
    """Cut documents into stretches of at most `size` tokens, both (..., 2): where each begins and ends.

    A document that fits is one stretch. A longer one is first cut after 1 to `size` tokens, drawn anew, and then after
    every `size`: so each border falls elsewhere the next time.
    """
    lengths = documents[:, 1] - documents[:, 0]
    drawn = generator.integers(
        1, size + 1, size=len(documents)
    )  # for all documents: what one gets depends on none other
    first = np.where(lengths <= size, lengths, drawn)
    counts = 1 + -(-(lengths - first) // size)
    document = np.repeat(np.arange(len(documents)), counts)
    number = np.arange(len(document)) - np.repeat(np.cumsum(counts) - counts, counts)  # within the document
    begin = documents[document, 0]
    start = np.where(number == 0, begin, begin + first[document] + (number - 1) * size)
    end = np.minimum(begin + first[document] + number * size, documents[document, 1])
    return np.stack([start, end], axis=1)
