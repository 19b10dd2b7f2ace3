"""Dropout, embeddings, the feed-forward block and the residual frame around sub-layers."""

import functools
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Literal["relu", "gelu", "gelu_tanh", "swish", "tanh"]
NormPlace = Literal["pre", "post"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": functools.partial(F.gelu, approximate="tanh"),  # as GPT-2 computes it
    "swish": F.silu,
    "tanh": torch.tanh,
}


def dropout(inputs: Tensor, probability: float) -> Tensor:
    """Zero each element with the given probability and scale up the others (Srivastava et al. 2014).

    On a CPU one 64-bit random number decides eight elements, so probabilities are multiples of 1/256 there, from 1 to
    255 of them (0.1 becomes 26/256); drawing an element at a time takes a fifth of a small model's training step. The
    numbers come from torch's global generator, which the training loop seeds from (seed, step, micro-batch).
    """
    if probability == 0:
        return inputs
    if inputs.device.type != "cpu":
        return F.dropout(inputs, probability)
    return _ByteDropout.apply(inputs, min(max(round(probability * 256), 1), 255))


class _ByteDropout(torch.autograd.Function):
    """The mask is kept as bytes and the product made in place of two tensors of floats."""

    @staticmethod
    def forward(ctx, inputs: Tensor, threshold: int) -> Tensor:
        count = inputs.numel()
        words = torch.empty((count + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
        kept = words.view(torch.uint8)[:count].ge(threshold).view(inputs.shape)
        ctx.save_for_backward(kept)
        ctx.scale = 256 / (256 - threshold)
        return (inputs * kept).mul_(ctx.scale)

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        (kept,) = ctx.saved_tensors
        return (gradient * kept).mul_(ctx.scale), None


class Dropout(nn.Module):
    """`dropout` while training, nothing otherwise."""

    def __init__(self, probability: float):
        super().__init__()
        self.probability = probability

    def forward(self, inputs: Tensor) -> Tensor:
        return dropout(inputs, self.probability) if self.training else inputs


class Embedding(nn.Embedding):
    """Token vectors, drawn from N(0, 1/size) so that a tied output layer starts with logits of order 1.

    What is above them reads them multiplied by `scale`: with √size they are of order 1 there (Vaswani et al. 2017,
    section 3.4).
    """

    def __init__(self, vocab_size: int, size: int, *, scale: float = 1.0):
        super().__init__(vocab_size, size)
        self.scale = scale

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=self.embedding_dim**-0.5)

    def forward(self, input: Tensor) -> Tensor:
        vectors = super().forward(input)
        return vectors if self.scale == 1 else vectors * self.scale


class Linear(nn.Linear):
    """A linear map, y = x Wᵀ + b, whose three products may be taken in bfloat16 while training.

    Weights, inputs, outputs and gradients stay in the type they have; only the factors of a product are rounded, and
    what it gives. On processors with such instructions a product then takes half the time, and rounding its factors a
    tenth of what that saves. Outside training the product is in bfloat16 where the weight is (see `round_weights`).
    """

    bf16_products = False

    def forward(self, input: Tensor) -> Tensor:
        if self.bf16_products and self.training and self.out_features > 1:  # one column is not worth the rounding
            return _Bf16Linear.apply(input, self.weight, self.bias)
        if self.weight.dtype == torch.bfloat16 and input.dtype != torch.bfloat16:
            outputs = F.linear(input.to(torch.bfloat16), self.weight).to(input.dtype)
            return outputs if self.bias is None else outputs.add_(self.bias)
        return F.linear(input, self.weight, self.bias)


class _Bf16Linear(torch.autograd.Function):
    """The inputs are rounded once, and kept for the backward pass in half the memory."""

    @staticmethod
    def forward(ctx, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        rows = inputs.reshape(-1, inputs.size(-1)).to(torch.bfloat16)
        factor = weight.to(torch.bfloat16)
        outputs = (rows @ factor.T).to(inputs.dtype)
        if bias is not None:
            outputs += bias
        ctx.save_for_backward(rows, factor)
        ctx.has_bias = bias is not None
        return outputs.view(*inputs.shape[:-1], -1)

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        (gradient,) = gradients
        rows, factor = ctx.saved_tensors
        flat = gradient.reshape(-1, gradient.size(-1))
        rounded = flat.to(torch.bfloat16)
        inputs_gradient = (rounded @ factor).to(gradient.dtype).view(*gradient.shape[:-1], -1)
        weight_gradient = (rounded.T @ rows).to(gradient.dtype)
        return inputs_gradient, weight_gradient, flat.sum(0) if ctx.has_bias else None


def multiply_in_bf16(model: nn.Module) -> None:
    """Let every part of a model that can (see `Linear`) take its products in bfloat16 while training."""
    for module in model.modules():
        if hasattr(module, "bf16_products"):
            module.bf16_products = True  # type: ignore[bad-argument-type]


def round_weights(model: nn.Module) -> None:
    """Hold the weights of a model's linear maps in bfloat16, to be read with: their products are then taken so.

    Inputs, outputs, biases and whatever stands between the products stay in float32. A row's product does not depend on
    the rows beside it, as in float32.
    """
    for module in model.modules():
        if isinstance(module, Linear):
            module.weight = nn.Parameter(module.weight.detach().to(torch.bfloat16), requires_grad=False)


def fast_in_bf16() -> bool:
    """Whether this processor multiplies bfloat16 matrices faster than float32 ones."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


_ROWS = 256  # states that are scored over the vocabulary at once: the logits of a whole batch could fill the memory


class OutputLayer(nn.Module):
    """From decoder states to logits over the vocabulary; the weight may be the target embedding's own (tied).

    While training, logits are not made here but piece by piece in the loss (`training/loss.py`).
    """

    bf16_products = False  # as `Linear`

    def __init__(self, hidden_size: int, vocab_size: int, *, tied_to: nn.Embedding | None = None, bias: bool = True):
        super().__init__()
        if tied_to is None:
            self.weight = nn.Parameter(torch.empty(vocab_size, hidden_size))
            nn.init.normal_(self.weight, std=hidden_size**-0.5)
        else:
            self.weight = tied_to.weight
        if bias:
            self.bias = nn.Parameter(torch.zeros(vocab_size))
        else:  # zeros that nothing learns or saves: the loss then needs no second case
            self.register_buffer("bias", torch.zeros(vocab_size), persistent=False)

    def forward(self, states: Tensor) -> Tensor:
        return F.linear(states, self.weight, self.bias)

    def log_probs(self, states: Tensor, labels: Tensor) -> Tensor:
        """The log-probability (N,), in nats, of each of N labels after its state (N, hidden)."""
        parts = zip(states.split(_ROWS), labels.split(_ROWS), strict=True)
        return torch.cat([self(part).log_softmax(-1).gather(1, wanted[:, None])[:, 0] for part, wanted in parts])


class FeedForward(nn.Module):
    """Two linear maps with a non-linearity between, at each position alone (Vaswani et al. 2017, equation 2)."""

    def __init__(self, hidden_size: int, feed_forward_size: int, activation: Activation, dropout: float):
        super().__init__()
        self.inner = Linear(hidden_size, feed_forward_size)
        self.outer = Linear(feed_forward_size, hidden_size)
        self.activation = ACTIVATIONS[activation]
        self.dropout = Dropout(dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.outer(self.dropout(self.activation(self.inner(inputs))))


class Residual(nn.Module):
    """The frame of a sub-layer: its output is dropped out and added to its input, with layer normalisation.

    "post": norm(x + f(x)), as in Vaswani et al. 2017. "pre": x + f(norm(x)), which trains without long warm-up
    (Xiong et al. 2020). Use: `add(x, f(enter(x)))`.
    """

    def __init__(self, hidden_size: int, norm_place: NormPlace, dropout: float, norm_epsilon: float = 1e-5):
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size, eps=norm_epsilon)
        self.norm_place = norm_place
        self.dropout = Dropout(dropout)

    def enter(self, inputs: Tensor) -> Tensor:
        return self.norm(inputs) if self.norm_place == "pre" else inputs

    def add(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        total = inputs + self.dropout(outputs)
        return total if self.norm_place == "pre" else self.norm(total)
