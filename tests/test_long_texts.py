"""Texts longer than a model takes: which stretches are read of them, and how what is said of these is joined."""

import itertools
import random
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import Command
from tiny_model import make_encoder_folder, make_text_tokens

import regard
from regard import long_texts
from regard.api import Model
from regard.data.text_tokens import TextIds, TextTokens
from regard.errors import ModelError

LIMIT = 12
TEXT = "the cat sees the dog and the bird sings to the cat a dog no man the end "


class Recorder:
    """An engine that says of each input what it is told to, and keeps what it read."""

    max_length = LIMIT

    def __init__(self, says: Callable[[TextIds], np.ndarray]):
        self.read: list[TextIds] = []
        self._says = says

    def logits(self, inputs: list[TextIds]) -> list[np.ndarray]:
        self.read += inputs
        return [self._says(each) for each in inputs]


def ids_and_nearer_edges(read: TextIds) -> np.ndarray:
    """For each token its id, and how many tokens of the text stand on its poorer side."""
    return np.array([[number, min(place - 1, len(read) - 2 - place)] for place, number in enumerate(read.ids)])


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> TextTokens:
    return make_text_tokens(tmp_path_factory.mktemp("tokens"))


def text_of(tokens: TextTokens, length: int) -> TextIds:
    """A text of so many tokens, the special ones counted."""
    read = tokens.encode(TEXT * 5)
    size = length - 2
    return TextIds(
        *([field[0], *field[1 : size + 1], field[-1]] for field in (read.ids, read.types, read.spans, read.special))
    )


