"""Labelled texts in batches: the loss is that of each text alone, whatever stands beside it."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_model import make_encoder, make_text_tokens

from regard.data.labelled import Label, LabelledSet, TagSpan, Text
from regard.data.text_tokens import TextTokens
from regard.errors import DataError
from regard.models.heads import TaskModel
from regard.nn.padded import pad
from regard.training.batches import Position, batches_from
from regard.training.examples import IdTexts, encode_labelled
from regard.training.loss import label_loss
from regard.training.optimizer import adamw
from regard.training.plan import TrainingPlan

TEXTS: list[Text] = ["the cat sees", "a dog", ("the bird sings to the cat", "no"), "the dog sees the cat and the bird"]


@pytest.fixture
def tokens(tmp_path: Path) -> TextTokens:
    return make_text_tokens(tmp_path)


def encoded(
    tokens: TextTokens, labels: list[Label], names: list[str], texts: list[Text] = TEXTS, limit: int = 40
) -> IdTexts:
    rows = LabelledSet(texts, labels, np.ones(len(texts), dtype=np.float32), Counter())
    return encode_labelled(rows, tokens.encode_all(texts), names, max_length=limit, pad_id=tokens.id_of("pad"))


def alone(model: TaskModel, tokens: TextTokens, text: Text) -> torch.Tensor:
    read = tokens.encode_all([text])[0]
    return model(pad([read.ids]), torch.tensor([read.types]))


@pytest.mark.parametrize("pool", ["first", "mean"])
def test_the_loss_of_a_batch_is_the_sum_over_its_texts(tokens: TextTokens, pool: str) -> None:
    model = make_encoder(tokens, "classify", ("a", "b", "c"), pool=pool).double()
    examples = encoded(tokens, ["b", "a", "c", "b"], ["a", "b", "c"])
    batch = examples.batch(np.array([3, 0, 2, 1]))
    assert batch.labels.tolist() == [1, 1, 2, 0]
    assert batch.target_tokens == 4
    found = label_loss(model, batch, label_smoothing=0.2)
    expected = smoothed = 0.0
    for text, label in zip(TEXTS, [1, 0, 2, 1], strict=True):
        scores = F.log_softmax(alone(model, tokens, text)[0], -1)
        expected -= scores[label].item()
        smoothed -= 0.8 * scores[label].item() + 0.2 * scores.mean().item()
    assert found.negative_log_likelihood.item() == pytest.approx(expected, abs=1e-9)
    assert found.loss.item() == pytest.approx(smoothed, abs=1e-9)


def test_numbers_have_a_squared_error(tokens: TextTokens) -> None:
    model = make_encoder(tokens, "classify", ("value",)).double()
    batch = encoded(tokens, ["0.5", "-1", "2", "3"], []).batch(np.arange(4))
    expected = sum(
        (alone(model, tokens, text)[0, 0].item() - value) ** 2
        for text, value in zip(TEXTS, [0.5, -1, 2, 3], strict=True)
    )
    assert label_loss(model, batch).loss.item() == pytest.approx(expected)


def test_each_piece_of_a_tagged_word_is_taught(tokens: TextTokens) -> None:
    names = ["B-X", "I-X", "O"]
    text = "the cats xyz sees"  # cats: cat ##s; xyz: the letters of one word
    spans = (TagSpan(0, 3, "O"), TagSpan(4, 8, "B-X"), TagSpan(9, 12, "I-X"), TagSpan(13, 17, "O"))
    examples = encoded(tokens, [spans], names, [text])
    read = tokens.encode(text)
    taught = dict(zip(examples.places.tolist(), examples.labels.tolist(), strict=True))
    pieces = tokens.pieces(read.ids)
    assert [pieces[place] for place in taught] == pieces[1:-1]
    assert [names[label] for label in taught.values()][:3] == ["O", "B-X", "I-X"]
    assert {names[taught[place]] for place in taught if 9 <= read.spans[place][0] < 12} == {"I-X"}
    model = make_encoder(tokens, "tag", tuple(names)).double()
    scores = F.log_softmax(alone(model, tokens, text)[0], -1)
    expected = -sum(scores[place, label].item() for place, label in taught.items())
    assert label_loss(model, examples.batch(np.array([0]))).loss.item() == pytest.approx(expected)


def test_what_does_not_fit_is_left_out_and_unknown_labels_are_refused(tokens: TextTokens) -> None:
    longest = max(len(read) for read in tokens.encode_all(TEXTS))
    kept = encoded(tokens, ["a"] * 4, ["a", "b"], limit=longest - 1)
    assert len(kept) == sum(len(read) < longest for read in tokens.encode_all(TEXTS)) < 4
    assert kept.source_lengths.max() < longest
    with pytest.raises(DataError, match="the label 'z' is none of those learnt: a, b"):
        encoded(tokens, ["a", "z", "a", "a"], ["a", "b"])
    with pytest.raises(DataError, match="none of 4 texts fits into 2 tokens"):
        encoded(tokens, ["a"] * 4, ["a", "b"], limit=2)


def test_an_epoch_shows_every_text_once(tokens: TextTokens) -> None:
    examples = encoded(tokens, ["a", "b", "a", "b"], ["a", "b"])
    batches = batches_from(examples, 12, 1, Position(0, 0))
    shown = []
    for batch, following in batches:
        assert batch.tokens.ids.numel() <= 12 or len(batch.tokens.lengths) == 1
        shown += [tuple(row[:length].tolist()) for row, length in zip(*batch.tokens, strict=True)]
        if following.epoch:
            break
    assert sorted(shown) == sorted(tuple(read.ids) for read in tokens.encode_all(TEXTS))


def test_levels_hold_every_parameter_once_and_learn_at_their_own_rate(tokens: TextTokens) -> None:
    for task, labels in (("classify", ("a", "b")), ("tag", ("a", "b")), ("mask", ()), ("none", ())):
        model = make_encoder(tokens, task, labels)
        levels = model.levels()
        flat = [id(parameter) for level in levels for parameter in level]
        assert sorted(flat) == sorted(id(parameter) for parameter in model.parameters())
        assert len(levels) == 2 + len(model.encoder.layers)
        assert any(parameter is model.encoder.embedding.weight for parameter in levels[0])
        assert all(parameter is not model.encoder.embedding.weight for parameter in levels[-1])
    plan = TrainingPlan(layer_decay=0.5, unfreeze_steps=10, warmup_steps=0, schedule="constant", learning_rate=1.0)
    optimizer = adamw(model, plan, levels)
    depths = {id(parameter): group["depth"] for group in optimizer.param_groups for parameter in group["params"]}
    assert [depths[id(level[0])] for level in levels] == [3, 2, 1, 0]
    assert [plan.learning_rate_at(10, depth) for depth in range(4)] == [1.0, 0.5, 0.0, 0.0]
    assert plan.learning_rate_at(30, 3) == 0.125
