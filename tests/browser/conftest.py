"""A real browser without a network. Where there is none, these tests are skipped, saying so."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from regard.look.page import write_page
from regard.look.weights import Look

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The system's Chromium."""
    playwright = pytest.importorskip("playwright.sync_api")
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Writes a page and opens it; fails on any error in its console and any request to anywhere."""
    contexts, troubles = [], []

    def opened(
        looks: list[Look],
        *,
        locale: str = "en",
        colours: str = "light",
        motion: str = "no-preference",
        forced: str = "none",
        **start: Any,
    ) -> Any:
        path = tmp_path / "page.html"
        write_page(looks, path, **start)
        context = browser.new_context(
            offline=True,
            locale=locale,
            color_scheme=colours,
            reduced_motion=motion,
            forced_colors=forced,
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


@pytest.fixture
def serious_violations() -> Callable[[Any], list[Any]]:
    """What axe finds serious in a page: the rule, and where it is broken."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()

    def found(page: Any) -> list[Any]:
        # A colour that is on its way has another contrast.
        page.evaluate("Promise.allSettled(document.getAnimations().map(each => each.finished))")
        violations = axe.run(page).response["violations"]
        serious = [each for each in violations if each["impact"] in ("serious", "critical")]
        return [(each["id"], [node["html"] for node in each["nodes"]]) for each in serious]

    return found
