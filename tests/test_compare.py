"""Several architectures on the same data: what is counted, trained, written and shown."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sacrebleu")
pytest.importorskip("matplotlib")

import torch
from tiny_model import SIZES

from regard import cli, compare
from regard.compare import Contestant
from regard.data.pairs import PairSet
from regard.decoding.options import SearchOptions
from regard.errors import ConfigError
from regard.evaluation.metrics import LengthRow
from regard.models import build
from regard.models.protocol import count_parameters
from regard.runs.reporter import Reporter
from regard.runs.settings import DataSettings, settings_from

ROWS = [
    LengthRow("1-10", 1200, 30.0, 28.0, 32.0, 50.0),
    LengthRow("11-20", 0),
    LengthRow(">20", 5, 100.0, 100.0, 100.0),
]
CONTESTANT = Contestant("rnn", 1_234_567, 0, 9.5, 4_000, 41.0, 30.04, 50.0, ROWS, {(10, 8): 1000.0, (10, 64): 2000.4})


def test_parameters_of_attention_by_hand() -> None:
    found = {arch: build(arch, {"vocab_size": 50, **sizes}) for arch, sizes in SIZES.items()}
    # 2 layers, each with self-attention in the encoder, and self- and cross-attention in the decoder; each has query,
    # key, value and output projections of 16 x 16 with a bias.
    assert compare.count_attention_parameters(found["transformer"]) == 2 * 3 * 4 * (16 * 16 + 16)
    # Bahdanau et al. 2015: W_a (10 x 12), U_a (10 x 24: the encoder reads both ways), v_a (10), with one bias.
    additive = sum(p.numel() for name, p in found["rnnsearch"].named_parameters() if "attention" in name)
    assert compare.count_attention_parameters(found["rnnsearch"]) == additive
    assert 10 * 12 + 10 * 24 + 10 <= additive <= 10 * 12 + 10 * 24 + 10 + 20
    assert compare.count_attention_parameters(found["gnmt"]) > 0
    assert compare.count_attention_parameters(found["rnn"]) == 0


def test_shared_weights_count_once() -> None:
    model = build("transformer", {"vocab_size": 50, **SIZES["transformer"]})
    assert count_parameters(model) == sum({id(p): p.numel() for p in model.parameters()}.values())
    larger = build("transformer", {"vocab_size": 51, **SIZES["transformer"]})
    assert count_parameters(larger) - count_parameters(model) in (16, 17), "one row of the table"


def test_speed_is_measured_for_every_length_that_all_models_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "SPEED_LENGTHS", (2, 5, 9))
    monkeypatch.setattr(compare, "SPEED_BATCHES", (2, 3))
    models = {"rnn": SIZES["rnn"], "transformer": {**SIZES["transformer"], "max_length": 5}}
    data = DataSettings(train=("world",))
    tables = {arch: {"model": sizes, "tokens": {"vocab_size": 40}} for arch, sizes in models.items()}
    tables["rnn"]["training"] = {"bf16_products": True}
    settings = {arch: settings_from(table, data, 1, arch, "settings") for arch, table in tables.items()}
    state = torch.random.get_rng_state()
    speed = compare.training_speed(settings)
    torch.random.set_rng_state(state)
    assert list(speed) == ["rnn", "transformer"]
    for found in speed.values():
        assert sorted(found) == [(2, 2), (2, 3), (5, 2), (5, 3)]
        assert all(tokens_per_second > 0 for tokens_per_second in found.values())


def test_tables_for_people() -> None:
    lines = compare.report_lines([CONTESTANT, replace(CONTESTANT, arch="transformer", attention_parameters=22_000)])
    assert lines[0].split() == ["architecture", "parameters", "of", "attention", "minutes", "steps", "BLEU", "chrF"]
    assert lines[1].split() == ["rnn", "1,234,567", "0", "9.5", "4,000", "30.0", "50.0"]
    assert lines[2].split()[:3] == ["transformer", "1,234,567", "22,000"]
    assert len({len(line) for line in lines[:3]}) == 1, "columns stand under their names"
    table = lines[4:8]
    assert table[0].split()[4:] == ["1-10", "11-20", ">20"]
    assert table[1].split() == ["sentences", "1,200", "0", "5"]
    assert table[2].split() == ["rnn", "30.0", "[28.0,", "32.0]", "100.0", "[100.0,", "100.0]"]
    assert len({len(line) for line in table}) == 1
    assert lines[9] == "training, tokens a second, by sentence length x batch"
    assert lines[10].split() == ["10", "x", "8", "10", "x", "64"]
    assert lines[11].split() == ["rnn", "1,000", "2,000"]


def test_json_is_plain() -> None:
    rows = json.loads(json.dumps(compare.to_json([CONTESTANT])))
    assert rows[0]["speed"] == [
        {"length": 10, "batch": 8, "tokens_per_second": 1000.0},
        {"length": 10, "batch": 64, "tokens_per_second": 2000.4},
    ]
    assert rows[0]["lengths"][1] == {**rows[0]["lengths"][1], "label": "11-20", "n": 0, "bleu": None}


def test_empty_buckets_are_not_drawn(tmp_path: Path) -> None:
    panel = compare.quality_panel({"rnn": ROWS, "transformer": ROWS})
    assert panel.x_labels == ["1-10", ">20"]
    assert list(panel.curves[0].y) == [30.0, 100.0]
    assert (list(panel.curves[0].low), list(panel.curves[0].high)) == ([28.0, 100.0], [32.0, 100.0])
    compare.draw([CONTESTANT], tmp_path / "all.png")
    compare.draw([replace(CONTESTANT, speed={})], tmp_path / "quality.png")
    assert (tmp_path / "all.png").stat().st_size > (tmp_path / "quality.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("archs", "tables", "message"),
    [
        (["rnn", "rnn"], {}, "names one architecture twice: rnn, rnn"),
        (["rnn", "lstm"], {}, "unknown architecture 'lstm'"),
        (["transformer", "rnn"], {"model": {"num_heads": 2}}, "unknown setting num_heads"),
        (["rnn"], {"training": {"seed": "x"}}, "expected a whole number"),
    ],
)
def test_mistakes_show_before_the_data_is_read(
    tmp_path: Path, archs: list[str], tables: dict[str, dict[str, object]], message: str
) -> None:
    data = DataSettings(train=(str(tmp_path / "missing.tsv"),))
    with pytest.raises(ConfigError, match=message):
        compare.run(archs, tables, data, [], (10,), tmp_path / "out", Reporter())
    assert not list(tmp_path.iterdir())


def test_the_log_is_read_by_line_feeds_alone(tmp_path: Path) -> None:
    """A sample in it may hold what other programs take for a line end."""
    pairs = PairSet(["a b", "c"], ["A B", "C"], np.ones(2), np.zeros(2), np.arange(2), ())
    network = build("rnn", {"vocab_size": 50, **SIZES["rnn"]})
    model: Any = SimpleNamespace(
        translate=lambda sources, options: [SimpleNamespace(text=text.upper()) for text in sources],
        engine=SimpleNamespace(model=network, target_language=""),
    )
    log = tmp_path / "metrics.jsonl"
    rows = [
        {"step": 3, "samples": ["a\u2028b\x85c\x0bd"], "time": {"elapsed_seconds": 90.0}},
        {"step": 5, "time": {"tokens_per_second": 1.0}},
    ]
    log.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    found = compare.contest("rnn", model, {"dev_chrf": 12.5}, pairs, (1,), SearchOptions(), log)
    assert (found.steps, found.minutes, found.dev_chrf, found.chrf) == (5, 1.5, 12.5, 100)
    assert found.parameters == count_parameters(network)
    assert [row.n for row in found.lengths] == [1, 1]
    assert "tok:13a" in found.lengths[0].bleu_signature
    model.engine.target_language = "zh"
    written = compare.contest("rnn", model, {"dev_chrf": 12.5}, pairs, (1,), SearchOptions(), log)
    assert "tok:zh" in written.lengths[0].bleu_signature, "counted as `regard evaluate` counts"


def test_two_architectures_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["one", "two", "three", "four", "five", "six"]
    lines = [" ".join([*words[n % 6 : n % 6 + 1 + n % 4], str(n)]) for n in range(120)]
    (tmp_path / "a.tsv").write_text("".join(f"{line}\t{line[::-1]}\n" for line in lines), encoding="utf-8")
    monkeypatch.setattr(compare, "SPEED_LENGTHS", (2, 4))
    monkeypatch.setattr(compare, "SPEED_BATCHES", (2,))
    out = tmp_path / "compared"
    sizes = [
        "model.hidden_size=12",
        "model.max_length=40",
        "tokens.vocab_size=310",
        "data.dev_pairs=4",
        "data.filter=false",
    ]
    training = [
        "max_steps=6",
        "validate_every=6",
        "batch_tokens=150",
        "threads=1",
        "dev_beam_size=1",
        "learning_rate=0.05",
    ]
    settings = [*sizes, *(f"training.{setting}" for setting in training)]
    arguments = ["compare", str(tmp_path / "a.tsv"), "--arch", "rnn", "--arch", "rnnsearch", "-o", str(out), "--json"]
    for number in range(2):  # the second time goes on from where the first one ended
        monkeypatch.setattr(
            sys, "argv", ["regard", *arguments, "--lengths", "2,3", *(f"--set={setting}" for setting in settings)]
        )
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        shown = capsys.readouterr()
        assert not stopped.value.code, shown.err
        rows = json.loads(shown.out)
        assert json.loads((out / "compare.json").read_text()) == rows
        assert [(row["arch"], row["steps"]) for row in rows] == [("rnn", 6), ("rnnsearch", 6)]
        assert (rows[0]["attention_parameters"], rows[1]["attention_parameters"] > 0) == (0, True)
        assert [row["label"] for row in rows[0]["lengths"]] == ["1-2", "3", ">3"]
        assert sum(row["n"] for row in rows[0]["lengths"]) == 11, "a tenth is held out"
        assert "held out: dev 4 " in shown.err
        assert "held out: test 11" in shown.err
        assert f"picture: {out / 'compare.png'}" in shown.err
        assert ("nothing left to train" in shown.err) == bool(number)
        assert (out / "compare.png").read_bytes().startswith(b"\x89PNG")
        assert sorted(path.name for path in out.iterdir()) == ["compare.json", "compare.png", "rnn", "rnnsearch"]
    assert "dev_pairs = 4" in (out / "rnn" / "config.toml").read_text()
    assert "max_minutes = 10.0" in (out / "rnn" / "config.toml").read_text()
