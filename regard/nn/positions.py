"""What tells a Transformer where a token stands: trainable or sinusoidal vectors, or nothing."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

Positions = Literal["sinusoidal", "trainable", "none"]


def sinusoids(length: int, hidden_size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Sine and cosine waves of geometrically growing wavelength, (length, hidden_size).

    Source: Vaswani et al. 2017, section 3.5. The paper writes sines in even and cosines in odd columns; its own code
    and Marian put all sines first, then all cosines. Columns in another order are the same information, and
    this one lets Marian checkpoints load as they are. Values are rounded to float32 whatever the type, as Marian's are.
    """
    half = (hidden_size + 1) // 2
    wavelengths = torch.pow(10000.0, 2 * torch.arange(half, dtype=torch.float64) / hidden_size)
    angles = torch.arange(length, dtype=torch.float64)[:, None] / wavelengths
    return torch.cat([angles.sin(), angles.cos()[:, : hidden_size // 2]], dim=1).float().to(dtype)


class PositionalEmbedding(nn.Module):
    """Adds a vector for each position to the token vectors.

    Trainable vectors exist up to `max_length` only; sinusoidal ones are computed for any length.
    """

    def __init__(self, kind: Positions, hidden_size: int, max_length: int):
        super().__init__()
        self.kind = kind
        if kind == "trainable":
            self.weight = nn.Parameter(torch.empty(max_length, hidden_size))
            nn.init.normal_(self.weight, std=hidden_size**-0.5)
        elif kind == "sinusoidal":
            self.max_length = max_length
            self.register_buffer("waves", torch.empty(0, hidden_size), persistent=False)  # made when they are needed

    def start_as_waves(self) -> None:
        """Let trainable vectors begin as sinusoids, as large as those that were drawn.

        A head that finds the word before one position then finds it before all others; with vectors drawn at random
        each position has to learn alone (Trockman and Kolter 2023 begin so too; figures in results/LOG.md).
        """
        with torch.no_grad():
            length, hidden_size = self.weight.shape
            self.weight.copy_(sinusoids(length, hidden_size) * (2 * self.weight.square().mean()).sqrt())

    def vectors(self, first: int, length: int) -> Tensor | None:
        """(length, hidden_size) for positions first, first + 1, ...; None for a model without positions."""
        if self.kind == "none":
            return None
        table = self.weight if self.kind == "trainable" else self.waves
        if self.kind == "sinusoidal" and first + length > len(table):
            size = self.max_length if first + length <= self.max_length else 2 ** math.ceil(math.log2(first + length))
            with torch.inference_mode(False):  # they may be made while translating and be used in training
                self.waves = sinusoids(size, table.size(1), table.dtype).to(table.device)
            table = self.waves
        return table[first : first + length]

    def forward(self, embedded: Tensor, first: int = 0) -> Tensor:
        """Add positions to (B, L, hidden) whose first token stands at position `first`."""
        vectors = self.vectors(first, embedded.size(1))
        return embedded if vectors is None else embedded + vectors
