"""Running text is scored token by token, each once, whatever the windows."""

import json
import math
from pathlib import Path

import pytest

pytest.importorskip("torch")

from command_line import Command
from tiny_model import make_decoder_folder

import regard
from regard.errors import DataError
from regard.text_scoring import evaluate_text, windows


@pytest.mark.parametrize("length", [2, 9, 10, 11, 12, 14, 15, 57])
def test_windows_score_each_token_once(length: int) -> None:
    found = windows(length, 10)
    assert [place for _, scored, end in found for place in range(scored, end)] == list(range(1, length))
    for begin, scored, end in found:
        assert 0 < end - begin <= 11
        assert scored == 1 or scored - begin >= 5  # at least half a context before it


def test_a_text_is_scored_as_the_model_scores_it(run: Command, tmp_path: Path) -> None:
    model = make_decoder_folder(tmp_path / "model")
    text = "the cat sees the dog\n\n a dog ção"
    (tmp_path / "a.txt").write_text(text + "\n", encoding="utf-8")
    found = evaluate_text(model, [str(tmp_path / "a.txt")])
    loaded = regard.load(model)
    if found.num_tokens <= loaded.engine.max_length:
        assert found.nats == pytest.approx(-loaded.score(text).log_prob, rel=1e-5)
    assert (found.num_characters, found.num_words, found.num_lines) == (len(text), 8, 3)
    assert found.word_perplexity == pytest.approx(math.exp(found.nats / 11))
    twice = evaluate_text(model, [str(tmp_path / "a.txt")] * 2)
    assert twice.nats == pytest.approx(2 * found.nats)
    report = json.loads(run("evaluate", model, tmp_path / "a.txt", "--json").out)
    assert report["nats"] == pytest.approx(found.nats)
    told = run("evaluate", model, tmp_path / "a.txt")
    assert f"perplexity a word {found.word_perplexity:9,.2f}" in told.out


def test_a_long_text_is_scored_by_windows(tmp_path: Path) -> None:
    model = make_decoder_folder(tmp_path / "model")
    text = "the cat sees the dog. " * 40
    (tmp_path / "long.txt").write_text(text.strip())
    found = evaluate_text(model, [str(tmp_path / "long.txt")])
    engine = regard.load(model).engine
    ids = [engine.tokens.before_text, *engine.tokens.encode_bare([text.strip()])[0]]
    assert found.num_tokens == len(ids) - 1 > 2 * engine.max_length
    by_hand = 0.0
    for begin, scored, end in windows(len(ids), engine.max_length):
        by_hand -= sum(engine.score([ids[begin:end]])[0][scored - begin - 1 :])
    assert found.nats == pytest.approx(by_hand, rel=1e-6)


def test_documents_of_json_lines_are_scored_apart(tmp_path: Path) -> None:
    model = make_decoder_folder(tmp_path / "model")
    texts = ["the cat sees.\na dog", "the bird sings"]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in [*texts, ""]))
    found = evaluate_text(model, [str(tmp_path / "a.jsonl")])
    loaded = regard.load(model)
    assert found.nats == pytest.approx(-sum(each.log_prob for each in loaded.score(texts)), rel=1e-5)
    assert (found.num_words, found.num_lines) == (8, 3)
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(DataError, match=r"empty\.txt: has too few tokens to score"):
        evaluate_text(model, [str(tmp_path / "a.jsonl"), str(tmp_path / "empty.txt")])


def test_mistakes(run: Command, tmp_path: Path) -> None:
    model = make_decoder_folder(tmp_path / "model")
    (tmp_path / "empty.txt").write_text("\n\n")
    for arguments, message in [
        (["evaluate", model, tmp_path / "empty.txt"], "empty.txt: has too few tokens to score"),
        (["evaluate", model, tmp_path / "none.txt"], "none.txt: there is no such file"),
        (
            ["evaluate", model, tmp_path / "empty.txt", "--paper", "de"],
            "--paper: says nothing of a language model",
        ),
        (
            ["evaluate", model, tmp_path / "empty.txt", "--out", tmp_path / "new"],
            "--out: says nothing of a language model, whose text is scored and not written",
        ),
    ]:
        found = run(*arguments)
        assert (found.status, found.out) == (2, "")
        assert message in found.err
    assert not (tmp_path / "new").exists()
