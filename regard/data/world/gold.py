"""What a pair of the built-in corpus carries besides its text: alignment, and the antecedent of every *it*."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Pronoun:
    """One *it*, subject or object, with its gold antecedent. Indices are into the pair's tokens, from 0."""

    source_index: int  # "it"
    target_index: int  # ele, ela, o or a
    antecedent_source_index: int  # the head noun
    antecedent_target_index: int
    gender: str  # "m" or "f": what the Portuguese pronoun must be
    candidates: tuple[tuple[int, str], ...]  # (source index of the head noun, its Portuguese gender), in source order
    subject_source_index: int | None = None  # the candidate that is its clause's subject; None when a person is

    def turned(self, nouns: Mapping[int, int]) -> Pronoun:
        """The same with source and target exchanged; `nouns` gives the target noun of each source noun."""
        subject = self.subject_source_index
        return Pronoun(
            source_index=self.target_index,
            target_index=self.source_index,
            antecedent_source_index=self.antecedent_target_index,
            antecedent_target_index=self.antecedent_source_index,
            gender=self.gender,
            candidates=tuple(sorted((nouns[index], gender) for index, gender in self.candidates)),
            subject_source_index=None if subject is None else nouns[subject],
        )


@dataclass(frozen=True)
class WorldPair:
    """One English sentence and its Brazilian Portuguese translation, with what the grammar knows about them."""

    source: str
    target: str
    source_tokens: tuple[str, ...]  # words and punctuation marks
    target_tokens: tuple[str, ...]
    alignment: tuple[tuple[int, int], ...]  # (source token, target token), sure links only
    pronouns: tuple[Pronoun, ...]
    kind: str  # the frame or construction the sentence began with

    def turned(self) -> WorldPair:
        """The pair as a model from Portuguese to English sees it, candidates in the order of the Portuguese."""
        return replace(
            self,
            source=self.target,
            target=self.source,
            source_tokens=self.target_tokens,
            target_tokens=self.source_tokens,
            alignment=tuple(sorted((target, source) for source, target in self.alignment)),
            pronouns=tuple(pronoun.turned(dict(self.alignment)) for pronoun in self.pronouns),
        )


def links_between_words(pair: WorldPair) -> set[tuple[int, int]]:
    """The links of a pair between what stands between white space in its texts, as files of alignments count words."""
    of_source, of_target = _words_of(pair.source_tokens), _words_of(pair.target_tokens)
    return {(of_source[i], of_target[j]) for i, j in pair.alignment}


def _words_of(tokens: tuple[str, ...]) -> list[int]:
    """For each token the word of the detokenised text that it is a part of."""
    joined = [number > 0 and token in NO_SPACE_BEFORE for number, token in enumerate(tokens)]
    return [number - sum(joined[: number + 1]) for number in range(len(tokens))]


def detokenize(tokens: tuple[str, ...] | list[str]) -> str:
    """Join tokens into natural text: no space before , . ? ; or 's."""
    text = " ".join(tokens)
    for mark in NO_SPACE_BEFORE:
        text = text.replace(f" {mark}", mark)
    return text


NO_SPACE_BEFORE = (",", ".", "?", ";", "'s")
