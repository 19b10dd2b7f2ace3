"""Padding changes nothing, the future changes nothing, and weights are asked for without changing anything."""

import pytest
import torch

from regard.errors import ConfigError
from regard.nn.padded import Padded, pad
from regard.training.batches import Batch
from regard.training.loss import translation_loss

PAD = 22
SOURCES = [[5, 6, 7, 8, 9, 10, 3], [11, 12, 3], [3]]
TARGETS = [[2, 13, 14, 15], [2, 16, 17, 18, 19, 20], [2]]
VARIANTS = [
    ("rnn", {}),
    ("rnnsearch", {}),
    ("gnmt", {}),
    ("transformer", {}),
    ("transformer", {"norm_place": "post", "positions": "trainable", "activation": "swish"}),
    ("transformer", {"encoder_windows": (2, 3), "num_layers": 3}),
    ("transformer", {"last_layer_reads_words": True, "decoder_window": 2, "num_layers": 3}),
    ("transformer", {"last_layer_reads_words": True, "norm_place": "post", "positions": "trainable"}),
    ("transformer", {"last_layer_reads_words": True, "last_layer_adds_to": 2, "num_layers": 4}),
]
IDS = [
    "rnn",
    "rnnsearch",
    "gnmt",
    "pre",
    "post",
    "near words first",
    "words read last",
    "the same, post",
    "added to states",
]
each_variant = pytest.mark.parametrize(("arch", "settings"), VARIANTS, ids=IDS)


def batch(source_width: int, target_width: int, filling: int) -> tuple[Padded, Padded]:
    def fill(sequences: list[list[int]], width: int) -> Padded:
        padded = pad([*sequences, [1] * width], pad_id=filling)
        return Padded(padded.ids[:-1], padded.lengths[:-1])

    return fill(SOURCES, source_width), fill(TARGETS, target_width)


@torch.no_grad()
@each_variant
def test_padding_changes_nothing(tiny, arch: str, settings: dict) -> None:
    model = tiny(arch, tied_embeddings=False, **settings)
    for embedding in (model.source_embedding, model.target_embedding):
        embedding.weight[21] = 1e4
        embedding.weight[PAD] = torch.nan
    alone = [model.forced(pad([s]), pad([t])).logits[0] for s, t in zip(SOURCES, TARGETS, strict=True)]
    for source_width, target_width, filling in [(7, 6, 0), (7, 6, PAD), (12, 9, PAD), (9, 16, 21), (8, 8, 4)]:
        source, target = batch(source_width, target_width, filling)
        logits = model.forced(source, target).logits
        plain = model.forced(source, target, return_weights=True).logits
        for row, expected in enumerate(alone):
            torch.testing.assert_close(logits[row, : len(expected)], expected, rtol=0, atol=1e-12)
            torch.testing.assert_close(plain[row, : len(expected)], expected, rtol=0, atol=1e-12)


@each_variant
def test_padding_changes_no_gradient(tiny, arch: str, settings: dict) -> None:
    gradients = []
    for source_width, target_width, filling in [(7, 6, 0), (12, 9, PAD)]:
        model = tiny(arch, tied_embeddings=False, **settings)
        with torch.no_grad():
            model.source_embedding.weight[PAD] = model.target_embedding.weight[PAD] = torch.nan
            for positions in (module for module in model.modules() if hasattr(module, "kind")):
                if positions.kind == "trainable":
                    positions.weight[7:] = torch.nan  # no sentence is so long
        source, target = batch(source_width, target_width, filling)
        labels = torch.tensor([number for row in TARGETS for number in [*row[1:], 3]])
        translation_loss(model, Batch(source, target, labels, 3)).loss.backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for name, expected in gradients[0].items():
        assert expected.isfinite().all(), name
        torch.testing.assert_close(gradients[1][name], expected, rtol=0, atol=1e-11, msg=name)


@torch.no_grad()
@each_variant
def test_the_future_changes_nothing(tiny, arch: str, settings: dict) -> None:
    model = tiny(arch, tied_embeddings=False, **settings)
    model.target_embedding.weight[PAD] = 1e4
    source, target = batch(7, 6, 0)
    for cut in range(1, 6):
        other = target.ids.clone()
        other[:, cut:] = PAD
        expected = model.states(source, Padded(target.ids, torch.tensor([6, 6, 6])))[:, :cut]
        found = model.states(source, Padded(other, torch.tensor([6, 6, 6])))
        assert torch.equal(found[:, :cut], expected), "causality is exact, not nearly so"
        assert not torch.allclose(found[:, cut:], model.states(source, target)[:, cut:])


@torch.no_grad()
@each_variant
def test_the_source_changes_everything(tiny, arch: str, settings: dict) -> None:
    """Guards the tests above: a model deaf to its source would pass them."""
    model = tiny(arch, **settings)
    source, target = batch(7, 6, 0)
    logits = model.forced(source, target).logits
    for position in range(7):
        other = source.ids.clone()
        other[0, position] = 19
        assert not torch.allclose(model.forced(Padded(other, source.lengths), target).logits[0], logits[0])


