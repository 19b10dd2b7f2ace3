"""The loss in pieces is torch's cross-entropy, and how a step is cut into batches does not matter."""

import dataclasses
import itertools
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from regard.nn.layers import OutputLayer
from regard.training.batches import IdPairs, Position
from regard.training.loop import Progress, train
from regard.training.loss import alignment_loss, translation_loss, vocabulary_loss
from regard.training.optimizer import adamw
from regard.training.plan import TrainingPlan


def problem(dtype: torch.dtype, rows: int = 600) -> tuple[torch.Tensor, OutputLayer, torch.Tensor]:
    torch.manual_seed(0)
    output = OutputLayer(16, 37).to(dtype)
    torch.nn.init.normal_(output.bias)
    return torch.randn(rows, 16, dtype=dtype, requires_grad=True), output, torch.randint(37, (rows,))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("rows", [1, 256, 600], ids="{} rows".format)
def test_the_loss_in_chunks_is_torchs(smoothing: float, rows: int) -> None:
    results = []
    for ours in (True, False):
        states, output, labels = problem(torch.float64, rows)
        if ours:
            losses = vocabulary_loss(states, output, labels, smoothing)
            loss, likelihood = losses.loss, losses.negative_log_likelihood
        else:
            logits = output(states)
            loss = F.cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)
            likelihood = F.cross_entropy(logits, labels, reduction="sum")
        (loss * 0.7).backward()
        results.append([loss, likelihood, states.grad, output.weight.grad, output.bias.grad])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_the_loss_in_bf16_is_close() -> None:
    results = []
    for in_bf16 in (True, False):
        states, output, labels = problem(torch.float32)
        loss = vocabulary_loss(states, output, labels, 0.1, in_bf16).loss
        loss.backward()
        assert states.grad.dtype == output.weight.grad.dtype == torch.float32
        results.append([loss, states.grad, output.weight.grad, output.bias.grad])
    for found, expected in zip(*results, strict=True):
        assert not torch.equal(found, expected), "bf16 was asked for"
        assert (found - expected).norm() < 0.01 * expected.norm()


def test_the_reported_likelihood_has_no_gradient() -> None:
    states, output, labels = problem(torch.float64)
    losses = vocabulary_loss(states, output, labels, 0.1)
    assert not losses.negative_log_likelihood.requires_grad
    with torch.no_grad():
        assert torch.equal(vocabulary_loss(states, output, labels, 0.1).loss, losses.loss)


def id_pairs(count: int = 40, seed: int = 0) -> IdPairs:
    random = np.random.default_rng(seed)
    sources = [[*random.integers(4, 23, random.integers(1, 9)).tolist(), 3] for _ in range(count)]
    targets = [random.integers(4, 23, random.integers(0, 9)).tolist() for _ in range(count)]
    return IdPairs(
        source_ids=np.concatenate(sources).astype(np.int32),
        source_starts=np.cumsum([0, *map(len, sources)]),
        target_ids=np.concatenate(targets).astype(np.int32),
        target_starts=np.cumsum([0, *map(len, targets)]),
        weights=np.ones(count, dtype=np.float32),
        bos_id=2,
        eos_id=3,
        pad_id=0,
    )


def test_the_loss_of_a_batch_is_that_of_its_pairs(tiny, arch: str) -> None:
    model, pairs = tiny(arch), id_pairs(6)
    whole = translation_loss(model, pairs.batch(np.arange(6)), label_smoothing=0.1)
    alone = [translation_loss(model, pairs.batch(np.array([row])), label_smoothing=0.1) for row in range(6)]
    torch.testing.assert_close(whole.loss, sum(losses.loss for losses in alone))
    # and that of the logits, with eos after every target
    batch = pairs.batch(np.array([2]))
    logits = model.forced(batch.source, batch.target).logits[0]
    labels = torch.tensor([*pairs.target_ids[pairs.target_starts[2] : pairs.target_starts[3]].tolist(), 3])
    assert batch.labels.tolist() == labels.tolist()
    expected = F.cross_entropy(logits, labels, reduction="sum", label_smoothing=0.1)
    torch.testing.assert_close(alone[2].loss, expected, rtol=1e-12, atol=1e-12)


