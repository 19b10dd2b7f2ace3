"""What a model knows of position: vectors as the model has them, similarities by hand, a picture."""

from pathlib import Path

import numpy as np
import pytest
from command_line import Command

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from matplotlib.figure import Figure
from tiny_model import make_encoder_folder, make_folder

import regard
from regard.errors import ModelError
from regard.look.positions import PositionVectors, by_distance, draw_positions, similarity


def test_similarity_is_the_cosine() -> None:
    vectors = np.array([[3.0, 0], [0, 2], [1, 1], [0, 0]])
    half = np.sqrt(0.5)
    expected = [[1, 0, half, 0], [0, 1, half, 0], [half, half, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(similarity(vectors), expected, atol=1e-12)


def test_by_distance_by_hand() -> None:
    random = np.random.default_rng(0)
    positions, tokens = random.normal(size=(6, 8)), random.normal(size=(3, 8))
    found = by_distance(PositionVectors("trainable", positions, tokens, positions))

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    places = [(place, place + 2) for place in range(4)]
    alone = np.mean([cosine(positions[i], positions[j]) for i, j in places])
    one = np.mean([cosine(token + positions[i], token + positions[j]) for token in tokens for i, j in places])
    two = np.mean([cosine(tokens[k] + positions[i], tokens[k - 1] + positions[j]) for k in range(3) for i, j in places])
    assert [found[name][2] for name in ("positions alone", "one word", "two words")] == pytest.approx([alone, one, two])
    assert found["positions alone"][0] == found["one word"][0] == pytest.approx(1)


@pytest.mark.parametrize("kind", ["sinusoidal", "trainable"])
def test_the_models_own_vectors(tmp_path: Path, kind: str) -> None:
    model = regard.load(make_folder(tmp_path / kind, positions=kind))
    found = model.positions()
    assert list(found) == (["source and target"] if kind == "sinusoidal" else ["source", "target"])
    for side, vectors in found.items():
        assert (vectors.kind, vectors.vectors.shape) == (kind, (48, 16))
        assert np.array_equal(vectors.vectors, vectors.sinusoidal) == (kind == "sinusoidal")
        network = model.engine.model
        np.testing.assert_allclose(vectors.tokens, network.source_embedding.weight.detach().numpy() * 4, rtol=1e-6)
        if kind == "trainable":
            np.testing.assert_array_equal(
                vectors.vectors, getattr(network, f"{side}_positions").weight.detach().numpy()
            )


@pytest.mark.parametrize("arch", ["bert", "distilbert", "bigbird"])
def test_an_encoders_vectors(tmp_path: Path, arch: str) -> None:
    model = regard.load(
        make_encoder_folder(tmp_path / "model", arch=arch, scaled_embeddings=True)
        if arch == "bigbird"
        else make_encoder_folder(tmp_path / "model", arch=arch)
    )
    found = model.positions()
    assert list(found) == ["text"]
    network = model.engine.model.encoder
    tokens = network.embedding.weight * (4 if arch == "bigbird" else 1)  # the root of its 16 numbers
    if arch != "distilbert":
        tokens = tokens + network.type_embedding.weight[0]
    np.testing.assert_array_equal(found["text"].vectors, network.positions.weight.detach().numpy())
    np.testing.assert_allclose(found["text"].tokens, tokens.detach().numpy(), rtol=0, atol=1e-5)
    assert (found["text"].kind, found["text"].sinusoidal.shape) == ("trainable", (43, 16))


@pytest.mark.parametrize(("arch", "settings"), [("rnnsearch", {}), ("transformer", {"positions": "none"})])
def test_a_model_without_positions_says_so(tmp_path: Path, arch: str, settings: dict[str, str]) -> None:
    with pytest.raises(ModelError, match=f"^{arch}: a model of type .* has no position vectors. Take one"):
        regard.load(make_folder(tmp_path / arch, arch, **settings)).positions()


def test_the_names_of_curves_lie_on_none(tmp_path: Path, figures: list[Figure]) -> None:
    vectors = np.random.default_rng(0).normal(size=(64, 8))
    sides = {side: PositionVectors("trainable", vectors, vectors, vectors) for side in ("source", "target")}
    draw_positions(sides, tmp_path / "a.png", title="mine")
    figures[0].draw_without_rendering()
    curves = [axes for axes in figures[0].axes if axes.get_legend()]
    assert len(curves) == 2
    for axes in curves:
        assert not axes.get_legend().get_window_extent().overlaps(axes.get_window_extent())


def test_a_picture(run: Command, tmp_path: Path) -> None:
    model = make_folder(tmp_path / "model", positions="trainable")
    out = tmp_path / "positions.png"
    found = run("look", model, "--positions", "--out", out)
    assert (found.status, found.out) == (0, "")
    assert out.stat().st_size > 10_000
    encoder = make_encoder_folder(tmp_path / "encoder")
    assert run("look", encoder, "--positions", "--out", tmp_path / "encoder.png").status == 0
    for arguments in (["--positions"], ["text", "--positions", "--out", out]):
        refused = run("look", model, *arguments)
        assert refused.status == 2
        assert "--positions takes no TEXT, and a picture as --out" in refused.err
