"""A student learns what its teacher writes, goes on bit for bit wherever it was stopped, and is compared with it."""

import dataclasses
import json
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import tiny_run
from tiny_run import Listener, outcome, train

import regard
from regard.config import to_dict
from regard.data.pairs import fingerprint
from regard.errors import CheckpointError, ConfigError, DataError, ModelError, Stopped
from regard.models import build
from regard.runs import beside, teaching
from regard.runs.bases import translator_base
from regard.runs.data import load_pairs
from regard.runs.run import Run
from regard.runs.settings import DataSettings, Settings, settings_of_student
from regard.training.distil import TranslatorDistilSettings
from regard.translation import Translation

TRAINING = {**tiny_run.TABLES["training"], "max_steps": 20, "validate_every": 10}
FACTS = {"data": "a", "versions": {}, "threads": 1}
GREEDY = regard.SearchOptions(beam_size=1)
SMALLER = {"model": {"feed_forward_size": 12, "decoder_feed_forward_size": 12}, "training": TRAINING}


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """It has learnt a little, and makes mistakes."""
    out = tmp_path_factory.mktemp("teacher") / "run"
    train(out, data, max_steps=200, learning_rate=0.02, validate_every=200, save_every=200)
    return out


@pytest.fixture(autouse=True)
def small_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teaching, "_PART", 40)
    monkeypatch.setattr(beside, "_LEAST_SECONDS", 0.0)  # of measuring speed


def settings(teacher: Path, data: Path, tables: dict[str, dict[str, Any]] = SMALLER) -> Settings:
    sources = DataSettings(train=(str(data / "train.tsv"),), dev=(str(data / "dev.tsv"),), filter=False)
    return settings_of_student(tables, sources, 150, str(teacher), *translator_base(str(teacher)), "test")


def teach(out: Path, teacher: Path, data: Path, tables: dict[str, dict[str, Any]] = SMALLER) -> Listener:
    listener, chosen = Listener(), settings(teacher, data, tables)
    pairs, dev = (load_pairs(chosen.data, names, "train")[0] for names in (chosen.data.train, chosen.data.dev))
    Run(out, chosen, listener, translator_base(str(teacher))[0]).train(pairs, dev)
    return listener


def translations(out: Path) -> list[str]:
    paths = sorted((out / "teacher").glob("part-*.json"))
    return [text for path in paths for text in json.loads(path.read_bytes())["texts"]]


def test_it_learns_what_its_teacher_writes(tmp_path: Path, teacher: Path, data: Path) -> None:
    listener = teach(tmp_path, teacher, data)
    pairs, dev = (
        load_pairs(settings(teacher, data).data, [str(data / f"{name}.tsv")], "train")[0] for name in ("train", "dev")
    )
    written = regard.load(teacher).translate(pairs.sources)
    unusable = {"empty", "truncated", "repetition"}
    expected = ["" if unusable & set(each.flags) else each.text for each in written]
    assert translations(tmp_path) == expected
    assert sum(text != target for text, target in zip(expected, pairs.targets, strict=True) if text) > 0
    shape = r"dev chrF \d+\.\d, its teacher \d+\.\d; \d+\.\d\d times as fast \([\d,]+ sentences/s: 8 of dev, beam 1\); "
    assert re.match(shape, listener.notes[-1])
    chrf = regard.evaluation.metrics.quick(
        [each.text for each in regard.load(teacher).translate(dev.sources, GREEDY)], dev.targets, "chrf"
    )
    assert f"its teacher {chrf:.1f};" in listener.notes[-1]
    student = regard.load(tmp_path)
    assert (student.engine.model.config.feed_forward_size, student.engine.model.config.num_layers) == (12, 1)
    assert student.engine.tokens.parts() == regard.load(teacher).engine.tokens.parts()
    card = (tmp_path / "model" / "README.md").read_text()
    assert f"A student of {teacher}, taught with its translations with regard" in card
    assert f"Beside its teacher: {listener.notes[-1]}." in card
    assert f"sha256 of the pairs: {fingerprint(pairs)}" in card
    assert json.loads((tmp_path / "beside.json").read_text())["line"] == listener.notes[-1]
    assert teach(tmp_path, teacher, data).notes[-1] == listener.notes[-1], "measured once"


