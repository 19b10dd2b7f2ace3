"""What training, decoding and looking ask of every model that translates, reads or goes on with a text.

They know no more of it than this. A new model is one file in this folder with a subclass of `Seq2Seq`, `Encoder` or
`Decoder`, and one line in a table of `__init__.py`.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol, Self

import torch
from torch import Tensor, nn

from regard.nn.layers import OutputLayer
from regard.nn.padded import Padded
from regard.nn.positions import PositionalEmbedding


@dataclass(frozen=True)
class Forced:
    """One pass over given targets."""

    states: Tensor  # (B, T, hidden)
    output: OutputLayer
    # By kind ("encoder", "decoder", "cross"): (B, layers, H, Q, K). Row t of "cross" is the distribution over source
    # tokens used to predict target token t. Only the kinds that the model has.
    weights: dict[str, Tensor]

    @cached_property
    def logits(self) -> Tensor:
        """(B, T, V); row t scores target token t, given those before it.

        Made when asked for: of a large vocabulary they cost more than all else, and who looks at weights needs none.
        """
        return self.output(self.states)


class DecoderState(Protocol):
    """Everything a decoder remembers between steps, as a value: a step returns a new one."""

    def select(self, rows: Tensor) -> Self:
        """Keep and reorder rows.

        Args:
            rows: (sentences, beam), int64: for each sentence that stays, the present rows its next hypotheses continue.
                The rows of one sentence stand together, before and after; its source memory is stored once.
        """
        ...


def sentences_kept(rows: Tensor, beam: int, sentences: int) -> Tensor | None:
    """The numbers of the sentences that stay, as `DecoderState.select` needs them for what is stored once a sentence.

    Args:
        rows: as `DecoderState.select` is given them.
        beam: rows that a sentence has now.
        sentences: as many as there are now.

    Returns:
        None where all stay in their order: nothing need be copied.
    """
    kept = rows[:, 0] // beam
    return None if torch.equal(kept, torch.arange(sentences, device=kept.device)) else kept


class Seq2Seq(nn.Module):
    """A model that reads a source and writes a target."""

    config: Any  # a frozen dataclass with at least vocab_size and max_length
    output: OutputLayer  # from states to logits: training computes its loss in pieces, without all logits at once

    def states(self, source: Padded, target: Padded) -> Tensor:
        """Teacher forcing: (B, T, size) states, one for each target input token (bos, then the target)."""
        raise NotImplementedError

    def forced(self, source: Padded, target: Padded, *, return_weights: bool = False) -> Forced:
        """Teacher forcing up to the logits; with `return_weights` the plain attention path, every layer and head."""
        raise NotImplementedError

    def states_by_token(self, source: Padded, target: Padded) -> Tensor | None:
        """`states`, had the last attention to the source been on one token alone: (B, T, S, size), one for each token.

        Earlier steps, and in a deep decoder the layers below, attend as ever. None: there is no such attention.
        """
        return None

    def start(self, source: Padded) -> Any:
        """Read the source; the `DecoderState` has one row a sentence."""
        raise NotImplementedError

    def step(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Read n >= 1 more target tokens (R, n) in every row: logits (R, n, V) for what follows each, new state."""
        raise NotImplementedError


class Encoded(NamedTuple):
    """A text as an encoder read it."""

    states: Tensor  # (B, L, hidden), of the last layer
    weights: Tensor | None  # (B, layers, H, L, L), if they were asked for


class Encoder(nn.Module):
    """A model that reads a text from both sides and writes nothing; `models/heads.py` puts tasks on it."""

    config: Any  # a frozen dataclass with at least vocab_size, hidden_size, max_length and pooled
    embedding: nn.Embedding  # of tokens
    positions: PositionalEmbedding  # what `embed` adds to token vectors
    layers: nn.ModuleList  # from the bottom
    pooler: nn.Module | None  # what `pool` learns

    def embed(self, tokens: Padded, types: Tensor | None) -> Tensor:
        """Token and position vectors added up, (B, L, hidden), as `encode` reads them."""
        raise NotImplementedError

    def encode(self, tokens: Padded, types: Tensor | None = None, *, return_weights: bool = False) -> Encoded:
        """Read texts.

        Args:
            types: (B, L), int64: which of the texts in one input a token belongs to; None: all to the first.
            return_weights: the plain attention path, every layer and head.
        """
        raise NotImplementedError

    def pool(self, states: Tensor) -> Tensor:
        """States (B, L, hidden) to one vector a text, (B, hidden)."""
        raise NotImplementedError


class Decoder(nn.Module):
    """A model that goes on with a text: a language model. Search asks of it what it asks of a `Seq2Seq`."""

    config: Any  # a frozen dataclass with at least vocab_size, hidden_size and max_length
    output: OutputLayer  # from states to logits: training computes its loss in pieces, without all logits at once
    embedding: nn.Embedding  # of tokens

    def states(self, tokens: Padded) -> Tensor:
        """(B, T, size) states, one for each token: what `output` scores the token after it from."""
        raise NotImplementedError

    def forced(self, tokens: Padded, *, return_weights: bool = False) -> Forced:
        """The same up to the logits: row t scores what follows token t.

        Args:
            return_weights: the plain attention path, every layer and head, as kind "decoder".
        """
        raise NotImplementedError

    def start(self, source: Padded) -> Any:
        """Read each text but for its last token, which the first `step` reads; the `DecoderState` has one row a text.

        So a text of one token can be gone on with, and logits are made only where a token is to be chosen.
        """
        raise NotImplementedError

    def step(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Read n >= 1 more tokens (R, n) in every row: logits (R, n, V) for what follows each, new state."""
        raise NotImplementedError


def count_parameters(model: nn.Module) -> int:
    """All weights, shared ones once."""
    return sum(parameter.numel() for parameter in model.parameters())
