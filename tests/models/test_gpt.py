"""GPT: a cached step is the full pass, bands reach as far as they say, filling and the future change nothing."""

import math

import pytest
import torch

from regard.errors import ConfigError
from regard.models import build_decoder
from regard.models.gpt import GPT, GPTConfig
from regard.nn.padded import Padded, pad
from regard.training.loss import vocabulary_loss

SIZES = {"vocab_size": 23, "hidden_size": 16, "num_layers": 4, "num_heads": 4, "feed_forward_size": 24}
TEXTS = [[5, 6, 7, 8, 9, 10, 3], [11], [13, 3], [4, 4, 4, 4, 3]]
each_window = pytest.mark.parametrize("window", [0, 1, 3])


def make(window: int = 0, *, max_length: int = 24, std: float = 0.4, **settings: float) -> GPT:
    torch.manual_seed(0)
    model = GPT(GPTConfig(**SIZES, attention_window=window, max_length=max_length, **settings))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return model.double().eval()


@torch.no_grad()
@each_window
@pytest.mark.parametrize("pieces", [[1] * 6, [6], [3, 1, 2]], ids=str)
def test_steps_equal_the_full_pass(window: int, pieces: list[int]) -> None:
    """Texts of different lengths side by side, each against a pass of its own."""
    model = make(window)
    torch.manual_seed(5)
    more = torch.randint(4, 23, (4, sum(pieces)))
    state = model.start(pad(TEXTS, multiple_of=8))
    logits, state = model.step(torch.tensor([[ids[-1]] for ids in TEXTS]), state)
    found, first = [logits], 0
    for length in pieces:
        logits, state = model.step(more[:, first : first + length], state)
        found.append(logits)
        first += length
    steps = torch.cat(found, 1)
    for row, ids in enumerate(TEXTS):
        alone = model.forced(pad([[*ids, *more[row].tolist()]])).logits[0, len(ids) - 1 :]
        torch.testing.assert_close(steps[row], alone, rtol=0, atol=1e-12)


@torch.no_grad()
@each_window
def test_select_follows_the_hypotheses(window: int) -> None:
    model = make(window)
    torch.manual_seed(6)
    moves = [
        [[0, 0, 0], [1, 1, 1], [2, 2, 2], [3, 3, 3]],
        [[2, 0, 0], [4, 3, 5], [6, 7, 8], [10, 10, 10]],
        [[3, 5, 4], [11, 9, 9]],  # texts 0 and 2 are dropped
        [[5, 3], [0, 1]],  # the two that are left change places
        [[2]],
    ]
    state = model.start(pad(TEXTS, multiple_of=8))
    history = [ids[:-1] for ids in TEXTS]
    last = [ids[-1:] for ids in TEXTS]
    for move in moves:
        rows = torch.tensor(move)
        state = state.select(rows)
        history, last = ([each[row] for row in rows.flatten().tolist()] for each in (history, last))
        logits, state = model.step(torch.tensor(last), state)
        history = [ids + more for ids, more in zip(history, last, strict=True)]
        for row, ids in enumerate(history):
            expected = model.forced(pad([ids])).logits[0, -1]
            torch.testing.assert_close(logits[row, -1], expected, rtol=0, atol=1e-12)
        last = torch.randint(4, 23, (len(history), 1)).tolist()


@torch.no_grad()
def test_a_step_leaves_its_state_as_it_was() -> None:
    model = make()
    state = model.start(pad(TEXTS))
    ids = torch.full((4, 1), 2)
    _, after = model.step(ids, state)
    first, _ = model.step(ids, after)
    model.step(torch.full((4, 1), 9), after)
    again, _ = model.step(ids, after)
    assert torch.equal(first, again)


@torch.no_grad()
@each_window
def test_filling_and_the_future_change_nothing(window: int) -> None:
    model = make(window)
    model.embedding.weight[22] = 1e4
    alone = [model.states(pad([ids]))[0] for ids in TEXTS]
    for filling in (0, 22):
        padded = pad(TEXTS, pad_id=filling, multiple_of=12)
        states = model.states(padded)
        plain = model.forced(padded, return_weights=True)
        for row, expected in enumerate(alone):
            torch.testing.assert_close(states[row, : len(expected)], expected, rtol=0, atol=1e-12)
            found, logits = plain.logits[row, : len(expected)], model.output(expected)
            torch.testing.assert_close(found[:, :22], logits[:, :22], rtol=0, atol=1e-12)  # the output is tied
    ids = torch.tensor(TEXTS[:1])
    whole = model.states(Padded(ids, torch.tensor([7])))
    for cut in range(1, 7):
        other = ids.clone()
        other[:, cut:] = 22
        found = model.states(Padded(other, torch.tensor([7])))
        assert torch.equal(found[:, :cut], whole[:, :cut]), "causality is exact, not nearly so"
        assert not torch.allclose(found[:, cut:], whole[:, cut:])


