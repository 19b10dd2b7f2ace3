"""Positions, recurrent cells, dropout, and the residual frame, each against its formula."""

import math

import pytest
import torch
from tiny_model import SIZES

from regard.models import MODELS, build
from regard.nn.layers import Dropout, Linear, OutputLayer, Residual, dropout, multiply_in_bf16, round_weights
from regard.nn.padded import Padded, pad
from regard.nn.positions import PositionalEmbedding, sinusoids
from regard.nn.recurrent import GRU, LSTM, AttentiveGRUCell, Bidirectional, last_real, reverse_padded


def test_sinusoids_are_the_papers() -> None:
    """Vaswani et al. 2017, section 3.5, sines first, then cosines."""
    table = sinusoids(50, 6, torch.float64)
    for position in (0, 1, 7, 49):
        for i in range(3):
            angle = position / 10_000 ** (2 * i / 6)
            assert table[position, i].item() == pytest.approx(math.sin(angle), abs=1e-7)
            assert table[position, 3 + i].item() == pytest.approx(math.cos(angle), abs=1e-7)


def test_sinusoids_of_odd_size() -> None:
    table = sinusoids(4, 5)
    assert table.shape == (4, 5)
    assert table[2, 4].item() == pytest.approx(math.cos(2 / 10_000 ** (2 / 5)), abs=1e-7)


@pytest.mark.parametrize("kind", ["sinusoidal", "trainable"])
def test_positions_start_where_told(kind: str) -> None:
    positions = PositionalEmbedding(kind, 8, 12)
    embedded = torch.randn(2, 12, 8)
    whole = positions(embedded)
    torch.testing.assert_close(positions(embedded[:, 5:], 5), whole[:, 5:], rtol=0, atol=0)
    assert not torch.equal(whole[:, 0] - embedded[:, 0], whole[:, 1] - embedded[:, 1])


def test_trainable_positions_may_start_as_waves() -> None:
    positions = PositionalEmbedding("trainable", 64, 50)
    drawn = positions.weight.square().mean().item()
    positions.start_as_waves()
    assert positions.weight.requires_grad
    assert positions.weight.square().mean().item() == pytest.approx(drawn, rel=1e-5)
    likeness = torch.nn.functional.cosine_similarity(positions.weight[None], positions.weight[:, None], dim=-1)
    torch.testing.assert_close(likeness[0, 1:-1], likeness[1, 2:])  # the distance alone tells
    assert likeness[10, 11] > likeness[10, 12] > likeness[10, 14]


def test_sinusoids_go_on_beyond_the_table() -> None:
    positions = PositionalEmbedding("sinusoidal", 8, 4)
    torch.testing.assert_close(positions.vectors(3, 10), sinusoids(13, 8)[3:], rtol=0, atol=1e-7)


def test_the_attentive_cell_is_a_gru_on_both_inputs() -> None:
    torch.manual_seed(0)
    ours = AttentiveGRUCell(3, 4, 5).double()
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter)
    theirs = torch.nn.GRUCell(7, 5, dtype=torch.float64)
    order = [1, 0, 2]  # torch: reset, update, candidate; ours: update, reset, candidate
    with torch.no_grad():
        weight = torch.cat([ours.token_gates.weight, ours.context_gates.weight], dim=1)
        theirs.weight_ih.copy_(torch.cat([weight.chunk(3)[gate] for gate in order]))
        theirs.bias_ih.copy_(torch.cat([ours.token_gates.bias.chunk(3)[gate] for gate in order]))
        theirs.weight_hh.copy_(torch.cat([ours.state_gates.weight.chunk(3)[gate] for gate in order]))
        theirs.bias_hh.copy_(torch.cat([ours.state_gates.bias.chunk(3)[gate] for gate in order]))
        # torch's update gate keeps the old state, the paper's takes the new one: z = 1 - z.
        for tensor in (theirs.weight_ih, theirs.bias_ih, theirs.weight_hh, theirs.bias_hh):
            tensor[5:10].neg_()
    token, context, state = (torch.randn(2, size, dtype=torch.float64) for size in (3, 4, 5))
    found = ours(ours.project(token), context, state)
    torch.testing.assert_close(found, theirs(torch.cat([token, context], -1), state), rtol=0, atol=1e-14)


def test_reversing_keeps_the_filling_in_place() -> None:
    states = torch.arange(10).view(2, 5, 1)
    assert reverse_padded(states, torch.tensor([3, 5]))[:, :, 0].tolist() == [[2, 1, 0, 3, 4], [9, 8, 7, 6, 5]]
    assert last_real(states, torch.tensor([3, 5]))[:, 0].tolist() == [2, 9]


