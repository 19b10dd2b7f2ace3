"""Fine-tuning learns, goes on as if nothing had happened, and refuses what does not fit."""

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_model import make_encoder_folder, make_text_tokens
from tiny_run import Listener

import regard
from regard.errors import CheckpointError, ConfigError, DataError, ModelError
from regard.interop import export_folder
from regard.models.folder import load_encoder
from regard.models.heads import HeadConfig
from regard.runs.data import prepare_labelled
from regard.runs.finetune_settings import HeadSettings, LabelledData
from regard.runs.finetuning import Finetuning
from regard.training import checkpoint
from regard.training.distil import DistilSettings

SETTINGS: dict[str, Any] = {
    "max_steps": 60,
    "batch_tokens": 120,
    "learning_rate": 0.003,
    "warmup_steps": 5,
    "validate_every": 30,
    "save_every": 10,
    "threads": 1,
    "average_decay": 0.9,
}
ANIMALS = ["cat", "dog", "bird"]


class Killed(BaseException):
    """Ends a run in the middle."""


def write(folder: Path, task: str, count: int = 160) -> str:
    """Texts that tell their label: whether there is a bird (in a pair: in the second), how many cats, what is alive."""
    numbers = random.Random(2)
    rows = []
    for _ in range(count):
        words = [numbers.choice(["the", "sees", "to", *ANIMALS]) for _ in range(numbers.randint(3, 9))]
        if task == "tag":
            rows.append("".join(f"{word}\t{'B-A' if word in ANIMALS else 'O'}\n" for word in words))
        elif task == "regress":
            rows.append(f"{100 + 10 * words.count('cat')}\t{' '.join(words)}")
        elif task == "pair":
            other = [numbers.choice(ANIMALS), *numbers.sample(words, 2)]
            rows.append(f"{'yes' if 'bird' in other else 'no'}\t{' '.join(words)}\t{' '.join(other)}")
        else:
            rows.append(f"{'yes' if 'bird' in words else 'no'}\t{' '.join(words)}")
    path = folder / ("data.conll" if task == "tag" else "data.tsv")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


def train(
    out: Path, data: str, base: Path | str, task: str = "classify", dies_at: int = 0, pool: Any = None, **training: Any
) -> tuple[dict[str, Any], Listener]:
    class Dying(Listener):
        def progress(self, progress: Any, *_: Any) -> None:
            super().progress(progress)
            if progress.step == dies_at:
                raise Killed

    listener = Dying()
    labelled = LabelledData(train=(data,), dev_rows=16)
    sizes = {} if Path(base).exists() else {"vocab_size": 60, "max_length": 32}
    head = HeadSettings(base=str(base), task=task, pool=pool, **sizes)
    run = Finetuning(out, head, {**SETTINGS, **training}, labelled, reporter=listener)
    return run.train(*prepare_labelled(labelled, run.task, run.seed, listener.note)), listener


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder_folder(tmp_path_factory.mktemp("base") / "model")


@pytest.mark.parametrize(
    ("task", "key", "least"),
    [
        ("classify", "dev_accuracy", 90),
        ("tag", "dev_entity_f1", 95),
        ("regress", "dev_spearman", 80),
        ("pair", "dev_accuracy", 80),
    ],
)
def test_each_task_is_learnt_from_nothing(tmp_path: Path, task: str, key: str, least: float) -> None:
    best, _ = train(
        tmp_path / "run",
        write(tmp_path, task, 400),
        "bert-tiny",
        task,
        max_steps=120,
        validate_every=60,
        batch_tokens=400,
    )
    assert best[key] >= least
    model = regard.load(tmp_path / "run")
    if task == "regress":  # in the labels' own unit
        few, many = model.predict(["the dog sees the dog", "cat cat cat sees cat"])
        assert isinstance(few, float)
        assert isinstance(many, float)
        assert 95 < few < 115 < many < 150
        assert best["dev_loss"] > 1, "of squared differences of numbers that lie tens apart"
        assert f"loss {best['dev_loss']:.4g}" in (tmp_path / "run" / "model" / "README.md").read_text()
    card = (tmp_path / "run" / "model" / "README.md").read_text()
    assert f"Best of 16 dev texts at step {best['step']}" in card


