"""Whole sentences: with an it-frame or without, and how long ones grow out of short ones."""

from __future__ import annotations

from regard.data.world import clauses
from regard.data.world.clauses import statement
from regard.data.world.constructions import LONG, SHORT, Maker
from regard.data.world.draft import Draft, Made, Part
from regard.data.world.frames import it_clause
from regard.data.world.phrases import (
    Subject,
    adverbial,
    again,
    person,
)


def it_sentence(draft: Draft, target_words: int, min_words: int, max_words: int) -> Made | None:
    """A sentence with one it-frame, embedded as deep as its length asks; None when it came out too long."""
    frame = draft.rng.choice(draft.lexicon.frames)
    if frame.shortest > max_words:
        return None
    part = it_clause(draft, frame, max_words)
    room = target_words - part.num_words()
    tense = "present" if any(word in ("is", "does") for word, _ in part.source) else "past"
    if room >= 3 and draft.chance(0.6):
        part = _opening(draft, room if tense == "past" else 3) + part
    part = _lengthen(draft, part, None, tense, target_words, min_words)
    if part.num_words() > max_words:
        return None
    return part, frame.kind, "."


def _opening(draft: Draft, room: int) -> Part:
    """What may come before a frame: somebody's word for it, or a clause about people."""
    draw = draft.rng.random()
    if draw < 0.4 or room < 6:
        who = person(draft, pronouns=False, plurals=False)
        verb = draft.rng.choice([each for each in draft.lexicon.speech if each.name in _SAID])
        group = clauses.verb_group(draft, verb, "past", who)
        return statement(who, group) + draft.part("that^1", "que^1")
    if draw < 0.7:
        return clauses.when_clause(draft) + draft.part(",^1", ",^1")
    who = person(draft, pronouns=False)
    link = draft.rng.choice((",^1 but^2 | ,^1 mas^2", ",^1 and^2 | ,^1 e^2"))
    return statement(who, clauses.any_predicate(draft, "past", who)) + draft.part(*link.split("|"))


_SAID = ("say", "know", "explain", "remember", "notice", "discover")
_LINKS = (",^1 and^2 | ,^1 e^2", ",^1 but^2 | ,^1 mas^2", ",^1 so^2 | ,^1 então^2", ";^1 | ;^1", ",^1 and^2 | ,^1 e^2")


def _lengthen(
    draft: Draft, part: Part, who: Subject | None, tense: str, target_words: int, min_words: int, slack: int = 5
) -> Part:
    """Add clauses, in a tense that goes with the first, until the sentence is about as long as it should be."""
    before = tense if tense in ("present", "future") else "past"
    subordinate = before == "past"  # one "when" or "although" and one "because" a sentence
    because, event = True, True
    while (size := part.num_words()) + slack <= target_words or size < min_words:
        room = target_words - size
        draw = draft.rng.random()
        if because and event and who is not None and who.pronouns[0] and draw < 0.2 and before != "future":
            part, because = part + clauses.reason(draft, who, before), False
            who = None
            continue
        if subordinate and draw < 0.35:
            part, subordinate = part + draft.part(",^1", ",^1") + clauses.when_clause(draft, lasting=True), False
            who = None
            continue
        if before == "past" and who is not None and who.pronouns[0] and draw < 0.6:
            who = again(draft, who)
            link = draft.part(*draft.rng.choice((*_LINKS[:3], ",^1 and^2 then^3 | ,^1 e^2 depois^3")).split("|"))
        else:
            who = _somebody(draft)
            link = draft.part(*draft.rng.choice(_LINKS).split("|"))
        if room > 16 and before == "past" and draft.chance(0.5):
            part = (
                part
                + link
                + statement(who, clauses.motion_predicate(draft, "past", who))
                + clauses.chain(draft, who, 2)
            )
            event = True
            continue
        chosen = clauses.any_predicate(draft, before, who)
        part, event = part + link + statement(who, chosen), chosen.is_event
        if event and (clauses.is_vague(before, chosen) or (room > 12 and before != "present" and draft.chance(0.3))):
            part = part + adverbial(draft, before)
    return part


def _somebody(draft: Draft) -> Subject:
    return person(draft, pronouns=False)


def plain_sentence(draft: Draft, target_words: int, min_words: int, max_words: int) -> Made | None:
    """A sentence without *it*, of a construction that suits the length."""
    short = target_words <= 12 or (target_words <= 18 and draft.chance(0.4))
    kind, make = _draw(draft, SHORT if short else LONG)
    made = make(draft)
    if made is None:
        return None
    part, tense, who = made
    if tense == "" and short and part.num_words() < min_words <= 12:
        return None
    if tense != "?" and not (short and part.num_words() >= min_words and (tense == "" or draft.chance(0.7))):
        part = _lengthen(draft, part, who, tense, target_words, min_words, 5 if target_words > 12 else 6)
    if part.num_words() > max_words:
        return None
    return part, kind, "?" if tense == "?" else "."


def _draw(draft: Draft, table: dict[str, tuple[float, Maker]]) -> tuple[str, Maker]:
    names = list(table)
    kind = draft.rng.choices(names, weights=[table[each][0] for each in names])[0]
    return kind, table[kind][1]
