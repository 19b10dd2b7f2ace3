"""Clauses: verb groups in their tenses, predicates, questions, relative and subordinate clauses."""

from __future__ import annotations

from dataclasses import dataclass

from regard.data.world.draft import Draft, Part, Words
from regard.data.world.lexicon import Adjective, Noun, Verb
from regard.data.world.phrases import (
    Subject,
    adverbial,
    again,
    describe,
    listing,
    noun_phrase,
    person,
    place,
    thing,
    usable,
    words,
)

_WAS = {"I": "was", "third": "was", "plural": "were"}
_IS = {"I": "am", "third": "is", "plural": "are"}
_COPULA = {
    "ser": {"past": ("era", "era", "éramos", "eram"), "present": ("sou", "é", "somos", "são")},
    "estar": {"past": ("estava", "estava", "estávamos", "estavam"), "present": ("estou", "está", "estamos", "estão")},
}
_WILL = ("vou", "vai", "vamos", "vão")
_SUBJUNCTIVE = ("estivesse", "estivesse", "estivéssemos", "estivessem")


@dataclass(frozen=True)
class Predicate:
    """A verb with its complements, apart from its subject; `auxiliary` is what a question puts first."""

    auxiliary: Words
    part: Part
    is_event: bool = True  # something done, which may have a time and a reason


def statement(subject: Subject, predicate: Predicate) -> Part:
    return Part(
        subject.part.source + predicate.auxiliary + predicate.part.source,
        subject.part.target + predicate.part.target,
    )


def question(subject: Subject, predicate: Predicate) -> Part:
    """The yes-no question; in Portuguese the order is that of the statement."""
    return Part(
        predicate.auxiliary + subject.part.source + predicate.part.source,
        subject.part.target + predicate.part.target,
    )


def verb_group(
    draft: Draft,
    verb: Verb,
    tense: str,
    subject: Subject,
    *,
    negative: bool = False,
    asking: bool = False,
    adverb: Part | None = None,
    clitic: tuple[str, str] | None = None,
) -> Predicate:
    """The finite verb with auxiliary, "not" and an adverb of frequency; a clitic object stands before the verb."""
    key = draft.key()
    negation = draft.key()
    before: Words = [("não", negation)] if negative else []
    english: Words = [("not", negation)] if negative else []
    if adverb is not None:
        before, english = before + adverb.target, english + adverb.source
    after: Words = []
    if clitic is not None:
        object_key = draft.key()
        before = [*before, (clitic[1], object_key)]
        after = [(clitic[0], object_key)]
    auxiliary: Words = []
    if tense in ("past", "present"):
        if tense == "past":
            target = (verb.imperfect if "state" in verb.flags else verb.preterite)[subject.person]
        else:
            target = verb.present[subject.person]
        if negative or asking:
            helper = "did" if tense == "past" else "does" if subject.english == "third" else "do"
            auxiliary, finite = [(helper, key)], verb.base
        elif tense == "past":
            finite = verb.past
        else:
            finite = verb.third if subject.english == "third" else verb.base
        return Predicate(auxiliary, Part(english + words(finite, key) + after, before + words(target, key)))
    help_key = draft.key()
    if tense == "future":
        auxiliary, form, helper, target = [("will", help_key)], verb.base, _WILL[subject.person], verb.infinitive
    else:
        past = tense == "progressive"
        auxiliary = [((_WAS if past else _IS)[subject.english], help_key)]
        form, target = verb.ing, verb.gerund
        helper = _COPULA["estar"]["past" if past else "present"][subject.person]
    return Predicate(
        auxiliary, Part(english + words(form, key) + after, [*before, (helper, help_key), *words(target, key)])
    )


def object_nouns(draft: Draft, verb: Verb, count: int) -> list[Noun]:
    """Nouns that this verb takes as objects; held-out pairs only in the test, there more often than by chance."""
    chosen: list[Noun] = []
    pools = draft.lexicon.by_class
    for _ in range(count * 4):
        noun = draft.rng.choice(pools[draft.rng.choice(verb.objects)])
        if not (noun.is_held_out or draft.spare_held_out or draft.test) and draft.chance(0.3):
            # Nouns held out of it-frames come oftener elsewhere, for their gender must be learnt there.
            noun = draft.rng.choice(pools[draft.rng.choice(verb.objects)])
        held_out = draft.lexicon.is_held_out_pair(verb.name, noun.name)
        if held_out and not draft.test:
            continue
        if draft.test and not held_out and verb.name in draft.lexicon.verbs["held_out"] and draft.chance(0.6):
            continue
        if (draft.spare_held_out and noun.is_held_out) or noun in chosen:
            continue
        chosen.append(noun)
        if len(chosen) == count:
            break
    draft.pairs.extend((verb.name, noun.name) for noun in chosen)
    return chosen


