"""The words of the built-in corpus, read from lexicon.toml and frames.toml and put into the forms the grammar needs.

Held out for the test, both documented there and fixed for all time:

- nouns marked ``*``: they stand in it-frames only in the test split (and elsewhere in every split);
- one in eight pairs of a verb of ``verbs.held_out`` and its object noun, by the CRC-32 of ``"verb:noun"``: they occur
  only in the test split.
"""

from __future__ import annotations

import functools
import tomllib
import zlib
from dataclasses import dataclass
from importlib import resources

from regard.data.world import morphology

PERSON_CLASSES = frozenset({"male", "female", "profession"})
# Class of noun: the groups of adjectives that may stand beside it.
DESCRIBED_BY = {
    "container": "color size weight age look", "vessel": "color size age look", "vehicle": "color size age look",
    "furniture": "color size age look price", "cookware": "size age", "textile": "color size age garmentlike",
    "tool": "size age",
    "device": "age price state", "document": "age value text", "garment": "color age look garmentlike price",
    "food": "tasty", "drink": "warm", "animal": "animal", "toy": "color size age", "thing": "size age look",
    "plant": "size look", "road": "age", "room": "size", "place": "size place crowd", "shop": "size place crowd",
    "building": "size age look place", "abstract": "value text", "male": "human", "female": "human",
    "profession": "human",
}  # fmt: skip


@dataclass(frozen=True)
class Noun:
    """One noun: its English and Portuguese singular and plural, gender "m" or "f", and where it may stand."""

    name: str
    kind: str  # its class: the table of lexicon.toml it is in
    english: tuple[str, str]
    portuguese: tuple[str, str]
    gender: str
    tags: frozenset[str]

    @property
    def is_person(self) -> bool:
        return self.kind in PERSON_CLASSES

    @property
    def is_held_out(self) -> bool:
        return "*" in self.tags

    @property
    def is_mass(self) -> bool:
        return "mass" in self.tags


@dataclass(frozen=True)
class Adjective:
    """One adjective; `forms` by gender and number: {"m": (singular, plural), "f": (singular, plural)}."""

    name: str
    forms: dict[str, tuple[str, str]]
    copula: str  # "ser" or "estar"
    groups: frozenset[str]

    @property
    def stands_before(self) -> bool:
        return "pre" in self.groups


@dataclass(frozen=True)
class Verb:
    """One verb with its finite forms; Portuguese tables have four persons: eu, ele, nós, eles."""

    name: str
    base: str
    third: str
    past: str
    ing: str
    infinitive: str
    present: tuple[str, ...]
    preterite: tuple[str, ...]
    imperfect: tuple[str, ...]
    gerund: str
    participle: str
    preposition: str  # Portuguese, before the object or recipient: "de+", "a+", "em+", "até" or ""
    english_preposition: str
    subjects: tuple[str, ...]
    objects: tuple[str, ...]
    flags: frozenset[str]


Linked = tuple[tuple[str, int], ...]  # words with link numbers; 0 = unaligned
Main = tuple[str, Linked, Linked]  # tense, source, target


@dataclass(frozen=True)
class Cue:
    """A continuation of a frame that settles what *it* is: both sides, and the adjectives it may use."""

    source: Linked
    target: Linked
    adjectives: tuple[str, ...]


@dataclass(frozen=True)
class Frame:
    """One it-frame as in frames.toml; pools[slot][held_out][gender] are the nouns of a slot."""

    kind: str
    mains: tuple[Main, ...]
    cues: tuple[tuple[Cue, ...], tuple[Cue, ...]]
    pools: tuple[dict[bool, dict[str, tuple[Noun, ...]]], dict[bool, dict[str, tuple[Noun, ...]]]]

    @functools.cached_property
    def choices(self) -> tuple[tuple[tuple[int, Main, Cue], ...], ...]:
        """By antecedent (first, second): every (least words, main clause, cue)."""
        return tuple(
            tuple((_least_words(main[1]) + _least_words(cue.source), main, cue) for main in self.mains for cue in cues)
            for cues in self.cues
        )

    @functools.cached_property
    def shortest(self) -> int:
        """Fewest words in which both answers can be said."""
        return max(min(each[0] for each in choices) for choices in self.choices)


