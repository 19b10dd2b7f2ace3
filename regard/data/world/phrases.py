"""Noun phrases, subjects and adverbials: determiners, agreement, the place of adjectives, lists."""

from __future__ import annotations

from dataclasses import dataclass

from regard.data.world.draft import Draft, Part, Words
from regard.data.world.lexicon import DESCRIBED_BY, Adjective, Noun

# For masculine and feminine, singular and plural.
_THE = {"m": ("o", "os"), "f": ("a", "as")}
_A = {"m": "um", "f": "uma"}
_POINTING = {
    "this": {"m": ("este", "estes"), "f": ("esta", "estas")},
    "that": {"m": ("aquele", "aqueles"), "f": ("aquela", "aquelas")},
    "my": {"m": ("meu", "meus"), "f": ("minha", "minhas")},
    "our": {"m": ("nosso", "nossos"), "f": ("nossa", "nossas")},
}
_OWNERS = {"his": "dele", "her": "dela"}
_PLURAL = {"this": "these", "that": "those"}


@dataclass(frozen=True)
class Subject:
    """A subject with what its verb must agree with."""

    part: Part
    person: int  # 0 eu, 1 ele/você, 2 nós, 3 eles: position in a Portuguese verb table
    english: str  # "I", "third" (singular) or "plural"
    gender: str
    pronouns: tuple[str, str]  # the pronouns that take it up again: ("she", "ela")
    objects: tuple[str, str]  # the same as objects: ("her", "a"); ("", "") when there is none

    @property
    def number(self) -> int:
        """0 singular, 1 plural: position in a noun's or an adjective's forms."""
        return int(self.person >= 2)


def words(text: str, key: int) -> Words:
    """All words of a text under one key."""
    return [(word, key) for word in text.split()] if " " in text else [(text, key)]


def noun_phrase(
    draft: Draft,
    noun: Noun,
    determiner: str = "the",
    *,
    plural: bool = False,
    adjectives: tuple[Adjective, ...] = (),
    as_candidate: bool = True,
) -> Part:
    """ "the red box" / "a caixa vermelha". A determiner may also be a number or an owner's name with 's."""
    number = int(plural)
    gender = noun.gender
    head = draft.key()
    if not noun.is_person and not plural and as_candidate:
        draft.nouns[head] = noun
    draft.used.append(noun)
    before: Words = []
    after: Words = []
    described: Words = []
    for adjective in adjectives:
        key = draft.key()
        described.append((adjective.name, key))
        # Beside a colour, size and age go before the noun: "a velha caixa vermelha".
        early = adjective.stands_before or (len(adjectives) > 1 and adjective is adjectives[0])
        (before if early else after).append((adjective.forms[gender][number], key))
    key = draft.key()
    owner: Words = []
    if determiner == "the":
        source, target = [("the", key)], [(_THE[gender][number], key)]
    elif determiner == "a":
        source, target = [("a~", key)], [(_A[gender], key)]
    elif determiner in _POINTING:
        word = _PLURAL.get(determiner, determiner) if plural else determiner
        source, target = [(word, key)], [(_POINTING[determiner][gender][number], key)]
    elif determiner in _OWNERS:
        source, target = [(determiner, key)], [(_THE[gender][number], 0)]
        owner = [(_OWNERS[determiner], key)]
    elif determiner == "":
        source, target = [], []
    elif determiner.endswith("'s"):
        mark = draft.key()
        source, target = [(determiner[:-2], key), ("'s", mark)], [(_THE[gender][number], 0)]
        owner = [("de", mark), (determiner[:-2], key)]
    else:
        masculine, female = next(row[1:] for row in draft.lexicon.numbers if row[0] == determiner)
        source, target = [(determiner, key)], [(masculine if gender == "m" else female, key)]
    return Part(
        source + described + words(noun.english[number], head),
        target + before + words(noun.portuguese[number], head) + after + owner,
    )


