"""The page printed, and the lines of the two columns, which must meet their words there too."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pages import SHORT, line, lines, look, measured, plain, until

from regard.look.words import EMPTY

pytestmark = pytest.mark.timeout(600)


def test_print_shows_the_whole_translation(open_page: Callable[..., Any]) -> None:
    page = open_page([look(SHORT)])
    page.click("#forward")
    page.emulate_media(media="print")
    assert page.locator("#target button").last.is_visible()
    assert not page.locator("#play").is_visible()
    page.emulate_media(color_scheme="dark")
    until(lambda: page.locator("html").get_attribute("data-theme") == "dark")
    for event, theme in (("beforeprint", "light"), ("afterprint", "dark")):  # paper is white
        page.evaluate(f"dispatchEvent(new Event('{event}'))")
        assert page.locator("html").get_attribute("data-theme") == theme


LINES_MEET_WORDS = """() => {
    const frame = document.getElementById("lines").getBoundingClientRect(), off = [];
    for (const [side, edge] of [["left", "right"], ["right", "left"]]) {
      const items = [...document.getElementById(side).children];
      items.forEach((item, i) => {
        const box = item.firstChild.getBoundingClientRect();
        off.push(Math.abs(box.top + box.height / 2 - frame.top - frame.height * (i + 0.5) / items.length));
        off.push(Math.abs(box[edge] - frame[side]));
      });
    }
    return Math.max(...off);
}"""


@pytest.mark.parametrize("count", [12, 40, 2_600], ids=lambda count: f"{count} words")
def test_lines_meet_their_words_on_a_screen_and_on_paper(open_page: Callable[..., Any], count: int) -> None:
    source, target = (line(" ".join(f"{letter}{number}" for number in range(count))) for letter in "wp")
    weights = np.eye(count + 2, dtype=np.float32)[None, None]  # as many lines as words
    made = replace(
        look(SHORT),
        source=source,
        target=target,
        read=EMPTY,
        weights={"cross": weights},
        log_probs=(0.0,) * (count + 2),
    )
    page = open_page([made])
    page.set_default_timeout(120_000)
    page.click("#tab-columns")
    assert lines(page) == count + 1
    assert page.evaluate(LINES_MEET_WORDS) < 2
    page.set_viewport_size({"width": 718, "height": 1047})  # A4, less its margins
    page.emulate_media(media="print")
    assert page.evaluate(LINES_MEET_WORDS) < 2
    if count < 100:
        assert page.locator("#columns-box").bounding_box()["height"] < 1000, "it fits on one page"


def test_a_printed_table_is_not_wider_than_the_paper(open_page: Callable[..., Any]) -> None:
    made = look((" ".join(f"tremendous{number}" for number in range(34)), SHORT[1]), layers=1, heads=1)
    page = open_page([made], colours="dark")
    page.click("#tab-table")
    page.set_viewport_size({"width": 718, "height": 1047})
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    widths = page.eval_on_selector_all("#table-box table", "all => all.map(each => each.offsetWidth)")
    assert len(widths) > 3
    assert max(widths) <= 718
    heads = page.eval_on_selector_all(
        "#table-box table",
        "all => all.map(each => [...each.tHead.rows[0].cells].slice(1).map(cell => cell.textContent))",
    )
    assert [word for block in heads for word in block] == list(made.source.words)
    cells = "row => [...row.cells].slice(1).map(cell => Number(cell.textContent))"
    values = page.eval_on_selector_all(
        "#table-box table", f"all => all.map(each => [...each.tBodies[0].rows].map({cells}))"
    )
    np.testing.assert_allclose(np.concatenate(values, axis=1), made.attention("cross"), atol=0.011)
    assert page.locator("caption").last.text_content().endswith("–35 of 35")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("#table-box table").count() == 1


def test_what_is_printed_says_what_it_shows_in_its_colours(open_page: Callable[..., Any]) -> None:
    made = look(SHORT)
    page = open_page([made], effects=[measured(made)], layer=0, head=1)
    page.locator("#target button").nth(2).hover()
    assert not page.locator("#shown").is_visible(), "the choices say it"
    page.emulate_media(media="print")
    assert page.locator("#shown").text_content() == "Matrix — encoder-decoder, Layer 1 of 2, Head 2 of 3, words"
    assert page.locator("#shown").is_visible()
    assert page.locator("#said").is_visible()
    for selector in ("#target button >> nth=2", "#meter-dot", "#key-shades"):
        style = page.locator(selector).evaluate("each => getComputedStyle(each).printColorAdjust")
        assert style == "exact", selector
    page.emulate_media(media="screen")
    page.click("#tab-effects")
    page.select_option("#effect-on", "2")
    until(lambda: plain(page.locator("#shown").text_content()).endswith(f"Effect on: {made.target.words[2]}"))
