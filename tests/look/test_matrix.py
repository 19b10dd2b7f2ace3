"""Attention matrices become files, for any script and any token, and the same weights become the same file."""

import errno
import re
import warnings
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regard.errors import InputError, MissingDependencyError, ShapeError, StorageError

pytest.importorskip("matplotlib")

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.t2CharStringPen import T2CharStringPen
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager, get_font

from regard.look import style
from regard.look.matrix import draw_matrix

SOURCE, TARGET = ["The", "cat", "sleeps", "."], ["O", "gato", "dorme"]
SIGNATURES = {".png": b"\x89PNG\r\n", ".svg": b"<?xml", ".pdf": b"%PDF", ".PNG": b"\x89PNG\r\n"}


def weights_of(rows: int, columns: int) -> np.ndarray:
    raw = np.random.default_rng(0).random((rows, columns)) ** 4 + np.eye(rows, columns)
    return raw / raw.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("suffix", SIGNATURES)
def test_the_suffix_chooses_the_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "new" / f"picture{suffix}"
    draw_matrix(weights_of(3, 4), SOURCE, TARGET, path, title="title", note="note")
    assert path.read_bytes().startswith(SIGNATURES[suffix])
    assert [other.name for other in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["picture", "picture.txt", "picture.svgz"])
def test_another_suffix_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"must end in \.png, \.svg or \.pdf"):
        draw_matrix(weights_of(3, 4), SOURCE, TARGET, tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_the_same_weights_give_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    paths = [tmp_path / f"{number}{suffix}" for number in range(2)]
    for path in paths:
        draw_matrix(weights_of(3, 4), SOURCE, TARGET, path, title="title", note="note")
    assert paths[0].read_bytes() == paths[1].read_bytes()
    draw_matrix(weights_of(3, 4)[:, ::-1], SOURCE, TARGET, paths[1], title="title", note="note")
    assert paths[0].read_bytes() != paths[1].read_bytes()


def test_every_weight_stands_in_its_cell(tmp_path: Path, figures: list[Figure]) -> None:
    weights = weights_of(3, 4)
    draw_matrix(weights, ["▁The", "▁cat", "s", "</s>"], TARGET, tmp_path / "a.png", title="layer 1", note="small print")
    axes = figures[0].axes[0]
    np.testing.assert_array_equal(np.asarray(axes.images[0].get_array()), weights)
    assert axes.images[0].get_clim() == (0, 1)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["The", "cat", "s", "</s>"]
    assert [label.get_text() for label in axes.get_yticklabels()] == TARGET
    assert list(axes.get_xticks()) == [0, 1, 2, 3]
    assert axes.get_ylim() == (2.5, -0.5)  # the first target word is on top
    assert figures[0].get_suptitle() == "layer 1"
    assert figures[0].get_supxlabel() == "small print"


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4, 3), r"weights \(4, 3\) do not fit 3 target and 4 source tokens"),
        ((1, 3, 4), r"weights \(1, 3, 4\) do not fit 3 target and 4 source tokens"),
    ],
)
def test_weights_that_do_not_fit_their_names_are_refused(tmp_path: Path, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        draw_matrix(np.zeros(shape), SOURCE, TARGET, tmp_path / "a.png")


def test_nothing_is_not_drawn(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="there are no weights to draw"):
        draw_matrix(np.zeros((3, 0)), [], TARGET, tmp_path / "a.png")


@pytest.mark.parametrize(
    "tokens",
    [
        ["السلام", "عليكم", "שלום", "我", "喜欢猫", "猫が好き", "나는", "नमस्ते", "ไทย", "አማርኛ"],
        ["$x$", "$\\foo$", "a_b^c", "{%}\\", "\u200f", "\x07", "🙂", "e\u0301", "▁", ""],  # mathtext, were it parsed
    ],
    ids=["scripts", "signs"],
)
def test_any_script_and_any_sign_can_be_drawn(tmp_path: Path, tokens: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_matrix(weights_of(10, 10), tokens, tokens[::-1], tmp_path / "a.png", title=tokens[0], note=tokens[1])
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_a_font_that_is_not_installed_is_not_asked_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    draw_matrix(weights_of(1, 1), ["猫"], ["gato"], tmp_path / "a.png")
    assert not [record.getMessage() for record in caplog.records if "findfont" in record.getMessage()]
    assert style.FONT in fontManager.get_font_names()


def test_a_font_installed_since_matplotlib_listed_them_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fonts = {font.name: font for font in reversed(fontManager.ttflist) if font.name in ("DejaVu Sans", "STIXGeneral")}
    has = {name: get_font(font.fname).get_charmap().keys() for name, font in fonts.items()}
    new = chr(max(has["STIXGeneral"] - has["DejaVu Sans"]))
    monkeypatch.setattr(fontManager, "ttflist", [font for font in fontManager.ttflist if font.name == "DejaVu Sans"])
    monkeypatch.setattr(style, "NOTO", ("STIX",))
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    path = tmp_path / "a.png"
    assert draw_matrix(weights_of(1, 2), [new, "x"], ["y"], path) == {new}
    framed = path.read_bytes()
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [fonts["STIXGeneral"].fname, str(tmp_path / "no.ttf")])
    assert draw_matrix(weights_of(1, 2), [new, "x"], ["y"], path, title=new) == set()
    assert path.read_bytes() != framed
    assert not [record.getMessage() for record in caplog.records if "findfont" in record.getMessage()]


def test_a_pdf_has_no_type_3_fonts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.pdf"
    draw_matrix(weights_of(3, 4), SOURCE, TARGET, path, title="title", note="note")
    assert b"/FontFile2" in path.read_bytes()
    assert b"/Type3" not in path.read_bytes()
    # matplotlib embeds a font of PostScript outlines as if it were TrueType: its letters are drawn, not embedded.
    monkeypatch.setattr(fontManager, "ttflist", list(fontManager.ttflist))
    monkeypatch.setattr(style, "NOTO", ("Outlined",))
    font = postscript_font(tmp_path / "outlined.otf", "\U0010fffd")
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(font)])
    assert draw_matrix(weights_of(1, 2), ["\U0010fffd", "x"], ["y"], path, title="\U0010fffd title") == set()
    assert b"/FontFile2" in path.read_bytes(), "x and y are letters still"
    assert not {b"/Type3", b"Outlined"} & set(re.findall(rb"/Type3|Outlined", path.read_bytes()))


