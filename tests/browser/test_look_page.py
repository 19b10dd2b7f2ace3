"""The page of `regard look` in a real browser with the network dead: every view, the keyboard, two languages, axe."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import HEBREW, LONG, SHORT, lines, look, measured, plain, seconds_a_word, texts, until

from regard.look.words import EMPTY

pytestmark = pytest.mark.timeout(600)


def test_the_numbers_are_the_weights(open_page: Callable[..., Any]) -> None:
    made = look(SHORT)
    page = open_page([made], kind="cross", layer=1, head=2)
    page.click("#tab-table")
    assert texts(page, "thead th") == ["", *made.source.words]
    assert texts(page, "tbody th") == list(made.target.words)
    shown = np.array([float(text) for text in texts(page, "tbody td")]).reshape(len(made.target.words), -1)
    np.testing.assert_allclose(shown, made.attention("cross", 1, 2), atol=0.011)
    for kind, layer, head, unit, caption in (
        ("encoder", 0, 1, "words", "encoder, to itself, layer 1 of 2, head 2 of 3, words"),
        ("decoder", 1, None, "words", "decoder, to itself, layer 2 of 2, head: mean of all, words"),
        ("cross", None, 0, "pieces", "encoder-decoder, layer: mean of all, head 1 of 3, sub-word pieces"),
    ):
        page.select_option("#kind", kind)
        page.select_option("#layer", index=0 if layer is None else layer + 1)
        page.select_option("#head", index=0 if head is None else head + 1)
        page.select_option("#unit", unit)
        until(lambda caption=caption: page.locator("caption").text_content().lower() == caption)
        matrix = made.matrix(kind, layer, head, pieces=unit == "pieces")
        shown = np.array([float(text) for text in texts(page, "tbody td")]).reshape(matrix.weights.shape)
        np.testing.assert_allclose(shown, matrix.weights, atol=0.011)


def test_pointing_at_a_word_shows_what_it_attends_to(open_page: Callable[..., Any]) -> None:
    made = look(SHORT)
    page = open_page([made], layer=0, head=0)
    weights = made.attention("cross", 0, 0)
    page.locator("#target button").nth(3).hover()
    heaviest = made.source.words[int(weights[3].argmax())]
    assert (
        page.locator("#said")
        .text_content()
        .replace("\u2068", "")
        .replace("\u2069", "")
        .startswith(f"{made.target.words[3]} attends to {heaviest} ")
    )
    tinted = page.eval_on_selector_all("#source button", "all => all.map(each => each.style.backgroundColor !== '')")
    assert tinted[int(weights[3].argmax())]
    assert not all(tinted)
    page.locator("#source button").nth(2).hover()
    assert page.locator('#source button[aria-pressed="true"]').count() == 1
    order = np.argsort(-weights[:, 2])[:3]
    most = plain(page.locator("#said").text_content())
    assert most.startswith(f"{made.source.words[2]} is attended to most by {made.target.words[order[0]]} ")
    assert [float(part.split()[-1]) for part in most.split(" · ")] == pytest.approx(weights[order, 2], abs=0.011)


def in_sight(page: Any, selector: str, box: str) -> bool:
    inner, outer = page.locator(selector).bounding_box(), page.locator(box).bounding_box()
    return outer["y"] <= inner["y"] and inner["y"] + inner["height"] <= outer["y"] + outer["height"] + 1


COUNT_LINES = """() => {
    const path = SVGPathElement.prototype, set = path.setAttribute;
    window.lines = 0;
    path.setAttribute = function (name, value) {
      window.lines += value.split("M").length - 1;
      set.call(this, name, value);
    };
}"""


def test_long_texts_follow_the_slider_and_the_arrow_keys(open_page: Callable[..., Any]) -> None:
    made = look(LONG, layers=1, heads=1)
    made.weights["cross"][0, 0, 401] = np.eye(501)[301]  # piece 401 is word 400: the first word has two
    page = open_page([made, look(SHORT, layers=1, heads=1)])
    page.locator("#time").fill("401")
    assert in_sight(page, "#target button >> nth=400", "#target")
    assert in_sight(page, "#source button >> nth=300", "#source"), "the word it attends to most"
    scrolled = "document.getElementById('matrix-scroll').scrollTop"
    assert page.evaluate(scrolled) > 400
    page.locator("#time").fill("1")
    assert in_sight(page, "#target button >> nth=0", "#target")
    assert page.evaluate(scrolled) == 0, "with the headings"
    page.focus("#matrix")
    for _ in range(3):
        page.keyboard.press("ArrowUp")
        page.locator("#target").evaluate("box => { box.scrollTop = box.scrollHeight }")
    page.keyboard.press("ArrowRight")
    assert in_sight(page, "#target button >> nth=0", "#target")
    page.locator("#target button").nth(1).hover()
    page.locator("#target").evaluate("box => { box.scrollTop = 50 }")
    page.locator("#target button").nth(60).dispatch_event("mouseenter")
    assert page.locator("#target").evaluate("box => box.scrollTop") == 50, "what is pointed at stays under the pointer"
    page.click("#tab-columns")
    page.locator("#time").fill("301")
    page.locator("#time").fill("401")
    assert in_sight(page, "#left button >> nth=400", "#columns-scroll")
    page.locator("#time").fill("2")
    assert in_sight(page, "#left button >> nth=1", "#columns-scroll")
    page.locator("#time").fill("401")
    page.evaluate(COUNT_LINES)
    page.click("#index li:nth-child(2) button")
    until(lambda: page.locator("#target button").count() < 20)
    assert 0 < page.evaluate("lines") <= 20 * 20, (
        "none between the words of the text before: 250,000 took half a minute"
    )
    assert page.input_value("#time") == "0", "no word of the new text is chosen"
    assert page.evaluate("document.getElementById('columns-scroll').scrollTop") == 0


def test_special_tokens_are_told_apart_when_shaded(open_page: Callable[..., Any]) -> None:
    made = look(SHORT, layers=1, heads=1)
    made.weights["cross"][:] = np.eye(made.weights["cross"].shape[-1])[-1]  # all looks at the end
    page = open_page([made])
    page.locator("#target button").nth(2).hover()
    words = "all => all.map(each => [each.style.color !== '', getComputedStyle(each).fontStyle])"
    assert page.eval_on_selector_all("#source button", words)[-2:] == [[False, "normal"], [True, "italic"]]
    assert "Special tokens are grey and slanted" in page.locator("#note").text_content()


def test_two_columns_by_pointer_and_keyboard(open_page: Callable[..., Any]) -> None:
    made = look(SHORT)
    page = open_page([made])
    page.focus("#tab-matrix")
    page.keyboard.press("ArrowRight")
    assert page.locator("#tab-columns").get_attribute("aria-selected") == "true"
    assert texts(page, "#left li") == list(made.target.words)
    assert texts(page, "#right li") == list(made.source.words)
    weights = made.attention("cross", -1)
    assert lines(page) == (weights >= 0.05).sum()
    assert "below 0.05 are left out" in page.locator("#view-columns").text_content()
    page.focus("#left li:nth-child(2) button")
    assert lines(page) == (weights[1] >= 0.01).sum(), "only the lines of that word"
    assert page.locator('#left button[aria-pressed="true"]').text_content() == made.target.words[1]


def test_all_heads_and_a_click_that_enlarges_one(open_page: Callable[..., Any]) -> None:
    page = open_page([look(SHORT)])
    page.click("#tab-grid")
    page.wait_for_selector("#grid button")
    assert page.locator("#grid button").count() == 2 * 3
    page.click('#grid button[aria-label="Layer 1, Head 3"]')
    assert page.locator("#tab-matrix").get_attribute("aria-selected") == "true"
    assert (page.input_value("#layer"), page.input_value("#head")) == ("0", "2")
    page.click("#tab-grid")
    page.wait_for_selector('#grid button[aria-current="true"]')
    page.focus("#tab-grid")
    for key in ("Tab", "ArrowDown", "ArrowLeft", "Enter"):
        page.keyboard.press(key)
    until(lambda: page.evaluate("document.activeElement.id") == "matrix")
    assert page.locator("#matrix").get_attribute("aria-label").startswith("encoder-decoder, Layer 2 of 2, Head 2 of 3")


def test_the_matrix_by_pointer_and_arrow_keys(open_page: Callable[..., Any]) -> None:
    made = look(SHORT)
    page = open_page([made], layer=1, head=1)
    page.focus("#matrix")
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    value = made.attention("cross", 1, 1)[1, 3]
    reading = page.locator("#reading").text_content().replace("\u2068", "").replace("\u2069", "")
    assert reading.startswith(f"{made.target.words[1]} → {made.source.words[3]}: ")
    assert float(reading.split(": ")[1]) == pytest.approx(value, abs=0.005)
    page.keyboard.press("Escape")
    assert page.locator("#reading").text_content() == ""
    box = page.locator("#matrix").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert "→" in page.locator("#reading").text_content()


def test_word_by_word(open_page: Callable[..., Any]) -> None:
    made = look(SHORT)
    page = open_page([made])
    hidden = "#target .unsaid"
    assert page.locator(hidden).count() == 0
    page.click("#forward")
    page.click("#forward")
    assert page.locator(hidden).count() == len(made.target.words) - 2
    page.click("#back")
    assert page.locator(hidden).count() == len(made.target.words) - 1
    page.click("#play")
    until(lambda: page.locator(hidden).count() < len(made.target.words) - 2)
    page.click("#play")
    stopped = page.locator(hidden).count()
    page.wait_for_timeout(1_200)
    assert page.locator(hidden).count() == stopped, "paused"
    page.locator("#time").fill("0")
    assert page.locator(hidden).count() == 0
    still = open_page([made], motion="reduce")
    assert not still.locator("#play").is_visible(), "steps only, where motion is unwanted"
    still.click("#forward")
    assert still.locator(hidden).count() == len(made.target.words) - 1


def test_several_sentences_have_an_index(open_page: Callable[..., Any]) -> None:
    page = open_page([look(SHORT), look(HEBREW, seed=1)])
    assert len(texts(page, "#index li")) == 2
    assert page.evaluate("document.getElementById('source').dir") == "ltr"
    page.click("#index li:nth-child(2) button")
    until(lambda: page.locator("#source").evaluate("each => each.dir") == "rtl")
    assert page.title() != "taken", "text is text"
    assert "</script>" in page.locator("#target").text_content()
    assert page.locator("#target").evaluate("each => each.dir") == "ltr"
    boxes = [page.locator("#source button").nth(place).bounding_box()["x"] for place in (0, 1)]
    assert boxes[0] > boxes[1], "the first word of a right-to-left line stands on the right"


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("locale", ["en", "pt-BR"])
def test_axe_finds_nothing_serious(
    open_page: Callable[..., Any], serious_violations: Callable[[Any], list[Any]], colours: str, locale: str
) -> None:
    looks = [look(SHORT), look(HEBREW)]
    page = open_page(looks, effects=[measured(each) for each in looks], colours=colours, locale=locale)
    assert page.evaluate("document.documentElement.lang") == locale[:2]
    assert (
        page.locator("h1").text_content()
        == {"en": "What the model attends to", "pt-BR": "A que o modelo presta atenção"}[locale]
    )
    for tab, side in (
        ("matrix", "target"),
        ("columns", "target"),
        ("grid", "target"),
        ("table", "target"),
        ("effects", "target"),
        ("effects", "source"),
    ):
        page.click(f"#tab-{tab}")
        page.locator(f"#{side} button").nth(1).hover()
        page.wait_for_timeout(300)
        assert serious_violations(page) == []


def test_five_hundred_tokens(open_page: Callable[..., Any], tmp_path: Path) -> None:
    page = open_page([look(LONG, layers=4, heads=8)])
    assert (tmp_path / "page.html").stat().st_size < 2_000_000
    assert "carries only: encoder-decoder, layers" in page.locator("#carried").text_content()
    assert "mean of all" not in texts(page, "#layer option"), "that of the layers it carries is another"
    assert "mean of all" in texts(page, "#head option")
    assert seconds_a_word(page) < 0.5, "a frame for each word pointed at, not a wait"
    page.click("#tab-table")
    assert page.locator("tbody tr").count() == 500


def test_heads_where_no_layer_fits(open_page: Callable[..., Any]) -> None:
    made = look(LONG, layers=2, heads=12)
    for head in range(12):  # piece 7 is word 6: the first word has two
        made.weights["cross"][0, head, 7] = np.eye(500 + 1)[20 * head + 20]
    page = open_page([made], layer=0, head=11)
    assert re.search(r"layers 1, heads (\d+, )+12, mean of all\.$", page.locator("#carried").text_content())
    offered = texts(page, "#head option")
    assert offered[-2:] == ["12", "mean of all"]
    assert 3 < len(offered) < 12
    page.click("#tab-table")
    for choice, expected in (("0", "w19 1.00 ·"), ("11", "w239 1.00 ·"), ("-1", "w19 0.08 ·")):
        page.select_option("#head", choice)
        until(lambda found=expected: found in plain(page.locator("#table-box tbody tr").nth(6).text_content()))
    assert "Head: mean of all" in page.locator("caption").text_content()
    page.click("#tab-grid")
    until(lambda: page.locator("#grid canvas").count() == len(offered))
    assert texts(page, "#grid .top")[-1] == "Head mean of all"


@pytest.mark.parametrize(("colours", "locale", "name"), [("light", "en", "Text"), ("dark", "pt-BR", "Texto")])
def test_an_encoder_has_one_text(
    open_page: Callable[..., Any], serious_violations: Callable[[Any], list[Any]], colours: str, locale: str, name: str
) -> None:
    both = look(SHORT)
    alone = replace(both, target_text="", target=EMPTY, read=EMPTY, weights={"encoder": both.weights["encoder"]})
    page = open_page([replace(alone, log_probs=())], colours=colours, locale=locale)
    assert page.locator("#source-name").text_content() == name
    assert not page.locator("#target").is_visible()
    assert not page.locator("#target-name").is_visible()
    assert texts(page, "#kind option") == [{"en": "encoder, to itself", "pt-BR": "do codificador a si mesmo"}[locale]]
    words = page.locator("#source button")
    assert words.count() == len(alone.source.words)
    words.nth(7).hover()
    row = alone.attention("encoder", 1)[7]
    heaviest = alone.source.words[int(row.argmax())]
    assert heaviest in plain(page.locator("#said").text_content())
    page.click("#forward")
    assert words.nth(8).get_attribute("aria-pressed") == "true"
    for tab in ("matrix", "columns", "grid", "table"):
        page.click(f"#tab-{tab}")
        page.wait_for_timeout(200)
        assert serious_violations(page) == []
    assert page.locator("#grid button").count() == 6


@pytest.mark.parametrize(("colours", "locale", "name"), [("light", "en", "Text"), ("dark", "pt-BR", "Texto")])
def test_a_language_model_has_one_text(
    open_page: Callable[..., Any], serious_violations: Callable[[Any], list[Any]], colours: str, locale: str, name: str
) -> None:
    both = look(SHORT)
    written = replace(both, source_text="", source=EMPTY, weights={"decoder": both.weights["decoder"]})
    page = open_page([written, written], colours=colours, locale=locale)
    assert page.locator("#target-name").text_content() == name
    assert not page.locator("#source").is_visible()
    assert not page.locator("#source-name").is_visible()
    kind = {"en": "decoder, to the words before", "pt-BR": "do decodificador às palavras anteriores"}[locale]
    assert texts(page, "#kind option") == [kind]
    assert page.locator("#index button").first.text_content() == f"1. {written.target_text}"
    words = page.locator("#target button")
    assert words.count() == len(written.target.words)
    words.nth(7).hover()
    row = written.attention("decoder", 1)[7]
    heaviest = written.read.words[int(row.argmax())]
    assert heaviest in plain(page.locator("#said").text_content())
    for tab in ("matrix", "columns", "grid", "table"):
        page.click(f"#tab-{tab}")
        page.wait_for_timeout(200)
        assert serious_violations(page) == []


def test_numbers_of_a_long_even_row_are_those_of_the_model(open_page: Callable[..., Any]) -> None:
    made = look(LONG, layers=1, heads=1)
    rows, columns = made.weights["cross"].shape[-2:]
    even = np.full((1, 1, rows, columns), 0.998 / (columns - 1), np.float32)
    even[..., -1] = 0.002
    made = replace(made, weights={"cross": even})
    page = open_page([made], effects=[measured(made)])
    page.locator("#target button").nth(9).hover()
    weights = made.attention("cross")[9]
    bits = float(re.search(r"entropy ([\d.]+) bits", page.locator("#said").text_content())[1])
    assert bits == pytest.approx(-(weights * np.log2(weights)).sum(), abs=0.051)
    page.click("#tab-effects")
    page.select_option("#effect-on", "9")
    until(lambda: "p9" in page.locator("#effects-attention-of").text_content())
    assert float(texts(page, ".attention .value")[-1]) == pytest.approx(0.002, abs=0.005)


def test_the_shades_have_a_legend(open_page: Callable[..., Any]) -> None:
    made = look(SHORT)
    page = open_page([made], layer=0, head=0)
    assert page.locator("#key").inner_text().split() == ["Weight", "0", "1"]
    page.select_option("#scale", "largest")
    until(lambda: page.locator("#key-most").text_content() != "1")
    top = made.attention("cross", 0, 0).max()
    assert float(page.locator("#key-most").text_content()) == pytest.approx(top, abs=0.0101)
    page.click("#tab-grid")
    assert page.locator("#key-most").text_content() == "the largest of each head"
