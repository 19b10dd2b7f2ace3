"""Which inputs run together: only those of one padded length, so that none depends on its company."""

from collections.abc import Sequence

import numpy as np

from regard.nn.padded import Padded, pad

Weights = dict[str, np.ndarray]  # of attention, by kind
LENGTH_STEP = 8  # padded lengths are multiples of this


def by_length(
    lengths: Sequence[int] | Sequence[tuple[int, int]], batch_tokens: int, *, to_write: int = 0
) -> list[list[int]]:
    """Row numbers grouped by padded length, longest first (so that memory runs out at once or not at all).

    Args:
        lengths: of each row, or of its two sides, which are both alike in a batch.
        batch_tokens: padded tokens in a batch, at most, unless one row has more; of two sides the longer counts.
        to_write: tokens that each row will have beyond its length, at most, and keep in memory.
    """
    if not len(lengths):
        return []
    sides = np.asarray(lengths, dtype=np.int64).reshape(len(lengths), -1)  # (rows, 1 or 2)
    padded = -(-sides // LENGTH_STEP) * LENGTH_STEP
    batches = []
    for kind in sorted(set(map(tuple, padded.tolist())), key=lambda each: (max(each), each), reverse=True):
        rows = np.flatnonzero((padded == kind).all(axis=1)).tolist()
        size = max(1, batch_tokens // (max(kind) + to_write))
        batches += [rows[first : first + size] for first in range(0, len(rows), size)]
    return batches


def pad_to_step(sequences: Sequence[Sequence[int]], max_length: int, *, pad_id: int = 0) -> Padded:
    """Pad a batch of `by_length` to its multiple of `LENGTH_STEP`, but no further than the model has positions."""
    padded = pad(sequences, pad_id=pad_id, multiple_of=LENGTH_STEP)
    return Padded(padded.ids[:, :max_length], padded.lengths)
