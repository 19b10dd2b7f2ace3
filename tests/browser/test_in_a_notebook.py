"""What a notebook shows of a look: the page, in a frame that reaches nothing around it."""

from typing import Any

from pages import SHORT, look, texts


def test_the_frame_shows_the_page(browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1000, "height": 800})
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.set_content(f"<h1>Notebook</h1>{look(SHORT)._repr_html_()}")
    frame = page.frame_locator("iframe")
    frame.locator("body[data-ready]").wait_for()
    shown = " ".join(frame.locator("#target button").all_text_contents())
    assert all(word in shown for word in SHORT[1].split())
    assert texts(page, "h1") == ["Notebook"]
    inner = page.frames[1]
    assert inner.evaluate("() => { try { return String(parent.document) } catch { return 'shut off' } }") == "shut off"
    assert troubles == []
    page.close()
