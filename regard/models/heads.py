"""What stands on an encoder to do a task: guess masked words, sort whole texts, label each token.

Unlike BERT's own, the weights of a new head start as torch starts them, spread by the width: with BERT's 0.02 a narrow
encoder hears little of its head at first, and learns slowly.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from regard.errors import ConfigError
from regard.models.checks import check_dropouts
from regard.models.protocol import Encoder
from regard.nn.layers import ACTIVATIONS, Dropout, Linear, OutputLayer
from regard.nn.padded import Padded

Task = Literal["none", "mask", "classify", "tag"]
Pool = Literal["first", "mean"]


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """What an encoder is used for."""

    task: Task = "none"
    labels: tuple[str, ...] = ()  # of classify (one: a number is predicted) and tag, in the order of the logits
    dropout: float = 0.1  # before classify and tag
    pair: bool | None = None  # whether classify judges pairs of texts; None: not known, as of an imported model
    # Of classify, what is read of a text, its first token through the pooling layer or a mean; of others, what a head
    # for texts that follows begins with.
    pool: Pool = "first"
    next_sentence: bool = False  # of mask: beside it, whether the second of two texts follows the first
    temperature: float = 1.0  # of classify: logits are divided by it where calibrated probabilities are asked for

    def __post_init__(self) -> None:
        if self.task not in get_args(Task):
            raise ConfigError(f"task must be one of {', '.join(get_args(Task))}, got {self.task!r}")
        if bool(self.labels) != (self.task in ("classify", "tag")):
            told = f"takes no labels, got {len(self.labels)}" if self.labels else "needs labels, got none"
            raise ConfigError(f"a head for {self.task!r} {told}")
        if self.pool not in get_args(Pool):
            raise ConfigError(f"pool must be one of {', '.join(get_args(Pool))}, got {self.pool!r}")
        if self.next_sentence and self.task != "mask":
            raise ConfigError(f"next_sentence stands beside a head for masked words, not one for {self.task!r}")
        for label in self.labels:
            if not label.strip() or set(label) & set("\n\r\t"):  # predictions are written a line each
                raise ConfigError(f"label {label!r} is no name: one line was expected, not empty and without tabs")
        if len(set(self.labels)) < len(self.labels):
            twice = next(label for number, label in enumerate(self.labels) if label in self.labels[:number])
            raise ConfigError(f"two labels have the same name, {twice!r}; give each its own")
        check_dropouts(self, "dropout")
        if not 0 < self.temperature < math.inf:
            raise ConfigError(f"temperature must be above 0 and finite, got {self.temperature}")


class MaskedHead(nn.Module):
    """From states to logits over the vocabulary; the output matrix is the token embedding (Devlin et al. 2019, A.2)."""

    def __init__(self, encoder: Encoder):
        super().__init__()
        config = encoder.config
        self.transform = Linear(config.hidden_size, config.hidden_size)
        self.activation = ACTIVATIONS[config.activation]
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.norm_epsilon)
        self.output = OutputLayer(config.hidden_size, config.vocab_size, tied_to=encoder.embedding)

    def states(self, states: Tensor) -> Tensor:
        """What `output` makes logits of."""
        return self.norm(self.activation(self.transform(states)))

    def forward(self, states: Tensor) -> Tensor:
        """(..., hidden) to (..., V)."""
        return self.output(self.states(states))


class LabelHead(nn.Module):
    """A linear layer to one logit a label, for pooled texts (..., hidden) and for single tokens alike."""

    def __init__(self, hidden_size: int, num_labels: int, dropout: float):
        super().__init__()
        self.dropout = Dropout(dropout)
        self.output = Linear(hidden_size, num_labels)

    def forward(self, states: Tensor) -> Tensor:
        return self.output(self.dropout(states))


class TaskModel(nn.Module):
    """An encoder and the head of its task, if it has one.

    Beside a head for masked words may stand `next_sentence`, a linear map from the pooled text to two logits: that the
    second of its two parts follows the first, and that it does not (Devlin et al. 2019, section 3.1, task 2).
    """

    def __init__(self, encoder: Encoder, config: HeadConfig):
        super().__init__()
        self.encoder = encoder
        self.config = config
        self.head: MaskedHead | LabelHead | None = None
        self.next_sentence: Linear | None = None
        if config.task == "mask":
            self.head = MaskedHead(encoder)
            if config.next_sentence:
                if not tells_pairs(encoder.config):
                    raise ConfigError("to tell next sentences the encoder needs token types and its pooling layer")
                self.next_sentence = Linear(encoder.config.hidden_size, 2)
        elif config.task != "none":
            if reads_pooled(config) and not encoder.config.pooled:
                raise ConfigError("to classify texts the encoder needs its pooling layer (pooled = true)")
            self.head = LabelHead(encoder.config.hidden_size, len(config.labels), config.dropout)

    def levels(self) -> list[list[nn.Parameter]]:
        """The parameters from the bottom to the top: embeddings, each layer, and what stands on them."""
        layers = [list(layer.parameters()) for layer in self.encoder.layers]
        top = [module for module in (self.encoder.pooler, self.head, self.next_sentence) if module is not None]
        in_layers = {id(parameter) for layer in layers for parameter in layer}
        on_top = {id(parameter) for module in top for parameter in module.parameters()}
        # The output layer of masked words is the token embedding, which learns at the bottom.
        bottom = {id(self.encoder.embedding.weight)}
        rest = [each for each in self.parameters() if id(each) not in in_layers | (on_top - bottom)]
        return [rest, *layers, [each for each in self.parameters() if id(each) in on_top - bottom]]

    def forward(self, tokens: Padded, types: Tensor | None = None) -> Tensor:
        """The head's logits: (B, L, V) to fill masks, (B, labels) to classify, (B, L, labels) to tag.

        Raises:
            ConfigError: there is no head.
        """
        if self.head is None:
            raise ConfigError("this encoder has no head: it has not been trained for a task.")
        states = self.encoder.encode(tokens, types).states
        return self.head(self.pooled(states, tokens) if self.config.task == "classify" else states)

    def pooled(self, states: Tensor, tokens: Padded) -> Tensor:
        """What the head reads of whole texts: states (B, L, hidden) to one vector each, (B, hidden).

        The first token's state through the encoder's pooling layer (Devlin et al. 2019, section 3), or the mean of all
        real tokens' states (Reimers and Gurevych 2019, section 3), scaled to mean 0 and variance 1, for a mean is
        shorter than what it is of.
        """
        if self.config.pool == "first":
            return self.encoder.pool(states)
        mean = tokens.clear(states).sum(dim=1) / tokens.lengths[:, None]
        return F.layer_norm(mean, mean.shape[-1:])


def with_head(base: TaskModel, config: HeadConfig, *, new: bool = False, **changes: Any) -> TaskModel:
    """The encoder of a model under another head, which keeps what it knows if the same was asked of it before.

    A pooling layer that the head needs and the encoder lacks begins anew; one that a head for texts has no use for is
    left out.

    Args:
        new: let the head begin anew, whatever was asked before.
        changes: to the encoder's configuration.
    """
    pooled = reads_pooled(config) if config.task == "classify" else base.encoder.config.pooled
    model = TaskModel(_rebuilt(base.encoder, **changes, pooled=pooled), config)
    asked, before = ((each.task, each.labels, each.pool) for each in (config, base.config))
    if not new and asked == before:
        known = base.state_dict()
        model.load_state_dict({name: known[name] for name in model.state_dict() if name in known}, strict=False)
    return model


def _rebuilt(encoder: Encoder, **changes: Any) -> Encoder:
    """The encoder with other settings; a pooling layer that it lacked has learnt nothing yet."""
    config = dataclasses.replace(encoder.config, **changes)
    if config == encoder.config:
        return encoder
    found = type(encoder)(config)
    same = config.pooled == encoder.config.pooled
    found.load_state_dict(encoder.state_dict(), strict=same)  # all but that layer
    return found


def reads_pooled(config: HeadConfig) -> bool:
    """Whether a head reads the encoder's pooling layer."""
    return config.task == "classify" and config.pool == "first"


def tells_pairs(config: Any) -> bool:
    """Whether an encoder of this configuration can be asked about two texts: it has types of tokens, and pools."""
    return config.pooled and getattr(config, "num_types", 0) > 1
