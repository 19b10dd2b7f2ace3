"""What a model makes of labelled texts, against the same counted by hand."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_model import make_encoder, make_text_tokens

from regard.data.labelled import Label, LabelledSet, TagSpan, Text
from regard.engines.encoder import EncoderEngine
from regard.errors import DataError
from regard.judging import judge, tags_at
from regard.prediction import TaggedWord

TEXTS: list[Text] = ["the cat sees", "a dog", ("the bird", "no cat"), "the dog sees the cat"]


def rows_of(texts: list[Text], labels: list[Label]) -> LabelledSet:
    return LabelledSet(texts, labels, np.ones(len(texts), dtype=np.float32), Counter())


def test_classes(tmp_path: Path) -> None:
    tokens = make_text_tokens(tmp_path)
    engine = EncoderEngine(make_encoder(tokens, "classify", ("x", "y")), tokens)
    logits = np.stack(engine.logits(tokens.encode_all(TEXTS)))
    best = [("x", "y")[number] for number in logits.argmax(1)]
    gold = [best[0], "y" if best[1] == "x" else "x", best[2], best[3]]
    found = judge(engine, ("x", "y"), rows_of(TEXTS, list(gold)))
    assert found.predicted == best
    assert found.scores["accuracy"].value == 75
    assert found.texts[2] == "the bird | no cat"
    shares = torch.log_softmax(torch.from_numpy(logits).double(), -1)
    expected = -np.mean([shares[row, "xy".index(label)].item() for row, label in enumerate(gold)])
    assert found.loss == pytest.approx(expected)
    again = judge(engine, ("x", "y"), rows_of(TEXTS, list(gold)), inputs=tokens.encode_all(TEXTS))
    assert (again.loss, again.predicted) == (found.loss, found.predicted), "encoded before or here"
    with pytest.raises(DataError, match="the label 'z' is none of the model's: x, y"):
        judge(engine, ("x", "y"), rows_of(TEXTS, ["x", "y", "z", "x"]))


def test_numbers_and_texts_that_are_too_long(tmp_path: Path) -> None:
    tokens = make_text_tokens(tmp_path)
    engine = EncoderEngine(make_encoder(tokens, "classify", ("value",), max_length=9), tokens)
    texts = [*TEXTS, "the cat sees the dog and the bird sings to the cat"]
    found = judge(engine, ("value",), rows_of(texts, ["1", "2", "3", "4", "5"]))
    kept = [text for text in texts if len(tokens.encode_all([text])[0]) <= 9]
    assert 1 < found.too_long + 1 <= len(texts) - 1
    assert (len(found.predicted), found.too_long) == (len(kept), len(texts) - len(kept))
    values = [each[0] for each in engine.logits(tokens.encode_all(kept))]
    gold = [texts.index(text) + 1 for text in kept]
    assert found.loss == pytest.approx(np.mean((np.array(values) - gold) ** 2), rel=1e-5)


def test_tags_of_words_that_are_cut_in_pieces(tmp_path: Path) -> None:
    tokens = make_text_tokens(tmp_path)
    engine = EncoderEngine(make_encoder(tokens, "tag", ("B-X", "O")), tokens)
    text = "the cats see"
    spans = (TagSpan(0, 3, "O"), TagSpan(4, 8, "B-X"), TagSpan(9, 12, "NEW"))
    read = tokens.encode(text)
    logits = engine.logits([read])[0]
    firsts = [
        next(p for p, (first, end) in enumerate(read.spans) if first == span.first and end > first) for span in spans
    ]
    guessed = [("B-X", "O")[int(logits[place].argmax())] for place in firsts]
    found = judge(engine, ("B-X", "O"), rows_of([text], [spans]))
    assert found.predicted == [" ".join(guessed)]
    shares = torch.log_softmax(torch.from_numpy(logits).double(), -1)
    assert found.loss == pytest.approx(-(shares[firsts[0], 1] + shares[firsts[1], 0]).item() / 2)  # NEW: not known


def test_tags_that_the_model_has_not_learnt_are_counted_and_never_all_of_them(tmp_path: Path) -> None:
    tokens = make_text_tokens(tmp_path)
    engine = EncoderEngine(make_encoder(tokens, "tag", ("B-X", "O")), tokens)
    spans = (TagSpan(0, 3, "O"), TagSpan(4, 8, "NEW"), TagSpan(9, 12, "NEW"))
    assert judge(engine, ("B-X", "O"), rows_of(["the cats see"], [spans])).unknown_tags == {"NEW": 2}
    with pytest.raises(DataError, match="the tags NEW are none of the model's: B-X, O"):
        judge(engine, ("B-X", "O"), rows_of(["cats see"], [(TagSpan(0, 4, "NEW"), TagSpan(5, 8, "NEW"))]))


def test_a_span_takes_the_word_over_its_first_character() -> None:
    words = [TaggedWord("U", 0, 1, "B", 1.0), TaggedWord(".", 1, 2, "I", 1.0), TaggedWord("says", 4, 8, "O", 1.0)]
    spans = [TagSpan(0, 2, ""), TagSpan(2, 3, ""), TagSpan(5, 8, "")]
    assert tags_at(words, spans) == ["B", "O", "O"]
