"""The models as their papers write them: attention weights and logits of one sentence pair, in numpy, float64.

Nothing here is of `regard` but the parameters' names and the configuration's fields, so tests may hold models to it.
Where `regard` departs from a paper, a comment says so.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

Array = np.ndarray
Parameters = Mapping[str, Array]
Found = tuple[dict[str, Array], Array]  # weights by kind, each (layers, heads, rows, columns), and logits (T, V)


# What the papers share.


def linear(p: Parameters, name: str, x: Array) -> Array:
    """W x + b, for one vector or a row of them."""
    return x @ p[f"{name}.weight"].T + p.get(f"{name}.bias", 0.0)


def softmax(scores: Array) -> Array:
    exponentials = np.exp(scores - scores.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def additive(p: Parameters, query: Array, memory: Array) -> Array:
    """Weights over the memory: the softmax of e_ij = v_aᵀ tanh(W_a s + U_a h_j) (Bahdanau et al., A.1.2)."""
    energies = np.tanh(linear(p, "attention.query", query) + linear(p, "attention.key", memory))
    return softmax(energies @ p["attention.score.weight"][0])


def both_ways(read: Callable[[str, Array], Array], x: Array) -> tuple[Array, Array]:
    """States of a network that reads forward, and of one that reads backward, each at its word."""
    return read("forward_net", x), read("backward_net", x[::-1])[::-1]


def read_tokens(p: Parameters, config: Any, side: str, ids: Sequence[int]) -> Array:
    """Token vectors as a recurrent network reads them; the papers do not multiply them by √size."""
    vectors = p[f"{side}_embedding.weight"][list(ids)]
    return vectors * math.sqrt(vectors.shape[-1]) if config.scaled_embeddings else vectors


# Bahdanau, Cho and Bengio 2015, appendix A. It leaves the biases out.


def gru_step(state: Array, from_inputs: Array, from_state: Array) -> Array:
    """s_i = (1 - z) s_(i-1) + z s~, A.1.1; both arguments hold update, reset and candidate side by side.

    Where the paper has U (r s), this is r (U s), as in torch's GRU.
    """
    (x_z, x_r, x), (u_z, u_r, u) = np.split(from_inputs, 3), np.split(from_state, 3)
    z, r = sigmoid(x_z + u_z), sigmoid(x_r + u_r)
    return (1 - z) * state + z * np.tanh(x + r * u)


def gru(p: Parameters, name: str, x: Array) -> Array:
    """States for all words, from zeros. torch's gates stand in another order, and its z keeps the old state."""
    state, states = np.zeros(p[f"{name}.weight_hh_l0"].shape[1]), []
    for word in x:
        from_inputs = p[f"{name}.weight_ih_l0"] @ word + p[f"{name}.bias_ih_l0"]
        from_state = p[f"{name}.weight_hh_l0"] @ state + p[f"{name}.bias_hh_l0"]
        (x_r, x_z, x_n), (u_r, u_z, u_n) = np.split(from_inputs, 3), np.split(from_state, 3)
        state = gru_step(state, np.concatenate([-x_z, x_r, x_n]), np.concatenate([-u_z, u_r, u_n]))
        states.append(state)
    return np.array(states)


def rnnsearch(p: Parameters, config: Any, source: Sequence[int], target: Sequence[int]) -> Found:
    words = read_tokens(p, config, "source", source)
    forward, backward = both_ways(lambda name, x: gru(p, f"encoder.{name}", x), words)
    annotations = np.concatenate([forward, backward], axis=1)  # h_j
    state = np.tanh(linear(p, "initial", backward[0]))  # s_0 = tanh(W_s h_1), of the backward states
    weights, logits = [], []
    for y in read_tokens(p, config, "target", target):
        alpha = additive(p, state, annotations)
        context = alpha @ annotations  # c_i = Σ_j α_ij h_j
        from_inputs = linear(p, "cell.token_gates", y) + linear(p, "cell.context_gates", context)
        state = gru_step(state, from_inputs, linear(p, "cell.state_gates", state))
        deep = linear(p, "readout", np.concatenate([state, context, y]))  # t~_i = U_o s + V_o E y + C_o c, A.2.2
        maxout = np.maximum(deep[0::2], deep[1::2])  # t_i
        weights.append(alpha)
        logits.append(linear(p, "output", maxout))
    return {"cross": np.array(weights)[None, None]}, np.array(logits)


