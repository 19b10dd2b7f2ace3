"""A trained model goes on with new text: it learns that, what it forgets is told, and it goes on bit for bit."""

import dataclasses
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from tiny_model import make_decoder_folder, make_folder
from tiny_run import Listener, outcome

import regard
from regard.decoding.options import SearchOptions
from regard.errors import CheckpointError, ConfigError, ModelError
from regard.evaluation import metrics
from regard.models.folder import load, save
from regard.runs.bases import decoder_base, encoder_base, translator_base
from regard.runs.data import dev_pairs_of, prepare_data
from regard.runs.forgetting import balance
from regard.runs.pretrain_settings import CorpusSettings, ModelSettings
from regard.runs.pretrain_settings import settings_on as corpus_settings_on
from regard.runs.pretraining import Pretraining
from regard.runs.run import Run
from regard.runs.settings import DataSettings, settings_from, settings_on
from regard.training.checkpoint import read_weights

ENGLISH = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
PORTUGUESE = ["um", "dois", "tres", "quatro", "cinco", "seis", "sete", "oito"]
ITALIAN = ["uno", "due", "tre", "quattro", "cinque", "sei", "sette", "otto"]
TRAINING: dict[str, Any] = {
    "max_steps": 160,
    "batch_tokens": 300,
    "learning_rate": 0.01,
    "warmup_steps": 30,
    "label_smoothing": 0.0,
    "average_decay": 0.9,
    "validate_every": 160,
    "save_every": 160,
    "threads": 1,
}
SHORT = {"max_steps": 12, "batch_tokens": 60, "learning_rate": 0.01, "validate_every": 10, "save_every": 5}


class Killed(BaseException):
    """Ends a run in the middle."""


class Dying(Listener):
    """A listener whose run ends when it hears of a step."""

    def __init__(self, step: int = 0):
        super().__init__()
        self.dies_at = step

    def progress(self, progress: Any, *_: Any) -> None:
        super().progress(progress)
        if progress.step == self.dies_at:
            raise Killed


def write_pairs(path: Path, words: list[str], count: int, seed: int) -> Path:
    """Numbers in English, and in the language of the words."""
    draws = random.Random(seed)
    rows = [[draws.randrange(8) for _ in range(draws.randint(2, 5))] for _ in range(count)]
    sides = [[" ".join(side[number] for number in row) for side in (ENGLISH, words)] for row in rows]
    path.write_text("".join(f"{source}\t{target}\n" for source, target in sides), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("numbers")
    sets = {"old": (PORTUGUESE, 300), "old_dev": (PORTUGUESE, 8), "new": (ITALIAN, 300), "new_dev": (ITALIAN, 8)}
    return {
        name: write_pairs(folder / f"{name}.tsv", words, count, seed)
        for seed, (name, (words, count)) in enumerate(sets.items())
    }


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory, data: dict[str, Path]) -> Path:
    """A translator that has learnt the old pairs."""
    out = tmp_path_factory.mktemp("base") / "run"
    tables = {
        "model": {"hidden_size": 32, "num_layers": 1, "num_heads": 2, "feed_forward_size": 64, "dropout": 0.0},
        "tokens": {"vocab_size": 360},
        "training": TRAINING,
    }
    tables["model"]["max_length"] = 32
    sources = DataSettings(
        train=(str(data["old"]),),
        dev=(str(data["old_dev"]),),
        filter=False,
        source_language="en",
        target_language="pt",
    )
    settings = settings_from(tables, sources, 300, "", "test")
    Run(out, settings).train(*prepare_data(sources, 1, lambda text: None))
    return out


def go_on(
    out: Path,
    base: Path,
    data: dict[str, Path],
    dies_at: int = 0,
    old_dev: bool = True,
    tables: Any = (),
    **training: Any,
) -> tuple[dict[str, Any], Listener]:
    """Teach a translator the new pairs."""
    listener = Dying(dies_at)
    sources = DataSettings(
        train=(str(data["new"]),),
        dev=(str(data["new_dev"]),),
        filter=False,
        old_dev=(str(data["old_dev"]),) if old_dev else None,
    )
    loaded, digest = translator_base(str(base))
    given = {**dict(tables), "training": {**TRAINING, **training}}
    settings = settings_on(given, sources, str(base), loaded, digest, "test")
    pairs = prepare_data(settings.data, 1, listener.note)
    old = dev_pairs_of(settings.data, settings.data.old_dev, 1) if settings.data.old_dev else None
    return Run(out, settings, listener, loaded).train(*pairs, old), listener