def transitive(draft: Draft, tense: str, subject: Subject, *, asking: bool = False, items: int = 1) -> Part | None:
    """Verb and object(s) as one statement or question; None when the draw does not fit."""
    predicate = transitive_predicate(draft, tense, subject, asking=asking, items=items)
    if predicate is None:
        return None
    return (question if asking else statement)(subject, predicate)


def transitive_predicate(
    draft: Draft, tense: str, subject: Subject, *, asking: bool = False, items: int = 1, verb: Verb | None = None
) -> Predicate | None:
    rng = draft.rng
    verb = verb or draw_verb(draft, tense, lists=items > 1)
    if subject.number and verb.name in ("wear", "drive", "park", "try_on"):
        return None  # "they wore a coat": one each?
    negative = items == 1 and draft.chance(0.13)
    adverb = None
    if tense == "present" and "state" not in verb.flags and not negative and not asking and draft.chance(0.3):
        adverb = adverbial(draft, "frequency")
    if "who" in verb.flags or ("clitic" in verb.flags and draft.chance(0.4)):
        if "clitic" in verb.flags and tense in ("past", "present") and draft.chance(0.45):
            clitic = rng.choice((("him", "o"), ("her", "a"), ("them", "os"), ("me", "me"), ("us", "nos")))
            mine = subject.pronouns[0] if subject.pronouns[0] in ("I", "we") else ""
            if (mine, clitic[0]) not in (("I", "me"), ("I", "us"), ("we", "us"), ("we", "me")):
                return verb_group(
                    draft, verb, tense, subject, negative=negative, asking=asking, adverb=adverb, clitic=clitic
                )
        other = person(draft, pronouns=False)
        if "who" in verb.flags:
            group = verb_group(draft, verb, tense, subject, negative=negative, asking=asking, adverb=adverb)
            return Predicate(group.auxiliary, group.part + _preposition(verb) + other.part, "state" not in verb.flags)
    nouns = object_nouns(draft, verb, items)
    if not nouns:
        return None
    group = verb_group(draft, verb, tense, subject, negative=negative, asking=asking, adverb=adverb)
    if verb.preposition:
        nouns = nouns[:1]  # "gosta de" would have to be said again before each
    complement = listing(draft, nouns) if len(nouns) > 1 else _object(draft, nouns[0])
    return Predicate(group.auxiliary, group.part + _preposition(verb) + complement, "state" not in verb.flags)


def _object(draft: Draft, noun: Noun) -> Part:
    if not noun.is_person:
        return thing(draft, noun)
    if "kin" in noun.tags:
        return noun_phrase(draft, noun, draft.rng.choice(("my", "our", "his", "her")))
    return noun_phrase(draft, noun, "the", adjectives=describe(draft, noun, 0.2))


def _preposition(verb: Verb) -> Part:
    return Part([], [(verb.preposition, 0)]) if verb.preposition else Part()


def draw_verb(draft: Draft, tense: str, *, lists: bool = False) -> Verb:
    """A transitive verb for people that suits the tense (and, for lists, that takes several things)."""
    return draft.rng.choice(draft.lexicon.usual[tense, lists])


def giving_predicate(draft: Draft, tense: str, subject: Subject) -> Predicate | None:
    """ "gave the book to the boy" / "deu o livro ao menino"."""
    verb = draft.rng.choice(draft.lexicon.giving)
    if not draft.lexicon.suits(verb, tense):
        return None
    nouns = object_nouns(draft, verb, 1)
    if not nouns:
        return None
    group = verb_group(draft, verb, tense, subject, negative=draft.chance(0.1))
    to = draft.part("to^1", f"{verb.preposition}^1")
    other = person(draft, pronouns=False, plurals=False)
    return Predicate(group.auxiliary, group.part + thing(draft, nouns[0]) + to + other.part)


