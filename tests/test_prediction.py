"""What an encoder says of texts: against the pipelines of `transformers`, and against labels planted by hand."""

import gzip
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from command_line import Command
from tiny_model import SOURCES, make_encoder_folder, make_text_tokens

import regard
from regard import prediction
from regard.data.text_tokens import TextIds, TextTokens
from regard.errors import InputError, ModelError
from regard.interop import import_folder
from regard.prediction import Entity, TaggedWord

TEXTS = ["the cat sees the dog", "a bird sings.", "to"]


class Planted:
    """An engine whose logits are given."""

    max_length = 12

    def __init__(self, tokens: TextTokens, logits: list[np.ndarray]):
        self.tokens, self._logits = tokens, logits

    def logits(self, inputs: list[TextIds]) -> list[np.ndarray]:
        assert len(inputs) == len(self._logits)
        return self._logits

    def logits_at(self, inputs: list[TextIds], places: list[list[int]]) -> list[np.ndarray]:
        return [logits[rows] for logits, rows in zip(self.logits(inputs), places, strict=True)]


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> TextTokens:
    return make_text_tokens(tmp_path_factory.mktemp("tokens"))


def test_a_class_has_the_largest_share(tokens: TextTokens) -> None:
    found = prediction.classify(Planted(tokens, [np.log([1.0, 6.0, 3.0])]), ["a", "b", "c"], ["the cat"])
    assert found[0].label == "b"
    assert found[0].probability == pytest.approx(0.6)
    assert found[0].probabilities == pytest.approx({"a": 0.1, "b": 0.6, "c": 0.3})


def planted_tags(tokens: TextTokens, text: str) -> np.ndarray:
    """Logits that give "the", "##s" and "," the first label, "cat" and "to" the second, each with a share of 0.75."""
    assert tokens.pieces(tokens.encode(text).ids) == ["[CLS]", "the", "cat", "##s", "[UNK]", "to", "[SEP]"]
    logits = np.zeros((7, 2))
    for place, label in ((1, 0), (2, 1), (3, 0), (4, 0), (5, 1)):
        logits[place, label] = np.log(3)
    return logits


def test_a_word_has_the_label_of_its_first_piece(tokens: TextTokens) -> None:
    text = "the cats, to"
    (words,) = prediction.tag(Planted(tokens, [planted_tags(tokens, text)]), ["O", "X"], [text])
    assert [(word.text, word.label) for word in words] == [("the", "O"), ("cats", "X"), (",", "O"), ("to", "X")]
    assert all(text[word.first : word.end] == word.text for word in words)
    assert words[1].probability == pytest.approx(0.75)


def test_tags_of_words_make_entities() -> None:
    text = "Anna Li of New York, IBM"
    tags = ["B-PER", "I-PER", "O", "I-LOC", "I-LOC", "O", "ORG"]
    places = [(0, 4), (5, 7), (8, 10), (11, 14), (15, 19), (19, 20), (21, 24)]
    words = [TaggedWord(text[a:b], a, b, tag, 1.0) for (a, b), tag in zip(places, tags, strict=True)]
    assert prediction.entities(text, words) == [
        Entity("Anna Li", "PER", 0, 7),
        Entity("New York", "LOC", 11, 19),
        Entity("IBM", "ORG", 21, 24),
    ]


def test_words_that_are_given_have_the_label_at_their_first_character(tokens: TextTokens) -> None:
    text = " the  cats, \x01 to"
    (words,) = prediction.tag(Planted(tokens, [planted_tags(tokens, text)]), ["O", "X"], [text], split=True)
    assert [(word.text, word.label) for word in words] == [("the", "O"), ("cats,", "X"), ("\x01", "O"), ("to", "X")]
    assert [word.probability for word in words] == pytest.approx([0.75, 0.75, 0, 0.75])
    assert all(text[word.first : word.end] == word.text for word in words)


