"""Adam with decoupled weight decay, and the running average of weights."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from regard.training.plan import TrainingPlan


def adamw(
    model: nn.Module, plan: TrainingPlan, levels: Sequence[Sequence[nn.Parameter]] | None = None
) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) in torch's fused form; biases and norms are not decayed.

    Args:
        levels: the parameters from the bottom of the model to its top, where these learn at different rates. Each
            group of the optimizer says its "depth", the number of levels above it.
    """
    groups = []
    for depth, parameters in enumerate(reversed([list(model.parameters())] if levels is None else levels)):
        decayed = [parameter for parameter in parameters if parameter.dim() > 1]
        others = [parameter for parameter in parameters if parameter.dim() <= 1]
        groups += [
            {"params": decayed, "weight_decay": plan.weight_decay, "depth": depth},
            {"params": others, "weight_decay": 0.0, "depth": depth},
        ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=plan.learning_rate,
        betas=(plan.beta1, plan.beta2),
        eps=plan.epsilon,
        fused=True,
    )


class WeightAverage:
    """An exponential running average of the weights, which translates better than the last ones.

    Polyak and Juditsky (1992) average all alike; here early weights are forgotten, the sooner the fewer there are: the
    decay rises as min(decay, (1 + n) / (10 + n)) over the updates n, as in TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.names = [name for name, _ in model.named_parameters()]
        self.weights = [parameter.detach().clone() for parameter in model.parameters()]

    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after optimizer step number `step`, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.weights, [parameter.detach() for parameter in model.parameters()], 1 - decay)

    def tensors(self) -> dict[str, Tensor]:
        """The averaged weights by name."""
        return dict(zip(self.names, self.weights, strict=True))


class swapped:  # noqa: N801 - read as `with swapped(model, average):`
    """Within this block the model holds the averaged weights; afterwards its own again, bit for bit."""

    def __init__(self, model: nn.Module, average: WeightAverage | None):
        self.model, self.average = model, average

    def __enter__(self) -> None:
        self._exchange()

    def __exit__(self, *_: object) -> None:
        self._exchange()

    def _exchange(self) -> None:
        if self.average is None:
            return
        for parameter, averaged in zip(self.model.parameters(), self.average.weights, strict=True):
            parameter.data, averaged.data = averaged.data, parameter.data
