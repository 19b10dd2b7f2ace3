"""What the recurrent translators share: how tokens go in, and what is asked of the decoder.

How one reads its source (`start`) and what its decoder makes of a token (`decode`) stand in its own file.
"""

from typing import Any

from torch import Tensor

from regard.models.protocol import Forced, Seq2Seq
from regard.nn.layers import Dropout, Embedding
from regard.nn.padded import Padded


class RecurrentSeq2Seq(Seq2Seq):
    """A translator whose decoder reads target tokens in their order and remembers a state."""

    source_embedding: Embedding
    target_embedding: Embedding
    dropout: Dropout  # of token vectors, and wherever else a model has it

    def decode(self, embedded: Tensor, state: Any) -> tuple[Tensor, Any, Tensor | None]:
        """Read n >= 1 more target tokens in every row.

        Args:
            embedded: (R, n, size), their vectors.

        Returns:
            States (R, n, size), from which `output` scores what follows each; the new `DecoderState`; and weights
            (B, 1, beam * n, S), None where there is no attention.
        """
        raise NotImplementedError

    def states(self, source: Padded, target: Padded) -> Tensor:
        return self.decode(self.embed_target(target), self.start(source))[0]

    def forced(self, source: Padded, target: Padded, *, return_weights: bool = False) -> Forced:
        states, _, weights = self.decode(self.embed_target(target), self.start(source))
        asked = return_weights and weights is not None
        return Forced(states, self.output, {"cross": weights[:, None]} if asked else {})

    def step(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        states, state, _ = self.decode(self._embed(ids), state)
        return self.output(states), state

    def embed_source(self, source: Padded) -> Tensor:
        """(B, S, size); zeros where there is filling."""
        return source.clear(self.dropout(self.source_embedding(source.ids)))

    def embed_target(self, target: Padded) -> Tensor:
        """(B, T, size); zeros where there is filling."""
        return target.clear(self._embed(target.ids))

    def _embed(self, ids: Tensor) -> Tensor:
        return self.dropout(self.target_embedding(ids))