def test_numbers_that_float32_cannot_hold_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data.tsv").write_text("".join(f"{number}e39\ta cat {number}\n" for number in range(40)))
    with pytest.raises(DataError, match=r"up to 3\.9e\+40, are too large for float32"):
        train(tmp_path / "run", str(tmp_path / "data.tsv"), "bert-tiny", "regress")


def test_a_run_that_died_goes_on_bit_for_bit(tmp_path: Path, base: Path) -> None:
    data = write(tmp_path, "classify")
    for extra in ({}, {"unfreeze_steps": 12, "layer_decay": 0.7}):
        whole, parts = tmp_path / f"whole{len(extra)}", tmp_path / f"parts{len(extra)}"
        train(whole, data, base, **extra)
        for step in (7, 33):
            with pytest.raises(Killed):
                train(parts, data, base, dies_at=step, **extra)
        _, listener = train(parts, data, base, **extra)
        assert "going on from step-000030" in listener.notes
        for name in ("weights", "average", "optimizer"):
            files = [
                (run / "checkpoints" / "step-000060" / f"{name}.safetensors").read_bytes() for run in (whole, parts)
            ]
            assert files[0] == files[1], name
        models = [(run / "model" / "model.safetensors").read_bytes() for run in (whole, parts)]
        assert models[0] == models[1]


def given(
    out: Path, base: Path, rows: dict[str, str], task: str = "classify", **model: Any
) -> tuple[dict[str, Any], Listener]:
    """Fine-tune with dev rows of their own."""
    paths = {}
    for name, text in rows.items():
        paths[name] = out.parent / f"{name}{'.conll' if task == 'tag' else '.tsv'}"
        paths[name].write_text(text, encoding="utf-8")
    listener = Listener()
    labelled = LabelledData(train=(str(paths["train"]),), dev=(str(paths["dev"]),))
    head = HeadSettings(base=str(base), task=task, **model)
    run = Finetuning(out, head, {**SETTINGS, "max_steps": 2, "validate_every": 2}, labelled, reporter=listener)
    return run.train(*prepare_labelled(labelled, run.task, run.seed, listener.note)), listener


TRAIN_ROWS = "yes\tthe bird sees\nno\tthe cat sees\n" * 4


def test_dev_texts_that_are_too_long_are_told_and_not_counted(tmp_path: Path, base: Path) -> None:
    long = "yes\t" + "the bird " * 100 + "\n"
    _, listener = given(tmp_path / "run", base, {"train": TRAIN_ROWS, "dev": "no\ta cat\n" + long * 3})
    assert any("3 of 4 dev texts have more than" in note for note in listener.notes)
    assert "Best of 1 dev texts" in (tmp_path / "run" / "model" / "README.md").read_text()
    with pytest.raises(DataError, match=r"none of 3 dev texts fits into .* tokens\. Have single texts read in"):
        given(tmp_path / "other", base, {"train": TRAIN_ROWS, "dev": long * 3})
    assert not (tmp_path / "other" / "config.toml").exists(), "the folder is free for a better try"


def test_dev_labels_that_are_not_learnt_are_refused_before_training(tmp_path: Path, base: Path) -> None:
    with pytest.raises(DataError, match=r"dev\.tsv: the label maybe is none of those to learn: no, yes"):
        given(tmp_path / "run", base, {"train": TRAIN_ROWS, "dev": "maybe\ta cat\n"})
    assert not (tmp_path / "run" / "config.toml").exists()
    tagged = "the\tO\ncat\tB-A\n\n" * 4
    _, listener = given(tmp_path / "tags", base, {"train": tagged, "dev": "a\tO\nbird\tB-B\n"}, "tag")
    assert any("the tags B-B are none of those to learn" in note for note in listener.notes)


