"""The same sentence gives the same text whatever stands beside it, with log-probabilities within 1e-5."""

import random

import pytest
import torch

from regard.data import world
from regard.data.tokens import Tokens
from regard.decoding.options import SearchOptions
from regard.engines.batches import by_length
from regard.engines.torch import TorchEngine
from regard.models import build
from regard.translation import Translation, translate

SIZES = {
    "rnn": {"hidden_size": 48, "embedding_size": 40, "num_layers": 2},
    "rnnsearch": {"hidden_size": 48, "embedding_size": 40, "attention_size": 40},
    "gnmt": {"hidden_size": 48, "num_layers": 3, "attention_size": 40},
    "transformer": {"hidden_size": 48, "num_layers": 2, "num_heads": 4, "feed_forward_size": 96},
    "transformer, near words first": {"hidden_size": 48, "num_layers": 3, "num_heads": 2, "encoder_windows": (6, 3)},
    "transformer, words read last": {
        "hidden_size": 48,
        "num_layers": 3,
        "num_heads": 2,
        "last_layer_reads_words": True,
        "decoder_window": 3,
    },
}


def sentences(count: int, random_numbers: random.Random) -> list[str]:
    words = ["".join(random_numbers.choices("abcdefghij", k=random_numbers.randint(1, 6))) for _ in range(200)]
    lengths = [1, 2, 3, 5, 8, 12, 20, 30]
    return [" ".join(random_numbers.choices(words, k=random_numbers.choice(lengths))) for _ in range(count)]


def world_sentences(count: int) -> list[str]:
    return [pair.source for pair in world.generate("test", count, seed=1)]


def engine_of(arch: str, lines: list[str], batch_tokens: int = 8_192) -> TorchEngine:
    """A random model whose weights are scaled up, so that what it writes is varied."""
    tokens = Tokens.train(lines, lines, 500)
    torch.manual_seed(0)
    model = build(arch.split(",")[0], {"vocab_size": tokens.vocab_size, "max_length": 256, **SIZES[arch]}).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(2.5)
    return TorchEngine(model, tokens, batch_tokens=batch_tokens)


def companies(count: int, random_numbers: random.Random) -> dict[str, list[list[int]]]:
    """Ways of cutting `count` sentences into batches; -1, -2, -3 are neighbours that are short, middling, long."""
    order = list(range(count))
    random_numbers.shuffle(order)
    cuts = {size: [order[first : first + size] for first in range(0, count, size)] for size in (7, 64)}
    with_neighbours = {
        f"beside {name}": [[kind, *part, kind, kind] for part in cuts[7]]
        for kind, name in ((-1, "short ones"), (-2, "middling ones"), (-3, "long ones"))
    }
    return {"in sevens": cuts[7], "in sixty-fours": cuts[64], **with_neighbours}


def check(engine: TorchEngine, lines: list[str], options: SearchOptions) -> None:
    random_numbers = random.Random(3)
    neighbours = {-1: "a", -2: "abc de fghij a b", -3: "abcde fgh ij " * 15}
    alone = [translate(engine, [line], options)[0] for line in lines]
    assert len({result.text for result in alone}) > len(lines) / 3, "a model that always says the same proves nothing"
    assert len({len(result.pieces[0]) for result in alone}) > 5, "sentences end at different times: the batch shrinks"
    for name, batches in companies(len(lines), random_numbers).items():
        for batch in batches:
            texts = [neighbours[number] if number < 0 else lines[number] for number in batch]
            for number, result in zip(batch, translate(engine, texts, options), strict=True):
                if number >= 0:
                    assert same(result, alone[number]), f"{name}: {result} is not {alone[number]}"


def same(one: Translation, other: Translation) -> bool:
    return (one.text, one.pieces) == (other.text, other.pieces) and one.score == pytest.approx(other.score, abs=1e-5)


@pytest.mark.parametrize("beam_size", [1, 5])
def test_company_changes_nothing(arch: str, beam_size: int) -> None:
    lines = sentences(16, random.Random(1))
    check(engine_of(arch, lines), lines, SearchOptions(beam_size=beam_size, max_length_ratio=0.3))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("beam_size", [1, 5])
def test_company_changes_nothing_for_500_sentences(arch: str, beam_size: int) -> None:
    lines = world_sentences(500)
    check(engine_of(arch, lines), lines, SearchOptions(beam_size=beam_size, max_length_ratio=0.5))