@dataclass(frozen=True, eq=False)
class Lexicon:
    """All words. Made once by `load`; nothing in it changes."""

    nouns: dict[str, Noun]
    adjectives: dict[str, Adjective]
    transitive: tuple[Verb, ...]
    giving: tuple[Verb, ...]
    intransitive: tuple[Verb, ...]
    motion: tuple[Verb, ...]
    speech: tuple[Verb, ...]
    professions: tuple[tuple[str, Noun, Noun], ...]  # English, masculine, feminine
    names: dict[str, tuple[str, ...]]  # "m", "f", "city"
    numbers: tuple[tuple[str, str, str], ...]  # English, masculine, feminine
    adverbials: dict[str, tuple[tuple[Linked, Linked], ...]]
    frames: tuple[Frame, ...]
    verbs: dict[str, frozenset[str]]
    by_class: dict[str, tuple[Noun, ...]]
    described: dict[str, tuple[Adjective, ...]]

    def is_held_out_pair(self, verb: str, noun: str) -> bool:
        """Whether this verb takes this object only in the test split."""
        return verb in self.verbs["held_out"] and zlib.crc32(f"{verb}:{noun}".encode()) % 8 == 0

    @functools.cached_property
    def moods(self) -> tuple[Adjective, ...]:
        """How a person may feel."""
        return tuple(each for each in self.adjectives.values() if "mood" in each.groups)

    @functools.cached_property
    def characters(self) -> tuple[Adjective, ...]:
        """What a person may be like."""
        return tuple(each for each in self.described["male"] if each.copula == "ser" and not each.stands_before)

    @functools.cached_property
    def without_held_out(self) -> dict[str, tuple[Noun, ...]]:
        """`by_class` without the nouns held out."""
        kept = {tag: tuple(each for each in nouns if not each.is_held_out) for tag, nouns in self.by_class.items()}
        return {tag: nouns for tag, nouns in kept.items() if nouns}

    @functools.cached_property
    def held_out(self) -> tuple[Noun, ...]:
        """Nouns that stand in it-frames only in the test."""
        return tuple(each for each in self.nouns.values() if each.is_held_out)

    @functools.cached_property
    def by_verb(self) -> dict[str, Verb]:
        """Transitive verbs by name."""
        return {verb.name: verb for verb in self.transitive}

    @functools.cached_property
    def usual(self) -> dict[tuple[str, bool], tuple[Verb, ...]]:
        """Transitive verbs for people by (tense, whether for a list of objects)."""
        table = {}
        for tense in ("past", "present", "progressive", "now", "future"):
            verbs = [each for each in self.transitive if "person" in each.subjects and self.suits(each, tense)]
            if tense == "present":
                verbs = [each for each in verbs if "state" in each.flags or each.name in self.verbs["habitual"]]
            table[tense, False] = tuple(verbs)
            table[tense, True] = tuple(
                each
                for each in verbs
                if not ({"who", "state"} & each.flags or each.preposition or "person" in each.objects)
                and each.name not in self.verbs["single"]
            )
        return table

    def suits(self, verb: Verb, tense: str) -> bool:
        """Whether a verb is natural in a tense: no "was finding", no "was knowing"."""
        if "state" in verb.flags:
            return tense in ("past", "present")
        if tense in ("progressive", "now"):
            return verb.name not in self.verbs["momentary"] and "point" not in verb.flags
        return True

    def num_lemmas(self) -> int:
        """How many English lemmas the tables hold (closed-class words of the grammar not counted)."""
        verbs = len({verb.base for group in self._verb_groups() for verb in group})
        names = sum(len(each) for each in self.names.values())
        adverbs = sum(len(each) for each in self.adverbials.values())
        nouns = len(self.nouns) - len(self.professions)  # listed under two genders
        return nouns + len(self.adjectives) + verbs + names + len(self.numbers) + adverbs

    def _verb_groups(self) -> tuple[tuple[Verb, ...], ...]:
        return self.transitive, self.giving, self.intransitive, self.motion, self.speech


@functools.cache
def load() -> Lexicon:
    """Read the tables that come with the package (about 50 ms, once)."""
    folder = resources.files("regard.data.world")
    words = tomllib.loads(folder.joinpath("lexicon.toml").read_text(encoding="utf-8"))
    frames = tomllib.loads(folder.joinpath("frames.toml").read_text(encoding="utf-8"))
    nouns = {name: _noun(name, kind, row) for kind, table in words["noun"].items() for name, row in table.items()}
    professions = []
    for name, row in words["profession"].items():
        masculine, female = row.split()
        pair = [
            Noun(name, "profession", (name, morphology.english_plural(name)), (word, plural), gender, frozenset())
            for gender, word in (("m", masculine), ("f", female))
            for plural in ["juízes" if word == "juiz" else morphology.portuguese_plural(word)]
        ]
        professions.append((name, pair[0], pair[1]))
        nouns[name], nouns[f"{name} (f)"] = pair
    adjectives = {name: _adjective(name, row) for name, row in words["adjective"].items()}
    by_class: dict[str, list[Noun]] = {}
    for noun in nouns.values():
        for tag in {noun.kind, noun.name, "person" if noun.is_person else "", *noun.tags} - {""}:
            if not (noun.kind == "profession" and noun.gender == "f"):  # "the doctor" alone is "o médico"
                by_class.setdefault(tag, []).append(noun)
    pools = {tag: tuple(members) for tag, members in by_class.items()}
    names = {key[0] if key != "city" else key: tuple(row.split()) for key, row in words["name"].items()}
    return Lexicon(
        nouns=nouns,
        adjectives=adjectives,
        transitive=tuple(_verb(name, row, "transitive") for name, row in words["verb"]["transitive"].items()),
        giving=tuple(_verb(name, row, "give") for name, row in words["verb"]["give"].items()),
        intransitive=tuple(_verb(name, row, "intransitive") for name, row in words["verb"]["intransitive"].items()),
        motion=tuple(_verb(name, row, "motion") for name, row in words["verb"]["motion"].items()),
        speech=tuple(_verb(name, row, "speech") for name, row in words["verb"]["speech"].items()),
        professions=tuple(professions),
        names={"m": names["m"], "f": names["f"], "city": names["city"]},
        numbers=tuple((name, *(row.split() * 2)[:2]) for name, row in words["number"].items()),
        adverbials={
            key: tuple((linked(row.split("|")[0]), linked(row.split("|")[1])) for row in rows)
            for key, rows in words["adverbial"].items()
        },
        frames=tuple(_frame(row, pools) for row in frames["frame"]),
        verbs={key: frozenset(row.split()) for key, row in words["verbs"].items()},
        by_class=pools,
        described={
            kind: tuple(
                each for each in adjectives.values() if each.groups & set(groups.split()) and "only" not in each.groups
            )
            for kind, groups in DESCRIBED_BY.items()
        },
    )