def chrf(model: Path, pairs: Path) -> float:
    """Another path to a dev score: the finished folder, loaded and asked."""
    rows = [line.split("\t") for line in pairs.read_text().split("\n")[:-1]]
    found = regard.load(model).translate([source for source, _ in rows], SearchOptions(beam_size=1))
    return metrics.quick([result.text for result in found], [target for _, target in rows], "chrf")


def test_new_pairs_are_learnt_and_what_is_forgotten_is_told(
    tmp_path: Path, translator: Path, data: dict[str, Path]
) -> None:
    out = tmp_path / "run"
    best, listener = go_on(out, translator, data, validate_every=80)
    before = json.loads((out / "before.json").read_text())["scores"]
    assert before["old_chrf"] == pytest.approx(chrf(translator, data["old_dev"]))
    assert before["dev_chrf"] == pytest.approx(chrf(translator, data["new_dev"]))
    assert best["old_chrf"] == pytest.approx(chrf(out, data["old_dev"]))
    assert best["dev_chrf"] == pytest.approx(chrf(out, data["new_dev"]))
    assert before["old_chrf"] > 80
    assert best["dev_chrf"] > before["dev_chrf"] + 20
    assert best["old_chrf"] < before["old_chrf"] - 20
    gained, lost = best["dev_chrf"] - before["dev_chrf"], before["old_chrf"] - best["old_chrf"]
    change = (
        f"new dev: chrF {before['dev_chrf']:.1f} → {best['dev_chrf']:.1f}, {gained:.1f} gained; "
        f"old dev: chrF {before['old_chrf']:.1f} → {best['old_chrf']:.1f}, {lost:.1f} lost"
    )
    assert listener.notes[-1] == change
    said = [note for note in listener.notes if note.startswith("before: ")]
    assert len(said) == 1
    assert re.search(rf"dev chrF {before['dev_chrf']:.1f} .*; old dev chrF {before['old_chrf']:.1f} ", said[0])
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().split("\n") if line]
    validations = [row for row in rows if "dev_chrf" in row]
    assert [row["step"] for row in validations] == [80, 160]
    assert all({"old_chrf", "old_bleu", "old_loss"} <= set(row) for row in validations)
    card = (out / "model" / "README.md").read_text()
    assert f"Before this training and after it: {change}." in card
    assert f"Old dev: {data['old_dev']}" in card
    assert f"{translator}, trained further with regard" in card


def test_the_base_is_where_it_begins(tmp_path: Path, translator: Path, data: dict[str, Path]) -> None:
    changes = {"tables": {"model": {"dropout": 0.25}}, "max_steps": 1, "learning_rate": 1e-12, "average_decay": 0.0}
    best, listener = go_on(tmp_path / "run", translator, data, **changes)
    before, after = (read_weights(folder / "model" / "model.safetensors") for folder in (translator, tmp_path / "run"))
    assert all((before[name] - after[name]).abs().max() < 1e-6 for name in before)
    assert "unchanged; old dev" in listener.notes[-1]
    assert listener.notes[-1].endswith("unchanged")
    loaded, base = load(tmp_path / "run"), load(translator)
    assert loaded.model.config == dataclasses.replace(base.model.config, dropout=0.25)
    assert loaded.tokens.encode_source("one uno") == base.tokens.encode_source("one uno")
    assert (loaded.source_language, loaded.target_language) == ("en", "pt")
    assert best["dev_chrf"] == pytest.approx(chrf(translator, data["new_dev"]))


