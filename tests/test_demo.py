"""The demo, much smaller: it trains, measures, draws and says what comes next."""

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
    assert said[-1].strip() == "regard translate runs/mine < text.txt"
    names = ["attention-rnnsearch.png", "attention-transformer.png", "index.html", "quality-by-length.png"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == names
    assert all(str(tmp_path / name) in text for name in names)
