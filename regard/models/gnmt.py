"""GNMT: deep residual LSTM stacks with attention from the bottom decoder layer (Wu et al. 2016)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from regard.errors import ConfigError
from regard.models.checks import check_dropouts, check_sizes
from regard.models.protocol import sentences_kept
from regard.models.recurrent import RecurrentSeq2Seq
from regard.nn.attention import AdditiveAttention, Pattern
from regard.nn.layers import Dropout, Embedding, Linear, OutputLayer
from regard.nn.padded import Padded
from regard.nn.recurrent import LSTM, Bidirectional


@dataclass(frozen=True, kw_only=True)
class GNMTConfig:
    """Sizes of GNMT. Defaults: Wu et al. 2016, section 3 and 8.3."""

    vocab_size: int  # shared by source and target
    hidden_size: int = 1024
    num_layers: int = 8  # in the encoder (the first is bidirectional) and in the decoder
    attention_size: int = 1024
    dropout: float = 0.2  # before each layer
    tied_embeddings: bool = True  # target embedding = output matrix
    scaled_embeddings: bool = False  # token vectors are multiplied by √size, or these layers hardly hear them at first
    max_length: int = 256

    def __post_init__(self) -> None:
        check_sizes(self, "vocab_size", "hidden_size", "num_layers", "attention_size", "max_length")
        check_dropouts(self, "dropout")
        if self.num_layers < 2:
            raise ConfigError(
                f"num_layers must be at least 2 (a bidirectional layer and one above), got {self.num_layers}"
            )
        if self.hidden_size % 2:
            raise ConfigError(f"hidden_size must be even (half for each direction), got {self.hidden_size}")


@dataclass(frozen=True)
class GNMTState:
    """What decoding remembers: each decoder layer's LSTM state, and the encoded source."""

    layers: tuple[tuple[Tensor, Tensor], ...]  # hidden and cell state of each layer, (1, R, hidden)
    memory: Tensor  # (B, S, hidden); R is a multiple of B
    projected: Tensor  # (B, S, attention)
    source: Pattern

    def select(self, rows: Tensor) -> "GNMTState":
        flat = rows.flatten()
        sentences = self.memory.size(0)
        kept = sentences_kept(rows, self.layers[0][0].size(1) // sentences, sentences)
        layers = tuple((hidden[:, flat], cell[:, flat]) for hidden, cell in self.layers)
        if kept is None:
            return GNMTState(layers, self.memory, self.projected, self.source)
        return GNMTState(layers, self.memory[kept], self.projected[kept], self.source.select(kept))


class GNMT(RecurrentSeq2Seq):
    """Deep LSTMs with residual connections from the third layer on (second in the decoder).

    The bottom decoder layer reads target tokens only; its output asks the source, and the context it gets goes into all
    layers above and into the output. Nothing in training waits for an attention step, so every layer runs over the
    whole sentence at once: this is the paper's reason for taking the bottom layer (its section 3). Relative to the
    paper: the query is the bottom layer's present output, not the previous one; before the softmax the top state and
    the context go through one tanh layer (Luong et al. 2015, equation 5); residual connections begin a layer lower in
    the decoder; each direction of the bottom encoder layer has half the width; weights start as torch starts them; and
    sizes are free.
    """

    def __init__(self, config: GNMTConfig):
        super().__init__()
        self.config = config
        hidden = config.hidden_size
        scale = hidden**0.5 if config.scaled_embeddings else 1.0
        self.source_embedding = Embedding(config.vocab_size, hidden, scale=scale)
        self.target_embedding = Embedding(config.vocab_size, hidden, scale=scale)
        self.encoder_bottom = Bidirectional(LSTM, hidden, hidden // 2)
        self.encoder = nn.ModuleList(LSTM(hidden, hidden, batch_first=True) for _ in range(config.num_layers - 1))
        self.decoder_bottom = LSTM(hidden, hidden, batch_first=True)
        self.attention = AdditiveAttention(hidden, hidden, config.attention_size)
        self.decoder = nn.ModuleList(LSTM(2 * hidden, hidden, batch_first=True) for _ in range(config.num_layers - 1))
        self.readout = Linear(2 * hidden, hidden)
        self.dropout = Dropout(config.dropout)
        tied_to = self.target_embedding if config.tied_embeddings else None
        self.output = OutputLayer(hidden, config.vocab_size, tied_to=tied_to)

    def states_by_token(self, source: Padded, target: Padded) -> Tensor:
        state, embedded = self.start(source), self.embed_target(target)
        (rows, length, _), num_tokens = embedded.shape, state.memory.size(1)
        context, alone = state.memory.flatten(0, 1)[:, None], []
        for position in range(length):
            layers, token = state.layers, embedded[:, position : position + 1]
            bottom, _ = self.decoder_bottom(token, layers[0])
            before = [
                (hidden.repeat_interleave(num_tokens, 1), cell.repeat_interleave(num_tokens, 1))
                for hidden, cell in layers[1:]
            ]
            read, _ = self._read(bottom.repeat_interleave(num_tokens, 0), context, before)
            alone.append(read.view(rows, num_tokens, -1))
            _, state, _ = self.decode(token, state)
        return torch.stack(alone, 1)

    def start(self, source: Padded) -> GNMTState:
        embedded = self.embed_source(source)
        states = self.encoder_bottom(embedded, source.lengths)
        for number, layer in enumerate(self.encoder):
            output, _ = layer(self.dropout(states))
            states = output + states if number else output
        zeros = states.new_zeros(1, states.size(0), self.config.hidden_size)
        layers = tuple((zeros, zeros) for _ in range(self.config.num_layers))
        return GNMTState(layers, states, self.attention.project(states), Pattern(source.lengths))

    def decode(self, embedded: Tensor, state: GNMTState) -> tuple[Tensor, GNMTState, Tensor]:
        sentences, (rows, length, _) = state.memory.size(0), embedded.shape
        states, bottom = self.decoder_bottom(embedded, state.layers[0])
        query = states.reshape(sentences, -1, states.size(-1))  # (B, beam * n, hidden)
        context, weights = self.attention(query, state.projected, state.memory, state.source)
        context = context.reshape(rows, length, -1)
        read, layers = self._read(states, context, state.layers[1:])
        return read, GNMTState((bottom, *layers), state.memory, state.projected, state.source), weights

    def _read(
        self, states: Tensor, context: Tensor, before: Sequence[tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """The bottom layer's output and the context, (R, n, hidden) each, through the layers above and the readout.

        Returns:
            What `output` scores, (R, n, hidden), and the states of the layers above.
        """
        layers = []
        for layer, state in zip(self.decoder, before, strict=True):
            output, after = layer(self.dropout(torch.cat([states, context], dim=-1)), state)
            states = output + states
            layers.append(after)
        return self.dropout(torch.tanh(self.readout(torch.cat([states, context], dim=-1)))), layers
