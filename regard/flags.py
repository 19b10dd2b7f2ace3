"""Signs that a translation should not be trusted, read from the text alone and from the model's own confidence."""

import math
import re
from collections import Counter
from collections.abc import Sequence

TRUNCATED = "truncated"  # the length limit cut the translation
REPETITION = "repetition"  # words go round in circles
NUMBER_MISMATCH = "number_mismatch"  # digits of source and target differ
PLACEHOLDER_MISMATCH = "placeholder_mismatch"  # {name}, %s, <b>, URLs differ
LOW_CONFIDENCE = "low_confidence"  # the model itself gave its words little probability

_LOW_CONFIDENCE = math.log(0.35)  # mean log-probability a token below which a translation is flagged
_NUMBER = re.compile(r"\d[\d.,  ]*\d|\d")
_PLACEHOLDER = re.compile(
    r"\{\{?[\w.:-]*\}?\}|\$\{[\w.]+\}|%(?:\(\w+\)|\d+\$)?[sdifgxu@]|</?[A-Za-z][^<>]*>|&[a-z]+;|https?://\S+|[\w.+-]+@[\w-]+\.\w+"
)


def find(source: str, target: str, log_probs: Sequence[float], finished: bool) -> tuple[str, ...]:
    """The flags of one translated sentence.

    Args:
        log_probs: nats, of each target token.
        finished: whether the model ended the sentence itself.
    """
    flags = []
    if not finished:
        flags.append(TRUNCATED)
    if longest_run(target) > longest_run(source) + 2:
        flags.append(REPETITION)
    if _numbers(source) != _numbers(target):
        flags.append(NUMBER_MISMATCH)
    if Counter(_PLACEHOLDER.findall(source)) != Counter(_PLACEHOLDER.findall(target)):
        flags.append(PLACEHOLDER_MISMATCH)
    if log_probs and sum(log_probs) / len(log_probs) < _LOW_CONFIDENCE:
        flags.append(LOW_CONFIDENCE)
    return tuple(flags)


def longest_run(text: str, longest_phrase: int = 4) -> int:
    """How often the most repeated phrase of 1 to 4 words stands directly after itself ("a b a b a b": 3)."""
    words = text.casefold().split()
    longest = min(len(words), 1)
    for size in range(1, longest_phrase + 1):
        run = size  # words in a row that equal the word `size` before them, plus the first phrase
        for position in range(size, len(words)):
            run = run + 1 if words[position] == words[position - size] else size
            longest = max(longest, run // size)
    return longest


def _numbers(text: str) -> Counter[str]:
    """The numbers in a text, by their digits: separators follow the language."""
    return Counter(re.sub(r"\D", "", number) for number in _NUMBER.findall(text))