# Wu et al. 2016, section 3.


def lstm(p: Parameters, name: str, x: Array) -> Array:
    """m_1..m_n for all words, from zeros: the usual LSTM, gates in the order input, forget, cell, output."""
    m = c = np.zeros(p[f"{name}.weight_hh_l0"].shape[1])
    states = []
    for word in x:
        from_inputs = p[f"{name}.weight_ih_l0"] @ word + p[f"{name}.bias_ih_l0"]
        i, f, g, o = np.split(from_inputs + p[f"{name}.weight_hh_l0"] @ m + p[f"{name}.bias_hh_l0"], 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        m = sigmoid(o) * np.tanh(c)
        states.append(m)
    return np.array(states)


def gnmt(p: Parameters, config: Any, source: Sequence[int], target: Sequence[int]) -> Found:
    words = read_tokens(p, config, "source", source)
    x = np.concatenate(both_ways(lambda name, x: lstm(p, f"encoder_bottom.{name}", x), words), axis=1)
    x = lstm(p, "encoder.0", x)
    for number in range(1, config.num_layers - 1):  # residual from the third layer on: x_i = m_i + x_(i-1), eq. 6
        x = lstm(p, f"encoder.{number}", x) + x
    y = lstm(p, "decoder_bottom", read_tokens(p, config, "target", target))
    weights = np.array([additive(p, query, x) for query in y])  # p_t = softmax of AttentionFunction(y_i, x_t), eq. 4
    contexts = weights @ x  # a_i = Σ_t p_t x_t
    for number in range(config.num_layers - 1):
        y = lstm(p, f"decoder.{number}", np.concatenate([y, contexts], axis=1)) + y
    read = np.tanh(linear(p, "readout", np.concatenate([y, contexts], axis=1)))  # not the paper's: Luong 2015, eq. 5
    return {"cross": weights[None, None]}, linear(p, "output", read)


# Vaswani et al. 2017.


def positions(p: Parameters, config: Any, side: str, length: int) -> Array | float:
    """Section 3.5: PE(pos, 2i) = sin(pos / 10000^(2i/d)), PE(pos, 2i+1) = cos(the same), or a learned table."""
    if config.positions == "none":
        return 0.0
    if config.positions == "trainable":
        return p[f"{side}_positions.weight"][:length]
    size = config.hidden_size
    waves = np.empty((length, size))
    for position in range(length):
        for column in range(size):
            angle = position / 10_000 ** (2 * (column // 2) / size)
            waves[position, column] = math.cos(angle) if column % 2 else math.sin(angle)
    # All sines first, and in float32, as Marian's: see regard/nn/positions.py.
    return np.concatenate([waves[:, 0::2], waves[:, 1::2]], axis=1).astype(np.float32).astype(np.float64)


def embed(p: Parameters, config: Any, side: str, ids: Sequence[int]) -> Array:
    """Section 3.4: token vectors times √d_model, plus positions."""
    scale = math.sqrt(config.hidden_size) if config.embedding_scale is None else config.embedding_scale
    return scale * p[f"{side}_embedding.weight"][list(ids)] + positions(p, config, side, len(ids))


def normalise(p: Parameters, name: str, x: Array) -> Array:
    """Ba et al. 2016: of each vector the mean taken off, divided by its standard deviation."""
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]


def multi_head(
    p: Parameters, name: str, heads: int, mask: Array, x: Array, memory: Array | None, read: Array | None = None
) -> tuple[Array, Array]:
    """Section 3.2.2: each head's softmax(Q Kᵀ / √d_k) V side by side, times W^O; and the heads' weights.

    Keys and values are of `memory`, or of x itself; values of `read` where they are of something else.
    """
    queries = linear(p, f"{name}.query", x)
    keys, values = np.split(linear(p, f"{name}.key_value", x if memory is None else memory), 2, axis=1)
    if read is not None:
        values = np.split(linear(p, f"{name}.key_value", read), 2, axis=1)[1]
    contexts, weights = [], []
    for q, k, v in zip(*(np.split(part, heads, axis=1) for part in (queries, keys, values)), strict=True):
        weights.append(softmax(np.where(mask, q @ k.T / math.sqrt(q.shape[1]), -np.inf)))
        contexts.append(weights[-1] @ v)
    return linear(p, f"{name}.output", np.concatenate(contexts, axis=1)), np.array(weights)


def feed_forward(p: Parameters, name: str, activation: str, x: Array) -> Array:
    """Equation 2, and what others put in the place of max(0, x)."""
    inner = linear(p, f"{name}.inner", x)
    gaussian = np.vectorize(lambda number: (1 + math.erf(number / math.sqrt(2))) / 2)
    shapes = {"relu": lambda x: np.maximum(0, x), "gelu": lambda x: x * gaussian(x), "swish": lambda x: x * sigmoid(x)}
    return linear(p, f"{name}.outer", shapes[activation](inner))


def transformer(p: Parameters, config: Any, source: Sequence[int], target: Sequence[int]) -> Found:
    everyone = np.array(True)
    triangle = np.tri(len(target), dtype=bool)  # section 3.2.3: no position sees those after it
    if config.decoder_window:  # not the paper's
        triangle &= ~np.tri(len(target), k=-config.decoder_window, dtype=bool)
    weights: dict[str, list[Array]] = {"encoder": [], "decoder": [], "cross": []}

    def framed(name: str, x: Array, layer: Callable[[Array], Array]) -> Array:
        """Section 3.1: LayerNorm(x + Sublayer(x)); or, pre-norm, x + Sublayer(LayerNorm(x))."""
        norm = partial(normalise, p, f"{name}_frame.norm")
        return x + layer(norm(x)) if config.norm_place == "pre" else norm(x + layer(x))

    def attend(kind: str, name: str, heads: int, mask: Array, memory: Array | None, x: Array) -> Array:
        output, seen = multi_head(p, name, heads, mask, x, memory)
        weights[kind].append(seen)
        return output

    def read_words(name: str, heads: int, mask: Array, x: Array, lower: Array) -> Array:
        """Scores from x, values of the words without their places, added to lower states."""
        norm = partial(normalise, p, f"{name}.attention_frame.norm")
        before = norm if config.norm_place == "pre" else lambda x: x
        after = norm if config.norm_place == "post" else lambda x: x
        nowhere = replace(config, positions="none")
        output, seen = multi_head(
            p,
            f"{name}.attention",
            heads,
            mask,
            before(x),
            None,
            before(embed(p, nowhere, "source", source)),
        )
        weights["encoder"].append(seen)
        return after(lower + output)

    x = lower = embed(p, config, "source", source)
    apart = np.abs(np.subtract.outer(np.arange(len(source)), np.arange(len(source))))
    for number in range(config.num_layers):
        name, heads = f"encoder.{number}", config.num_heads
        windows = config.encoder_windows or ()  # not the paper's
        sees = apart < windows[number] if number < len(windows) else everyone
        if config.last_layer_reads_words and number == config.num_layers - 1:  # nor this
            x = read_words(name, heads, sees, x, lower)
        else:
            x = framed(f"{name}.attention", x, partial(attend, "encoder", f"{name}.attention", heads, sees, None))
        x = framed(f"{name}.feed_forward", x, partial(feed_forward, p, f"{name}.feed_forward", config.activation))
        if number + 1 == config.last_layer_adds_to:
            lower = x
    memory = normalise(p, "encoder_norm", x) if config.norm_place == "pre" else x
    x = embed(p, config, "target", target)
    for number in range(config.decoder_num_layers or config.num_layers):
        name, heads = f"decoder.{number}", config.decoder_num_heads or config.num_heads
        own = partial(attend, "decoder", f"{name}.attention", heads, triangle, None)
        cross = partial(attend, "cross", f"{name}.cross_attention", heads, everyone, memory)
        x = framed(f"{name}.attention", x, own)
        x = framed(f"{name}.cross", x, cross)
        x = framed(f"{name}.feed_forward", x, partial(feed_forward, p, f"{name}.feed_forward", config.activation))
    x = normalise(p, "decoder_norm", x) if config.norm_place == "pre" else x
    return {kind: np.array(layers) for kind, layers in weights.items()}, linear(p, "output", x)


PAPERS: Mapping[str, Callable[[Parameters, Any, Sequence[int], Sequence[int]], Found]] = {
    "rnnsearch": rnnsearch,
    "gnmt": gnmt,
    "transformer": transformer,
}
