"""Which pieces of a text make which of its words, where the words are given."""

from bisect import bisect_right
from collections.abc import Sequence

from regard.errors import DataError

Groups = list[list[int]]


def word_spans(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Where each word stands in the text, in order: characters (first, end).

    Raises:
        DataError: a word is not there, or not in this order.
    """
    spans, position = [], 0
    for word in words:
        first = text.find(word, position)
        if first < 0:
            raise DataError(f"word {word!r} does not stand in {text!r} after character {position}.")
        position = first + len(word)
        spans.append((first, position))
    return spans


def piece_groups(spans: Sequence[tuple[int, int]], words: Sequence[tuple[int, int]]) -> Groups:
    """For each word the pieces that share most of their characters with it; a piece of no word is in no group.

    Args:
        spans: where each piece stands: characters (first, end).
        words: where each word stands, from left to right, none in another.
    """
    groups: Groups = [[] for _ in words]
    ends = [end for _, end in words]
    for piece, (first, end) in enumerate(spans):
        most, best = 0, -1
        for word in range(bisect_right(ends, first), len(words)):  # a piece touches few of many words
            word_first, word_end = words[word]
            if word_first >= end:
                break
            if (shared := min(end, word_end) - max(first, word_first)) > most:
                most, best = shared, word
        if most:
            groups[best].append(piece)
    return groups