@pytest.mark.parametrize("arch", ["transformer", "gnmt"])
def test_a_run_that_died_goes_on_bit_for_bit(tmp_path: Path, data: dict[str, Path], arch: str) -> None:
    base = make_folder(tmp_path / "base", arch, max_length=24)
    settings = {**SHORT, "tables": {"tokens": {"dropout": 0.1}, "model": {"dropout": 0.2}}}
    _, whole = go_on(tmp_path / "whole", base, data, **settings)
    assert sum(note.startswith("before: ") for note in whole.notes) == 1
    spoken = []
    for step in (3, 11):  # before anything is saved but the base's scores, and later
        with pytest.raises(Killed):
            go_on(tmp_path / "parts", base, data, dies_at=step, **settings)
        spoken.append((tmp_path / "parts" / "before.json").stat().st_mtime_ns)
    _, listener = go_on(tmp_path / "parts", base, data, **settings)
    assert "going on from step-000010" in listener.notes
    assert not [note for note in listener.notes if note.startswith("before: ")]
    assert len({*spoken, (tmp_path / "parts" / "before.json").stat().st_mtime_ns}) == 1
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")
    files = [(tmp_path / run / "before.json").read_bytes() for run in ("whole", "parts")]
    assert files[0] == files[1]
    assert listener.notes[-1] == whole.notes[-1]


def test_the_scores_of_the_base_belong_to_their_data(tmp_path: Path, data: dict[str, Path]) -> None:
    base, out = make_folder(tmp_path / "base", max_length=24), tmp_path / "run"
    mine = {**data, "old_dev": write_pairs(tmp_path / "mine.tsv", PORTUGUESE, 5, seed=9)}
    with pytest.raises(Killed):
        go_on(out, base, mine, dies_at=3, **SHORT)
    first = (out / "before.json").read_text()
    write_pairs(tmp_path / "mine.tsv", ITALIAN, 5, seed=9)  # no checkpoint yet that would refuse it
    with pytest.raises(Killed):
        go_on(out, base, mine, dies_at=8, **SHORT)
    assert (out / "before.json").read_text() != first
    write_pairs(tmp_path / "mine.tsv", PORTUGUESE, 5, seed=9)
    with pytest.raises(CheckpointError, match="step-000005: was trained with other old dev data"):
        go_on(out, base, mine, **SHORT)
    (out / "before.json").write_text('{"data"')  # a damaged file costs another scoring, no more
    write_pairs(tmp_path / "mine.tsv", ITALIAN, 5, seed=9)
    _, listener = go_on(out, base, mine, **SHORT)
    assert sum(note.startswith("before: ") for note in listener.notes) == 1


def test_without_an_old_dev_set_nothing_is_said_of_it(tmp_path: Path, data: dict[str, Path]) -> None:
    base = make_folder(tmp_path / "base", max_length=24)
    best, listener = go_on(tmp_path / "run", base, data, old_dev=False, **SHORT)
    assert not [key for key in best if key.startswith("old_")]
    assert "old dev" not in " ".join(listener.notes)
    assert not (tmp_path / "run" / "before.json").exists()
    assert "Before this training" not in (tmp_path / "run" / "model" / "README.md").read_text()
    with pytest.raises(CheckpointError, match=r"data\.old_dev was None and is now"):
        go_on(tmp_path / "run", base, data, **SHORT)


def test_another_base_under_the_same_name_is_refused(tmp_path: Path, data: dict[str, Path]) -> None:
    base, out = make_folder(tmp_path / "base", max_length=24), tmp_path / "run"
    go_on(out, base, data, **SHORT)
    make_folder(base, seed=1)
    with pytest.raises(CheckpointError, match=r"model\.base_sha256 was"):
        go_on(out, base, data, **SHORT)


def test_the_run_keeps_its_own_copy_of_the_tokenizer(tmp_path: Path, data: dict[str, Path]) -> None:
    """The base is known by its weights alone."""
    base, out = make_folder(tmp_path / "base", max_length=24), tmp_path / "run"
    with pytest.raises(Killed):
        go_on(out, base, data, dies_at=8, **SHORT)
    loaded = load(base)
    tokens = loaded.tokens.train(ENGLISH * 3, ITALIAN * 3, loaded.tokens.vocab_size)
    save(base, loaded.model, dict(loaded.model.named_parameters()), tokens, "# Other words\n")
    go_on(out, base, data, **SHORT)
    assert load(out).tokens.encode_source("the cat") == loaded.tokens.encode_source("the cat")
    assert load(out).tokens.encode_source("the cat") != tokens.encode_source("the cat")