def test_it_goes_on_bit_for_bit_wherever_it_was_stopped(
    tmp_path: Path, teacher: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teach(tmp_path / "whole", teacher, data)
    parts, translate, count = tmp_path / "parts", teaching.translate, [0]

    def counted(*arguments: Any) -> list[Translation]:
        count[0] += 1
        if count[0] == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return translate(*arguments)

    monkeypatch.setattr(teaching, "translate", counted)
    with pytest.raises(Stopped, match="80 of 150 sentences translated; the same command goes on from there") as stopped:
        teach(parts, teacher, data)
    assert stopped.value.exit_status == 143
    assert len(translations(parts)) == 80
    first, second = (parts / "teacher" / f"part-{number:06}.json" for number in (0, 1))
    first.write_bytes(first.read_bytes()[:50])
    changed = json.loads(second.read_bytes())
    second.write_text(json.dumps({**changed, "texts": ["1", *changed["texts"][1:]]}))
    with monkeypatch.context() as patch:
        patch.setattr(Listener, "progress", lambda self, progress, *_: _stop(progress.step == 13))
        with pytest.raises(KeyboardInterrupt):
            teach(parts, teacher, data)
    assert count == [6]  # two, these two again, and two more
    second.write_text("[" * 200_000)
    listener = teach(parts, teacher, data)
    assert f"{second}: is damaged, and is translated again." in listener.notes
    assert "going on from step-000010" in listener.notes
    assert outcome(parts) == outcome(tmp_path / "whole")
    assert translations(parts) == translations(tmp_path / "whole")


def test_other_data_is_refused_before_it_is_translated(
    tmp_path: Path, teacher: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "data"
    shutil.copytree(data, other)
    teach(tmp_path / "run", teacher, other)
    lines = (other / "train.tsv").read_text().split("\n")
    (other / "train.tsv").write_text("\n".join([f"{lines[0]} 1", *lines[1:]]))
    monkeypatch.setattr(teaching, "translate", None)
    with pytest.raises(CheckpointError, match="teacher: holds translations of other training data"):
        teach(tmp_path / "run", teacher, other)
    (other / "train.tsv").write_text("\n".join(lines))
    (other / "dev.tsv").write_text("1\t2\n")
    with pytest.raises(CheckpointError, match="was trained with other dev data"):
        teach(tmp_path / "run", teacher, other)


def test_another_number_of_threads_is_told(tmp_path: Path, teacher: Path, data: Path) -> None:
    teach(tmp_path, teacher, data)
    facts = tmp_path / "teacher" / "facts.json"
    facts.write_text(json.dumps({**json.loads(facts.read_bytes()), "threads": 7}))
    notes = teach(tmp_path, teacher, data).notes
    assert "threads were 7 and are now 1: what the teacher translates from here on may differ in places." in notes


def _stop(now: bool) -> None:
    if now:
        raise KeyboardInterrupt


def test_the_nearest_translation_is_chosen(tmp_path: Path, teacher: Path, data: Path) -> None:
    from sacrebleu.metrics import CHRF

    teach(tmp_path / "likeliest", teacher, data)
    teach(tmp_path / "nearest", teacher, data, {**SMALLER, "distil": {"choose": "nearest", "beam_size": 3}})
    pairs, _ = load_pairs(settings(teacher, data).data, [str(data / "train.tsv")], "train")
    options = regard.SearchOptions(beam_size=3, n_best=3)
    unusable = {"empty", "truncated", "repetition"}
    written = regard.load(teacher).translate(list(pairs.sources), options)
    expected = []
    for result, reference in zip(written, pairs.targets, strict=True):
        score = {
            each.text: CHRF().sentence_score(each.text, [reference]).score
            for each in result.alternatives
            if not unusable & set(each.flags)
        }
        expected.append(max(score, key=lambda text: score[text], default=""))
    assert translations(tmp_path / "nearest") == expected
    assert expected != translations(tmp_path / "likeliest")
    assert any(unusable & set(result.flags) and text for result, text in zip(written, expected, strict=True))


def test_what_cannot_be_learnt_is_left_out(
    tmp_path: Path, teacher: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, _ = translator_base(str(teacher))
    (tmp_path / "run").mkdir()
    pairs, _ = load_pairs(settings(teacher, data).data, [str(data / "train.tsv")], "train")
    flags = {1: ("truncated", "low_confidence"), 5: ("repetition",), 40: ("empty",), 41: ("number_mismatch",)}
    count = iter(range(1_000))
    monkeypatch.setattr(
        teaching,
        "translate",
        lambda engine, lines, options: [Translation(x, "y", flags.get(next(count), ())) for x in lines],
    )
    listener = Listener()
    taught = teaching.taught(tmp_path, loaded, pairs, TranslatorDistilSettings(), FACTS, listener)
    assert taught.sources == [text for number, text in enumerate(pairs.sources) if number not in (1, 5, 40)]
    assert set(taught.targets) == {"y"}
    assert list(taught.lines[:4]) == [1, 3, 4, 5]
    told = "the teacher's translations: 147 to learn from, 3 left out (cut short, repeating, empty)"
    assert listener.notes == [told]
    monkeypatch.setattr(teaching, "translate", lambda engine, lines, options: [Translation(x, "") for x in lines])
    with pytest.raises(DataError, match="of 150 translations that the teacher wrote none can be learnt from"):
        teaching.taught(tmp_path / "run", loaded, pairs, TranslatorDistilSettings(), FACTS, listener)


def test_a_student_is_smaller_and_of_one_teacher(tmp_path: Path, teacher: Path, data: Path) -> None:
    with pytest.raises(
        ModelError, match=r"the student would have ([\d,]+) parameters and its teacher has \1: it would"
    ):
        teach(tmp_path / "run", teacher, data, {"model": {"hidden_size": 16}, "training": TRAINING})
    teach(tmp_path / "run", teacher, data)
    other = tmp_path / "other"
    shutil.copytree(teacher, other)
    with pytest.raises(CheckpointError, match=r"model\.base was .* and is now"):
        teach(tmp_path / "run", other, data)


def test_sizes_follow_the_teacher(teacher: Path, data: Path) -> None:
    loaded, digest = translator_base(str(teacher))
    narrow, deep = loaded.model, build("transformer", {**to_dict(loaded.model.config), "num_layers": 3})
    assert to_dict(narrow.config) | settings(teacher, data, {}).model == to_dict(narrow.config) | {"hidden_size": 8}
    loaded = dataclasses.replace(loaded, model=deep)

    def student(tables: dict[str, dict[str, Any]]) -> Settings:
        return settings_of_student(tables, DataSettings(train=("x.tsv",)), 1_000, "T", loaded, digest, "test")

    from regard.runs import settings as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "arch_of", lambda path: "transformer")
        plain = student({})
        assert (plain.arch, plain.base, plain.base_sha256) == ("transformer", "T", digest)
        assert plain.model["hidden_size"] == 16
        assert plain.model["decoder_num_layers"] == 1
        assert plain.tokens.vocab_size == loaded.tokens.vocab_size
        assert student({"distil": {"layers": 3}}).model["decoder_num_layers"] == 3
        assert student({"model": {"decoder_num_layers": 4}}).model["decoder_num_layers"] == 4
        other = student({"model": {"arch": "rnn"}})
        assert (other.model["hidden_size"], other.model["max_length"]) == (512, 32)
        for tables, message in [
            ({"distil": {"layers": 2}, "model": {"decoder_num_layers": 2}}, "set model.decoder_num_layers instead"),
            ({"distil": {"layers": 2}, "model": {"arch": "rnn"}}, "set model.num_layers instead"),
            ({"distil": {"layers": 2}, "model": {"arch": "rnnsearch"}}, "one of type rnnsearch has but one"),
            ({"distil": {"layers": -1}}, "distil.layers must not be negative, got -1"),
            ({"distil": {"beam_size": 0}}, "distil.beam_size must be at least 1, got 0"),
            ({"distil": {"choose": "nearest", "beam_size": 1}}, "needs a beam_size above 1"),
            ({"distil": {"choose": "best"}}, "expected one of likeliest, nearest, found 'best'"),
            ({"distil": {"temperature": 2.0}}, "unknown setting temperature"),
            (
                {"tokens": {"vocab_size": 99}},
                "cannot become 99: a student reads and writes with its teacher's tokenizer",
            ),
            ({"model": {"arch": "lstm"}, "distil": {"layers": 2}}, "unknown architecture 'lstm'"),
            ({"model": {"arch": [1]}}, r"unknown architecture \[1\]"),
            ({"model": {"base": "U"}}, "model.base is another than that of T, the teacher that was named"),
            ({"data": {"old_dev": ["x"]}}, "old_dev does nothing here"),
            ({"heads": {}}, r"unknown table \[heads\]"),
        ]:
            with pytest.raises(ConfigError, match=message):
                student(tables)
