"""Split, translate, join: nothing is lost, one line in is one line out."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regard.data.tokens import Tokens
from regard.decoding.options import Hypothesis, SearchOptions
from regard.translation import split, translate

LINES = ["the cat sees the dog. a dog!", "a gata vê, o cão: sim; não? 12 345 67 890", "WORD words wörd 日本語。です！"]
TOKENS = Tokens.train(LINES * 4, LINES, 400)
texts = st.text(
    st.one_of(
        st.sampled_from("  \t.,;!?。、…\"')abcAB12\r\x0b\u2028"),
        st.characters(exclude_characters="\u2581\n", exclude_categories=["Cs"]),
    ),
    max_size=200,
)


class Identity:
    """An engine that gives the source back, or whatever it is told to."""

    tokens = TOKENS

    def __init__(self, max_length: int = 20, says: str | None = None, finished: bool = True, n_best: int = 1):
        self.max_length = max_length
        self.says, self.finished, self.n_best = says, finished, n_best
        self.seen: list[list[int]] = []

    def search(self, sources: Sequence[Sequence[int]], options: SearchOptions) -> list[list[Hypothesis]]:
        self.seen += [list(ids) for ids in sources]
        found = []
        for ids in sources:
            said = list(ids[:-1]) if self.says is None else TOKENS.encode_target(self.says)
            one = Hypothesis(tuple(said), (-0.1,) * len(said), -1.0, self.finished)
            found.append([one] * self.n_best)
        return found


@given(line=texts, max_length=st.sampled_from([8, 11, 20, 64]))
@example(line=" \t a b\u3000", max_length=8)
@example(line="\r0\r0", max_length=8)
@example(line="x" * 500, max_length=8)
@example(line="👩‍👩‍👧" * 40, max_length=11)
@example(line='Dr. A... b?! "c." d。e！f', max_length=8)
@settings(max_examples=200, deadline=None)
def test_the_identity_gives_the_line_back(line: str, max_length: int) -> None:
    engine = Identity(max_length)
    (result,) = translate(engine, [line], SearchOptions())
    # Around what is translated at once a carriage return is white space and stays; one that a model writes is a space.
    assert result.text.replace("\r", " ") == line.replace("\r", " ")
    assert result.source == line
    assert all(len(ids) <= max_length for ids in engine.seen)
    assert [tuple(ids) for ids in engine.seen] == list(result.source_pieces)


@given(text=texts, limit=st.integers(8, 40))
@settings(max_examples=150, deadline=None)
def test_pieces_are_stripped_in_order_and_leave_out_only_white_space(text: str, limit: int) -> None:
    pieces = split(text, lambda piece: len(TOKENS.encode_source(piece)), limit)
    position = 0
    for piece in pieces:
        assert piece == piece.strip() != ""
        start = text.index(piece, position)
        assert text[position:start].strip() == ""
        position = start + len(piece)
    assert text[position:].strip() == ""


def test_long_text_keeps_every_marker() -> None:
    """10,000 characters with a marker every 50: all of them come out, in order."""
    line = " ".join(f"M{number:04d} some words, and more. {'and so on ' * 2}end!" for number in range(210))
    assert len(line) > 10_000
    (result,) = translate(Identity(64), [line], SearchOptions())
    assert result.text == line
    assert len(result.pieces) > 50


def test_breaks_are_taken_best_first() -> None:
    def words(text: str) -> int:
        return len(text.split())

    assert split("One two. Three four. Five six.", words, 4) == ["One two. Three four.", "Five six."]
    assert split("One two three, four five six, seven.", words, 4) == ["One two three,", "four five six, seven."]
    assert split("One two three four five", words, 2) == ["One two", "three four", "five"]
    assert split("日本語。です。はい", lambda text: len(text), 4) == ["日本語。", "です。", "はい"]
    assert split("short", words, 4) == ["short"]
    letters = split("um 12:30 Uhr, 1,000,000 Euro: http://a.org/b,c; oder", len, 20)
    assert letters == ["um 12:30 Uhr,", "1,000,000 Euro:", "http://a.org/b,c;", "oder"], "not within a number"
    assert split("  ", words, 4) == []


@pytest.mark.parametrize("line", ["", " ", "\t", "\u3000 ", "\u2028"])
def test_an_empty_line_stays_as_it_is(line: str) -> None:
    engine = Identity()
    (result,) = translate(engine, [line], SearchOptions())
    assert (result.text, result.flags, result.pieces, engine.seen) == (line, (), (), [])


def test_white_space_around_a_line_stays() -> None:
    (result,) = translate(Identity(says="x"), ["\t  the cat \u3000"], SearchOptions())
    assert result.text == "\t  x \u3000"


@pytest.mark.parametrize("said", ["a\nb", "a\r\nb", "\na", "a\n", "\n", "\r"])
def test_one_line_out_whatever_the_model_writes(said: str) -> None:
    results = translate(Identity(says=said), ["one", "", "three"], SearchOptions())
    assert len(results) == 3
    for result in results:
        assert "\n" not in result.text
        assert "\r" not in result.text
    assert results[0].text == " ".join(said.replace("\r", " ").replace("\n", " ").strip().split(" "))


def test_lines_stay_in_their_order() -> None:
    lines = ["a dog", "", "a cat " * 30, " ", "a bird"]
    assert [result.text for result in translate(Identity(), lines, SearchOptions())] == lines
    assert translate(Identity(), [], SearchOptions()) == []


def test_doubts_of_every_piece_are_told_once() -> None:
    (result,) = translate(Identity(says="9", finished=False), ["a dog. " * 20], SearchOptions())
    assert len(result.pieces) > 2
    assert result.flags == ("truncated", "number_mismatch")
    assert result.score == -len(result.pieces)
    assert result.alternatives == ()


def test_the_n_best_come_with_a_line_that_was_not_split() -> None:
    (result,) = translate(Identity(n_best=3), [" the cat"], SearchOptions(n_best=3))
    assert [(alternative.text, alternative.score) for alternative in result.alternatives] == [(" the cat", -1.0)] * 3
