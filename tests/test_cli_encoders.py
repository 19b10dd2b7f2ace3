"""Encoders from a shell: taught, scored, used; and the mistakes that people make on the way."""

import json
import random
import re
from pathlib import Path

import pytest

pytest.importorskip("torch")

from command_line import Command
from tiny_model import make_encoder_folder, make_folder

from regard.engines import encoder
from regard.models import folder

SMALL = [
    *("--set", "training.max_steps=120", "--set", "training.validate_every=40", "--set", "training.batch_tokens=200"),
    *("--set", "training.learning_rate=0.003", "--set", "training.threads=1", "--set", "data.dev_rows=20"),
]


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A heading, then whether a bird is in the text."""
    numbers = random.Random(3)
    rows = []
    for number in range(240):
        words = [numbers.choice(["the", "cat", "dog", "sees", "bird", "to"]) for _ in range(numbers.randint(2, 6))]
        rows.append(f'{number},{"yes" if "bird" in words else "no"},"{" ".join(words)}"')
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    path.write_text("id,bird,review\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


COLUMNS = ["--label", "bird", "--text", "review"]


def test_an_encoder_is_taught_scored_and_used(
    run: Command, tmp_path: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    taught = run("finetune", "bert-tiny", reviews, "--task", "classify", *COLUMNS, "--out", out, *SMALL)
    assert taught.status == 0, taught.err
    assert "read 240 rows, used 240" in taught.err
    assert f"try: regard predict {out} < text.txt" in taught.err
    scored = run("evaluate", out, reviews, *COLUMNS, "--out", tmp_path / "labels.txt")
    assert scored.status == 0, scored.err
    assert "left out" not in scored.err
    assert scored.lines[0] == f"{out} on {reviews}: 240 texts"
    predicted = (tmp_path / "labels.txt").read_text().split("\n")[:-1]
    gold = [line.split(",")[1] for line in reviews.read_text().split("\n")[1:-1]]
    right = 100 * sum(a == b for a, b in zip(gold, predicted, strict=True)) / len(gold)
    assert right > 90
    assert f"accuracy {right:.2f}".split() == scored.lines[2].split()[:2]
    report = json.loads(run("evaluate", out, reviews, *COLUMNS, "--json").out)
    assert report["scores"]["accuracy"]["value"] == pytest.approx(right)
    assert {row["label"]: row["n"] for row in report["classes"]} == {name: gold.count(name) for name in ("no", "yes")}
    used = run("predict", out, stdin="the bird sees\nthe dog\n")
    assert [line.split("\t")[0] for line in used.lines] == ["yes", "no"]
    plain, calibrated = (
        json.loads(run("predict", out, "--json", *more, stdin="the bird sees\n").out) for more in ([], ["--calibrated"])
    )
    temperature = json.loads((out / "model" / "config.json").read_text())["head"]["temperature"]
    assert temperature != 1
    odds = [found["probabilities"]["yes"] / found["probabilities"]["no"] for found in (plain, calibrated)]
    assert odds[0] ** (1 / temperature) == pytest.approx(odds[1], rel=1e-6)
    student = tmp_path / "student"
    longer = run("distil", out, reviews, *COLUMNS, "--out", student, *SMALL, "--set", "model.max_length=4096")
    assert longer.status == 2
    assert "model.max_length is 4,096, but a student takes as many tokens as its teacher" in longer.err
    loaded, read = [], folder.read_weights
    monkeypatch.setattr(folder, "read_weights", lambda path: (loaded.append(path), read(path))[1])
    smaller = run("distil", out, reviews, *COLUMNS, "--out", student, *SMALL)
    assert smaller.status == 0, smaller.err
    assert loaded == [out / "model" / "model.safetensors"], "the teacher, once"
    beside = re.search(
        r"dev accuracy [\d.]+, its teacher [\d.]+; [\d.]+ times as fast \(.* texts/s: .*\); .*", smaller.err
    )
    assert beside, smaller.err
    card = (student / "model" / "README.md").read_text()
    assert f"# A student of {out}, taught to classify" in card
    assert f"Beside its teacher: {beside.group()}." in card
    assert json.loads((student / "beside.json").read_text())["line"] == beside.group()
    assert json.loads((student / "model" / "config.json").read_text())["model"]["num_layers"] == 1
    report = json.loads(run("evaluate", student, reviews, *COLUMNS, "--json").out)
    assert report["scores"]["accuracy"]["value"] > 90


def test_a_student_begins_as_a_pre_trained_encoder(run: Command, tmp_path: Path, reviews: Path) -> None:
    """Of its teacher's size, of another, from masked words; it is known by its weights, and goes on as any run does."""
    text = tmp_path / "text.txt"
    text.write_text("\n\n".join(f"the cat sees the {word} ." for word in ("bird", "dog") * 40), encoding="utf-8")
    quick = ["--set", "training.max_steps=4", "--set", "training.batch_tokens=200", "--set", "training.threads=1"]
    pretrain = [*quick, "--set", "data.dev_tokens=100", "--set", "training.validate_every=4"]
    base, narrow, teacher = tmp_path / "base", tmp_path / "narrow", tmp_path / "teacher"
    assert run("pretrain", text, "--arch", "bert-tiny", "--out", base, *pretrain).status == 0
    sizes = ["--set", "model.hidden_size=32", "--set", "model.num_layers=1"]
    assert run("pretrain", text, "--arch", "bert-tiny", "--out", narrow, *pretrain, *sizes).status == 0
    taught = run("finetune", base, reviews, "--task", "classify", *COLUMNS, "--out", teacher, *SMALL)
    assert taught.status == 0, taught.err

    student = tmp_path / "student"
    command = ["distil", teacher, reviews, *COLUMNS, "--student", base, "--out", student, *SMALL]
    assert run(*command).status == 0
    layers = [
        json.loads((each / "model" / "config.json").read_text())["model"]["num_layers"] for each in (base, student)
    ]
    assert layers[0] == layers[1]
    assert 'student_sha256 = "' in (student / "config.toml").read_text()
    report = json.loads(run("evaluate", student, reviews, *COLUMNS, "--json").out)
    assert report["scores"]["accuracy"]["value"] > 90
    assert "already at step 120 of 120" in run(*command).err
    loaded = folder.load_encoder(base)
    assert loaded.tokens is not None
    weights = {name: value + 1 for name, value in loaded.model.named_parameters()}
    folder.save_encoder(base / "model", loaded.model, weights, loaded.tokens, "# Other\n")
    changed = run(*command)
    assert changed.status == 2
    assert "distil.student_sha256 was" in changed.err

    small = ["--student", narrow, "--set", "distil.hidden_weight=0"]
    other = run("distil", teacher, reviews, *COLUMNS, *small, "--out", tmp_path / "small", *SMALL)
    assert other.status == 0, other.err
    assert json.loads((tmp_path / "small" / "model" / "config.json").read_text())["model"]["hidden_size"] == 32
    masked = run("distil", base, text, *small, "--out", tmp_path / "masked", *pretrain)
    assert masked.status == 0, masked.err
    assert run("predict", tmp_path / "masked", "--fill", "--count", 1, stdin="the [MASK] sees .\n").status == 0

    refused = ["--out", tmp_path / "refused", *SMALL]
    for given, message in [
        (["--student", narrow], "the student's states have 32 numbers"),
        (["--student", tmp_path / "nowhere"], "nowhere is no folder; that of a pre-trained encoder was expected"),
        (["--student", base, "--layers", 1], "layers does nothing here: the student begins as distil.student"),
        (["--student", make_encoder_folder(tmp_path / "made")], "numbers its tokens otherwise than the teacher"),
    ]:
        found = run("distil", teacher, reviews, *COLUMNS, *given, *refused)
        assert (found.status, message in found.err) == (2, True), found.err


