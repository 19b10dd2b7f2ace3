"""The page as a file: what it carries, how large it gets, what it refuses. How it looks is for tests/browser."""

import base64
import errno
import json
import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_weights import LOOK, READ, SOURCE, TARGET, weights

from regard.errors import InputError, StorageError
from regard.look import page
from regard.look.effects import Effects, effects
from regard.look.page import MEAN, Carried, write_page
from regard.look.weights import Look
from regard.look.words import EMPTY, Line


def data_of(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_it_carries_every_layer_and_head_in_eight_bits(tmp_path: Path) -> None:
    assert write_page([LOOK], tmp_path / "look.html") is None
    data = data_of(tmp_path / "look.html")
    assert data["start"] == {"kind": "cross", "layer": 2, "head": -1}
    assert data["carried"] is None
    (sentence,) = data["sentences"]
    assert sentence["lines"]["source"]["words"] == list(SOURCE.words)
    assert sentence["log_probs"] == list(LOOK.log_probs)
    found = {(block["kind"], block["layer"]): block for block in sentence["blocks"]}
    assert set(found) == {(kind, layer) for kind in ("cross", "encoder", "decoder") for layer in range(3)}
    for (kind, layer), block in found.items():
        roots = np.frombuffer(zlib.decompress(base64.b64decode(block["data"])), np.uint8)
        values = (roots.reshape(block["heads"], block["rows"], block["columns"]) / 255) ** 2
        np.testing.assert_allclose(values, LOOK.weights[kind][layer], atol=0.005)


@pytest.mark.parametrize("last", [0.0, 0.768], ids=["even", "most at the end"])
def test_rounding_leaves_the_sum_of_a_row_as_it_is(last: float) -> None:
    even = np.full((3, 2, 500), (1 - last) / 499)
    even[..., -1] = last
    sparse = np.random.default_rng(3).dirichlet(np.full(500, 0.05), (3, 2))
    future = np.tril(np.ones((500, 500))) / np.arange(1, 501)[:, None]
    for exact in (even, sparse, future):
        found = (page._roots(exact).astype(float) / 255) ** 2
        np.testing.assert_allclose(found, exact, atol=0.005)
        np.testing.assert_allclose(found.cumsum(-1), exact.cumsum(-1), atol=0.005)
        assert not found[exact == 0].any(), "what may not be attended to stays nothing"


def test_it_says_which_languages_the_sides_are_in(tmp_path: Path) -> None:
    write_page([replace(LOOK, source_language="en", target_language="pt-BR"), LOOK], tmp_path / "look.html")
    found = [sentence["languages"] for sentence in data_of(tmp_path / "look.html")["sentences"]]
    assert found == [{"source": "en", "target": "pt-BR"}, {"source": "", "target": ""}]


def measured(look: Look, kind: str = "cross", layer: int | None = None, head: int | None = None) -> Effects:
    shape = len(look.target.words), sum(not special for special in look.source.special)
    return effects(look, np.random.default_rng(2).normal(0, 3, shape), kind, layer, head)


def unpack(text: str, kind: str, shape: tuple[int, int]) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), kind).reshape(shape)


def test_it_carries_the_effects_of_each_sentence(tmp_path: Path) -> None:
    given = [measured(LOOK, layer=-1), measured(LOOK, "encoder", 0, 1)]
    assert write_page([LOOK, LOOK], tmp_path / "look.html", effects=given) is None
    found = [sentence["effects"] for sentence in data_of(tmp_path / "look.html")["sentences"]]
    assert [(each["kind"], each["layer"], each["head"]) for each in found] == [("cross", 2, -1), ("encoder", 0, 1)]
    for each, expected in zip(found, given, strict=True):
        assert each["attention"] == pytest.approx(expected.attention, abs=1e-4)
        assert each["effect"] == pytest.approx(expected.effect, abs=1e-4)
        assert each["correlation"] == pytest.approx(expected.rank_correlation)
        assert each["correlations"] == pytest.approx(expected.rank_correlations())
        losses = unpack(each["losses"], "<i2", expected.losses.shape) / 100
        np.testing.assert_allclose(losses, expected.losses, atol=0.005 + 1e-9)
        roots = unpack(each["weights"], "u1", expected.losses.shape) / 255
        np.testing.assert_allclose(roots**2, expected.weights, atol=0.005)
    write_page([LOOK], tmp_path / "without.html")
    assert data_of(tmp_path / "without.html")["sentences"][0]["effects"] is None