def test_a_class_that_was_held_out_whole_is_known_and_told(tmp_path: Path, base: Path) -> None:
    rows = "".join(f"{'rare' if number == 7 else 'yes'}\tbird {number}\nno\tcat {number}\n" for number in range(10))
    path = tmp_path / "data.tsv"
    path.write_text(rows, encoding="utf-8")
    listener = Listener()
    for seed in range(40):  # until the one text of its class is held out
        labelled = LabelledData(train=(str(path),), dev_rows=2)
        train_rows, dev_rows = prepare_labelled(labelled, "classify", seed, listener.note)
        if "rare" in dev_rows.names():
            break
    assert "rare" not in train_rows.names()
    head = HeadSettings(base=str(base), task="classify")
    Finetuning(tmp_path / "run", head, {**SETTINGS, "max_steps": 1}, labelled, reporter=listener).train(
        train_rows, dev_rows
    )
    assert load_encoder(tmp_path / "run").model.config.labels == ("no", "rare", "yes")
    assert any(note.startswith("rare: only among the held-out texts") for note in listener.notes)


def test_a_column_of_texts_is_not_taken_for_labels(tmp_path: Path, base: Path) -> None:
    rows = "".join(f"the {number} bird\tyes\n" for number in range(30))
    with pytest.raises(
        DataError, match=r"30 texts have 30 different labels .* label from column 1, text from column 2"
    ):
        given(tmp_path / "run", base, {"train": rows, "dev": "the 1 bird\tyes\n"})


def test_dev_texts_that_are_trained_on_are_told(tmp_path: Path, base: Path) -> None:
    _, listener = given(tmp_path / "run", base, {"train": TRAIN_ROWS, "dev": "no\tThe cat sees.\nno\ta cat\n"})
    assert "1 of 2 dev texts are also among the training texts: dev scores will flatter." in listener.notes
    assert "label from column 1, text from column 2; 2 different labels: no, yes" in listener.notes


def test_a_number_of_rows_to_hold_out_beside_a_dev_set_is_told(tmp_path: Path) -> None:
    data = write(tmp_path, "classify", 20)
    for count, told in ((1_000, []), (300, ["data.dev_rows does nothing here: --dev is used whole."])):
        notes: list[str] = []
        prepare_labelled(LabelledData(train=(data,), dev=(data,), dev_rows=count), "classify", 1, notes.append)
        assert [note for note in notes if "dev_rows" in note] == told


def test_layers_that_are_frozen_stay_as_they_were(tmp_path: Path, base: Path) -> None:
    data = write(tmp_path, "classify")
    with pytest.raises(Killed):
        train(tmp_path / "run", data, base, unfreeze_steps=15, average_decay=0.0, dies_at=11)
    before = dict(load_encoder(base).model.encoder.named_parameters())
    weights = checkpoint.read_weights(tmp_path / "run" / "checkpoints" / "step-000010" / "weights.safetensors")
    changed = {name for name, value in before.items() if not torch.equal(value, weights[f"encoder.{name}"])}
    assert changed == {"pooler.weight", "pooler.bias"}
    with pytest.raises(ConfigError, match="the lowest of the 4 levels would begin to learn after 60 steps"):
        train(tmp_path / "late", data, base, unfreeze_steps=20)


def test_a_run_that_failed_leaves_its_folder_to_the_next(tmp_path: Path) -> None:
    data, out = write(tmp_path, "classify"), tmp_path / "run"
    with pytest.raises(Killed):
        train(out, data, "bert-tiny", dies_at=1)
    labelled = LabelledData(train=(data,), dev_rows=16)
    head = HeadSettings(base="bert-tiny", task="classify", vocab_size=40, max_length=32)
    run = Finetuning(out, head, {**SETTINGS, "max_steps": 1}, labelled)
    run.train(*prepare_labelled(labelled, run.task, run.seed, lambda text: None))
    assert load_encoder(out).tokens.vocab_size <= 40  # made anew too
    with pytest.raises(CheckpointError, match=r"training.max_steps was 1 and is now 60"):
        train(out, data, "bert-tiny")


def test_the_same_question_goes_on_with_its_head(tmp_path: Path, base: Path) -> None:
    data = write(tmp_path, "classify")
    first, _ = train(tmp_path / "first", data, base)
    again, _ = train(tmp_path / "again", data, tmp_path / "first", max_steps=1, learning_rate=1e-9)
    assert again["dev_accuracy"] == first["dev_accuracy"]


