"""Recurrent cells and stacks on torch's own GRU and LSTM kernels.

Sequences are padded, not packed: every step then has all rows, and a sentence's numbers do not depend on how long its
neighbours are. A backward direction reads each sequence reversed within its own length.
"""

import torch
from torch import Tensor, nn

from regard.nn.layers import Linear


def reverse_padded(states: Tensor, lengths: Tensor) -> Tensor:
    """Reverse the first `lengths[b]` of each row of (B, L, size); the filling stays where it is."""
    positions = torch.arange(states.size(1), device=states.device)[None]  # (1, L)
    mirrored = lengths[:, None] - 1 - positions
    index = torch.where(mirrored >= 0, mirrored, positions)  # (B, L)
    return states.gather(1, index[:, :, None].expand_as(states))


def last_real(states: Tensor, lengths: Tensor) -> Tensor:
    """The state at each row's last real position: (B, L, size) to (B, size)."""
    return states[torch.arange(states.size(0), device=states.device), lengths - 1]


class GRU(nn.GRU):
    """torch's gated recurrent units; while training they may run in bfloat16, as `Linear` does its products.

    Here the states between steps are rounded too: the whole recurrence is one kernel. Weights, what comes out and all
    gradients stay in the type they have.
    """

    bf16_products = False

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        if not (self.bf16_products and self.training):
            return super().forward(input, hx)
        state = _first_state(self, input) if hx is None else hx.bfloat16()
        outputs, last = torch.gru(input.bfloat16(), state, *_kernel_arguments(self))
        return outputs.to(input.dtype), last.to(input.dtype)


class LSTM(nn.LSTM):
    """torch's long short-term memory; while training it may run in bfloat16, as `GRU`."""

    bf16_products = False

    def forward(  # type: ignore[override]  # packed sequences are not for us
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        if not (self.bf16_products and self.training):
            return super().forward(input, hx)
        first = [_first_state(self, input)] * 2 if hx is None else [part.bfloat16() for part in hx]
        outputs, hidden, cell = torch.lstm(input.bfloat16(), first, *_kernel_arguments(self))
        return outputs.to(input.dtype), (hidden.to(input.dtype), cell.to(input.dtype))


def _first_state(net: nn.RNNBase, inputs: Tensor) -> Tensor:
    """Zeros (layers, B, size) in bfloat16."""
    return inputs.new_zeros(net.num_layers, inputs.size(0), net.hidden_size, dtype=torch.bfloat16)


def _kernel_arguments(net: nn.RNNBase) -> tuple[list[Tensor], bool, int, float, bool, bool, bool]:
    """What torch's kernels take after input and state: the weights, rounded, then how the network is built."""
    weights = [weight.bfloat16() for layer in net.all_weights for weight in layer]
    return weights, net.bias, net.num_layers, net.dropout, net.training, net.bidirectional, net.batch_first


class Bidirectional(nn.Module):
    """Two one-layer networks, one reading from each end; their states side by side (Schuster and Paliwal 1997)."""

    def __init__(self, kind: type[GRU] | type[LSTM], input_size: int, size: int):
        super().__init__()
        self.forward_net = kind(input_size, size, batch_first=True)
        self.backward_net = kind(input_size, size, batch_first=True)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """(B, L, input_size) to (B, L, 2 * size): forward states, then backward states."""
        forward_states, _ = self.forward_net(inputs)
        backward_states, _ = self.backward_net(reverse_padded(inputs, lengths))
        return torch.cat([forward_states, reverse_padded(backward_states, lengths)], dim=-1)


class AttentiveGRUCell(nn.Module):
    """A gated recurrent unit with two inputs: a token vector and an attention context (Bahdanau et al. 2015, A.1.1).

    The tokens' part of the gates does not wait for the recurrence: `project` computes it for all steps at once.
    Relative to the paper: the reset gate multiplies U s, not s before U, as in torch's GRU; all products of the state
    are then one.
    """

    def __init__(self, token_size: int, context_size: int, size: int):
        super().__init__()
        self.token_gates = Linear(token_size, 3 * size)
        self.context_gates = Linear(context_size, 3 * size, bias=False)
        self.state_gates = Linear(size, 3 * size)

    def project(self, tokens: Tensor) -> Tensor:
        """(B, T, token_size) to (B, T, 3 * size)."""
        return self.token_gates(tokens)

    def forward(self, projected: Tensor, context: Tensor, state: Tensor) -> Tensor:
        """One step: projected tokens (B, 3 * size), context (B, context_size), state (B, size) to the next state."""
        update, reset, candidate = (projected + self.context_gates(context)).chunk(3, dim=-1)
        state_update, state_reset, state_candidate = self.state_gates(state).chunk(3, dim=-1)
        update = torch.sigmoid(update + state_update)  # z
        reset = torch.sigmoid(reset + state_reset)  # r
        candidate = torch.tanh(candidate + reset * state_candidate)
        return torch.lerp(state, candidate, update)  # (1 - z) s + z s~, equation A.1.1
