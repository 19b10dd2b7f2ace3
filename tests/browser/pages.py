"""Made-up attention for pages, and what a page shows of it."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from regard.look.effects import Effects, effects
from regard.look.weights import Look
from regard.look.words import Line

SHORT = (
    "The animal did not cross the street because it was tired .",
    "O animal não atravessou a rua porque estava cansado .",
)
HEBREW = (
    "החיה לא חצתה את הרחוב כי היא הייתה עייפה .",
    "The animal </script><script>document.title='taken'</script> & it .",
)
# What is not seen, but hides in a text or acts on it; and words without end.
UNSEEN = (
    "a\u200bb \u202eevil \u200d \u200f x\u2066y Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamten .",
    "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch \ufeffz q\u00adr می\u200cخواهم .",
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


def texts(page: Any, selector: str) -> list[str]:
    return page.locator(selector).all_text_contents()


def until(happens: Callable[[], bool]) -> None:
    """Wait, ten seconds at most."""
    ends = time.monotonic() + 10
    while not happens():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.05)


def lines(page: Any) -> int:
    """How many the two columns have between them."""
    paths = page.eval_on_selector_all("#lines path", "all => all.map(each => each.getAttribute('d'))")
    return sum(path.count("M") for path in paths)


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
