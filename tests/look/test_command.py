"""`regard look` from the command line."""

import json
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from command_line import Command
from tiny_model import SOURCES, TARGETS, make_folder

import regard


def test_a_table_in_the_terminal(run: Command, model: Path) -> None:
    found = run("look", model, SOURCES[0], "--target", TARGETS[0])
    assert found.status == 0
    assert found.lines[:2] == [SOURCES[0], TARGETS[0]]
    assert "encoder-decoder attention, mean of layers, mean of heads" in found.lines
    assert "\x1b" not in found.out, "no colours where no terminal is"
    assert [line.split()[0] for line in found.lines[-9:-3]] == [*TARGETS[0].split(), "‹/s›"]
    assert run("look", model, "--target", TARGETS[0], stdin=f"\n{SOURCES[0]}\n").out == found.out


def test_what_would_act_on_the_terminal_is_shown_escaped(run: Command, model: Path) -> None:
    found = run("look", model, "the \x07cat \x1b[31m \u202esleeps", "--effects")
    assert found.status == 0
    assert not set(found.out) & set("\x07\x1b\u202e")
    assert found.lines[0] == r"the \x07cat \x1b[31m \u202esleeps"


def test_json_is_what_python_gives(run: Command, model: Path) -> None:
    found = json.loads(run("look", model, SOURCES[0], "--kind", "decoder", "--layer", 2, "--head", -1, "--json").out)
    expected = regard.load(model).look(SOURCES[0])
    np.testing.assert_allclose(found["weights"], expected.attention("decoder", 1, 1), atol=1e-6)
    assert found["columns"] == list(expected.read.words)
    assert found["rows"] == list(expected.target.words)
    assert found["target"] == expected.target_text
    np.testing.assert_allclose(found["log_probs"], expected.log_probs)
    assert found["log_probs_unit"] == "nats"
    assert len(found["log_probs"]) == len(found["target_pieces"]) == len(expected.target.pieces)


def test_json_says_which_pieces_make_a_word(run: Command, model: Path) -> None:
    found = json.loads(run("look", model, SOURCES[0], "--json").out)
    expected = regard.load(model).look(SOURCES[0])
    for side, line in (("row_pieces", expected.target), ("column_pieces", expected.source)):
        assert found[side] == {
            "pieces": list(line.pieces),
            "groups": [list(group) for group in line.groups],
            "special": [*[False] * (len(line.words) - 1), True],
        }
    found = json.loads(run("look", model, SOURCES[0], "--json", "--pieces").out)
    assert found["column_pieces"]["groups"] == [[piece] for piece in range(len(found["columns"]))]
    assert found["column_pieces"]["special"] == list(expected.source.special_pieces)
    assert found["column_pieces"]["pieces"] == found["columns"]


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_picture(run: Command, model: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"look{suffix}"
    found = run("look", model, SOURCES[0], "--pieces", "--out", out)
    assert (found.status, found.out) == (0, "")
    assert f"picture: {out}" in found.err
    assert out.stat().st_size > 1_000


def test_a_picture_is_xml_whatever_the_text_holds(run: Command, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.svg"
    found = run("look", model, "a \x1b[31mred", "--target", "x \x07", "--out", out)
    assert found.status == 0
    assert "no installed font" not in found.err
    xml.etree.ElementTree.parse(out)


def test_a_picture_names_what_no_font_has(run: Command, model: Path, tmp_path: Path) -> None:
    found = run("look", model, "the \U0010fffd cat", "--out", tmp_path / "look.png")
    assert (found.status, found.out) == (0, "")
    assert found.err.startswith(f"{tmp_path / 'look.png'}: no installed font has U+10FFFD; frames stand for them. Inst")
    assert found.err.count("\n") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kind", "sideways"], "no attention of kind 'sideways'; it has: cross, encoder, decoder"),
        (["--layer", 3], "has 2 layers; there is no layer 3"),
        (["--head", -3], "has 2 heads; there is no head -3"),
        (["--layer", 0], "--layer and --head count from 1"),
        (["--out", "x.gif"], "x.gif: a picture's name must end in .png, .svg or .pdf, a page's in .html."),
        (["--out", "x.gif", "--positions"], "x.gif: a picture's name must end in .png, .svg or .pdf.\n"),
    ],
)
def test_mistakes(run: Command, model: Path, arguments: list[object], message: str) -> None:
    found = run("look", model, SOURCES[0], *arguments)
    assert (found.status, found.out) == (2, "")
    assert message in found.err
    assert found.err.count("\n") == 1


def test_a_page_of_one_sentence_or_several(run: Command, model: Path, tmp_path: Path) -> None:
    found = run("look", model, SOURCES[0], "--target", TARGETS[0], "--out", tmp_path / "one.html")
    assert (found.status, found.out) == (0, "")
    assert found.err == f"page: {tmp_path / 'one.html'}\n"
    assert run("look", model, "--out", tmp_path / "many.html", stdin="\n".join(SOURCES)).status == 0
    assert run("look", model, *SOURCES, "--out", tmp_path / "same.html").status == 0
    assert (tmp_path / "many.html").read_bytes() == (tmp_path / "same.html").read_bytes()
    too_long = run("look", model, "--out", tmp_path / "x.html", stdin=f"{SOURCES[0]}\n\n{'word ' * 90}\n")
    assert (too_long.status, (tmp_path / "x.html").exists()) == (2, False)
    assert "sentence 2 of 2, 'word word" in too_long.err
    (tmp_path / "folder.html").mkdir()
    assert "is a folder. Name a file for the page" in run("look", model, "a", "--out", tmp_path / "folder.html").err
    assert all(source in (tmp_path / "many.html").read_text(encoding="utf-8") for source in SOURCES)


@pytest.mark.parametrize(
    ("stdin", "arguments"),
    [("", []), ("a\nb\n", []), ("a\nb\n", ["--out", "x.png"]), ("a\nb\n", ["--out", "x.html", "--target", "c"])],
)
def test_several_sentences_need_a_page(run: Command, model: Path, stdin: str, arguments: list[str]) -> None:
    found = run("look", model, *arguments, stdin=stdin)
    assert found.status == 2
    assert "sentences. One is looked at, or several in a page (--out look.html) without --target" in found.err


def test_a_file_is_no_sentence_and_nothing_no_translation(run: Command, model: Path, tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("\n".join(SOURCES), encoding="utf-8")
    found = run("look", model, tmp_path / "lines.txt")
    assert (found.status, found.out) == (2, "")
    assert "lines.txt: is a file. Give its lines as standard input: < " in found.err
    found = run("look", model, SOURCES[0], "--target", "")
    assert (found.status, found.out) == (2, "")
    assert "--target is empty." in found.err
    assert run("look", model, "x" * 5_000).status == 2, "a long text is no name either"


def test_the_rnn_says_why_it_has_none(run: Command, tmp_path: Path) -> None:
    found = run("look", make_folder(tmp_path / "rnn", "rnn"), SOURCES[0])
    assert found.status == 2
    assert "has no attention to its source: what it knows of the sentence went through one state" in found.err
