"""What each source token would say alone, against attention that is forced onto it; and Bayes' rule over that."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_model import make_folder
from torch import Tensor

import regard
from regard.nn import attention
from regard.nn.padded import pad

SOURCE, TARGET = [[5, 6, 7, 3], [8, 3]], [[2, 9, 4, 9, 11, 6], [2, 5, 8, 8]]
LENGTHS = {len(SOURCE[0]), len(TARGET[0])}


@torch.no_grad()
@pytest.mark.parametrize("arch", ["transformer", "rnnsearch", "gnmt"])
def test_it_is_what_comes_out_where_all_weight_lies_on_one_token(
    tiny: Any, arch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(LENGTHS) == 2, "attention to the source is told by its shape"
    model, source, target = tiny(arch), pad(SOURCE), pad(TARGET)
    found = model.states_by_token(source, target)
    length, num_tokens = target.ids.size(1), source.ids.size(1)
    assert found.shape[:3] == (2, length, num_tokens)
    plain, weigh = model.states(source, target), attention.weigh
    place = token = 0
    calls: list[int] = []

    def forced(scores: Tensor, mask: Tensor | None = None) -> Tensor:
        weights = weigh(scores, mask)
        if scores.size(-1) != num_tokens or scores.size(-2) == num_tokens:
            return weights  # of a text on itself
        calls.append(1)
        stepwise = scores.size(-2) == 1  # RNNsearch asks step by step
        if stepwise and len(calls) - 1 != place:
            return weights
        if arch == "transformer" and len(calls) < model.config.num_layers:
            return weights  # only the last layer's
        weights = weights.clone()
        weights[:, :, 0 if stepwise else place] = torch.eye(num_tokens, dtype=weights.dtype)[token]
        return weights

    for place in range(length):
        for token in range(num_tokens):
            calls.clear()
            with monkeypatch.context() as patch:
                patch.setattr(attention, "weigh", forced)
                states = model.forced(source, target, return_weights=True).logits
            expected = states[:, place]
            torch.testing.assert_close(model.output(found[:, place, token]), expected, rtol=0, atol=1e-12)
    assert not torch.allclose(found[:, :, 0], plain, atol=1e-3), "the tokens do not all say the same"


def test_a_model_without_attention_has_none(tiny: Any) -> None:
    assert tiny("rnn").states_by_token(pad(SOURCE), pad(TARGET)) is None


@pytest.mark.parametrize("arch", ["transformer", "rnnsearch", "gnmt"])
def test_the_posterior_is_the_weight_times_how_likely_the_token_was(tmp_path: Path, arch: str) -> None:
    engine = regard.load(make_folder(tmp_path / "model", arch)).engine
    tokens = engine.tokens
    sources = [tokens.encode_source(text) for text in ("the cat sees the dog", "no cat")]
    targets = [tokens.encode_target(text) for text in ("o gato", "nenhum gato vê o cão")]
    found = engine.posterior(sources, targets)
    for row, (source, target) in enumerate(zip(sources, targets, strict=True)):
        assert found[row].shape == (len(target) + 1, len(source))
        np.testing.assert_allclose(found[row].sum(1), 1, atol=1e-5)
        read = pad([source]), pad([[tokens.bos_id, *target]])
        with torch.no_grad():
            shares = engine.model.output(engine.model.states_by_token(*read)).softmax(-1)[0]  # (T, S, V)
            weights = engine.model.forced(*read, return_weights=True).weights["cross"][0, -1].mean(0)
        for place, label in enumerate([*target, tokens.eos_id]):
            products = [float(weights[place, token] * shares[place, token, label]) for token in range(len(source))]
            np.testing.assert_allclose(found[row][place], np.array(products) / sum(products), atol=2e-5)
