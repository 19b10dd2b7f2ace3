"""Did the translator find what *it* stands for? Read from the gender its Portuguese gave the pronoun.

No antecedent need be marked in a translation: where the two candidates differ in gender, ele/ela or o/a says which one
was meant. What a head of attention points at can be scored too (`antecedent_accuracy`). How far rules without meaning
come, `baselines` says for the built-in corpus and `text_rules` for GAP and the like.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from regard.data.antecedents import ResolvedText
from regard.data.world import Pronoun, WorldPair
from regard.data.world.lexicon import load
from regard.errors import DataError
from regard.evaluation.metrics import wilson

_SUBJECTS = {"ele": "m", "ela": "f"}
_CLITICS = {"o": "m", "a": "f"}
_COPULAS = frozenset(["é", "era", "está", "estava", "ficar", "ficou", "foi", "fosse", "estivesse", "parecia"])
_BETWEEN = frozenset(["não", "já", "muito", "completamente", "mal", "tão", "bem", "bastante", "sempre", "ainda"])
_ENCLITIC = re.compile(r"^\w+-[ln]?([oa])$")
_TOKEN = re.compile(r"\w+(?:-\w+)*|[^\w\s]")
_PAST = ("ou", "eu", "iu")  # how a verb in the third person of the preterite ends


@dataclass(frozen=True)
class GenderAccuracy:
    """How many pronouns got the right gender; `missing` counts those whose gender could not be read."""

    right: int
    wrong: int
    missing: int

    @property
    def total(self) -> int:
        return self.right + self.wrong + self.missing

    @property
    def accuracy(self) -> float:
        """Share of all pronouns that are right; one that is missing is not right. 0 when there are none."""
        return self.right / self.total if self.total else 0.0

    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of `accuracy` (Wilson 1927); 0 to 1 when there are no pronouns."""
        return wilson(self.accuracy, self.total)


@dataclass(frozen=True)
class Baseline:
    """How often a rule without meaning is right, from 0 to 1."""

    gender: float
    antecedent: float


def pronoun_gender(hypothesis: str, pair: WorldPair) -> str | None:
    """The gender that a translation gave the pair's first *it*: "m", "f", or None.

    Looks for ele/ela (or the clitic o/a, before or after its verb) where the words around are most like those around
    the reference's pronoun; a subject left out is read from its predicate ("porque era pequena demais").
    None means that no such pronoun was found, or that its predicate disagrees with it ("ela era pequeno").

    Raises:
        DataError: the pair has no *it*.
    """
    if not pair.pronouns:
        raise DataError(f"{pair.source!r} has no it to resolve. Pass only pairs with pronouns.")
    index = pair.pronouns[0].target_index
    reference = [token.lower() for token in pair.target_tokens]
    words = _TOKEN.findall(hypothesis.lower())
    if reference[index] in _SUBJECTS:
        return _subject_gender(words, reference, index)
    return _clitic_gender(words, reference, index)


def gender_accuracy(hypotheses: Sequence[str], pairs: Sequence[WorldPair]) -> GenderAccuracy:
    """Score translations, one for each pair; pairs without *it* are passed over.

    Raises:
        DataError: not as many hypotheses as pairs.
    """
    _check_same_number("hypotheses", len(hypotheses), len(pairs))
    found = [
        (pronoun_gender(hypothesis, pair), pair.pronouns[0].gender)
        for hypothesis, pair in zip(hypotheses, pairs, strict=True)
        if pair.pronouns
    ]
    right = sum(given == gold for given, gold in found)
    missing = sum(given is None for given, _ in found)
    return GenderAccuracy(right=right, wrong=len(found) - right - missing, missing=missing)


def antecedent_accuracy(picked: Sequence[int | None], pairs: Sequence[WorldPair]) -> float:
    """How often the source token picked for a pair's first *it* is the head noun of its antecedent.

    Args:
        picked: for each pair the index of a source token (for instance where a head of attention looks from *it*),
            or None for no choice, which counts as wrong. Entries of pairs without *it* are passed over.
        pairs: as many.

    Returns:
        A share from 0 to 1; 0 when no pair has an *it*.

    Raises:
        DataError: not as many picks as pairs.
    """
    _check_same_number("picks", len(picked), len(pairs))
    hits = [
        index == pair.pronouns[0].antecedent_source_index
        for index, pair in zip(picked, pairs, strict=True)
        if pair.pronouns
    ]
    return sum(hits) / len(hits) if hits else 0.0


