"""One sentence pair's weights: kinds, layers, heads, words; and their text form."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from rich.cells import cell_len

from regard.errors import InputError
from regard.look.page import write_page
from regard.look.terminal import matrix_lines, token_name
from regard.look.weights import Look
from regard.look.words import EMPTY, Line

SOURCE = Line(("▁the", "▁ca", "ts", "</s>"), ("the", "cats", "</s>"), ((0,), (1, 2), (3,)), (False, False, True))
TARGET = Line(("▁os", "▁ga", "tos", "</s>"), ("os", "gatos", "</s>"), ((0,), (1, 2), (3,)), (False, False, True))
READ = Line(("<s>", "▁os", "▁ga", "tos"), ("<s>", "os", "gatos"), ((0,), (1,), (2, 3)), (True, False, False))


def weights(layers: int, heads: int, rows: int, columns: int) -> np.ndarray:
    values = np.random.default_rng(0).random((layers, heads, rows, columns))
    return (values / values.sum(-1, keepdims=True)).astype(np.float32)


LOOK = Look(
    source_text="the cats",
    target_text="os gatos",
    source=SOURCE,
    target=TARGET,
    read=READ,
    weights={"cross": weights(3, 2, 4, 4), "encoder": weights(3, 2, 4, 4), "decoder": weights(3, 2, 4, 4)},
    log_probs=(-0.1, -0.2, -0.3, -0.4),
    model="mine",
)


def test_words_are_sums_over_columns_and_means_over_rows() -> None:
    pieces = LOOK.weights["cross"][1, 0]
    found = LOOK.attention("cross", layer=1, head=0)
    assert found.shape == (3, 3)
    assert found[1, 1] == pytest.approx((pieces[1, 1] + pieces[1, 2] + pieces[2, 1] + pieces[2, 2]) / 2)
    assert found[0, 1] == pytest.approx(pieces[0, 1] + pieces[0, 2])
    np.testing.assert_array_equal(LOOK.piece_attention("cross", 1, 0), pieces)


@pytest.mark.parametrize("kind", ["cross", "encoder", "decoder"])
@pytest.mark.parametrize("pieces", [True, False])
def test_rows_are_distributions_and_names_fit(kind: str, pieces: bool) -> None:
    for layer, head in ((None, None), (0, None), (-1, 1), (None, 0)):
        matrix = LOOK.matrix(kind, layer, head, pieces=pieces)
        np.testing.assert_allclose(matrix.weights.sum(-1), 1, atol=1e-6)
        assert matrix.weights.shape == (len(matrix.rows), len(matrix.columns))
        assert len(matrix.special_rows) == len(matrix.rows)
        assert len(matrix.special_columns) == len(matrix.columns)


def test_a_look_is_told_in_a_line() -> None:
    expected = "words: 2 source, 2 target; layers x heads: cross 3 x 2, encoder 3 x 2, decoder 3 x 2"
    assert repr(LOOK) == f"<Look: model 'mine'; {expected}>"
    bert = Look("the cats", "", SOURCE, EMPTY, EMPTY, {"encoder": weights(1, 1, 4, 4)}, ())
    assert repr(bert) == "<Look: model ''; words: 2 source; layers x heads: encoder 1 x 1>"


def test_a_notebook_shows_the_page(tmp_path: Path) -> None:
    look = replace(LOOK, model='the "best" </iframe>')
    write_page([look], tmp_path / "look.html")

    class Frames(HTMLParser):
        found: ClassVar[list[dict[str, str | None]]] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.found.append({"tag": tag, **dict(attrs)})

    Frames().feed(look._repr_html_())
    (frame,) = Frames.found
    assert (frame["tag"], frame["sandbox"]) == ("iframe", "allow-scripts"), "no cookie of the notebook is in its reach"
    assert frame["srcdoc"] == (tmp_path / "look.html").read_text(encoding="utf-8")
    assert frame["title"] == f"What {look.model} attends to"


def test_what_rows_and_columns_are() -> None:
    assert LOOK.matrix("cross").rows == LOOK.matrix("decoder").rows == ("os", "gatos", "</s>")
    assert LOOK.matrix("cross").columns == LOOK.matrix("encoder").rows == ("the", "cats", "</s>")
    assert LOOK.matrix("decoder").columns == ("<s>", "os", "gatos")
    assert LOOK.matrix("decoder", pieces=True).columns == READ.pieces


def test_means() -> None:
    np.testing.assert_allclose(LOOK.piece_attention("encoder"), LOOK.weights["encoder"].mean((0, 1)), rtol=1e-6)
    np.testing.assert_allclose(LOOK.piece_attention("encoder", 2), LOOK.weights["encoder"][2].mean(0), rtol=1e-6)
    np.testing.assert_array_equal(LOOK.piece_attention("encoder", -1, -1), LOOK.weights["encoder"][2, 1])


def test_titles_say_which() -> None:
    assert LOOK.matrix("cross", 0, 1).title == "encoder-decoder attention, layer 1 of 3, head 2 of 2"
    assert LOOK.matrix("encoder", -1).title == "encoder self-attention, layer 3 of 3, mean of heads"
    single = Look("a", "b", SOURCE, TARGET, READ, {"cross": weights(1, 1, 4, 4)}, ())
    assert single.matrix().title == "encoder-decoder attention"


def test_notes_say_what_rows_are() -> None:
    assert LOOK.matrix("encoder").note.startswith("A row is how much its source word takes from each source word. ")
    alone = Look("a", "", SOURCE, EMPTY, EMPTY, {"encoder": weights(1, 1, 4, 4)}, ())
    assert alone.matrix().note.startswith("A row is how much its word takes from each word. "), "it has no source"


def test_what_is_not_there_is_refused() -> None:
    single = Look("a", "b", SOURCE, TARGET, READ, {"cross": weights(1, 1, 4, 4)}, ())
    with pytest.raises(InputError, match="no attention of kind 'encoder'; it has: cross"):
        single.attention("encoder")
    one = Look("", "", SOURCE, TARGET, READ, {"cross": weights(1, 1, 4, 4)}, ())
    with pytest.raises(InputError, match="has 1 layer; there is no layer 3"):
        one.attention(layer=2)
    with pytest.raises(InputError, match="has 3 layers; there is no layer 4"):
        LOOK.attention("cross", 3)
    with pytest.raises(InputError, match="has 2 heads; there is no head -3"):
        LOOK.attention("cross", 0, -3)


def test_as_text() -> None:
    matrix = LOOK.matrix("cross", 0, 0)
    lines = matrix_lines(matrix, colours=False)
    assert lines[0] == matrix.title
    assert lines[-2:] == ["Numbers are hundredths; ·: below 5.", matrix.note]
    assert [line.split()[0] for line in lines[-6:-3]] == ["os", "gatos", "‹/s›"]
    shown = [int(text) for text in lines[-6].split()[1:] if text != "·"]
    expected = [round(100 * weight) for weight in matrix.weights[0].tolist()]
    assert shown == [weight for weight in expected if weight >= 5]
    heading = "\n".join(lines[1:-6])
    assert all(letter in heading for letter in "thecats‹›")


def test_a_weight_of_one_is_shown_as_it_is() -> None:
    one = np.zeros((1, 1, 4, 4), dtype=np.float32)
    one[..., 1] = 1
    lines = matrix_lines(Look("", "", SOURCE, TARGET, READ, {"cross": one}, ()).matrix(), colours=False)
    assert "100" in lines[-6]


def test_as_text_with_colours_and_little_room() -> None:
    matrix = LOOK.matrix("cross", 0, 0)
    lines = matrix_lines(matrix, width=14, colours=True)
    assert sum(line.startswith("   os ") for line in lines) == 2, "two blocks of two columns and one"
    assert "\x1b[48;2;" in "".join(lines)
    assert "".join(lines).count("\x1b[0m") == 9
    assert lines[-2] == "Numbers are hundredths; no number: below 5."


def test_wide_letters_keep_their_columns() -> None:
    wide = Line(("犬", "犬", "x", "</s>"), ("犬", "犬x", "</s>"), ((0,), (1, 2), (3,)), (False, False, True))
    look = Look("", "", wide, wide, READ, {"cross": weights(1, 1, 4, 4)}, ())
    lines = matrix_lines(look.matrix(), colours=False)
    assert len({cell_len(line) for line in lines[-6:-3]}) == 1
    assert lines[-6].index("犬") < 4, "a name stands before its cells"


def test_a_long_name_is_shortened_where_a_letter_ends() -> None:
    lines = of_words("Donaudampfschifffahrt", "x" * 18, "猫" * 10, "\U0001f1e9\U0001f1ea" * 10, "kitten")[-8:-3]
    names = [line.split()[0] for line in lines]
    assert names == ["Donaudampfschifff…", "x" * 18, "猫" * 8 + "…", "\U0001f1e9\U0001f1ea" * 8 + "…", "kitten"]
    assert len({cell_len(line) for line in lines}) == 1


def of_words(*words: str) -> list[str]:
    line = Line(words, words, tuple((place,) for place in range(len(words))), (False,) * len(words))
    look = Look("", "", line, EMPTY, EMPTY, {"encoder": weights(1, 1, len(words), len(words))}, ())
    return matrix_lines(look.matrix(), colours=False)


def test_headings_keep_marks_on_their_letters() -> None:
    headings = of_words("cafe\u0301", "हिन्दी", "\U0001f469\u200d\U0001f467")[2:-6]
    assert [heading.split() for heading in headings] == [
        ["c"],
        ["a", "हि"],
        ["f", "न्"],
        ["e\u0301", "दी", "\U0001f469\u200d\U0001f467"],
    ]
    longest = of_words("e\u0301" * 14, "e\u0301" * 15)[2:-5]
    assert len(longest) == 14
    assert longest[-1].split() == ["e\u0301", "…"]


def test_what_would_act_on_a_terminal_is_shown_escaped() -> None:
    found = "\n".join(of_words("a\x07\x1b[31m", "b\u202ec\u2028\x9b", "می\u200cخواهم", "שלום\u200f", "\U0001fae8"))
    assert not set(found) & set("\x07\x1b\u202e\u2028\x9b")
    assert r"a\x07\x1b[31m" in found
    assert r"b\u202ec" in found, "white space at its end is none of a word"
    assert "می\u200cخواهم" in found
    assert "שלום\u200f" in found
    assert "\U0001fae8" in found, "a sign newer than this Python"


@pytest.mark.parametrize(
    ("token", "name"),
    [
        ("a\u200bb", r"a\u200bb"),
        ("▁a\u00adb", r"a\xadb"),
        ("\ufeff", r"\ufeff"),
        ("\u200d\u200f", r"\u200d\u200f"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("▁", "␣"),
    ],
    ids=ascii,
)
def test_a_sign_that_hides_in_a_word_is_seen_in_its_name(token: str, name: str) -> None:
    assert token_name(token) == name
