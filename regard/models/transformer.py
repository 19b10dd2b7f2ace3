"""The Transformer (Vaswani et al. 2017)."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from regard.errors import ConfigError
from regard.models.checks import check_dropouts, check_heads, check_sizes
from regard.models.protocol import Forced, Seq2Seq, sentences_kept
from regard.nn.attention import MultiHeadAttention, Pattern
from regard.nn.encoder import EncoderLayer
from regard.nn.layers import Activation, Dropout, Embedding, FeedForward, NormPlace, OutputLayer, Residual
from regard.nn.padded import Padded
from regard.nn.positions import PositionalEmbedding, Positions


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Sizes of an encoder-decoder Transformer. Defaults: "base" in Vaswani et al. 2017, table 3."""

    vocab_size: int  # shared by source and target
    hidden_size: int = 512  # d_model
    num_layers: int = 6  # N, in the encoder
    num_heads: int = 8  # h
    feed_forward_size: int = 2048  # d_ff
    # How far each of the encoder's first layers sees: tokens less than so far from their own, a band; the other layers
    # see all. What far words have to do with each other is then found in few layers, where it can be seen.
    encoder_windows: tuple[int, ...] | None = None
    # The encoder's last layer takes where to look from the layers below, and what it reads there from the token vectors
    # alone. What the decoder knows of a word's context has then gone by that layer's weights.
    last_layer_reads_words: bool | None = None
    # What that layer has read is added to the states after so many layers; None, 0: to what the first layer began with.
    # With a first layer that sees the next words alone a word then knows, say, whether it is a subject.
    last_layer_adds_to: int | None = None
    last_layer_noise: float | None = None  # in training: how much Gumbel noise is added to that layer's scores
    decoder_window: int | None = None  # how many tokens of the target the decoder sees, its own and those before it
    cross_noise: float | None = None  # in training: the same on the scores of the attention to the source
    decoder_num_layers: int = 0  # 0: as many as the encoder; a shallow decoder translates faster (Kasai et al. 2021)
    decoder_num_heads: int = 0  # 0: as the encoder
    decoder_feed_forward_size: int = 0  # 0: as the encoder
    dropout: float = 0.1  # P_drop: on embeddings and on each sub-layer's output
    attention_dropout: float = 0.0  # on attention weights
    activation_dropout: float = 0.0  # inside the feed-forward block
    norm_place: NormPlace = "pre"  # the paper: "post"; "pre" trains at small scale without tuning the warm-up
    positions: Positions = "sinusoidal"
    activation: Activation = "relu"
    tied_embeddings: bool = True  # one matrix for source, target and output (Press and Wolf 2017)
    embedding_scale: float | None = None  # token vectors are multiplied by it; None: √hidden_size, section 3.4
    max_length: int = 256  # longest source or target in tokens; longer text is split before it gets here

    def __post_init__(self) -> None:
        check_sizes(self, "vocab_size", "hidden_size", "num_layers", "num_heads", "feed_forward_size", "max_length")
        for name in ("decoder_num_layers", "decoder_num_heads", "decoder_feed_forward_size"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative, got {getattr(self, name)}")
        for heads in (self.num_heads, self.decoder_num_heads or self.num_heads):
            check_heads(self.hidden_size, heads)
        check_dropouts(self, "dropout", "attention_dropout", "activation_dropout")
        if self.encoder_windows is not None:
            if not self.encoder_windows or min(self.encoder_windows) < 1:
                raise ConfigError(f"encoder_windows must be numbers from 1 up, got {list(self.encoder_windows)}")
            if len(self.encoder_windows) >= self.num_layers:
                raise ConfigError(
                    f"encoder_windows are of {len(self.encoder_windows)} layers, num_layers is {self.num_layers}: at "
                    "least the last must see all"
                )
        if self.last_layer_adds_to is not None:
            if not self.last_layer_reads_words:
                raise ConfigError("last_layer_adds_to does nothing without last_layer_reads_words")
            if not 0 <= self.last_layer_adds_to < self.num_layers:
                raise ConfigError(
                    f"last_layer_adds_to must be from 0 up and below num_layers, {self.num_layers}; got "
                    f"{self.last_layer_adds_to}"
                )
        for name in ("last_layer_noise", "cross_noise"):
            if (noise := getattr(self, name)) is not None and not 0 <= noise < math.inf:
                raise ConfigError(f"{name} must be from 0 up and finite, got {noise}")
        if self.decoder_window is not None and self.decoder_window < 1:
            raise ConfigError(f"decoder_window must be from 1 up, got {self.decoder_window}")
        if self.embedding_scale is not None and not 0 < self.embedding_scale < math.inf:
            raise ConfigError(f"embedding_scale must be above 0 and finite, got {self.embedding_scale}")


@dataclass(frozen=True)
class LayerCache:
    """Keys and values one decoder layer has seen, each (rows, H, length, D)."""

    own: tuple[Tensor, Tensor] | None  # of the target so far, R rows
    memory: tuple[Tensor, Tensor]  # of the source, one row a sentence


class DecoderLayer(nn.Module):
    """Self-attention on the target so far, attention to the source, then feed-forward."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        num_heads = config.decoder_num_heads or config.num_heads
        feed_forward_size = config.decoder_feed_forward_size or config.feed_forward_size
        self.pattern = Pattern(causal=True, window=config.decoder_window or 0)
        self.attention = MultiHeadAttention(config.hidden_size, num_heads, dropout=config.attention_dropout)
        self.attention_frame = Residual(config.hidden_size, config.norm_place, config.dropout)
        self.cross_attention = MultiHeadAttention(
            config.hidden_size, num_heads, dropout=config.attention_dropout, noise=config.cross_noise or 0.0
        )
        self.cross_frame = Residual(config.hidden_size, config.norm_place, config.dropout)
        self.feed_forward = FeedForward(
            config.hidden_size, feed_forward_size, config.activation, config.activation_dropout
        )
        self.feed_forward_frame = Residual(config.hidden_size, config.norm_place, config.dropout)

    def forward(
        self, states: Tensor, cache: LayerCache, source: Pattern, return_weights: bool
    ) -> tuple[Tensor, LayerCache, Tensor | None, Tensor | None]:
        states, own, own_weights = self._read_target(states, cache, return_weights)
        context, cross_weights = self.cross_attention(
            self.cross_frame.enter(states), cache.memory, source, return_weights=return_weights
        )
        return self._add(states, context), LayerCache(own, cache.memory), own_weights, cross_weights

    def by_token(self, states: Tensor, cache: LayerCache) -> Tensor:
        """What comes out, (B, T, S, hidden), had all heads looked at one source token alone, for each token."""
        states, _, _ = self._read_target(states, cache, return_weights=False)
        values = cache.memory[1].transpose(1, 2).flatten(2)  # (B, S, hidden): of all heads side by side
        return self._add(states[:, :, None], self.cross_attention.output(values)[:, None])

    def _read_target(
        self, states: Tensor, cache: LayerCache, return_weights: bool
    ) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor | None]:
        entered = self.attention_frame.enter(states)
        own = self.attention.project(entered)
        if cache.own is not None:
            own = (torch.cat([cache.own[0], own[0]], dim=2), torch.cat([cache.own[1], own[1]], dim=2))
        context, weights = self.attention(entered, own, self.pattern, return_weights=return_weights)
        return self.attention_frame.add(states, context), own, weights

    def _add(self, states: Tensor, context: Tensor) -> Tensor:
        """The context of the source, and the feed-forward block."""
        states = self.cross_frame.add(states, context)
        output = self.feed_forward(self.feed_forward_frame.enter(states))
        return self.feed_forward_frame.add(states, output)


@dataclass(frozen=True)
class TransformerState:
    """What decoding remembers: per layer the keys and values of target and source."""

    caches: tuple[LayerCache, ...]
    source: Pattern  # which source positions are real
    length: int  # target tokens read so far
    beam: int = 1  # rows a sentence

    def select(self, rows: Tensor) -> "TransformerState":
        flat = rows.flatten()
        sentences = self.caches[0].memory[0].size(0)
        kept = sentences_kept(rows, self.beam, sentences)
        caches = tuple(
            LayerCache(
                None if cache.own is None else (cache.own[0][flat], cache.own[1][flat]),
                cache.memory if kept is None else (cache.memory[0][kept], cache.memory[1][kept]),
            )
            for cache in self.caches
        )
        return TransformerState(caches, self.source.select(kept), self.length, rows.size(1))


class Transformer(Seq2Seq):
    """Encoder-decoder Transformer.

    Relative to the paper: by default layers are pre-norm with a final normalisation; source, target and output share
    one embedding matrix; the output layer has a bias (as Marian's).
    """

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.config = config
        scale = config.hidden_size**0.5 if config.embedding_scale is None else config.embedding_scale
        self.source_embedding = Embedding(config.vocab_size, config.hidden_size, scale=scale)
        self.target_embedding = (
            self.source_embedding
            if config.tied_embeddings
            else Embedding(config.vocab_size, config.hidden_size, scale=scale)
        )
        self.source_positions = PositionalEmbedding(config.positions, config.hidden_size, config.max_length)
        self.target_positions = PositionalEmbedding(config.positions, config.hidden_size, config.max_length)
        self.encoder = nn.ModuleList(
            EncoderLayer(
                config.hidden_size,
                config.num_heads,
                config.feed_forward_size,
                activation=config.activation,
                norm_place=config.norm_place,
                dropout=config.dropout,
                attention_dropout=config.attention_dropout,
                attention_noise=noise,
                activation_dropout=config.activation_dropout,
            )
            for noise in [0.0] * (config.num_layers - 1) + [config.last_layer_noise or 0.0]
        )
        self.decoder = nn.ModuleList(
            DecoderLayer(config) for _ in range(config.decoder_num_layers or config.num_layers)
        )
        final = nn.LayerNorm if config.norm_place == "pre" else nn.Identity
        self.encoder_norm = final(config.hidden_size)
        self.decoder_norm = final(config.hidden_size)
        self.dropout = Dropout(config.dropout)
        self.output = OutputLayer(
            config.hidden_size,
            config.vocab_size,
            tied_to=self.target_embedding if config.tied_embeddings else None,
        )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def states(self, source: Padded, target: Padded) -> Tensor:
        return self._decode_all(source, target, return_weights=False)[0]

    def forced(self, source: Padded, target: Padded, *, return_weights: bool = False) -> Forced:
        states, weights = self._decode_all(source, target, return_weights=return_weights)
        return Forced(states, self.output, weights)

    def states_by_token(self, source: Padded, target: Padded) -> Tensor:
        start, states, _ = self._begin(source, target, return_weights=False)
        for layer, cache in zip(self.decoder[:-1], start.caches[:-1], strict=True):
            states, _, _, _ = layer(states, cache, start.source, False)
        return self.decoder_norm(self.decoder[-1].by_token(states, start.caches[-1]))  # type: ignore[operator]

    def start(self, source: Padded) -> TransformerState:
        pattern = Pattern(source.lengths)  # also where nothing is padded: the path must not depend on the company
        memory, _ = self._encode(source, pattern, return_weights=False)
        return TransformerState(self._caches(memory), pattern, 0)

    def step(self, ids: Tensor, state: TransformerState) -> tuple[Tensor, TransformerState]:
        embedded = self._embed(self.target_embedding, self.target_positions, ids, state.length)
        states, caches, _ = self._decode(embedded, state, return_weights=False)
        return self.output(states), TransformerState(caches, state.source, state.length + ids.size(1), state.beam)

    def _encode(self, source: Padded, pattern: Pattern, *, return_weights: bool) -> tuple[Tensor, list[Tensor | None]]:
        words = self.source_embedding(source.ids)
        states = begun = source.clear(self.dropout(self.source_positions(words, 0)))
        bands = [replace(pattern, window=window) for window in self.config.encoder_windows or ()]
        bands += [pattern] * (len(self.encoder) - len(bands))
        all_weights = []
        for number, (layer, seen) in enumerate(zip(self.encoder, bands, strict=True), 1):
            if self.config.last_layer_reads_words and layer is self.encoder[-1]:
                words = source.clear(self.dropout(words))
                states, weights = layer.read_words(states, words, begun, seen, return_weights)  # type: ignore[operator]
            else:
                states, weights = layer(states, seen, return_weights)
            if number == self.config.last_layer_adds_to:
                begun = states
            all_weights.append(weights)
        return self.encoder_norm(states), all_weights

    def _caches(self, memory: Tensor) -> tuple[LayerCache, ...]:
        """What each decoder layer remembers before the first token: the keys and values of the source."""
        return tuple(
            LayerCache(None, layer.cross_attention.project(memory))  # type: ignore[union-attr]
            for layer in self.decoder
        )

    def _decode(
        self, states: Tensor, state: TransformerState, *, return_weights: bool
    ) -> tuple[Tensor, tuple[LayerCache, ...], list[tuple[Tensor | None, Tensor | None]]]:
        caches, all_weights = [], []
        for layer, cache in zip(self.decoder, state.caches, strict=True):
            states, cache, own_weights, cross_weights = layer(states, cache, state.source, return_weights)
            caches.append(cache)
            all_weights.append((own_weights, cross_weights))
        return self.decoder_norm(states), tuple(caches), all_weights

    def _decode_all(self, source: Padded, target: Padded, *, return_weights: bool) -> tuple[Tensor, dict[str, Tensor]]:
        start, embedded, encoder_weights = self._begin(source, target, return_weights=return_weights)
        states, _, decoder_weights = self._decode(embedded, start, return_weights=return_weights)
        if not return_weights:
            return states, {}
        return states, {
            "encoder": _stack(encoder_weights),  # (B, layers, H, S, S)
            "decoder": _stack([own for own, _ in decoder_weights]),  # (B, layers, H, T, T)
            "cross": _stack([cross for _, cross in decoder_weights]),  # (B, layers, H, T, S)
        }

    def _begin(
        self, source: Padded, target: Padded, *, return_weights: bool
    ) -> tuple[TransformerState, Tensor, list[Tensor | None]]:
        """The state before a forced pass, the target's vectors (B, T, hidden), and the encoder's weights."""
        pattern = Pattern(source.key_lengths())
        memory, weights = self._encode(source, pattern, return_weights=return_weights)
        embedded = target.clear(self._embed(self.target_embedding, self.target_positions, target.ids, 0))
        return TransformerState(self._caches(memory), pattern, 0), embedded, weights

    def _embed(self, embedding: Embedding, positions: PositionalEmbedding, ids: Tensor, first: int) -> Tensor:
        return self.dropout(positions(embedding(ids), first))


def _stack(weights: list[Tensor | None]) -> Tensor:
    """The weights of all layers, each (B, H, Q, K), as (B, layers, H, Q, K)."""
    return torch.stack([layer for layer in weights if layer is not None], dim=1)
