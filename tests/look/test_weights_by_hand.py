"""Every attention weight of every family, computed again from the papers' equations, a sentence at a time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from papers import PAPERS, Array, Found, Parameters, softmax
from tiny_model import SOURCES, TARGETS, make_folder

import regard
from regard.nn.padded import pad

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "rnnsearch": ("rnnsearch", {}),
    "rnnsearch, output apart, odd sizes": (
        "rnnsearch",
        {"tied_embeddings": False, "hidden_size": 5, "embedding_size": 7, "attention_size": 3},
    ),
    "rnnsearch, scaled": ("rnnsearch", {"scaled_embeddings": True}),
    "gnmt": ("gnmt", {"num_layers": 4}),
    "gnmt, scaled, output apart": ("gnmt", {"scaled_embeddings": True, "tied_embeddings": False}),
    "gnmt, two layers, output apart": ("gnmt", {"num_layers": 2, "tied_embeddings": False, "attention_size": 1}),
    "the paper's": ("transformer", {"norm_place": "post"}),
    "pre-norm": ("transformer", {"norm_place": "pre"}),
    "trainable, gelu, sides apart": (
        "transformer",
        {
            "norm_place": "post",
            "positions": "trainable",
            "activation": "gelu",
            "tied_embeddings": False,
            "hidden_size": 15,
            "num_layers": 3,
            "num_heads": 3,
            "feed_forward_size": 7,
            "decoder_num_layers": 2,
            "decoder_num_heads": 5,
            "decoder_feed_forward_size": 11,
            "embedding_scale": 1.0,
        },
    ),
    "no positions, one head, swish": (
        "transformer",
        {"positions": "none", "num_heads": 1, "activation": "swish", "embedding_scale": 0.3, "hidden_size": 7},
    ),
    "near words first": ("transformer", {"encoder_windows": (3, 2), "num_layers": 3, "positions": "none"}),
    "words read last": (
        "transformer",
        {"last_layer_reads_words": True, "decoder_window": 2, "num_layers": 3, "encoder_windows": (3,)},
    ),
    "words read last, added to near ones": (
        "transformer",
        {"last_layer_reads_words": True, "last_layer_adds_to": 1, "num_layers": 3, "encoder_windows": (2, 3)},
    ),
    "words read last, post-norm, sides apart": (
        "transformer",
        {
            "last_layer_reads_words": True,
            "norm_place": "post",
            "positions": "trainable",
            "tied_embeddings": False,
            "decoder_window": 3,
        },
    ),
    "odd width, longer than planned": (
        "transformer",
        {"hidden_size": 9, "num_heads": 9, "decoder_num_heads": 1, "embedding_scale": 1.7, "max_length": 3},
    ),
}
each_case = pytest.mark.parametrize("case", CASES)
# The longest of either side fills the table of trainable positions.
SOURCES_IDS = [[4, 0, 5, 1, 6, 2, 3], [3], [7, 4, 4, 3]]
TARGETS_IDS = [[2, 5], [2, 6, 7, 3, 1, 0, 4], [2]]


def make(tiny: Callable[..., Any], case: str) -> Any:
    arch, settings = CASES[case]
    return tiny(arch, std=0.5, **{"vocab_size": 8, "max_length": 7, **settings})


def forced(model: Any) -> Found:
    """What the model gives for all sentences in one padded batch."""
    with torch.no_grad():
        found = model.forced(pad(SOURCES_IDS, pad_id=1), pad(TARGETS_IDS, pad_id=6), return_weights=True)
        return {kind: weights.numpy() for kind, weights in found.weights.items()}, found.logits.numpy()


def numbers(model: Any) -> dict[str, Array]:
    """The parameters by name, a shared one by each of its names."""
    return {name: tensor.detach().double().numpy() for name, tensor in model.named_parameters(remove_duplicate=False)}


def distance(found: Found, p: Parameters, arch: str, config: Any) -> tuple[float, float]:
    """How far weights and logits are from the papers' at most, over all sentences."""
    weights, logits = found
    of_weights, of_logits = [], []
    for row, (source, target) in enumerate(zip(SOURCES_IDS, TARGETS_IDS, strict=True)):
        expected, expected_logits = PAPERS[arch](p, config, source, target)
        assert weights.keys() == expected.keys()
        for kind, theirs in expected.items():
            layers, heads, queries, keys = theirs.shape
            assert weights[kind].shape[1:3] == (layers, heads)
            of_weights.append(np.abs(weights[kind][row, :, :, :queries, :keys] - theirs).max())
        of_logits.append(np.abs(logits[row, : len(target)] - expected_logits).max())
    return max(of_weights), max(of_logits)


