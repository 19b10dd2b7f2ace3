"""Attention between blocks of tokens: some global, some near, some drawn at random (Zaheer et al. 2020, BigBird).

Who may attend to whom is a `BlockPattern`; its fast path gathers, for each block of queries, the blocks of keys that
they may attend to. Time and memory grow with the length, not with its square, in the backward pass too: it computes the
scores again, piece by piece.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from regard.errors import ConfigError
from regard.nn.attention import Pattern, weigh
from regard.nn.layers import dropout as drop

_SCORES_AT_ONCE = 1 << 20  # of a piece, unless it is one block of queries: so many fit a cache


@dataclass(frozen=True, kw_only=True)
class BlockPattern(Pattern):
    """BigBird's internal transformer construction (ITC): existing blocks are the global ones.

    Each text is cut into blocks of its own, the last one perhaps not full. The first and last blocks are global: they
    attend to all and all attend to them. Any other block attends to these, to itself and its neighbours, and to some
    blocks drawn at random; a key counts once, however many of these reasons it has.

    Everything is a function of the text's own length, whatever stands beside it. A text of no more than global + window
    + 2 x random blocks attends in full: so few leave too little to draw from.

    Source: Zaheer et al. 2020, section 2 and appendix D. The blocks drawn at random are ours, a pure function of the
    seed, layer, head and number of blocks.
    """

    num_heads: int
    layer: int = 0  # each has random blocks of its own
    block_size: int = 64  # tokens
    num_global_blocks: int = 2  # half of them first, half last; of an odd number one more is first
    num_window_blocks: int = 3  # the block itself, and as many before as after it
    num_random_blocks: int = 3
    seed: int = 0  # of the random blocks

    def __post_init__(self) -> None:
        if self.causal:
            raise ConfigError("blocks are attended to from both sides: causal must be False")

    @property
    def num_full_blocks(self) -> int:
        """Texts of up to as many blocks attend in full."""
        return self.num_global_blocks + self.num_window_blocks + 2 * self.num_random_blocks

    def dense(self, num_queries: int, num_keys: int, device: torch.device | None = None) -> Tensor | None:
        """The mask (B or 1, H or 1, Q or 1, K), bool, True = may attend; None when all may attend to all."""
        if self._blocks(num_keys) <= self.num_full_blocks:
            return super().dense(num_queries, num_keys, device)
        num_blocks = self._blocks(num_keys)
        lengths = self._lengths(num_keys)
        allowed = np.zeros((len(lengths), self.num_heads, num_blocks, num_blocks), dtype=bool)
        for row, length in enumerate(lengths):
            own = self._blocks(length)
            near = self._key_blocks(own)  # (H, own, C)
            heads, blocks, _ = (near >= 0).nonzero()
            allowed[row, heads, blocks, near[near >= 0]] = True
            allowed[row, :, self._global_blocks(own), :own] = True
        tokens = torch.from_numpy(allowed.repeat(self.block_size, 2).repeat(self.block_size, 3))
        real = torch.arange(num_keys) < torch.tensor(lengths)[:, None]  # (B, K)
        return (tokens[:, :, :num_queries, :num_keys] & real[:, None, None, :]).to(device)

    def sparse(self, query: Tensor, key: Tensor, value: Tensor, dropout: float) -> Tensor | None:
        length = key.size(-2)
        num_blocks = self._blocks(length)
        if num_blocks <= self.num_full_blocks:
            return None
        filling = num_blocks * self.block_size - length
        pools = [
            F.pad(tensor, (0, 0, 0, filling)).reshape(-1, self.block_size, tensor.size(-1))  # (B * H * N, block, D)
            for tensor in (query, key, value)
        ]
        # Drawn here and not piece by piece: the backward pass must drop the same weights again.
        seed = int(torch.randint(1 << 62, ())) if dropout else 0
        context = _BlockAttention.apply(*pools, list(self._pieces(query, length)), dropout, seed)
        return context.view(*query.shape[:2], -1, value.size(-1))[:, :, :length]

    def _pieces(self, query: Tensor, length: int) -> Iterator["_Piece"]:
        """What is computed at once: every real block of queries is in one piece, blocks of filling are in none."""
        num_blocks, lengths = self._blocks(length), self._lengths(length)
        near, everywhere = [], []
        for row, real in enumerate(lengths * query.size(0) if self.key_lengths is None else lengths):
            own, first = self._blocks(real), row * self.num_heads * num_blocks
            heads = np.arange(self.num_heads)[:, None]
            table = self._key_blocks(own)  # (H, own, C)
            blocks = np.setdiff1d(np.arange(own), self._global_blocks(own))
            near.append(_table(first + heads * num_blocks, blocks, table[:, blocks], real, self.block_size))
            blocks = np.array(self._global_blocks(own), dtype=np.int64)
            table = np.broadcast_to(np.arange(own), (self.num_heads, len(blocks), own))
            everywhere.append(_table(first + heads * num_blocks, blocks, table, real, self.block_size))
        for tables in (near, everywhere):
            width = max(table.keys.shape[1] for table in tables)
            queries = np.concatenate([table.queries for table in tables])
            keys, real_keys = (
                np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in parts])
                for parts in ([table.keys for table in tables], [table.real for table in tables])
            )
            step = max(1, _SCORES_AT_ONCE // (width * self.block_size**2))
            for start in range(0, len(queries), step):
                end = start + step
                piece = (queries[start:end], keys[start:end], real_keys[start:end])
                yield _Piece(*(torch.from_numpy(part).to(query.device) for part in piece))

    def _key_blocks(self, num_blocks: int) -> np.ndarray:
        """Which blocks those that are not global attend to, (H, num_blocks, C), -1 where there is none."""
        if num_blocks <= self.num_full_blocks:
            return np.broadcast_to(np.arange(num_blocks), (self.num_heads, num_blocks, num_blocks))
        settings = (self.num_global_blocks, self.num_window_blocks, self.num_random_blocks)
        return key_blocks(num_blocks, *settings, self.num_heads, self.layer, self.seed)

    def _global_blocks(self, num_blocks: int) -> list[int]:
        if num_blocks <= self.num_full_blocks:
            return []  # all attend to all as it is
        return global_blocks(num_blocks, self.num_global_blocks)

    def _blocks(self, length: int) -> int:
        return -(-length // self.block_size)

    def _lengths(self, num_keys: int) -> list[int]:
        return [num_keys] if self.key_lengths is None else self.key_lengths.tolist()


def global_blocks(num_blocks: int, count: int) -> list[int]:
    """The first and last of a text's blocks."""
    last = count // 2
    return [*range(count - last), *range(num_blocks - last, num_blocks)]


