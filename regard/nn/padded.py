"""Sequences of different lengths in one tensor."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Padded(NamedTuple):
    """Token ids of several sequences, filled up on the right to one length.

    What the filling holds must never matter: models find the real tokens by `lengths`, not by a padding id.
    """

    ids: Tensor  # (B, L), int64
    lengths: Tensor  # (B,), int64, each at least 1

    def real(self) -> Tensor:
        """(B, L), bool: True where a token is real."""
        return torch.arange(self.ids.size(1), device=self.ids.device) < self.lengths[:, None]

    def key_lengths(self) -> Tensor | None:
        """The lengths, or None if no sequence is padded (so that attention may skip its mask)."""
        return None if bool((self.lengths == self.ids.size(1)).all()) else self.lengths

    def clear(self, states: Tensor) -> Tensor:
        """Zero the states (B, L, size) of the filling: whatever stands there, even NaN, then reaches no real token.

        A weight of 0 alone would not do, for 0 times NaN is NaN, in a weighted sum and in the gradient of a product.
        """
        return states if self.key_lengths() is None else states.masked_fill(~self.real()[:, :, None], 0.0)


def pad(sequences: Sequence[Sequence[int]], *, pad_id: int = 0, multiple_of: int = 1) -> Padded:
    """Stack sequences into one tensor.

    Args:
        sequences: at least one, each with at least one id.
        pad_id: what the filling holds.
        multiple_of: the padded length is rounded up to a multiple of this. When translating it is 8 and a batch holds
            only sentences that round up to the same length, so that a sentence's numbers do not depend on its company.
    """
    longest = max(len(sequence) for sequence in sequences)
    width = -(-longest // multiple_of) * multiple_of
    ids = torch.full((len(sequences), width), pad_id)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.as_tensor(sequence)
    return Padded(ids, torch.tensor([len(sequence) for sequence in sequences]))