def baselines(pairs: Sequence[WorldPair]) -> dict[str, Baseline]:
    """How far rules without meaning come: "nearest" noun, "first" noun, "subject" of the clause, "majority" gender.

    Where a person is the subject, the "subject" rule takes the first candidate. "majority" gives every pronoun the
    commoner gender of these very pairs, and takes the first candidate of that gender.
    """
    pronouns = [pronoun for pair in pairs for pronoun in pair.pronouns]
    masculine = sum(pronoun.gender == "m" for pronoun in pronouns)
    majority = "m" if 2 * masculine >= len(pronouns) else "f"

    def of_gender(pronoun: Pronoun) -> int:
        return next((index for index, gender in pronoun.candidates if gender == majority), pronoun.candidates[0][0])

    def subject(pronoun: Pronoun) -> int:
        known = pronoun.subject_source_index
        return pronoun.candidates[0][0] if known is None else known

    rules = {
        "nearest": lambda pronoun: pronoun.candidates[-1][0],
        "first": lambda pronoun: pronoun.candidates[0][0],
        "subject": subject,
        "majority": of_gender,
    }
    scores = {}
    for name, rule in rules.items():
        genders = antecedents = 0
        for pronoun in pronouns:
            index = rule(pronoun)
            genders += dict(pronoun.candidates)[index] == pronoun.gender
            antecedents += index == pronoun.antecedent_source_index
        number = max(len(pronouns), 1)
        scores[name] = Baseline(gender=genders / number, antecedent=antecedents / number)
    return scores


def text_rules(texts: Sequence[ResolvedText]) -> dict[str, float]:
    """How often rules without meaning pick the antecedent in texts of GAP and the like, from 0 to 1.

    "nearest" is the last candidate before the pronoun, and the first after it where none stands before (a name may
    follow its pronoun); "first" is the first of the text.
    """

    def nearest(text: ResolvedText) -> int:
        before = sum(candidate < text.pronoun for candidate in text.candidates)
        return max(before - 1, 0)

    number = max(len(texts), 1)
    return {
        "nearest": sum(nearest(text) == text.antecedent for text in texts) / number,
        "first": sum(text.antecedent == 0 for text in texts) / number,
    }


def _subject_gender(words: list[str], reference: list[str], index: int) -> str | None:
    position = _best(words, [at for at, word in enumerate(words) if word in _SUBJECTS], reference, index)
    if position is not None:
        gender = _SUBJECTS[words[position]]
        agreeing = _predicate_gender(words, position + 1)
        return gender if agreeing in (None, gender) else None
    # Left out: the conjunction, then the predicate at once.
    conjunction = reference[index - 1]
    after = [at + 1 for at, word in enumerate(words) if word == conjunction]
    genders = {gender for at in after if (gender := _predicate_gender(words, at)) is not None}
    return genders.pop() if len(genders) == 1 else None


def _clitic_gender(words: list[str], reference: list[str], index: int) -> str | None:
    verb = reference[index + 1]
    for at, word in enumerate(words[:-1]):  # the reference's own verb leaves no doubt
        if word in _CLITICS and words[at + 1] == verb:
            return _CLITICS[word]
    after = [match.group(1) for word in words if (match := _ENCLITIC.match(word))]
    if len(after) == 1:
        return _CLITICS[after[0]]
    before = [
        at
        for at, word in enumerate(words[1:-1], 1)
        if word in _CLITICS and words[at - 1] == "e" and words[at + 1].endswith(_PAST) and words[at + 1] != "museu"
    ]
    position = _best(words, before, reference, index)
    return None if position is None else _CLITICS[words[position]]


def _best(words: list[str], positions: list[int], reference: list[str], index: int) -> int | None:
    """The position whose neighbours are most like the reference pronoun's; None when none has a neighbour in common."""
    scored = []
    for position in positions:
        score = 0
        for offset in (-3, -2, -1, 1, 2, 3, 4):
            here, there = position + offset, index + offset
            if 0 <= here < len(words) and 0 <= there < len(reference) and _alike(words[here], reference[there]):
                score += 3 if abs(offset) == 1 else 1
        scored.append((score, -abs(position - index), position))
    if not scored:
        return None
    score, _, position = max(scored)
    return position if score > 0 else None


def _alike(word: str, other: str) -> bool:
    """The same word, whatever its gender."""
    return word == other or (word[-1] in "oa" and other[-1] in "oa" and word[:-1] == other[:-1] != "")


def _predicate_gender(words: list[str], start: int) -> str | None:
    """Gender of the adjective in a predicate that begins at `start`; None when it has none or shows none."""
    at = start
    while at < len(words) and words[at] in _BETWEEN:
        at += 1
    if at >= len(words) or words[at] not in _COPULAS:
        return None
    at += 1
    while at < len(words) and words[at] in _BETWEEN:
        at += 1
    return _gendered().get(words[at]) if at < len(words) else None


@functools.cache
def _gendered() -> dict[str, str]:
    """Singular adjectives that show their gender, in every form."""
    table = {}
    for adjective in load().adjectives.values():
        masculine, feminine = adjective.forms["m"][0], adjective.forms["f"][0]
        if masculine != feminine:
            table[masculine], table[feminine] = "m", "f"
    return table


def _check_same_number(what: str, found: int, expected: int) -> None:
    if found != expected:
        raise DataError(f"got {found} {what} for {expected} pairs. Pass exactly one for each pair, in the same order.")
