"""Pieces to words: nothing is left out, and words are what a person would call so."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.data.tokens import Tokens
from regard.look.words import graphemes, line, word_groups

TEXT = ["I don't see the blue suitcase, do you?", "Größe: 12 345,5 %", "他在看书 。", "a  b\tc"]
TOKENS = Tokens.train(TEXT * 3, TEXT * 3, 360)
texts = st.text(st.characters(exclude_characters="\u2581\n", exclude_categories=["Cs"]), max_size=40)


def words_of(text: str) -> tuple[str, ...]:
    ids = TOKENS.encode_target(text)
    return line(text, TOKENS.target_pieces(ids), TOKENS.target_spans(text)).words


def test_words_and_marks() -> None:
    assert words_of("I don't see the blue suitcase, do you?") == (
        *("I", "don't", "see", "the", "blue", "suitcase", ","),
        *("do", "you", "?"),
    )
    assert words_of("mother-in-law's 67 89,1 %.") == ("mother-in-law's", "67", "89", ",", "1", "%", ".")
    assert words_of("") == ()


@pytest.mark.parametrize(
    "text",
    [
        "हिन्दी में लिखा",
        "un cafe\u0301 cre\u0300me",
        "שָׁלוֹם עוֹלָם",
        "مَرْحَبًا بِكَ",
        "می\u200cخواهم بروم",
        "a \U0001f469\u200d\U0001f469\u200d\U0001f467 family",
        "a \U0001f44d\U0001f3fd \u2764\ufe0f heart",
        "in \U0001f1e9\U0001f1ea now",
        "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f there",
    ],
)
def test_a_mark_belongs_to_its_letter_and_ends_no_word(text: str) -> None:
    assert words_of(text) == tuple(text.split())
    spans = [(place, place + 1) for place in range(len(text))]
    shown = [text[group[0] : group[-1] + 1].strip() for group in word_groups(text, spans)]
    assert shown == text.split()


def test_marks_that_no_piece_has_end_no_word_and_join_none() -> None:
    text = "un cafe\u0301 cre\u0300me"
    spans = [(0, 2), (3, 7), (9, 12), (13, 15)]  # as a tokenizer gives them that leaves accents out
    assert word_groups(text, spans) == [(0,), (1,), (2, 3)]
    assert line(text, ["un", "cafe", "cre", "##me"], spans).words == ("un", "cafe\u0301", "cre\u0300me")


def test_a_joiner_joins_nothing_over_a_space() -> None:
    assert words_of("خانه\u200c بروم") == ("خانه\u200c", "بروم")


def test_graphemes_keep_marks_with_their_letters() -> None:
    assert graphemes("cafe\u0301") == ["c", "a", "f", "e\u0301"]
    assert graphemes("हिन्दी") == ["हि", "न्", "दी"]
    assert graphemes("a\U0001f469\u200d\U0001f467\U0001f44d\U0001f3fd") == [
        "a",
        "\U0001f469\u200d\U0001f467",
        "\U0001f44d\U0001f3fd",
    ]
    assert graphemes("\u0301a") == ["\u0301", "a"]
    assert graphemes("") == []


def test_two_letters_are_a_flag() -> None:
    german, french = "\U0001f1e9\U0001f1ea", "\U0001f1eb\U0001f1f7"
    assert graphemes(f"{german}{french}a{german}") == [german, french, "a", german]
    assert graphemes(f"{german}{french[0]} {french}") == [german, french[0], " ", french], "one alone stays so"
    spans = [(place, place + 1) for place in range(5)]
    assert word_groups(f"{german}{french}{german[0]}", spans) == [(0, 1), (2, 3), (4,)]


def test_scripts_without_spaces_keep_their_pieces() -> None:
    found = words_of("书看在他。")
    assert len(found) > 2
    assert "".join(found) == "书看在他。"


@pytest.mark.parametrize(
    "text", ["日本語 and English", "שלום, עולם!", "السلام عليكم", "👩\u200d👩\u200d👧 fam", "e\u0301te\u0301"]
)
def test_words_hold_the_whole_text(text: str) -> None:
    assert "".join(words_of(text)).replace(" ", "") == text.replace(" ", "")


@given(text=texts)
@settings(max_examples=200, deadline=None)
def test_every_piece_belongs_to_one_word_in_order(text: str) -> None:
    ids = TOKENS.encode_target(text)
    found = line(text, TOKENS.target_pieces(ids), TOKENS.target_spans(text), before="<s>", after="</s>")
    assert [piece for group in found.groups for piece in group] == list(range(len(ids) + 2))
    assert len(found.words) == len(found.groups) == len(found.special)
    assert (found.words[0], found.words[-1]) == ("<s>", "</s>")
    assert found.special == (True, *[False] * (len(found.words) - 2), True)
    assert found.special_pieces == (True, *[False] * len(ids), True)


def test_a_piece_over_two_words_joins_them() -> None:
    assert word_groups("to do it", [(0, 5), (5, 8)]) == [(0,), (1,)]
    assert word_groups("to do it", [(0, 4), (4, 5), (5, 8)]) == [(0, 1), (2,)]


@given(text=texts)
@settings(max_examples=100, deadline=None)
def test_ids_laid_out_are_the_text_and_stand_where_its_own_pieces_do(text: str) -> None:
    ids = TOKENS.encode_target(text)
    found, spans = TOKENS.lay_out_target(ids)
    assert found == text
    assert spans == TOKENS.target_spans(text)


def test_any_ids_can_be_laid_out() -> None:
    """A model may write half a character, control tokens and pieces cut in ways of its own."""
    byte = TOKENS._target.piece_to_id("<0xE4>")
    letter = TOKENS.encode_target("a")[-1]
    ids = [TOKENS.bos_id, byte, letter, TOKENS.eos_id, 0, 10**6]
    text, spans = TOKENS.lay_out_target(ids)
    assert text == TOKENS.decode(ids) == "\ufffd a"
    assert [text[first:end] for first, end in spans] == ["", "\ufffd", " a", "", "", ""]
    assert len(spans) == 6
    assert spans[0] == spans[0][:1] * 2
    assert all(0 <= first <= end <= len(text) for first, end in spans)
