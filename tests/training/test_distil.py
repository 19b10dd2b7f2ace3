"""A student begins as part of its teacher, and learns from three losses that are as in the paper."""

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_model import SIZES, make_encoder, make_text_tokens

from regard.data.labelled import LabelledSet
from regard.data.text_tokens import TextTokens
from regard.errors import ConfigError, ModelError
from regard.models import build
from regard.models.protocol import Seq2Seq
from regard.nn.padded import pad
from regard.training.distil import DistilSettings, alike, begin_with, distil_loss, student_of
from regard.training.examples import LabelBatch, encode_labelled

TEXTS = ["the cat sees", "a dog", "the bird sings to the cat"]


@pytest.fixture
def tokens(tmp_path: Path) -> TextTokens:
    return make_text_tokens(tmp_path)


def batch_of(tokens: TextTokens) -> LabelBatch:
    rows = LabelledSet(list(TEXTS), ["a", "b", "a"], np.ones(3, dtype=np.float32), Counter())
    examples = encode_labelled(rows, tokens.encode_all(TEXTS), ["a", "b"], max_length=40, pad_id=0)
    return examples.batch(np.arange(3))


def test_a_student_has_every_second_layer(tokens: TextTokens) -> None:
    teacher = make_encoder(tokens, "classify", ("a", "b"), num_layers=5)
    for count, layers in ((0, [0, 2]), (4, [0, 1, 2, 3]), (3, [0, 1, 3]), (1, [0])):
        student = student_of(teacher, DistilSettings(layers=count))
        assert student.encoder.config.num_layers == len(layers)
        mine, theirs = dict(student.named_parameters()), dict(teacher.named_parameters())
        for number, layer in enumerate(layers):
            names = [name for name in mine if name.startswith(f"encoder.layers.{number}.")]
            assert names
            for name in names:
                assert torch.equal(mine[name], theirs[name.replace(f"layers.{number}.", f"layers.{layer}.", 1)])
        for name in mine:
            if ".layers." not in name:
                assert torch.equal(mine[name], theirs[name]), name
    with pytest.raises(ModelError, match="the teacher has 5 layers; a student needs from 1 to 4, got 5"):
        student_of(teacher, DistilSettings(layers=5))
    with pytest.raises(ModelError, match="the teacher has 1 layer; a student needs fewer"):
        student_of(make_encoder(tokens, "mask", num_layers=1), DistilSettings())


def test_a_student_can_begin_as_another_model(tokens: TextTokens) -> None:
    teacher = make_encoder(tokens, "classify", ("a", "b"), num_layers=2)
    base = make_encoder(tokens, "none", num_layers=2, pooled=False)
    student = student_of(teacher, DistilSettings(student="base"), base)
    assert student.config == teacher.config
    theirs = dict(base.named_parameters())
    mine = {name for name, value in student.named_parameters() if name in theirs and torch.equal(value, theirs[name])}
    assert mine == set(theirs)
    assert {name for name, _ in student.named_parameters()} - mine == {
        *("encoder.pooler.weight", "encoder.pooler.bias", "head.output.weight", "head.output.bias")
    }
    taught = make_encoder(tokens, "classify", ("a", "b"), num_layers=1)
    found = dict(student_of(teacher, DistilSettings(student="base"), taught).named_parameters())
    assert all(torch.equal(found[name], value) for name, value in taught.named_parameters()), "its head, too"
    narrow = make_encoder(tokens, "none", hidden_size=8, num_heads=1)
    with pytest.raises(
        ModelError, match=r"the student's states have 8 numbers, its teacher's .* distil\.hidden_weight=0"
    ):
        student_of(teacher, DistilSettings(student="base"), narrow)
    student = student_of(teacher, DistilSettings(student="base", hidden_weight=0.0), narrow)
    losses = distil_loss(student, teacher, batch_of(tokens), DistilSettings(hidden_weight=0.0))
    assert losses.loss.item() > 0


def made(arch: str, **sizes: Any) -> tuple[Seq2Seq, dict[str, torch.Tensor]]:
    model = build(arch, {"vocab_size": 30, **SIZES[arch], **sizes})
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model, dict(model.named_parameters())


@pytest.mark.parametrize(
    ("arch", "deep", "shallow", "moved"),
    [
        ("transformer", {"num_layers": 4}, {"num_layers": 4, "decoder_num_layers": 2}, ("decoder.1.", "decoder.2.")),
        (
            "gnmt",
            {"num_layers": 5},
            {"num_layers": 3, "dropout": 0.5},
            ("coder.1.", "coder.2."),
        ),  # above the bottom one
        ("rnn", {"num_layers": 4}, {"num_layers": 2}, ("_l1", "_l2")),
        ("rnnsearch", {}, {"dropout": 0.5}, ("", "")),
    ],
)
def test_a_student_that_translates_begins_as_part_of_its_teacher(
    arch: str, deep: dict[str, Any], shallow: dict[str, Any], moved: tuple[str, str]
) -> None:
    teacher, theirs = made(arch, **deep)
    student, mine = made(arch, **shallow)
    assert alike(student, teacher)
    begin_with(student, teacher)
    for name, value in mine.items():
        assert torch.equal(value, theirs[name.replace(*moved)]), name


