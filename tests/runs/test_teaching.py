"""A student learns what its teacher writes, goes on bit for bit wherever it was stopped, and is compared with it."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny_run
from tiny_run import Listener, outcome, train

import regard
from regard.errors import CheckpointError, ConfigError, DataError, ModelError
from regard.runs import teaching
from regard.runs.bases import translator_base
from regard.runs.data import load_pairs
from regard.runs.run import Run
from regard.runs.settings import DataSettings, Settings, settings_of_student
from regard.training.distil import TranslatorDistilSettings
from regard.translation import Translation

TRAINING = {**tiny_run.TABLES["training"], "max_steps": 20, "validate_every": 10}
SMALLER = {"model": {"feed_forward_size": 12, "decoder_feed_forward_size": 12}, "training": TRAINING}


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """It has learnt a little, and makes mistakes."""
    out = tmp_path_factory.mktemp("teacher") / "run"
    train(out, data, max_steps=300, learning_rate=0.02, validate_every=300, save_every=300)
    return out


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teaching, "_PART", 40)


def settings(teacher: Path, data: Path, tables: dict[str, dict[str, Any]] = SMALLER) -> Settings:
    sources = DataSettings(train=(str(data / "train.tsv"),), dev=(str(data / "dev.tsv"),), filter=False)
    return settings_of_student(tables, sources, 150, str(teacher), *translator_base(str(teacher)), "test")


def teach(out: Path, teacher: Path, data: Path, tables: dict[str, dict[str, Any]] = SMALLER) -> Listener:
    listener, chosen = Listener(), settings(teacher, data, tables)
    pairs, dev = (load_pairs(chosen.data, names, "train")[0] for names in (chosen.data.train, chosen.data.dev))
    Run(out, chosen, listener, translator_base(str(teacher))[0]).train(pairs, dev)
    return listener


def translations(out: Path) -> list[str]:
    return [text for path in sorted((out / "teacher").iterdir()) for text in json.loads(path.read_bytes())]


def test_it_learns_what_its_teacher_writes(tmp_path: Path, teacher: Path, data: Path) -> None:
    listener = teach(tmp_path, teacher, data)
    pairs, _ = load_pairs(settings(teacher, data).data, [str(data / "train.tsv")], "train")
    written = regard.load(teacher).translate(pairs.sources)
    unusable = {"empty", "truncated", "repetition"}
    expected = ["" if unusable & set(each.flags) else each.text for each in written]
    assert sorted(translations(tmp_path)) == sorted(expected)
    assert sum(text != target for text, target in zip(expected, pairs.targets, strict=True) if text) > 0
    assert listener.notes[-1].startswith("dev chrF ")
    assert re.search(r"; [\d,]+ sentences/s, its teacher [\d,]+ \(\d+\.\d\d times as fast\); ", listener.notes[-1])
    student = regard.load(tmp_path)
    assert (student.engine.model.config.feed_forward_size, student.engine.model.config.num_layers) == (12, 1)
    assert student.engine.tokens.save(tmp_path) == regard.load(teacher).engine.tokens.save(tmp_path)
    card = (tmp_path / "model" / "README.md").read_text()
    assert f"A student of {teacher}, taught with its translations with regard" in card
    assert f"Beside its teacher: {listener.notes[-1].partition(';')[0]};" in card


def test_it_goes_on_bit_for_bit_wherever_it_was_stopped(
    tmp_path: Path, teacher: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teach(tmp_path / "whole", teacher, data)
    translate, parts = teaching.translate, []

    def dying(*arguments: Any) -> list[Translation]:
        parts.append(1)
        if len(parts) == 3:
            raise KeyboardInterrupt
        return translate(*arguments)

    monkeypatch.setattr(teaching, "translate", dying)
    with pytest.raises(KeyboardInterrupt):
        teach(tmp_path / "parts", teacher, data)
    assert len(translations(tmp_path / "parts")) == 80
    damaged = next((tmp_path / "parts" / "teacher").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:50])
    with monkeypatch.context() as patch:
        patch.setattr(Listener, "progress", lambda self, progress, *_: _stop(progress.step == 13))
        with pytest.raises(KeyboardInterrupt):
            teach(tmp_path / "parts", teacher, data)
    assert parts == [1] * 6  # two that were whole, one cut off, that one and another again, the damaged one again
    monkeypatch.undo()
    monkeypatch.setattr(teaching, "_PART", 40)
    assert teach(tmp_path / "parts", teacher, data).notes[-2] == "going on from step-000010"
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")


def _stop(now: bool) -> None:
    if now:
        raise KeyboardInterrupt


def test_the_nearest_translation_is_chosen(tmp_path: Path, teacher: Path, data: Path) -> None:
    from sacrebleu.metrics import CHRF

    teach(tmp_path / "likeliest", teacher, data)
    teach(tmp_path / "nearest", teacher, data, {**SMALLER, "distil": {"choose": "nearest", "beam_size": 3}})
    pairs, _ = load_pairs(settings(teacher, data).data, [str(data / "train.tsv")], "train")
    references = dict(zip(pairs.sources, pairs.targets, strict=True))
    options = regard.SearchOptions(beam_size=3, n_best=3)
    expected = []
    for written in regard.load(teacher).translate(list(pairs.sources), options):
        score = {
            each.text: CHRF().sentence_score(each.text, [references[written.source]]).score
            for each in written.alternatives
        }
        usable = not {"empty", "truncated", "repetition"} & set(written.flags)
        expected.append(max(score, key=lambda text: score[text]) if usable else "")
    assert sorted(translations(tmp_path / "nearest")) == sorted(expected)
    assert sorted(expected) != sorted(translations(tmp_path / "likeliest"))


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
    taught = teaching.taught(tmp_path, loaded, pairs, TranslatorDistilSettings(), listener)
    assert taught.sources == [text for number, text in enumerate(pairs.sources) if number not in (1, 5, 40)]
    assert set(taught.targets) == {"y"}
    assert list(taught.lines[:4]) == [1, 3, 4, 5]
    assert listener.notes[-1] == "3 translations of the teacher were left out: cut short, repeating or empty"
    monkeypatch.setattr(teaching, "translate", lambda engine, lines, options: [Translation(x, "") for x in lines])
    with pytest.raises(DataError, match="of 150 translations that the teacher wrote none can be learnt from"):
        teaching.taught(tmp_path / "run", loaded, pairs, TranslatorDistilSettings(), listener)


def test_a_student_is_smaller_and_of_one_teacher(tmp_path: Path, teacher: Path, data: Path) -> None:
    with pytest.raises(
        ModelError, match=r"the student would have ([\d,]+) parameters and its teacher has \1: it would"
    ):
        teach(tmp_path / "run", teacher, data, {"training": TRAINING})
    teach(tmp_path / "run", teacher, data)
    other = tmp_path / "other"
    shutil.copytree(teacher, other)
    with pytest.raises(CheckpointError, match=r"model\.base was .* and is now"):
        teach(tmp_path / "run", other, data)


def test_sizes_follow_the_teacher(teacher: Path, data: Path) -> None:
    loaded, digest = translator_base(str(teacher))

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
            ({"model": {"arch": "lstm"}}, "unknown architecture 'lstm'"),
            ({"heads": {}}, r"unknown table \[heads\]"),
        ]:
            with pytest.raises(ConfigError, match=message):
                student(tables)