def describe(draft: Draft, noun: Noun, probability: float) -> tuple[Adjective, ...]:
    """One adjective, now and then two (size or age, then colour), that suit the noun; often none."""
    if not draft.chance(probability):
        return ()
    choices = draft.lexicon.described[noun.kind]
    if noun.kind == "tool":
        choices = tuple(each for each in choices if each.name in ("new", "old", "modern"))
    if not choices:
        return ()
    first = draft.rng.choice(choices)
    if first.groups & {"size", "age"} and "color" in DESCRIBED_BY[noun.kind] and draft.chance(0.3):
        return first, draft.rng.choice([each for each in choices if "color" in each.groups])
    return (first,)


def is_wild(noun: Noun) -> bool:
    """An animal that is nobody's."""
    return noun.kind == "animal" and "pet" not in noun.tags and noun.name not in _KEPT


_KEPT = ("horse", "cow", "ox", "donkey", "mule", "pig", "bird")
# What people have several of: the others do not come in numbers.
_SEVERAL = ("food", "document", "garment", "tool", "toy", "plant", "vessel", "textile", "animal", "male", "female")


def thing(draft: Draft, noun: Noun, *, described: float = 0.3) -> Part:
    """A noun phrase for an object: any determiner that suits the noun."""
    adjectives = describe(draft, noun, described)
    if noun.is_mass:
        bare = noun.kind in ("food", "drink") or noun.name == "music"
        return noun_phrase(draft, noun, draft.rng.choice(("the", "", "") if bare else ("the",)), adjectives=adjectives)
    draw = draft.rng.random()
    if is_wild(noun):
        draw *= 0.67
    if "fixed" in noun.tags or noun.kind in ("room", "place", "shop", "road", "building"):
        determiner = "the" if draw < 0.8 else "this" if draw < 0.9 else "that"
        return noun_phrase(draft, noun, determiner, adjectives=adjectives)
    if draw < 0.36:
        return noun_phrase(draft, noun, "the", adjectives=adjectives)
    if draw < 0.6:
        return noun_phrase(draft, noun, "a", adjectives=adjectives)
    if draw < 0.67:
        return noun_phrase(draft, noun, draft.rng.choice(("this", "that")), adjectives=adjectives)
    if draw < 0.75:
        return noun_phrase(draft, noun, draft.rng.choice(("my", "our")), adjectives=adjectives)
    if draw < 0.8:
        return noun_phrase(draft, noun, draft.rng.choice(("his", "her")), adjectives=adjectives)
    if draw < 0.84:
        return noun_phrase(draft, noun, f"{name(draft)[0]}'s", adjectives=adjectives)
    if noun.kind not in _SEVERAL or "large" in noun.tags:
        return noun_phrase(draft, noun, "the", adjectives=adjectives)
    if draw < 0.92:
        count = draft.rng.choice(draft.lexicon.numbers)[0]
        return noun_phrase(draft, noun, count, plural=True, adjectives=adjectives)
    return noun_phrase(draft, noun, "the", plural=True, adjectives=adjectives)


def listing(draft: Draft, nouns: list[Noun]) -> Part:
    """ "a book, two pens and the lamp"."""
    part = thing(draft, nouns[0], described=0.25)
    for noun in nouns[1:-1]:
        part = part + draft.part(",^1", ",^1") + thing(draft, noun, described=0.25)
    if len(nouns) > 1:
        part = part + draft.part("and^1", "e^1") + thing(draft, nouns[-1], described=0.25)
    return part


def name(draft: Draft) -> tuple[str, str]:
    """A first name and its gender."""
    gender = draft.rng.choice("mf")
    return draft.rng.choice(draft.lexicon.names[gender]), gender


_PRONOUNS = {
    "I": (0, "I", "m", ("eu",), ("me", "me")), "you": (1, "plural", "m", ("você",), ("", "")),
    "he": (1, "third", "m", ("ele",), ("him", "o")), "she": (1, "third", "f", ("ela",), ("her", "a")),
    "we": (2, "plural", "m", ("nós",), ("us", "nos")), "they": (3, "plural", "m", ("eles",), ("them", "os")),
}  # fmt: skip
_THIRD = {"m": (("he", "ele"), ("him", "o")), "f": (("she", "ela"), ("her", "a"))}
_THIRDS = {"m": (("they", "eles"), ("them", "os")), "f": (("they", "elas"), ("them", "as"))}


