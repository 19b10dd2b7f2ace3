"""Which inputs run together: only those of one padded length, so that none depends on its company."""

from collections.abc import Sequence

import numpy as np

from regard.nn.padded import Padded, pad

Weights = dict[str, np.ndarray]  # of attention, by kind
LENGTH_STEP = 8  # padded lengths are multiples of this


def by_length(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Row numbers grouped by padded length, longest first (so that memory runs out at once or not at all).

    Args:
        batch_tokens: padded tokens in a batch, at most, unless one row has more.
    """
    padded = -(-np.asarray(lengths, dtype=np.int64) // LENGTH_STEP) * LENGTH_STEP
    batches = []
    for length in sorted(set(padded.tolist()), reverse=True):
        rows = np.flatnonzero(padded == length).tolist()
        size = max(1, batch_tokens // length)
        batches += [rows[first : first + size] for first in range(0, len(rows), size)]
    return batches


def pad_to_step(sequences: Sequence[Sequence[int]], max_length: int, *, pad_id: int = 0) -> Padded:
    """Pad a batch of `by_length` to its multiple of `LENGTH_STEP`, but no further than the model has positions."""
    padded = pad(sequences, pad_id=pad_id, multiple_of=LENGTH_STEP)
    return Padded(padded.ids[:, :max_length], padded.lengths)
