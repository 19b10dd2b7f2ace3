"""RNNsearch: additive attention over a bidirectional encoder (Bahdanau, Cho and Bengio 2015)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from regard.models.checks import check_dropouts, check_sizes
from regard.models.protocol import sentences_kept
from regard.models.recurrent import RecurrentSeq2Seq
from regard.nn.attention import AdditiveAttention, Pattern
from regard.nn.layers import Dropout, Embedding, Linear, OutputLayer
from regard.nn.padded import Padded
from regard.nn.recurrent import GRU, AttentiveGRUCell, Bidirectional


@dataclass(frozen=True, kw_only=True)
class RNNSearchConfig:
    """Sizes of RNNsearch. Defaults: Bahdanau et al. 2015, appendix A.2.3."""

    vocab_size: int  # shared by source and target
    hidden_size: int = 1000  # n, in each direction of the encoder and in the decoder
    embedding_size: int = 620  # m
    attention_size: int = 1000  # n'
    dropout: float = 0.2  # on embeddings, annotations and before the output; the paper has none
    tied_embeddings: bool = True  # target embedding = output matrix
    scaled_embeddings: bool = False  # token vectors are multiplied by √size, or these layers hardly hear them at first
    max_length: int = 256

    def __post_init__(self) -> None:
        check_sizes(self, "vocab_size", "hidden_size", "embedding_size", "attention_size", "max_length")
        check_dropouts(self, "dropout")


@dataclass(frozen=True)
class RNNSearchState:
    """What decoding remembers: the recurrent state, and the annotations of the source."""

    hidden: Tensor  # (R, hidden), s_i
    memory: Tensor  # (B, S, 2 * hidden), the annotations h_j; R is a multiple of B
    projected: Tensor  # (B, S, attention), U_a h_j
    source: Pattern

    def select(self, rows: Tensor) -> "RNNSearchState":
        hidden = self.hidden[rows.flatten()]
        sentences = self.memory.size(0)
        kept = sentences_kept(rows, self.hidden.size(0) // sentences, sentences)
        if kept is None:
            return RNNSearchState(hidden, self.memory, self.projected, self.source)
        return RNNSearchState(hidden, self.memory[kept], self.projected[kept], self.source.select(kept))


class RNNSearch(RecurrentSeq2Seq):
    """For each target word the decoder searches the source for where the relevant information is.

    Relative to the paper: the readout takes the new state s_i (its equation 4; the appendix writes s_(i-1)), the output
    matrix is tied to the target embedding, so that the maxout layer is as wide as a token vector, the reset gate acts
    after the recurrent product, as in torch's own GRU, and weights start as torch starts them (the paper: B.1).
    """

    def __init__(self, config: RNNSearchConfig):
        super().__init__()
        self.config = config
        hidden, embedding = config.hidden_size, config.embedding_size
        scale = embedding**0.5 if config.scaled_embeddings else 1.0
        self.source_embedding = Embedding(config.vocab_size, embedding, scale=scale)
        self.target_embedding = Embedding(config.vocab_size, embedding, scale=scale)
        self.encoder = Bidirectional(GRU, embedding, hidden)
        self.initial = Linear(hidden, hidden)  # W_s
        self.attention = AdditiveAttention(hidden, 2 * hidden, config.attention_size)
        self.cell = AttentiveGRUCell(embedding, 2 * hidden, hidden)
        self.readout = Linear(3 * hidden + embedding, 2 * embedding)  # U_o, V_o, C_o
        self.dropout = Dropout(config.dropout)
        tied_to = self.target_embedding if config.tied_embeddings else None
        self.output = OutputLayer(embedding, config.vocab_size, tied_to=tied_to)

    def states_by_token(self, source: Padded, target: Padded) -> Tensor:
        state, embedded = self.start(source), self.embed_target(target)
        (rows, length, _), num_tokens = embedded.shape, state.memory.size(1)
        gates, alone = self.cell.project(embedded), []
        for position in range(length):
            before, token = state.hidden, embedded[:, position : position + 1]
            _, state, _ = self.decode(token, state)
            each = [part.repeat_interleave(num_tokens, 0) for part in (gates[:, position], before)]
            hidden = self.cell(each[0], state.memory.flatten(0, 1), each[1]).view(rows, num_tokens, -1)
            alone.append(self._read(hidden, state.memory, token.expand(-1, num_tokens, -1)))
        return torch.stack(alone, 1)

    def start(self, source: Padded) -> RNNSearchState:
        embedded = self.embed_source(source)
        memory = self.dropout(self.encoder(embedded, source.lengths))
        first = torch.tanh(self.initial(memory[:, 0, self.config.hidden_size :]))  # the backward state at word 1
        return RNNSearchState(first, memory, self.attention.project(memory), Pattern(source.lengths))

    def decode(self, embedded: Tensor, state: RNNSearchState) -> tuple[Tensor, RNNSearchState, Tensor]:
        sentences, (rows, length, _) = state.memory.size(0), embedded.shape
        gates = self.cell.project(embedded)
        hidden, all_hidden, contexts, all_weights = state.hidden, [], [], []
        for position in range(length):
            query = hidden.view(sentences, -1, hidden.size(-1))  # (B, beam, hidden)
            context, weights = self.attention(query, state.projected, state.memory, state.source)
            context = context.reshape(rows, -1)  # c_i
            hidden = self.cell(gates[:, position], context, hidden)  # s_i
            all_hidden.append(hidden)
            contexts.append(context)
            all_weights.append(weights)
        states = self._read(torch.stack(all_hidden, 1), torch.stack(contexts, 1), embedded)
        new = RNNSearchState(hidden, state.memory, state.projected, state.source)
        return states, new, torch.cat(all_weights, dim=2)

    def _read(self, hidden: Tensor, context: Tensor, embedded: Tensor) -> Tensor:
        """s_i, c_i and the token before, (R, n, sizes), to what `output` scores, (R, n, embedding)."""
        deep = self.readout(torch.cat([hidden, context, embedded], dim=-1))  # t~_i, (R, n, 2 * embedding)
        return self.dropout(deep.unflatten(-1, (-1, 2)).amax(-1))  # maxout
