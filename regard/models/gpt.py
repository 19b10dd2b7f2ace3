"""GPT-2 (Radford et al. 2019) and GPT-3 (Brown et al. 2020): decoders that go on with a text."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.errors import ConfigError
from regard.models.checks import check_dropouts, check_heads, check_sizes
from regard.models.protocol import Decoder, Forced
from regard.nn.attention import Pattern
from regard.nn.encoder import INITIAL_STD, EncoderLayer, KeyValue, initialize
from regard.nn.layers import Activation, Dropout, Embedding, OutputLayer
from regard.nn.padded import Padded
from regard.nn.positions import PositionalEmbedding


@dataclass(frozen=True, kw_only=True)
class GPTConfig:
    """Sizes of a decoder-only Transformer. Defaults: the smallest of Radford et al. 2019, table 2."""

    vocab_size: int = 50_257
    hidden_size: int = 768  # d_model
    num_layers: int = 12
    num_heads: int = 12
    feed_forward_size: int = 3_072  # 4 d_model in both papers
    attention_window: int = 0  # tokens seen by the second, fourth, ... layer, the own one counted; 0: all before it
    embedding_dropout: float = 0.1
    dropout: float = 0.1  # on each sub-layer's output
    attention_dropout: float = 0.1  # on attention weights
    activation: Activation = "gelu_tanh"
    norm_epsilon: float = 1e-5
    max_length: int = 1_024  # tokens of prompt and text together: the context

    def __post_init__(self) -> None:
        check_sizes(self, "vocab_size", "hidden_size", "num_layers", "num_heads", "feed_forward_size", "max_length")
        check_heads(self.hidden_size, self.num_heads)
        if self.attention_window < 0:
            raise ConfigError(f"attention_window must not be negative, got {self.attention_window}")
        check_dropouts(self, "embedding_dropout", "dropout", "attention_dropout")
        if not 0 < self.norm_epsilon < 1:
            raise ConfigError(f"norm_epsilon must be above 0 and below 1, got {self.norm_epsilon}")


def _gpt(num_layers: int, hidden_size: int, num_heads: int, max_length: int, attention_window: int) -> GPTConfig:
    return GPTConfig(
        hidden_size=hidden_size,
        num_layers=num_layers,
        num_heads=num_heads,
        feed_forward_size=4 * hidden_size,
        max_length=max_length,
        attention_window=attention_window,
    )


# GPT-2: Radford et al. 2019, table 2; its heads are 64 wide. GPT-3: Brown et al. 2020, table 2.1, where two rows
# contradict themselves: XL has 24 heads of 128 for a width of 2,048 (16 make it), 13B a width of 5,140 for 40 heads of
# 128 (5,120). The paper does not say how wide the band is; 128 is the stride for text of Child et al. 2019.
SIZES: Mapping[str, GPTConfig] = MappingProxyType(
    {
        "gpt2-small": _gpt(12, 768, 12, 1_024, 0),
        "gpt2-medium": _gpt(24, 1_024, 16, 1_024, 0),
        "gpt2-large": _gpt(36, 1_280, 20, 1_024, 0),
        "gpt2-xl": _gpt(48, 1_600, 25, 1_024, 0),
        "gpt3-small": _gpt(12, 768, 12, 2_048, 128),
        "gpt3-medium": _gpt(24, 1_024, 16, 2_048, 128),
        "gpt3-large": _gpt(24, 1_536, 16, 2_048, 128),
        "gpt3-xl": _gpt(24, 2_048, 16, 2_048, 128),
        "gpt3-2.7b": _gpt(32, 2_560, 32, 2_048, 128),
        "gpt3-6.7b": _gpt(32, 4_096, 32, 2_048, 128),
        "gpt3-13b": _gpt(40, 5_120, 40, 2_048, 128),
        "gpt3-175b": _gpt(96, 12_288, 96, 2_048, 128),
    }
)


@dataclass(frozen=True)
class GPTState:
    """What decoding remembers: per layer the keys and values of the text so far.

    All texts end in the same column, so that every row goes on in the next one; shorter texts begin in a later column.
    """

    caches: tuple[KeyValue | None, ...]  # each (R, H, columns, D)
    starts: Tensor  # (R,), the column of each text's first token; those before it are filling
    columns: int = 0

    def select(self, rows: Tensor) -> "GPTState":
        flat = rows.flatten()
        caches = tuple(None if cache is None else (cache[0][flat], cache[1][flat]) for cache in self.caches)
        return GPTState(caches, self.starts[flat], self.columns)


class GPT(Decoder):
    """A language model of pre-norm layers with learned positions, its output tied to the token embedding.

    With `attention_window` every second layer sees a band only, as in GPT-3 (Brown et al. 2020, section 2.1). The band
    is a mask: it says what a layer can use, and saves no work. Each row of a beam has its own copy of the prompt.
    """

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.config = config
        size = config.hidden_size
        self.embedding = Embedding(config.vocab_size, size)
        self.positions = PositionalEmbedding("trainable", size, config.max_length)
        self.dropout = Dropout(config.embedding_dropout)
        self.layers = nn.ModuleList(
            EncoderLayer(
                size,
                config.num_heads,
                config.feed_forward_size,
                activation=config.activation,
                norm_place="pre",
                norm_epsilon=config.norm_epsilon,
                dropout=config.dropout,
                attention_dropout=config.attention_dropout,
            )
            for _ in range(config.num_layers)
        )
        self.norm = nn.LayerNorm(size, eps=config.norm_epsilon)
        self.output = OutputLayer(size, config.vocab_size, tied_to=self.embedding, bias=False)
        self.apply(initialize)
        for name, parameter in self.named_parameters():
            # What is added up layer by layer starts smaller (Radford et al. 2019, section 2.3).
            if name.endswith(("attention.output.weight", "feed_forward.outer.weight")):
                nn.init.normal_(parameter, std=INITIAL_STD / (2 * config.num_layers) ** 0.5)

    def states(self, tokens: Padded) -> Tensor:
        return self._read_all(tokens, return_weights=False)[0]

    def forced(self, tokens: Padded, *, return_weights: bool = False) -> Forced:
        states, weights = self._read_all(tokens, return_weights=return_weights)
        return Forced(states, self.output, {"decoder": torch.stack(weights, dim=1)} if return_weights else {})

    def start(self, source: Padded) -> GPTState:
        width = source.ids.size(1)
        starts = width - source.lengths
        places = torch.arange(width, device=starts.device) - starts[:, None]  # (B, W), below 0: filling
        ids = source.ids.gather(1, places.clamp_min(0))
        state = GPTState((None,) * len(self.layers), starts)
        return self._read(ids[:, :-1], state)[1] if width > 1 else state

    def step(self, ids: Tensor, state: GPTState) -> tuple[Tensor, GPTState]:
        states, state = self._read(ids, state)
        return self.output(states), state

    def _read(self, ids: Tensor, state: GPTState) -> tuple[Tensor, GPTState]:
        """States of the next columns (R, n), and what is remembered with them."""
        end = state.columns + ids.size(1)
        places = torch.arange(state.columns, end, device=ids.device) - state.starts[:, None]  # (R, n), below 0: filling
        # A text that has filled the context may stay in the batch as company: what it would write is not looked at.
        vectors = F.embedding(places.clamp(0, self.config.max_length - 1), self.positions.weight)
        embedded = self.dropout(self.embedding(ids) + vectors).masked_fill(places[:, :, None] < 0, 0.0)
        states, caches, _ = self._run(embedded, state.caches, state.starts, return_weights=False)
        return states, GPTState(caches, state.starts, end)

    def _read_all(self, tokens: Padded, *, return_weights: bool) -> tuple[Tensor, list[Tensor]]:
        """States (B, T, hidden) and, of each layer, the weights (B, H, T, T) if they are asked for."""
        # Filling stands behind every real token, so no mask is needed to keep it from them.
        embedded = tokens.clear(self.dropout(self.positions(self.embedding(tokens.ids))))
        states, _, weights = self._run(embedded, (None,) * len(self.layers), None, return_weights=return_weights)
        return states, weights

    def _run(
        self, states: Tensor, caches: tuple[KeyValue | None, ...], starts: Tensor | None, *, return_weights: bool
    ) -> tuple[Tensor, tuple[KeyValue, ...], list[Tensor]]:
        new_caches, all_weights = [], []
        for number, (layer, cache) in enumerate(zip(self.layers, caches, strict=True)):
            pattern = Pattern(causal=True, key_starts=starts, window=self.config.attention_window if number % 2 else 0)
            states, weights, cache = layer.go_on(states, pattern, cache, return_weights)  # type: ignore[operator]
            new_caches.append(cache)
            all_weights.append(weights)
        return self.norm(states), tuple(new_caches), all_weights