def test_the_loss_of_taught_attention_by_hand() -> None:
    weights = torch.tensor([[[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], [[0.25, 0.25, 0.5], [0, 1, 0]]], dtype=torch.float64)
    links = torch.tensor([[0, 0, 0], [0, 0, 2], [1, 0, 1], [1, 1, 0]])  # pair, target token, source token
    expected = -np.log([0.5 + 0.2, 0.25, 1e-9]).sum()  # the second token of the first pair may look anywhere
    assert alignment_loss(weights, links).item() == pytest.approx(expected, rel=1e-12)
    assert alignment_loss(weights, links[:0]).item() == 0


@pytest.mark.parametrize("arch", ["rnnsearch", "gnmt", "transformer"])
def test_taught_attention_learns_its_links(tiny, arch: str) -> None:
    model = tiny(arch, dropout=0.0).float()
    pairs = id_pairs(6)
    of_pair = [[(t, 0) for t in range(length - 1)] for length in pairs.target_lengths]  # all to the first source token
    starts = np.cumsum([0, *map(len, of_pair)])
    linked = dataclasses.replace(
        pairs, links=np.array([*itertools.chain(*of_pair)], dtype=np.int32), link_starts=starts
    )
    batch = linked.batch(np.array([4, 1]))
    assert batch.links is not None
    assert sorted(batch.links.tolist()) == [[row, t, 0] for row, n in ((0, 4), (1, 1)) for t, _ in of_pair[n]]
    plain = translation_loss(model, pairs.batch(np.array([4, 1])))
    taught = translation_loss(model, batch, guided_alignment=0.5)
    cross = model.forced(batch.source, batch.target, return_weights=True).weights["cross"][:, -1, 0]
    torch.testing.assert_close(taught.loss, plain.loss + 0.5 * alignment_loss(cross, batch.links))
    torch.testing.assert_close(taught.negative_log_likelihood, plain.negative_log_likelihood)
    before = alignment_loss(cross, batch.links).item()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(20):
        optimizer.zero_grad()
        translation_loss(model, batch, guided_alignment=1.0).loss.backward()
        optimizer.step()
    after = model.forced(batch.source, batch.target, return_weights=True).weights["cross"][:, -1, 0]
    assert alignment_loss(after, batch.links).item() < before / 2


def steps(model: torch.nn.Module, batches: list[np.ndarray], plan: TrainingPlan, pairs: IdPairs) -> list[Progress]:
    feed = ((pairs.batch(rows), Position(0, 0)) for rows in itertools.cycle(batches))
    loss_of = partial(translation_loss, label_smoothing=plan.label_smoothing)
    return list(train(model, loss_of, feed, adamw(model, plan), plan))


def test_accumulated_equals_one_batch(tiny, arch: str) -> None:
    """Halves of unequal numbers of tokens: a mean of means would differ."""
    pairs = id_pairs()
    plan = {"max_steps": 3, "warmup_steps": 0, "schedule": "constant", "learning_rate": 0.01, "epsilon": 1e-3}
    one, two = tiny(arch, dropout=0.0), tiny(arch, dropout=0.0)
    whole = steps(one, [np.arange(10)], TrainingPlan(**plan), pairs)
    halves = steps(two, [np.arange(3), np.arange(3, 10)], TrainingPlan(**plan, batches_per_step=2), pairs)
    for first, second in zip(whole, halves, strict=True):
        assert first.target_tokens == second.target_tokens
        assert first.loss == pytest.approx(second.loss, rel=1e-12)
        assert first.gradient_norm == pytest.approx(second.gradient_norm, rel=1e-10)
    for name, parameter in one.named_parameters():
        torch.testing.assert_close(dict(two.named_parameters())[name], parameter, rtol=0, atol=1e-10, msg=name)


def test_the_loss_is_per_target_token(tiny) -> None:
    model, pairs = tiny("rnn", dropout=0.0), id_pairs()
    batch = pairs.batch(np.arange(10))
    losses = translation_loss(model, batch, label_smoothing=0.1)
    (progress,) = steps(model, [np.arange(10)], TrainingPlan(max_steps=1), pairs)
    assert progress.target_tokens == sum(pairs.target_lengths[:10]) == batch.target_tokens
    assert progress.loss == pytest.approx(losses.loss.item() / batch.target_tokens)
    assert progress.negative_log_likelihood == pytest.approx(
        losses.negative_log_likelihood.item() / batch.target_tokens
    )
