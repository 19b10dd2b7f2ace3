"""Block-sparse attention: its fast path is dense attention under the same pattern, and the pattern is the paper's."""

import re

import numpy as np
import pytest
import torch

from regard.errors import ConfigError
from regard.nn import blocks
from regard.nn.attention import EVERYONE, MultiHeadAttention, dot_product_attention
from regard.nn.blocks import BlockPattern, key_blocks

HEADS, SIZE, BLOCK = 2, 3, 4
SETTINGS = {
    "as published": {},
    "no random blocks": {"num_random_blocks": 0},
    "only near ones": {"num_random_blocks": 0, "num_global_blocks": 0, "num_window_blocks": 1},
    "three global ones, wide window": {"num_global_blocks": 3, "num_window_blocks": 5, "num_random_blocks": 1},
    "random ones alone": {"num_global_blocks": 0, "num_window_blocks": 1, "num_random_blocks": 2},
    "blocks of one token": {"block_size": 1, "num_random_blocks": 2},
}
# Tokens of each text: whole blocks and not, shorter than one block, so short that all is seen, and empty.
LENGTHS = {
    "alone": [61],
    "whole blocks": [64, 64],
    "all lengths": [61, 64, 3, 1, 45, 44, 43, 20, 0],
    "short": [3, 1, 2],
    "longer filling": [50, 7],
}


def pattern(lengths: list[int] | None, **settings: int) -> BlockPattern:
    given = {"num_heads": HEADS, "block_size": BLOCK, **settings}
    return BlockPattern(None if lengths is None else torch.tensor(lengths), **given)


def tensors(rows: int, length: int) -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(rows, HEADS, length, SIZE, dtype=torch.float64, requires_grad=True) for _ in range(3)]


def both_paths(pattern: BlockPattern, rows: int, length: int) -> list[list[torch.Tensor]]:
    """Context and the gradients of query, key and value: by the path with weights, and by the other."""
    results = []
    for plain in (True, False):
        inputs = tensors(rows, length)
        context, weights = dot_product_attention(*inputs, pattern, return_weights=plain)
        assert weights is not None or not plain
        (context * torch.arange(context.numel()).view(context.shape).cos()).sum().backward()
        results.append([context, *(tensor.grad for tensor in inputs)])
    return results


@pytest.mark.parametrize("at_once", [1 << 20, 100], ids=["in one piece", "in many"])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_the_fast_path_equals_the_plain_one_with_gradients(settings, lengths, at_once, monkeypatch) -> None:
    monkeypatch.setattr(blocks, "_SCORES_AT_ONCE", at_once)
    length = max(lengths) + (9 if lengths == LENGTHS["longer filling"] else 0)
    for plain, fast in zip(*both_paths(pattern(lengths, **settings), len(lengths), length), strict=True):
        assert fast.isfinite().all()
        torch.testing.assert_close(fast, plain, rtol=0, atol=1e-10)


