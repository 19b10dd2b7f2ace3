"""BigBird: its pattern reaches every layer, gradients are those of dense attention, and mistakes are told."""

import copy

import numpy as np
import pytest
import torch
from tiny_model import make_encoder, make_encoder_folder, make_text_tokens

import regard
from regard.errors import ConfigError
from regard.models import build_encoder
from regard.models.bigbird import lengthen
from regard.models.folder import load_encoder
from regard.nn import attention
from regard.nn.blocks import BlockPattern
from regard.nn.padded import Padded

SIZES = {
    "vocab_size": 30,
    "hidden_size": 12,
    "num_layers": 2,
    "num_heads": 3,
    "feed_forward_size": 20,
    "max_length": 90,
    "block_size": 4,
    "num_random_blocks": 2,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "pooled": False,
}
LENGTHS = torch.tensor([83, 60, 41, 9])


def make(**settings):
    torch.manual_seed(0)
    model = build_encoder("bigbird", {**SIZES, **settings}, {"task": "mask"}).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model


def texts() -> Padded:
    torch.manual_seed(1)
    return Padded(torch.randint(30, (4, 83)), LENGTHS)


def test_training_has_the_gradients_of_dense_attention(monkeypatch) -> None:
    """The same model once more with the pattern's mask in place of its fast path."""
    tokens, models = texts(), [make(), make()]
    for number, model in enumerate(models):
        if number:
            monkeypatch.setattr(BlockPattern, "sparse", lambda *_: None)
            monkeypatch.setattr(attention, "_SHORT", 1_000)
        logits = model(tokens)[tokens.real()]
        (logits * torch.arange(logits.numel()).view(logits.shape).cos()).sum().backward()
    for (name, fast), (_, dense) in zip(*(model.named_parameters() for model in models), strict=True):
        assert fast.grad.abs().max() > 1e-6 or "key_value.bias" in name, name
        torch.testing.assert_close(fast.grad, dense.grad, rtol=0, atol=1e-9, msg=name)


@torch.no_grad()
def test_each_layer_and_head_has_a_pattern_of_its_own() -> None:
    model, tokens = make().eval(), texts()
    weights = model.encoder.encode(tokens, return_weights=True).weights  # (B, layers, H, L, L)
    torch.testing.assert_close(weights[0, :, :, :83].sum(-1), torch.ones(2, 3, 83, dtype=torch.float64))
    seen = weights[0] > 0
    for layer in range(2):
        mask = model.encoder.pattern(layer, tokens).dense(83, 83)
        assert torch.equal(seen[layer], mask[0])
        assert torch.equal(weights[2, layer] > 0, mask[2])
        assert not mask[2, :, :, 41:].any(), "filling is not attended to"
    patterns = {pattern.numpy().tobytes() for layer in seen for pattern in layer}
    assert len(patterns) == 6
    assert not make(sparse=False).encoder.encode(tokens, return_weights=True).weights[0].eq(0).any()


@torch.no_grad()
def test_scaled_embeddings_are_scaled() -> None:
    plain, scaled = make().eval(), make(scaled_embeddings=True).eval()
    by_hand = copy.deepcopy(plain)
    by_hand.encoder.embedding.weight.mul_(12**0.5)
    tokens = texts()
    expected = by_hand.encoder.encode(tokens).states
    torch.testing.assert_close(scaled.encoder.encode(tokens).states, expected, rtol=0, atol=1e-12)
    assert not torch.allclose(plain.encoder.encode(tokens).states, expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"block_size": 0}, "block_size must be at least 1, got 0"),
        ({"num_random_blocks": -1}, "num_random_blocks must be at least 0, got -1"),
        ({"num_global_blocks": -2}, "num_global_blocks must be at least 0, got -2"),
        ({"num_window_blocks": 2}, "num_window_blocks must be 1, 3, 5 or so on, got 2"),
        ({"random_blocks_seed": -1}, "random_blocks_seed must be from 0 to 1,000,000, got -1"),
        ({"num_types": 0}, "num_types must be at least 1, got 0"),
        ({"pool_activation": "sigmoid"}, "pool_activation: expected one of relu, gelu"),
    ],
)
def test_what_it_cannot_be_is_told(settings, message) -> None:
    with pytest.raises(ConfigError, match=message):
        make(**settings)


def test_a_folder_is_looked_into(tmp_path) -> None:
    """Through the API: rows are distributions, zero where the pattern forbids, and the numbers are the fast path's."""
    folder = make_encoder_folder(tmp_path / "bigbird", arch="bigbird", random_blocks_seed=3)
    model = regard.load(folder)
    text = "the cat sees the dog to the bird sings a cat sees the birds"
    look = model.look(text)
    weights = look.weights["encoder"]
    length = weights.shape[-1]
    assert length > 14, "longer than what is attended to in full"
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-6)
    encoder = load_encoder(folder).model.encoder
    read = Padded(torch.tensor([model.engine.tokens.encode(text).ids]), torch.tensor([length]))
    for layer in range(2):
        allowed = encoder.pattern(layer, read).dense(length, length)[0].numpy()
        assert not allowed.all()
        np.testing.assert_array_equal(weights[layer] > 0, allowed)


def test_dropout_of_weights_is_a_function_of_the_seed(tmp_path) -> None:
    model = make_encoder(make_text_tokens(tmp_path), arch="bigbird", attention_dropout=0.5, dropout=0.0).train()
    tokens = Padded(torch.randint(15, (2, 40)), torch.tensor([40, 33]))
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(model.encoder.encode(tokens).states)
    assert torch.equal(found[0], found[1])
    assert not torch.allclose(found[0], found[2])


@pytest.mark.parametrize("arch", ["bert", "bigbird"])
def test_a_lengthened_encoder_goes_on_with_what_it_knows(arch) -> None:
    """A short text gets the same states; beyond the old length, positions come again; nothing else is new."""
    torch.manual_seed(0)
    sizes = {key: value for key, value in SIZES.items() if arch == "bigbird" or "block" not in key}
    short = build_encoder(arch, {**sizes, "max_length": 20, "pooled": True}, {"task": "mask"}).double().eval().encoder
    for parameter in short.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    long = lengthen(short, 90).eval()
    few = Padded(torch.randint(30, (2, 20)), torch.tensor([20, 9]))
    torch.testing.assert_close(long.encode(few).states, short.encode(few).states, rtol=0, atol=1e-12)
    assert torch.equal(long.pool(long.encode(few).states), short.pool(long.encode(few).states))
    assert torch.equal(long.positions.weight[20:40], short.positions.weight)
    assert torch.equal(long.positions.weight[80:], short.positions.weight[:10])
    assert long.encode(texts()).states.isfinite().all()
    with pytest.raises(ConfigError, match="takes texts of 20 tokens; 20 is not longer"):
        lengthen(short, 20)
