"""Pieces to words: which pieces of a line belong together when a person reads it."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

Span = tuple[int, int]  # characters (first, end)

_ZERO_WIDTH_JOINER = "\u200d"
_JOINERS = f"\u200c{_ZERO_WIDTH_JOINER}"  # of letters and of emoji; the first keeps letters apart within a word
SIGN_GOES_ON = "\ue000"  # of private use: no letter, and hardly in a text
_WORD = re.compile(r"\w+(?:['’‑-]\w+)*")  # don't and mother-in-law are one word
# Scripts written without spaces: there a piece is nearer to a word than what stands between two spaces.
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")


@dataclass(frozen=True)
class Line:
    """One side of a sentence pair, in pieces and in words.

    Special tokens (the end of the sentence, say) are words of their own: nothing is left out.
    """

    pieces: tuple[str, ...]
    words: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]  # the pieces of each word; every piece belongs to exactly one
    special: tuple[bool, ...]  # of each word

    @property
    def special_pieces(self) -> tuple[bool, ...]:
        """Of each piece, whether it is a special token."""
        found = [False] * len(self.pieces)
        for group, special in zip(self.groups, self.special, strict=True):
            for piece in group:
                found[piece] = special
        return tuple(found)


EMPTY = Line((), (), (), ())


def line(text: str, pieces: Sequence[str], spans: Sequence[Span], before: str = "", after: str = "") -> Line:
    """Group the pieces of a text into its words.

    Args:
        pieces: without special tokens.
        spans: where each piece stands in the text.
        before, after: special tokens around it; empty: none.
    """
    groups = word_groups(text, spans)
    words = [
        " ".join(text[spans[group[0]][0] : _after_marks(text, spans[group[-1]][1])].split()) or "␣" for group in groups
    ]
    first, last = ([before] if before else []), ([after] if after else [])
    end = len(first) + len(pieces)
    return Line(
        pieces=(*first, *pieces, *last),
        words=(*first, *words, *last),
        groups=(
            *([(0,)] if before else []),
            *(tuple(piece + len(first) for piece in group) for group in groups),
            *([(end,)] if after else []),
        ),
        special=(*(True for _ in first), *(False for _ in words), *(True for _ in last)),
    )


def word_groups(text: str, spans: Sequence[Span]) -> list[tuple[int, ...]]:
    """For each word the pieces that make it. A piece that reaches over two words joins them; none is left out."""
    inside = {
        place for match in _WORD.finditer(marks_as_letters(text)) for place in range(match.start() + 1, match.end())
    }
    groups: list[tuple[int, ...]] = []
    current: list[int] = []
    for number, (_, end) in enumerate(spans):
        current.append(number)
        following = spans[number + 1][0] if number + 1 < len(spans) else None
        # The bytes of one character have one span: no word ends between them. Marks that a tokenizer leaves out (BERT's
        # of lower case does) stand after the piece they belong to.
        if following is None or (following >= end and _may_end(text, min(following, _after_marks(text, end)), inside)):
            groups.append(tuple(current))
            current = []
    return groups


def _after_marks(text: str, place: int) -> int:
    while _is_mark(text[place : place + 1]):
        place += 1
    return place


def _may_end(text: str, place: int, inside: set[int]) -> bool:
    """Whether a word may end before this character. Spaces belong to the word after them, as in the pieces."""
    before, after = text[max(place - 1, 0) : place], text[place : place + 1]
    if not before or before.isspace() or _is_mark(after) or (before in _JOINERS and not after.isspace()):
        return False
    if _is_second_of_flag(text, place):
        return False
    return place not in inside or _is_unspaced(text[place - 1])


def marks_as_letters(text: str) -> str:
    """The text, as long as it was, with a letter for every mark on a letter, such as an accent or a vowel sign.

    Python's \\w knows only letters: it would end Hindi words, or Hebrew ones with their points, within. What belongs to
    a sign before it, as in joined emoji, becomes `SIGN_GOES_ON`.
    """
    return "".join(
        each[0] + ("x" if each[0].isalnum() or each[0].isspace() else SIGN_GOES_ON) * (len(each) - 1)
        for each in graphemes(text)
    )


def graphemes(text: str) -> list[str]:
    """What a person calls a character: each letter or sign with the marks on it; joined emoji are one, and flags."""
    found: list[str] = []
    for place, character in enumerate(text):
        joined = _is_mark(character) or _is_second_of_flag(text, place) or text[place - 1] == _ZERO_WIDTH_JOINER
        if found and joined:
            found[-1] += character
        else:
            found.append(character)
    return found


def _is_mark(character: str) -> bool:
    """Whether it changes or joins what stands before it: category M, a joiner, an emoji's colour of skin, or a tag, as
    in the flag of Scotland.
    """
    return bool(character) and (
        unicodedata.category(character)[0] == "M"
        or character in _JOINERS
        or "\U0001f3fb" <= character <= "\U0001f3ff"
        or "\U000e0020" <= character <= "\U000e007f"
    )


def _is_second_of_flag(text: str, place: int) -> bool:
    """Whether this character makes a flag of the one before it: a country's two letters, paired from the left."""
    if not _is_flag_letter(text[place : place + 1]):
        return False
    first = place
    while first and _is_flag_letter(text[first - 1]):
        first -= 1
    return (place - first) % 2 == 1


def _is_flag_letter(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _is_unspaced(character: str) -> bool:
    return unicodedata.name(character, "").startswith(_UNSPACED)
