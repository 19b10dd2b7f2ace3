"""BERT (Devlin et al. 2019) and DistilBERT (Sanh et al. 2019): encoders that read a text from both sides at once."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.errors import ConfigError
from regard.models.checks import check_dropouts, check_heads, check_sizes
from regard.models.protocol import Encoded, Encoder
from regard.nn.attention import Pattern
from regard.nn.encoder import EncoderLayer, initialize
from regard.nn.layers import Activation, Dropout, Embedding, Linear
from regard.nn.padded import Padded
from regard.nn.positions import PositionalEmbedding


@dataclass(frozen=True, kw_only=True)
class DistilBertConfig:
    """Sizes of DistilBERT. Defaults: Sanh et al. 2019, half the layers of BERT base."""

    vocab_size: int = 30_522
    hidden_size: int = 768  # H
    num_layers: int = 6  # L
    num_heads: int = 12  # A
    feed_forward_size: int = 3_072
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation: Activation = "gelu"
    norm_epsilon: float = 1e-12
    pooled: bool = False  # whether there is a layer that makes one vector of the whole text
    max_length: int = 512  # tokens, those at start and end counted

    def __post_init__(self) -> None:
        check_sizes(self, "vocab_size", "hidden_size", "num_layers", "num_heads", "feed_forward_size", "max_length")
        check_heads(self.hidden_size, self.num_heads)
        check_dropouts(self, "dropout", "attention_dropout")
        if not 0 < self.norm_epsilon < 1:
            raise ConfigError(f"norm_epsilon must be above 0 and below 1, got {self.norm_epsilon}")


@dataclass(frozen=True, kw_only=True)
class BertConfig(DistilBertConfig):
    """Sizes of BERT. Defaults: base in Devlin et al. 2019, section 3; large: 1,024 wide, 24 layers, 16 heads, 4,096."""

    num_layers: int = 12
    num_types: int = 2  # kinds of text in one input: sentence A and sentence B
    pooled: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, "num_types")


class DistilBert(Encoder):
    """BERT without token types, made to be half as deep.

    Where it is pooled, the first token's state goes through a linear layer and a ReLU, as in the classifier that
    `transformers` puts on it (the paper has none).
    """

    pool_activation: Callable[[Tensor], Tensor] = staticmethod(F.relu)

    def __init__(self, config: DistilBertConfig):
        super().__init__()
        self.config = config
        size = config.hidden_size
        self.embedding = Embedding(config.vocab_size, size)
        self.positions = PositionalEmbedding("trainable", size, config.max_length)
        self.embedding_norm = nn.LayerNorm(size, eps=config.norm_epsilon)
        self.dropout = Dropout(config.dropout)
        self.layers = nn.ModuleList(
            EncoderLayer(
                size,
                config.num_heads,
                config.feed_forward_size,
                activation=config.activation,
                norm_place="post",
                norm_epsilon=config.norm_epsilon,
                dropout=config.dropout,
                attention_dropout=config.attention_dropout,
            )
            for _ in range(config.num_layers)
        )
        self.pooler = Linear(size, size) if config.pooled else None
        self.apply(initialize)

    def embed(self, tokens: Padded, types: Tensor | None) -> Tensor:
        """Token and position vectors added up, (B, L, hidden)."""
        return self.positions(self.token_vectors(tokens.ids))

    def token_vectors(self, ids: Tensor) -> Tensor:
        """(B, L) to (B, L, hidden)."""
        return self.embedding(ids)

    def pattern(self, layer: int, tokens: Padded) -> Pattern:
        """Who may attend to whom in a layer: all to all real tokens.

        Lengths are given also where nothing is padded: the path must not depend on the company.
        """
        return Pattern(tokens.lengths)

    def encode(self, tokens: Padded, types: Tensor | None = None, *, return_weights: bool = False) -> Encoded:
        states = tokens.clear(self.dropout(self.embedding_norm(self.embed(tokens, types))))
        all_weights = []
        for number, layer in enumerate(self.layers):
            states, weights = layer(states, self.pattern(number, tokens), return_weights)
            all_weights.append(weights)
        return Encoded(states, torch.stack(all_weights, dim=1) if return_weights else None)

    def pool(self, states: Tensor) -> Tensor:
        if self.pooler is None:
            raise ConfigError("this encoder has no pooling layer (pooled = false).")
        return self.pool_activation(self.pooler(states[:, 0]))


class Bert(DistilBert):
    """An encoder pre-trained on masked words. Dropout and normalisation stand where the authors' code has them."""

    pool_activation: Callable[[Tensor], Tensor] = staticmethod(torch.tanh)

    def __init__(self, config: BertConfig):
        super().__init__(config)
        self.type_embedding = Embedding(config.num_types, config.hidden_size)
        initialize(self.type_embedding)

    def embed(self, tokens: Padded, types: Tensor | None) -> Tensor:
        kinds = torch.zeros_like(tokens.ids) if types is None else types
        return super().embed(tokens, types) + self.type_embedding(kinds)