def intransitive_predicate(draft: Draft, tense: str, subject: Subject) -> Predicate | None:
    verbs = draft.lexicon.intransitive
    verb = draft.rng.choice(verbs)
    if not draft.lexicon.suits(verb, tense) or "person" not in verb.subjects:
        return None
    adverb = adverbial(draft, "frequency") if tense == "present" and draft.chance(0.4) else None
    group = verb_group(draft, verb, tense, subject, negative=adverb is None and draft.chance(0.1), adverb=adverb)
    part = group.part
    if verb.name in draft.lexicon.verbs["placed"] and draft.chance(0.4):
        part = part + place(draft)
    elif "point" not in verb.flags and draft.chance(0.4):
        part = part + manner(draft, verb, subject)
    return Predicate(group.auxiliary, part)


_MANNER = {
    "run": ("quickly^1 | rapidamente^1", "slowly^1 | devagar^1", "a^1 lot^1 | muito^1"),
    "walk": ("quickly^1 | rapidamente^1", "slowly^1 | devagar^1", "in^1 silence^2 | em^1 silêncio^2"),
    "wait": ("in^1 silence^2 | em^1 silêncio^2", "patiently^1 | pacientemente^1"),
    "work": ("a^1 lot^1 | muito^1", "in^1 silence^2 | em^1 silêncio^2", "with^1 care^2 | com^1 cuidado^2"),
    "study": ("a^1 lot^1 | muito^1", "in^1 silence^2 | em^1 silêncio^2"),
    "sleep": ("a^1 lot^1 | muito^1", "well^1 | bem^1"), "dance": ("a^1 lot^1 | muito^1", "well^1 | bem^1"),
}  # fmt: skip


def manner(draft: Draft, verb: Verb, subject: Subject) -> Part:
    choices = _MANNER.get(verb.name, ("a^1 lot^1 | muito^1",))
    source, _, target = draft.rng.choice(choices).partition("|")
    return draft.part(source, target)


def motion_predicate(draft: Draft, tense: str, subject: Subject) -> Predicate:
    """ "went to the market" / "foi ao mercado"."""
    verb = draft.rng.choice(draft.lexicon.motion)
    while tense in ("progressive", "now") and verb.name == "arrive":
        verb = draft.rng.choice(draft.lexicon.motion)
    group = verb_group(draft, verb, tense, subject, negative=draft.chance(0.07))
    noun = draft.rng.choice(usable(draft, draft.rng.choice(("place", "place", "shop"))))
    to = draft.part(f"{verb.english_preposition}^1", f"{verb.preposition}^1")
    return Predicate(group.auxiliary, group.part + to + noun_phrase(draft, noun, "the"))


def copula(draft: Draft, which: str, tense: str, subject: Subject, *, negative: bool = False) -> Predicate:
    """ "was", "was not" / "era", "não estava"; the rest of the predicate is the caller's."""
    key, negation = draft.key(), draft.key()
    if tense == "future":
        help_key = draft.key()
        source: Words = [("not", negation)] if negative else []
        target = [(_WILL[subject.person], help_key), (which, key)]
        return Predicate(
            [("will", help_key)],
            Part([*source, ("be", key)], ([("não", negation)] if negative else []) + target),
        )
    form = (_WAS if tense == "past" else _IS)[subject.english]
    target = [(_COPULA[which][tense][subject.person], key)]
    if negative:
        return Predicate([(form, key)], Part([("not", negation)], [("não", negation), *target]))
    return Predicate([(form, key)], Part([], target))


def adjective_predicate(
    draft: Draft, adjective: Adjective, tense: str, subject: Subject, *, negative: bool = False, very: bool = True
) -> Predicate:
    """ "was very tired" / "estava muito cansada", agreeing with the subject."""
    group = copula(draft, adjective.copula, tense, subject, negative=negative)
    part = group.part
    form = adjective.forms[subject.gender][subject.number]
    key = draft.key()
    if very and not {"phrase", "absolute"} & adjective.groups and draft.chance(0.35):
        part = part + draft.part("very^1", "muito^1")
    return Predicate(group.auxiliary, part + Part([(adjective.name, key)], words(form, key)), False)