def test_the_model_must_not_see_its_company(arch: str) -> None:
    """The guard can bark: a model that looks at its neighbours is found out."""
    lines = sentences(24, random.Random(1))
    engine = engine_of(arch, lines)
    start = engine.model.start
    engine.model.start = lambda source: start(source._replace(ids=(source.ids + source.ids.sum()) % 40))
    with pytest.raises(AssertionError, match=r"in sevens: .* is not "):
        check(engine, lines, SearchOptions(beam_size=1, max_length_ratio=0.3))


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("count", [1, 2, 7, 9, 16])
def test_shapes_are_those_whose_last_bits_do_not_depend_on_company(count: int, width: int) -> None:
    """Differences of 1e-7 rarely show in the text, so the shapes themselves are held: see `regard.decoding.search`."""
    lines = ["a b c d e f g"[: 2 * number % 13 + 1] for number in range(count)]
    engine = engine_of("rnnsearch", sentences(16, random.Random(1)))
    start, step = engine.model.start, engine.model.step
    read: list[tuple[int, ...]] = []
    rows: list[int] = []
    engine.model.start = lambda source: read.append(tuple(source.ids.shape)) or start(source)
    engine.model.step = lambda ids, state: rows.append(len(ids)) or step(ids, state)
    translate(engine, lines, SearchOptions(beam_size=width, max_length_ratio=0.3))
    assert all(number % 8 == 0 and length % 8 == 0 for number, length in read)
    assert all(number >= 8 and number % (2 * width) == 0 for number in rows)
    assert max(rows) < width * (count + 2) + 8, "and no more filling than that needs"


def test_batches_hold_one_padded_length_and_bounded_memory() -> None:
    lines = sentences(24, random.Random(1))
    engine = engine_of("rnn", lines, batch_tokens=200)
    lengths = [3, 8, 9, 16, 17, 1000, 5, 8, 8, 8, 8, 8, 8]
    batches = by_length(lengths, engine.batch_tokens // 5)
    assert sorted(number for batch in batches for number in batch) == list(range(13))
    for batch in batches:
        assert len({-(-lengths[number] // 8) for number in batch}) == 1
        padded = -(-max(lengths[number] for number in batch) // 8) * 8
        assert len(batch) == 1 or padded * len(batch) * 5 <= 200
    assert batches[0] == [5], "longest first"
    assert engine.search([], SearchOptions()) == []
    pairs = [(3, 1), (3, 50), (8, 2), (3, 2), (60, 3)]
    assert by_length(pairs, 20) == [[4], [1], [0, 2], [3]], "both sides are alike, and the longer one counts"
    assert by_length([3, 4, 5, 6], 40) == [[0, 1, 2, 3]]
    assert by_length([3, 4, 5, 6], 40, to_write=12) == [[0, 1], [2, 3]], "what will be written fills the memory too"


def test_attention_is_given_for_each_pair_in_its_own_size(word_tokens, tiny) -> None:
    engine = TorchEngine(tiny("transformer", vocab_size=word_tokens.vocab_size), word_tokens)
    sources = [word_tokens.encode_source(text) for text in ("the cat sees the dog", "a")]
    targets = [word_tokens.encode_target(text) for text in ("sings", "a dog sees")]
    for found, source, target in zip(engine.attention(sources, targets), sources, targets, strict=True):
        assert set(found) == {"cross", "encoder", "decoder"}
        for kind, weights in found.items():
            queries = len(source) if kind == "encoder" else len(target) + 1
            keys = len(target) + 1 if kind == "decoder" else len(source)
            assert weights.shape == (2, 4, queries, keys)
            torch.testing.assert_close(torch.from_numpy(weights).sum(-1), torch.ones(2, 4, queries).double())
    rnn = TorchEngine(tiny("rnn", vocab_size=word_tokens.vocab_size), word_tokens)
    assert rnn.attention(sources, targets) == [{}, {}]


def test_sentences_as_long_as_the_position_table_are_taken(word_tokens, tiny) -> None:
    """A padded length past the last trainable position would have none to add."""
    network = tiny("transformer", vocab_size=word_tokens.vocab_size, positions="trainable", max_length=11)
    engine = TorchEngine(network, word_tokens)
    for count in (7, 8, 9, 10):
        source = [*([5] * count), word_tokens.eos_id]
        assert engine.search([source], SearchOptions(beam_size=2))[0]
        assert engine.attention([source], [[6, 7]])[0]["cross"].shape[-1] == count + 1


def test_attention_of_sources_alone_is_the_encoders_own(word_tokens, tiny, arch) -> None:
    engine = TorchEngine(tiny(arch, vocab_size=word_tokens.vocab_size), word_tokens)
    sources = [word_tokens.encode_source(text) for text in ("the cat sees the dog", "a", "no cat sings")]
    alone, translated = engine.attention(sources), engine.attention(sources, [[5, 6], [], [7]])
    assert [set(found) for found in alone] == [{"encoder"} if arch == "transformer" else set()] * 3
    for found, expected in zip(alone, translated, strict=True):
        for kind, weights in found.items():
            torch.testing.assert_close(weights, expected[kind], rtol=0, atol=1e-12)