@torch.no_grad()
def test_nothing_of_the_filling_reaches_a_prompt_not_even_nan() -> None:
    model = make()
    expected, _ = model.step(torch.tensor([[3], [11]]), model.start(pad([TEXTS[2], TEXTS[1]])))
    model.embedding.weight[22] = torch.nan
    padded = pad([TEXTS[2], TEXTS[1]], pad_id=22, multiple_of=8)
    found, _ = model.step(torch.tensor([[3], [11]]), model.start(padded))
    real = [number for number in range(23) if number != 22]  # the output is tied: that one scores NaN
    torch.testing.assert_close(found[:, :, real], expected[:, :, real], rtol=0, atol=1e-12)


@torch.no_grad()
def test_every_second_layer_sees_a_band() -> None:
    """Brown et al. 2020, section 2.1; rows are distributions over what may be seen, all of it."""
    weights = make(3).forced(pad([list(range(4, 14))]), return_weights=True).weights["decoder"][0]
    assert weights.shape == (4, 4, 10, 10)
    places = torch.arange(10)
    distance = places[:, None] - places
    for layer in range(4):
        may = (distance >= 0) & ((distance < 3) if layer % 2 else torch.tensor(True))
        assert (weights[layer][:, ~may] == 0).all()
        assert (weights[layer][:, may] > 0).all()
        torch.testing.assert_close(weights[layer].sum(-1), torch.ones(4, 10, dtype=torch.float64))


@torch.no_grad()
def test_bands_of_one_in_every_layer_would_hear_nothing_else() -> None:
    """A band's reach adds up over layers: dense ones bring in the rest."""
    model = make(1)
    ids = torch.tensor([[4, 5, 6, 7, 8]])
    lengths = torch.tensor([5])
    before = model.states(Padded(ids, lengths))
    other = model.states(Padded(torch.tensor([[9, 5, 6, 7, 8]]), lengths))
    assert not torch.allclose(before[0, 4], other[0, 4]), "the first layer is dense"


def test_the_loss_in_pieces_is_the_cross_entropy() -> None:
    """What training needs of the model: `states` and `output`; the output has no bias, and gets no gradient for one."""
    results = []
    padded = pad(TEXTS)
    inputs, labels = padded.ids[:, :-1], padded.ids[:, 1:]
    real = torch.arange(6) < (padded.lengths - 1)[:, None]
    for in_pieces in (True, False):
        model = make(3, dropout=0.0, embedding_dropout=0.0, attention_dropout=0.0).train()
        states = model.states(Padded(inputs, (padded.lengths - 1).clamp_min(1)))[real]
        if in_pieces:
            loss = vocabulary_loss(states, model.output, labels[real]).loss
        else:
            loss = torch.nn.functional.cross_entropy(model.output(states), labels[real], reduction="sum")
        loss.backward()
        results.append([loss, *(parameter.grad for parameter in model.parameters())])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_it_starts_as_gpt2_does() -> None:
    """Radford et al. 2019, section 2.3: what is added up is smaller by the root of the number of residual layers."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=500, hidden_size=128, num_layers=8, num_heads=4, feed_forward_size=512))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert (parameter == 0).all(), name
        elif "norm" in name:
            assert (parameter == 1).all(), name
        else:
            summed = name.endswith(("attention.output.weight", "feed_forward.outer.weight"))
            expected = 0.02 / math.sqrt(16) if summed else 0.02
            assert parameter.std().item() == pytest.approx(expected, rel=0.03), name
    assert model.output.weight is model.embedding.weight


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 10}, r"hidden_size \(10\) must be a multiple of num_heads \(4\)"),
        ({"num_layers": 0}, "num_layers must be at least 1, got 0"),
        ({"attention_window": -1}, "attention_window must not be negative, got -1"),
        ({"embedding_dropout": 1.0}, "embedding_dropout must be at least 0 and below 1, got 1"),
        ({"attention_dropout": math.nan}, "attention_dropout must be at least 0 and below 1, got nan"),
        ({"norm_epsilon": 0.0}, "norm_epsilon must be above 0 and below 1"),
        ({"max_length": 0}, "max_length must be at least 1"),
        ({"size": 1}, "unknown setting size"),
    ],
    ids=str,
)
def test_a_configuration_out_of_range(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_decoder("gpt", {**SIZES, **settings})


def test_a_family_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"x: unknown language model 'llama'\. Known are gpt"):
        build_decoder("llama", {}, "x")
