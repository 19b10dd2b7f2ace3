"""The engine of encoders: a text's numbers do not depend on its company, and nothing is cut."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_model import SOURCES, make_encoder, make_encoder_folder, make_text_tokens

from regard.data.text_tokens import TextTokens
from regard.engines import encoder
from regard.engines.encoder import EncoderEngine
from regard.errors import ConfigError, ModelError
from regard.models.heads import LabelHead
from regard.nn.layers import round_weights


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> TextTokens:
    return make_text_tokens(tmp_path_factory.mktemp("tokens"))


def texts(count: int) -> list[str]:
    words, rng = " ".join(SOURCES).split(), random.Random(1)
    return [" ".join(rng.choices(words, k=rng.randint(1, 8))) for _ in range(count)]


@pytest.mark.parametrize("products", ["float32", "bfloat16"])
@pytest.mark.parametrize("arch", ["bert", "bigbird"])
@pytest.mark.parametrize(
    ("task", "pool"), [("mask", "first"), ("classify", "first"), ("classify", "mean"), ("tag", "first")]
)
def test_a_text_has_the_same_numbers_in_any_company(
    tokens: TextTokens, task: str, pool: str, arch: str, products: str
) -> None:
    model = make_encoder(tokens, task, () if task == "mask" else ("a", "b", "c"), arch, pool=pool)
    if products == "bfloat16":
        round_weights(model.encoder)
    inputs = [tokens.encode(text, other) for text, other in zip(texts(30), [*texts(10), *[None] * 20], strict=True)]
    engine, small = EncoderEngine(model, tokens), EncoderEngine(model, tokens, batch_tokens=60)
    together, apart = engine.logits(inputs), small.logits(inputs)
    states = engine.states(inputs)
    for number, each in enumerate(inputs):
        (alone,) = engine.logits([each])
        width = tokens.vocab_size if task == "mask" else 3
        assert alone.shape == ((width,) if task == "classify" else (len(each), width))
        np.testing.assert_allclose(together[number], alone, atol=1e-5)
        np.testing.assert_allclose(apart[number], alone, atol=1e-5)
        assert states[number].shape == (len(each), 16)


def test_a_text_is_told_by_its_first_token_or_by_the_mean_of_all(tokens: TextTokens) -> None:
    inputs = [tokens.encode(text) for text in texts(6)]
    for pool in ("first", "mean"):
        model = make_encoder(tokens, "classify", ("a", "b", "c"), pool=pool).double()
        engine = EncoderEngine(model, tokens)
        assert isinstance(model.head, LabelHead)
        weight, bias = (each.detach().numpy() for each in (model.head.output.weight, model.head.output.bias))
        for states, logits in zip(engine.states(inputs), engine.logits(inputs), strict=True):
            if pool == "first":
                assert model.encoder.pooler is not None
                vector = model.encoder.pool(torch.from_numpy(states[None]).double())[0].detach().numpy()
            else:
                mean = states.mean(axis=0)
                vector = (mean - mean.mean()) / np.sqrt(mean.var() + 1e-5)
            np.testing.assert_allclose(logits, weight @ vector + bias, atol=1e-5)


@pytest.mark.parametrize("fast", [True, False])
def test_products_are_in_bf16_where_the_processor_is_fast_at_them_and_float32_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fast: bool
) -> None:
    monkeypatch.setattr(encoder, "fast_in_bf16", lambda: fast)
    folder = make_encoder_folder(tmp_path / "bert", task="classify", labels=("no", "yes"))
    before = {path: path.read_bytes() for path in folder.iterdir()}
    engine, full = EncoderEngine.from_folder(folder), EncoderEngine.from_folder(folder, float32=True)
    assert (engine.products, full.products) == ("bfloat16" if fast else "float32", "float32")
    found, expected = (
        np.stack(each.logits([each.tokens.encode(text) for text in texts(20)])) for each in (engine, full)
    )
    assert np.array_equal(found, expected) != fast
    np.testing.assert_allclose(found, expected, atol=0.05)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_logits_at_some_tokens_are_those_of_all(tokens: TextTokens) -> None:
    engine = EncoderEngine(make_encoder(tokens, "mask"), tokens)
    inputs = [tokens.encode(text) for text in texts(5)]
    places = [[0], [1, 2], [], [2], [1, 0]]
    for some, every, rows in zip(engine.logits_at(inputs, places), engine.logits(inputs), places, strict=True):
        assert some.shape == (len(rows), tokens.vocab_size)
        np.testing.assert_allclose(some, every[rows], atol=1e-5)
    with pytest.raises(ConfigError, match="this encoder has no head"):
        EncoderEngine(make_encoder(tokens), tokens).logits_at(inputs, places)


def test_weights_are_distributions_and_change_nothing(tokens: TextTokens) -> None:
    engine = EncoderEngine(make_encoder(tokens), tokens)
    sources = [tokens.encode_source(text) for text in texts(9)]
    before = engine.states([tokens.encode(text) for text in texts(9)])
    for found, source in zip(engine.attention(sources), sources, strict=True):
        assert found["encoder"].shape == (2, 2, len(source), len(source))
        np.testing.assert_allclose(found["encoder"].sum(axis=-1), 1, atol=1e-6)
    for first, second in zip(before, engine.states([tokens.encode(text) for text in texts(9)]), strict=True):
        np.testing.assert_array_equal(first, second)
    with pytest.raises(ModelError, match="no translation to attend from"):
        engine.attention(sources, sources)  # type: ignore[arg-type]


def test_texts_up_to_the_last_position_are_taken_and_no_longer_ones(tokens: TextTokens) -> None:
    engine = EncoderEngine(make_encoder(tokens, max_length=11), tokens)
    for count in (7, 8, 9):
        text = tokens.encode("cat " * count)
        assert engine.states([text])[0].shape == (count + 2, 16)
    with pytest.raises(ModelError, match="a text has 12 tokens, the model takes 11"):
        engine.states([tokens.encode("cat"), tokens.encode("cat " * 10)])
    assert engine.states([]) == []


def test_what_is_missing_is_told(tokens: TextTokens, tmp_path) -> None:
    engine = EncoderEngine(make_encoder(tokens), None)
    with pytest.raises(ModelError, match=r"without its tokenizer.* beside the weights and import it again"):
        _ = engine.tokens
    with pytest.raises(ConfigError, match="this encoder has no head"):
        EncoderEngine(make_encoder(tokens), tokens).logits([tokens.encode("cat")])
    loaded = EncoderEngine.from_folder(make_encoder_folder(tmp_path / "bert", task="classify", labels=("no", "yes")))
    assert loaded.logits([tokens.encode("the cat")])[0].shape == (2,)


def test_untrained_has_other_weights_of_the_same_shapes(tokens: TextTokens) -> None:
    engine = EncoderEngine(make_encoder(tokens, "tag", ("a", "b")), tokens)
    twin = engine.untrained()
    theirs = dict(twin.model.named_parameters())
    assert {name: p.shape for name, p in engine.model.named_parameters()} == {n: p.shape for n, p in theirs.items()}
    assert not any(bool((theirs[name] == p).all()) for name, p in engine.model.named_parameters())
