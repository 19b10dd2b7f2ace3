"""A sentence pair in the making.

Both sides grow together as lists of (word, key). Two words that share a key other than 0 are aligned, so every rule of
the grammar states its own alignment and none is guessed afterwards. `finish` puts the lists into their written form:
"a" or "an", Portuguese contractions (a preposition that may contract ends in +), capitals, and indices for keys.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from regard.data.world import morphology
from regard.data.world.gold import NO_SPACE_BEFORE, Pronoun, WorldPair, detokenize
from regard.data.world.lexicon import Lexicon, Noun

Words = list[tuple[str, int]]

_ARTICLES = ("o", "a", "os", "as")
_POINTERS = ("este", "esta", "estes", "estas", "aquele", "aquela", "aqueles", "aquelas")
_CONTRACTIONS = {
    **{("de", word): "d" + word for word in (*_ARTICLES, *_POINTERS, "ele", "ela", "eles", "elas")},
    **{("em", word): "n" + word for word in (*_ARTICLES, *_POINTERS, "ele", "ela", "eles", "elas")},
    **{("por", word): "pel" + word for word in _ARTICLES},
    ("a", "o"): "ao", ("a", "a"): "à", ("a", "os"): "aos", ("a", "as"): "às",
    **{("a", word): "à" + word[1:] for word in _POINTERS if word[0] == "a"},
}  # fmt: skip
# Possessives bear no article, except that one inside a contraction: "meu carro", but "no meu carro".
_POSSESSIVES = {
    "meu": "o", "minha": "a", "meus": "os", "minhas": "as",
    "nosso": "o", "nossa": "a", "nossos": "os", "nossas": "as",
}  # fmt: skip


@dataclass(slots=True)
class Part:
    """A stretch of a sentence on both sides."""

    source: Words = field(default_factory=list)
    target: Words = field(default_factory=list)

    def __add__(self, other: Part) -> Part:
        return Part(self.source + other.source, self.target + other.target)

    def num_words(self) -> int:
        return len(self.source) - sum([word in NO_SPACE_BEFORE for word, _ in self.source])


@dataclass(slots=True)
class Draft:
    """Keys, nouns and pronouns of one sentence under construction, and what it may use.

    Attributes:
        test: whether held-out pairs and, in frames, held-out nouns may stand here.
        spare_held_out: leave held-out nouns out of the whole sentence (an it-sentence of train or dev).
        same_gender_share: share of frames whose two candidates are of one gender.
    """

    lexicon: Lexicon
    rng: random.Random
    test: bool = False
    spare_held_out: bool = False
    same_gender_share: float = 0.0
    num_keys: int = 0
    nouns: dict[int, Noun] = field(default_factory=dict)  # key -> singular noun that *it* could stand for
    used: list[Noun] = field(default_factory=list)
    pairs: list[tuple[str, str]] = field(default_factory=list)  # (verb, object noun)
    pronouns: list[tuple[int, int, int | None]] = field(default_factory=list)  # keys: it, antecedent, subject

    def key(self) -> int:
        self.num_keys += 1
        return self.num_keys

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def part(self, source: str, target: str) -> Part:
        """Words written with link numbers ("last^1 week^2", "na semana^2 passada^1") under fresh keys."""
        keys: dict[str, int] = {"": 0}
        sides: list[Words] = []
        for text in (source, target):
            words: Words = []
            for item in text.split():
                word, _, number = item.partition("^")
                if number not in keys:
                    keys[number] = self.key()
                words.append((word, keys[number]))
            sides.append(words)
        return Part(sides[0], sides[1])

    def linked(self, source: tuple[tuple[str, int], ...], target: tuple[tuple[str, int], ...]) -> Part:
        """As `part`, for words of the lexicon that are split already."""
        base = self.num_keys
        self.num_keys += 12  # more than any entry's link numbers
        return Part(
            [(word, base + number if number else 0) for word, number in source],
            [(word, base + number if number else 0) for word, number in target],
        )


Made = tuple[Part, str, str]  # a whole sentence, its kind and its final mark


def finish(draft: Draft, made: Made) -> WorldPair:
    """The finished pair: spelling, capitals, final mark, and every key turned into indices."""
    part, kind, mark = made
    end = draft.key()
    source = [*part.source, (mark, end)]
    source_tokens = [word for word, _ in source]
    for position, token in enumerate(source_tokens):
        if token == "a~":
            source_tokens[position] = "an" if morphology.takes_an(source_tokens[position + 1]) else "a"
    target_tokens, target_keys = _contract([*part.target, (mark, end)])
    source_tokens[0] = source_tokens[0][0].upper() + source_tokens[0][1:]
    target_tokens[0] = target_tokens[0][0].upper() + target_tokens[0][1:]

    last_source: dict[int, int] = {}
    first_target: dict[int, int] = {}
    targets_of: dict[int, list[int]] = {}
    for position, keys in enumerate(target_keys):
        for key in keys:
            if key:
                first_target.setdefault(key, position)
                targets_of.setdefault(key, []).append(position)
    links = set()
    for position, (_, key) in enumerate(source):
        if key:
            last_source[key] = position
            links.update((position, other) for other in targets_of.get(key, ()))

    pronouns = []
    for it, antecedent, subject in draft.pronouns:
        here = last_source[it]
        candidates = sorted(
            (last_source[key], noun.gender)
            for key, noun in draft.nouns.items()
            if key in last_source and last_source[key] < here
        )
        pronouns.append(
            Pronoun(
                source_index=here,
                target_index=first_target[it],
                antecedent_source_index=last_source[antecedent],
                antecedent_target_index=first_target[antecedent],
                gender=draft.nouns[antecedent].gender,
                candidates=tuple(candidates),
                subject_source_index=None if subject is None else last_source[subject],
            )
        )
    return WorldPair(
        source=detokenize(source_tokens),
        target=detokenize(target_tokens),
        source_tokens=tuple(source_tokens),
        target_tokens=tuple(target_tokens),
        alignment=tuple(sorted(links)),
        pronouns=tuple(pronouns),
        kind=kind,
    )


def _contract(words: Words) -> tuple[list[str], list[tuple[int, ...]]]:
    """Join prepositions marked + with what follows: (de+, o) -> do; each token keeps the keys of all its parts."""
    tokens: list[str] = []
    keys: list[tuple[int, ...]] = []
    position = 0
    while position < len(words):
        word, key = words[position]
        position += 1
        if word[-1] != "+":
            tokens.append(word)
            keys.append((key,))
            continue
        preposition = word[:-1]
        following, following_key = words[position]
        joined = _CONTRACTIONS.get((preposition, following))
        if joined is not None:
            tokens.append(joined)
            keys.append((key, following_key))
            position += 1
        else:
            article = _POSSESSIVES.get(following)
            tokens.append(_CONTRACTIONS[preposition, article] if article else preposition)
            keys.append((key,))
    return tokens, keys