def test_seeds_that_go_on_from_one_head_have_a_mean(run: Command, tmp_path: Path, reviews: Path) -> None:
    quick = [*SMALL, "--task", "classify", *COLUMNS]
    assert run("finetune", "bert-tiny", reviews, *quick, "--out", tmp_path / "first").status == 0
    seeds = [tmp_path / f"seed{seed}" for seed in (2, 3)]
    for number, out in enumerate(seeds, 2):
        more = ["--set", f"training.seed={number}", "--set", "training.learning_rate=0.0003"]
        assert run("finetune", tmp_path / "first", reviews, *quick, *more, "--out", out).status == 0
    found = run("average", *seeds, "--out", tmp_path / "mean")
    assert (found.status, "warning" in found.err) == (0, False), found.err
    report = json.loads(run("evaluate", tmp_path / "mean", reviews, *COLUMNS, "--json").out)
    assert report["scores"]["accuracy"]["value"] > 90


def test_the_language_of_the_text_is_kept_and_passed_on(run: Command, tmp_path: Path, reviews: Path) -> None:
    """Named once: in the folder, the card, a page of it, what is taught further, what leaves and what returns."""
    text = tmp_path / "text.txt"
    text.write_text("\n\n".join(f"the cat sees the {word} ." for word in ("bird", "dog") * 40), encoding="utf-8")
    quick = ["--set", "training.max_steps=2", "--set", "training.batch_tokens=200", "--set", "training.threads=1"]
    pretrain = ["pretrain", text, *quick, "--set", "data.dev_tokens=100", "--language", "no", "--arch"]
    base, writer, taught, student = (tmp_path / name for name in ("base", "writer", "taught", "student"))
    assert run(*pretrain, "bert-tiny", "--out", base).status == 0
    assert run(*pretrain, "gpt-tiny", "--documents", "lines", "--out", writer).status == 0
    labelled = [reviews, *COLUMNS, *quick, "--set", "data.dev_rows=20"]
    assert run("finetune", base, *labelled, "--task", "classify", "--out", taught).status == 0
    assert run("distil", taught, *labelled, "--language", "nb", "--out", student).status == 0
    assert run("average", taught, f"{taught}:2", "--out", tmp_path / "mean").status == 0
    assert run("export", writer, "--to", "hf", "--out", tmp_path / "hf-writer").status == 0
    assert run("export", taught, "--to", "hf", "--out", tmp_path / "hf-taught").status == 0
    for made in (base, writer, taught, student):
        language = "nb" if made == student else "no"
        assert json.loads((made / "model" / "config.json").read_text())["language"] == language
        assert f'\nlanguage:\n- "{language}"\n---\n' in (made / "model" / "README.md").read_text()
        page = tmp_path / f"{made.name}.html"
        assert run("look", made, "the cat", "--out", page).status == 0
        assert f':"{language}"' in re.search(r'"languages":{[^}]*}', page.read_text()).group()
    for name in ("mean", "hf-writer", "hf-taught"):
        assert '\nlanguage:\n- "no"\n---\n' in (tmp_path / name / "README.md").read_text()
    for name in ("hf-writer", "hf-taught"):  # and comes back with it
        again = tmp_path / f"{name}-again"
        assert run("import", tmp_path / name, "--out", again).status == 0
        assert json.loads((again / "config.json").read_text())["language"] == "no"
        assert '\nlanguage:\n- "no"\n---\n' in (again / "README.md").read_text()
    nothing_said = run("finetune", "bert-tiny", *labelled, "--task", "classify", "--out", tmp_path / "none")
    assert nothing_said.status == 0, nothing_said.err
    assert "language" not in (tmp_path / "none" / "config.toml").read_text(), "runs of before go on"
    assert "language" not in (tmp_path / "none" / "model" / "README.md").read_text()


