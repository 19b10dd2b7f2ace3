"""Word alignments from attention: words and pieces, which layer and head, against gold, on the command line."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from command_line import Command

from regard import aligning
from regard.aligning import Way
from regard.api import Model
from regard.counted_pairs import CountedPair
from regard.data import world
from regard.data.word_pieces import Groups, piece_groups, word_spans
from regard.errors import ConfigError, DataError, ModelError


@pytest.fixture(scope="module")
def pairs() -> list[CountedPair]:
    return [CountedPair.of_world(pair) for pair in world.generate("dev", 12, seed=3, max_words=14)]


class WordTokens:
    """A tokenizer whose pieces are the halves of words, with an eos on the source side."""

    def __init__(self, pairs: Sequence[CountedPair]):
        self.words = {pair.source: pair.source_words for pair in pairs}
        self.words |= {pair.target: pair.target_words for pair in pairs}
        self.firsts = {text: 1_000 * number for number, text in enumerate(self.words)}  # ids of each text are its own

    def pieces(self, text: str) -> list[tuple[int, int]]:
        spans = []
        for first, end in word_spans(text, self.words[text]):
            middle = (first + end) // 2
            spans += [(first, middle), (middle, end)] if middle > first else [(first, end)]
        return spans

    def encode_source(self, text: str) -> list[int]:
        return [*self.encode_target(text), -1]

    def encode_target(self, text: str) -> list[int]:
        return list(range(self.firsts[text], self.firsts[text] + len(self.pieces(text))))

    def source_spans(self, text: str) -> list[tuple[int, int]]:
        return [*self.pieces(text), (len(text), len(text))]

    def target_spans(self, text: str) -> list[tuple[int, int]]:
        return self.pieces(text)


def fake_model(pairs: Sequence[CountedPair], planted: Way, layers: int = 3, heads: int = 2) -> Any:
    """A model one of whose heads looks where gold says, at all pieces; the others look at the first piece."""
    tokens = WordTokens(pairs)
    texts = {tuple(tokens.encode_source(pair.source)): pair for pair in pairs}

    def attention(sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> list[dict[str, np.ndarray]]:
        found = []
        for source, target in zip(sources, targets, strict=True):
            pair = texts[tuple(source)]
            weights = np.zeros((layers, heads, len(target) + 1, len(source)), dtype=np.float32)
            weights[..., 0] = 1
            places = (
                word_spans(pair.source, pair.source_words),
                word_spans(pair.target, pair.target_words),
            )
            source_groups = piece_groups(tokens.source_spans(pair.source), places[0])
            target_groups = piece_groups(tokens.target_spans(pair.target), places[1])
            later = 1 if planted.shifted else 0
            if planted.posterior:
                found.append({"cross": weights})
                continue
            weights[planted.layer, planted.head, later : len(target) + later] = 0
            for source_word, target_word in pair.sure:
                for row in target_groups[target_word]:
                    for column in source_groups[source_word]:
                        weights[planted.layer, planted.head, row + later, column] = 1
            found.append({"cross": weights})
        return found

    def posterior(sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """Where gold says if that is what is planted, else at the first piece."""
        if not planted.posterior:
            return [np.eye(1, len(sources[0]), dtype=np.float32).repeat(len(targets[0]) + 1, 0)]
        return [each["cross"][0, 0] for each in fake_model(pairs, Way(0, 0)).engine.attention(sources, targets)]

    engine = SimpleNamespace(tokens=tokens, attention=attention, posterior=posterior, max_length=500)
    return SimpleNamespace(engine=engine, name="fake")


def one_to_one(pairs: Sequence[CountedPair]) -> list[CountedPair]:
    """Those whose target words have one source word at most, as argmax can say."""
    return [pair for pair in pairs if len({target for _, target in pair.sure}) == len(pair.sure)]


def test_word_spans_are_in_order_and_may_touch() -> None:
    assert word_spans("a cat, a dog.", ["a", "cat", ",", "a", "dog", "."]) == [
        (0, 1), (2, 5), (5, 6), (7, 8), (9, 12), (12, 13),
    ]  # fmt: skip
    assert word_spans("", []) == []


def test_a_word_that_is_not_there_is_an_error() -> None:
    with pytest.raises(DataError, match=r"word 'cat' does not stand in 'a cat' after character 5"):
        word_spans("a cat", ["a", "cat", "cat"])


def test_word_spans_cover_every_letter_of_the_corpus(pairs: list[CountedPair]) -> None:
    for pair in pairs:
        for text, words in ((pair.source, pair.source_words), (pair.target, pair.target_words)):
            spans = word_spans(text, words)
            assert [text[first:end] for first, end in spans] == list(words)
            assert sum(end - first for first, end in spans) == len(text.replace(" ", ""))


@pytest.mark.parametrize(
    ("spans", "words", "expected"),
    [
        ([(0, 3), (3, 5)], [(0, 5)], [[0, 1]]),  # two pieces of one word
        ([(0, 4)], [(0, 3), (3, 4)], [[0], []]),  # one piece over two words goes to the one it shares more with
        ([(0, 2)], [(0, 1), (1, 2)], [[0], []]),  # ... and to the first of equals
        ([(0, 1), (1, 6), (6, 6)], [(0, 1), (2, 6)], [[0], [1]]),  # the space before a word, and eos
        ([(3, 4)], [(0, 3), (5, 7)], [[], []]),  # a piece that is only a space
        ([], [(0, 1)], [[]]),
        ([(0, 1)], [], []),
    ],
)
def test_piece_groups(spans: list[tuple[int, int]], words: list[tuple[int, int]], expected: Groups) -> None:
    assert piece_groups(spans, words) == expected


@pytest.mark.parametrize("planted", [Way(0, 1), Way(2, 0), Way(1, 1, shifted=True)], ids=str)
def test_the_planted_head_is_found_and_aligns_perfectly(pairs: list[CountedPair], planted: Way) -> None:
    chosen = one_to_one(pairs)
    assert len(chosen) > 3
    model = fake_model(chosen, planted)
    way, score = aligning.choose(model, chosen)
    assert (way, score.aer) == (planted, 0)
    links = aligning.align(model, chosen, planted)
    assert links == [set(pair.sure) for pair in chosen]
    other = Way((planted.layer + 1) % 3, planted.head, planted.shifted)
    assert aligning.score(aligning.align(model, chosen, other), chosen).aer > 0.5
    assert (
        aligning.score(aligning.align(model, chosen, Way(planted.layer, planted.head, not planted.shifted)), chosen).aer
        > 0.2
    )


def test_the_posterior_is_found_where_no_head_is_right(pairs: list[CountedPair]) -> None:
    chosen = one_to_one(pairs)
    model = fake_model(chosen, Way(posterior=True))
    way, score = aligning.choose(model, chosen)
    assert (way, score.aer) == (Way(posterior=True), 0)
    assert aligning.align(model, chosen, way) == [set(pair.sure) for pair in chosen]
    assert str(way) == "last layer, given the word that came of it"
    turned = fake_model([aligning.turned_pair(pair) for pair in chosen], way)
    report = aligning.align_pairs(model, chosen, dev=chosen, reverse_model=turned)
    assert report.score is not None
    assert (report.way, report.reverse_way, report.score.aer) == (way, way, 0)


def test_ways_are_all_of_them_once_and_simple_ones_first() -> None:
    found = list(aligning.ways(3, 2))
    assert len(found) == len(set(found)) == 2 * 4 * 3 + 1
    assert found[0] == Way()
    assert list(aligning.ways(1, 1)) == [Way(0, 0), Way(0, 0, shifted=True), Way(posterior=True)]


def test_a_way_picks_or_means() -> None:
    weights = np.random.default_rng(0).random((3, 2, 4, 5))
    np.testing.assert_array_equal(Way(1, 0).of(weights), weights[1, 0])
    assert [str(Way(*numbers)) for numbers in ((1, 0), (-1, -2))] == [
        "layer 2, head 1, predicting the word",
        "layer -1, head -2, predicting the word",
    ]
    np.testing.assert_allclose(Way(-1, None).of(weights[-1:]), weights[2].mean(0))
    np.testing.assert_allclose(Way(None, 1).of(weights), weights[:, 1].mean(0))
    np.testing.assert_allclose(Way().of(weights), weights.mean((0, 1)))


def test_the_way_is_chosen_as_links_are_read(pairs: list[CountedPair]) -> None:
    """By the largest weight both heads are right; with a threshold only the sure one of them is."""
    chosen = one_to_one(pairs)[:3]
    model = fake_model(chosen, Way(0, 1))
    planted = model.engine.attention

    def attention(*sides: Sequence) -> list[dict[str, np.ndarray]]:
        found = [{"cross": each["cross"][:1].copy()} for each in planted(*sides)]
        for each in found:
            sure = each["cross"][0, 1]
            each["cross"][0, 0] = 0.4 * sure + 0.6 / sure.shape[-1]
        return found

    model.engine.attention = attention
    assert aligning.choose(model, chosen)[0] == Way(0, None)
    way, score = aligning.choose(model, chosen, method="threshold", threshold=0.9)
    assert (way, score.aer) == (Way(0, 1), 0)
    report = aligning.align_pairs(model, chosen, dev=chosen, method="threshold", threshold=0.9)
    assert report.dev == report.score == score


def test_word_weights_merge_pieces(pairs: list[CountedPair]) -> None:
    pair = one_to_one(pairs)[0]
    (weights,) = aligning.word_weights(fake_model([pair], Way(1, 0)), [pair])
    assert weights.shape == (3, 2, len(pair.target_words), len(pair.source_words))
    expected = np.zeros(weights.shape[2:], dtype=bool)
    for source, target in pair.sure:
        expected[target, source] = True
    np.testing.assert_array_equal(weights[1, 0] > 0, expected)
    assert (weights[0].argmax(-1) == 0).all()


def test_agreement_overrules_what_one_direction_prefers(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = CountedPair.of_text("the cat sleeps", "o gato dorme")
    forward = np.array([[0.6, 0.4, 0.0], [0.5, 0.4, 0.1], [0.0, 0.3, 0.7]])  # (target, source): "gato" looks at "the"
    backward = np.array([[0.9, 0.1, 0.0], [0.1, 0.8, 0.1], [0.0, 0.1, 0.9]])  # (source, target)
    weights = {"there": forward, "back": backward}

    def word_weights(model: Any, pairs: Sequence[CountedPair], *, shifted: bool) -> Any:
        return iter([weights[model][None, None]] * len(pairs))

    monkeypatch.setattr(aligning, "word_weights", word_weights)

    def links(**how: Any) -> set[tuple[int, int]]:
        models: Any = "there", "back"
        return aligning.align_pairs(models[0], [pair], way=Way(0, 0), reverse_model=models[1], **how).links[0]

    diagonal = {(0, 0), (1, 1), (2, 2)}
    assert links() == links(symmetrization="agreement") == diagonal
    assert links(symmetrization="union") == diagonal | {(0, 1)}
    # √(0.4 · 0.8) = 0.57 and √(0.5 · 0.1) = 0.22
    assert links(method="threshold", threshold=0.5) == diagonal
    assert links(method="threshold", threshold=0.19) == diagonal | {(0, 1), (1, 0)}
    assert links(method="threshold", threshold=0.21) == diagonal | {(0, 1)}
    with pytest.raises(ConfigError, match=r"symmetrization 'both' is unknown\. Known are agreement, "):
        links(symmetrization="both")


def test_the_other_direction_is_turned_round_and_combined(pairs: list[CountedPair]) -> None:
    chosen = one_to_one(pairs)
    forward, backward = (
        fake_model(chosen, Way(0, 0)),
        fake_model([aligning.turned_pair(pair) for pair in chosen], Way(1, 1)),
    )
    report = aligning.align_pairs(forward, chosen, way=Way(0, 0), reverse_model=backward, symmetrization="union")
    assert report.reverse_way == Way(0, 0), "the same way, where none was chosen"
    report = aligning.align_pairs(forward, chosen, dev=chosen, reverse_model=backward, symmetrization="intersection")
    assert (report.way, report.reverse_way) == (Way(0, 0), Way(1, 1))
    assert report.score is not None
    assert report.score.precision == 1
    assert report.dev is not None
    assert report.dev.aer == 0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    from tiny_model import make_folder

    return make_folder(tmp_path_factory.mktemp("aligning") / "model", max_length=400)


def test_a_real_model_gives_weights_between_words(model: Path, pairs: list[CountedPair]) -> None:
    import regard

    loaded = regard.load(model)
    for shifted in (False, True):
        for weights, pair in zip(aligning.word_weights(loaded, pairs, shifted=shifted), pairs, strict=True):
            assert weights.shape == (2, 2, len(pair.target_words), len(pair.source_words))
            sums = weights.sum(axis=-1)
            assert (sums > 0).all()
            assert (sums <= 1 + 1e-5).all(), "what went to eos is left out"


def test_the_same_choice_over_random_models_is_shown(model: Path, pairs: list[CountedPair]) -> None:
    import torch

    import regard

    loaded = regard.load(model)
    state = torch.random.get_rng_state()
    report = aligning.align_pairs(loaded, pairs, dev=pairs[:5], seeds=2)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert len(report.untrained) == 2
    assert report.untrained[0] != report.untrained[1]
    assert min(report.untrained) > 0
    assert "the same choice over models with random weights" in report.lines()[-1]
    again = aligning.align_pairs(loaded, pairs, dev=pairs[:5], seeds=1)
    assert again.untrained == report.untrained[:1]
    both = aligning.align_pairs(loaded, pairs, dev=pairs[:5], seeds=1, reverse_model=loaded)
    assert both.untrained != report.untrained[:1], "random models are combined with their reverse as trained ones are"


def test_a_pair_the_model_cannot_take_is_refused(model: Path) -> None:
    import regard

    long = CountedPair.of_text("the cat " * 300, "o gato")
    with pytest.raises(ModelError, match=r"a pair has \d+ tokens, the model takes 400: 'the cat"):
        next(aligning.word_weights(regard.load(model), [long]))


def test_a_model_without_attention_is_refused(tmp_path: Path, pairs: list[CountedPair]) -> None:
    pytest.importorskip("torch")
    from tiny_model import make_folder

    import regard

    model: Model = regard.load(make_folder(tmp_path / "model", "rnn", max_length=128))
    for ask in (
        lambda: aligning.choose(model, pairs),
        lambda: next(aligning.word_weights(model, pairs)),
        lambda: aligning.align(model, pairs, Way(posterior=True)),
    ):
        with pytest.raises(ModelError, match="no attention to its source"):
            ask()


GOLD = "the cat sees\to gato vê\t0-0 1-1 2?2\nthe dog\to cão\t0-0 1-1\n"


def test_links_of_pairs_on_stdout(run: Command, model: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("the cat sees\to gato vê\nthe dog\to cão\n", encoding="utf-8")
    found = run("align", model, tmp_path / "pairs.tsv", "--layer", 1, "--head", 2)
    assert found.status == 0
    assert len(found.lines) == 2
    assert all(link.count("-") == 1 for line in found.lines for link in line.split())
    assert "read from: layer 1, head 2, predicting the word" in found.err
    (tmp_path / "gaps.tsv").write_text("the cat\to gato\n\to cão\nthe dog\t\nthe dog\to cão\n", encoding="utf-8")
    gaps = run("align", model, tmp_path / "gaps.tsv")
    assert [bool(line) for line in gaps.lines] == [True, False, False, True], "one line of links for each of the file"
    assert "read 4 · used 2 · skipped 2: empty 2\n2 of 4 pairs could not be used; the line of links of each" in gaps.err
    as_json = json.loads(run("align", model, tmp_path / "pairs.tsv", "--layer", 1, "--head", 2, "--json").out)
    assert (as_json["way"]["layer"], as_json["way"]["head"]) == (1, 2), "counted from 1"
    to_file = run("align", model, tmp_path / "pairs.tsv", "--layer", 1, "--head", 2, "--out", tmp_path / "links")
    assert to_file.out == ""
    assert (tmp_path / "links").read_text(encoding="utf-8") == found.out


def test_a_pair_too_long_is_named_and_those_before_it_are_aligned(run: Command, model: Path, tmp_path: Path) -> None:
    (tmp_path / "short.tsv").write_text("the cat\to gato\n\to cão\n", encoding="utf-8")
    long = f"the cat\to gato\n\to cão\n{'the cat ' * 300}\to gato\nthe dog\to cão\n"
    (tmp_path / "pairs.tsv").write_text(long, encoding="utf-8")
    found = run("align", model, tmp_path / "pairs.tsv")
    assert found.status == 2
    assert found.lines == run("align", model, tmp_path / "short.tsv").lines
    assert "pairs.tsv:3: a pair has " in found.err
    (tmp_path / "gold.tsv").write_text(GOLD + f"{'the ' * 700}cat\to gato\t0-0\n", encoding="utf-8")
    for option in ("--gold", "--dev"):
        other = {"--gold": "--dev", "--dev": "--gold"}[option]
        found = run("align", model, option, tmp_path / "gold.tsv", other, "world:3")
        assert (found.status, found.out) == (2, "")
        assert "gold.tsv:3: a pair has " in found.err


def test_gold_without_a_sure_link_is_refused(run: Command, model: Path, tmp_path: Path) -> None:
    (tmp_path / "gold.tsv").write_text(GOLD.replace("-", "?"), encoding="utf-8")
    for options in ([], ["--json"]):
        found = run("align", model, "--gold", tmp_path / "gold.tsv", *options)
        assert (found.status, found.out) == (2, "")
        assert "gold.tsv: no pair has a sure link (i-j)" in found.err


def test_scores_against_gold(run: Command, model: Path, tmp_path: Path) -> None:
    (tmp_path / "gold.tsv").write_text(GOLD, encoding="utf-8")
    (tmp_path / "dev.tsv").write_text(GOLD, encoding="utf-8")
    found = run("align", model, "--gold", tmp_path / "gold.tsv", "--dev", tmp_path / "gold.tsv")
    assert found.status == 2
    assert "gold.tsv: what is chosen on would be measured too" in found.err
    found = run("align", model, "--gold", tmp_path / "gold.tsv", "--dev", tmp_path / "dev.tsv", "--untrained", 1)
    assert (found.status, found.err) == (0, "")
    assert "(chosen: alignment error " in found.lines[0]
    assert "(2 pairs, 4 sure links)" in found.lines[1]
    assert found.lines[2].startswith("the same choice over models with random weights: ")
    plain = json.loads(run("align", model, "--gold", "world:4", "--shifted", "--json").out)
    assert len(plain["links"]) == 4
    assert plain["way"] == {"layer": None, "head": None, "shifted": True, "posterior": False}
    given = run("align", model, "--gold", "world:4", "--posterior")
    assert "read from: last layer, given the word that came of it" in given.out
    assert 0 <= plain["score"]["aer"] <= 1


def test_a_model_of_the_other_direction_is_read_the_right_way_round(run: Command, model: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("the cat sees\to gato vê\nthe dog\to cão\n", encoding="utf-8")
    (tmp_path / "turned.tsv").write_text("o gato vê\tthe cat sees\no cão\tthe dog\n", encoding="utf-8")
    plain = run("align", model, tmp_path / "pairs.tsv").lines
    turned = run("align", model, tmp_path / "turned.tsv", "--reverse").lines
    swapped = [" ".join(sorted("-".join(reversed(link.split("-"))) for link in line.split())) for line in plain]
    assert [" ".join(sorted(line.split())) for line in turned] == swapped, "links are told as the file has its sides"
    assert run("align", model, tmp_path / "pairs.tsv", "--reverse").lines != plain


def test_sides_that_are_the_models_languages_the_other_way_round(run: Command, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from tiny_model import make_folder

    model = make_folder(tmp_path / "model", max_length=400)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "source_language": "pt-BR", "target_language": "en"}))
    (tmp_path / "my.en").write_text("the cat sees\nthe dog\n")
    (tmp_path / "my.pt").write_text("o gato vê\no cão\n", encoding="utf-8")
    files = (tmp_path / "my.en", tmp_path / "my.pt")
    for command in ("align", "heads"):
        found = run(command, model, *files)
        assert (found.status, found.out) == (2, "")
        assert "its sides are en and pt, and the model translates from pt-BR to en. Add --reverse." in found.err
        assert "Leave out --reverse." in run(command, model, *files[::-1], "--reverse").err
        assert run(command, model, *files, "--reverse").status == run(command, model, *files[::-1]).status == 0
    for option in ("--gold", "--dev"):
        found = run("align", model, *(() if option == "--gold" else files), option, "world:3")
        assert "its sides are en and pt" in found.err
    found = run("align", model, *files, "--reverse", "--reverse-model", model)
    assert found.status == 2
    assert "translates from pt-BR to en, as " in found.err
    tmx = "<tmx version='1.4'><header srclang='en'/><body><tu>%s</tu></body></tmx>"
    sides = [f"<tuv xml:lang='{tag}'><seg>{text}</seg></tuv>" for tag, text in (("en", "the cat"), ("pt", "o gato vê"))]
    (tmp_path / "my.tmx").write_text(tmx % "".join(sides), encoding="utf-8")
    (tmp_path / "my.tsv").write_text("o gato vê\tthe cat\n", encoding="utf-8")
    assert run("align", model, tmp_path / "my.tmx").out == run("align", model, tmp_path / "my.tsv").out, "read by name"


def test_a_layer_from_the_end_is_told_by_its_number(run: Command, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from tiny_model import make_folder

    model = make_folder(tmp_path / "model", max_length=400)
    other = make_folder(tmp_path / "other", max_length=400, num_layers=3)
    from_end = run("align", model, "--gold", "world:3", "--layer", -1, "--head", -2, "--reverse-model", other)
    assert from_end.lines[0] == "read from: layer 2, head 1, predicting the word"
    assert from_end.lines[1].startswith("and from the other direction: layer 3, head 1, predicting the word; joined")
    assert run("align", model, "--gold", "world:3", "--layer", -1).out == (
        run("align", model, "--gold", "world:3", "--layer", 2).out
    )
    way = json.loads(run("align", model, "world:3", "--layer", -1, "--json").out)["way"]
    assert (way["layer"], way["head"]) == (2, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "align takes pairs to align (DATA), or pairs with gold links"),
        (["world:3", "--gold", "world:3"], "align takes pairs to align (DATA), or pairs with gold links"),
        (["--gold", "world:3", "--dev", "world:3", "--layer", 1], "--dev chooses what is read"),
        (["--gold", "world:3", "--dev", "world:3", "--posterior"], "--dev chooses what is read"),
        (["--gold", "world:3", "--head", 1, "--posterior"], "--posterior reads all heads of the last layer"),
        (["--gold", "world:3", "--layer", 0], "--layer and --head count from 1"),
        (["--gold", "missing.tsv"], "missing.tsv: there is no such file"),
        (["--gold", "world:3", "--method", "best"], "method 'best' is unknown"),
        (["--gold", "world:3", "--layer", 7], "has 2 layers; there is no layer 7"),
        (["--gold", "world:3", "--head", 7], "has 2 heads; there is no head 7"),
        (["--gold", "world:3", "--untrained", -1], "--untrained"),
        (["world:3", "--untrained", 1], "--untrained: says nothing of alignments without --dev and --gold. Leave it"),
        (["world:3", "--dev", "world:3", "--untrained", 0], "--untrained: says nothing of alignments without --dev"),
        (["--gold", "world:3", "--untrained", 3], "--untrained: says nothing of alignments without --dev and --gold"),
        (["--gold", "world:3", "--layer", -3], "has 2 layers; there is no layer -3"),
    ],
)
def test_mistakes(run: Command, model: Path, arguments: list[object], message: str) -> None:
    found = run("align", model, *arguments)
    assert (found.status, found.out) == (2, "")
    assert message in found.err
