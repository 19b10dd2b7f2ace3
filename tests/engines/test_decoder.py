"""The engine of language models: a prompt gives the same text in any company, and nothing is cut."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from tiny_model import SOURCES, make_byte_tokens, make_decoder, make_decoder_folder

from regard.data.byte_tokens import ByteTokens
from regard.decoding.options import Hypothesis, SearchOptions
from regard.engines.decoder import DecoderEngine
from regard.errors import ConfigError, ModelError

PENALIZED = SearchOptions(sample=True, n_best=2, top_p=0.9, repetition_penalty=1.2, max_length=14)
WAYS = {
    "greedy": SearchOptions(beam_size=1, max_length=20),
    "sampled": SearchOptions(sample=True, max_length=20, temperature=1.5),
    "two draws with penalty": PENALIZED,
    "beam": SearchOptions(beam_size=3, n_best=3, max_length=9),
}


@pytest.fixture(scope="module")
def tokens() -> ByteTokens:
    return make_byte_tokens()


def make_engine(
    tokens: ByteTokens, batch_tokens: int = 8_192, *, likes_to_end: bool = True, **settings: Any
) -> DecoderEngine:
    model = make_decoder(tokens, **settings)
    if likes_to_end:
        with torch.no_grad():
            model.norm.bias += 2 * model.embedding.weight[tokens.id_of("end")]
    return DecoderEngine(model, tokens, batch_tokens=batch_tokens)


def prompts(tokens: ByteTokens, count: int) -> list[list[int]]:
    words, rng = " ".join(SOURCES).split(), random.Random(1)
    return [tokens.encode(" ".join(rng.choices(words, k=rng.randint(1, 9)))).ids[:40] for _ in range(count)]


def same(ones: list[Hypothesis], others: list[Hypothesis]) -> bool:
    return [(one.ids, one.finished) for one in ones] == [(other.ids, other.finished) for other in others] and all(
        one.log_probs == pytest.approx(other.log_probs, abs=1e-5) for one, other in zip(ones, others, strict=True)
    )


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("window", [0, 3])
def test_a_prompt_has_the_same_text_in_any_company(tokens: ByteTokens, options: SearchOptions, window: int) -> None:
    settings: dict[str, Any] = {"likes_to_end": options.sample, "attention_window": window}  # else the likeliest is it
    engine = make_engine(tokens, **settings)
    inputs = prompts(tokens, 20)
    ends = None if options.searches or options.sample else lambda ids: len(ids) > 1 + ids[0] % 13
    together = engine.search(inputs, options, ends)
    in_small_batches = make_engine(tokens, batch_tokens=60, **settings).search(inputs, options, ends)
    backward = engine.search(inputs[::-1], options, ends)[::-1]
    for number, ids in enumerate(inputs):
        (alone,) = engine.search([ids], options, ends)
        assert same(together[number], alone)
        assert same(in_small_batches[number], alone)
        assert same(backward[number], alone)
        assert len(alone) == options.n_best
    assert len({hypotheses[0].ids for hypotheses in together}) > 5, "a model that always says the same proves nothing"
    lengths = {len(hypotheses[0].ids) for hypotheses in together}
    assert len(lengths) > 3 or options.searches, "texts end at different times: the batch shrinks"


@torch.no_grad()
@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_what_is_written_is_what_full_passes_say(tokens: ByteTokens, options: SearchOptions) -> None:
    """No cache, no company: log-probabilities by scoring the finished text; greedy text by always reading it all."""
    engine = make_engine(tokens, attention_window=3)
    for ids, hypotheses in zip(prompts(tokens, 6), engine.search(prompts(tokens, 6), options), strict=True):
        for found in hypotheses:
            whole = [*ids, *found.ids, *([tokens.id_of("end")] if found.finished else [])]
            (expected,) = engine.score([whole])
            assert found.log_probs == pytest.approx(expected[len(ids) - 1 :], abs=1e-5)
        if options is WAYS["greedy"]:
            text = list(ids)
            for written in hypotheses[0].ids:
                logits = engine.model.forced(engine._pad([text])).logits[0, len(text) - 1]
                assert int(logits.argmax()) == written
                text.append(written)


@pytest.mark.parametrize("name", ["greedy", "sampled", "beam"])
def test_a_stream_tells_what_is_found(tokens: ByteTokens, name: str) -> None:
    engine = make_engine(tokens)
    options = SearchOptions(**{**vars(WAYS[name]), "n_best": 1})
    for ids in prompts(tokens, 5):
        (expected,) = engine.search([ids], options)
        written = list(engine.stream(ids, options))
        assert written[-1].hypothesis == expected[0]
        assert all(each.hypothesis is None for each in written[:-1])
        if name != "beam":
            assert [each.ids for each in written] == [
                expected[0].ids[: number + 1] for number in range(len(written) - expected[0].finished)
            ] + [expected[0].ids] * expected[0].finished


def test_texts_end_where_they_are_told_to(tokens: ByteTokens) -> None:
    engine, options = make_engine(tokens), WAYS["sampled"]
    inputs = prompts(tokens, 8)
    free = engine.search(inputs, options)
    ended = engine.search(inputs, options, ends=lambda ids: len(ids) == 3)
    for (one,), (other,) in zip(free, ended, strict=True):
        assert other.ids == one.ids[:3]
        assert other.finished == (len(one.ids) < 3)
    with pytest.raises(ConfigError, match="to stop at a text, sample or take a beam_size of 1"):
        engine.search(inputs, WAYS["beam"], ends=lambda ids: False)


def test_a_text_may_fill_the_context_and_not_more(tokens: ByteTokens) -> None:
    engine = make_engine(tokens, max_length=20, likes_to_end=False)
    with torch.no_grad():
        engine.model.norm.bias -= 4 * engine.model.embedding.weight[tokens.id_of("end")]
    inputs = [[5] * length for length in (1, 7, 8, 9, 15, 18, 19)]
    for options in (SearchOptions(beam_size=1), SearchOptions(sample=True, n_best=2), SearchOptions(beam_size=2)):
        for ids, hypotheses in zip(inputs, engine.search(inputs, options), strict=True):
            assert {(len(ids) + len(found.ids), found.finished) for found in hypotheses} == {(20, False)}
    (found,) = engine.search([[5] * 3], SearchOptions(beam_size=1, max_length=4))[0]
    assert (len(found.ids), found.finished) == (4, False)
    for wrong, message in (
        ([5] * 20, "a text has 20 tokens, the model reads 20 with what it writes"),
        ([], "no token"),
    ):
        with pytest.raises(ModelError, match=message):
            engine.search([[5], wrong], WAYS["greedy"])
    with pytest.raises(ModelError, match=r"a text has 21 tokens, the model reads 20\. Shorten it"):
        engine.score([[5] * 22])
    assert len(engine.score([[5] * 21])[0]) == 20, "the last token is scored, not read"
    assert engine.search([], WAYS["greedy"]) == []


def test_what_stands_for_no_text_is_never_written(tokens: ByteTokens) -> None:
    """A model may have more ids than its tokenizer, to make its sizes round."""
    engine = make_engine(tokens, vocab_size=tokens.vocab_size + 9)
    with torch.no_grad():
        engine.model.embedding.weight[tokens.vocab_size :] *= 40
    for options in WAYS.values():
        for hypotheses in engine.search(prompts(tokens, 4), options):
            assert all(number < tokens.vocab_size for found in hypotheses for number in found.ids)
    bare = DecoderEngine(engine.model, None)
    written = [number for (found,) in bare.search(prompts(tokens, 4), WAYS["greedy"]) for number in found.ids]
    assert max(written) >= tokens.vocab_size, "the guard can bark"


def test_scores_do_not_depend_on_company(tokens: ByteTokens) -> None:
    engine = make_engine(tokens)
    inputs = [*prompts(tokens, 12), [7]]
    together = engine.score(inputs)
    for found, ids in zip(together, inputs, strict=True):
        assert len(found) == len(ids) - 1
        assert found == pytest.approx(engine.score([ids])[0], abs=1e-5)
        with torch.no_grad():
            logits = engine.model.forced(engine._pad([ids])).logits[0].log_softmax(-1)
        expected = [logits[place, number].item() for place, number in enumerate(ids[1:])]
        assert found == pytest.approx(expected, abs=1e-5)


def test_weights_are_distributions_and_change_nothing(tokens: ByteTokens) -> None:
    engine = make_engine(tokens)
    texts = prompts(tokens, 5)
    before = engine.score(texts)
    for found, ids in zip(engine.attention(texts), texts, strict=True):
        assert found["decoder"].shape == (2, 2, len(ids), len(ids))
        np.testing.assert_allclose(found["decoder"].sum(axis=-1), 1, atol=1e-6)
        assert (found["decoder"] * (1 - np.tri(len(ids))) == 0).all()
    assert engine.score(texts) == before


def test_what_is_missing_is_told(tokens: ByteTokens, tmp_path) -> None:
    engine = DecoderEngine(make_decoder(tokens), None)
    with pytest.raises(ModelError, match="without its tokenizer"):
        _ = engine.tokens
    loaded = DecoderEngine.from_folder(make_decoder_folder(tmp_path / "gpt"))
    assert loaded.search([[5, 6]], WAYS["greedy"])[0][0].ids


def test_untrained_has_other_weights_of_the_same_shapes(tokens: ByteTokens) -> None:
    engine = make_engine(tokens)
    twin = dict(engine.untrained().model.named_parameters())
    ours = dict(engine.model.named_parameters())
    assert {name: p.shape for name, p in ours.items()} == {name: p.shape for name, p in twin.items()}
    assert not any(bool((twin[name] == parameter).all()) for name, parameter in ours.items())