def test_masked_words_are_learnt_and_passed_on(run: Command, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("\n\n".join(f"the cat purrs .\nthe dog barks . {number % 7}" for number in range(150)))
    settings = ["--set", "training.max_steps=100", "--set", "training.batch_tokens=400", "--set", "training.threads=1"]
    settings += ["--set", "data.dev_tokens=100", "--set", "training.learning_rate=0.003"]
    taught = run("pretrain", text, "--arch", "bert-tiny", "--out", tmp_path / "run", *settings)
    assert taught.status == 0, taught.err
    assert "it learns:" in taught.err
    filled = run("predict", tmp_path / "run", "--fill", "--count", 1, stdin="the cat [MASK] .\n")
    assert filled.lines == ["purrs"]
    smaller = run("distil", tmp_path / "run", text, "--documents", "lines", "--out", tmp_path / "small", *settings)
    assert smaller.status == 0, smaller.err
    assert 'documents = "lines"' in (tmp_path / "small" / "config.toml").read_text()
    refused = run("distil", tmp_path / "run", text, "--label", 1, "--out", tmp_path / "labels", *settings)
    assert refused.status == 2
    assert "--label: says nothing of the student of an encoder of masked words" in refused.err
    hidden = "the cat [MASK] . the dog [MASK] . 3\n"
    assert run("predict", tmp_path / "small", "--fill", "--count", 1, stdin=hidden).lines == ["purrs | barks"]


def test_the_same_command_goes_on(run: Command, tmp_path: Path, reviews: Path) -> None:
    command = ["finetune", "bert-tiny", reviews, "--task", "classify", *COLUMNS, "--out", tmp_path / "run"]
    first = run(*command, *SMALL, "--set", "training.max_steps=2", "--set", "model.max_length=40")
    assert first.status == 0, first.err
    again = run(*command, *SMALL, "--set", "training.max_steps=2", "--set", "model.max_length=40")
    assert "already at step 2 of 2: nothing left to train" in again.err


def test_a_model_of_pairs_reads_pairs_and_no_other(run: Command, tmp_path: Path) -> None:
    rows = tmp_path / "pairs.tsv"
    rows.write_text("".join(f"yes\tthe cat {n}\tthe cat\nno\tthe dog {n}\tthe cat\n" for n in range(30)))
    pairs, single = tmp_path / "pairs", tmp_path / "single"
    quick = [*SMALL, "--set", "training.max_steps=2", "--set", "data.dev_rows=5"]
    assert run("finetune", "bert-tiny", rows, "--task", "pair", "--out", pairs, *quick).status == 0
    assert run("finetune", "bert-tiny", rows, "--task", "classify", "--out", single, *quick).status == 0
    reports = [run("evaluate", pairs, rows, *more, "--json").out for more in ([], ["--pair"], ["--other", 3])]
    assert len(set(reports)) == 1, "it knows that it reads pairs"
    assert (
        run("predict", pairs, stdin="the cat\tthe dog\n").out
        == run("predict", pairs, "--pair", stdin="the cat\tthe dog\n").out
    )
    for command in (["evaluate", single, rows, "--pair"], ["predict", single, "--pair"]):
        refused = run(*command, stdin="a\tb\n")
        assert refused.status == 2
        assert "single: has learnt to judge single texts, and was given pairs" in refused.err
    student = run("distil", pairs, rows, "--out", tmp_path / "student", *quick)
    assert student.status == 0, student.err
    assert json.loads((tmp_path / "student" / "model" / "config.json").read_text())["head"]["pair"] is True


@pytest.mark.parametrize(
    ("options", "line", "message"),
    [
        ([], "the " * 60, "has 62 tokens, the model takes 43. Split the text, or give --split-long."),
        (["--pair"], "the " * 30 + "\t" + "the " * 30, "has 63 tokens, the model takes 43. Split the text.\n"),
        (["--pair"], "no tab", "'no tab' is not two texts with one tab between."),
    ],
)
def test_a_wrong_line_is_named_and_costs_no_other(
    run: Command, tmp_path: Path, options: list[str], line: str, message: str
) -> None:
    model = make_encoder_folder(tmp_path / "model", task="classify", labels=("a", "b"), pooled=True)
    good = ["the cat\tthe dog", "a\tb"]
    expected = run("predict", model, *options, stdin="\n".join(good) + "\n").lines
    found = run("predict", model, *options, stdin="\n".join([*good, line, *good]) + "\n")
    assert (found.status, found.lines) == (2, expected)
    assert "regard: error: standard input, line 3: " in found.err
    assert message in found.err


@pytest.mark.parametrize(
    ("task", "options", "first", "second"),
    [("mask", ["--fill"], "[MASK] " + "the " * 60, "no mask"), ("classify", ["--pair"], "the " * 60 + "\ta", "no tab")],
    ids=["mask", "pair"],
)
def test_the_first_wrong_line_is_named_whatever_is_wrong_with_others(
    run: Command, tmp_path: Path, task: str, options: list[str], first: str, second: str
) -> None:
    labels = {"labels": ("a", "b"), "pooled": True} if task == "classify" else {}
    model = make_encoder_folder(tmp_path / "model", task=task, **labels)
    good = "a [MASK]" if task == "mask" else "the cat\tthe dog"
    expected = run("predict", model, *options, stdin=f"{good}\n").lines
    found = run("predict", model, *options, stdin=f"{good}\n{first}\n{good}\n{second}\n")
    assert (found.status, found.lines) == (2, expected)
    assert "regard: error: standard input, line 2: " in found.err


def test_a_line_without_a_mask_is_named(run: Command, tmp_path: Path) -> None:
    model = make_encoder_folder(tmp_path / "model", task="mask")
    (tmp_path / "a.txt").write_text("the [MASK]\n\n")
    found = run("predict", model, tmp_path / "a.txt", "--fill", "--count", 1)
    assert (found.status, len(found.lines)) == (2, 1)
    assert "a.txt, line 2: '' has no [MASK]" in found.err


def test_mistakes(run: Command, tmp_path: Path, reviews: Path) -> None:
    base = make_encoder_folder(tmp_path / "base")
    translator = make_folder(tmp_path / "translator")
    out = tmp_path / "run"
    taught = ["--task", "classify", *COLUMNS, "--out", out]
    for arguments, message in [
        (["finetune", base, reviews, "--task", "guess", "--out", out], "task 'guess' is unknown. Known are classify"),
        (["finetune", base, reviews, "--task", "classify", "--label", "stars", "--out", out], "no column 'stars'"),
        (["finetune", translator, reviews, *taught], "expected an encoder"),
        (
            ["finetune", base, reviews, *taught, "--set", "model.size=3"],
            "setting size",
        ),
        (
            ["finetune", base, reviews, *taught, "--set", "tokens.a=3"],
            "table [tokens]",
        ),
        (["finetune", base, tmp_path / "no.tsv", "--task", "classify", "--out", out], "no.tsv: there is no such file"),
        (
            ["distil", base, tmp_path / "no.tsv", "--out", out],  # the teacher comes first
            "base: has learnt no task; a teacher for --task classify was expected. Fine-tune it for that first.",
        ),
        (
            ["distil", base, reviews, "--documents", "lines", "--out", out],
            "--documents: says nothing of the student of an encoder that gives labels",
        ),
        (["pretrain", tmp_path / "no.txt", "--arch", "bert-tiny", "--out", out], "no.txt: there is no such file"),
        (["pretrain", reviews, "--arch", "bert-huge", "--out", out], "no size to begin from nothing with"),
        (["evaluate", base, reviews, *COLUMNS], "it cannot be scored: it has no head that labels"),
        (
            ["evaluate", base, reviews, *COLUMNS, "--paper", "de", "--beam", 1],
            "--paper, --beam: says nothing of an",
        ),
        (["finetune", "gpt-tiny", reviews, *taught], "gpt-tiny: is the size of a language model; a task wants"),
        (
            ["finetune", base, reviews, *taught[:-1], reviews],
            "reviews.csv: is a file. --out names the",
        ),
        (["predict", base, "--count", 3], "--count: says nothing of predict without --fill"),
    ]:
        found = run(*arguments)
        assert found.status == 2, found.err
        assert "Traceback" not in found.err
        assert message in found.err
        assert not found.out
    assert not (out / "checkpoints").exists()


@pytest.mark.parametrize("fast", [True, False])
def test_evaluate_says_in_which_type_it_multiplied_and_float32_can_be_asked(
    run: Command, tmp_path: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    monkeypatch.setattr(encoder, "fast_in_bf16", lambda: fast)
    model = make_encoder_folder(tmp_path / "bert", task="classify", labels=("no", "yes"))
    for more in ([], ["--float32"]):
        rounded = fast and not more
        assert ("products in bfloat16" in run("evaluate", model, reviews, *COLUMNS, *more).out) == rounded
        report = json.loads(run("evaluate", model, reviews, *COLUMNS, *more, "--json").out)
        assert report["products"] == ("bfloat16" if rounded else "float32")
    plain, full = (run("predict", model, *more, "--json", stdin="the cat\n").lines for more in ([], ["--float32"]))
    assert (plain != full) == fast
    (tmp_path / "pairs.tsv").write_text("the cat\to gato\n", encoding="utf-8")
    translator = make_folder(tmp_path / "translator")
    refused = run("evaluate", translator, tmp_path / "pairs.tsv", "--float32")
    assert refused.status == 2
    assert "--float32: says nothing of" in refused.err