@pytest.mark.parametrize("from_nothing", [True, False])
def test_dropout_is_as_it_was_or_as_it_is_set(tmp_path: Path, from_nothing: bool) -> None:
    name = "bert-tiny" if from_nothing else str(make_encoder_folder(tmp_path / "base", dropout=0.2))
    labelled = LabelledData(train=(write(tmp_path, "classify"),), dev_rows=16)

    def made(out: Path, **given: Any) -> tuple[float, float, list[float]]:
        run = Finetuning(out, HeadSettings(base=name, task="classify", **given), {**SETTINGS, "max_steps": 1}, labelled)
        run.train(*prepare_labelled(labelled, run.task, run.seed, lambda text: None))
        config = load_encoder(out).model.encoder.config
        losses = [json.loads(line)["dev_loss"] for line in (out / "metrics.jsonl").read_text().splitlines()]
        return config.dropout, config.attention_dropout, losses

    before = (0.1, 0.1) if from_nothing else (0.2, 0.1)
    assert made(tmp_path / "as-it-was")[:2] == before
    *dropout, with_much = made(tmp_path / "set", encoder_dropout=0.5)
    assert dropout == [0.5, 0.5]
    assert with_much != made(tmp_path / "none", encoder_dropout=0.0)[2]
    for wrong in ({"encoder_dropout": 1.0}, {"dropout": -0.1}):
        with pytest.raises(ConfigError, match=r"model\.\w*dropout must be at least 0 and below 1"):
            made(tmp_path / "wrong", **wrong)


def test_an_encoder_without_pooling_gets_it(tmp_path: Path) -> None:
    base = make_encoder_folder(tmp_path / "base", pooled=False)
    train(tmp_path / "run", write(tmp_path, "classify"), base, max_steps=2)
    assert load_encoder(tmp_path / "run").model.encoder.pooler is not None
    train(tmp_path / "tags", write(tmp_path, "tag"), base, "tag", max_steps=2)
    assert load_encoder(tmp_path / "tags").model.encoder.pooler is None


@pytest.mark.parametrize("from_nothing", [True, False])
def test_a_label_is_told_from_the_mean_of_all_tokens(tmp_path: Path, base: Path, from_nothing: bool) -> None:
    data = write(tmp_path, "classify")
    first, _ = train(tmp_path / "first", data, "bert-tiny" if from_nothing else base, pool="mean")
    if from_nothing:  # the base is all chance
        assert first["dev_accuracy"] > 90
    made = load_encoder(tmp_path / "first").model
    assert (made.config.pool, made.encoder.pooler) == ("mean", None), "nothing reads that layer"
    again, _ = train(tmp_path / "again", data, tmp_path / "first", max_steps=1, learning_rate=1e-9)
    assert again["dev_accuracy"] == first["dev_accuracy"]
    assert load_encoder(tmp_path / "again").model.config.pool == "mean", "as the base has it"
    train(tmp_path / "other", data, tmp_path / "first", max_steps=1, pool="first")
    other = load_encoder(tmp_path / "other").model
    assert other.config.pool == "first"
    assert other.encoder.pooler is not None
    with pytest.raises(ModelError, match=r"BertForSequenceClassification: pool is mean, expected first\. The class"):
        export_folder(tmp_path / "first", tmp_path / "out")
    with pytest.raises(ConfigError, match="pool does nothing here: each word has its own tag"):
        train(tmp_path / "tags", write(tmp_path, "tag"), base, "tag", pool="mean")
    with pytest.raises(ConfigError, match="pool must be one of first, mean, got 'last'"):
        HeadConfig(task="classify", labels=("a", "b"), pool="last")  # type: ignore[arg-type]


def test_a_label_is_told_as_a_bare_base_says(tmp_path: Path) -> None:
    base = make_encoder_folder(tmp_path / "mean", task="none", labels=(), pool="mean")
    data = write(tmp_path, "classify")
    _, listener = train(tmp_path / "run", data, base, max_steps=1)
    assert load_encoder(tmp_path / "run").model.config.pool == "mean"
    assert any("told from the mean of a text's tokens" in each for each in listener.notes)
    train(tmp_path / "first", data, base, max_steps=1, pool="first")
    assert load_encoder(tmp_path / "first").model.config.pool == "first"
    _, listener = train(tmp_path / "tags", write(tmp_path, "tag"), base, "tag", max_steps=1)
    assert load_encoder(tmp_path / "tags").model.config.pool == "mean", "for a head for texts after it"
    assert not any("told from the mean" in each for each in listener.notes)