@pytest.mark.parametrize(
    ("arch", "sizes"),
    [
        ("transformer", {"norm_place": "post"}),
        ("transformer", {"num_heads": 1}),
        ("transformer", {"feed_forward_size": 20}),
        ("transformer", {"num_layers": 3}),
        ("transformer", {"max_length": 300}),
        ("rnn", {}),
    ],
)
def test_another_kind_of_student_does_not(arch: str, sizes: dict[str, Any]) -> None:
    assert alike(made("transformer")[0], made("transformer")[0])
    assert not alike(made(arch, **sizes)[0], made("transformer")[0])


def test_a_student_has_no_head_that_it_is_not_taught(tokens: TextTokens) -> None:
    teacher = make_encoder(tokens, "mask", next_sentence=True)
    assert student_of(teacher, DistilSettings()).next_sentence is None


def test_a_student_without_token_types_reads_single_texts_alike(tokens: TextTokens) -> None:
    teacher = make_encoder(tokens, "mask", num_layers=2)
    plain = student_of(teacher, DistilSettings(layers=1))
    found = student_of(teacher, DistilSettings(layers=1, as_distilbert=True))
    assert type(found.encoder).__name__ == "DistilBert"
    inputs = pad([tokens.encode(text).ids for text in TEXTS])
    torch.testing.assert_close(found.eval()(inputs), plain.eval()(inputs), rtol=0, atol=1e-5)
    deeper = student_of(make_encoder(tokens, "mask", num_layers=4), DistilSettings(layers=2, as_distilbert=True))
    with pytest.raises(ModelError, match="only a BERT can be made one without token types"):
        student_of(deeper, DistilSettings(layers=1, as_distilbert=True))


def test_what_a_distilbert_cannot_do_is_no_distilbert(tokens: TextTokens) -> None:
    settings = DistilSettings(layers=1, as_distilbert=True)
    of_pairs = make_encoder(tokens, "classify", ("a", "b"), num_layers=2)
    of_pairs.config = dataclasses.replace(of_pairs.config, pair=True)
    with pytest.raises(ModelError, match="the teacher reads pairs"):
        student_of(of_pairs, settings)
    with pytest.raises(ModelError, match="only a BERT can be made one"):
        student_of(make_encoder(tokens, "mask", arch="bigbird", num_layers=2), settings)


def test_the_loss_by_hand(tokens: TextTokens) -> None:
    teacher = make_encoder(tokens, "classify", ("a", "b"), num_layers=2).double()
    student = student_of(teacher, DistilSettings()).double()
    for parameter in student.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    student.eval()
    batch = batch_of(tokens)
    hard = soft = 0.0
    cosines = []
    for text, label in zip(TEXTS, [0, 1, 0], strict=True):
        one = pad([tokens.encode(text).ids])
        mine, theirs = student(one)[0], teacher(one)[0]
        hard -= F.log_softmax(mine, -1)[label].item()
        p, q = F.softmax(theirs / 3, -1), F.softmax(mine / 3, -1)
        soft += 9 * (p * (p / q).log()).sum().item()
        a, b = student.encoder.encode(one).states[0], teacher.encoder.encode(one).states[0]
        cosines += ((a * b).sum(-1) / a.norm(dim=-1) / b.norm(dim=-1)).tolist()
    hidden = 3 * (1 - np.mean(cosines))
    for weights in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (5.0, 2.0, 1.0)):
        names = ("soft_weight", "hard_weight", "hidden_weight")
        warm = {"temperature": 3.0} if weights[0] else {}
        settings = DistilSettings(**warm, **dict(zip(names, weights, strict=True)))
        found = distil_loss(student, teacher, batch, settings)
        assert found.loss.item() == pytest.approx(np.dot(weights, (soft, hard, hidden)), abs=1e-9)
        assert found.negative_log_likelihood.item() == pytest.approx(hard, abs=1e-9)
    found.loss.backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(parameter.grad is not None for name, parameter in student.named_parameters() if "head" in name)


def test_settings_are_checked() -> None:
    for wrong in ({"layers": -1}, {"temperature": 0.0}, {"soft_weight": -1.0}):
        with pytest.raises(ConfigError, match="distil"):
            DistilSettings(**wrong)
    with pytest.raises(ConfigError, match="one above 0"):
        DistilSettings(soft_weight=0, hard_weight=0, hidden_weight=0)
    with pytest.raises(
        ConfigError, match=r"\[distil\]: layers does nothing here: the student begins as distil.student"
    ):
        DistilSettings(student="base", layers=2)
    with pytest.raises(ConfigError, match=r"\[distil\]: temperature does nothing here: soft_weight is 0"):
        DistilSettings(soft_weight=0, temperature=3.0)
