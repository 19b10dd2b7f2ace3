"""The constructions of sentences without *it*, by name: each begins a sentence, or is one."""

from __future__ import annotations

from collections.abc import Callable

from regard.data.world import clauses
from regard.data.world.clauses import statement
from regard.data.world.draft import Draft, Part
from regard.data.world.lexicon import Adjective, Noun
from regard.data.world.morphology import comparative
from regard.data.world.phrases import (
    Subject,
    adverbial,
    again,
    couple,
    noun_phrase,
    person,
    place,
    thing,
    usable,
    words,
)

# The words; the tense that a further clause must go with ("" = best left alone, "?" = a question); who may be taken up.
Begun = tuple[Part, str, Subject | None]
Maker = Callable[[Draft], Begun | None]


def _clause(draft: Draft) -> Begun | None:
    rng = draft.rng
    tense = rng.choice(("past", "past", "past", "present", "progressive", "now", "future"))
    who = person(draft)
    chosen = clauses.predicate(draft, tense, who)
    if chosen is None:
        return None
    part = statement(who, chosen)
    if tense == "now" or clauses.is_vague(tense, chosen) or (tense != "present" and draft.chance(0.4)):
        if not chosen.is_event:
            return part, tense, None
        when = adverbial(draft, tense)
        part = when + draft.part(",^1", ",^1") + part if tense != "now" and draft.chance(0.35) else part + when
    return part, tense, who if tense == "past" and chosen.is_event else None


def _copular(draft: Draft) -> Begun | None:
    """Things and what they are like; the adjectives of the it-frames beside every noun, held-out ones too."""
    noun = draft.rng.choice(_described_nouns(draft))
    choices = [each for each in draft.lexicon.described[noun.kind] if "pre" not in each.groups]
    cues = _CUES.get(noun.kind, ())
    too = False
    if cues and draft.chance(0.5):
        adjective = draft.lexicon.adjectives[draft.rng.choice(cues)]
        too = "absolute" not in adjective.groups and draft.chance(0.5)
    elif choices:
        adjective = draft.rng.choice(choices)
    else:
        return None
    tense = draft.rng.choice(("past", "present"))
    plural = not noun.is_mass and draft.chance(0.15)
    determiner = draft.rng.choice(("the", "the", "this")) if noun.is_mass or plural else draft.rng.choice(_OWNED)
    if noun.kind in ("place", "shop", "road", "building", "room") or "fixed" in noun.tags:
        determiner = "the"
    part = noun_phrase(draft, noun, determiner, plural=plural)
    gender = noun.gender
    who = Subject(part, 3 if plural else 1, "plural" if plural else "third", gender, ("", ""), ("", ""))
    negative = draft.chance(0.15)
    too = too and not negative
    chosen = clauses.adjective_predicate(draft, adjective, tense, who, negative=negative, very=not too)
    part = statement(who, chosen)
    if too:
        key = draft.key()
        part.source.insert(len(part.source) - 1, ("too", key))
        part.target.append(("demais", key))
    return part, "", None


_OWNED = ("the", "the", "the", "this", "my", "our", "his", "her")
_CUES = {
    "container": ("small", "large", "heavy", "light", "big", "empty", "full"),
    "vessel": ("small", "big", "empty", "full", "fragile"),
    "vehicle": ("slow", "fast", "big", "small", "old", "expensive"), "furniture": ("heavy", "big", "wide", "narrow"),
    "textile": ("long", "short", "wide", "small", "soft"), "tool": ("old", "light", "small"),
    "device": ("heavy", "expensive", "old"), "garment": ("tight", "long", "short", "expensive", "delicate"),
    "food": ("delicious", "tasty", "fresh"), "animal": ("hungry", "tired", "nervous", "small", "fast", "slow", "timid"),
    "toy": ("small", "light", "expensive"), "road": ("long", "narrow", "wide", "flooded", "blocked"),
    "room": ("small", "narrow", "big", "wide"), "shop": ("closed", "crowded", "full"), "plant": ("tall", "small"),
    "thing": ("old", "new", "small", "big", "beautiful", "ugly"), "cookware": ("hot", "cold", "old", "big"),
    "place": ("crowded", "closed", "quiet"), "document": ("long", "short", "important", "difficult"),
}  # fmt: skip


