"""The page by keyboard, read aloud, in any script, in a narrow window, in colours of the system."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pages import HEBREW, SHORT, UNSEEN, look, measured, texts, until

pytestmark = pytest.mark.timeout(600)


def test_words_are_one_stop_and_the_skip_link_leads_to_the_view(open_page: Callable[..., Any]) -> None:
    made = look(HEBREW)
    page = open_page([made])
    focused = "document.activeElement.id || document.activeElement.firstChild.textContent"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "matrix"
    page.focus("#theme")
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == made.source.words[0]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(focused) == made.source.words[2], "to the left is on, in a line that runs to the left"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == made.target.words[0]
    page.keyboard.press("End")
    assert page.evaluate(focused) == "</s>"
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(focused) == made.target.words[-2]
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "back"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate(focused) == made.source.words[2], "where it was left"
    page.click("#back")
    page.focus("#time")
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    page.focus("#back")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate(focused) == made.target.words[1], "of the words that are said, for others are hidden"
    page.click("#tab-columns")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == made.source.words[0]


@pytest.mark.parametrize("tab", ["matrix", "columns", "grid", "table", "effects"])
def test_every_stop_has_a_name(open_page: Callable[..., Any], tab: str) -> None:
    made = look(SHORT)
    page = open_page([made], effects=[measured(made)])
    page.click(f"#tab-{tab}")
    boxes = page.locator("[tabindex='0']:not(button):visible")
    roles = boxes.evaluate_all("all => all.map(each => each.getAttribute('role'))")
    assert all(roles)
    named = "each => each.getAttribute('aria-label') || each.getAttribute('aria-labelledby')"
    assert all(boxes.evaluate_all(f"all => all.map({named})"))
    assert len(roles) == (tab in ("matrix", "table", "effects")), "what has buttons in it needs no stop of its own"


def test_the_slider_says_which_words_it_goes_over(open_page: Callable[..., Any]) -> None:
    page = open_page([look(SHORT)])
    for kind, label in (("encoder", "Word of the source"), ("decoder", "Word of the translation")):
        page.select_option("#kind", kind)
        until(lambda label=label: page.locator("#time").get_attribute("aria-label") == label)


def test_words_have_their_language(open_page: Callable[..., Any]) -> None:
    made = look(SHORT)
    page = open_page([replace(made, source_language="en", target_language="pt-BR")], effects=[measured(made)])
    assert page.locator("#source").get_attribute("lang") == "en"
    assert page.locator("#target").get_attribute("lang") == "pt-BR"
    page.click("#tab-columns")
    assert page.locator("#left").get_attribute("lang") == "pt-BR"
    page.click("#tab-table")
    assert page.locator("#table-box thead th").last.get_attribute("lang") == "en"
    page.click("#tab-effects")
    until(lambda: page.locator("#effects tbody th").first.get_attribute("lang") == "en")


def test_every_language_of_the_page_says_everything(open_page: Callable[..., Any]) -> None:
    page = open_page([look(SHORT)])
    offered = [each.get_attribute("value") for each in page.locator("#language option").all()]
    said = page.evaluate("""() => {
        const named = (texts) => Object.entries(texts).flatMap(([key, value]) => typeof value === "object"
            ? named(value).map((inner) => `${key}.${inner}`) : [`${key} ${typeof value}`]).sort();
        return Object.entries(TEXTS).map(([language, texts]) => [language, named(texts)]);
    }""")
    assert [language for language, _ in said] == offered
    assert all(keys == said[0][1] for _, keys in said)
    assert len(said[0][1]) > 80


def test_what_is_not_seen_is_shown_and_acts_on_nothing(open_page: Callable[..., Any]) -> None:
    made = look(UNSEEN)
    page = open_page([made, made], effects=[measured(made)] * 2)
    source = [r"a\u200bb", r"\u202eevil", r"\u200d", r"\u200f", r"x\u2066y"]
    target = [r"\ufeffz", r"q\xadr", "می\u200cخواهم"]  # a joiner of letters is of its word
    assert r"\u202eevil" in page.title()
    assert texts(page, "#source button")[:5] == source
    assert texts(page, "#target button")[1:4] == target
    assert page.locator("#index button").first.text_content().startswith(r"1. a\u200bb \u202eevil")
    page.click("#tab-table")
    assert texts(page, "#table-box thead th")[1:6] == source
    page.locator("#target button").nth(1).hover()
    acts = "document.body.innerText.match(/[\\u200b\\u202a-\\u202e\\ufeff\\u00ad]/)"
    assert page.evaluate(acts) is None


@pytest.mark.parametrize("texts_of", [UNSEEN, HEBREW])
def test_a_narrow_window_is_not_overflown(open_page: Callable[..., Any], texts_of: tuple[str, str]) -> None:
    made = look(texts_of)
    page = open_page([made], effects=[measured(made)])
    page.set_viewport_size({"width": 360, "height": 740})
    for tab in ("matrix", "columns", "grid", "table", "effects"):
        page.click(f"#tab-{tab}")
        page.locator("#target button").nth(1).hover()
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, tab


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_colours_of_the_system_leave_those_of_the_data(open_page: Callable[..., Any], colours: str) -> None:
    made = look(SHORT)
    # Without motion: a shade on its way, read at once, is none yet.
    page = open_page([made], effects=[measured(made)], colours=colours, forced="active", motion="reduce")
    pixels = """canvas => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return new Set(new Uint32Array(data.buffer)).size;
    }"""
    assert page.locator("#matrix").evaluate(pixels) > 30, "shades of the cells"
    page.focus("#target button >> nth=3")
    shades = page.eval_on_selector_all(
        "#source button", "all => all.map(each => getComputedStyle(each).backgroundColor)"
    )
    assert len(set(shades)) > 3
    outline = page.locator("#target button").nth(3).evaluate("each => getComputedStyle(each).outlineStyle")
    assert outline == "solid"
    page.click("#tab-columns")
    assert page.locator("#lines path").first.evaluate("each => getComputedStyle(each).stroke") not in ("none", "")
    page.click("#tab-effects")
    page.wait_for_selector("#effects tbody tr")
    bar, box = (
        page.locator(each).first.evaluate("each => getComputedStyle(each).backgroundColor")
        for each in ("#effects .attention i", "body")
    )
    assert bar != box
