"""Attention: two paths of one contract, masks, weights, and the additive score against its formula."""

import math

import pytest
import torch

from regard.errors import ShapeError
from regard.nn import attention
from regard.nn.attention import (
    AdditiveAttention,
    MultiHeadAttention,
    Pattern,
    attend,
    dot_product_attention,
    perturb,
)

PATTERNS = {
    "everyone": Pattern(),
    "padding": Pattern(torch.tensor([5, 2, 1])),
    "causal": Pattern(causal=True),
    "causal and padding": Pattern(torch.tensor([5, 2, 1]), causal=True),
    "a row without keys": Pattern(torch.tensor([5, 0, 3])),
    "a row without keys, causal": Pattern(torch.tensor([5, 0, 3]), causal=True),
    "band": Pattern(causal=True, window=2),
    "band to both sides": Pattern(window=2),
    "a wide band": Pattern(causal=True, window=9),
    "padding on the left": Pattern(causal=True, key_starts=torch.tensor([0, 3, 4])),
    "band and padding on the left": Pattern(causal=True, window=3, key_starts=torch.tensor([0, 3, 4])),
}


def tensors(num_queries: int = 5) -> list[torch.Tensor]:
    torch.manual_seed(1)
    shapes = [(3, 2, num_queries, 4), (3, 2, 5, 4), (3, 2, 5, 4)]
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("num_queries", [5, 3, 1])
def test_the_fused_path_equals_the_plain_one_with_gradients(
    name: str, num_queries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "_SHORT", 0)  # training on short sequences takes the plain path anyway
    kernels = []
    fused_kernel = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        attention.F,
        "scaled_dot_product_attention",
        lambda *args, **named: kernels.append(1) or fused_kernel(*args, **named),
    )
    results = []
    for plain in (True, False):
        inputs = tensors(num_queries)
        context, weights = dot_product_attention(*inputs, PATTERNS[name], return_weights=plain)
        assert (weights is not None) == plain
        (context * torch.arange(context.numel()).view(context.shape).cos()).sum().backward()
        results.append([context, *(tensor.grad for tensor in inputs)])
    assert kernels == [1], "the fused kernel served one of the two"
    for plain, fused in zip(*results, strict=True):
        assert plain.isfinite().all()
        torch.testing.assert_close(fused, plain, rtol=0, atol=1e-12)


@torch.no_grad()
def test_the_plain_path_is_the_formula() -> None:
    query, key, value = tensors(3)
    context, weights = dot_product_attention(query, key, value, PATTERNS["causal and padding"], return_weights=True)
    for batch, length in enumerate([5, 2, 1]):
        for head in range(2):
            for row in range(3):
                allowed = [k for k in range(5) if k < length and k <= row + 2]  # queries are the last 3 of 5
                scores = [math.exp(float(query[batch, head, row] @ key[batch, head, k]) / 2) for k in allowed]
                expected = torch.zeros(5, dtype=torch.float64)
                expected[allowed] = torch.tensor(scores, dtype=torch.float64) / sum(scores)
                torch.testing.assert_close(weights[batch, head, row], expected, rtol=0, atol=1e-14)
                torch.testing.assert_close(context[batch, head, row], expected @ value[batch, head], rtol=0, atol=1e-14)


def test_a_query_with_nothing_to_attend_to_gets_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "_SHORT", 0)
    for plain in (True, False):
        context, weights = dot_product_attention(*tensors(), PATTERNS["a row without keys"], return_weights=plain)
        assert (context[1] == 0).all()
        assert (context[0] != 0).all()
        if weights is not None:
            assert (weights[1] == 0).all()
            torch.testing.assert_close(weights[0].sum(-1), torch.ones(2, 5, dtype=torch.float64))


@pytest.mark.parametrize("mask", [torch.zeros(5, 5), torch.ones(5, 5, dtype=torch.int64)], ids=["float", "int"])
def test_a_mask_that_is_not_boolean_is_refused(mask: torch.Tensor) -> None:
    query, key, value = tensors()
    with pytest.raises(ShapeError, match=r"mask must be bool \(True = may attend\), got torch\.(float32|int64)"):
        attend(query @ key.transpose(-2, -1), value, mask)


def test_weights_are_those_before_dropout() -> None:
    inputs = tensors()
    torch.manual_seed(3)
    dropped, weights = dot_product_attention(*inputs, dropout=0.5, return_weights=True)
    kept, same_weights = dot_product_attention(*inputs, return_weights=True)
    assert torch.equal(weights, same_weights)
    assert not torch.allclose(dropped, kept)


def test_noise_of_1_draws_keys_as_the_softmax_has_them() -> None:
    """The Gumbel trick: the highest perturbed score is key k with the probability that the softmax gives k."""
    scores = torch.tensor([2.0, 1.0, 0.0, float("-inf")])
    torch.manual_seed(1)
    drawn = perturb(scores.expand(200_000, 4), 1.0).argmax(-1)
    shares = torch.bincount(drawn, minlength=4) / 200_000
    torch.testing.assert_close(shares, scores.softmax(-1), rtol=0, atol=0.005)
    torch.manual_seed(1)
    half = perturb(torch.zeros(200_000), 0.5)
    assert half.mean().item() == pytest.approx(0.5 * 0.5772, abs=0.01)  # of Gumbel(0, 1): Euler's constant
    assert half.std().item() == pytest.approx(0.5 * math.pi / math.sqrt(6), abs=0.01)


