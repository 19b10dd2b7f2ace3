"""The layer that every Transformer encoder is made of, a translator's and BERT's alike, and GPT too."""

import torch
from torch import Tensor, nn

from regard.nn.attention import MultiHeadAttention, Pattern
from regard.nn.layers import Activation, FeedForward, NormPlace, Residual
from regard.nn.positions import PositionalEmbedding

INITIAL_STD = 0.02  # of weights at the start; Devlin et al.'s code
KeyValue = tuple[Tensor, Tensor]  # keys and values, each (B, H, K, D)


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward, each in a residual frame (Vaswani et al. 2017, section 3.1)."""

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        feed_forward_size: int,
        *,
        activation: Activation,
        norm_place: NormPlace,
        norm_epsilon: float = 1e-5,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        attention_noise: float = 0.0,
        activation_dropout: float = 0.0,
    ):
        super().__init__()
        self.attention = MultiHeadAttention(hidden_size, num_heads, dropout=attention_dropout, noise=attention_noise)
        self.attention_frame = Residual(hidden_size, norm_place, dropout, norm_epsilon)
        self.feed_forward = FeedForward(hidden_size, feed_forward_size, activation, activation_dropout)
        self.feed_forward_frame = Residual(hidden_size, norm_place, dropout, norm_epsilon)

    def forward(self, states: Tensor, pattern: Pattern, return_weights: bool) -> tuple[Tensor, Tensor | None]:
        """States (B, L, hidden) to states and, if asked for, weights (B, H, L, L)."""
        states, weights, _ = self.go_on(states, pattern, None, return_weights)
        return states, weights

    def go_on(
        self, states: Tensor, pattern: Pattern, past: KeyValue | None, return_weights: bool
    ) -> tuple[Tensor, Tensor | None, KeyValue]:
        """The same for tokens that follow others.

        Args:
            past: what this returned for the tokens before; None: there are none.

        Returns:
            States (B, L, hidden), weights (B, H, L, K) if asked for, and the keys and values of all K tokens so far.
        """
        entered = self.attention_frame.enter(states)
        key, value = self.attention.project(entered)
        if past is not None:
            key, value = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
        context, weights = self.attention(entered, (key, value), pattern, return_weights=return_weights)
        return self._add(states, context), weights, (key, value)

    def read_words(
        self, states: Tensor, words: Tensor, begun: Tensor, pattern: Pattern, return_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Where to look comes from the states, what is read there from the words alone.

        What came out then knows of other words by this layer's weights and by nothing else, as in the sense vectors of
        Backpack models (Hewitt et al. 2023, section 3).

        Args:
            states: (B, L, hidden), from the layer below: for queries and keys.
            words: (B, L, hidden), the token vectors: for values.
            begun: (B, L, hidden), what the first layer began with, or states of a lower layer: what the context is
                added to.

        Returns:
            States (B, L, hidden), and weights (B, H, L, L) if asked for.
        """
        entered = self.attention_frame.enter(states)
        key, _ = self.attention.project(entered)
        _, value = self.attention.project(self.attention_frame.enter(words))
        context, weights = self.attention(entered, (key, value), pattern, return_weights=return_weights)
        return self._add(begun, context), weights

    def _add(self, states: Tensor, context: Tensor) -> Tensor:
        """What was attended to, and the feed-forward block."""
        states = self.attention_frame.add(states, context)
        output = self.feed_forward(self.feed_forward_frame.enter(states))
        return self.feed_forward_frame.add(states, output)


def initialize(module: nn.Module) -> None:
    """Weights as BERT starts with them: normal, biases zero; in GPT-2 as `transformers` has it (Radford et al.'s code
    draws positions half as large).
    """
    if isinstance(module, nn.Linear | nn.Embedding | PositionalEmbedding):
        nn.init.normal_(module.weight, std=INITIAL_STD)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