def test_a_student_reads_as_its_teacher_does(tmp_path: Path, base: Path) -> None:
    data = write(tmp_path, "classify")
    train(tmp_path / "teacher", data, base, pool="mean", max_steps=2)
    labelled = LabelledData(train=(data,), dev_rows=16)
    head = HeadSettings(base=str(tmp_path / "teacher"), task="classify")
    run = Finetuning(tmp_path / "student", head, {**SETTINGS, "max_steps": 2}, labelled, distil=DistilSettings())
    run.train(*prepare_labelled(labelled, run.task, run.seed, lambda text: None))
    student = load_encoder(tmp_path / "student").model
    assert (student.config.pool, student.encoder.config.num_layers) == ("mean", 1)
    asked = dataclasses.replace(head, pool="first")
    with pytest.raises(ConfigError, match="pool does nothing here: a student has its teacher's"):
        Finetuning(tmp_path / "wrong", asked, SETTINGS, labelled, distil=DistilSettings())


def test_steps_follow_the_data(tmp_path: Path, base: Path) -> None:
    out = tmp_path / "run"
    data = write(tmp_path, "classify")
    few = dict.fromkeys(("max_steps", "warmup_steps", "validate_every", "save_every"))
    kept = {key: value for key, value in SETTINGS.items() if key not in few}
    labelled = LabelledData(train=(data,), dev_rows=16)
    run = Finetuning(out, HeadSettings(base=str(base), task="classify"), {**kept, "max_epochs": 2}, labelled)
    rows = prepare_labelled(labelled, run.task, run.seed, lambda text: None)
    run.train(*rows)
    state = json.loads(max((out / "checkpoints").iterdir()).joinpath("state.json").read_text())
    assert state["position"] == [2, 0]


def test_what_does_not_fit_is_refused(tmp_path: Path, base: Path) -> None:
    data = write(tmp_path, "classify")
    train(tmp_path / "run", data, base, max_steps=2)
    with pytest.raises(CheckpointError, match=r"training\.learning_rate was 0\.003 and is now 0\.01"):
        train(tmp_path / "run", data, base, max_steps=2, learning_rate=0.01)
    with pytest.raises(CheckpointError, match="other training data"):
        train(tmp_path / "run", write(tmp_path, "classify", 159), base, max_steps=3 - 1)
    with pytest.raises(ModelError, match=r"bert-huge: is no folder, and no size to begin .*bert-tiny"):
        train(tmp_path / "x", data, "bert-huge")
    with pytest.raises(ConfigError, match="dev_metric 'entity_f1' says nothing of --task classify"):
        train(tmp_path / "x", data, base, dev_metric="entity_f1")
    with pytest.raises(ConfigError, match=r"\[distil\]: temperature does nothing here: numbers have no distribution"):
        Finetuning(
            tmp_path / "x",
            HeadSettings(base=str(base), task="regress"),
            {},
            LabelledData(train=(data,)),
            distil=DistilSettings(temperature=3.0),
        )
    with pytest.raises(ConfigError, match="numbers are not smoothed"):
        train(tmp_path / "x", write(tmp_path, "regress"), base, "regress", label_smoothing=0.1)
    (tmp_path / "one.tsv").write_text("a\tthe cat\n" * 15 + "".join(f"a\tcat {n}\n" for n in range(20)))
    with pytest.raises(DataError, match="every text has the label a: there is nothing to tell apart"):
        train(tmp_path / "x", str(tmp_path / "one.tsv"), base)
    (tmp_path / "bare").mkdir()
    with pytest.raises(ModelError, match=r"no config\.json here"):
        train(tmp_path / "x", data, tmp_path / "bare")