def test_settings_that_fit_going_on(tmp_path: Path) -> None:
    base = make_folder(tmp_path / "base")
    loaded, digest = translator_base(str(base))

    def complete(tables: Any, **languages: str) -> Any:
        sources = DataSettings(train=("x",), **languages)
        return settings_on(tables, sources, str(base), dataclasses.replace(loaded, source_language="en"), digest, "x")

    plan = complete({}).training
    fresh = settings_from({}, DataSettings(train=("x",)), 100, "", "x").training
    assert plan.learning_rate == fresh.learning_rate / 10
    assert (plan.max_steps, plan.warmup_steps, plan.patience) == (2_000, 100, 5)
    assert complete({"training": {"max_steps": 40}}).training.warmup_steps == 2
    assert complete({"training": {"warmup_steps": 7}}).training.warmup_steps == 7
    assert complete({}).data.source_language == "en"
    assert complete({}, source_language="de").data.source_language == "de"
    settings = complete({"model": {"arch": "transformer", "hidden_size": 16, "dropout": 0.4}})
    assert settings.model["dropout"] == 0.4
    assert f'base_sha256 = "{digest}"' in settings.to_toml()
    for tables, message in [
        ({"model": {"hidden_size": 32}}, rf"x: model.hidden_size is 16 in {base} and cannot become 32"),
        ({"model": {"arch": "rnn"}}, r"model.arch is 'transformer' in"),
        ({"model": {"size": 3}}, r"x, \[model\]: unknown setting size"),
        ({"model": {"dropout": 2.0}}, "dropout"),
        ({"tokens": {"vocab_size": 99}}, r"tokens.vocab_size is \d+ in .* cannot become 99"),
        ({"tokens": {"sharing": "separate"}}, "tokens.sharing is 'joint' in"),
        ({"tokenz": {}}, r"x: unknown table \[tokenz\]"),
    ]:
        with pytest.raises(ConfigError, match=message):
            complete(tables)
    with pytest.raises(ConfigError, match="begins from nothing has nothing to forget"):
        settings_from({"data": {"old_dev": ["y"]}}, DataSettings(train=("x",)), 100, "", "x")


def test_a_base_of_another_kind_is_refused(tmp_path: Path) -> None:
    translator, decoder = make_folder(tmp_path / "translator"), make_decoder_folder(tmp_path / "gpt")
    with pytest.raises(ModelError, match=r"is a language model \(gpt\), expected a translator"):
        translator_base(str(decoder))
    with pytest.raises(ModelError, match=r"is a transformer, expected a language model"):
        decoder_base(str(translator))
    with pytest.raises(ModelError, match=r"nowhere: there is no such folder. Expected a model folder or a run folder"):
        translator_base(str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match=r"bert-huge: is no folder, and no size"):
        encoder_base("bert-huge")


def test_words_for_gains_and_losses() -> None:
    before, after = {"dev_chrf": 10.0, "old_chrf": 50.0}, {"dev_chrf": 4.0, "old_chrf": 50.04}
    assert balance(before, after, "chrf") == "new dev: chrF 10.0 → 4.0, 6.0 lost; old dev: chrF 50.0 → 50.0, unchanged"
    before, after = {"dev_loss": 3.0, "old_loss": 2.0}, {"dev_loss": 2.5, "old_loss": 2.25}
    assert balance(before, after, "loss") == (
        "new dev: loss 3.000 → 2.500, 0.500 gained; old dev: loss 2.000 → 2.250, 0.250 lost"
    )


# Language models


