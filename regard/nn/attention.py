"""Attention: two score functions, one softmax under one mask, one way out for the weights.

The score functions differ (dot product, additive); who may attend to whom is a `Pattern`; the softmax under the mask
stands once, in `weigh`, and the weighted sum in `attend`. The fused kernel is a second path for the dot product, with
the same contract but without weights, and so is the one that a sparse pattern brings (`blocks.py`); tests hold them to
equal results and gradients.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.errors import ShapeError
from regard.nn.layers import Linear
from regard.nn.layers import dropout as drop


@dataclass(frozen=True)
class Pattern:
    """Who may attend to whom, as a small value: no (Q, K) memory until `dense` is asked for.

    Queries are the last Q of the K positions where the distance matters (causal, window), so that one pattern serves a
    full pass and a cached step.
    """

    key_lengths: Tensor | None = None  # (B,): keys from this position on are padding; None: all keys are real
    causal: bool = False  # a query attends to its own position and those before it
    key_starts: Tensor | None = None  # (B,): keys before this position are padding; None: there are none such
    window: int = 0  # a query attends to positions less than so far from its own, a band; 0: however far

    def dense(self, num_queries: int, num_keys: int, device: torch.device | None = None) -> Tensor | None:
        """The mask (B or 1, 1, Q or 1, K), bool, True = may attend; None when all may attend to all."""
        mask = None
        if self.key_lengths is not None:
            positions = torch.arange(num_keys, device=self.key_lengths.device)
            mask = (positions < self.key_lengths[:, None])[:, None, None, :]  # (B, 1, 1, K)
        if self.key_starts is not None:
            positions = torch.arange(num_keys, device=self.key_starts.device)
            real = (positions >= self.key_starts[:, None])[:, None, None, :]  # (B, 1, 1, K)
            mask = real if mask is None else mask & real
        near = self._near(num_queries, num_keys, device)
        if near is not None:
            mask = near[None, None] if mask is None else mask & near
        return mask

    def _near(self, num_queries: int, num_keys: int, device: torch.device | None) -> Tensor | None:
        """What the positions alone allow, (Q, K); None: everything."""
        first = num_keys - num_queries  # where the first query stands among the keys
        near = None
        if self.causal and num_queries > 1:
            near = torch.ones(num_queries, num_keys, dtype=torch.bool, device=device).tril(first)
        if 0 < self.window < num_keys:
            band = torch.ones(num_queries, num_keys, dtype=torch.bool, device=device)
            band = band.triu(first - self.window + 1).tril(first + self.window - 1)
            near = band if near is None else near & band
        return near

    def select(self, rows: Tensor | None) -> "Pattern":
        """The same for some rows of the batch, by number; None: all of them."""
        if rows is None:
            return self
        lengths, starts = (None if each is None else each[rows] for each in (self.key_lengths, self.key_starts))
        return replace(self, key_lengths=lengths, key_starts=starts)

    @property
    def may_leave_nothing(self) -> bool:
        """Whether a query may have nothing to attend to: all its keys may be padding."""
        return self.key_lengths is not None or self.key_starts is not None

    def sparse(self, query: Tensor, key: Tensor, value: Tensor, dropout: float) -> Tensor | None:
        """The context (B, H, Q, D) by a path that never makes all Q times K scores; None: there is none."""
        return None


EVERYONE = Pattern()
_SHORT = 48  # tokens up to which training takes the plain path


class Attended(NamedTuple):
    """What attention gives: the context, and the weights if they were asked for."""

    context: Tensor  # (B, H, Q, D)
    # (B, H, Q, K), before dropout; each row sums to 1, or is all 0 if nothing may be attended to
    weights: Tensor | None


def attend(scores: Tensor, value: Tensor, mask: Tensor | None = None, *, dropout: float = 0.0) -> Attended:
    """Softmax the scores under the mask and average the values with the resulting weights.

    Args:
        scores: (B, H, Q, K).
        value: (B, H, K, D).
        mask: bool, broadcastable to the scores; True = may attend. A query with nothing to attend to gets zeros.
        dropout: probability of dropping one weight; 0 outside training.

    Raises:
        ShapeError: the mask is not boolean (an additive mask would silently mean something else).
    """
    weights = weigh(scores, mask)
    return Attended(drop(weights, dropout) @ value, weights)


def weigh(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """The softmax of the scores under the mask, as in `attend`."""
    if mask is None:
        return scores.softmax(-1)
    if mask.dtype != torch.bool:
        raise ShapeError(f"mask must be bool (True = may attend), got {mask.dtype}")
    weights = scores.masked_fill(~mask, float("-inf")).softmax(-1)
    if not mask.any(-1).all():  # softmax of a row with only -inf is nan: that row attends to nothing
        weights = weights.masked_fill(~mask, 0.0)
    return weights


def perturb(scores: Tensor, noise: float) -> Tensor:
    """Add to each score a draw from Gumbel(0, 1) times `noise`.

    With 1 the highest of them is a draw from the softmax (Gumbel 1954; Jang et al. 2017, section 2.1). A head that is
    trained so must hold what it looks at well above the rest: many small weights come out as noise.
    """
    if noise == 0:
        return scores
    exponential = torch.empty_like(scores).exponential_()
    return scores - noise * exponential.clamp_(min=1e-6).log_()  # clamped: the logarithm of a draw of 0 is -inf


def dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    pattern: Pattern = EVERYONE,
    *,
    dropout: float = 0.0,
    noise: float = 0.0,
    return_weights: bool = False,
) -> Attended:
    """Average values by how well their keys match each query: softmax(Q Kᵀ / √D) V.

    Source: Vaswani et al. 2017, equation 1 (their d_k is our D).

    Args:
        query: (B, H, Q, D), floating point.
        key: (B, H, K, D).
        value: (B, H, K, D).
        pattern: who may attend to whom.
        dropout: probability of dropping one weight; 0 outside training.
        noise: how much `perturb` moves the scores; 0 outside training.
        return_weights: also return the weights; needs O(B·H·Q·K) memory and forgoes the fused kernel.
    """
    if not (return_weights or noise) and (context := pattern.sparse(query, key, value, dropout)) is not None:
        return Attended(context, None)
    num_queries, num_keys = query.size(-2), key.size(-2)
    # The fused kernel on CPU has no dropout of its own (it would fall back, slower), and over short sequences its
    # backward pass takes longer than the plain one.
    short = query.requires_grad and max(num_queries, num_keys) <= _SHORT
    if return_weights or dropout or noise or short:
        scores = (query / query.size(-1) ** 0.5) @ key.transpose(-2, -1)  # (B, H, Q, K)
        scores = perturb(scores, noise)
        return attend(scores, value, pattern.dense(num_queries, num_keys, query.device), dropout=dropout)
    is_triangle = pattern.causal and not pattern.window and not pattern.may_leave_nothing
    if is_triangle and num_queries == num_keys:
        return Attended(F.scaled_dot_product_attention(query, key, value, is_causal=True), None)
    mask = pattern.dense(num_queries, num_keys, query.device)
    context = F.scaled_dot_product_attention(query, key, value, mask)
    if mask is not None and pattern.may_leave_nothing:
        context = context.masked_fill(~mask.any(-1, keepdim=True), 0.0)
    return Attended(context, None)


class MultiHeadAttention(nn.Module):
    """Several dot-product attentions side by side, each in its own projection (Vaswani et al. 2017, section 3.2.2)."""

    def __init__(self, hidden_size: int, num_heads: int, *, dropout: float = 0.0, noise: float = 0.0):
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout  # of weights, in training
        self.noise = noise  # on scores, in training
        self.query = Linear(hidden_size, hidden_size)
        self.key_value = Linear(hidden_size, 2 * hidden_size)
        self.output = Linear(hidden_size, hidden_size)

    def project(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of what is attended to: (B, K, hidden) to twice (B, H, K, D)."""
        key, value = self.key_value(memory).chunk(2, dim=-1)
        return self._split(key), self._split(value)

    def forward(
        self,
        inputs: Tensor,
        key_value: tuple[Tensor, Tensor],
        pattern: Pattern = EVERYONE,
        *,
        return_weights: bool = False,
    ) -> Attended:
        """Attend from inputs (B, Q, hidden) to projected keys and values; the context is (B, Q, hidden) again.

        In decoding the inputs may be (R, n, hidden) over the memory of B sentences, R a multiple of B: the beam of a
        sentence then shares its memory, which is never copied.
        """
        key, value = key_value
        rows, length, _ = inputs.shape
        sentences = key.size(0)
        query = self._split(self.query(inputs).reshape(sentences, -1, inputs.size(-1)))  # (B, H, Q, D)
        context, weights = dot_product_attention(
            query,
            key,
            value,
            pattern,
            dropout=self.dropout if self.training else 0.0,
            noise=self.noise if self.training else 0.0,
            return_weights=return_weights,
        )
        context = context.transpose(1, 2).reshape(rows, length, -1)
        return Attended(self.output(context), weights)

    def _split(self, states: Tensor) -> Tensor:
        batch, length, hidden = states.shape
        return states.view(batch, length, self.num_heads, hidden // self.num_heads).transpose(1, 2)


class AdditiveAttention(nn.Module):
    """Score each key by a small network: vᵀ tanh(W q + U k) (Bahdanau et al. 2015, section 3.1 and A.1.2).

    The keys' part U k does not depend on the query: `project` computes it once a sentence.
    """

    def __init__(self, query_size: int, key_size: int, attention_size: int):
        super().__init__()
        self.query = Linear(query_size, attention_size, bias=False)  # W_a
        self.key = Linear(key_size, attention_size)  # U_a
        self.score = Linear(attention_size, 1, bias=False)  # v_a

    def project(self, memory: Tensor) -> Tensor:
        """(B, K, key_size) to (B, K, attention_size)."""
        return self.key(memory)

    def forward(self, query: Tensor, projected: Tensor, memory: Tensor, pattern: Pattern = EVERYONE) -> Attended:
        """Attend from queries (B, Q, query_size) to memory (B, K, key_size); one head.

        Returns:
            Context (B, Q, key_size) and weights (B, 1, Q, K); these are at hand anyway.
        """
        energy = torch.tanh(self.query(query)[:, :, None] + projected[:, None])  # (B, Q, K, attention_size)
        scores = self.score(energy).squeeze(-1)[:, None]  # (B, 1, Q, K)
        context, weights = attend(scores, memory[:, None], pattern.dense(query.size(1), memory.size(1)))
        return Attended(context[:, 0], weights)