def test_another_base_under_the_same_name_is_noticed(tmp_path: Path) -> None:
    base = make_encoder_folder(tmp_path / "base")
    data = write(tmp_path, "classify")
    train(tmp_path / "run", data, base, max_steps=2)
    from regard.models.folder import save_encoder

    tokens = make_text_tokens(tmp_path)
    model = load_encoder(base).model
    weights = {name: value + 1 for name, value in model.named_parameters()}
    save_encoder(base, model, weights, tokens, "# Other\n")
    with pytest.raises(CheckpointError, match=r"model\.base_sha256 was"):
        train(tmp_path / "run", data, base, max_steps=2)


def test_a_long_text_is_read_by_blocks(tmp_path: Path) -> None:
    """The word that tells stands after more tokens than any block pattern of this size attends to in full."""
    numbers = random.Random(6)
    rows = []
    for number in range(60):
        words = [numbers.choice(["the", "sees", "to", "dog"]) for _ in range(900)]
        words[numbers.randint(600, 890)] = ("cat", "bird")[number % 2]
        rows.append(f"{number % 2}\t{' '.join(words)}")
    path = tmp_path / "long.tsv"
    path.write_text("\n".join(rows) + "\n")
    labelled = LabelledData(train=(str(path),), dev_rows=6)
    head = HeadSettings(base="bigbird-tiny", task="classify", vocab_size=60, max_length=1_024, num_layers=1)
    run = Finetuning(tmp_path / "run", head, {**SETTINGS, "max_steps": 2, "batch_tokens": 1_800}, labelled)
    best = run.train(*prepare_labelled(labelled, run.task, run.seed, lambda text: None))
    encoder = load_encoder(tmp_path / "run").model.encoder
    assert encoder.config.max_length == 1_024
    assert encoder.config.num_random_blocks == 3
    assert (encoder.config.num_layers, encoder.config.hidden_size) == (1, 128)
    assert best["step"] <= 2
    found = regard.load(tmp_path / "run").predict([rows[0].split("\t")[1]])
    assert found[0].label in ("0", "1")
    with pytest.raises(ModelError, match="Split the text"):
        regard.load(tmp_path / "run").predict(["the dog " * 600])


def test_a_bert_asked_for_longer_texts_becomes_a_bigbird(tmp_path: Path, base: Path) -> None:
    data = tmp_path / "long.tsv"
    data.write_text("".join(f"{number % 2}\t{'the dog sees ' * (30 + number)}\n" for number in range(40)))
    labelled = LabelledData(train=(str(data),), dev_rows=6)
    taken = load_encoder(base).model.encoder.config.max_length

    def run(folder: Path, base: Path, max_length: int) -> Listener:
        listener = Listener()
        head = HeadSettings(base=str(base), task="classify", max_length=max_length)
        lesson = Finetuning(folder, head, {**SETTINGS, "max_steps": 2}, labelled, "x", listener)
        lesson.train(*prepare_labelled(labelled, lesson.task, lesson.seed, listener.note))
        return listener

    with pytest.raises(DataError, match=r"none of 36 texts fits into \d+ tokens"):
        run(tmp_path / "short", base, 0)
    listener = run(tmp_path / "long", base, 200)
    assert f"{base} takes {taken} tokens: lengthened to a BigBird that takes 200." in listener.notes
    assert load_encoder(tmp_path / "long").model.encoder.config.max_length == 200
    assert regard.load(tmp_path / "long").predict([" ".join(["the dog sees"] * 40)])
    distilbert = make_encoder_folder(tmp_path / "distilbert", arch="distilbert")
    for other, length in ((base, taken - 1), (distilbert, 200)):
        with pytest.raises(ConfigError, match=rf"x: model.max_length is {length}, but .* Leave it out"):
            run(tmp_path / "refused", other, length)


@pytest.mark.parametrize(("task", "kept_apart"), [("classify", "no text shared"), ("pair", "no pair shared")])
def test_what_is_held_out_is_said_as_it_is(tmp_path: Path, task: Any, kept_apart: str) -> None:
    rows = "".join(f"{number % 2}\ttext {number}\tthe same in every row\n" for number in range(40))
    (tmp_path / "rows.tsv").write_text(rows, encoding="utf-8")
    notes: list[str] = []
    data = LabelledData(train=(str(tmp_path / "rows.tsv"),))
    assert len(prepare_labelled(data, task, 1, notes.append)[1]) == 4
    assert kept_apart in notes[-1]