def pronoun_subject(draft: Draft, word: str) -> Subject:
    person, english, gender, (target,), objects = _PRONOUNS[word]
    key = draft.key()
    return Subject(Part([(word, key)], [(target, key)]), person, english, gender, (word, target), objects)


def again(draft: Draft, subject: Subject) -> Subject:
    """The same subject, taken up by its pronoun."""
    key = draft.key()
    part = Part([(subject.pronouns[0], key)], [(subject.pronouns[1], key)])
    return Subject(part, subject.person, subject.english, subject.gender, subject.pronouns, subject.objects)


def _third(part: Part, gender: str, plural: bool = False) -> Subject:
    pronouns, objects = (_THIRDS if plural else _THIRD)[gender]
    return Subject(part, 3 if plural else 1, "plural" if plural else "third", gender, pronouns, objects)


def person(draft: Draft, *, pronouns: bool = True, plurals: bool = True) -> Subject:
    """Somebody: a name, a relation, a profession, a pronoun, or two people."""
    draw = draft.rng.random()
    lexicon, rng = draft.lexicon, draft.rng
    if pronouns and draw < 0.2:
        return pronoun_subject(draft, rng.choice(("I", "he", "she", "we", "they", "he", "she", "you")))
    if draw < 0.45:
        word, gender = name(draft)
        key = draft.key()
        return _third(Part([(word, key)], [(word, key)]), gender)
    if draw < 0.58 and plurals:
        return couple(draft)
    if draw < 0.78:
        noun = rng.choice(lexicon.by_class["kin"])
        return _third(noun_phrase(draft, noun, _whose(draft, noun)), noun.gender)
    noun = rng.choice(lexicon.by_class[rng.choice(("male", "female", "profession"))])
    plural = plurals and "kin" not in noun.tags and draft.chance(0.25)
    if "kin" in noun.tags:
        return _third(noun_phrase(draft, noun, "my"), noun.gender)
    adjectives = describe(draft, noun, 0.2)
    return _third(noun_phrase(draft, noun, "the", plural=plural, adjectives=adjectives), noun.gender, plural)


def _whose(draft: Draft, noun: Noun) -> str:
    """Whose relation somebody is: a husband is hers, a wife his."""
    owner = draft.rng.choice(("my", "my", "our", "his", "her", ""))
    if noun.name in ("husband", "wife"):
        owner = "my" if owner in ("my", "our", "") else "her" if noun.name == "husband" else "his"
    return owner or f"{name(draft)[0]}'s"


def couple(draft: Draft) -> Subject:
    """ "Ana and Pedro", "Ana and her brother": a plural subject; masculine unless both are women."""
    first, gender = name(draft)
    key = draft.key()
    part = Part([(first, key)], [(first, key)]) + draft.part("and^1", "e^1")
    if draft.chance(0.5):
        second, other = name(draft)
        while second == first:
            second, other = name(draft)
        key = draft.key()
        part = part + Part([(second, key)], [(second, key)])
    else:
        spouse = "husband" if gender == "m" else "wife"
        noun = draft.rng.choice([each for each in draft.lexicon.by_class["kin"] if each.name != spouse])
        part = part + noun_phrase(draft, noun, "her" if gender == "f" else "his")
        other = noun.gender
    return _third(part, "f" if gender == other == "f" else "m", plural=True)


def place(draft: Draft, classes: tuple[str, ...] = ("room", "place", "shop")) -> Part:
    """ "in the kitchen" / "na cozinha", "at school" being avoided for its missing article."""
    noun = draft.rng.choice(usable(draft, draft.rng.choice(classes)))
    preposition = next((tag for tag in ("at", "on") if tag in noun.tags), "in")
    return draft.part(f"{preposition}^1", "em+^1") + noun_phrase(draft, noun, "the")


def adverbial(draft: Draft, table: str) -> Part:
    return draft.linked(*draft.rng.choice(draft.lexicon.adverbials[table]))


def usable(draft: Draft, tag: str) -> tuple[Noun, ...]:
    """Nouns with a tag, without the held-out ones where these must not stand."""
    return (draft.lexicon.without_held_out if draft.spare_held_out else draft.lexicon.by_class)[tag]
