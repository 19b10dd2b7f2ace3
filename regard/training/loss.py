"""Cross-entropy over the vocabulary, in pieces, with the gradient made in the forward pass.

A batch's logits would be the largest tensor of a step by far (3,500 tokens x 8,000 ids). Here a few hundred rows at a
time are scored, summed up and turned into their gradient while they are still in the processor's cache.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.models.heads import MaskedHead, TaskModel
from regard.models.protocol import Decoder, Seq2Seq
from regard.nn.layers import OutputLayer
from regard.training.batches import Batch
from regard.training.examples import LabelBatch
from regard.training.masking import MaskedBatch
from regard.training.running import RunningBatch

_CHUNK_ROWS = 256


class Losses(NamedTuple):
    """Sums over target tokens, in nats."""

    loss: Tensor  # with label smoothing: what is minimised
    negative_log_likelihood: Tensor  # without: what is reported


def translation_loss(
    model: Seq2Seq, batch: Batch, *, label_smoothing: float = 0.0, guided_alignment: float = 0.0
) -> Losses:
    """The loss of a batch, summed over its target tokens.

    Args:
        guided_alignment: weight of `alignment_loss` on the batch's links. With 0 no part touches attention weights.
    """
    taught: Tensor | float = 0.0
    if guided_alignment and batch.links is not None:
        forced = model.forced(batch.source, batch.target, return_weights=True)
        states = forced.states
        taught = guided_alignment * alignment_loss(forced.weights["cross"][:, -1, 0], batch.links)
    else:
        states = model.states(batch.source, batch.target)  # (B, T, size)
    real = batch.target.real()
    in_bf16 = model.training and model.output.bf16_products
    losses = vocabulary_loss(states[real], model.output, batch.labels, label_smoothing, in_bf16)
    return Losses(losses.loss + taught, losses.negative_log_likelihood)


def alignment_loss(weights: Tensor, links: Tensor) -> Tensor:
    """How far attention is from given links: -log of the weight on a target token's linked source tokens, summed.

    Tokens without a link may look anywhere. Source: Chen et al. 2016 (guided alignment), and Garg et al. 2019, section
    4.2, who teach one head; they ask for equal weights on all linked tokens, here the sum counts.

    Args:
        weights: (B, T, S), of the head that is taught.
        links: (links, 3) int64: pair, target token, source token.
    """
    pair, target, source = links.unbind(1)
    token = pair * weights.size(1) + target
    sums = weights.new_zeros(weights.size(0) * weights.size(1)).index_add(0, token, weights[pair, target, source])
    return -sums[token.unique()].clamp(min=1e-9).log().sum()  # clamped: a weight may round to 0


def label_loss(model: TaskModel, batch: LabelBatch, *, label_smoothing: float = 0.0) -> Losses:
    """The loss of a batch, summed over its labels: cross-entropy of classes and tags, the squared error of numbers."""
    logits = read(model, batch)[1]
    likelihood = hard_loss(logits, batch.labels)
    if not label_smoothing or batch.labels.is_floating_point():
        return Losses(likelihood, likelihood.detach())
    loss = F.cross_entropy(logits, batch.labels, reduction="sum", label_smoothing=label_smoothing)
    return Losses(loss, likelihood.detach())


def hard_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Of logits (N, classes) on labels (N,), summed: cross-entropy, or the squared error where labels are numbers."""
    if labels.is_floating_point():
        return (logits[:, 0] - labels).square().sum()
    return F.cross_entropy(logits, labels, reduction="sum")


def read(model: TaskModel, batch: LabelBatch) -> tuple[Tensor, Tensor]:
    """The states of a batch's tokens (B, L, hidden), and the head's logits where the labels stand (labels, classes)."""
    assert model.head is not None
    states = model.encoder.encode(batch.tokens, batch.types).states
    if model.config.task == "classify":
        return states, model.head(model.pooled(states, batch.tokens))
    return states, model.head(states[batch.rows, batch.places])