def test_effects_that_have_no_rank_correlation(tmp_path: Path) -> None:
    flat = effects(LOOK, np.zeros((3, 2)), "cross", None, None)
    write_page([LOOK], tmp_path / "look.html", effects=[flat])
    found = data_of(tmp_path / "look.html")["sentences"][0]["effects"]
    assert found["correlation"] is None, "JSON knows no NaN"
    assert found["correlations"] == [None] * 3


def test_effects_of_other_sentences_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found effects of 1 sentences for 2\. Give those of each, in order"):
        write_page([LOOK, LOOK], tmp_path / "look.html", effects=[measured(LOOK)])
    other = Look("a", "b", TARGET, SOURCE, READ, LOOK.weights, LOOK.log_probs)
    with pytest.raises(InputError, match="found effects of 'os gatos' on 3 words where those of 'the cats' on 3 words"):
        write_page([LOOK], tmp_path / "look.html", effects=[measured(other)])


def test_it_loads_nothing_and_text_stays_text(tmp_path: Path) -> None:
    words = ("</script><script>x</script>", "@DATA@", "@SCRIPT@", "&lt;", "\u2028", "\ud800")
    line = Line((*words, "</s>"), (*words, "</s>"), tuple((i,) for i in range(7)), (*[False] * 6, True))
    read = Line(("<s>", *words), ("<s>", *words), tuple((i,) for i in range(7)), (True, *[False] * 6))
    look = Look("".join(words), "y", line, line, read, {"cross": weights(1, 1, 7, 7)}, (0.0,) * 7, "<model>")
    write_page([look], tmp_path / "look.html")
    text = (tmp_path / "look.html").read_text(encoding="utf-8")
    assert text.count("<script") == 2, "the data and the script of the page itself"
    assert not re.search(r"(?:src|href)=[\"'](?!#)", text)
    assert "http" not in re.sub(r"http-equiv", "", text)
    assert data_of(tmp_path / "look.html")["sentences"][0]["lines"]["source"]["words"][:4] == list(words[:4])
    assert "<title>&lt;model&gt;: " in text


def test_what_does_not_fit_is_left_out_from_the_bottom_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def noise(rows: int) -> np.ndarray:
        return np.random.default_rng(1).random((4, 8, rows, rows), dtype=np.float32)

    own = sum(len(page._file(name)) for name in page._PARTS)  # bytes of a page without data
    words = tuple(f"w{number}" for number in range(60))
    line = Line(words, words, tuple((i,) for i in range(60)), (False,) * 60)
    look = Look("x", "y", line, line, line, {kind: noise(60) for kind in ("cross", "encoder", "decoder")}, (0.0,) * 60)
    monkeypatch.setattr(page, "MAX_BYTES", own + 234_000)
    assert write_page([look], tmp_path / "a.html") == Carried({"cross": [0, 1, 2, 3], "encoder": [2, 3]})
    assert (tmp_path / "a.html").stat().st_size < own + 234_000
    alone = replace(look, weights={"cross": noise(60), "encoder": noise(90)})
    monkeypatch.setattr(page, "MAX_BYTES", own + 172_000)
    assert write_page([alone], tmp_path / "c.html") == Carried({"cross": [0, 1, 2, 3]}), (
        "of a kind that does not fit no layer"
    )
    monkeypatch.setattr(page, "MAX_BYTES", own + 234_000)
    carried = write_page([look], tmp_path / "b.html", kind="decoder", layer=1)
    assert carried == Carried({"decoder": [0, 1, 2, 3], "cross": [2, 3]})
    assert data_of(tmp_path / "b.html")["start"] == {"kind": "decoder", "layer": 1, "head": -1}
    assert data_of(tmp_path / "b.html")["carried"] == {"layers": carried.layers, "heads": None}
    several = write_page([look] * 5, tmp_path / "c.html")
    assert several == Carried({"cross": [3]}), "a layer is carried for all sentences or for none"
    monkeypatch.setattr(page, "MAX_BYTES", own + 50_000)
    found = measured(look)
    assert write_page([look], tmp_path / "e.html", effects=[found]) == Carried({"cross": [3]})
    assert (tmp_path / "e.html").stat().st_size < own + 50_000
    kept = data_of(tmp_path / "e.html")["sentences"][0]["effects"]
    assert (kept["weights"], kept["losses"]) == (None, None), "a layer goes before effects on each word"
    assert kept["effect"] == pytest.approx(found.effect, abs=1e-4)
    monkeypatch.setattr(page, "MAX_BYTES", 60_000)
    with pytest.raises(InputError, match=r"not even one head of 5 sentences fits into a page of 60,000 bytes\. Look"):
        write_page([look] * 5, tmp_path / "d.html")
    assert not (tmp_path / "d.html").exists()


