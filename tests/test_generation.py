"""Going on with prompts: what is written, where it stops, and that nothing is lost between bytes and characters."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from command_line import Command
from tiny_model import SOURCES, make_byte_tokens, make_decoder, make_decoder_folder, make_encoder_folder, make_folder

import regard
from regard import SearchOptions, generation
from regard.data.byte_tokens import ByteTokens
from regard.decoding.options import LEAST_TEMPERATURE, Hypothesis, Written
from regard.errors import ConfigError, InputError, ModelError
from regard.generation import DEFAULT_GENERATION, few_shot

GREEDY = SearchOptions(beam_size=1, max_length=25)
SAMPLED = SearchOptions(sample=True, max_length=25)
Ends = Callable[[Sequence[int]], bool]


class Planted:
    """An engine that writes what it is told to, a token at a time, and stops where it should."""

    max_length = 60

    def __init__(self, tokens: ByteTokens, ids: Sequence[int], finished: bool = True):
        self.tokens, self._ids, self._finished = tokens, list(ids), finished
        self.prompts: list[list[int]] = []

    def stream(self, prompt: Sequence[int], options: SearchOptions, ends: Ends | None = None) -> Iterator[Written]:
        self.prompts.append(list(prompt))
        written: list[int] = []
        for number in self._ids:
            written.append(number)
            if ends is not None and ends(written):
                break
            yield Written(0, 0, tuple(written), None)
        finished = self._finished and len(written) == len(self._ids)
        yield Written(0, 0, tuple(written), Hypothesis(tuple(written), (-1.0,) * len(written), -1.0, finished))

    def search(
        self, prompts: Sequence[Sequence[int]], options: SearchOptions, ends: Ends | None = None
    ) -> list[list[Hypothesis]]:
        found = [list(self.stream(prompt, options, ends))[-1].hypothesis for prompt in prompts]
        return [[each] for each in found if each is not None]


def drain(
    pieces: generation.Generator[str, None, generation.Continuation],
) -> tuple[list[str], generation.Continuation]:
    found = []
    while True:
        try:
            found.append(next(pieces))
        except StopIteration as ended:
            return found, ended.value


@pytest.fixture(scope="module")
def tokens() -> ByteTokens:
    return make_byte_tokens()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_decoder_folder(tmp_path_factory.mktemp("generation") / "gpt")


@pytest.fixture(scope="module")
def model(folder: Path) -> regard.Model:
    return regard.load(folder)


# Stop strings and characters


@pytest.mark.parametrize(
    ("written", "stop", "text", "ended"),
    [
        ("the cat sees", [], "the cat sees", "end"),
        ("the cat sees the dog", ["cat"], "the ", "stop"),
        ("the cat sees the dog", [" sees the"], "the cat", "stop"),  # over several tokens
        ("the cat sees the dog", ["dog", "see"], "the cat ", "stop"),  # the first that comes, not the first named
        ("the cat\n\nthe dog", ["\n\n"], "the cat", "stop"),
        ("the cat\nthe dog", ["\n\n"], "the cat\nthe dog", "end"),  # begun and not completed
        ("ca ca cat", ["cat"], "ca ca ", "stop"),
        ("the cat", ["the cat"], "", "stop"),
        ("the cat", ["t"], "", "stop"),
        ("a 😀😀 b", ["😀 b"], "a 😀", "stop"),
        ("é\u0301ё", ["\u0301"], "é", "stop"),
        ("the cat", ["cats", "x"], "the cat", "end"),
    ],
)
def test_a_text_ends_before_the_first_stop_string(
    tokens: ByteTokens, written: str, stop: list[str], text: str, ended: str
) -> None:
    engine = Planted(tokens, tokens.encode(written).ids)
    (found,) = generation.generate(engine, ["a "], GREEDY, stop)
    assert (found.text, found.ended, found.flags) == (text, ended, ())
    pieces, told = drain(generation.stream(engine, "a ", GREEDY, stop))
    assert "".join(pieces) == text
    assert all(pieces)
    assert (told.text, told.ended, told.ids) == (found.text, found.ended, found.ids)


def test_a_stream_gives_whole_characters_as_soon_as_they_are(tokens: ByteTokens) -> None:
    text = "ё 漢 😀"
    ids = tokens.encode(text).ids
    assert len(ids) > len(text), "characters are in several tokens"
    pieces, _ = drain(generation.stream(Planted(tokens, ids), "a", GREEDY))
    assert "".join(pieces) == text
    assert len(pieces) == len(text)
    assert "�" not in "".join(pieces)


def test_bytes_that_are_no_character_are_the_same_in_a_stream(tokens: ByteTokens) -> None:
    broken = [*tokens.encode("ё").ids[:1], *tokens.encode("a😀").ids[:-1]]
    engine = Planted(tokens, broken)
    (found,) = generation.generate(engine, ["a"], GREEDY)
    pieces, _ = drain(generation.stream(engine, "a", GREEDY))
    assert found.text == "".join(pieces)
    assert found.text.startswith("�a�")


def test_why_a_text_ended(tokens: ByteTokens) -> None:
    ids = tokens.encode("the cat sees").ids
    unfinished = Planted(tokens, ids, finished=False)
    (asked,) = generation.generate(unfinished, ["a"], SearchOptions(beam_size=1, max_length=len(ids)))
    (full,) = generation.generate(unfinished, ["a"], SearchOptions(beam_size=1, max_length=len(ids) + 1))
    (endless,) = generation.generate(unfinished, ["a"], SearchOptions(beam_size=1))
    assert [(each.ended, each.flags) for each in (asked, full, endless)] == [
        ("length", ()),
        ("context", ("truncated",)),
        ("context", ("truncated",)),
    ]


@pytest.mark.parametrize(
    ("prompt", "written", "expected"),
    [
        ("the cat", "\n" * 49, ()),
        ("the cat", "\n" * 50, ("repetition",)),
        ("the cat", "a\n" + " \n" * 50 + "b", ("repetition",)),
        ("a" + "\n" * 50, "\n" * 50, ()),  # as the prompt does
        ("the cat", "sees the cat sees the cat sees the cat sees the cat", ("repetition",)),
        ("the cat", "sees the cat, and sees the dog", ()),
    ],
)
def test_circles_are_flagged(tokens: ByteTokens, prompt: str, written: str, expected: tuple[str, ...]) -> None:
    (found,) = generation.generate(Planted(tokens, tokens.encode(written).ids), [prompt], GREEDY)
    assert found.flags == expected


def test_a_prompt_is_taken_as_it_is(tokens: ByteTokens) -> None:
    engine = Planted(tokens, [5])
    for prompt in (" the cat ", "\n", "<|endoftext|>"):
        generation.generate(engine, [prompt], GREEDY)
        assert tokens.decode(engine.prompts[-1]) == prompt
    generation.generate(engine, [""], GREEDY)
    assert engine.prompts[-1] == [tokens.id_of("end")], "a text begins where another ended"
    bare = ByteTokens(tokens._tokenizer, {})
    with pytest.raises(ModelError, match="no token that a text begins with, so it needs a prompt"):
        generation.generate(Planted(bare, [5]), [""], GREEDY)


@pytest.mark.parametrize(
    ("prompt", "stop", "kind", "message"),
    [
        (
            "x" * 60,
            [],
            ModelError,
            r"'x+'... has 61 tokens with at least one that it writes, the model's context has 60",
        ),
        ("a", ["b", ""], InputError, "a stop string is empty"),
    ],
)
def test_what_cannot_be_is_refused(
    tokens: ByteTokens, prompt: str, stop: list[str], kind: type[Exception], message: str
) -> None:
    engine = Planted(tokens, [5])
    with pytest.raises(kind, match=message):
        generation.generate(engine, [prompt], GREEDY, stop)
    with pytest.raises(kind, match=message):
        drain(generation.stream(engine, prompt, GREEDY, stop))
    assert engine.prompts == []
    assert generation.generate(engine, ["x" * 59], GREEDY)


# Through a model


@pytest.mark.parametrize("options", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("stop", [(), ("e", "th")], ids=["no stop", "stop"])
def test_a_stream_is_the_text_and_company_changes_nothing(
    model: regard.Model, options: SearchOptions, stop: tuple[str, ...]
) -> None:
    together = model.generate(SOURCES, options, stop=stop)
    for prompt, found in zip(SOURCES, together, strict=True):
        alone = model.generate(prompt, options, stop=stop)
        pieces, told = drain(model.stream(prompt, options, stop=stop))
        assert alone.text == found.text == "".join(pieces) == told.text
        assert alone.ids == found.ids == told.ids
        assert found.ended in ("length", "end", "stop")
        assert not any(each in found.text for each in stop)
    assert len({found.text for found in together}) > 1


def test_seeds_and_alternatives(model: regard.Model) -> None:
    texts = [
        model.generate(SOURCES[0], SearchOptions(sample=True, max_length=20, seed=seed)).text for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]
    found = model.generate(SOURCES[0], SearchOptions(sample=True, max_length=9, n_best=3))
    assert len(found.alternatives) == 3
    assert found.alternatives[0].text == found.text
    assert [each.score for each in found.alternatives] == sorted((a.score for a in found.alternatives), reverse=True)
    assert DEFAULT_GENERATION.sample
    with pytest.raises(InputError, match="n_best is 3: only one text"):
        drain(model.stream(SOURCES[0], SearchOptions(sample=True, n_best=3)))
    with pytest.raises(ConfigError, match="to stop at a text, sample or take a beam_size of 1"):
        model.generate(SOURCES[0], SearchOptions(beam_size=2), stop=["a"])


def test_a_penalty_says_fewer_things_twice(model: regard.Model) -> None:
    plain = model.generate(SOURCES, GREEDY)
    penalized = model.generate(SOURCES, SearchOptions(beam_size=1, max_length=25, repetition_penalty=5.0))
    assert sum(len(set(each.ids)) for each in penalized) > sum(len(set(each.ids)) for each in plain)
    with pytest.raises(ConfigError, match="repetition_penalty needs sample, or a beam_size of 1"):
        SearchOptions(repetition_penalty=1.2)
    for wrong in (0.0, -1.0, 1e-30, 1e30, math.inf, math.nan):
        with pytest.raises(ConfigError, match=r"repetition_penalty must be from 0\.001 to 1000, got"):
            SearchOptions(beam_size=1, repetition_penalty=wrong)


def test_the_least_temperature_draws_what_greedy_takes(model: regard.Model) -> None:
    coldest = SearchOptions(sample=True, max_length=25, temperature=LEAST_TEMPERATURE)
    assert [each.text for each in model.generate(SOURCES, coldest)] == [
        each.text for each in model.generate(SOURCES, GREEDY)
    ]


def test_a_text_that_fills_the_context_says_so(model: regard.Model) -> None:
    found = model.generate(SOURCES[3], SearchOptions(sample=True, seed=5))
    assert (found.ended, found.flags) in {("end", ()), ("context", ("truncated",))}
    penalized = SearchOptions(beam_size=1, min_length=60)
    full = model.generate(SOURCES[0], penalized)
    prompt_length = len(model.engine.tokens.encode(SOURCES[0]).ids)
    assert (full.ended, full.flags, len(full.ids) + prompt_length) == ("context", ("truncated",), 64)
    with pytest.raises(ModelError, match=r"the model's context has 64\. Shorten the text"):
        model.generate(["a", "x" * 70])


def test_a_score_is_what_the_model_says_of_each_token(model: regard.Model) -> None:
    text = SOURCES[3]
    found = model.score(text)
    ids = model.engine.tokens.encode(text).ids
    with torch.no_grad():
        logits = model.engine.model.forced(model.engine._pad([[0, *ids]])).logits[0].log_softmax(-1)
    expected = [logits[place, number].item() for place, number in enumerate(ids)]
    assert found.log_probs == pytest.approx(expected, abs=1e-5)
    assert "".join(found.tokens).replace("▁", " ") == text
    assert found.log_prob == pytest.approx(sum(expected), abs=1e-4)
    assert found.perplexity == pytest.approx(math.exp(-sum(expected) / len(ids)), rel=1e-4)
    several = model.score([text, "a"])
    assert several[0].log_probs == pytest.approx(found.log_probs, abs=1e-5)
    assert len(several[1].log_probs) == 1
    with pytest.raises(InputError, match="'' has too few tokens: there is nothing to score"):
        model.score(["a", ""])
    with pytest.raises(ModelError, match="has 70 tokens, the model's context has 64"):
        model.score("x" * 70)


def test_looking_at_a_text(model: regard.Model) -> None:
    text = "the cat sings\nto 😀 birds"
    found = model.look(text)
    assert set(found.weights) == {"decoder"}
    assert found.text == text
    assert found.read.words[0] == found.target.words[-1] == "<|endoftext|>"
    assert found.read.words[1:] == found.target.words[:-1] == ("the", "cat", "sings", "to", "😀", "birds")
    assert found.weights["decoder"].shape == (2, 2, len(found.target.pieces), len(found.read.pieces))
    assert len(found.log_probs) == len(found.target.pieces)
    assert found.log_probs[:-1] == pytest.approx(model.score(text).log_probs, abs=1e-5)
    rows = found.attention(layer=1, head=0)
    np.testing.assert_allclose(rows.sum(axis=-1), 1, atol=1e-5)
    assert rows[0, 0] == pytest.approx(1), "the first word was predicted from nothing but the mark before it"
    matrix = found.matrix()
    assert matrix.title.startswith("decoder self-attention")
    assert matrix.note.startswith("A row is the distribution over the words before it used to predict its word.")
    assert matrix.special_columns == (True, *[False] * 6)


def test_looking_without_a_mark_before_or_after_the_text(tokens: ByteTokens) -> None:
    """Nothing says how the first token came, so the rows begin with the second."""
    bare = ByteTokens(tokens._tokenizer, {})
    model = regard.api.LanguageModel(regard.engines.decoder.DecoderEngine(make_decoder(bare), bare), "bare")
    found = model.look("x cats sing")
    assert found.read.pieces[0] == "x"
    assert not any(found.read.special + found.target.special)
    assert len(found.target.pieces) == len(found.read.pieces) - 1 == len(found.log_probs)
    assert found.weights["decoder"].shape[2:] == (len(found.target.pieces), len(found.read.pieces))
    assert found.log_probs == pytest.approx(model.score("x cats sing").log_probs, abs=1e-5)
    with pytest.raises(InputError, match="'a' has too few tokens"):
        model.score("a")
    with pytest.raises(ModelError, match="this text has 1 token, from 2 to 64 were expected"):
        model.look("a")


def test_a_language_model_refuses_what_it_cannot_do(model: regard.Model) -> None:
    for message, call in (
        ("gpt: is a language model; it cannot translate", lambda: model.translate("the cat")),
        ("it cannot fill masks", lambda: model.fill(["the [MASK]"])),
        ("it cannot predict labels", lambda: model.predict(["the cat"])),
        ("it cannot attend to a translation", lambda: model.look("the cat", "o gato")),
        ("it cannot say what a word's absence changes", lambda: model.effects(model.look("the cat"))),
        ("this text has 70 tokens, from 1 to 63 were", lambda: model.look("x" * 70)),
        ("this text has 0 tokens, from 1 to 63 were", lambda: model.look("")),
    ):
        with pytest.raises(ModelError, match=message):
            call()
    positions = model.positions()["text"]
    assert positions.kind == "trainable"
    assert positions.vectors.shape == (64, 16)


def test_other_models_cannot_go_on(tmp_path: Path) -> None:
    for other in (
        regard.load(make_folder(tmp_path / "translator")),
        regard.load(make_encoder_folder(tmp_path / "encoder")),
    ):
        for call in (lambda m: m.generate("a"), lambda m: m.stream("a"), lambda m: m.score("a")):
            with pytest.raises(ModelError, match=r"cannot (go on with a text|say how probable a text is)"):
                call(other)


def test_examples_are_a_prompt() -> None:
    """Brown et al. 2020, figure 2.1."""
    pairs = [("sea otter", "loutre de mer"), (" peppermint ", "menthe poivrée\t")]
    assert few_shot(pairs, "cheese ") == "sea otter => loutre de mer\npeppermint => menthe poivrée\ncheese =>"
    with pytest.raises(InputError, match="there is no example"):
        few_shot([], "cheese")
    with pytest.raises(InputError, match="'a\\\\nb' has more than one line"):
        few_shot(pairs, "a\nb")


# From the shell


def test_one_prompt_or_many(run: Command, folder: Path, model: regard.Model, tmp_path: Path) -> None:
    ways = ["--greedy", "--max-length", 12]
    expected = model.generate(SOURCES, SearchOptions(beam_size=1, max_length=12))
    assert run("generate", folder, SOURCES[0], *ways).out == expected[0].text + "\n"
    found = run("generate", folder, *ways, "--json", stdin="\n".join(SOURCES))
    rows = [json.loads(line) for line in found.lines]
    assert [(row["prompt"], row["text"], row["ended"], row["tokens"]) for row in rows] == [
        (each.prompt, each.text, each.ended, len(each.ids)) for each in expected
    ]
    (tmp_path / "prompt.txt").write_bytes(b"\xef\xbb\xbfthe cat\r\nsees\n")
    whole = run("generate", folder, "--file", tmp_path / "prompt.txt", *ways)
    assert whole.out == model.generate("the cat\r\nsees\n", SearchOptions(beam_size=1, max_length=12)).text + "\n"
    assert run("generate", folder, SOURCES[0], *ways, "--out", tmp_path / "out.txt").out == ""
    assert (tmp_path / "out.txt").read_bytes() == f"{expected[0].text}\n".encode()


def test_options_reach_the_search(run: Command, folder: Path, model: regard.Model) -> None:
    drawn = run("generate", folder, SOURCES[1], "--max-length", 15, "--seed", 3, "--top-k", 9, "--temperature", 1.3)
    options = SearchOptions(sample=True, max_length=15, seed=3, top_k=9, temperature=1.3, top_p=0.95)
    assert drawn.out == model.generate(SOURCES[1], options).text + "\n"
    stopped = run("generate", folder, SOURCES[1], "--greedy", "--stop", "e", "--stop", "\\n", "--json")
    row = json.loads(stopped.out)
    assert "e" not in row["text"]
    assert "\n" not in row["text"]
    beam = run("generate", folder, SOURCES[1], "--beam", 3, "--max-length", 6)
    assert beam.out == model.generate(SOURCES[1], SearchOptions(beam_size=3, max_length=6)).text + "\n"
    several = json.loads(run("generate", folder, "a", "--n-best", 3, "--json", "--max-length", 5).out)
    assert len(several["alternatives"]) == 3


def test_a_full_context_is_told(run: Command, folder: Path) -> None:
    found = run("generate", folder, SOURCES[0], "--greedy", "--min-length", 60, "--max-length", 0)
    assert found.status == 0
    assert "1 text · flagged: truncated 1 (the context was full)" in found.err


def test_circles_are_told(run: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = regard.engines.decoder.DecoderEngine
    blank = Hypothesis((regard.load(folder).engine.tokens.encode("\n").ids[-1],) * 60, (-1.0,) * 60, -1.0, True)
    monkeypatch.setattr(engine, "search", lambda self, prompts, options, ends=None: [[blank] for _ in prompts])
    found = run("generate", folder, "--json", stdin="the cat\na dog\n")
    assert [json.loads(line)["flags"] for line in found.lines] == [["repetition"]] * 2
    assert "2 texts · flagged: repetition 2 (it goes round in circles)" in found.err


def test_examples_at_the_shell(run: Command, folder: Path, model: regard.Model, tmp_path: Path) -> None:
    (tmp_path / "few.tsv").write_text("a\tb\nc\td\n", encoding="utf-8")
    found = run("generate", folder, "e", "--examples", tmp_path / "few.tsv", "--greedy")
    expected = model.generate("a => b\nc => d\ne =>", SearchOptions(beam_size=1, max_length=200), stop=["\n"])
    assert found.out == expected.text.strip() + "\n"
    assert (
        run("generate", folder, "--examples", tmp_path / "few.tsv", "--greedy", stdin="e\nf\n").lines[0]
        == found.out[:-1]
    )


def test_a_terminal_sees_it_written(run: Command, folder: Path, model: regard.Model, monkeypatch) -> None:
    from regard.cli import generating

    shown: list[str] = []
    monkeypatch.setattr(generating, "print", lambda text="", **_: shown.append(text), raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    expected = model.generate(SOURCES[0], SearchOptions(beam_size=1, max_length=12)).text
    assert run("generate", folder, SOURCES[0], "--greedy", "--max-length", 12).status == 0
    assert len(shown) > 3
    assert "".join(shown) == expected


def test_mistakes_at_the_shell(run: Command, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.tsv").write_text("a\tb\nc\n", encoding="utf-8")
    (tmp_path / "empty.tsv").write_text("")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    translator = make_folder(tmp_path / "translator")
    for arguments, message in (
        (["a", "--file", "x"], "a prompt is given and --file too"),
        (["--file", tmp_path / "none"], "none: cannot be read (No such file"),
        (["--file", tmp_path / "latin.txt"], "byte 4 is not UTF-8"),
        (["a", "--n-best", 2], "--n-best 2 needs --json"),
        (["a", "--greedy", "--top-k", 3], "are of draws; leave them out with --greedy and --beam"),
        (["a", "--beam", 3, "--stop", "x"], "to stop at a text, sample or take a beam_size of 1"),
        (["a", "--beam", 3, "--repetition-penalty", 1.2], "repetition_penalty needs sample"),
        (["a", "--beam", 0], "beam_size must be at least 1"),
        (["a", "--top-p", 0], "top_p must be above 0 and at most 1, got 0"),
        (
            ["a", "--temperature", 0],
            "--temperature 0: expected 1e-06 or more. To take always the likeliest token, give --greedy",
        ),
        (["a", "--examples", tmp_path / "bad.tsv"], "bad.tsv, line 2: found 0 tabs, expected input, one tab, answer"),
        (["a", "--examples", tmp_path / "empty.tsv"], "empty.tsv: is empty"),
        (["a", "--examples", tmp_path / "none"], "there is no such file"),
        (["x" * 70], "Shorten the text"),
        (["a", "--stop", ""], "a stop string is empty"),
        (["a", "--stop", "b\udcff"], r"'b\udcff': is not UTF-8"),
        (["a\udcff"], r"'a\udcff': is not UTF-8"),
    ):
        found = run("generate", folder, *arguments)
        assert (found.status, found.out) == (2, ""), arguments
        assert message in found.err
    assert "is a translator; it cannot go on with a text" in run("generate", translator, "a").err
    for command, message in (
        (["translate", folder], "is a language model; it cannot translate"),
        (["predict", folder], "is a language model; it cannot predict labels"),
        (["align", folder, "world:5"], "is a language model; it cannot align words"),
        (["heads", folder, "world:5", "--find", "next", "--dev", "world:5"], "takes 64. Measure it on shorter texts"),
    ):
        found = run(*command, stdin="a\n")
        assert (found.status, found.out) == (2, ""), command
        assert message in found.err


def test_looking_from_the_shell(run: Command, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    found = run("look", folder, "the cat sees")
    assert found.lines[0] == "the cat sees"
    assert found.lines[2].startswith("decoder self-attention, mean of layers")
    assert [line.split()[0] for line in found.lines[-7:-3]] == ["the", "cat", "sees", "‹|endoftext|›"]
    page = run("look", folder, "the cat sees", "a dog sings", "--out", tmp_path / "look.html")
    assert page.status == 0
    assert "gpt: the cat sees</title>" in (tmp_path / "look.html").read_text(encoding="utf-8")
    assert run("look", folder, "the cat", "--layer", 2, "--head", 1, "--out", tmp_path / "x.png").status == 0
    assert run("look", folder, "--positions", "--out", tmp_path / "p.png").status == 0
