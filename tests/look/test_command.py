"""`regard look` from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from command_line import Command
from tiny_model import SOURCES, TARGETS, make_folder

import regard


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("look") / "model")


def test_a_table_in_the_terminal(run: Command, model: Path) -> None:
    found = run("look", model, SOURCES[0], "--target", TARGETS[0])
    assert found.status == 0
    assert found.lines[:2] == [SOURCES[0], TARGETS[0]]
    assert "encoder-decoder attention, mean of layers, mean of heads" in found.lines
    assert "\x1b" not in found.out, "no colours where no terminal is"
    assert [line.split()[0] for line in found.lines[-8:-2]] == [*TARGETS[0].split(), "‹/s›"]
    assert run("look", model, "--target", TARGETS[0], stdin=f"\n{SOURCES[0]}\n").out == found.out


def test_json_is_what_python_gives(run: Command, model: Path) -> None:
    found = json.loads(run("look", model, SOURCES[0], "--kind", "decoder", "--layer", 2, "--head", -1, "--json").out)
    expected = regard.load(model).look(SOURCES[0])
    np.testing.assert_allclose(found["weights"], expected.attention("decoder", 1, 1), atol=1e-6)
    assert found["columns"] == list(expected.read.words)
    assert found["rows"] == list(expected.target.words)
    assert found["target"] == expected.target_text
    np.testing.assert_allclose(found["log_probs"], expected.log_probs)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_picture(run: Command, model: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"look{suffix}"
    found = run("look", model, SOURCES[0], "--pieces", "--out", out)
    assert (found.status, found.out) == (0, "")
    assert f"picture: {out}" in found.err
    assert out.stat().st_size > 1_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kind", "sideways"], "no attention of kind 'sideways'; it has: cross, encoder, decoder"),
        (["--layer", 3], "has 2 layers; there is no layer 3"),
        (["--head", -3], "has 2 heads; there is no head -3"),
        (["--layer", 0], "--layer and --head count from 1"),
        (["--out", "x.gif"], "must end in .png, .svg or .pdf"),
    ],
)
def test_mistakes(run: Command, model: Path, arguments: list[object], message: str) -> None:
    found = run("look", model, SOURCES[0], *arguments)
    assert (found.status, found.out) == (2, "")
    assert message in found.err
    assert found.err.count("\n") == 1


@pytest.mark.parametrize("stdin", ["", "a\nb\n"])
def test_one_sentence_is_looked_at(run: Command, model: Path, stdin: str) -> None:
    found = run("look", model, stdin=stdin)
    assert found.status == 2
    assert "one sentence is looked at; standard input has" in found.err


def test_the_rnn_says_why_it_has_none(run: Command, tmp_path: Path) -> None:
    found = run("look", make_folder(tmp_path / "rnn", "rnn"), SOURCES[0])
    assert found.status == 2
    assert "has no attention to its source: what it knows of the sentence went through one state" in found.err