def _described_nouns(draft: Draft) -> tuple[Noun, ...]:
    """Nouns to describe; mostly those held out of it-frames, whose gender is learnt here."""
    if not draft.spare_held_out and draft.chance(0.7):
        return draft.lexicon.held_out
    return usable(draft, draft.rng.choice(tuple(_CUES)))


def _seen(draft: Draft) -> Begun | None:
    """ "Ana saw the red rock": any noun at all, mostly one of those held out of it-frames."""
    verb = draft.lexicon.by_verb[draft.rng.choice(("see", "photograph", "draw", "describe"))]
    noun = draft.rng.choice(_described_nouns(draft))
    if draft.lexicon.is_held_out_pair(verb.name, noun.name) and not draft.test:
        return None
    draft.pairs.append((verb.name, noun.name))
    who = person(draft)
    tense = draft.rng.choice(("past", "past", "past", "future"))
    group = clauses.verb_group(draft, verb, tense, who, negative=draft.chance(0.12))
    part = statement(who, group) + thing(draft, noun)
    if draft.chance(0.35):
        part = part + adverbial(draft, tense)
    return part, tense, who if tense == "past" else None


_FOUND = ("furniture", "animal", "tool", "toy", "container", "document", "garment", "food", "vessel")


def _there_is(draft: Draft) -> Begun | None:
    """ "There is a cat in the kitchen" / "Há um gato na cozinha"."""
    kind = draft.rng.choice(_FOUND)
    noun = draft.rng.choice(usable(draft, kind))
    if noun.is_mass or "fixed" in noun.tags or "predator" in noun.tags or noun.name in _WILD:
        return None
    tense = draft.rng.choice(("past", "present"))
    plural = draft.chance(0.4)
    determiner = draft.rng.choice(draft.lexicon.numbers)[0] if plural else "a"
    be = {("past", False): "was", ("past", True): "were", ("present", False): "is", ("present", True): "are"}
    verb = "havia" if tense == "past" else "há"
    adjectives = ()
    if draft.chance(0.35):
        adjectives = tuple(_adjective_of(draft, noun))
    part = draft.part(f"there^1 {be[tense, plural]}^1", f"{verb}^1")
    part = part + noun_phrase(draft, noun, determiner, plural=plural, adjectives=adjectives)
    return part + place(draft, ("room",)), "", None


_WILD = ("horse", "cow", "ox", "donkey", "mule", "elephant", "giraffe", "whale", "shark", "zebra", "deer", "pig")


def _adjective_of(draft: Draft, noun: Noun) -> list[Adjective]:
    choices = [each for each in draft.lexicon.described[noun.kind] if each.name in _PLAIN]
    return [draft.rng.choice(choices)] if choices else []


_PLAIN = ("red", "blue", "green", "yellow", "black", "white", "brown", "gray", "purple", "big", "small", "old", "new",
          "beautiful", "cheap", "expensive")  # fmt: skip


def _location(draft: Draft) -> Begun | None:
    """ "The keys are on the table" / "As chaves estão em cima da mesa"."""
    kind = draft.rng.choice(("tool", "document", "garment", "food", "toy", "textile", "vessel"))
    noun = draft.rng.choice(usable(draft, kind))
    if "fixed" in noun.tags or noun.name in ("chain", "bar", "song"):
        return None
    tense = draft.rng.choice(("past", "present"))
    plural = not noun.is_mass and draft.chance(0.25)
    determiner = "the" if plural or noun.is_mass else draft.rng.choice(_OWNED)
    part = noun_phrase(draft, noun, determiner, plural=plural, adjectives=tuple(_adjective_of(draft, noun)))
    subject = Subject(part, 3 if plural else 1, "plural" if plural else "third", noun.gender, ("", ""), ("", ""))
    group = clauses.copula(draft, "estar", tense, subject, negative=draft.chance(0.15))
    english, portuguese, where = draft.rng.choice(_WHERE)
    other = draft.lexicon.nouns[draft.rng.choice(where.split())]
    if other is noun or (draft.spare_held_out and other.is_held_out):
        return None
    return statement(subject, group) + draft.part(english, portuguese) + noun_phrase(draft, other, "the"), "", None