def postscript_font(path: Path, character: str) -> Path:
    """A font whose only letter is a square, with PostScript outlines."""
    pen = T2CharStringPen(600, None)
    for corner, draw in zip(((0, 0), (0, 600), (500, 600), (500, 0)), (pen.moveTo, *[pen.lineTo] * 3), strict=True):
        draw(corner)
    pen.closePath()
    font = FontBuilder(1000, isTTF=False)
    font.setupGlyphOrder([".notdef", "square"])
    font.setupCharacterMap({ord(character): "square"})
    outline = pen.getCharString()
    font.setupCFF("Outlined", {}, {".notdef": outline, "square": outline}, {})
    font.setupHorizontalMetrics({".notdef": (600, 0), "square": (600, 0)})
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": "Outlined", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(path)
    return path


def test_what_no_font_has_is_named_with_its_script() -> None:
    found = style.missing_line(Path("a.png"), {*"नमस", *"我", "\U0010fffd", "\u0007"})
    assert found.startswith("a.png: no installed font has U+0007 U+10FFFD, Devanagari (न म स), CJK (我); frames stand ")
    assert "emoji" not in found
    assert (
        "fonts-noto-cjk; for emoji fonts-symbola) and draw it again. A picture has emoji without colour, a page "
        in (style.missing_line(Path("a.png"), {"\U0001f984"}))
    )
    assert "(अ आ इ ई उ ऊ ऋ ऌ …)" in style.missing_line(Path("a.png"), set("अआइईउऊऋऌऍऎ"))


def test_a_long_token_is_shortened_and_a_long_title_wrapped(tmp_path: Path, figures: list[Figure]) -> None:
    title = "A title that goes on and on " * 4
    draw_matrix(
        weights_of(1, 2), ["Donau" + "dampfschiff" * 9, "x"], ["y"], tmp_path / "a.png", title=title, note=title
    )
    label = figures[0].axes[0].get_xticklabels()[0].get_text()
    assert label == "Donaudampfschiffdampfsc…"
    assert len(label) == 24
    assert figures[0].get_suptitle().replace("\n", " ") == title.strip()
    figures[0].draw_without_rendering()
    renderer_width = figures[0].get_figwidth() * figures[0].dpi
    for text in figures[0].texts:
        assert text.get_window_extent().x1 <= renderer_width, "nothing is cut off at the right"


def test_a_token_is_not_cut_within_a_letter(tmp_path: Path, figures: list[Figure]) -> None:
    flag = "\U0001f1e9\U0001f1ea"
    draw_matrix(weights_of(1, 2), [f"x{flag * 30}", flag * 24], ["y"], tmp_path / "a.png")
    labels = [label.get_text() for label in figures[0].axes[0].get_xticklabels()]
    assert labels == [f"x{flag * 22}…", flag * 24]


def test_sixty_by_sixty_stays_legible(tmp_path: Path, figures: list[Figure]) -> None:
    words = [f"word{number}" for number in range(60)]
    draw_matrix(weights_of(60, 60), words, words, tmp_path / "a.png")
    figure = figures[0]
    figure.draw_without_rendering()
    rows = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert all(above.y0 > below.y1 for above, below in pairwise(rows)), "no label touches the next"
    assert figure.axes[0].get_yticklabels()[0].get_fontsize() == 10


def test_more_tokens_get_smaller_cells(tmp_path: Path, figures: list[Figure]) -> None:
    words = [f"w{number}" for number in range(110)]
    draw_matrix(weights_of(110, 110), words, words, tmp_path / "a.png")
    assert max(figures[0].get_size_inches()) < 32
    assert 6 < figures[0].axes[0].get_yticklabels()[0].get_fontsize() < 8


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/a\.png: cannot be written \(.+\)\."):
        draw_matrix(weights_of(3, 4), SOURCE, TARGET, tmp_path / "file" / "a.png")


@pytest.mark.parametrize("name", ["a.png", "a.svg", "a.pdf"])
def test_a_disk_that_fills_up_leaves_the_picture_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / name
    path.write_text("the one before")
    save = Figure.savefig

    def cut_short(self: Figure, file: Path, **options: Any) -> None:
        save(self, file, **options)
        Path(file).write_bytes(Path(file).read_bytes()[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", cut_short)
    with pytest.raises(StorageError, match=rf"{name}: cannot be written \(No space left on device\)\. The old file is"):
        draw_matrix(weights_of(3, 4), SOURCE, TARGET, path)
    assert path.read_text() == "the one before"
    assert list(tmp_path.iterdir()) == [path]


def test_without_matplotlib_the_message_is_the_install_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(
        MissingDependencyError, match=r"needs matplotlib\. Install it with: pip install 'regard\[plot\]'"
    ):
        draw_matrix(weights_of(3, 4), SOURCE, TARGET, tmp_path / "a.png")


def test_settings_of_other_pictures_are_left_alone(tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw_matrix(weights_of(3, 4), SOURCE, TARGET, tmp_path / "a.svg")
    assert dict(matplotlib.rcParams) == before
    ElementTree.parse(tmp_path / "a.svg")