def test_bidirectional_equals_torchs_packed_network() -> None:
    torch.manual_seed(0)
    ours = Bidirectional(torch.nn.GRU, 3, 4).double()
    theirs = torch.nn.GRU(3, 4, batch_first=True, bidirectional=True, dtype=torch.float64)
    weights = dict(ours.forward_net.named_parameters())
    weights |= {f"{name}_reverse": tensor for name, tensor in ours.backward_net.named_parameters()}
    theirs.load_state_dict(weights)
    inputs, lengths = torch.randn(3, 6, 3, dtype=torch.float64), torch.tensor([6, 4, 1])
    packed = torch.nn.utils.rnn.pack_padded_sequence(inputs, lengths, batch_first=True)
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
    real = Padded(torch.zeros(3, 6), lengths).real()
    torch.testing.assert_close(ours(inputs, lengths)[real], expected[real], rtol=0, atol=1e-14)


@pytest.mark.parametrize("probability", [0.1, 0.3, 0.5])
def test_dropout_drops_its_share_and_scales_the_rest(probability: float) -> None:
    torch.manual_seed(0)
    threshold = round(probability * 256) / 256  # probabilities are multiples of 1/256
    inputs = torch.ones(1_000_000, requires_grad=True)
    outputs = dropout(inputs, probability)
    assert (outputs == 0).float().mean().item() == pytest.approx(threshold, abs=0.002)  # four standard deviations
    assert outputs[outputs != 0].unique().tolist() == pytest.approx([1 / (1 - threshold)])
    outputs.sum().backward()
    assert torch.equal(inputs.grad, outputs.detach())  # the gradient goes through the same mask and scale


@pytest.mark.parametrize(("probability", "drawn"), [(0.001, 1 / 256), (0.999, 255 / 256)])
def test_dropout_at_the_ends_is_neither_none_nor_all(probability: float, drawn: float) -> None:
    torch.manual_seed(1)
    outputs = dropout(torch.ones(200_000, dtype=torch.float64), probability)
    assert (outputs == 0).double().mean() == pytest.approx(drawn, abs=0.002)
    assert outputs.max() == pytest.approx(1 / (1 - drawn))


def test_dropout_drops_each_element_by_itself() -> None:
    torch.manual_seed(0)
    dropped = (dropout(torch.ones(80_000), 0.3) == 0).view(-1, 8).float()
    correlation = torch.corrcoef(dropped.T) - torch.eye(8)  # of the eight that share a random number
    assert correlation.abs().max() < 0.05
    assert dropout(torch.ones(3, 5), 0.5).shape == (3, 5)  # 15 is no multiple of 8


def test_dropout_is_a_function_of_the_seed() -> None:
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(dropout(torch.ones(1000), 0.3))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_no_dropout_is_the_identity() -> None:
    inputs = torch.randn(10)
    assert dropout(inputs, 0.0) is inputs
    assert Dropout(0.5).eval()(inputs) is inputs
    assert not torch.equal(Dropout(0.5).train()(inputs), inputs)


def test_the_residual_frame_before_and_after() -> None:
    torch.manual_seed(0)
    states, weight = torch.randn(2, 3, 8, dtype=torch.float64), torch.randn(8, 8, dtype=torch.float64)

    def norm(inputs: torch.Tensor) -> torch.Tensor:
        variance, mean = torch.var_mean(inputs, -1, correction=0, keepdim=True)
        return (inputs - mean) / (variance + 1e-5).sqrt()

    for place, expected in (("post", norm(states + states @ weight)), ("pre", states + norm(states) @ weight)):
        frame = Residual(8, place, 0.0).double()
        torch.testing.assert_close(frame.add(states, frame.enter(states) @ weight), expected, rtol=0, atol=1e-12)