_WHERE = (
    ("on^1", "em^1 cima^1 de+", "table desk bed chair bench stool armchair sofa crate"),
    ("under^1", "debaixo^1 de+", "table desk bed chair bench sofa bookcase tree"),
    ("in^1", "em+^1", "box drawer backpack basket suitcase briefcase chest crate handbag sack"),
    ("behind^1", "atrás^1 de+", "door curtain sofa box fence tree wall armchair piano"),
    ("next^1 to^2", "ao^1 lado^1 de+^2", "table bed lamp computer window door clock mirror stove fridge"),
)


def _reason(draft: Draft) -> Begun | None:
    who = person(draft)
    tense = draft.rng.choice(("past", "past", "past", "present"))
    chosen = clauses.predicate(draft, tense, who)
    if chosen is None or not chosen.is_event:
        return None
    part = statement(who, chosen)
    if tense == "past" and draft.chance(0.3):
        return part + clauses.although(draft, who), tense, None
    return part + clauses.reason(draft, who, tense), tense, None


def _feminine_profession(draft: Draft) -> Begun | None:
    """ "The doctor left because she was tired": *she* makes it "a médica"."""
    row = draft.rng.choice(draft.lexicon.professions)
    gender = draft.rng.choice("mf")
    part = noun_phrase(draft, row[1] if gender == "m" else row[2], "the")
    third = (("he", "ele"), ("him", "o")) if gender == "m" else (("she", "ela"), ("her", "a"))
    who = Subject(part, 1, "third", gender, *third)
    while True:
        chosen = clauses.predicate(draft, "past", who)
        if chosen is not None and chosen.is_event:
            return statement(who, chosen) + clauses.reason(draft, who, "past"), "past", None


def _when(draft: Draft) -> Begun | None:
    who = person(draft)
    tense = draft.rng.choice(("past", "progressive"))
    chosen = clauses.transitive_predicate(draft, tense, who)
    if chosen is None or not chosen.is_event:
        return None
    part = statement(who, chosen)
    clause = clauses.when_clause(draft)
    if draft.chance(0.5):
        return part + clause, "past", None
    return clause + draft.part(",^1", ",^1") + part, "past", None


def _errand(draft: Draft) -> Begun | None:
    who = person(draft)
    tense = draft.rng.choice(("past", "future"))
    chosen = clauses.transitive_predicate(draft, tense, who)
    if chosen is None or not chosen.is_event:
        return None
    part = statement(who, chosen)
    if draft.chance(0.3):
        return part + clauses.purpose(draft), tense, None
    return part + clauses.errand(draft), tense, None


def _speech(draft: Draft) -> Begun | None:
    who = person(draft)
    verb = draft.rng.choice(draft.lexicon.speech)
    said = person(draft, pronouns=False) if draft.chance(0.6) or who.english != "third" else again(draft, who)
    chosen = clauses.predicate(draft, "past", said)
    if chosen is None:
        return None
    group = clauses.verb_group(draft, verb, "past", who)
    return statement(who, group) + draft.part("that^1", "que^1") + statement(said, chosen), "past", None


def _relative(draft: Draft) -> Begun | None:
    draw = draft.rng.random()
    if draw < 0.5:
        who = clauses.person_with_relative(draft)
        return statement(who, clauses.person_predicate(draft, "past", who)), "past", None
    if draw < 0.7:
        who = person(draft)
        other = clauses.person_with_relative(draft)
        verb = draft.rng.choice([each for each in draft.lexicon.transitive if "clitic" in each.flags])
        group = clauses.verb_group(draft, verb, "past", who)
        return statement(who, group) + other.part, "past", who
    if draw < 0.85:
        # "the city where Ana lives"
        noun = draft.rng.choice([draft.lexicon.nouns[each] for each in ("city", "village", "house", "farm", "hotel")])
        who = person(draft)
        inner = person(draft, pronouns=False)
        verb = draft.rng.choice([draft.lexicon.by_verb[each] for each in ("visit", "know", "photograph")])
        group = clauses.verb_group(draft, verb, "past", who)
        work = draft.rng.choice([each for each in draft.lexicon.intransitive if each.name in ("work", "study", "rest")])
        where = draft.part("where^1", "onde^1")
        return (
            statement(who, group) + noun_phrase(draft, noun, "the") + where
            + statement(inner, clauses.verb_group(draft, work, "past", inner)),
            "past",
            None,
        )  # fmt: skip
    what, noun = clauses.thing_with_relative(draft)
    if noun.is_mass:
        return None
    subject = Subject(what, 1, "third", noun.gender, ("", ""), ("", ""))
    choices = [each for each in draft.lexicon.described[noun.kind] if "pre" not in each.groups]
    if not choices:
        return None
    chosen = clauses.adjective_predicate(draft, draft.rng.choice(choices), "past", subject)
    return statement(subject, chosen), "past", None


