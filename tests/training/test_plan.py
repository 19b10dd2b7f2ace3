"""Schedules, settings, the optimizer's groups, the average of weights, and the loop's errors."""

import math

import numpy as np
import pytest
import torch

from regard.errors import ConfigError, TrainingError
from regard.training.batches import IdPairs, Position
from regard.training.loop import dropout_seed, train
from regard.training.loss import translation_loss
from regard.training.optimizer import WeightAverage, adamw, swapped
from regard.training.plan import TrainingPlan


def test_schedules() -> None:
    inverse = TrainingPlan(learning_rate=0.1, warmup_steps=10)
    assert inverse.learning_rate_at(0) == pytest.approx(0.01)
    assert inverse.learning_rate_at(9) == pytest.approx(0.1)
    assert inverse.learning_rate_at(39) == pytest.approx(0.05)  # 4 times the warm-up: half
    cosine = TrainingPlan(learning_rate=0.1, warmup_steps=10, schedule="cosine", max_steps=110)
    assert cosine.learning_rate_at(10) == pytest.approx(0.1)
    assert cosine.learning_rate_at(60) == pytest.approx(0.05)
    assert cosine.learning_rate_at(109) == pytest.approx(0.05 * (1 + math.cos(0.99 * math.pi)))
    assert TrainingPlan(learning_rate=0.1, warmup_steps=0, schedule="constant").learning_rate_at(10**6) == 0.1
    linear = TrainingPlan(learning_rate=0.1, warmup_steps=10, schedule="linear", max_steps=110)
    assert [linear.learning_rate_at(step) for step in (10, 60)] == pytest.approx([0.1, 0.05])
    assert 0 < linear.learning_rate_at(109) < 0.0011
    for schedule in ("inverse_sqrt", "cosine", "linear", "constant"):
        assert 0 < TrainingPlan(warmup_steps=0, schedule=schedule).learning_rate_at(0) <= 0.002


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"max_steps": 0}, "training.max_steps must be at least 1, got 0"),
        ({"clip_norm": -1.0}, "training.clip_norm must not be negative, got -1.0"),
        ({"learning_rate": math.nan}, "training.learning_rate must be above 0 and finite, got nan"),
        ({"label_smoothing": 1.0}, "training.label_smoothing must be at least 0 and below 1, got 1.0"),
        ({"keep_checkpoints": 0}, "must be at least 1"),
        ({"seed": -1}, "training.seed must not be negative, got -1"),
        ({"max_minutes": math.nan}, "training.max_minutes must not be negative, got nan"),
        ({"epsilon": -1e-9}, "training.epsilon must be above 0 and finite, got -1e-09"),
    ],
    ids=str,
)
def test_settings_out_of_range(setting: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainingPlan(**setting)


def test_layers_that_would_never_learn_are_refused() -> None:
    plan = TrainingPlan(max_steps=30, unfreeze_steps=10)
    plan.check_levels(3)  # the lowest learns from step 20 on
    with pytest.raises(ConfigError, match=r"unfreeze_steps is 10: the lowest of the 4 levels .* after 30 .* Give 9 at"):
        plan.check_levels(4)
    with pytest.raises(ConfigError, match=r"the run ends after 2 \(training.max_steps\). Leave it out"):
        TrainingPlan(max_steps=2, unfreeze_steps=1).check_levels(4)
    TrainingPlan(max_steps=2).check_levels(4)


def test_dropout_seeds_differ() -> None:
    seeds = {dropout_seed(seed, step, part) for seed in range(5) for step in range(500) for part in range(3)}
    assert len(seeds) == 5 * 500 * 3
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_biases_and_norms_are_not_decayed(tiny) -> None:
    model = tiny("transformer")
    groups = adamw(model, TrainingPlan(weight_decay=0.1)).param_groups
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert all(parameter.dim() > 1 for parameter in groups[0]["params"])
    assert all(parameter.dim() == 1 for parameter in groups[1]["params"])
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_the_average_follows_its_formula() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    average = WeightAverage(model, decay=0.5)
    expected = model.weight.item()
    for step in range(1, 20):
        torch.nn.init.constant_(model.weight, step)
        average.update(model, step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    assert average.tensors()["weight"].item() == pytest.approx(expected)


def test_swapping_weights_is_undone_bit_for_bit(tiny) -> None:
    model = tiny("gnmt")
    average = WeightAverage(model, 0.9)
    own = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for weight in average.weights:
        weight.mul_(0.5)
    with swapped(model, average):
        assert all(parameter.equal(own[name] * 0.5) for name, parameter in model.named_parameters())
    assert all(parameter.equal(own[name]) for name, parameter in model.named_parameters())
    with pytest.raises(KeyError), swapped(model, average):
        raise KeyError  # even then
    assert all(parameter.equal(own[name]) for name, parameter in model.named_parameters())
    with swapped(model, None):
        assert all(parameter.equal(own[name]) for name, parameter in model.named_parameters())


@pytest.mark.parametrize("poison", [math.inf, math.nan])
def test_a_loss_that_is_not_finite_leaves_the_weights(tiny, poison: float) -> None:
    model, plan = tiny("rnnsearch"), TrainingPlan(max_steps=5, warmup_steps=0)
    pairs = IdPairs(
        np.int32([5, 3]),
        np.array([0, 2]),
        np.int32([6]),
        np.array([0, 1]),
        np.float32([1]),
        bos_id=2,
        eos_id=3,
        pad_id=0,
    )
    batch = (pairs.batch(np.array([0])), Position(0, 1))

    def batches():
        yield batch
        weights.update({name: parameter.detach().clone() for name, parameter in model.named_parameters()})
        with torch.no_grad():
            model.output.bias[7] = poison
            weights["output.bias"][7] = poison
        yield batch

    weights: dict[str, torch.Tensor] = {}
    steps = train(model, translation_loss, batches(), adamw(model, plan), plan)
    next(steps)
    with pytest.raises(TrainingError, match=r"step 2: loss is .* weights are unchanged.*Lower training.learning_rate"):
        next(steps)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter, weights[name], rtol=0, atol=0, equal_nan=True)