@functools.lru_cache(maxsize=512)
def key_blocks(
    num_blocks: int, num_global: int, num_window: int, num_random: int, num_heads: int, layer: int, seed: int
) -> np.ndarray:
    """The blocks that each block attends to: global, near and random ones, none twice, (H, num_blocks, C), int64.

    -1 stands where there is none: a window reaches over the edge, or has a global block in it. Of no meaning for global
    blocks, which attend to all.
    """
    own = np.arange(num_blocks)
    reach = num_window // 2
    window = own[:, None] + np.arange(-reach, reach + 1)  # (N, W)
    fixed = np.array(global_blocks(num_blocks, num_global), dtype=np.int64)
    window[(window < 0) | (window >= num_blocks) | np.isin(window, fixed)] = -1
    columns = [np.broadcast_to(fixed, (num_blocks, len(fixed))), window]
    taken = np.broadcast_to(np.concatenate(columns, axis=1), (num_heads, num_blocks, len(fixed) + num_window))
    for draw in range(num_random):
        numbers = _random_numbers(num_heads, num_blocks, (seed, layer, num_blocks, draw))
        left = num_blocks - (taken >= 0).sum(axis=2)  # (H, N): blocks that are not taken yet
        chosen = (numbers % np.maximum(left, 1).astype(np.uint64)).astype(np.int64)
        # The chosen-th of those left: each one taken before it, in ascending order, moves it one further.
        for block in np.moveaxis(np.sort(taken, axis=2), 2, 0):
            chosen += (block >= 0) & (block <= chosen)
        taken = np.concatenate([taken, chosen[:, :, None]], axis=2)
    taken = np.array(taken)
    taken.setflags(write=False)  # the cache hands out this very array
    return taken


def _random_numbers(num_heads: int, num_blocks: int, names: tuple[int, ...]) -> np.ndarray:
    """(num_heads, num_blocks), uint64: the same on every machine and in every version of numpy, for weights that learnt
    with these random blocks must find them again. The mixing function is splitmix64's (Steele et al. 2014)."""
    mixed = np.arange(num_heads, dtype=np.uint64)[:, None] * np.uint64(1 << 32) + np.arange(num_blocks, dtype=np.uint64)
    for name in names:
        mixed = mixed + np.array([name], dtype=np.int64).astype(np.uint64) + np.array([0x9E3779B97F4A7C15], np.uint64)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed = mixed ^ (mixed >> np.uint64(31))
    return mixed