def person_predicate(draft: Draft, tense: str, subject: Subject) -> Predicate:
    adjective = (
        draft.rng.choice(draft.lexicon.moods) if draft.chance(0.7) else draft.rng.choice(draft.lexicon.characters)
    )
    return adjective_predicate(draft, adjective, tense, subject, negative=draft.chance(0.12))


def profession_predicate(draft: Draft, tense: str, subject: Subject) -> Predicate:
    """ "is a doctor" / "é médica": no article in Portuguese."""
    group = copula(draft, "ser", tense, subject)
    row = draft.rng.choice(draft.lexicon.professions)
    noun = row[1] if subject.gender == "m" else row[2]
    plural = subject.number == 1
    head = draft.key()
    article: Words = [] if plural else [("a~", 0)]
    part = Part(article + words(noun.english[plural], head), words(noun.portuguese[plural], head))
    return Predicate(group.auxiliary, group.part + part, False)


def predicate(draft: Draft, tense: str, subject: Subject) -> Predicate | None:
    """Any predicate for a person in a tense."""
    draw = draft.rng.random()
    if draw < 0.5:
        return transitive_predicate(draft, tense, subject)
    if draw < 0.6:
        return giving_predicate(draft, tense, subject) if tense != "present" else None
    if draw < 0.72:
        return intransitive_predicate(draft, tense, subject)
    if draw < 0.84:
        return motion_predicate(draft, tense, subject)
    if tense in ("past", "present"):
        if draw > 0.97:
            return profession_predicate(draft, tense, subject)
        return person_predicate(draft, tense, subject)
    return None


def any_predicate(draft: Draft, tense: str, subject: Subject) -> Predicate:
    """A predicate of any kind."""
    while True:
        chosen = predicate(draft, tense, subject)
        if chosen is not None:
            return chosen


def reason(draft: Draft, subject: Subject, tense: str) -> Part:
    """ "because she was tired" / "porque ela estava cansada"."""
    because = draft.part("because^1", "porque^1")
    taken_up = again(draft, subject)
    when = "past" if tense in ("past", "progressive") else "present"
    if draft.chance(0.75):
        return because + statement(
            taken_up, adjective_predicate(draft, draft.rng.choice(draft.lexicon.moods), when, taken_up)
        )
    source, target = draft.rng.choice(_WISHES)
    wanted = statement(taken_up, _wish(draft, when, taken_up))
    return because + wanted + draft.part(source, target)


_WISHES = (
    ("to rest^1", "descansar^1"), ("to learn^1", "aprender^1"), ("to help^1", "ajudar^1"), ("to eat^1", "comer^1"),
    ("to sleep^1", "dormir^1"), ("to talk^1", "conversar^1"), ("to go^1 home^2", "ir^1 para casa^2"),
    ("to leave^1 early^2", "sair^1 cedo^2"), ("to work^1 more^2", "trabalhar^1 mais^2"),
)  # fmt: skip


def _wish(draft: Draft, tense: str, subject: Subject) -> Predicate:
    return verb_group(draft, draft.lexicon.by_verb["want"], tense, subject)


def although(draft: Draft, subject: Subject) -> Part:
    """ "although she was tired" / "embora ela estivesse cansada" (past)."""
    taken_up = again(draft, subject)
    adjective = draft.rng.choice(draft.lexicon.moods)
    key, feeling = draft.key(), draft.key()
    form = adjective.forms[subject.gender][subject.number]
    part = Part(
        [*taken_up.part.source, (_WAS[subject.english], key), (adjective.name, feeling)],
        [*taken_up.part.target, (_SUBJUNCTIVE[subject.person], key), *words(form, feeling)],
    )
    return draft.part(",^1 although^2", ",^1 embora^2") + part


def when_clause(draft: Draft, *, lasting: bool = False) -> Part:
    """ "when the bus arrived" / "quando o ônibus chegou"; "while the children were sleeping"."""
    subject = person(draft, pronouns=False)
    if not lasting and draft.chance(0.5):
        verbs = [verb for verb in draft.lexicon.intransitive if "point" in verb.flags]
        group = verb_group(draft, draft.rng.choice(verbs), "past", subject)
        return draft.part("when^1", "quando^1") + statement(subject, group)
    verbs = [verb for verb in draft.lexicon.intransitive if "point" not in verb.flags]
    group = verb_group(draft, draft.rng.choice(verbs), "progressive", subject)
    return draft.part("while^1", "enquanto^1") + statement(subject, group)