@torch.no_grad()
@each_variant
def test_weights_on_equals_weights_off(tiny, arch: str, settings: dict) -> None:
    model = tiny(arch, **settings)
    source, target = batch(9, 6, 0)
    off, on = model.forced(source, target), model.forced(source, target, return_weights=True)
    assert off.weights == {}
    real = target.real()
    torch.testing.assert_close(on.logits[real], off.logits[real], rtol=0, atol=1e-12)
    kinds = {"rnn": set(), "transformer": {"encoder", "decoder", "cross"}}.get(arch, {"cross"})
    assert set(on.weights) == kinds
    for kind, weights in on.weights.items():
        layers, heads = (settings.get("num_layers", 2), 4) if arch == "transformer" else (1, 1)
        rows, columns = {"encoder": (9, 9), "decoder": (6, 6), "cross": (6, 9)}[kind]
        assert weights.shape == (3, layers, heads, rows, columns)
        sums = weights.sum(-1)  # (B, layers, H, Q)
        assert ((sums - 1).abs() < 1e-7).logical_or((weights == 0).all(-1)).all()
        for row, length in enumerate((source if kind == "encoder" else target).lengths):
            assert ((sums[row, ..., :length] - 1).abs() < 1e-7).all(), "a real token attends to something"
        if kind != "decoder":  # padded keys get nothing
            assert (weights[1, ..., 3:] == 0).all()
            assert (weights[1, -1, ..., :3] > 0).all()


@torch.no_grad()
def test_near_words_first_the_last_layer_alone_sees_far(tiny) -> None:
    model = tiny("transformer", encoder_windows=(2, 2), num_layers=3)
    source, target = batch(7, 6, 0)
    weights = model.forced(source, target, return_weights=True).weights["encoder"][0]  # (layers, H, 7, 7)
    near = torch.ones(7, 7, dtype=torch.bool).triu(-1).tril(1)
    for layer in weights[:2]:
        assert (layer[:, near] > 0).all()
        assert (layer[:, ~near] == 0).all()
    assert (weights[2] > 0).all()
    with pytest.raises(
        ConfigError, match="encoder_windows are of 2 layers, num_layers is 2: at least the last must see"
    ):
        tiny("transformer", encoder_windows=(2, 2), num_layers=2)
    for wrong in ((), (3, 0)):
        with pytest.raises(ConfigError, match="encoder_windows must be numbers from 1 up, got"):
            tiny("transformer", encoder_windows=wrong, num_layers=3)


@torch.no_grad()
def test_a_decoder_with_a_window_sees_its_last_words_alone(tiny) -> None:
    model = tiny("transformer", decoder_window=2)
    source, target = batch(7, 6, 0)
    weights = model.forced(source, target, return_weights=True).weights["decoder"][1]  # (layers, H, 6, 6)
    near = torch.ones(6, 6, dtype=torch.bool).tril().triu(-1)
    assert (weights[..., near] > 0).all()
    assert (weights[..., ~near] == 0).all()
    with pytest.raises(ConfigError, match="decoder_window must be from 1 up, got 0"):
        tiny("transformer", decoder_window=0)


@torch.no_grad()
def test_a_last_layer_that_reads_words_passes_on_nothing_of_the_layers_below_but_where_they_look(tiny) -> None:
    """With one source token that is not padding there is one place to look, and the layers below it change nothing."""
    source, target = pad([[5]]), pad([[2, 13]])
    for reads_words, adds_to in ((True, None), (True, 0), (True, 1), (True, 2), (False, None)):
        for changed in (0, 1):
            model = tiny("transformer", num_layers=3, last_layer_reads_words=reads_words, last_layer_adds_to=adds_to)
            before = model.states(source, target)
            for parameter in model.encoder[changed].parameters():
                parameter.mul_(3)
            assert torch.equal(model.states(source, target), before) == (reads_words and changed >= (adds_to or 0))
    for adds_to in (3, -1):
        with pytest.raises(ConfigError, match=f"must be from 0 up and below num_layers, 3; got {adds_to}"):
            tiny("transformer", num_layers=3, last_layer_reads_words=True, last_layer_adds_to=adds_to)
    with pytest.raises(ConfigError, match="last_layer_adds_to does nothing without last_layer_reads_words"):
        tiny("transformer", last_layer_adds_to=0)


def test_noise_is_of_the_last_layer_and_of_the_source_in_training_alone(tiny) -> None:
    source, target = batch(7, 6, 0)
    for name in ("last_layer_noise", "cross_noise"):
        model = tiny("transformer", num_layers=3, dropout=0.0, **{name: 0.5})
        plain = tiny("transformer", num_layers=3, dropout=0.0)
        plain.load_state_dict(model.state_dict())
        assert torch.equal(model.states(source, target), plain.states(source, target))
        model.train()
        plain.train()
        noisy = model.forced(source, target, return_weights=True).weights
        still = plain.forced(source, target, return_weights=True).weights
        assert torch.equal(noisy["encoder"][:, :2], still["encoder"][:, :2])
        assert torch.equal(noisy["encoder"][:, 2], still["encoder"][:, 2]) == (name == "cross_noise")
        assert not torch.equal(noisy["cross"][:, 0], still["cross"][:, 0])
        assert torch.equal(noisy["decoder"][:, 0], still["decoder"][:, 0])
        for wrong in (-0.1, float("inf"), float("nan")):
            with pytest.raises(ConfigError, match=f"{name} must be from 0 up and finite, got"):
                tiny("transformer", **{name: wrong})


@each_variant
def test_looking_at_weights_makes_no_logits(tiny, arch: str, settings: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny(arch, **settings)
    made = []
    monkeypatch.setattr(type(model.output), "forward", lambda self, states: made.append(states) or states)
    found = model.forced(pad(SOURCES), pad(TARGETS), return_weights=True)
    assert not made
    assert found.logits is found.logits
    assert len(made) == 1, "made when asked for, once"
