"""Signs that a translation should not be trusted, read from the text alone and from the model's own confidence."""

import math
import re
from collections import Counter
from collections.abc import Sequence

EMPTY = "empty"  # nothing was written for a text that says something
TRUNCATED = "truncated"  # the length limit cut the translation
REPETITION = "repetition"  # words go round in circles
NUMBER_MISMATCH = "number_mismatch"  # digits of source and target differ
PLACEHOLDER_MISMATCH = "placeholder_mismatch"  # {name}, %s, <b>, URLs differ
LOW_CONFIDENCE = "low_confidence"  # the model itself gave its words little probability

_LOW_CONFIDENCE = math.log(0.35)  # mean log-probability a token below which a translation is flagged
# Thousands may stand apart by a point, a comma, an apostrophe or a (no-break) space; then only groups of three belong.
_NUMBER = re.compile(r"\d{1,3}(?:[.,'’ \u00a0\u202f]\d{3})+(?!\d)(?:[.,]\d+)*|\d+(?:[.,]\d+)*")
_BLANK_LINES = re.compile(r"(?:\n[^\S\n]*){50}")  # a page of nothing; words and letters do not show it
_PLACEHOLDER = re.compile(
    r"\{\{?[\w.:-]*\}?\}|\$\{[\w.]+\}"
    r"|(?<!\d)%(?:\(\w+\)|\d+\$)?[-+#0]*\d*(?:\.\d+)?(?:hh?|ll?|z)?[sdifgxu@]"  # of printf; "100%ig" is none
    r"|</?[A-Za-z][^<>]*>|&[a-z]+;"
    r"|https?://\S+(?<![.,;:!?)\]}\"'»”’])"  # what closes a sentence or a bracket is not the address's
    r"|[\w.+-]+@[\w-]+\.\w+"
)


def find(source: str, target: str, log_probs: Sequence[float], finished: bool) -> tuple[str, ...]:
    """The flags of one translated sentence.

    Args:
        log_probs: nats, of each target token.
        finished: whether the model ended the sentence itself.
    """
    flags = []
    if source.strip() and not target.strip():
        flags.append(EMPTY)
    if not finished:
        flags.append(TRUNCATED)
    if goes_round(source, target):
        flags.append(REPETITION)
    if _numbers(source) != _numbers(target):
        flags.append(NUMBER_MISMATCH)
    if Counter(_PLACEHOLDER.findall(source)) != Counter(_PLACEHOLDER.findall(target)):
        flags.append(PLACEHOLDER_MISMATCH)
    if log_probs and not sum(log_probs) / len(log_probs) >= _LOW_CONFIDENCE:  # nan neither
        flags.append(LOW_CONFIDENCE)
    return tuple(flags)


def goes_round(source: str, target: str) -> bool:
    """Whether words, letters or line breaks of a target go round in circles, and more so than those of its source."""
    return (
        longest_run(target) > longest_run(source) + 2
        or _circles(target) > _circles(source) + 4
        or bool(_BLANK_LINES.search(target) and not _BLANK_LINES.search(source))
    )


def longest_run(text: str) -> int:
    """How often the most repeated phrase of 1 to 4 words stands directly after itself ("a b a b a b": 3)."""
    return _longest_run(text.casefold().split())


def _circles(text: str) -> int:
    """The same of letters, for scripts without spaces and for words without an end ("hahahaha": 4)."""
    return _longest_run([letter for letter in text.casefold() if letter.isalpha()])


def _longest_run(parts: Sequence[str], longest_phrase: int = 4) -> int:
    longest = min(len(parts), 1)
    for size in range(1, longest_phrase + 1):
        run = size  # parts in a row that equal the one `size` before them, plus the first phrase
        for position in range(size, len(parts)):
            run = run + 1 if parts[position] == parts[position - size] else size
            longest = max(longest, run // size)
    return longest


def _numbers(text: str) -> Counter[str]:
    """The numbers in a text, however their language separates thousands and decimals: "1,234.5" is "1.234,5"."""
    return Counter(_plain_number(number) for number in _NUMBER.findall(text))


def _plain_number(number: str) -> str:
    """Digits, and a point before the decimals where they can be told from thousands."""
    *whole, last = re.split(r"\D", number)
    if whole and len(last) != 3 and all(len(group) == 3 for group in whole[1:]):
        return f"{''.join(whole)}.{last}"
    return "".join((*whole, last))
