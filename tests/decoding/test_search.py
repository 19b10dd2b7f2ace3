"""Search against exhaustive search, against itself, and against forced decoding."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

from regard.decoding import search as module
from regard.decoding.options import Hypothesis, SearchOptions
from regard.decoding.search import Controls, search
from regard.engines.torch import TorchEngine
from regard.errors import ConfigError, ModelError
from regard.nn.padded import Padded, pad

SOURCES = [[5, 6, 7, 8, 9, 10, 3], [11, 12, 3], [13, 3], [4, 4, 4, 4, 3], [20, 19, 18, 17, 16, 15, 14, 3]]
CONTROLS = Controls(bos_id=2, eos_id=3, pad_id=0)


def found(model, options: SearchOptions, sources: list[list[int]] = SOURCES) -> list[list[Hypothesis]]:
    return search(model, pad(sources, multiple_of=8), options, CONTROLS)


def same(first: list[list[Hypothesis]], second: list[list[Hypothesis]], tolerance: float = 1e-10) -> None:
    for ones, others in zip(first, second, strict=True):
        assert [(one.ids, one.finished) for one in ones] == [(other.ids, other.finished) for other in others]
        for one, other in zip(ones, others, strict=True):
            assert one.log_probs == pytest.approx(other.log_probs, abs=tolerance)
            assert one.score == pytest.approx(other.score, abs=tolerance)


@pytest.mark.parametrize("min_length", [0, 6])
def test_a_beam_of_one_is_greedy(tiny, arch: str, min_length: int) -> None:
    model, options = tiny(arch), SearchOptions(beam_size=1, min_length=min_length)
    greedy = found(model, options)
    source = pad([*SOURCES, *SOURCES[:3]], multiple_of=8)  # the eight rows of which search itself makes sure
    limits = [options.limit(int(length), 64) for length in source.lengths]
    with torch.inference_mode():
        beam = module._beam(model, source, options, limits, CONTROLS)
    same(greedy, beam[:5])
    assert len({hypotheses[0].ids for hypotheses in greedy}) > 1


def exhaustive(model, source: list[int], longest: int, penalty: float) -> list[Hypothesis]:
    """Every complete translation of up to `longest` ids, by forced decoding."""
    vocabulary = [number for number in range(model.config.vocab_size) if number not in (0, 2, 3)]
    all_ids = [ids for length in range(longest + 1) for ids in itertools.product(vocabulary, repeat=length)]
    target = pad([[2, *ids] for ids in all_ids])
    rows = torch.zeros(len(all_ids), dtype=torch.int64)
    one = pad([source])
    with torch.inference_mode():
        log_probs = model.forced(Padded(one.ids[rows], one.lengths[rows]), target).logits.log_softmax(-1)
    hypotheses = []
    for row, ids in enumerate(all_ids):
        parts = tuple(log_probs[row, position, label].item() for position, label in enumerate([*ids, 3]))
        hypotheses.append(Hypothesis(ids, parts, module.penalized(sum(parts), len(parts), penalty), True))
    return sorted(hypotheses, key=lambda hypothesis: -hypothesis.score)


@pytest.mark.parametrize("penalty", [0.0, 0.6, 2.0])
def test_a_huge_beam_finds_what_exhaustive_search_finds(tiny, arch: str, penalty: float) -> None:
    model = tiny(arch, vocab_size=7)
    sources = [[4, 5, 6, 3], [6, 3], [5, 5, 3]]
    options = SearchOptions(beam_size=200, n_best=20, max_length=3, length_penalty=penalty)
    for source, hypotheses in zip(sources, found(model, options, sources), strict=True):
        same([hypotheses], [exhaustive(model, source, 3, penalty)[:20]])  # of 1 + 4 + 16 + 64


@pytest.mark.parametrize("beam_size", [1, 4])
def test_a_text_may_be_complete_at_the_limit(tiny, arch: str, beam_size: int) -> None:
    model, options = tiny(arch), SearchOptions(beam_size=beam_size, min_length=2)
    with torch.no_grad():
        model.output.bias[3] = 30.0  # as soon as it may, a text ends
    free, limited = found(model, options), found(model, replace(options, max_length=2))
    assert all((len(best.ids), best.finished) == (2, True) for (best,) in free)
    same(limited, free)


def test_asking_for_alternatives_does_not_change_the_translation(tiny, arch: str) -> None:
    """Cut hypotheses fill up the finished ones; however well they score, they do not pass them."""
    model, kinds = tiny(arch), []
    for bias in range(-9, 10, 2):  # from few texts that end before the limit to many
        with torch.no_grad():
            model.output.bias[3] = bias
        options = SearchOptions(beam_size=4, min_length=2, max_length=3, length_penalty=2.0)
        one, four = found(model, options), found(model, replace(options, n_best=4))
        same(one, [hypotheses[:1] for hypotheses in four])
        for hypotheses in four:
            kinds.append([each.finished for each in hypotheses])
            assert kinds[-1] == sorted(kinds[-1], reverse=True)
    assert any(len(set(kind)) == 2 for kind in kinds)


@pytest.mark.parametrize(
    "options",
    [SearchOptions(beam_size=1), SearchOptions(), SearchOptions(sample=True)],
    ids=["greedy", "beam", "sample"],
)
def test_numbers_that_are_no_probabilities_are_an_error(tiny, arch: str, options: SearchOptions) -> None:
    model = tiny(arch)
    with torch.no_grad():
        model.output.bias[7] = math.nan
    with pytest.raises(ModelError, match=r"no probabilities \(NaN or infinite\)"):
        found(model, options)


def test_the_n_best_are_sorted_and_distinct(tiny, arch: str) -> None:
    for hypotheses in found(tiny(arch), SearchOptions(beam_size=6, n_best=6)):
        assert len({(hypothesis.ids, hypothesis.finished) for hypothesis in hypotheses}) == 6
        scores = [hypothesis.score for hypothesis in hypotheses]
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("beam_size", [1, 4])
def test_lengths_stay_within_their_limits(tiny, arch: str, beam_size: int) -> None:
    model = tiny(arch)
    with torch.no_grad():
        model.output.bias[3] = 3.0  # it would end early
    options = SearchOptions(beam_size=beam_size, n_best=beam_size)
    free = found(model, options)
    assert min(len(best.ids) for hypotheses in free for best in hypotheses) < 4
    for hypotheses in found(model, replace(options, min_length=4)):
        assert all(len(hypothesis.ids) >= 4 for hypothesis in hypotheses)
        assert all(3 not in hypothesis.ids for hypothesis in hypotheses)
    with torch.no_grad():
        model.output.bias[3] = -30.0  # and now it would not end at all
    for hypotheses in found(model, replace(options, max_length=5)):
        assert all((len(hypothesis.ids), hypothesis.finished) == (5, False) for hypothesis in hypotheses)
    for source, hypotheses in zip(SOURCES, found(model, options), strict=True):
        limit = min(2 * len(source) + 16, 63)
        assert all((len(hypothesis.ids), hypothesis.finished) == (limit, False) for hypothesis in hypotheses)


def test_the_limit_follows_the_source_and_the_model() -> None:
    assert SearchOptions().limit(10, 100) == 36
    assert SearchOptions().limit(10, 30) == 29  # and eos
    assert SearchOptions(max_length=5).limit(10, 30) == 5
    assert SearchOptions(min_length=50).limit(10, 100) == 50
    assert SearchOptions(max_length_ratio=0.5).limit(7, 100) == 20


@pytest.mark.parametrize(
    "options",
    [
        SearchOptions(beam_size=1),
        SearchOptions(beam_size=5, n_best=5),
        SearchOptions(beam_size=3, min_length=3),
        SearchOptions(sample=True, n_best=3, temperature=1.7, top_k=5),
    ],
    ids=["greedy", "beam", "min_length", "sample"],
)
def test_log_probabilities_are_those_of_forced_decoding(tiny, word_tokens, arch: str, options: SearchOptions) -> None:
    model = tiny(arch, dtype=torch.float32, vocab_size=word_tokens.vocab_size)
    engine = TorchEngine(model, word_tokens)
    for source, hypotheses in zip(SOURCES, engine.search(SOURCES, options), strict=True):
        for hypothesis in hypotheses:
            (forced,) = engine.score([source], [hypothesis.ids])
            if not hypothesis.finished:
                forced.pop()
            assert hypothesis.log_probs == pytest.approx(forced, abs=1e-5)
            length = len(hypothesis.log_probs)
            assert length == len(hypothesis.ids) + hypothesis.finished
            total = sum(hypothesis.log_probs)
            assert hypothesis.score == pytest.approx(total / ((5 + length) / 6) ** 0.6, abs=1e-5)


def test_control_ids_are_never_written(tiny, arch: str) -> None:
    model = tiny(arch)
    with torch.no_grad():
        model.output.bias[[0, 2]] = 50.0
    for options in (SearchOptions(beam_size=1), SearchOptions(), SearchOptions(sample=True)):
        for (hypothesis,) in found(model, options):
            assert not {0, 2, 3} & set(hypothesis.ids)


def test_sampling_draws_from_the_models_distribution(tiny) -> None:
    model = tiny("rnn", vocab_size=9)
    options = SearchOptions(sample=True, n_best=4000, max_length=1, temperature=1.5)
    ((*hypotheses,),) = found(model, options, [[5, 3]])
    with torch.inference_mode():
        logits = model.forced(pad([[5, 3]]), pad([[2]])).logits[0, 0] / 1.5
        logits[[0, 2]] = -math.inf
    expected = logits.softmax(-1)
    firsts = [hypothesis.ids[0] if hypothesis.ids else 3 for hypothesis in hypotheses]
    for number in range(9):
        share = firsts.count(number) / 4000
        assert share == pytest.approx(expected[number].item(), abs=4 * 0.5 / 4000**0.5)


def test_sampling_is_reproducible_whatever_the_company(tiny, arch: str) -> None:
    model = tiny(arch)
    options = SearchOptions(sample=True, n_best=3)
    together = found(model, options)
    same(together, found(model, options))
    same(together, [found(model, options, [source])[0] for source in SOURCES])
    same(together, found(model, options, SOURCES[::-1])[::-1])
    other = found(model, replace(options, seed=2))
    assert [h.ids for hypotheses in other for h in hypotheses] != [h.ids for hypotheses in together for h in hypotheses]
    assert len({hypothesis.ids for hypothesis in together[0]}) > 1


def test_different_sentences_draw_differently() -> None:
    seeds = {
        module._seed(seed, torch.tensor(ids))
        for seed, ids in itertools.product([1, 2], [[5, 3], [6, 3], [5, 6, 3], [56, 3]])
    }
    assert len(seeds) == 8


def test_sampling_of_the_best_token_only_is_greedy(tiny, arch: str) -> None:
    model = tiny(arch)
    greedy = found(model, SearchOptions(beam_size=1))
    same(greedy, found(model, SearchOptions(sample=True, top_k=1)))
    same(greedy, found(model, SearchOptions(sample=True, top_p=1e-9)))
    same(greedy, found(model, SearchOptions(sample=True, temperature=1e-6)))


def test_top_p_and_top_k_keep_the_best_tokens() -> None:
    logits = torch.log(torch.tensor([[0.4, 0.3, 0.2, 0.1]]).repeat(4000, 1))
    generators = [torch.Generator().manual_seed(1)]

    def shares(**settings: float) -> list[float]:
        drawn = module._draw(logits, SearchOptions(sample=True, **settings), generators, 4000)
        return (torch.bincount(drawn, minlength=4) / 4000).tolist()

    assert shares() == pytest.approx([0.4, 0.3, 0.2, 0.1], abs=0.04)
    assert shares(top_k=2) == pytest.approx([4 / 7, 3 / 7, 0, 0], abs=0.04)
    assert shares(top_p=0.69) == pytest.approx([4 / 7, 3 / 7, 0, 0], abs=0.04)
    assert shares(top_p=0.71) == pytest.approx([4 / 9, 3 / 9, 2 / 9, 0], abs=0.04)
    assert shares(top_k=99) == pytest.approx([0.4, 0.3, 0.2, 0.1], abs=0.04)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beam_size": 0}, "beam_size must be at least 1, got 0"),
        ({"n_best": 3, "beam_size": 2}, "n_best \\(3\\) needs a beam_size as large, got 2"),
        ({"min_length": 3, "max_length": 2}, "min_length \\(3\\) is above max_length \\(2\\)"),
        ({"temperature": 0.0}, "temperature must be at least 1e-06 and finite, got 0.0; to take always the likeliest"),
        ({"temperature": math.nan}, "temperature must be at least 1e-06 and finite, got nan"),
        ({"temperature": math.inf}, "temperature must be at least 1e-06 and finite, got inf"),
        ({"temperature": 1e-45}, "temperature must be at least 1e-06 and finite, got 1e-45"),
        ({"max_length_ratio": 0.0}, "max_length_ratio must be above 0 and finite, got 0.0"),
        ({"max_length_ratio": math.inf}, "max_length_ratio must be above 0 and finite, got inf"),
        ({"length_penalty": 1000.0}, "length_penalty must be at most 10, got 1000"),
        ({"length_penalty": math.nan}, "length_penalty must not be negative, got nan"),
        ({"top_p": 1.5}, "top_p must be above 0 and at most 1, got 1.5"),
        ({"top_k": -1}, "top_k must not be negative, got -1"),
    ],
    ids=str,
)
def test_options_out_of_range(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SearchOptions(**settings)
