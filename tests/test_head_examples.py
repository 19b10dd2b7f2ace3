"""What DATA means for heads: files of antecedents beside pairs, and what is left out of them, from a shell's side."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Command
from tiny_model import make_encoder_folder

import regard
from regard.data import antecedents, world
from regard.data.antecedents import ResolvedText
from regard.head_examples import Example, Mention

pytest.importorskip("torch")

HEADER = "ID\tText\tPronoun\tPronoun-offset\tA\tA-offset\tA-coref\tB\tB-offset\tB-coref\tURL\n"


def gap(*answers: tuple[str, str], text: str = "Ann Low saw Sue's cat and she sang.") -> str:
    """A file of GAP with one row for each pair of answers about A and B."""
    row = (
        f"t\t{text}\tshe\t{text.index('she')}\tAnn Low\t{text.index('Ann Low')}\t%s\tSue\t{text.index('Sue')}\t%s\t-\n"
    )
    return HEADER + "".join(row % pair for pair in answers)


SCHEMA = (
    '{"text": "The cat sees the dogs, so [MASK] sings.", "candidates": ["the cat", "the dogs"], "answer": "the cat"}\n'
)


def test_a_masked_pronoun_is_one_word_and_read_as_a_mask(run: Command, tmp_path: Path) -> None:
    schemas = tmp_path / "schemas.jsonl"
    schemas.write_text(SCHEMA)
    example = Example.of_resolved(antecedents.read(schemas).texts[0])
    assert example.source_words == ("The", "cat", "sees", "the", "dogs", ",", "so", "[MASK]", "sings", ".")
    assert example.mentions == (Mention(source=7, candidates=((1,), (4,)), antecedent=0),)
    folder = make_encoder_folder(tmp_path / "model", task="mask")
    model = regard.load(folder)
    read = model.engine.tokens.encode_masked(example.source)
    (weights,) = model.engine.attention([read.ids])
    row = weights["encoder"][:, :, read.ids.index(model.engine.tokens.id_of("mask"))]  # (layers, heads, pieces)
    places = [example.source.index(word) for word in ("cat", "dogs")]
    pieces = [[n for n, (a, b) in enumerate(read.spans) if place <= a < b <= place + 4] for place in places]
    first_is_more = (row[..., pieces[0]].sum(-1) > row[..., pieces[1]].sum(-1)).flatten()
    for answer, expected in (("the cat", first_is_more), ("the dogs", ~first_is_more)):
        schemas.write_text(SCHEMA.replace('"answer": "the cat"', f'"answer": "{answer}"'))
        found = json.loads(run("heads", folder, schemas, "--json").out)
        assert [bool(head["measures"]["candidate"]) for head in found["heads"]] == list(expected)


def test_words_end_where_mentions_end() -> None:
    text = "Don't tell Ann-Marie Low's niece (Sue), she knows."
    places = [(text.index(name), text.index(name) + len(name)) for name in ("she", "Ann-Marie Low", "Sue")]
    example = Example.of_resolved(ResolvedText(text, places[0], (places[1], places[2]), 1))
    words = ["Don't", "tell", "Ann-Marie", "Low", "'s", "niece", "(", "Sue", ")", ",", "she", "knows", "."]
    assert example.source_words == tuple(words)
    assert example.mentions == (Mention(source=10, candidates=((2, 3), (7,)), antecedent=1),)
    assert (example.target, example.target_words, example.links) == (None, (), frozenset())


def test_joined_emoji_are_one_word() -> None:
    text = "She ❤\ufe0f Ann \U0001f44d\U0001f3fd, the \U0001f468\u200d\U0001f469\u200d\U0001f467! रवि 3\ufe0f⃣"
    places = [(text.index(name), text.index(name) + len(name)) for name in ("She", "Ann", "रवि")]
    example = Example.of_resolved(ResolvedText(text, places[0], (places[1], places[2]), 0))
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    words = ["She", "❤\ufe0f", "Ann", "\U0001f44d\U0001f3fd", ",", "the", family, "!", "रवि", "3\ufe0f⃣"]
    assert example.source_words == tuple(words)


def test_mentions_of_the_built_in_corpus_are_its_gold() -> None:
    pairs = [pair for pair in world.generate("test", 60, it_share=1.0) if pair.pronouns]
    assert pairs
    for pair in pairs:
        example, it = Example.of_world(pair), pair.pronouns[0]
        mention = example.mentions[0]
        assert mention.candidates[mention.antecedent] == (it.antecedent_source_index,)
        assert mention.target == (it.target_index, it.antecedent_target_index)
        assert example.source_words[mention.source] == "it"


def test_turned_pairs_of_the_built_in_corpus_are_their_gold_from_the_other_side() -> None:
    pairs = [pair for pair in world.generate("test", 200, it_share=1.0) if pair.pronouns]
    for pair in pairs:
        turned, it = pair.turned(), pair.pronouns[0]
        assert turned.turned() == pair
        example = Example.of_world(turned)
        (mention,) = example.mentions
        assert (example.source, example.target) == (pair.target, pair.source)
        assert mention.source == it.target_index
        assert mention.candidates[mention.antecedent] == (it.antecedent_target_index,)
        assert mention.target == (it.source_index, it.antecedent_source_index)
        assert len(mention.candidates) == len(it.candidates)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    from tiny_model import make_folder

    made: dict[str, Path] = {}

    def folder(arch: str) -> Path:
        if arch not in made:
            made[arch] = make_folder(tmp_path_factory.mktemp("examples") / arch, arch, max_length=400)
        return made[arch]

    return folder


def test_heads_on_gap_from_a_shell(run: Command, folders: Callable[[str], Path], tmp_path: Path) -> None:
    test, dev = tmp_path / "test.tsv", tmp_path / "dev.tsv"
    too_long = gap(("TRUE", "FALSE"), text="Ann Low saw Sue's cat and she sang." + " la" * 400).removeprefix(HEADER)
    test.write_text(gap(("TRUE", "FALSE"), ("TRUE", "FALSE"), ("FALSE", "TRUE"), ("FALSE", "FALSE")) + too_long)
    dev.write_text(gap(("TRUE", "FALSE")))
    arguments = ("heads", folders("transformer"), test, "--find", "coreference", "--dev", dev, "--untrained", 1)
    found = run(*arguments)
    assert found.status == 0
    assert found.err.splitlines() == [
        f"{dev}, GAP: 1 of 1 rows used",
        f"{test}, GAP: 3 of 5 rows used; left out: 1 (the pronoun stands for neither name), 1 (longer than the model "
        "takes, 400 tokens)",
    ]
    assert {line.split()[0] for line in found.lines if " 1." in line[:14]} == {"encoder"}
    plain = json.loads(run(*arguments, "--json").out)
    assert [(each["rows"], each["used"]) for each in plain["files"]] == [(1, 1), (5, 3)]
    alone = f"this head {plain['found']['candidate']:.3f}   rules: nearest 0.333   first 0.667"
    assert f"among the candidates alone (as --find candidate chooses): {alone}" in found.lines
    ranking = plain["found"]["ranking"]
    assert [each["dev"] for each in ranking] == sorted((each["dev"] for each in ranking), reverse=True)
    shown = [
        f"{each['kind']} {each['layer']}.{each['head']}".ljust(14) + f"{each['dev']:>12.3f}{each['test']:>12.3f}"
        for each in ranking
    ]
    first = found.lines.index(f"{'best on dev':<14}{'dev':>12}{'test':>12}") + 1
    assert found.lines[first : first + len(shown)] == shown, "counted from 1 in both"
    assert plain["found"]["test"] == ranking[0]["test"]
    assert plain["found"]["rules"] == pytest.approx({"nearest": 1 / 3, "first": 2 / 3})
    candidate = run("heads", folders("transformer"), test, "--find", "candidate", "--dev", "world:8")
    assert "rules: nearest 0.333   first 0.667" in candidate.lines


def test_heads_on_winomt_and_several_files(run: Command, folders: Callable[[str], Path], tmp_path: Path) -> None:
    first, second = tmp_path / "winomt.tsv", tmp_path / "winogender.txt"
    first.write_text(
        "male\t1\tThe pilot saw the guest and he sang.\tpilot\tpro\nmale\t4\tThe pilot saw the guest; he sang.\tguest\n"
    )
    second.write_text("sentid\tsentence\npilot.guest.1.female.txt\tThe pilot saw the guest: she sang.\n")
    found = run("heads", folders("transformer"), first, second)
    assert found.status == 0
    assert found.err.splitlines() == [f"{first}, WinoMT: 2 of 2 rows used", f"{second}, Winogender: 1 of 1 rows used"]
    assert run("heads", folders("transformer"), f"{first}:2", second).out == found.out, "a weight makes them no pairs"


def test_a_model_of_the_other_direction_reads_pairs_turned(
    run: Command, folders: Callable[[str], Path], tmp_path: Path
) -> None:
    for name, pair in (("pairs", "the cat sees\to gato\n"), ("turned", "o gato\tthe cat sees\n")):
        (tmp_path / f"{name}.tsv").write_text(pair)
    plain, turned = tmp_path / "pairs.tsv", tmp_path / "turned.tsv"
    model = folders("transformer")
    assert run("heads", model, turned, "--reverse").out == run("heads", model, plain).out
    assert run("heads", model, plain, "--reverse").out != run("heads", model, plain).out
    found = run("heads", model, "world:20", "--reverse", "--find", "candidate", "--dev", "world:20", "--untrained", 0)
    assert found.status == 0
    assert "rules: nearest" in found.out
    (tmp_path / "gap.tsv").write_text(gap(("TRUE", "FALSE")))
    found = run("heads", model, tmp_path / "gap.tsv", "--reverse")
    assert found.status == 2
    assert "whose texts have no translation. Leave it out." in found.err


@pytest.mark.parametrize("arch", ["rnn", "rnnsearch", "gnmt"])
def test_a_model_without_such_attention(
    run: Command, folders: Callable[[str], Path], tmp_path: Path, arch: str
) -> None:
    (tmp_path / "gap.tsv").write_text(gap(("TRUE", "FALSE")))
    found = run("heads", folders(arch), tmp_path / "gap.tsv")
    assert found.status == 2
    assert "has no attention within its source, and these texts have no translation to attend from" in found.err


def test_mistakes(run: Command, folders: Callable[[str], Path], tmp_path: Path) -> None:
    good, pairs = tmp_path / "gap.tsv", tmp_path / "pairs.tsv"
    good.write_text(gap(("TRUE", "FALSE")))
    pairs.write_text("the cat\to gato\n")
    neither, wrong = tmp_path / "neither.tsv", tmp_path / "wrong.tsv"
    neither.write_text(gap(("FALSE", "FALSE")))
    wrong.write_text(gap(("TRUE", "FALSE")).replace("she\t26", "she\t25"))
    winograd, discourse = tmp_path / "wsc273.jsonl", tmp_path / "discourse.json"
    bare = tmp_path / "bare.jsonl"
    bare.write_text('{"text": "Ann thanked Sue for what [MASK] had done.", "candidates": ["Ann", "Sue"]}\n')
    winograd.write_text(SCHEMA)
    discourse.write_text('{"2": {"src": ["Don\'t you think so?", "Who knows?"]}}\n')
    for data, message in (
        (
            [good, pairs],
            f"{pairs}: {good} is a file of GAP, and this is no file of GAP, WinoMT, Winogender or Winograd",
        ),
        ([good, "world:9"], f"world:9: {good} is a file of GAP, and this is no file of"),
        ([tmp_path / "none"], f"{tmp_path / 'none'}: there is no such file. Check the name"),
        ([winograd], "it has no token for a word that is not told, and these texts have [MASK] for their pronoun"),
        ([bare], "Each line must be "),
        ([bare], "Of texts with antecedents, files of GAP, WinoMT, Winogender or Winograd are read, known by their"),
        (
            [discourse],
            "Of texts with antecedents, files of GAP, WinoMT, Winogender or Winograd are read, known by their",
        ),
        (
            [neither],
            f"{neither}, GAP: 0 of 1 rows used; left out: 1 (the pronoun stands for neither name). At least one",
        ),
        ([wrong], f"{wrong}, line 2: at Pronoun-offset 25 the text has ' sh'; Pronoun is 'she'"),
        (
            [pairs, "--find", "coreference"],
            "the test data says nothing of coreference: that needs antecedents: world:1000",
        ),
    ):
        found = run("heads", folders("transformer"), *data)
        assert found.status == 2
        assert message in found.err
        assert found.err.count("\n") == 1