def test_every_length_and_whatever_came_before() -> None:
    """One pattern after the other, long and short: none remembers."""
    for length in [*range(1, 75), 200, *range(74, 40, -1)]:
        plain, fast = both_paths(pattern([length], num_random_blocks=1), 1, length)
        for expected, found in zip(plain, fast, strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_no_lengths_means_all_are_real() -> None:
    inputs = tensors(3, 61)
    found = dot_product_attention(*inputs, pattern(None)).context
    torch.testing.assert_close(found, dot_product_attention(*inputs, pattern([61] * 3)).context, rtol=0, atol=0)


def test_the_fast_path_is_taken_and_never_makes_all_scores(monkeypatch) -> None:
    made = []
    weigh = blocks.weigh
    monkeypatch.setattr(blocks, "weigh", lambda scores, mask: made.append(scores.shape) or weigh(scores, mask))
    query, key, value = tensors(1, 400)
    dot_product_attention(query, key, value, pattern([400])).context.sum().backward()
    scores = sum(shape.numel() for shape in made)
    # Forward and again in the backward pass: 98 blocks that see 2 + 3 + 3, and two that see all 100.
    assert scores == 2 * HEADS * BLOCK**2 * (98 * 8 + 2 * 100)


def test_a_text_has_the_same_context_in_any_company() -> None:
    query, key, value = (tensor.detach() for tensor in tensors(3, 90))
    lengths = [61, 90, 30]
    together = dot_product_attention(query, key, value, pattern(lengths)).context
    for row, length in enumerate(lengths):
        alone = [tensor[row : row + 1, :, :length] for tensor in (query, key, value)]
        found = dot_product_attention(*alone, pattern([length])).context
        torch.testing.assert_close(together[row : row + 1, :, :length], found, rtol=0, atol=1e-12)


def test_what_the_filling_holds_does_not_matter() -> None:
    first, second = tensors(1, 61), tensors(1, 61)
    with torch.no_grad():
        for tensor in second:
            tensor[:, :, 45:] = 1e6
    found = [dot_product_attention(*inputs, pattern([45])).context[:, :, :45] for inputs in (first, second)]
    assert torch.equal(*found)


def test_dense_is_the_papers_pattern() -> None:
    """Appendix D of the paper drawn by hand: 12 blocks of two tokens, the first and last global, windows of three."""
    mask = pattern([23], block_size=2, num_random_blocks=1).dense(23, 23)
    assert mask.shape == (1, HEADS, 23, 23)
    for head in range(HEADS):
        seen = [{key // 2 for key in range(23) if mask[0, head, 2 * block, key]} for block in range(12)]
        for block in range(12):
            assert torch.equal(mask[0, head, 2 * block], mask[0, head, min(2 * block + 1, 22)])
            expected = {0, 11, *(near for near in (block - 1, block, block + 1) if 0 <= near < 12)}
            if block in (0, 11):
                assert seen[block] == set(range(12))
            else:
                assert expected <= seen[block]
                assert len(seen[block] - expected) == 1


def test_random_blocks_are_drawn_evenly_and_differ() -> None:
    tables = [key_blocks(40, 2, 3, 3, 4, layer, seed) for layer in range(30) for seed in range(4)]
    drawn = np.stack(tables)[:, :, 1:-1, 5:]  # (draws, H, blocks, 3)
    assert len({table.tobytes() for table in tables}) == 120, "each layer and each seed has its own"
    assert len({drawn[0, head].tobytes() for head in range(4)}) == 4, "and each head"
    assert key_blocks(41, 2, 3, 3, 4, 0, 0)[0, 20, 5:].tolist() != drawn[0, 0, 19].tolist(), "and each length"
    for block in (1, 2, 20, 38):
        row = drawn[:, :, block - 1]
        counts = np.bincount(row.ravel(), minlength=40)
        taken = {0, 39, block - 1, block, block + 1}
        assert all(counts[number] == 0 for number in taken), "none twice"
        assert all(len(set(each)) == 3 for each in row.reshape(-1, 3).tolist())
        left = counts[[number for number in range(40) if number not in taken]]
        expected = row.size / len(left)
        # The statistic's mean is their number, its deviation the root of twice that.
        assert ((left - expected) ** 2 / expected).sum() < len(left) + 5 * (2 * len(left)) ** 0.5


def test_random_blocks_stay_the_same() -> None:
    """Trained weights depend on them: these were recorded when they were first made."""
    for _ in range(2):
        assert key_blocks(12, 2, 3, 2, 2, 1, 7)[:, 5, 5:].tolist() == [[9, 8], [8, 1]]
        key_blocks.cache_clear()


def test_short_texts_see_everything() -> None:
    inputs = tensors(1, 44)
    assert pattern([44]).num_full_blocks == 11
    expected = dot_product_attention(*inputs, EVERYONE).context
    torch.testing.assert_close(dot_product_attention(*inputs, pattern([44])).context, expected, rtol=0, atol=1e-12)
    assert pattern([44]).dense(44, 44).all()
    assert not pattern([45]).dense(45, 45).all()


def test_dropout_drops_weights_and_the_gradient_knows_which() -> None:
    """Values of one: the context is the sum of the weights that stay, and its gradient is these weights."""
    query, key, _ = tensors(1, 100)
    value = torch.ones(1, HEADS, 100, 1, dtype=torch.float64, requires_grad=True)
    sparse = pattern([100])
    torch.manual_seed(5)
    context = dot_product_attention(query, key, value, sparse, dropout=0.25).context
    torch.manual_seed(5)
    again = dot_product_attention(query, key, value, sparse, dropout=0.25).context
    assert torch.equal(context, again)
    assert not torch.allclose(context, dot_product_attention(query, key, value, sparse, dropout=0.25).context)
    assert abs(float(context.detach().mean()) - 1) < 0.05
    (gradient,) = torch.autograd.grad(context.sum(), value, retain_graph=True)
    torch.testing.assert_close(gradient.sum(), context.sum())
    # That of a query, by differences, with the same weights dropped.
    (gradient,) = torch.autograd.grad((context * context).sum(), query)
    moved = torch.zeros_like(query)
    moved[0, 1, 50, 2] = 1e-5
    sides = []
    for shifted in (query + moved, query - moved):
        torch.manual_seed(5)
        sides.append((dot_product_attention(shifted, key, value, sparse, dropout=0.25).context ** 2).sum())
    torch.testing.assert_close(gradient[0, 1, 50, 2], (sides[0] - sides[1]) / 2e-5, rtol=1e-6, atol=1e-8)
    torch.manual_seed(5)
    before = torch.rand(())
    torch.manual_seed(5)
    dot_product_attention(query, key, value, sparse)
    assert torch.rand(()) == before, "nothing is drawn where nothing is dropped"


def test_multi_head_attention_takes_the_pattern() -> None:
    torch.manual_seed(0)
    attention = MultiHeadAttention(6, HEADS).double()
    states = torch.randn(2, 70, 6, dtype=torch.float64)
    sparse = pattern([70, 52])
    plain = attention(states, attention.project(states), sparse, return_weights=True)
    fast = attention(states, attention.project(states), sparse)
    torch.testing.assert_close(fast.context, plain.context, rtol=0, atol=1e-12)
    sums = plain.weights.sum(-1)
    torch.testing.assert_close(sums[0], torch.ones_like(sums[0]))
    assert (plain.weights[~sparse.dense(70, 70)] == 0).all()


def test_blocks_have_no_direction() -> None:
    with pytest.raises(ConfigError, match=re.escape("causal must be False")):
        BlockPattern(None, causal=True, num_heads=1)
