"""The RNN encoder-decoder whose single final state carries the sentence (Cho et al. 2014; Sutskever et al. 2014)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from regard.models.checks import check_dropouts, check_sizes
from regard.models.recurrent import RecurrentSeq2Seq
from regard.nn.layers import Dropout, Embedding, Linear, OutputLayer
from regard.nn.padded import Padded
from regard.nn.recurrent import GRU, last_real, reverse_padded


@dataclass(frozen=True, kw_only=True)
class RNNConfig:
    """Sizes of an RNN encoder-decoder. Defaults: 1,000 units as in Cho et al. 2014, section 4.1.1, and the token
    vectors of RNNsearch (Bahdanau et al. 2015), where Cho et al. have a product of two matrices of rank 100.
    """

    vocab_size: int  # shared by source and target
    hidden_size: int = 1000
    embedding_size: int = 620
    num_layers: int = 1  # of the encoder and of the decoder
    dropout: float = 0.2  # on embeddings and before the output
    tied_embeddings: bool = True  # target embedding = output matrix
    scaled_embeddings: bool = False  # token vectors are multiplied by √size, or these layers hardly hear them at first
    max_length: int = 256

    def __post_init__(self) -> None:
        check_sizes(self, "vocab_size", "hidden_size", "embedding_size", "num_layers", "max_length")
        check_dropouts(self, "dropout")


@dataclass(frozen=True)
class RNNState:
    """What decoding remembers: the recurrent state, and the source in one vector."""

    hidden: Tensor  # (layers, R, hidden)
    summary: Tensor  # (B, hidden), the encoder's final state; R is a multiple of B

    def select(self, rows: Tensor) -> "RNNState":
        width = self.hidden.size(1) // self.summary.size(0)
        return RNNState(self.hidden[:, rows.flatten()], self.summary[rows[:, 0] // width])


class RNN(RecurrentSeq2Seq):
    """A GRU reads the source; its last state starts the decoder and is an input of each of its steps.

    The source is read from its end to its beginning, so that the first words, which are needed first, are the freshest
    (Sutskever et al. 2014, section 3.3).

    Everything the decoder knows of the source went through one vector of `hidden_size` numbers: long sentences do not
    fit. That is the point of this model.
    """

    def __init__(self, config: RNNConfig):
        super().__init__()
        self.config = config
        hidden, embedding = config.hidden_size, config.embedding_size
        scale = embedding**0.5 if config.scaled_embeddings else 1.0
        self.source_embedding = Embedding(config.vocab_size, embedding, scale=scale)
        self.target_embedding = Embedding(config.vocab_size, embedding, scale=scale)
        self.encoder = GRU(embedding, hidden, config.num_layers, batch_first=True)
        self.initial = Linear(hidden, hidden)
        self.decoder = GRU(embedding + hidden, hidden, config.num_layers, batch_first=True)
        self.readout = Linear(2 * hidden + embedding, embedding)
        self.dropout = Dropout(config.dropout)
        tied_to = self.target_embedding if config.tied_embeddings else None
        self.output = OutputLayer(embedding, config.vocab_size, tied_to=tied_to)

    def start(self, source: Padded) -> RNNState:
        embedded = self.embed_source(source)
        encoded, _ = self.encoder(reverse_padded(embedded, source.lengths))
        summary = last_real(encoded, source.lengths)
        first = torch.tanh(self.initial(summary))
        return RNNState(first.expand(self.config.num_layers, -1, -1).contiguous(), summary)

    def decode(self, embedded: Tensor, state: RNNState) -> tuple[Tensor, RNNState, None]:
        beam = embedded.size(0) // state.summary.size(0)
        summary = state.summary.repeat_interleave(beam, dim=0)[:, None].expand(-1, embedded.size(1), -1)
        decoded, hidden = self.decoder(torch.cat([embedded, summary], dim=-1), state.hidden)
        read = torch.tanh(self.readout(torch.cat([decoded, summary, embedded], dim=-1)))
        return self.dropout(read), RNNState(hidden, state.summary), None