def masked_loss(model: TaskModel, batch: MaskedBatch) -> Losses:
    """The loss of a batch, summed over its masked tokens (Devlin et al. 2019, A.1).

    To what is minimised the loss of next sentences is added, where the batch has them: its mean over the texts, as much
    as the mean over the masked tokens. What is reported is the masked tokens' alone.
    """
    assert isinstance(model.head, MaskedHead)
    states = model.encoder.encode(batch.tokens, batch.types).states
    masked = model.head.states(states[batch.rows, batch.places])  # (labels, hidden)
    in_bf16 = model.training and model.head.output.bf16_products
    found = vocabulary_loss(masked, model.head.output, batch.labels, in_bf16=in_bf16)
    if batch.follows is None:
        return found
    assert model.next_sentence is not None
    told = F.cross_entropy(model.next_sentence(model.encoder.pool(states)), batch.follows)
    return Losses(found.loss + told * batch.target_tokens, found.negative_log_likelihood)


def running_loss(model: Decoder, batch: RunningBatch) -> Losses:
    """The loss of a batch, summed over its tokens, each told from those before it."""
    states = model.states(batch.tokens)[batch.tokens.real()]  # (tokens, hidden)
    in_bf16 = model.training and model.output.bf16_products
    return vocabulary_loss(states, model.output, batch.labels, in_bf16=in_bf16)


def vocabulary_loss(
    states: Tensor, output: OutputLayer, labels: Tensor, label_smoothing: float = 0.0, in_bf16: bool = False
) -> Losses:
    """Cross-entropy of labels under softmax(states Wᵀ + b), with smoothing (Szegedy et al. 2016, section 7).

    The target distribution is (1 - ε) on the label plus ε / V on every id.

    Args:
        states: (N, size).
        output: holds W (V, size) and b (V,).
        labels: (N,), int64.
        label_smoothing: ε.
        in_bf16: take the three products in bfloat16 (sums stay in float32); see `multiply_in_bf16`.
    """
    loss, likelihood = _VocabularyLoss.apply(states, output.weight, output.bias, labels, label_smoothing, in_bf16)
    return Losses(loss, likelihood.detach())


class _VocabularyLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, states, weight, bias, labels, smoothing, in_bf16):
        wanted = any(ctx.needs_input_grad[:3])
        vocab_size = weight.size(0)
        product_type = torch.bfloat16 if in_bf16 else weight.dtype
        products_weight = weight.to(product_type)
        loss = states.new_zeros(())
        likelihood = states.new_zeros(())
        states_gradient = torch.empty_like(states) if wanted else states
        weight_gradient = torch.zeros_like(weight) if wanted else weight
        bias_gradient = torch.zeros_like(bias) if wanted else bias
        for first in range(0, len(labels), _CHUNK_ROWS):
            rows = slice(first, first + _CHUNK_ROWS)
            inputs, chunk_labels = states[rows].to(product_type), labels[rows, None]
            logits = F.linear(inputs, products_weight).to(states.dtype).add_(bias)  # (rows, V)
            label_logits = logits.gather(1, chunk_labels)
            all_logits = logits.sum() if smoothing else 0.0
            # The softmax of the largest logit is at least 1 / V: its logarithm is exact, and one exponential a logit
            # then serves both the loss and the gradient.
            largest = logits.amax(-1, keepdim=True)
            probabilities = logits.softmax(-1)
            log_total = largest - probabilities.amax(-1, keepdim=True).log()
            label_losses = (log_total - label_logits).sum()
            likelihood += label_losses
            loss += (1 - smoothing) * label_losses
            if smoothing:
                loss += smoothing * (log_total.sum() - all_logits / vocab_size)
            if wanted:
                gradient = probabilities.sub_(smoothing / vocab_size)  # softmax minus target
                gradient.scatter_add_(1, chunk_labels, gradient.new_full(chunk_labels.shape, smoothing - 1))
                bias_gradient += gradient.sum(0)
                gradient = gradient.to(product_type)
                states_gradient[rows] = (gradient @ products_weight).to(states.dtype)
                weight_gradient += gradient.T @ inputs
        if wanted:
            ctx.save_for_backward(states_gradient, weight_gradient, bias_gradient)
        ctx.mark_non_differentiable(likelihood)
        return loss, likelihood

    @staticmethod
    def backward(ctx, *gradients):
        loss_gradient = gradients[0]  # the likelihood has none
        states_gradient, weight_gradient, bias_gradient = ctx.saved_tensors
        return (
            states_gradient * loss_gradient,
            weight_gradient * loss_gradient,
            bias_gradient * loss_gradient,
            None,
            None,
            None,
        )