class _Table(NamedTuple):
    """For some blocks of queries of one text the blocks of keys, both by their number in the batch."""

    queries: np.ndarray  # (M,)
    keys: np.ndarray  # (M, C)
    real: np.ndarray  # (M, C): how many keys of a block may be attended to; 0: none


def _table(first: np.ndarray, blocks: np.ndarray, table: np.ndarray, length: int, block_size: int) -> _Table:
    """Number the blocks of all heads (first: (H, 1)) that attend to those of `table` (H, blocks, C)."""
    real = np.where(table >= 0, np.clip(length - table * block_size, 0, block_size), 0)
    keys = first[:, :, None] + np.maximum(table, 0)
    shape = (table.shape[0] * table.shape[1], table.shape[2])
    return _Table((first + blocks).ravel(), keys.reshape(shape), real.reshape(shape))


class _Piece(NamedTuple):
    """A part of a `_Table`, as tensors."""

    queries: Tensor  # (M,)
    keys: Tensor  # (M, C)
    real: Tensor  # (M, C)

    def gather(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (M, block, D), scaled, and their keys and values, each (M, C * block, D)."""
        keys, values = (pool.index_select(0, self.keys.flatten()) for pool in (key, value))
        count = len(self.queries)
        scaled = query[self.queries] / query.size(-1) ** 0.5
        return scaled, keys.view(count, -1, key.size(-1)), values.view(count, -1, value.size(-1))

    def weights(self, query: Tensor, key: Tensor) -> Tensor:
        """(M, block, C * block), before dropout."""
        mask = torch.arange(query.size(1), device=query.device) < self.real[:, :, None]  # (M, C, block)
        return weigh(query @ key.transpose(-2, -1), mask.flatten(1)[:, None])


class _BlockAttention(torch.autograd.Function):
    """Keeps what comes in and goes out and nothing between: weights and gathered keys would be many times as large."""

    @staticmethod
    def forward(ctx, query: Tensor, key: Tensor, value: Tensor, pieces: list[_Piece], dropout: float, seed: int):
        context = value.new_zeros(*query.shape[:2], value.size(-1))
        for number, piece in enumerate(pieces):
            queries, keys, values = piece.gather(query, key, value)
            weights = piece.weights(queries, keys)
            if dropout:
                weights = weights * _kept(weights, dropout, seed + number)
            context.index_copy_(0, piece.queries, weights @ values)
        ctx.save_for_backward(query, key, value, context)
        ctx.rest = pieces, dropout, seed
        return context

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, *gradients: Tensor):  # type: ignore[bad-override]
        (gradient,) = gradients
        query, key, value, context = ctx.saved_tensors
        pieces, dropout, seed = ctx.rest
        of_query, of_key, of_value = (torch.zeros_like(tensor) for tensor in (query, key, value))
        # A softmax's gradient needs the sum of weights times their gradients; that is the context's with its own.
        sums = (gradient * context).sum(-1, keepdim=True)
        for number, piece in enumerate(pieces):
            queries, keys, values = piece.gather(query, key, value)
            weights, of_context = piece.weights(queries, keys), gradient[piece.queries]
            kept = _kept(weights, dropout, seed + number) if dropout else None
            dropped = weights if kept is None else weights * kept
            of_values = dropped.transpose(-2, -1) @ of_context  # (M, C * block, D)
            of_scores = of_context @ values.transpose(-2, -1)  # of the weights, until the next lines
            if kept is not None:
                of_scores.mul_(kept)
            of_scores.sub_(sums[piece.queries]).mul_(weights)
            of_query.index_copy_(0, piece.queries, of_scores @ keys / query.size(-1) ** 0.5)
            for pool, part in ((of_key, of_scores.transpose(-2, -1) @ queries), (of_value, of_values)):
                pool.index_add_(0, piece.keys.flatten(), part.view(-1, *pool.shape[1:]))
        return of_query, of_key, of_value, None, None, None


def _kept(weights: Tensor, dropout: float, seed: int) -> Tensor:
    """What dropout multiplies these weights by: the same for the same seed."""
    with torch.random.fork_rng([weights.device] if weights.device.type == "cuda" else []):
        torch.manual_seed(seed)
        return drop(torch.ones_like(weights), dropout)