def test_noise_moves_weights_within_the_mask() -> None:
    query, key, value = tensors()
    pattern = Pattern(torch.tensor([5, 3, 4]), window=2)
    torch.manual_seed(1)
    context, weights = dot_product_attention(query, key, value, pattern, noise=0.5, return_weights=True)
    mask = pattern.dense(query.size(2), key.size(2))
    assert mask is not None
    assert (weights.masked_select(~mask.expand_as(weights)) == 0).all()
    torch.manual_seed(1)
    without, _ = dot_product_attention(query, key, value, pattern, noise=0.5)
    torch.testing.assert_close(without, context, rtol=0, atol=0)
    still, _ = dot_product_attention(query, key, value, pattern)
    assert not torch.allclose(still, context)
    torch.testing.assert_close(weights @ value, context)


def test_dense_patterns() -> None:
    assert Pattern().dense(2, 3) is None
    assert Pattern(causal=True).dense(1, 3) is None  # one query after two cached keys sees all
    assert Pattern(causal=True).dense(2, 3)[0, 0].tolist() == [[True, True, False], [True, True, True]]
    padded = Pattern(torch.tensor([1, 3])).dense(2, 3)
    assert padded.shape == (2, 1, 1, 3)
    assert padded[:, 0, 0].tolist() == [[True, False, False], [True, True, True]]


def test_a_band_is_what_is_near() -> None:
    assert Pattern(causal=True, window=2).dense(3, 3)[0, 0].tolist() == [
        [True, False, False],
        [True, True, False],
        [False, True, True],
    ]
    assert Pattern(causal=True, window=2).dense(1, 4)[0, 0].tolist() == [[False, False, True, True]], "a cached step"
    assert Pattern(window=2).dense(3, 3)[0, 0].tolist() == [
        [True, True, False],
        [True, True, True],
        [False, True, True],
    ]
    assert Pattern(causal=True, window=4).dense(1, 4) is None
    left = Pattern(key_starts=torch.tensor([0, 2])).dense(1, 3)
    assert left[:, 0, 0].tolist() == [[True, True, True], [False, False, True]]


@pytest.mark.parametrize("window", [0, 1, 3])
def test_a_banded_row_is_the_formula(window: int) -> None:
    query, key, value = tensors(3)
    pattern = Pattern(causal=True, window=window, key_starts=torch.tensor([0, 1, 3]))
    context, weights = dot_product_attention(query, key, value, pattern, return_weights=True)
    for batch, start in enumerate([0, 1, 3]):
        for row in range(3):
            place = row + 2  # queries are the last 3 of 5
            allowed = [k for k in range(start, place + 1) if not window or place - k < window]
            expected = torch.zeros(5, dtype=torch.float64)
            if allowed:
                scores = torch.stack([query[batch, 0, row] @ key[batch, 0, k] / 2 for k in allowed]).exp()
                expected[allowed] = scores / scores.sum()
            torch.testing.assert_close(weights[batch, 0, row], expected, rtol=0, atol=1e-14)
            torch.testing.assert_close(context[batch, 0, row], expected @ value[batch, 0], rtol=0, atol=1e-14)


def test_multi_head_attention_is_torchs() -> None:
    torch.manual_seed(0)
    ours = MultiHeadAttention(12, 3).double()
    theirs = torch.nn.MultiheadAttention(12, 3, batch_first=True, dtype=torch.float64)
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key_value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key_value.bias]))
        theirs.out_proj.weight.copy_(ours.output.weight)
        theirs.out_proj.bias.copy_(ours.output.bias)
    query, memory = torch.randn(2, 4, 12, dtype=torch.float64), torch.randn(2, 5, 12, dtype=torch.float64)
    lengths = torch.tensor([5, 3])
    context, weights = ours(query, ours.project(memory), Pattern(lengths), return_weights=True)
    hidden = torch.arange(5) >= lengths[:, None]
    expected, expected_weights = theirs(query, memory, memory, hidden, average_attn_weights=False)
    torch.testing.assert_close(context, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(weights, expected_weights, rtol=0, atol=1e-12)


def test_a_beam_shares_the_memory_of_its_sentence() -> None:
    torch.manual_seed(0)
    attention = MultiHeadAttention(8, 2).double()
    memory, queries = torch.randn(2, 5, 8, dtype=torch.float64), torch.randn(6, 3, 8, dtype=torch.float64)
    shared = attention(queries, attention.project(memory), Pattern(torch.tensor([5, 2]))).context
    copied = attention(
        queries, attention.project(memory.repeat_interleave(3, 0)), Pattern(torch.tensor([5, 5, 5, 2, 2, 2]))
    ).context
    torch.testing.assert_close(shared, copied, rtol=0, atol=1e-12)


@torch.no_grad()
def test_the_additive_score_is_the_papers() -> None:
    """Bahdanau et al. 2015, section 3.1: e_ij = vᵀ tanh(W s_i-1 + U h_j)."""
    torch.manual_seed(0)
    attention = AdditiveAttention(3, 4, 6).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    queries, memory = torch.randn(2, 2, 3, dtype=torch.float64), torch.randn(2, 5, 4, dtype=torch.float64)
    context, weights = attention(queries, attention.project(memory), memory, Pattern(torch.tensor([5, 2])))
    v, w, u, bias = attention.score.weight[0], attention.query.weight, attention.key.weight, attention.key.bias
    for batch, length in enumerate([5, 2]):
        for row in range(2):
            energies = [
                math.exp(float(v @ torch.tanh(w @ queries[batch, row] + u @ memory[batch, j] + bias)))
                for j in range(length)
            ]
            expected = torch.zeros(5, dtype=torch.float64)
            expected[:length] = torch.tensor(energies, dtype=torch.float64) / sum(energies)
            torch.testing.assert_close(weights[batch, 0, row], expected, rtol=0, atol=1e-14)
            torch.testing.assert_close(context[batch, row], expected @ memory[batch], rtol=0, atol=1e-14)