@each_case
def test_weights_and_logits_are_the_papers(tiny: Callable[..., Any], case: str) -> None:
    model = make(tiny, case)
    found = forced(model)
    assert max(distance(found, numbers(model), CASES[case][0], model.config)) < 1e-10
    for kind, weights in found[0].items():
        sums = weights.sum(-1)
        assert ((np.abs(sums - 1) < 1e-6) | (weights == 0).all(-1)).all()
        for row, (source, target) in enumerate(zip(SOURCES_IDS, TARGETS_IDS, strict=True)):
            real = len(target if kind == "decoder" else source)
            queries = len(source if kind == "encoder" else target)
            assert (np.abs(sums[row, :, :, :queries] - 1) < 1e-6).all(), "a real token attends to something"
            assert (weights[row, :, :, :queries, real:] == 0).all(), "no real token attends to padding"


@each_case
def test_one_altered_number_in_any_parameter_breaks_the_agreement(tiny: Callable[..., Any], case: str) -> None:
    model = make(tiny, case)
    found, p = forced(model), numbers(model)
    for name, parameter in p.items():
        # Several places: a shut ReLU hides its own, and the softmax the keys' half of a bias (all scores move alike).
        for place in np.linspace(0, parameter.size - 1, 7, dtype=int):
            altered = parameter.copy()
            altered.flat[place] += 1e-2
            if max(distance(found, {**p, name: altered}, CASES[case][0], model.config)) > 1e-8:
                break
        else:
            pytest.fail(f"{name}: no altered number is seen")


@pytest.mark.parametrize(
    ("arch", "settings"),
    [
        ("rnnsearch", {}),
        ("gnmt", {"num_layers": 3}),
        ("transformer", {}),
        ("transformer", {"norm_place": "post", "positions": "trainable", "decoder_num_heads": 4, "num_layers": 3}),
    ],
    ids=["rnnsearch", "gnmt", "pre", "post"],
)
def test_the_public_path_gives_the_papers_weights(tmp_path: Path, arch: str, settings: dict[str, Any]) -> None:
    model = regard.load(make_folder(tmp_path / "model", arch, **settings))
    engine, tokens = model.engine, model.engine.tokens
    sources = [tokens.encode_source(text) for text in SOURCES]
    targets = [tokens.encode_target(text) for text in TARGETS]
    together = engine.attention(sources, targets)
    for number, (source, target) in enumerate(zip(sources, targets, strict=True)):
        read, written = [tokens.bos_id, *target], [*target, tokens.eos_id]
        expected, logits = PAPERS[arch](numbers(engine.model), engine.model.config, source, read)
        look = model.look(SOURCES[number], TARGETS[number])
        assert look.weights.keys() == together[number].keys() == expected.keys()
        for kind, weights in expected.items():
            np.testing.assert_allclose(look.weights[kind], weights, rtol=0, atol=1e-5)
            np.testing.assert_allclose(together[number][kind], weights, rtol=0, atol=1e-5)
        log_probs = np.log(softmax(logits))[np.arange(len(written)), written]
        np.testing.assert_allclose(look.log_probs, log_probs, rtol=0, atol=1e-4)
