"""Digits on coloured cells can be read: a contrast of 4.5 or more, as WCAG asks of text."""

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regard.look.contrast import contrast, ink_on
from regard.look.terminal import matrix_lines
from regard.look.weights import Matrix


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [("000000", "ffffff", 21.0), ("767676", "ffffff", 4.54), ("ff0000", "ffffff", 4.00), ("0969da", "0969da", 1.0)],
)
def test_contrast_is_wcags(first: str, second: str, expected: float) -> None:
    def colour(digits: str) -> list[float]:
        return [part / 255 for part in bytes.fromhex(digits)]

    assert contrast(colour(first), colour(second)) == pytest.approx(expected, abs=0.005)
    assert contrast(colour(second), colour(first)) == contrast(colour(first), colour(second))


def test_some_ink_can_be_read_on_every_colour() -> None:
    parts = np.linspace(0, 1, 18)
    worst = min(contrast(ink_on(colour), colour) for colour in itertools.product(parts, repeat=3))
    assert worst >= 4.5


def test_every_digit_in_the_terminal_can_be_read() -> None:
    weights = np.linspace(0, 1, 101)[:, None]
    names = ("word",) * 101
    lines = matrix_lines(Matrix(weights, names, ("x",), (False,) * 101, (False,), "", ""))
    cells = [re.findall(r"[34]8;2;(\d+);(\d+);(\d+)m", line) for line in lines]
    colours = [[[int(part) / 255 for part in colour] for colour in cell] for cell in cells if cell]
    assert len(colours) == 101
    assert min(contrast(paper, ink) for paper, ink in colours) >= 4.5


def test_every_digit_of_a_map_of_heads_can_be_read(tmp_path: Path, figures: list[Any]) -> None:
    from regard.look.roles import draw_roles

    values = np.linspace(0, 1, 60).reshape(6, 10)
    draw_roles({"share": values, "words": values * 7}, tmp_path / "a.png")
    for axes in figures[0].axes:
        image = axes.images[0]
        papers = image.cmap(image.norm(image.get_array())).reshape(-1, 4)
        shown = list(zip([text.get_color() for text in axes.texts], papers, strict=True))
        assert len(shown) == 60
        assert min(contrast(ink, paper[:3]) for ink, paper in shown) >= 4.5