def _yes_no(draft: Draft) -> Begun | None:
    who = person(draft)
    tense = draft.rng.choice(("past", "past", "present", "future", "progressive"))
    if draft.chance(0.25) and tense in ("past", "present"):
        return clauses.question(who, clauses.person_predicate(draft, tense, who)), "?", None
    part = clauses.transitive(draft, tense, who, asking=True)
    if part is None:
        return None
    if draft.chance(0.3) and tense in ("past", "future"):
        part = part + adverbial(draft, tense)
    return part, "?", None


def _wh(draft: Draft) -> Begun | None:
    rng = draft.rng
    draw = rng.random()
    tense = rng.choice(("past", "past", "future"))
    if draw < 0.2:
        hollow = Subject(Part(), 1, "third", "m", ("", ""), ("", ""))
        chosen = clauses.transitive_predicate(draft, "past", hollow)
        if chosen is None or chosen.auxiliary:
            return None
        return draft.part("who^1", "quem^1") + statement(hollow, chosen), "?", None
    who = person(draft)
    if draw < 0.65:
        word = rng.choice(("where^1 | onde^1", "when^1 | quando^1", "why^1 | por^1 que^1", "how^1 | como^1"))
        part = clauses.transitive(draft, tense, who, asking=True)
        if part is None or "not" in [item for item, _ in part.source]:
            return None
        return draft.part(*word.split("|")) + part, "?", None
    verb = clauses.draw_verb(draft, tense, lists=True)
    group = clauses.verb_group(draft, verb, tense, who, asking=True)
    asked = clauses.question(who, group)
    if draw < 0.75:
        return draft.part("what^1", "o^1 que^1") + asked + adverbial(draft, tense), "?", None
    nouns = clauses.object_nouns(draft, verb, 1)
    if not nouns or nouns[0].is_mass:
        return None
    noun = nouns[0]
    key, head = draft.key(), draft.key()
    if draw < 0.88:
        many = "quantos" if noun.gender == "m" else "quantas"
        asked = Part(
            [("how", key), ("many", key), *words(noun.english[1], head), *asked.source],
            [(many, key), *words(noun.portuguese[1], head), *asked.target],
        )
    else:
        asked = Part(
            [("which", key), *words(noun.english[0], head), *asked.source],
            [("qual", key), *words(noun.portuguese[0], head), *asked.target],
        )
    draft.used.append(noun)
    return asked, "?", None


def _profession(draft: Draft) -> Begun | None:
    who = person(draft)
    if who.pronouns[0] in ("you", "I"):  # English does not tell the gender
        return None
    tense = draft.rng.choice(("past", "present"))
    return statement(who, clauses.profession_predicate(draft, tense, who)), "", None


def _comparison(draft: Draft) -> Begun | None:
    """ "Ana is taller than Pedro" / "Ana é mais alta que Pedro"."""
    first = person(draft, pronouns=False, plurals=False)
    second = person(draft, pronouns=False, plurals=False)
    adjective = draft.rng.choice(draft.lexicon.characters)
    group = clauses.copula(draft, "ser", draft.rng.choice(("present", "past")), first)
    key, more = draft.key(), draft.key()
    form = adjective.forms[first.gender][0]
    if "-er" in adjective.groups:
        source = [(comparative(adjective.name), key)]
        target = [("mais", key), (form, key)]
    else:
        source = [("more", more), (adjective.name, key)]
        target = [("mais", more), (form, key)]
    if first.part.source == second.part.source:
        return None
    return statement(first, group) + Part(source, target) + draft.part("than^1", "que^1") + second.part, "", None


