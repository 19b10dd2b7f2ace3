"""The page of `regard look` in a real browser with the network dead: every view, the keyboard, two languages, axe."""

import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regard.look.effects import Effects, effects
from regard.look.page import write_page
from regard.look.weights import Look
from regard.look.words import EMPTY, Line

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


def measured(made: Look, kind: str = "cross", layer: int | None = None, head: int | None = None) -> Effects:
    """Most losses near none, a few large, some gains."""
    shape = len(made.target.words), len(made.source.words) - 1
    random = np.random.default_rng(5)
    losses = random.normal(0, 0.05, shape) + 4 * random.random(shape) ** 20
    return effects(made, losses, kind, layer, head)


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def plain(text: str) -> str:
    """Without the marks that keep words apart."""
    return text.replace("\u2068", "").replace("\u2069", "")


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


@pytest.mark.parametrize(("colours", "locale", "name"), [("light", "en", "Text"), ("dark", "pt-BR", "Texto")])
def test_an_encoder_has_one_text(open_page: Callable[..., Any], colours: str, locale: str, name: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
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
        found = [each for each in axe.run(page).response["violations"] if each["impact"] in ("serious", "critical")]
        assert found == [], [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]
    assert page.locator("#grid button").count() == 6


@pytest.mark.parametrize(("colours", "locale", "name"), [("light", "en", "Text"), ("dark", "pt-BR", "Texto")])
def test_a_language_model_has_one_text(open_page: Callable[..., Any], colours: str, locale: str, name: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
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
        found = [each for each in axe.run(page).response["violations"] if each["impact"] in ("serious", "critical")]
        assert found == [], [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]