def test_masks_are_guessed_in_their_order(tokens: TextTokens) -> None:
    read = tokens.encode_masked("the [MASK] sees [MASK]")
    assert tokens.pieces(read.ids) == ["[CLS]", "the", "[MASK]", "sees", "[MASK]", "[SEP]"]
    assert read.special == [True, False, True, False, True, True]
    assert read.spans == [(0, 0), (0, 3), (4, 10), (11, 15), (16, 22), (0, 0)]
    logits = np.zeros((6, tokens.vocab_size))
    cat, dog = (tokens.encode(word).ids[1] for word in ("cat", "dog"))
    logits[2, cat], logits[2, dog], logits[4, dog] = 9, 8, 9
    ((first, second),) = prediction.fill(Planted(tokens, [logits]), ["the [MASK] sees [MASK]"], 2)
    assert [guess.text for guess in first] == ["cat", "dog"]
    assert second[0].text == "dog"
    assert first[0].probability > first[1].probability


def test_what_cannot_be_said_is_refused(tokens: TextTokens) -> None:
    with pytest.raises(InputError, match=r"'the cat' has no \[MASK\]"):
        prediction.fill(Planted(tokens, []), ["the cat"], 3)
    with pytest.raises(ModelError, match=r"has 22 tokens, the model takes 12"):
        prediction.classify(Planted(tokens, []), ["a", "b"], ["cat " * 20])


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Makes a folder of `transformers` with random weights, its pipeline, and our model of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers")

    def make(head: str, task: str, num_labels: int = 3) -> tuple[Any, regard.Model]:
        folder = tmp_path_factory.mktemp("theirs")
        tokens = make_text_tokens(folder)
        torch.manual_seed(1)
        config = transformers.BertConfig(
            vocab_size=tokens.vocab_size,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=24,
            max_position_embeddings=40,
            num_labels=num_labels,
        )
        model = getattr(transformers, f"BertFor{head}")(config).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
        model.save_pretrained(folder)
        tokenizer = transformers.BertTokenizer(str(folder / "vocab.txt"))
        tokenizer.save_pretrained(folder)
        import_folder(folder, folder / "ours")
        return transformers.pipeline(task, model=model, tokenizer=tokenizer), regard.load(folder / "ours", float32=True)

    return make


def test_classes_are_those_of_the_pipeline(theirs: Any) -> None:
    pipeline, ours = theirs("SequenceClassification", "text-classification")
    for text, found in zip(TEXTS, ours.predict(TEXTS), strict=True):
        expected = {row["label"]: row["score"] for row in pipeline(text, top_k=None)}
        assert found.probabilities == pytest.approx(expected, abs=1e-5)
        assert found.label == max(expected, key=lambda label: expected[label])
    pair = ours.predict([("the cat", "a dog")])[0]
    expected = pipeline({"text": "the cat", "text_pair": "a dog"}, top_k=None)
    assert pair.probabilities == pytest.approx({row["label"]: row["score"] for row in expected}, abs=1e-5)


def test_a_number_is_that_of_the_model(theirs: Any) -> None:
    pipeline, ours = theirs("SequenceClassification", "text-classification", num_labels=1)
    inputs = pipeline.tokenizer(TEXTS[0], return_tensors="pt")
    with torch.no_grad():
        expected = pipeline.model(**inputs).logits.item()
    assert ours.predict(TEXTS[:1]) == [pytest.approx(expected, abs=1e-5)]


def test_tags_are_those_of_the_pipeline(theirs: Any) -> None:
    pipeline, ours = theirs("TokenClassification", "token-classification")
    for text, words in zip(TEXTS, ours.predict(TEXTS), strict=True):
        pieces = {row["start"]: row for row in pipeline(text)}
        for word in words:
            assert word.label == pieces[word.first]["entity"]
            assert word.probability == pytest.approx(pieces[word.first]["score"], abs=1e-5)