def test_padding_sequences() -> None:
    padded = pad([[5, 6, 7], [8]], pad_id=9, multiple_of=4)
    assert padded.ids.tolist() == [[5, 6, 7, 9], [8, 9, 9, 9]]
    assert padded.lengths.tolist() == [3, 1]
    assert padded.real().tolist() == [[True, True, True, False], [True, False, False, False]]
    assert pad([[1, 2], [3, 4]]).key_lengths() is None
    assert padded.key_lengths().tolist() == [3, 1]
    states = torch.full((2, 4, 2), torch.nan)
    assert padded.clear(states).isnan().sum() == 2 * 4  # the real ones are left as they are


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_map_in_bf16_is_close_while_training_and_exact_otherwise(bias: bool) -> None:
    torch.manual_seed(0)
    layer = Linear(24, 40, bias=bias)
    inputs = torch.randn(3, 5, 24, requires_grad=True)
    results = []
    for in_bf16 in (True, False):
        layer.bf16_products = in_bf16
        layer.zero_grad()
        inputs.grad = None
        outputs = layer(inputs)
        assert outputs.dtype == torch.float32
        (outputs.sin() * torch.arange(40)).sum().backward()
        results.append([outputs, inputs.grad, *(parameter.grad for parameter in layer.parameters())])
    for found, expected in zip(*results, strict=True):
        assert not torch.equal(found, expected), "bf16 was asked for"
        assert (found - expected).norm() < 0.01 * expected.norm()
    layer.bf16_products = True
    layer.eval()
    assert torch.equal(layer(inputs), results[1][0]), "outside training products are taken in full"


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [24, 384])
def test_a_linear_map_with_rounded_weights_is_close_and_each_row_its_own(bias: bool, size: int) -> None:
    torch.manual_seed(0)
    layer = Linear(size, 2 * size, bias=bias)
    if bias:
        torch.nn.init.normal_(layer.bias)
    inputs = torch.randn(20, 8, size)
    with torch.inference_mode():
        expected = layer(inputs)
        round_weights(layer)
        found = layer(inputs)
        assert found.dtype == torch.float32
        assert not torch.equal(found, expected), "bf16 was asked for"
        assert (found - expected).norm() < 0.01 * expected.norm()
        for number in range(len(inputs)):
            assert torch.equal(layer(inputs[number : number + 1])[0], found[number])
    assert {name: str(each.dtype)[6:] for name, each in layer.named_parameters()} == {
        "weight": "bfloat16",
        **({"bias": "float32"} if bias else {}),
    }


def test_log_probabilities_of_many_labels_are_those_of_the_whole_softmax() -> None:
    layer = OutputLayer(4, 6).double()
    states, labels = torch.randn(600, 4, dtype=torch.float64), torch.randint(6, (600,))
    expected = layer(states).log_softmax(-1)[torch.arange(600), labels]
    torch.testing.assert_close(layer.log_probs(states, labels), expected, rtol=0, atol=1e-12)


def test_an_output_layer_without_bias_has_none_to_learn() -> None:
    layer = OutputLayer(4, 6, bias=False)
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert list(layer.state_dict()) == ["weight"]
    states = torch.randn(3, 4)
    torch.testing.assert_close(layer(states), states @ layer.weight.T)


@pytest.mark.parametrize("arch", MODELS)
def test_bf16_products_are_asked_of_every_part_of_a_model_that_multiplies(arch: str) -> None:
    model = build(arch, {"vocab_size": 30, **SIZES[arch]})
    multiply_in_bf16(model)
    found = [
        module for module in model.modules() if isinstance(module, torch.nn.Linear | torch.nn.RNNBase | OutputLayer)
    ]
    assert len(found) > 2
    assert all(module.bf16_products for module in found)


@pytest.mark.parametrize("given_state", [True, False], ids=["state", "no state"])
@pytest.mark.parametrize("kind", [GRU, LSTM])
def test_a_recurrent_network_in_bf16_is_close_while_training_and_exact_otherwise(
    kind: type[GRU] | type[LSTM], given_state: bool
) -> None:
    torch.manual_seed(0)
    net = kind(12, 20, num_layers=2, batch_first=True)
    inputs = torch.randn(3, 7, 12, requires_grad=True)
    first = torch.randn(2, 3, 20)
    state = None if not given_state else first if kind is GRU else (first, first.sin())
    results = []
    for in_bf16 in (True, False):
        net.bf16_products = in_bf16
        net.zero_grad()
        inputs.grad = None
        outputs, last = net(inputs, state)
        last = last if kind is GRU else torch.stack(last)
        assert outputs.dtype == last.dtype == torch.float32
        ((outputs.sin() * torch.arange(20)).sum() + last.sum()).backward()
        results.append([outputs, last, inputs.grad, *(parameter.grad for parameter in net.parameters())])
    for found, expected in zip(*results, strict=True):
        assert not torch.equal(found, expected), "bf16 was asked for"
        assert (found - expected).norm() < 0.02 * expected.norm()
    net.bf16_products = True
    net.eval()
    assert torch.equal(net(inputs, state)[0], results[1][0]), "outside training nothing is rounded"


def test_positions_made_while_translating_can_be_trained_with() -> None:
    positions = PositionalEmbedding("sinusoidal", 8, 16)
    with torch.inference_mode():
        positions(torch.zeros(1, 4, 8))
    assert not positions.waves.is_inference()
    inputs = torch.randn(1, 4, 8, requires_grad=True)
    (positions(inputs) * positions.vectors(0, 4)).sum().backward()
    torch.testing.assert_close(inputs.grad[0], sinusoids(4, 8))