def test_where_no_layer_fits_as_many_of_its_heads_do_as_fit(tmp_path: Path) -> None:
    words = tuple(f"w{number}" for number in range(480))
    line = Line(words, words, tuple((i,) for i in range(480)), (False,) * 480)
    noise = np.random.default_rng(1).random((2, 12, 480, 480), dtype=np.float32)
    look = Look("x", "", line, EMPTY, EMPTY, {"encoder": noise}, ())
    for head, expected in ((None, [0, 1, 2, 3, 4, MEAN]), (-1, [0, 1, 2, 3, 11, MEAN])):
        carried = write_page([look], tmp_path / "look.html", layer=0, head=head)
        assert carried == Carried({"encoder": [0]}, expected)
        assert (tmp_path / "look.html").stat().st_size < page.MAX_BYTES
        data = data_of(tmp_path / "look.html")
        assert data["carried"] == {"layers": {"encoder": [0]}, "heads": expected}
        (block,) = data["sentences"][0]["blocks"]
        assert data["sentences"][0]["shape"] == {"encoder": {"layers": 2, "heads": 12}}
        roots = np.frombuffer(zlib.decompress(base64.b64decode(block["data"])), np.uint8)
        values = (roots.reshape(len(expected), 480, 480) / 255) ** 2
        kept = [noise[0].mean(axis=0) if each == MEAN else noise[0, each] for each in expected]
        np.testing.assert_allclose(values, kept, atol=0.005)


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a page's name must end in \.html"):
        write_page([LOOK], tmp_path / "look.txt")
    with pytest.raises(InputError, match="no sentence"):
        write_page([], tmp_path / "look.html")
    with pytest.raises(InputError, match="there is no layer 9"):
        write_page([LOOK], tmp_path / "look.html", layer=8)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"look\.html: cannot be written \(.+\)\."):
        write_page([LOOK], tmp_path / "file" / "look.html")


def test_a_disk_that_fills_up_leaves_the_page_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "look.html"
    write_page([LOOK], path)
    before, write = path.read_bytes(), Path.write_bytes

    def cut_short(self: Path, data: bytes) -> int:
        write(self, data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", cut_short)
    with pytest.raises(StorageError, match=r"html: cannot be written \(No space left on device\)\. The old file is"):
        write_page([LOOK, LOOK], path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_model_with_one_kind(tmp_path: Path) -> None:
    look = Look("a", "b", SOURCE, TARGET, READ, {"cross": weights(1, 1, 4, 4)}, (-0.1,) * 4)
    assert write_page([look], tmp_path / "look.HTML") is None
    assert {block["kind"] for block in data_of(tmp_path / "look.HTML")["sentences"][0]["blocks"]} == {"cross"}