def test_guesses_are_those_of_the_pipeline(theirs: Any) -> None:
    pipeline, ours = theirs("MaskedLM", "fill-mask")
    text = "the [MASK] sees the dog."
    expected = pipeline(text, top_k=4)
    (mask,) = ours.fill([text], 4)[0]
    assert [guess.text for guess in mask] == [row["token_str"].replace(" ", "") for row in expected]
    assert [guess.probability for guess in mask] == pytest.approx([row["score"] for row in expected], abs=1e-5)


def test_from_the_shell(run: Command, tmp_path: Path) -> None:
    classes = make_encoder_folder(tmp_path / "classes", task="classify", labels=("no", "yes"))
    found = run("predict", classes, stdin="the cat\n\nthe dog sings\n")
    assert found.status == 0, found.err
    expected = regard.load(classes).predict(["the cat", "", "the dog sings"])
    assert found.lines == [f"{each.label}\t{each.probability:.4f}" for each in expected]
    row = json.loads(run("predict", classes, "--json", stdin="the cat\n").out)
    assert row["text"] == "the cat"
    assert row["probabilities"] == pytest.approx(expected[0].probabilities)
    pair = run("predict", classes, "--pair", stdin="the cat\ta dog\n")
    (both,) = regard.load(classes).predict([("the cat", "a dog")])
    assert pair.lines == [f"{both.label}\t{both.probability:.4f}"]
    tags = make_encoder_folder(tmp_path / "tags", task="tag", labels=("O", "X"))
    words = regard.load(tags).predict(["the cats sing"])[0]
    assert run("predict", tags, stdin="the cats sing\n").lines == [" ".join(f"{w.text}/{w.label}" for w in words)]
    found = json.loads(run("predict", tags, "--json", stdin="the cats, to\n").out)
    assert [word["text"] for word in found["words"]] == ["the", "cats", ",", "to"]
    assert found["entities"] == [
        {"text": word["text"], "label": "X", "first": word["first"], "end": word["end"]}
        for word in found["words"]
        if word["label"] == "X"
    ]
    given = run("predict", tags, "--words", stdin="the cats, to\n\nthe\n")
    assert given.lines == [
        " ".join(f"{word.text}/{word.label}" for word in each)
        for each in regard.load(tags).predict(["the cats, to", "", "the"], split=True)
    ]
    assert [len(line.split()) for line in given.lines] == [3, 0, 1]
    (tmp_path / "lists.jsonl").write_text('{"words": ["the", "cats,", "to"]}\n{"words": []}\n{"words": ["the"]}\n')
    assert run("predict", tags, tmp_path / "lists.jsonl", "--words").lines == given.lines
    masks = make_encoder_folder(tmp_path / "masks", task="mask")
    shown = run("predict", masks, "--fill", "--count", 2, stdin="the [MASK] sees [MASK]\n").lines
    guesses = regard.load(masks).fill(["the [MASK] sees [MASK]"], 2)[0]
    assert shown == [" | ".join(", ".join(guess.text for guess in mask) for mask in guesses)]


def test_tables_are_read_as_tables(run: Command, tmp_path: Path) -> None:
    classes = make_encoder_folder(tmp_path / "classes", task="classify", labels=("no", "yes"))
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(b"label\ttext\nno\tthe cat\nno\tthe dog sings\n"))
    (tmp_path / "b.csv").write_text('yes,the bird\nno,"the cat, to"\n')
    (tmp_path / "c.txt").write_text("label\ttext\n")
    texts = ["the cat", "the dog sings", "the bird", "the cat, to", "label\ttext"]
    expected = [f"{each.label}\t{each.probability:.4f}" for each in regard.load(classes).predict(texts)]
    assert run("predict", classes, tmp_path / "a.tsv.gz").lines == expected[:2]
    assert run("predict", classes, tmp_path / "b.csv", tmp_path / "c.txt", "--text", 2).lines == expected[2:]
    assert run("predict", classes, stdin="label\ttext\n").lines == expected[4:]
    row = json.loads(run("predict", classes, tmp_path / "b.csv", "--text", 2, "--other", 1, "--json").lines[0])
    (both,) = regard.load(classes).predict([("the bird", "yes")])
    assert (row["text"], row["probabilities"]) == ("the bird\tyes", pytest.approx(both.probabilities))
    tags = make_encoder_folder(tmp_path / "tags", task="tag", labels=("O", "X"))
    assert run("predict", tags, tmp_path / "a.tsv.gz").lines == run("predict", tags, stdin="\n".join(texts[:2])).lines
    masks = make_encoder_folder(tmp_path / "masks", task="mask")
    (tmp_path / "m.jsonl").write_text('{"text": "the [MASK]"}\n{"text": "[MASK]\\nsees"}\n')
    filled = run("predict", masks, "--fill", stdin="the [MASK]\n[MASK] sees\n").lines
    assert run("predict", masks, "--fill", tmp_path / "m.jsonl").lines == filled
    (tmp_path / "empty.csv").write_text("")
    assert run("predict", classes, tmp_path / "empty.csv").status == 0