_ERRANDS = (
    ("leaving^1 the^2 office^3", "sair^1 de+ o^2 escritório^3"),
    ("eating^1", "comer^1"), ("resting^1", "descansar^1"),
    ("going^1 to^2 bed^3", "ir^1 para^2 a cama^3"), ("going^1 home^2", "ir^1 para casa^2"),
    ("working^1", "trabalhar^1"),
    ("going^1 out^1", "sair^1"), ("having^1 lunch^1", "almoçar^1"), ("studying^1", "estudar^1"),
    ("talking^1 to^2 the^3 neighbors^4", "falar^1 com^2 os^3 vizinhos^4"),
)  # fmt: skip


def errand(draft: Draft) -> Part:
    """ "before going home" / "antes de ir para casa"."""
    source, target = draft.rng.choice(_ERRANDS)
    before = draft.chance(0.5)
    start = draft.part("before^1", "antes^1 de") if before else draft.part("after^1", "depois^1 de")
    return start + draft.part(source, target)


_PURPOSES = (
    ("to^1 help^2 a^3 friend^4", "para^1 ajudar^2 um^3 amigo^4"), ("to^1 save^2 time^3", "para^1 ganhar^2 tempo^3"),
    ("to^1 please^2 the^3 teacher^4", "para^1 agradar^2 o^3 professor^4"),
    ("to^1 surprise^2 the^3 family^4", "para^1 surpreender^2 a^3 família^4"),
)  # fmt: skip


def purpose(draft: Draft) -> Part:
    return draft.part(*draft.rng.choice(_PURPOSES))


def person_with_relative(draft: Draft, tense: str = "past") -> Subject:
    """ "the woman who bought the lamp" / "a mulher que comprou o abajur"."""
    noun = draft.rng.choice(draft.lexicon.by_class[draft.rng.choice(("male", "female"))])
    if "kin" in noun.tags:
        noun = draft.rng.choice([each for each in draft.lexicon.by_class[noun.kind] if "kin" not in each.tags])
    head = noun_phrase(draft, noun, "the")
    third = ("he", "ele") if noun.gender == "m" else ("she", "ela")
    objects = ("him", "o") if noun.gender == "m" else ("her", "a")
    hollow = Subject(Part(), 1, "third", noun.gender, third, objects)
    chosen = any_predicate(draft, tense, hollow)
    part = head + draft.part("who^1", "que^1") + statement(hollow, chosen)
    return Subject(part, 1, "third", noun.gender, third, objects)


def thing_with_relative(draft: Draft) -> tuple[Part, Noun]:
    """ "the coat that Ana bought" / "o casaco que Ana comprou"."""
    while True:
        verb = draw_verb(draft, "past", lists=True)
        if "state" in verb.flags:
            continue
        nouns = object_nouns(draft, verb, 1)
        if nouns and not nouns[0].is_person:
            break
    noun = nouns[0]
    head = noun_phrase(draft, noun, "the", adjectives=describe(draft, noun, 0.25))
    subject = person(draft)
    group = verb_group(draft, verb, "past", subject, negative=draft.chance(0.05))
    return head + draft.part("that^1", "que^1") + statement(subject, group), noun


def chain(draft: Draft, who: Subject, count: int) -> Part:
    """More predicates of one subject: ", bought a book and went home"."""
    parts: list[Part] = []
    while len(parts) < count:
        chosen = (
            motion_predicate(draft, "past", who)
            if draft.chance(0.25)
            else transitive_predicate(draft, "past", who)
            if draft.chance(0.7)
            else giving_predicate(draft, "past", who)
        )
        if chosen is not None and chosen.is_event:
            parts.append(statement(hollow(who), chosen))
    joined = Part()
    for position, part in enumerate(parts):
        joined = joined + (draft.part("and^1", "e^1") if position == count - 1 else draft.part(",^1", ",^1")) + part
    return joined


def hollow(who: Subject) -> Subject:
    return Subject(Part(), who.person, who.english, who.gender, who.pronouns, who.objects)


def is_vague(tense: str, chosen: Predicate) -> bool:
    """Whether a habit still lacks its "every day" or "often"."""
    return tense == "present" and not any(word in _FREQUENCY for word, _ in chosen.part.source)


_FREQUENCY = ("always", "usually", "often", "rarely", "sometimes", "never")
