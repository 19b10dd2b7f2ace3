"""The page of `regard look` in a real browser with the network dead: every view, the keyboard, two languages, axe."""

import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regard.look.page import write_page
from regard.look.weights import Look
from regard.look.words import Line

pytestmark = pytest.mark.timeout(600)

SHORT = (
    "The animal did not cross the street because it was tired .",
    "O animal não atravessou a rua porque estava cansado .",
)
HEBREW = (
    "החיה לא חצתה את הרחוב כי היא הייתה עייפה .",
    "The animal </script><script>document.title='taken'</script> & it .",
)
LONG = tuple(" ".join(f"{word}{number}" for number in range(499)) for word in ("w", "p"))


def line(text: str, *, before: bool = False) -> Line:
    """Each word is one piece, but the first, which is two."""
    words = text.split()
    pieces = [f"▁{words[0][:1]}", words[0][1:] or "'", *(f"▁{word}" for word in words[1:])]
    groups = [(0, 1), *((place,) for place in range(2, len(pieces)))]
    special = [False] * len(words)
    if before:
        shifted = [tuple(piece + 1 for piece in group) for group in groups]
        return Line(("<s>", *pieces), ("<s>", *words), ((0,), *shifted), (True, *special))
    return Line((*pieces, "</s>"), (*words, "</s>"), (*groups, (len(pieces),)), (*special, True))


def look(texts: tuple[str, str], *, layers: int = 2, heads: int = 3, seed: int = 0) -> Look:
    source, target, read = line(texts[0]), line(texts[1]), line(texts[1], before=True)
    random = np.random.default_rng(seed)
    sides = {"cross": (target, source), "encoder": (source, source), "decoder": (target, read)}
    weights = {}
    for kind, (rows, columns) in sides.items():
        values = random.random((layers, heads, len(rows.pieces), len(columns.pieces))) ** 6
        values = np.tril(values) if kind == "decoder" else values
        weights[kind] = (values / values.sum(-1, keepdims=True)).astype(np.float32)
    log_probs = tuple(np.log(random.uniform(0.2, 1, len(target.pieces))))
    return Look(*texts, source, target, read, weights, log_probs, "made <up>")


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Writes a page and opens it; fails on any error in its console and any request to anywhere."""
    contexts, troubles = [], []

    def opened(
        looks: list[Look], *, locale: str = "en", colours: str = "light", motion: str = "no-preference", **start: Any
    ) -> Any:
        path = tmp_path / "page.html"
        write_page(looks, path, **start)
        context = browser.new_context(
            offline=True,
            locale=locale,
            color_scheme=colours,
            reduced_motion=motion,
            viewport={"width": 1200, "height": 900},
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on(
            "console", lambda message: troubles.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("request", lambda request: None if request.url.startswith("file:") else troubles.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("body[data-ready]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert troubles == []


def texts(page: Any, selector: str) -> list[str]:
    return page.locator(selector).all_text_contents()


def until(happens: Callable[[], bool]) -> None:
    """Wait, ten seconds at most."""
    ends = time.monotonic() + 10
    while not happens():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.05)


def ink(page: Any, selector: str) -> int:
    """Pixels of a canvas that are drawn on."""
    image = pytest.importorskip("PIL.Image")
    url = page.eval_on_selector(selector, "canvas => canvas.toDataURL()")
    return int((np.asarray(image.open(BytesIO(b64decode(url.split(",")[1]))))[:, :, 3] > 0).sum())


def seconds_a_word(page: Any) -> float:
    """What pointing at a word of the translation costs the page, in time of a processor: other work is not counted."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return next(each["value"] for each in metrics if each["name"] == "TaskDuration")

    before = spent()
    page.evaluate(
        """async () => {
            for (const button of [...document.querySelectorAll("#target button")].slice(0, 10)) {
              button.dispatchEvent(new MouseEvent("mouseenter"));
              await new Promise(requestAnimationFrame);
            }
        }"""
    )
    return (spent() - before) / 10


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
    assert page.locator("#said").text_content() == ""
    assert page.locator('#source button[aria-pressed="true"]').count() == 1


def test_two_columns_by_pointer_and_keyboard(open_page: Callable[..., Any]) -> None:
    made = look(SHORT)
    page = open_page([made])
    page.focus("#tab-matrix")
    page.keyboard.press("ArrowRight")
    assert page.locator("#tab-columns").get_attribute("aria-selected") == "true"
    assert texts(page, "#left li") == list(made.target.words)
    assert texts(page, "#right li") == list(made.source.words)
    everything = ink(page, "#lines")
    page.focus("#left li:nth-child(2) button")
    one = ink(page, "#lines")
    assert 0 < one < everything, "only the lines of that word"
    assert page.locator('#left button[aria-pressed="true"]').text_content() == made.target.words[1]


def test_all_heads_and_a_click_that_enlarges_one(open_page: Callable[..., Any]) -> None:
    page = open_page([look(SHORT)])
    page.click("#tab-grid")
    page.wait_for_selector("#grid button")
    assert page.locator("#grid button").count() == 2 * 3
    page.click('#grid button[aria-label="Layer 1, Head 3"]')
    assert page.locator("#tab-matrix").get_attribute("aria-selected") == "true"
    assert (page.input_value("#layer"), page.input_value("#head")) == ("0", "2")


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
def test_axe_finds_nothing_serious(open_page: Callable[..., Any], colours: str, locale: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = open_page([look(SHORT), look(HEBREW)], colours=colours, locale=locale)
    assert page.evaluate("document.documentElement.lang") == locale[:2]
    assert (
        page.locator("h1").text_content()
        == {"en": "What the model attends to", "pt-BR": "A que o modelo presta atenção"}[locale]
    )
    for tab in ("matrix", "columns", "grid", "table"):
        page.click(f"#tab-{tab}")
        page.locator("#target button").nth(1).hover()
        page.wait_for_timeout(300)
        found = axe.run(page).response["violations"]
        serious = [each for each in found if each["impact"] in ("serious", "critical")]
        assert serious == [], [(each["id"], [node["html"] for node in each["nodes"]]) for each in serious]


def test_five_hundred_tokens(open_page: Callable[..., Any], tmp_path: Path) -> None:
    page = open_page([look(LONG, layers=4, heads=8)])
    assert (tmp_path / "page.html").stat().st_size < 2_000_000
    assert "carries only: encoder-decoder, layers" in page.locator("#carried").text_content()
    assert seconds_a_word(page) < 0.5, "a frame for each word pointed at, not a wait"
    page.click("#tab-table")
    assert page.locator("tbody tr").count() == 500


def test_print_shows_the_whole_translation(open_page: Callable[..., Any]) -> None:
    page = open_page([look(SHORT)])
    page.click("#forward")
    page.emulate_media(media="print")
    assert page.locator("#target button").last.is_visible()
    assert not page.locator("#play").is_visible()
