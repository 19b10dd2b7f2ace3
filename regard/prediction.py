"""What an encoder says of a text: a class, a label for each word, or the words behind its masks.

Nothing is cut: a text that is longer than the model takes is refused, or read in stretches where that is asked for.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from regard import long_texts
from regard.data.text_tokens import MASK, TextIds, TextTokens
from regard.errors import TextError
from regard.evaluation import labels as label_scores
from regard.look.words import word_groups

OUTSIDE = "O"  # the tag of a word that is of no entity


class Engine(Protocol):
    """What prediction needs of an engine: see `regard.engines.encoder`."""

    @property
    def tokens(self) -> TextTokens:
        """The tokenizer."""
        ...

    @property
    def max_length(self) -> int:
        """Longest input in tokens, special ones counted."""
        ...

    def logits(self, inputs: Sequence[TextIds]) -> list[np.ndarray]:
        """The head's logits for each input."""
        ...

    def logits_at(self, inputs: Sequence[TextIds], places: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """The head's logits at some tokens of each input, (places, V)."""
        ...


@dataclass(frozen=True)
class Classified:
    """The class of a text."""

    label: str
    probability: float
    probabilities: dict[str, float]  # of every class


@dataclass(frozen=True)
class TaggedWord:
    """A word of a text, and its label: that of its first piece."""

    text: str
    first: int  # characters
    end: int
    label: str
    probability: float


@dataclass(frozen=True)
class Entity:
    """Words of a text that tags make one, such as a name."""

    text: str
    label: str  # the kind: "PER" of "B-PER"
    first: int  # characters
    end: int


@dataclass(frozen=True)
class Guess:
    """A token that may stand at a mask."""

    text: str
    probability: float


def classify(
    engine: Engine,
    labels: Sequence[str],
    texts: Sequence[str | tuple[str, str]],
    temperature: float = 1.0,
    *,
    split_long: bool = False,
) -> list[Classified]:
    """The class of each text, or pair of texts.

    Args:
        temperature: logits are divided by it: the class stays, its probability becomes that of being right.
        split_long: read a single text that is longer than the model takes in stretches (`regard.long_texts`).

    Raises:
        TextError: a text is longer than the model takes.
    """
    found = _logits(engine, texts, engine.tokens.encode_all(texts), split_long)
    return [_class_of(logits.astype(np.float64) / temperature, labels) for logits in found]


def _class_of(logits: np.ndarray, labels: Sequence[str]) -> Classified:
    """The class that a text's logits, (labels,), speak for."""
    shares = _softmax(logits)
    best = int(shares.argmax())
    shown = {label: float(share) for label, share in zip(labels, shares, strict=True)}
    return Classified(labels[best], float(shares[best]), shown)


def regress(engine: Engine, texts: Sequence[str | tuple[str, str]], *, split_long: bool = False) -> list[float]:
    """The number that a head with one label predicts for each text, or pair of texts.

    Args:
        split_long: as for `classify`.

    Raises:
        TextError: a text is longer than the model takes.
    """
    return [float(logits[0]) for logits in _logits(engine, texts, engine.tokens.encode_all(texts), split_long)]


def tag(
    engine: Engine, labels: Sequence[str], texts: Sequence[str], *, split: bool = False, split_long: bool = False
) -> list[list[TaggedWord]]:
    """The label of each word of each text; punctuation is words of its own.

    Args:
        split: words are what stands between spaces, and each has the label at its first character; one that the
            tokenizer leaves out is outside of all, with probability 0.
        split_long: as for `classify`.

    Raises:
        TextError: a text is longer than the model takes.
    """
    inputs = engine.tokens.encode_all(texts)
    found = zip(texts, inputs, _logits(engine, texts, inputs, split_long), strict=True)
    tagged = [words_of(text, read, logits, labels) for text, read, logits in found]
    return [_between_spaces(text, words) for text, words in zip(texts, tagged, strict=True)] if split else tagged


def words_of(text: str, read: TextIds, logits: np.ndarray, labels: Sequence[str]) -> list[TaggedWord]:
    """The words of a text and the labels that their logits, (tokens, labels), speak for."""
    real = [place for place, special in enumerate(read.special) if not special]
    spans = [read.spans[place] for place in real]
    words = []
    for group in word_groups(text, spans):
        first, end = spans[group[0]][0], spans[group[-1]][1]
        shares = _softmax(logits[real[group[0]]])
        best = int(shares.argmax())
        words.append(TaggedWord(text[first:end], first, end, labels[best], float(shares[best])))
    return words


def words_at(words: Sequence[TaggedWord], places: Sequence[int]) -> list[TaggedWord | None]:
    """For each character, from left to right, the word that covers it; None where none does."""
    found: list[TaggedWord | None] = []
    number = 0
    for place in places:
        while number < len(words) and words[number].end <= place:
            number += 1
        covers = number < len(words) and words[number].first <= place
        found.append(words[number] if covers else None)
    return found


def entities(text: str, words: Sequence[TaggedWord]) -> list[Entity]:
    """What the labels of a text's words mark together, as they are counted when a model is scored.

    See `regard.evaluation.labels.entities`.
    """
    found = []
    for kind, first, end in label_scores.entities([word.label for word in words]):
        begins, ends = words[first].first, words[end - 1].end
        found.append(Entity(text[begins:ends], kind, begins, ends))
    return found


def _between_spaces(text: str, words: Sequence[TaggedWord]) -> list[TaggedWord]:
    given = list(re.finditer("[^ ]+", text))  # other white space is part of a word, as in files of words and tags
    found = []
    for match, word in zip(given, words_at(words, [match.start() for match in given]), strict=True):
        label, probability = (OUTSIDE, 0.0) if word is None else (word.label, word.probability)
        found.append(TaggedWord(match[0], match.start(), match.end(), label, probability))
    return found


def fill(engine: Engine, texts: Sequence[str], count: int) -> list[list[list[Guess]]]:
    """For each text and each `[MASK]` in it the likeliest tokens, best first.

    Raises:
        TextError: a text has no mask, or is longer than the model takes.
        ModelError: the model has no mask token.
    """
    mask_id = engine.tokens.id_of("mask")
    inputs = [engine.tokens.encode_masked(text) for text in texts]
    for row, text in enumerate(texts):
        if MASK not in text:
            raise TextError(f"{text[:60]!r} has no {MASK}: there is no word to guess.", row)
    places = [[place for place, number in enumerate(read.ids) if number == mask_id] for read in inputs]
    results = []
    for logits in engine.logits_at(_that_fit(engine, texts, inputs), places):
        guesses = []
        for row in logits:
            shares = _softmax(row)
            best = np.argsort(-shares, kind="stable")[:count].tolist()
            names = engine.tokens.pieces(best)
            guesses.append([Guess(name, float(shares[token])) for name, token in zip(names, best, strict=True)])
        results.append(guesses)
    return results


def _logits(
    engine: Engine, texts: Sequence[str | tuple[str, str]], inputs: Sequence[TextIds], split_long: bool
) -> list[np.ndarray]:
    if split_long:
        return long_texts.logits(engine, inputs)
    return engine.logits(_that_fit(engine, texts, inputs, may_split=True))


def _that_fit(
    engine: Engine, texts: Sequence[str | tuple[str, str]], inputs: Sequence[TextIds], *, may_split: bool = False
) -> Sequence[TextIds]:
    for row, (text, read) in enumerate(zip(texts, inputs, strict=True)):
        if len(read) > engine.max_length:
            is_single = isinstance(text, str)
            start = text if is_single else text[0]
            advice = "Split the text, or give --split-long." if may_split and is_single else "Split the text."
            raise TextError(
                f"{start[:60]!r}... has {len(read):,} tokens, the model takes {engine.max_length:,}. {advice}",
                row,
            )
    return inputs


def _softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits.astype(np.float64) - logits.max())
    return shifted / shifted.sum()