def _passive(draft: Draft) -> Begun | None:
    """ "The letter was written by Ana" / "A carta foi escrita por Ana"."""
    verb = draft.lexicon.by_verb[draft.rng.choice(tuple(_PARTICIPLES))]
    nouns = clauses.object_nouns(draft, verb, 1)
    if not nouns or nouns[0].is_person:
        return None
    noun = nouns[0]
    plural = not noun.is_mass and draft.chance(0.25)
    part = noun_phrase(draft, noun, "the", plural=plural)
    by = person(draft, pronouns=False)
    be, key = draft.key(), draft.key()
    form = verb.participle
    form = (form[:-1] + "a" if noun.gender == "f" else form) + ("s" if plural else "")
    spoken = _PARTICIPLES[verb.name] or verb.past
    passive = Part(
        [("were" if plural else "was", be), (spoken, key)], [("foram" if plural else "foi", be), (form, key)]
    )
    return part + passive + draft.part("by^1", "por+^1") + by.part, "past", None


# English participles where they are not the past: "" = the same.
_PARTICIPLES = {
    "buy": "", "sell": "", "find": "", "clean": "", "wash": "", "repair": "", "paint": "", "eat": "eaten", "cook": "",
    "read": "", "write": "written", "translate": "", "sign": "", "open": "", "close": "", "steal": "stolen",
    "bring": "", "build": "", "plant": "", "solve": "", "explain": "", "finish": "", "lose": "", "hide": "hidden",
    "break": "broken", "photograph": "", "use": "",
}  # fmt: skip


def _list(draft: Draft) -> Begun | None:
    who = person(draft)
    tense = draft.rng.choice(("past", "past", "past", "future"))
    part = clauses.transitive(draft, tense, who, items=draft.rng.choice((3, 3, 4, 5)))
    if part is None:
        return None
    if draft.chance(0.5):
        part = adverbial(draft, tense) + draft.part(",^1", ",^1") + part
    return part, tense, who if tense == "past" else None


def _story(draft: Draft) -> Begun | None:
    """One subject, several things done one after another."""
    who = couple(draft) if draft.chance(0.2) else person(draft)
    chosen = clauses.motion_predicate(draft, "past", who)
    part = statement(who, chosen) + clauses.chain(draft, who, draft.rng.choice((2, 2, 3)))
    if draft.chance(0.5):
        part = adverbial(draft, "past") + draft.part(",^1", ",^1") + part
    return part, "past", who


def _city(draft: Draft) -> Begun | None:
    """ "Ana traveled to Recife by bus" / "Ana viajou para Recife de ônibus"."""
    who = person(draft)
    verb = next(each for each in draft.lexicon.intransitive if each.name == "travel")
    tense = draft.rng.choice(("past", "future", "progressive"))
    group = clauses.verb_group(draft, verb, tense, who, negative=draft.chance(0.1))
    city = draft.rng.choice(draft.lexicon.names["city"])
    english = "Lisbon" if city == "Lisboa" else city
    part = statement(who, group) + draft.part(f"to^1 {english}^2", f"para^1 {city}^2")
    if draft.chance(0.7):
        vehicle = draft.rng.choice(("bus", "train", "plane", "car", "boat", "motorcycle"))
        part = part + draft.part(f"by^1 {vehicle}^2", f"de^1 {draft.lexicon.nouns[vehicle].portuguese[0]}^2")
    if draft.chance(0.5) or part.num_words() < 5:
        part = part + adverbial(draft, tense)
    return part, tense, who if tense == "past" else None


SHORT: dict[str, tuple[float, Maker]] = {
    "clause": (3.4, _clause), "copular": (2.8, _copular), "seen": (2.0, _seen),
    "there-is": (0.6, _there_is), "location": (0.9, _location),
    "reason": (1.0, _reason), "profession-gender": (0.4, _feminine_profession), "when": (0.6, _when),
    "errand": (0.6, _errand), "speech": (0.6, _speech), "relative": (0.9, _relative), "yes-no": (0.9, _yes_no),
    "wh": (1.0, _wh), "profession": (0.35, _profession), "comparison": (0.4, _comparison), "passive": (0.6, _passive),
    "list": (0.3, _list), "city": (0.35, _city),
}  # fmt: skip
LONG: dict[str, tuple[float, Maker]] = {
    "clause": (0.8, _clause), "reason": (0.6, _reason), "when": (0.6, _when), "errand": (0.5, _errand),
    "speech": (0.7, _speech), "relative": (1.0, _relative), "list": (1.4, _list), "story": (1.6, _story),
    "passive": (0.4, _passive), "seen": (1.6, _seen), "city": (0.4, _city),
    "profession-gender": (0.3, _feminine_profession),
}  # fmt: skip
