"""It-frames: sentences whose *it* can be translated only by one who finds what it stands for.

Which of the two nouns *it* is, and which of the two genders that noun has, are both drawn evenly and apart from
each other: no rule that looks at position or gender alone can do better than chance (tests hold them under 60 %).

In training some frames may have two candidates of one gender, as real text has: where the genders always differ, the
first noun's alone is enough to know the other's.
"""

from __future__ import annotations

from regard.data.world.draft import Draft, Part, Words
from regard.data.world.lexicon import Frame, Noun
from regard.data.world.phrases import Subject, is_wild, noun_phrase, person, words

_SER = {"past": "era", "present": "é"}
_ESTAR = {"past": "estava", "present": "está"}
_BE = {"past": "was", "present": "is"}
_SUBJECT = {"m": "ele", "f": "ela"}
_CLITIC = {"m": "o", "f": "a"}
# A colour says nothing about size, weight or taste, so it may stand beside a candidate whatever the cue.
_COLORED = ("container", "vehicle", "furniture", "textile", "garment", "toy")
_NOBODYS = ("room", "place", "shop", "road", "plant", "food")
_LIQUIDS = ("water", "milk", "juice", "coffee", "tea", "wine", "lemonade")


def it_clause(draft: Draft, frame: Frame, max_words: int) -> Part:
    """One frame filled in: main clause, cue and pronoun; the draft remembers the pronoun and the candidates."""
    rng = draft.rng
    gender = rng.choice("mf")
    other = "f" if gender == "m" else "m"
    if draft.same_gender_share and draft.chance(draft.same_gender_share):
        other = gender
    genders = (gender, other)
    nouns = [rng.choice(frame.pools[slot][draft.test][genders[slot]]) for slot in (0, 1)]
    antecedent = rng.randrange(2)
    choices = frame.choices[antecedent]
    if max_words < 20:
        choices = tuple(each for each in choices if each[0] <= max_words)
    _, (tense, main_source, main_target), cue = rng.choice(choices)

    who = person(draft, pronouns=True, plurals=False) if ("{P}", 0) in main_source else None
    while who is not None and who.english != "third":  # the frames' verbs are in the third person
        who = person(draft, pronouns=True, plurals=False)
    phrases, heads = [], []
    for noun in nouns:
        phrases.append(_candidate(draft, noun, who))
        heads.append(next(key for key in reversed(draft.nouns) if draft.nouns[key] is noun))
    blocks: dict[str, Part] = {"{A}": phrases[0], "{B}": phrases[1]}
    if who is not None:
        blocks["{P}"] = who.part
    if ("{L}", 0) in main_source:
        blocks["{L}"] = noun_phrase(draft, rng.choice([draft.lexicon.nouns[each] for each in _LIQUIDS]), "the")

    it, be, described = draft.key(), draft.key(), draft.key()
    gold = genders[antecedent]
    blocks["{it}"] = Part([("it", it)], [(_SUBJECT[gold], it)])
    blocks["{clitic}"] = Part([], [(_CLITIC[gold], it)])
    blocks["{be}"] = Part([(_BE[tense], be)], [])
    blocks["{ser}"] = Part([], [(_SER[tense], be)])
    blocks["{estar}"] = Part([], [(_ESTAR[tense], be)])
    if cue.adjectives:
        adjective = draft.lexicon.adjectives[rng.choice(cue.adjectives)]
        if ("muita", 6) in cue.target:  # "very hungry" / "com muita fome": the noun alone
            form = adjective.forms[gold][0].removeprefix("com ")
        else:
            form = adjective.forms[gold][0]
        blocks["{adj}"] = Part([(adjective.name, described)], words(form, described))

    base = draft.num_keys
    draft.num_keys += 12
    source: Words = []
    for word, number in (*main_source, *cue.source):
        source.extend(blocks[word].source if word[0] == "{" else [(word, base + number if number else 0)])
    target: Words = []
    for word, number in (*main_target, *cue.target):
        target.extend(blocks[word].target if word[0] == "{" else [(word, base + number if number else 0)])
    subject = heads[0] if main_source[0][0] == "{A}" else None
    draft.pronouns.append((it, heads[antecedent], subject))
    return Part(source, target)


def _candidate(draft: Draft, noun: Noun, who: Subject | None) -> Part:
    """A definite noun phrase; now and then somebody's, or with a colour."""
    draw = draft.rng.random()
    determiner = "the"
    if not noun.is_mass and "fixed" not in noun.tags and noun.kind not in _NOBODYS and not is_wild(noun):
        if draw < 0.08:
            determiner = "my"
        elif draw < 0.14:
            determiner = "our"
        elif draw < 0.22:
            owner = draft.rng.choice("mf") if who is None else who.gender
            determiner = "her" if owner == "f" else "his"
        elif draw < 0.28:
            gender = draft.rng.choice("mf")
            determiner = f"{draft.rng.choice(draft.lexicon.names[gender])}'s"
        elif draw < 0.34:
            determiner = "this"
    if noun.kind in _COLORED and "fixed" not in noun.tags and draft.chance(0.22):
        colors = [each for each in draft.lexicon.described[noun.kind] if "color" in each.groups]
        return noun_phrase(draft, noun, determiner, adjectives=(draft.rng.choice(colors),))
    return noun_phrase(draft, noun, determiner)