def linked(text: str) -> Linked:
    """ "last^1 week^2" -> (("last", 1), ("week", 2)); a word without ^ is unaligned (0)."""
    pairs = []
    for item in text.split():
        word, _, number = item.partition("^")
        pairs.append((word, int(number or 0)))
    return tuple(pairs)


def _noun(name: str, kind: str, row: str) -> Noun:
    portuguese, gender, *rest = row.replace("_", " \x00").replace(" \x00", "\x00").split()
    portuguese = portuguese.replace("\x00", " ")
    english = name.replace("_", " ")
    given = dict(tag.split("=") for tag in rest if "=" in tag)
    return Noun(
        name,
        kind,
        (english, given.get("en", morphology.english_plural(english))),
        (portuguese, given.get("pt", morphology.portuguese_plural(portuguese))),
        gender,
        frozenset(tag for tag in rest if "=" not in tag),
    )


def _adjective(name: str, row: str) -> Adjective:
    word, copula, *rest = row.split()
    word = word.replace("_", " ")
    given = dict(tag.split("=") for tag in rest if "=" in tag)
    female = given.get("f", morphology.feminine(word))
    if " " in word:  # com fome
        forms = {"m": (word, word), "f": (word, word)}
    else:
        forms = {
            gender: (form, given.get("pl", morphology.portuguese_plural(form)))
            for gender, form in (("m", word), ("f", female))
        }
    return Adjective(name, forms, copula, frozenset(tag for tag in rest if "=" not in tag))


def _verb(name: str, row: str, kind: str) -> Verb:
    past, portuguese, *rest = (part.strip() for part in row.split("|"))
    first, *more = portuguese.split()
    infinitive, _, preposition = first.partition("_")
    flags, subjects, objects, english_preposition = "", "person", "", ""
    if kind == "transitive":
        subjects, objects, *tail = rest
        flags = tail[0] if tail else ""
    elif kind == "give":
        objects, preposition, english_preposition = rest[0], more[0], "to"
    elif kind == "intransitive":
        subjects, *tail = rest
        flags = tail[0] if tail else ""
    elif kind == "motion":
        preposition, english_preposition = more[0], rest[0].split()[0]
    elif rest:
        flags = rest[0]
    given = dict(flag.split("=") for flag in flags.split() if "=" in flag)
    base = name.replace("_", " ")
    forms = morphology.conjugate(infinitive)
    return Verb(
        name=name,
        base=base,
        third=morphology.third_person(base),
        past=past,
        ing=morphology.ing(base),
        infinitive=infinitive,
        present=forms["present"],
        preterite=forms["past"],
        imperfect=forms["imperfect"],
        gerund=morphology.gerund(infinitive),
        participle=given.get("part", morphology.participle(infinitive)),
        preposition=preposition,
        english_preposition=english_preposition,
        subjects=tuple(subjects.split()),
        objects=tuple(objects.split()),
        flags=frozenset(flag for flag in flags.split() if "=" not in flag),
    )


def _frame(row: dict, pools: dict[str, tuple[Noun, ...]]) -> Frame:
    slots = []
    for slot in ("first", "second"):
        nouns = list(dict.fromkeys(noun for tag in row[slot].split() for noun in pools[tag]))
        slots.append(
            {
                held_out: {
                    gender: tuple(noun for noun in nouns if noun.gender == gender and noun.is_held_out == held_out)
                    for gender in "mf"
                }
                for held_out in (False, True)
            }
        )
    return Frame(
        kind=row["kind"],
        mains=tuple((tense, linked(source), linked(target)) for tense, source, target in row["main"]),
        cues=(_cues(row["about_first"]), _cues(row["about_second"])),
        pools=(slots[0], slots[1]),
    )


def _least_words(linked_words: Linked) -> int:
    """A noun phrase has at least two words, anything else one."""
    return sum(0 if word == "," else 2 if word in ("{A}", "{B}", "{L}") else 1 for word, _ in linked_words)


def _cues(rows: list[list[str]]) -> tuple[Cue, ...]:
    return tuple(Cue(linked(row[0]), linked(row[1]), tuple(row[2].split()) if len(row) > 2 else ()) for row in rows)