def write_text(path: Path, verbs: dict[str, str], count: int, seed: int) -> Path:
    draws = random.Random(seed)
    animals = [draws.choice(sorted(verbs)) for _ in range(count)]
    path.write_text("".join(f"the {animal} {verbs[animal]} .\n" for animal in animals), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("texts")
    old, new = {"cat": "sees", "dog": "sings", "bird": "nods"}, {"cat": "sings", "dog": "nods", "bird": "sees"}
    sets = {"old": (old, 300), "old_dev": (old, 20), "new": (new, 300), "new_dev": (new, 20)}
    return {
        name: write_text(folder / f"{name}.txt", verbs, count, seed)
        for seed, (name, (verbs, count)) in enumerate(sets.items())
    }


READING = {"batch_tokens": 300, "learning_rate": 0.01, "validate_every": 40, "save_every": 5, "threads": 1}


def read_on(
    out: Path, base: Path | str, texts: dict[str, Path], dies_at: int = 0, old_dev: bool = True, **training: Any
) -> tuple[dict[str, Any], Listener]:
    """Teach a language model the new text."""
    listener = Dying(dies_at)
    corpus = CorpusSettings(
        train=(str(texts["new"]),),
        dev=(str(texts["new_dev"]),),
        documents="lines",
        old_dev=(str(texts["old_dev"]),) if old_dev else None,
    )
    model, completed = corpus_settings_on({"training": {**READING, **training}}, str(base), "test")
    return Pretraining(out, model, completed, corpus, "test", listener).train(), listener


def test_new_text_is_learnt_and_what_is_forgotten_is_told(tmp_path: Path, texts: dict[str, Path]) -> None:
    start = make_decoder_folder(tmp_path / "start")
    known = {**texts, "new": texts["old"], "new_dev": texts["old_dev"]}
    learnt, _ = read_on(tmp_path / "base", start, known, old_dev=False, max_steps=160, save_every=80)
    out = tmp_path / "run"
    best, listener = read_on(out, tmp_path / "base", texts, max_steps=120, save_every=60)
    before = json.loads((out / "before.json").read_text())["scores"]
    assert before["old_loss"] == pytest.approx(learnt["dev_loss"])
    assert best["dev_loss"] < before["dev_loss"] - 0.3
    assert best["old_loss"] > before["old_loss"] + 0.3
    assert listener.notes[-1] == balance(before, best, "loss")
    assert f"after it: {listener.notes[-1]}." in (out / "model" / "README.md").read_text()
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().split("\n") if line]
    assert [row["step"] for row in rows if "old_perplexity" in row] == [40, 80, 120]


def test_a_language_model_goes_on_bit_for_bit(tmp_path: Path, texts: dict[str, Path]) -> None:
    base = make_decoder_folder(tmp_path / "base")
    settings = {"max_steps": 12, "validate_every": 10}
    _, whole = read_on(tmp_path / "whole", base, texts, **settings)
    for step in (3, 11):
        with pytest.raises(Killed):
            read_on(tmp_path / "parts", base, texts, dies_at=step, **settings)
    _, listener = read_on(tmp_path / "parts", base, texts, **settings)
    assert not [note for note in listener.notes if note.startswith("before: ")]
    assert listener.notes[-1] == whole.notes[-1]
    for name in ("before.json", "checkpoints/step-000012/optimizer.safetensors", "model/model.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes(), name
    write_text(texts["old_dev"].with_name("other.txt"), {"cow": "moos"}, 20, 1)
    with pytest.raises(CheckpointError, match=r"data\.old_dev was"):
        read_on(tmp_path / "parts", base, {**texts, "old_dev": texts["old_dev"].with_name("other.txt")}, **settings)


def test_settings_of_a_language_model_that_goes_on(tmp_path: Path) -> None:
    base = str(make_decoder_folder(tmp_path / "base"))
    model, training = corpus_settings_on({}, base, "x")
    run = Pretraining(tmp_path / "run", model, training, CorpusSettings(train=("x",)))
    assert (run.plan.max_steps, run.plan.warmup_steps, run.plan.patience) == (2_000, 200, 5)
    assert run.plan.learning_rate == 1e-4
    assert corpus_settings_on({"model": {"max_length": 64}}, base, "x")[0].max_length == 64
    with pytest.raises(ConfigError, match=r"x: model.dropout cannot be set: .* Only model.max_length"):
        corpus_settings_on({"model": {"dropout": 0.3}}, base, "x")
    with pytest.raises(ConfigError, match="gpt-tiny begins from nothing and has nothing to forget"):
        Pretraining(tmp_path / "run", ModelSettings(base="gpt-tiny"), {}, CorpusSettings(train=("x",), old_dev=("y",)))
