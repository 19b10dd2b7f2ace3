"""Running text: every token is a label once in an epoch, and the loss is that of the full forward pass."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from regard.data.corpus import Corpus
from regard.models import build_decoder
from regard.nn.layers import multiply_in_bf16
from regard.training.batches import Position, batches_from
from regard.training.loss import running_loss
from regard.training.running import RunningCorpus


def corpus_of(*lengths: int) -> Corpus:
    ends = np.cumsum(lengths)
    return Corpus(np.arange(ends[-1], dtype=np.uint16) % 50, np.stack([ends - lengths, ends], axis=1))


def test_each_token_but_the_first_of_a_document_is_told_once() -> None:
    corpus = corpus_of(3, 25, 1, 100)
    borders = set()
    for epoch in range(30):
        found = RunningCorpus(corpus, 10, 1).at(epoch)
        labels = np.concatenate([np.arange(first + 1, end) for first, end in found.spans])
        assert sorted(labels.tolist()) == [number for number in range(129) if number not in (0, 3, 28, 29)]
        assert found.source_lengths.max() <= 10
        borders.add(int(found.spans[1, 1]))
    assert borders == set(range(5, 15))


def test_a_batch_reads_what_is_before_each_label() -> None:
    found = RunningCorpus(corpus_of(4, 9, 2), 20, 1).at(0)
    batch = found.batch(np.array([2, 0, 1]))
    assert batch.tokens.lengths.tolist() == [1, 3, 8]
    assert batch.labels.tolist() == [14, 1, 2, 3, *range(5, 13)]
    rows = [row[:length].tolist() for row, length in zip(*batch.tokens, strict=True)]
    assert rows == [[13], [0, 1, 2], list(range(4, 12))]


def test_the_loss_is_that_of_the_full_forward_pass() -> None:
    torch.manual_seed(1)
    sizes = {"hidden_size": 16, "num_layers": 2, "num_heads": 2, "feed_forward_size": 24, "max_length": 12}
    model = build_decoder("gpt", {"vocab_size": 50, **sizes, "attention_window": 3}).double().eval()
    batch = RunningCorpus(corpus_of(4, 9, 2), 20, 1).at(0).batch(np.array([1, 0, 2]))
    logits = model.forced(batch.tokens).logits[batch.tokens.real()]
    expected = F.cross_entropy(logits, batch.labels, reduction="sum")
    found = running_loss(model, batch)
    assert found.loss.item() == pytest.approx(expected.item(), abs=1e-9)
    (ours,) = torch.autograd.grad(found.loss, [model.embedding.weight], retain_graph=True)
    (theirs,) = torch.autograd.grad(expected, [model.embedding.weight])
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)
    assert all(name != "output.bias" for name, _ in model.named_parameters())
    model.float().train()
    multiply_in_bf16(model)
    assert running_loss(model, batch).loss.item() == pytest.approx(expected.item(), rel=0.05)


def test_a_position_is_two_integers() -> None:
    examples = RunningCorpus(corpus_of(*[30] * 12), 8, 1)
    whole = []
    for batch, following in batches_from(examples, 40, 1, Position(0, 0)):
        whole.append((following, batch.tokens.ids))
        if following == (1, 2):
            break
    start = whole[3][0]
    again = batches_from(examples, 40, 1, start)
    for following, ids in whole[4:]:
        batch, position = next(again)
        assert position == following
        assert torch.equal(batch.tokens.ids, ids)