def test_a_row_that_cannot_be_used_is_named_and_costs_no_other(run: Command, tmp_path: Path) -> None:
    classes = make_encoder_folder(tmp_path / "classes", task="classify", labels=("no", "yes"))
    for wrong, message in (
        ("a,b", "a.csv, line 4: found 2 columns, expected 1"),
        ("the " * 60, "a.csv, line 4: 'the the"),
    ):
        (tmp_path / "a.csv").write_text(f'text\n"the\ncat"\n{wrong}\nthe dog\n')
        found = run("predict", classes, tmp_path / "a.csv")
        assert (found.status, found.lines) == (2, run("predict", classes, stdin="the cat\n").lines)
        assert f"{message}" in found.err


def test_a_byte_order_mark_is_no_text(run: Command, tmp_path: Path) -> None:
    classes = make_encoder_folder(tmp_path / "classes", task="classify", labels=("no", "yes"))
    found = run("predict", classes, "--json", stdin=b"\xef\xbb\xbfthe cat\n\xef\xbb\xbfa\n")
    assert [json.loads(line)["text"] for line in found.lines] == ["the cat", "\ufeffa"]
    assert run("predict", classes, stdin=b"\xef\xbb\xbf").lines == [], "as of a file"


def test_mistakes_at_the_shell(run: Command, tmp_path: Path) -> None:
    plain = make_encoder_folder(tmp_path / "plain")
    masks = make_encoder_folder(tmp_path / "masks", task="mask")
    tags = make_encoder_folder(tmp_path / "tags", task="tag", labels=("O", "X"))
    classes = make_encoder_folder(tmp_path / "classes", task="classify", labels=("no", "yes"))
    rows = tmp_path / "a.tsv"
    rows.write_text("1\tthe cat\n")
    for arguments, message in (
        (["predict", plain], "it has no head for that. Teach it a task first, for example with `regard finetune"),
        (["predict", plain, "--text", 2], "--text: says nothing of lines of text"),
        (["predict", tags, "--words", "--pair"], "--words is of single texts; leave out --pair"),
        (["predict", masks, "--words", "--fill"], "leave out --pair, --other, --words, --calibrated and --split-long"),
        (["predict", classes, "--words"], "it cannot label words: it does not tag them"),
        (["predict", classes, rows], "a.tsv, line 1: it cannot be told which column is the text"),
        (["predict", plain, "--fill"], "cannot fill masks"),
        (["predict", masks], "cannot predict labels"),
        (["predict", masks, "--fill"], "has no [MASK]"),
        (["predict", masks, "--fill", "--pair"], "leave out --pair"),
        (["predict", masks, "--fill", "--count", 0], "--count 0: expected at least 1"),
        (["predict", tags, "--pair"], "is not two texts with one tab between"),
    ):
        found = run(*arguments, stdin=f"{SOURCES[0]}\n")
        assert (found.status, found.out) == (2, ""), arguments
        assert message in found.err
    assert run("predict", tags, "--pair", stdin="the cat\ta dog\n").status == 2