@pytest.mark.parametrize("length", [2, 3, LIMIT - 1, LIMIT, LIMIT + 1, LIMIT + 7, LIMIT + 8, LIMIT + 9, 3 * LIMIT, 60])
def test_each_token_is_read_and_its_label_comes_from_where_most_stands_around_it(
    tokens: TextTokens, length: int
) -> None:
    read = text_of(tokens, length)
    engine = Recorder(ids_and_nearer_edges)
    joined = long_texts.logits(engine, [read])[0]
    assert joined[:, 0].tolist() == read.ids
    if length <= LIMIT:
        assert engine.read == [read]
        return
    assert {len(part) for part in engine.read} == {LIMIT}
    for part in engine.read:
        assert (part.ids[0], part.ids[-1], part.special) == (read.ids[0], read.ids[-1], [True, *[False] * 10, True])
    begins = [read.spans.index(part.spans[1]) for part in engine.read]
    assert (begins[0], begins[-1] + 10) == (1, length - 1)
    for one, two in itertools.pairwise(begins):
        assert one < two <= one + 8, "ten tokens of the text, at least two of them in the next stretch"
    assert len(begins) == 1 + -(-(length - LIMIT) // 8), "no stretch more than it takes"
    for place in range(1, length - 1):
        around = [min(place - begin, begin + 9 - place) for begin in begins]
        assert joined[place, 1] == max(around)


def test_classes_are_by_the_mean_of_all_stretches(tokens: TextTokens) -> None:
    long, short = text_of(tokens, 20), text_of(tokens, 5)
    engine = Recorder(lambda read: np.array([float(sum(read.ids)), 1.0]))
    found = long_texts.logits(engine, [short, long, short])
    first, second = (sum(part.ids) for part in engine.read[1:3])
    assert len(engine.read) == 4
    assert first != second
    assert found[1].tolist() == [(first + second) / 2, 1.0]
    assert found[0].tolist() == found[2].tolist() == [sum(short.ids), 1.0]


def test_what_cannot_be_split_is_refused(tokens: TextTokens) -> None:
    engine = Recorder(lambda read: np.zeros(2))
    with pytest.raises(ModelError, match="an input of two texts cannot be read in stretches"):
        long_texts.logits(engine, [tokens.encode("the cat sees the dog", "a bird sings to no cat and the dog")])
    engine.max_length = 5
    with pytest.raises(ModelError, match="takes 5 tokens: too few"):
        long_texts.logits(engine, [tokens.encode("the cat sees the dog")])


def test_predict_and_evaluate_read_long_texts_where_they_are_told_to(run: Command, tmp_path: Path) -> None:
    folder = make_encoder_folder(tmp_path / "model", task="classify", labels=("a", "b"), pooled=True)
    model = regard.load(folder)
    long = "the cat sees a dog " * 20
    mean = np.mean(_of_each_stretch(model, long), axis=0)
    shares = np.exp(mean - mean.max()) / np.exp(mean - mean.max()).sum()
    found = model.predict(["the cat", long], split_long=True)
    assert [found[1].probabilities[label] for label in "ab"] == pytest.approx(shares.tolist())
    assert found[0] == model.predict(["the cat"])[0]
    number = regard.load(make_encoder_folder(tmp_path / "number", task="classify", labels=("value",)))
    expected = float(np.mean(_of_each_stretch(number, long)))
    assert number.predict([long], split_long=True) == [pytest.approx(expected)]
    lines = run("predict", folder, "--split-long", stdin=f"the cat\n{long}\nthe cat\n").lines
    assert len(lines) == 3
    assert lines[0] == lines[2]
    (tmp_path / "rows.tsv").write_text(f"a\tthe cat\nb\tthe dog\na\t{long}\n")
    scored = run("evaluate", folder, tmp_path / "rows.tsv", "--split-long").out
    assert "3 texts" in scored
    assert "longer than the model takes, and read in stretches: 1" in scored
    assert "2 texts (not judged: longer than the model takes 1)" in run("evaluate", folder, tmp_path / "rows.tsv").out


def _of_each_stretch(model: Model, text: str) -> list[np.ndarray]:
    kept: list[TextIds] = []

    class Spy:
        max_length = model.engine.max_length

        def logits(self, inputs: list[TextIds]) -> list[np.ndarray]:
            kept.extend(inputs)
            return [np.zeros(2) for _ in inputs]

    long_texts.logits(Spy(), [model.engine.tokens.encode(text)])
    assert len(kept) > 2
    return model.engine.logits(kept)


def test_words_of_a_long_text_have_the_labels_they_have_where_they_stand(run: Command, tmp_path: Path) -> None:
    folder = make_encoder_folder(tmp_path / "model", task="tag", labels=("O", "B-X"))
    long = "the cat sees a dog " * 20
    words = regard.load(folder).predict([long.strip()], split_long=True)[0]
    assert [word.text for word in words] == long.split()
    assert "".join(long[word.first : word.end] for word in words) == long.replace(" ", "")
    assert len(run("predict", folder, "--split-long", "--words", stdin=long + "\n").lines[0].split(" ")) == 100


PLAN = (
    *("training.batch_tokens=200", "training.learning_rate=0.003", "training.warmup_steps=5"),
    *("training.validate_every=40", "training.threads=1", "data.dev_rows=20"),
)


def settings(max_steps: int, *more: str) -> list[str]:
    return [part for each in (*PLAN, *more, f"training.max_steps={max_steps}") for part in ("--set", each)]


def long_reviews(path: Path, count: int) -> Path:
    """Texts of 20 to 60 words, good or bad, of which each stretch tells which."""
    numbers = random.Random(3)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            label = numbers.choice(["good", "bad"])
            told = ["bird", "sings"] if label == "good" else ["dog", "sees"]
            words = [numbers.choice(["the", "to", "man", *told, *told]) for _ in range(numbers.randint(20, 60))]
            file.write(f"{label}\t{' '.join(words)}\n")
    return path


def test_long_texts_are_learnt_judged_and_distilled_in_stretches(run: Command, tmp_path: Path) -> None:
    data, out = long_reviews(tmp_path / "long.tsv", 150), tmp_path / "run"
    finetune = ["finetune", "bert-tiny", data, "--task", "classify", "--out", out]
    refused = run(*finetune, *settings(40, "model.max_length=16"))
    assert refused.status == 2
    assert re.search("fits into 16 tokens.*--split-long", refused.err)
    done = run(*finetune, "--split-long", *settings(40, "model.max_length=16"))
    assert done.status == 0, done.err
    assert re.search(r"135 training texts have more than 16 tokens: \d+ stretches are learnt from 135 texts", done.err)
    assert f"regard predict {out} --split-long" in done.err
    assert "not judged" not in done.err
    rows = [line.split("\t") for line in long_reviews(tmp_path / "new.tsv", 190).read_text().splitlines()[150:]]
    found = regard.load(out).predict([text for _, text in rows], split_long=True)
    assert [each.label for each in found] == [label for label, _ in rows]
    student = run("distil", out, data, "--split-long", "--layers", 1, "--out", tmp_path / "student", *settings(2))
    assert student.status == 0, student.err
    assert "student: " in student.err


def test_words_of_long_texts_are_learnt_in_stretches(run: Command, tmp_path: Path) -> None:
    numbers, lines = random.Random(4), []
    for _ in range(60):
        words = numbers.choices(["the", "to", "man", "cat", "dog", "bird", "sees", "sings"], k=numbers.randint(20, 60))
        lines += [f"{word}\t{'B-ANIMAL' if word in ('cat', 'dog', 'bird') else 'O'}" for word in words] + [""]
    (tmp_path / "long.conll").write_text("\n".join(lines) + "\n", encoding="utf-8")
    finetune = ["finetune", "bert-tiny", tmp_path / "long.conll", "--task", "tag", "--split-long", "--out"]
    done = run(*finetune, tmp_path / "run", *settings(80, "model.max_length=16", "training.batch_tokens=400"))
    assert done.status == 0, done.err
    text = "the man sees to the cat the dog sings to the man " * 5
    found = run("predict", tmp_path / "run", "--split-long", "--words", stdin=text.strip() + "\n").lines[0].split(" ")
    assert found == [f"{word}/{'B-ANIMAL' if word in ('cat', 'dog') else 'O'}" for word in text.split()]


def test_nothing_is_lost_between_stretches(tmp_path: Path) -> None:
    tokens = make_text_tokens(tmp_path)
    read = [text_of(tokens, 5), text_of(tokens, 30), tokens.encode("")]
    parts, places = long_texts.split(read, LIMIT)
    assert [len(found) for found in places] == [1, 4, 1]
    assert (parts[0], parts[-1]) == (read[0], read[2])
    assert sorted({span for part in parts[1:-1] for span in part.spans[1:-1]}) == sorted(read[1].spans[1:-1])


def test_mistakes(run: Command, tmp_path: Path) -> None:
    folder = make_encoder_folder(tmp_path / "model", task="classify", labels=("a", "b"), pooled=True)
    for command, message in (
        (["predict", folder, "--split-long", "--pair"], "cannot read pairs of texts in stretches"),
        (["predict", folder, "--split-long", "--fill"], "--fill reads single texts whole"),
        (
            ["finetune", folder, tmp_path / "pairs.tsv", "--task", "pair", "--split-long", "--out", tmp_path / "run"],
            "of single",
        ),
        (["evaluate", folder, "--split-long", "--pair", tmp_path / "pairs.tsv"], "--split-long is of single texts"),
    ):
        refused = run(*command, stdin="the cat\tthe dog\n")
        assert refused.status == 2
        assert message in refused.err
