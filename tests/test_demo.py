"""The demo, much smaller: it trains, measures, draws and says what comes next."""

import re
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sacrebleu")
pytest.importorskip("matplotlib")

from regard import demo


@pytest.mark.slow
def test_a_small_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("IT_PAIRS", 300), ("OTHER_PAIRS", 300), ("LONG_PAIRS", 50)):
        monkeypatch.setattr(demo, name, value)
    monkeypatch.setattr(demo, "SENTENCES_A_BUCKET", 5)
    monkeypatch.setattr(demo, "IT_SENTENCES", 8)
    monkeypatch.setattr(demo, "STEPS", dict.fromkeys(demo.STEPS, 25))
    said: list[str] = []
    results = demo.run(tmp_path, said.append, lambda shares: None)
    assert [result.arch for result in results] == list(demo.ARCHITECTURES)
    assert results[0].aligned is None
    assert all(result.aligned is not None and 0 < result.aligned.aer <= 1 for result in results[1:])
    text = "\n".join(said)
    for arch in demo.ARCHITECTURES:
        assert sum(line.startswith(f"  {arch}") for line in said) >= 4, (
            "a summary, a row of lengths, three translations"
        )
    assert "nearest" in text
    head = re.search(
        r"^From \*it\* the Transformer's head encoder (\d)\.1 \(chosen on dev\) .* in \d+ % of these",
        text,
        re.MULTILINE,
    )
    assert head is not None
    assert len(re.findall(r"^  [Ii]t -> \S+ \(0\.\d\d\)   \S", text, re.MULTILINE)) == 2, (
        "of the two examples with *it*"
    )
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert f'"start":{{"kind":"encoder","layer":{int(head[1]) - 1},"head":0}}' in page
    assert said[-1].strip() == "regard translate runs/mine < text.txt"
    names = ["attention-rnnsearch.png", "attention-transformer.png", "index.html", "quality-by-length.png"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == names
    assert all(str(tmp_path / name) in text for name in names)
