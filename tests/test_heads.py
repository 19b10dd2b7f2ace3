"""What heads do: planted heads are found, measures are their formulas, and chance stands beside what was chosen."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from command_line import Command
from tiny_model import make_decoder_folder, make_encoder_folder

import regard
from regard import heads
from regard.data import world
from regard.data.antecedents import ResolvedText
from regard.errors import InputError, ModelError
from regard.head_examples import Example, Mention

pytest.importorskip("torch")

PAIR = Example(
    "the cat saw it .",
    ("the", "cat", "saw", "it", "."),
    "o gato viu ele .",
    ("o", "gato", "viu", "ele", "."),
    frozenset((place, place) for place in range(4)),
    (Mention(source=3, candidates=((0,), (1,)), antecedent=1, target=(3, 1)),),
)
WITHOUT_GOLD = replace(PAIR, links=frozenset(), mentions=())
# Of nine tokens each sees six: with this seed one of the four heads does not see the first candidate.
SPARSE = {"arch": "bigbird", "block_size": 1, "num_random_blocks": 1, "random_blocks_seed": 11}


class WordTokens:
    """One piece a word, eos at the end of a source."""

    def encode_source(self, text: str) -> list[int]:
        return [*range(len(text.split())), -1]

    def encode_target(self, text: str) -> list[int]:
        return list(range(len(text.split())))

    def target_spans(self, text: str) -> list[tuple[int, int]]:
        spans, place = [], 0
        for word in text.split():
            first = text.index(word, place)
            place = first + len(word)
            spans.append((first, place))
        return spans

    def source_spans(self, text: str) -> list[tuple[int, int]]:
        return [*self.target_spans(text), (len(text), len(text))]


def model_of(weights: dict[str, np.ndarray]) -> Any:
    """A model that gives these weights (layers, heads, rows, columns) for every pair."""

    def attention(
        sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]] | None
    ) -> list[dict[str, np.ndarray]]:
        return [{kind: values for kind, values in weights.items() if targets or kind == "encoder"} for _ in sources]

    engine = SimpleNamespace(tokens=WordTokens(), attention=attention, max_length=50)
    return SimpleNamespace(engine=engine, name="planted")


def one_hot(rows: int, columns: int, where: Sequence[int]) -> np.ndarray:
    weights = np.zeros((rows, columns), dtype=np.float32)
    weights[np.arange(rows), where] = 1
    return weights


@pytest.fixture
def planted() -> Any:
    """Encoder heads: previous, next, itself, eos; cross heads: aligned, antecedent; decoder heads: latest, start."""
    encoder = [
        one_hot(6, 6, [0, 0, 1, 2, 3, 4]),
        one_hot(6, 6, [1, 2, 3, 4, 5, 5]),
        one_hot(6, 6, range(6)),
        one_hot(6, 6, [5] * 6),
    ]
    cross = [one_hot(6, 6, range(6)), one_hot(6, 6, [1] * 6)]
    decoder = [one_hot(6, 6, range(6)), one_hot(6, 6, [0] * 6)]  # columns: the start, then the words
    return model_of({"encoder": np.array([encoder]), "cross": np.array([cross]), "decoder": np.array([decoder])})


def test_measures_of_planted_heads(planted: Any) -> None:
    found = {roles.name: roles.measures for roles in heads.measure(planted, [PAIR])}
    assert list(found) == [
        "cross 1.1",
        "cross 1.2",
        *(f"encoder 1.{head}" for head in range(1, 5)),
        "decoder 1.1",
        "decoder 1.2",
    ]
    assert found["encoder 1.1"]["previous"] == 1
    assert found["encoder 1.1"]["distance"] == pytest.approx(0.8), "the first word looks at itself"
    assert found["encoder 1.2"]["next"] == 1
    itself = found["encoder 1.3"]
    assert (itself["same"], itself["separators"]) == (1, 0.2)
    assert itself["spread"] == itself["previous"] == itself["next"] == itself["distance"] == 0
    assert found["encoder 1.4"]["separators"] == 1
    assert found["cross 1.1"]["aligned"] == 1
    assert (found["cross 1.1"]["antecedent"], found["cross 1.2"]["antecedent"], found["cross 1.2"]["candidate"]) == (
        0,
        1,
        1,
    )
    assert found["decoder 1.1"]["previous"] == 1
    assert found["decoder 1.2"]["separators"] == 1
    assert "next" not in found["decoder 1.1"]
    assert "candidate" not in found["decoder 1.1"]


def test_the_picture_says_units_and_how_many(planted: Any, tmp_path: Path, figures: list[Any]) -> None:
    heads.draw(heads.measure(planted, [PAIR, PAIR, WITHOUT_GOLD]), tmp_path / "a.png", title="planted")
    titles = [axes.get_title(loc="left") for axes in figures[0].axes]
    for title in (
        "cross: aligned\nweight, mean over words (8)",
        "cross: antecedent\nshare of pronouns (2)",
        "encoder: candidate\nshare of pronouns (2)",
        "encoder: previous\nweight, mean over words (12)",
        "encoder: distance\nin words, mean over words (15)",
        "decoder: spread\nin bits, mean over words (15)",
    ):
        assert title in titles
    figures[0].draw_without_rendering()
    places = [axes._left_title.get_window_extent() for axes in figures[0].axes]
    assert not any(first.overlaps(second) for first, second in itertools.combinations(places, 2))


def test_means_are_over_rows_and_sentences() -> None:
    uniform = np.full((1, 1, 6, 6), 1 / 6, dtype=np.float32)
    (roles,) = heads.measure(model_of({"encoder": uniform}), [PAIR, WITHOUT_GOLD])
    assert roles.measures["spread"] == pytest.approx(np.log2(6), abs=1e-4)
    assert roles.measures["previous"] == roles.measures["same"] == pytest.approx(1 / 6)
    assert roles.measures["separators"] == pytest.approx(2 / 6), "the full stop and the end"
    assert roles.measures["distance"] == pytest.approx(np.abs(np.subtract.outer(range(5), range(5))).mean(), abs=1e-6)
    assert roles.measures["antecedent"] == 0, "one mention, and the first of equals is another word"


def test_another_place_of_the_same_word() -> None:
    """Of "The dog , the cat , the" the articles and the commas stand several times; commas are no words."""
    text, places = "The dog , the cat , the", [3, 4, 5, 6, 0, 2, 0, 7]
    words = tuple(text.split())
    heads_of = {
        "encoder": np.array([[one_hot(8, 8, places), one_hot(8, 8, range(8))]]),
        "decoder": np.array([[one_hot(8, 8, [0, 1, 1, 2, 2, 2, 4, 0])]]),  # columns: the start, then the words
    }
    found = {
        roles.name: roles.measures.get("repeated")
        for roles in heads.measure(model_of(heads_of), [Example(text, words, text, words)])
    }
    # "The" looks at the second and that at the third, which looks at the first; of the decoder's, only the last does.
    assert found == {"encoder 1.1": 1, "encoder 1.2": 0, "decoder 1.1": 0.5}
    once = Example("a b c d e f g", tuple("abcdefg"), "a b c d e f g", tuple("abcdefg"))
    assert all("repeated" not in roles.measures for roles in heads.measure(model_of(heads_of), [once]))


TEXT = "Mary Ann Low saw Sue 's cat and she ran ."
#       0    1   2   3   4   5  6   7   8   9   10, then the end
ALONE = Example.of_resolved(ResolvedText(TEXT, (32, 35), ((0, 12), (17, 20)), 0))


def test_an_antecedent_of_several_words_by_hand() -> None:
    """From "she" (word 8): 0.3 on the three words of the antecedent, 0.25 on the other candidate, 0.45 elsewhere."""

    def head(weights: dict[int, float]) -> np.ndarray:
        rows = np.full((12, 12), 1 / 12, dtype=np.float32)
        rows[8] = [weights.get(place, 0.0) for place in range(12)]
        return rows

    encoder = [
        head(
            {0: 0.1, 1: 0.1, 2: 0.1, 4: 0.25, 6: 0.2, 8: 0.2, 11: 0.05}
        ),  # most on "Sue", but more on the name together
        head({1: 0.3, 4: 0.25, 8: 0.4, 11: 0.05}),  # most on "Ann"; the pronoun itself is no answer
        head({0: 0.2, 4: 0.15, 6: 0.25, 9: 0.4}),  # most on neither
        head({2: 0.2, 4: 0.25, 11: 0.55}),  # the end is no word; most on "Sue"
        head({11: 1.0}),  # on no word at all: nothing is found, though the first of equals is "Mary"
    ]
    model = model_of({"encoder": np.array([encoder]), "cross": np.zeros((1, 1, 1, 12))})
    found = heads.measure(model, [ALONE])
    assert [roles.name for roles in found] == [f"encoder 1.{head}" for head in range(1, 6)], "no translation, no cross"
    assert [roles.measures["antecedent"] for roles in found] == [0, 1, 0, 0, 0]
    assert [roles.measures["candidate"] for roles in found] == [1, 1, 1, 0, 1]
    turned = replace(ALONE, mentions=(replace(ALONE.mentions[0], antecedent=1),))
    assert [roles.measures["antecedent"] for roles in heads.measure(model, [ALONE, ALONE, turned])] == pytest.approx(
        [1 / 3, 2 / 3, 0, 1 / 3, 0]
    )


def test_a_head_chosen_on_pairs_is_one_that_texts_alone_can_score(planted: Any) -> None:
    """On pairs cross 1.2 is best, but a text without translation knows encoder heads only; 1.1 looks one word back."""
    before = Mention(source=3, candidates=((0,), (2,)), antecedent=1)
    alone = replace(PAIR, target=None, target_words=(), links=frozenset(), mentions=(before,))
    found = heads.find(planted, "candidate", [PAIR], [alone], seeds=0)
    assert found.chosen.kind == "encoder"
    backward = heads.find(planted, "coreference", [alone], [PAIR], seeds=0)
    assert (backward.chosen.name, backward.chosen.measures["antecedent"], backward.test) == ("encoder 1.1", 1, 0)


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("coreference", "cross 1.2"),
        ("candidate", "cross 1.2"),
        ("alignment", "cross 1.1"),
        ("previous", "encoder 1.1"),
        ("next", "encoder 1.2"),
    ],
)
def test_the_planted_head_is_found(planted: Any, what: str, name: str) -> None:
    found = heads.find(planted, what, [PAIR], [PAIR], seeds=0, rules={"nearest": 0.5})
    assert (found.chosen.name, found.test) == (name, 1)
    assert found.rules == ({"nearest": 0.5} if what in ("coreference", "candidate") else {})
    assert heads.found_lines(what, found)[0] == f"{what}: {name}, chosen on dev (1.000), on test 1.000"


def test_the_head_that_looks_at_other_places_of_a_word_is_found(planted: Any) -> None:
    """Of "cat cat" each of two encoder heads sees one place from the other; the decoder sees the first alone."""
    twice = replace(
        WITHOUT_GOLD,
        source="cat cat saw it .",
        source_words=("cat", "cat", "saw", "it", "."),
        target="gato gato viu ele .",
        target_words=("gato", "gato", "viu", "ele", "."),
    )
    found = heads.find(planted, "repeated", [twice], [twice], seeds=0)
    assert [(each.roles.name, each.dev) for each in found.ranking[:3]] == [
        ("decoder 1.1", 1),
        ("encoder 1.1", 0.5),
        ("encoder 1.2", 0.5),
    ]


def test_what_cannot_be_found(planted: Any) -> None:
    alone = replace(WITHOUT_GOLD, target=None, target_words=())
    with pytest.raises(
        InputError,
        match=r"no role 'syntax' to find\. Known are coreference, candidate, previous, next, repeated, alignment",
    ):
        heads.find(planted, "syntax", [PAIR], [PAIR])
    for dev, test, side in (([WITHOUT_GOLD], [PAIR], "dev"), ([PAIR], [WITHOUT_GOLD], "test")):
        with pytest.raises(
            InputError, match=f"the {side} data says nothing of coreference: that needs antecedents: wo"
        ):
            heads.find(planted, "coreference", dev, test)
    with pytest.raises(
        InputError, match=r"the dev data says nothing of alignment: that needs gold alignments, such as"
    ):
        heads.find(planted, "alignment", [alone], [PAIR])
    with pytest.raises(InputError, match=r"some texts have a translation and some have none\. Measure them apart"):
        heads.measure(planted, [PAIR, alone])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny_model import make_folder

    return make_folder(tmp_path_factory.mktemp("heads") / "model", max_length=400)


def test_heads_of_a_real_model(run: Command, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    arguments = ("heads", model, "world:12", "--find", "coreference", "--dev", "world:8", "--untrained", 2)
    found = run(*arguments, "--out", tmp_path / "heads.png")
    assert found.status == 0
    assert (tmp_path / "heads.png").stat().st_size > 5_000
    names = [" ".join(line.split()[:2]) for line in found.lines if line.startswith(("cross ", "encoder ", "decoder "))]
    assert len(names) == 12 + 5
    assert len(set(names)) == 12
    assert f"coreference: {names[12]}, chosen on dev (" in found.out, "the chosen one is the first of the best five"
    assert "coreference: " in found.out
    assert "the same choice over models with random weights: " in found.out
    assert "rules: nearest " in found.out
    plain = json.loads(run(*arguments, "--json").out)
    assert len(plain["heads"]) == 12
    assert {(each["layer"], each["head"]) for each in plain["heads"]} == {(1, 1), (1, 2), (2, 1), (2, 2)}
    assert len(plain["found"]["untrained"]) == 2
    for each in plain["heads"]:
        shares = [value for name, value in each["measures"].items() if name not in ("distance", "spread")]
        assert all(0 <= value <= 1 + 1e-9 for value in shares)


def test_heads_on_a_persons_own_pairs(run: Command, model: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("the cat sees\to gato vê\nthe dog\to cão\n", encoding="utf-8")
    found = run("heads", model, tmp_path / "pairs.tsv")
    assert found.status == 0
    assert "previous" in found.lines[0]
    assert "antecedent" not in found.lines[0]
    assert "aligned" not in found.lines[0]
    (tmp_path / "long.tsv").write_text(f"the cat\to gato\n{'the cat ' * 300}\to gato\n", encoding="utf-8")
    assert f"{tmp_path / 'long.tsv'}:2: a text or pair has " in run("heads", model, tmp_path / "long.tsv").err


def test_mistakes(run: Command, model: Path, tmp_path: Path) -> None:
    from tiny_model import make_folder

    for arguments, message in (
        (["--find", "syntax"], "there is no role 'syntax' to find"),
        (["missing.tsv"], "missing.tsv"),
        (
            ["--find", "previous", "--dev", "world-test:9"],
            "world-test:9 and world:500: what is chosen on would be meas",
        ),
        (["world:2", "--out", "x.gif"], "must end in .png, .svg or .pdf"),
    ):
        found = run("heads", model, *arguments)
        assert found.status == 2
        assert message in found.err
    rnn = run("heads", make_folder(tmp_path / "rnn", "rnn", max_length=400), "world:2")
    assert rnn.status == 2
    assert "rnn: a model of type RNN has no attention to its source: it has no heads to measure. Take one" in rnn.err


def test_a_pair_the_model_cannot_take_is_refused(planted: Any) -> None:
    planted.engine.max_length = 5
    with pytest.raises(
        ModelError, match=r"^a text or pair has 6 tokens, the model takes 5. Measure it on shorter texts"
    ):
        heads.measure(planted, [PAIR])
    with pytest.raises(ModelError, match=r"^a.tsv:3: a text or pair has 6 tokens, the model takes 5. Leave such ones"):
        heads.measure(planted, [replace(PAIR, where="a.tsv:3")])


@pytest.mark.parametrize("settings", [{}, SPARSE], ids=["bert", "bigbird"])
def test_an_encoders_heads_are_measured_on_texts(run: Command, tmp_path: Path, settings: dict[str, Any]) -> None:
    encoder = make_encoder_folder(tmp_path / "encoder", **settings)
    header = "ID\tText\tPronoun\tPronoun-offset\tA\tA-offset\tA-coref\tB\tB-offset\tB-coref\tURL"
    pairs = list(itertools.permutations(("cat", "dog", "bird", "sing"), 2))
    texts = [f"The {first} sees the {second} to." for first, second in pairs]
    rows = [
        f"1\t{text}\tto\t{text.index(' to') + 1}\t{first}\t4\tTRUE\t{second}\t{text.index(second, 8)}\tFALSE\tx"
        for text, (first, second) in zip(texts, pairs, strict=True)
    ]
    for name in ("gap.tsv", "dev.tsv"):
        (tmp_path / name).write_text("\n".join([header, *rows]) + "\n")
    found = run("heads", encoder, tmp_path / "gap.tsv", "--find", "candidate", "--dev", tmp_path / "dev.tsv", "--json")
    assert found.status == 0, found.err
    report = json.loads(found.out)
    looks = [regard.load(encoder).look(text) for text in texts]
    expected = {}
    for layer, head in itertools.product((1, 2), (1, 2)):  # the weights by hand
        seen = [look.attention("encoder", layer - 1, head - 1)[6] for look in looks]  # from "to", after [CLS]
        expected[layer, head] = sum(weights[2] > weights[5] for weights in seen) / len(seen)
    assert [look.source.words[place] for look in looks[:1] for place in (2, 5, 6)] == ["cat", "dog", "to"]
    assert len(set(expected.values())) > 1, "heads that differ, or nothing is told apart"
    assert {row["kind"] for row in report["heads"]} == {"encoder"}
    assert {(row["layer"], row["head"]): row["measures"]["candidate"] for row in report["heads"]} == expected
    assert report["found"]["test"] == max(expected.values())
    assert len(report["found"]["untrained"]) == 3
    assert run("heads", encoder, "world:3", "--find", "alignment", "--dev", "world:3").status == 2


def test_an_encoder_reads_the_source_of_pairs(tmp_path: Path) -> None:
    encoder = regard.load(make_encoder_folder(tmp_path / "bert", max_length=200))
    examples = [Example.of_world(pair) for pair in world.generate("dev", 4, it_share=1.0)]
    measured = heads.measure(encoder, examples)
    assert {roles.kind for roles in measured} == {"encoder"}
    assert all("antecedent" in roles.measures for roles in measured)


def test_a_language_models_heads_are_measured_on_texts(run: Command, tmp_path: Path) -> None:
    """The word before and the marks, by the weights that `look` shows."""
    folder = make_decoder_folder(tmp_path / "gpt", max_length=200)
    texts = ["the cat sees the dog .", "a dog sees , no bird ."]  # words stand between spaces
    (tmp_path / "pairs.tsv").write_text("".join(f"{text}\tx\n" for text in texts))
    found = run("heads", folder, tmp_path / "pairs.tsv", "--json")
    assert found.status == 0, found.err
    measured = json.loads(found.out)["heads"]
    assert {each["kind"] for each in measured} == {"decoder"}
    assert len(measured) == 4
    for each in measured:
        assert list(each["measures"]) == ["separators", "spread", "previous", "repeated", "distance"]
        looks = [regard.load(folder).look(text) for text in texts]
        separators, previous = [], []
        for look in looks:
            weights = look.piece_attention("decoder", each["layer"] - 1, each["head"] - 1)
            # A piece that is a space alone is of no word; the row before a piece is what predicted it.
            groups = [[piece for piece in group if look.read.pieces[piece] != "▁"] for group in look.read.groups[1:]]
            rows = [weights[[piece - 1 for piece in group]].mean(axis=0) for group in groups]
            words = zip(groups, look.read.words[1:], strict=True)
            plain = [piece for group, word in words if word not in ",." for piece in group]
            separators += [1 - row[plain].sum() for row in rows]
            previous += [row[group].sum() for row, group in zip(rows[1:], groups[:-1], strict=True)]
        assert each["measures"]["separators"] == pytest.approx(np.mean(separators), abs=1e-5)
        assert each["measures"]["previous"] == pytest.approx(np.mean(previous), abs=1e-5)
    (tmp_path / "dev.tsv").write_text("the bird sings\tx\n")
    find = ("heads", folder, tmp_path / "pairs.tsv", "--dev", tmp_path / "dev.tsv", "--untrained", 1, "--find")
    assert (
        "a language model is not measured for next. Of its heads are known --find previous and --find"
        in run(*find, "next").err
    )
    found = run(*find, "previous")
    assert (found.status, "previous: decoder " in found.out) == (0, True), found.err
