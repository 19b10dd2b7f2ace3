"""Leave one out: what a source word is worth, against a computation by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import Command
from rich.cells import cell_len

pytest.importorskip("torch")

import torch
from papers import PAPERS, softmax
from tiny_model import SOURCES, TARGETS, make_folder

import regard
from regard.errors import InputError
from regard.evaluation.correlation import spearman
from regard.look.effects import Effects
from regard.look.page import write_page


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("effects") / "model")


def test_losses_are_differences_of_forced_scores(folder: Path) -> None:
    model = regard.load(folder)
    look = model.look(SOURCES[0], TARGETS[0])
    found = model.effects(look, layer=1, head=0)
    words = SOURCES[0].split()
    assert found.words == tuple(words)
    tokens = model.engine.tokens
    target = tokens.encode_target(TARGETS[0])

    def total(text: str) -> float:
        return sum(model.engine.score([tokens.encode_source(text)], [target])[0])

    for place in range(len(words)):
        without = " ".join(words[:place] + words[place + 1 :])
        assert found.effect[place] == pytest.approx(total(SOURCES[0]) - total(without), abs=1e-4)
    assert found.losses.shape == (len(look.target.words), len(words))
    np.testing.assert_allclose(found.weights, look.attention("cross", 1, 0)[:, :-1])
    np.testing.assert_allclose(found.attention, found.weights.mean(0))
    assert -1 <= found.rank_correlation <= 1
    assert found.rank_correlation == spearman(found.attention, found.effect)
    assert found.rank_correlations()[2] == spearman(found.weights[2], found.losses[2])


@pytest.mark.parametrize("arch", PAPERS)
def test_losses_are_those_of_captum_over_the_papers_equations(arch: str, tmp_path: Path) -> None:
    attr = pytest.importorskip("captum.attr")
    model = regard.load(make_folder(tmp_path / "model", arch))
    network, tokens = model.engine.model.double(), model.engine.tokens
    numbers = {name: each.detach().numpy() for name, each in network.named_parameters(remove_duplicate=False)}
    words, target = np.array(SOURCES[3].split()), tokens.encode_target(TARGETS[0])
    written = [*target, tokens.eos_id]

    def log_probs(present: torch.Tensor) -> torch.Tensor:
        """(1, target pieces), from the words that are present."""
        source = tokens.encode_source(" ".join(words[present[0].bool().numpy()]))
        _, logits = PAPERS[arch](numbers, network.config, source, [tokens.bos_id, *target])
        return torch.from_numpy(np.log(softmax(logits))[None, np.arange(len(written)), written])

    expected = attr.FeatureAblation(log_probs).attribute(torch.ones(1, len(words), dtype=torch.float64)).numpy()
    look = model.look(SOURCES[3], TARGETS[0])
    found = model.effects(look)
    assert found.words == tuple(words)
    for row, pieces in zip(found.losses, look.target.groups, strict=True):
        np.testing.assert_allclose(row, expected[list(pieces)].sum(axis=0), rtol=0, atol=1e-10)


def test_a_model_own_translation_is_scored_as_it_wrote_it(folder: Path) -> None:
    model = regard.load(folder)
    look = model.look(SOURCES[0])
    assert list(look.target_ids) == list(model.translate(SOURCES[0]).pieces[0])
    encoder = model.effects(look, "encoder")
    assert encoder.weights.shape == encoder.losses.shape == (len(look.target.words), len(SOURCES[0].split()))
    np.testing.assert_allclose(encoder.attention, look.attention("encoder")[:, :-1].mean(0), rtol=1e-6)
    with pytest.raises(InputError, match="effects are those of source words"):
        model.effects(look, "decoder")
    with pytest.raises(InputError, match="there is no layer 5"):
        model.effects(look, layer=4)


def test_spearman_by_hand() -> None:
    assert spearman([1, 2, 3, 4], [10, 20, 30, 1000]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    # Ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: covariance 4.5, variances 4.5 and 5.
    assert spearman([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    assert np.isnan(spearman([1], [2]))
    assert np.isnan(spearman([1, 1], [2, 3]))


def test_lines_stand_under_each_other_and_say_where_there_is_no_correlation() -> None:
    words = ("犬犬犬", "cafe\u0301", "\x07")
    values = np.array([[0.5, 0.3, 0.2]])
    lines = Effects(words, values, values, "cross", None, None).lines()
    assert len({cell_len(line) for line in lines[:4]}) == 1
    assert [line.split()[0] for line in lines[1:4]] == ["犬犬犬", "cafe\u0301", r"\x07"]
    assert "rank correlation of the two: 1.00. Attention says" in lines[-1]
    alone = Effects(words[:1], values[:, :1], values[:, :1], "cross", None, None).lines()
    assert alone[-1].startswith("no rank correlation of the two: there are too few words, or they are all alike. Att")
    assert "nan" not in "".join(alone)


def test_on_the_command_line(run: Command, folder: Path, tmp_path: Path) -> None:
    found = run("look", folder, SOURCES[0], "--effects")
    assert found.status == 0
    assert "rank correlation of the two: " in found.out
    assert "word" in found.out
    assert [line.split()[0] for line in found.lines if line.split()[:1] and line.split()[0] in SOURCES[0].split()]
    plain = json.loads(run("look", folder, SOURCES[0], "--effects", "--json").out)
    assert plain["effects"]["words"] == SOURCES[0].split()
    one = run("look", folder, "cat", "--effects", "--json").out
    assert json.loads(one, parse_constant=pytest.fail)["effects"]["rank_correlation"] is None, "NaN is no JSON"
    made = run("look", folder, *SOURCES[:2], "--effects", "--layer", 1, "--out", tmp_path / "x.html")
    assert (made.status, made.out, made.err) == (0, "", f"page: {tmp_path / 'x.html'}\n")
    model = regard.load(folder)
    write_page(
        [model.look(source) for source in SOURCES[:2]],
        tmp_path / "same.html",
        effects=[model.effects(model.look(source), layer=0) for source in SOURCES[:2]],
        layer=0,
    )
    assert (tmp_path / "x.html").read_bytes() == (tmp_path / "same.html").read_bytes()
