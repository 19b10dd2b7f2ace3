"""The view of effects, in a page of `regard look`: what a word attends to beside what it loses without it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import HEBREW, LONG, SHORT, look, measured, number, plain, seconds_a_word, texts, until

pytestmark = pytest.mark.timeout(600)


def test_effects_beside_attention(open_page: Callable[..., Any]) -> None:
    made = look(SHORT)
    found = measured(made, layer=1, head=2)
    page = open_page([made], effects=[found], layer=0)
    page.click("#tab-effects")
    page.wait_for_selector("#effects tbody tr")
    assert texts(page, "#effects tbody th") == list(made.source.words)
    assert page.locator("#effects-attention-where").text_content() == "encoder-decoder, Layer 2 of 2, Head 3 of 3"
    rest = 1 - found.attention.sum()
    assert [float(text) for text in texts(page, ".attention .value")] == pytest.approx(
        [*found.attention, rest], abs=0.0051
    )
    losses = texts(page, ".effect .value")
    assert losses.pop() == "cannot be taken out", "the end of the sentence"
    assert [number(text) for text in losses] == pytest.approx(found.effect, abs=0.0051)
    gains = page.eval_on_selector_all(".effect i", "all => all.map(each => each.className === 'gain')")
    assert gains[:-1] == list(found.effect < 0)
    agreement = page.locator("#agreement").text_content()
    assert agreement.startswith(
        f"Rank correlation {found.rank_correlation:.2f}: attention and effect ".replace("-", "−")
    )
    assert "Attention is not the effect" in page.locator("#view-effects .lead").text_content()
    assert not page.locator("#layer").is_visible(), "the attention is the one that effects were measured beside"

    page.select_option("#effect-on", "3")
    shares = [float(text) for text in texts(page, ".attention .value")]
    assert shares[:-1] == pytest.approx(found.weights[3], abs=0.011)
    losses = [number(text) for text in texts(page, ".effect .value")[:-1]]
    assert losses == pytest.approx(found.losses[3], abs=0.0101)
    word = made.target.words[3]
    correlation = f"{found.rank_correlations()[3]:.2f}".replace("-", "−")
    assert plain(page.locator("#agreement").text_content()).startswith(f"“{word}” — rank correlation {correlation}: ")
    assert plain(page.locator("#effects-effect-of").text_content()) == f"nats “{word}” loses when the word is taken out"
    page.click("#tab-matrix")
    until(lambda: page.locator("#layer").is_visible())
    until(lambda: page.locator("#matrix").get_attribute("aria-label").startswith("encoder-decoder, Layer 1 of 2"))


def test_a_source_word_shows_what_is_lost_without_it(open_page: Callable[..., Any]) -> None:
    made = look(SHORT)
    found = measured(made)
    page = open_page([made], effects=[found])
    page.click("#tab-effects")
    page.wait_for_selector("#effects tbody tr")
    place = int(found.effect.argmax())
    page.locator("#source button").nth(place).hover()
    row = page.locator("#effects tr[aria-current]")
    assert row.locator("th").text_content() == made.source.words[place]
    said = plain(page.locator("#said").text_content())
    loss, worst = found.effect[place], int(found.losses[:, place].argmax())
    start = f"Without “{made.source.words[place]}”, the translation is "
    assert said.startswith(start)
    times = float(said.removeprefix(start).split()[0].replace(",", ""))
    assert times == pytest.approx(np.exp(loss), rel=0.05)
    assert f"({loss:.2f} nats) — loses most: {made.target.words[worst]} " in said
    tinted = page.eval_on_selector_all("#target button", "all => all.map(each => each.style.backgroundColor !== '')")
    assert tinted[worst]
    page.locator("#effects tbody tr").nth(2).hover()
    assert row.locator("th").text_content() == made.source.words[2]
    page.select_option("#effect-order", "effect")
    order = [made.source.words[each] for each in np.argsort(-found.effect)]
    assert texts(page, "#effects tbody th") == [*order, "</s>"]


def test_effects_by_keyboard(open_page: Callable[..., Any]) -> None:
    made = look(SHORT)
    page = open_page([made], effects=[measured(made)])
    page.focus("#tab-matrix")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("#effects tbody tr")
    assert page.locator("#tab-effects").get_attribute("aria-selected") == "true"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "effects-box"
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    assert page.locator("#effects tr[aria-current] th").text_content() == made.source.words[1]
    assert page.input_value("#effect-on") == "1"
    assert plain(page.locator("#said").text_content()).count(f"Without “{made.source.words[1]}”") == 1
    page.keyboard.press("Escape")
    assert page.input_value("#effect-on") == "-1"
    assert page.locator("#effects tr[aria-current]").count() == 0
    cell = page.locator("#effects tbody tr").nth(1).locator("td").first
    headers = cell.get_attribute("headers").split()
    assert plain(" ".join(page.locator(f"#{each}").text_content() for each in headers)).startswith(
        "Attention share of all"
    )
    assert page.locator(f"#{headers[1]}").text_content() == made.source.words[1]


def test_each_sentence_has_its_own_effects(open_page: Callable[..., Any]) -> None:
    looks = [look(SHORT), look(HEBREW, seed=1)]
    found = [measured(looks[0]), measured(looks[1], "encoder", 0)]
    page = open_page(looks, effects=found, locale="pt-BR")
    page.click("#tab-effects")
    assert page.locator("#tab-effects").text_content() == "Isso explica?"
    page.click("#index li:nth-child(2) button")
    until(lambda: texts(page, "#effects tbody th") == list(looks[1].source.words))
    losses = [number(text.replace(",", ".")) for text in texts(page, ".effect .value")[:-1]]
    assert losses == pytest.approx(found[1].effect, abs=0.0051)
    where = page.locator("#effects-attention-where").text_content()
    assert where == "do codificador a si mesmo, Camada 1 de 2, Cabeça: média de todas"
    page.select_option("#effect-on", "1")
    assert page.locator("#effects-attention-of").text_content() == "parte de toda a atenção"
    assert "olha para" not in page.locator("#said").text_content(), "encoder attention is not that of a target word"
    assert not any(page.eval_on_selector_all("#source button", "all => all.map(each => each.style.backgroundColor)"))


def test_without_effects_there_is_no_such_view(open_page: Callable[..., Any]) -> None:
    page = open_page([look(SHORT)])
    assert page.locator("#tab-effects, #view-effects").count() == 0
    assert not page.locator("#effect-on").is_visible()
    page.focus("#tab-matrix")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#tab-table").get_attribute("aria-selected") == "true"


def test_effects_without_what_a_rank_correlation_needs(open_page: Callable[..., Any]) -> None:
    made = look(("Yes", "Sim"))
    page = open_page([made], effects=[measured(made)])
    page.click("#tab-effects")
    until(lambda: page.locator("#agreement").text_content().startswith("No rank correlation"))
    assert not page.locator("#meter").is_visible()


def test_effects_of_five_hundred_tokens(open_page: Callable[..., Any], tmp_path: Path) -> None:
    made = look(LONG, layers=1, heads=2)
    found = measured(made)
    page = open_page([made], effects=[found])
    page.click("#tab-effects")
    page.wait_for_selector("#effects tbody tr")
    assert page.locator("#effects tbody tr").count() == 500
    assert seconds_a_word(page) < 0.5, "a frame for each word pointed at, not a wait"
    page.locator("#source button").nth(400).dispatch_event("mouseenter")
    box, row = page.locator("#effects-box").bounding_box(), page.locator("#effects tr[aria-current]").bounding_box()
    assert box["y"] < row["y"] < box["y"] + box["height"], "the row comes into view"

    made = look(LONG, layers=4, heads=8)  # noise, which does not pack
    page = open_page([made], effects=[measured(made)])
    assert (tmp_path / "page.html").stat().st_size < 2_000_000
    page.click("#tab-effects")
    until(lambda: "on the whole translation only" in page.locator("#note").text_content())
    page.locator("#target button").nth(3).dispatch_event("mouseenter")
    page.locator("#source button").nth(3).dispatch_event("mouseenter")
    assert number(page.locator("#effects tr[aria-current] .effect .value").text_content()) == pytest.approx(
        measured(made).effect[3], abs=0.0051
    )
    assert page.locator("#forward").is_disabled()
    page.click("#tab-matrix")
    until(lambda: page.locator("#forward").is_enabled())


def test_print_keeps_the_effects(open_page: Callable[..., Any]) -> None:
    made = look(SHORT)
    page = open_page([made], effects=[measured(made)])
    page.click("#tab-effects")
    page.wait_for_selector("#effects tbody tr")
    page.emulate_media(media="print")
    assert page.locator("#effects tbody tr").last.is_visible()
    assert not page.locator("#effect-on").is_visible()
