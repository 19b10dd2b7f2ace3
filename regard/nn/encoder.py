"""The encoder layer that every Transformer encoder is made of, a translator's and BERT's alike."""

from torch import Tensor, nn

from regard.nn.attention import MultiHeadAttention, Pattern
from regard.nn.layers import Activation, FeedForward, NormPlace, Residual


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
        activation_dropout: float = 0.0,
    ):
        super().__init__()
        self.attention = MultiHeadAttention(hidden_size, num_heads, dropout=attention_dropout)
        self.attention_frame = Residual(hidden_size, norm_place, dropout, norm_epsilon)
        self.feed_forward = FeedForward(hidden_size, feed_forward_size, activation, activation_dropout)
        self.feed_forward_frame = Residual(hidden_size, norm_place, dropout, norm_epsilon)

    def forward(self, states: Tensor, pattern: Pattern, return_weights: bool) -> tuple[Tensor, Tensor | None]:
        """States (B, L, hidden) to states and, if asked for, weights (B, H, L, L)."""
        entered = self.attention_frame.enter(states)
        context, weights = self.attention(
            entered, self.attention.project(entered), pattern, return_weights=return_weights
        )
        states = self.attention_frame.add(states, context)
        output = self.feed_forward(self.feed_forward_frame.enter(states))
        return self.feed_forward_frame.add(states, output), weights
