"""What each head of attention does, measured on data: where it looks, how far, and whether it finds an antecedent."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from regard.aligning import stretches, untrained
from regard.api import Encoder, LanguageModel, Model
from regard.data import antecedents
from regard.data.word_pieces import Groups, piece_groups, word_spans
from regard.errors import InputError, ModelError
from regard.evaluation.alignment import words_from_pieces
from regard.head_examples import Example, Mention, read_source
from regard.look.roles import draw_roles
from regard.look.weights import KINDS

# What is measured, and what it says of a head. All but the last two are shares from 0 to 1.
MEASURES: dict[str, str] = {
    "previous": "weight on the word before",
    "next": "weight on the word after",
    "same": "weight on the word itself",
    "repeated": "weight on other places of the same word, of words that have some (a decoder's: before it)",
    "aligned": "weight on the gold translation of the word",
    "separators": "weight on punctuation and special tokens",
    "antecedent": "share of pronouns from which the head looks at a word of the antecedent more than at any other word",
    "candidate": "share of pronouns from which it looks more at the antecedent than at the other candidates",
    "distance": "mean distance of what it looks at, in words",
    "spread": "mean entropy of a row, in bits",
}
# What can be found, and by which measure. Rules choose among the candidates alone, as the role "candidate" does.
FINDABLE = {
    "coreference": "antecedent",
    "candidate": "candidate",
    "previous": "previous",
    "next": "next",
    "repeated": "repeated",
    "alignment": "aligned",
}
# What a map of a measure says of its numbers; how many words or pronouns they are of stands behind it.
_UNITS = {
    "antecedent": "share of pronouns",
    "candidate": "share of pronouns",
    "distance": "in words, mean over words",
    "spread": "in bits, mean over words",
}
_NUM_RANKED = 5  # heads that are shown of those that were chosen from
ABOUT_PRONOUNS = ("coreference", "candidate")
_OF_LANGUAGE_MODELS = ("previous", "repeated")
_NEEDED = {
    "coreference": f"antecedents: world:1000, or a file of {antecedents.KINDS}",
    "candidate": f"antecedents: world:1000, or a file of {antecedents.KINDS}",
    "alignment": "gold alignments, such as world:1000",
    "previous": "a model with attention within a sentence",
    "next": "a model with an encoder's attention",
    "repeated": "attention within a sentence, and sentences in which a word stands twice",
}


@dataclass(frozen=True)
class HeadRoles:
    """One head's measures; one that cannot be taken of its kind, or on this data, is missing."""

    kind: str
    layer: int  # from 0
    head: int
    measures: dict[str, float]
    counts: dict[str, int]  # of each measure the words or pronouns whose mean it is

    @property
    def name(self) -> str:
        return f"{self.kind} {self.layer + 1}.{self.head + 1}"

    def place(self) -> dict[str, Any]:
        """Which head it is, for machines; counted from 1, as people do."""
        return {"kind": self.kind, "layer": self.layer + 1, "head": self.head + 1}

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {**self.place(), "measures": self.measures, "counts": self.counts}


@dataclass(frozen=True)
class Ranked:
    """A head by one measure."""

    roles: HeadRoles  # measured on dev
    dev: float
    test: float


@dataclass(frozen=True)
class Found:
    """The heads that do one thing best: chosen on dev, scored on test."""

    measure: str
    ranking: list[Ranked]  # the best few on dev, best first; that one is chosen
    untrained: list[float]  # of models with random weights, chosen on dev and scored on test in the same way
    # What rules without a model reach on test: nearest noun, first noun, ... They choose among the candidates alone.
    rules: dict[str, float]
    candidate: float | None  # what the chosen head reaches on test when it does so too; None: it was not measured

    @property
    def chosen(self) -> HeadRoles:
        """The best head, measured on dev."""
        return self.ranking[0].roles

    @property
    def test(self) -> float:
        """Its score on test."""
        return self.ranking[0].test

    def to_json(self) -> dict[str, Any]:
        """For machines; layers and heads from 1, as people count them."""
        return {
            "measure": self.measure,
            "chosen": self.chosen.to_json(),
            "test": self.test,
            "ranking": [{**each.roles.place(), "dev": each.dev, "test": each.test} for each in self.ranking],
            "untrained": self.untrained,
            "rules": self.rules,
            "candidate": self.candidate,
        }


def measure(model: Model, examples: Sequence[Example]) -> list[HeadRoles]:
    """Measure every head of a model over examples. The weights come from a forced pass over the given translations; of
    texts without a translation only an encoder's own heads can be measured, and an encoder such as BERT reads no other.
    A language model reads the same texts; of its heads is measured what needs no gold, by the rows that predict a word.

    A head finds an antecedent ("antecedent") if the word it looks at most from the pronoun, other than the pronoun
    itself, is one of the antecedent's; another mention of the same person, as a long text may have, does not count.
    It picks the candidate ("candidate") whose words together have the larger weight. Of equals the first is taken.

    Raises:
        InputError: some examples have a translation and some have none.
        ModelError: the model has no such attention, or cannot take an example whole.
    """
    if isinstance(model, LanguageModel):  # what it writes is what it reads
        examples = [Example("", (), each.source, each.source_words, where=each.where) for each in examples]
    if isinstance(model, Encoder):
        examples = [dataclasses.replace(example, target=None) for example in examples]
    totals: dict[str, _Totals] = {}
    for weights, example in zip(word_weights(model, examples), examples, strict=True):
        for kind, (words, special) in weights.items():
            if kind not in totals:
                totals[kind] = _Totals(words.shape[:2])
            _add(totals[kind], kind, words, special, example)
    return [
        HeadRoles(
            kind,
            layer,
            head,
            {name: float(values[layer, head]) for name, values in found.items()},
            totals[kind].counts,
        )
        for kind in KINDS
        if kind in totals
        for found in [totals[kind].means()]
        for layer in range(totals[kind].shape[0])
        for head in range(totals[kind].shape[1])
    ]


def find(
    model: Model,
    what: str,
    dev: Sequence[Example],
    test: Sequence[Example],
    *,
    seeds: int = 3,
    rules: Mapping[str, float] | None = None,
    measured: Sequence[HeadRoles] | None = None,
) -> Found:
    """Choose the head that does `what` best on dev, and score it on test; the next best few stand beside it. Only heads
    that can be measured on both stand for choice: where one of the two has no translations, those of the encoder.

    Args:
        what: one of FINDABLE.
        seeds: how many models with random weights the same is done with: what selection alone gives.
        rules: what rules without a model reach on test (see `ExampleSet`), to stand beside what is found of pronouns.
        measured: what `measure` gave for the model on test, if that is known already.

    Raises:
        InputError: an unknown role, or data that says nothing of it.
    """
    if what not in FINDABLE:
        raise InputError(f"there is no role {what!r} to find. Known are {', '.join(FINDABLE)}.")
    if isinstance(model, LanguageModel) and what not in _OF_LANGUAGE_MODELS:
        known = " and ".join(f"--find {each}" for each in _OF_LANGUAGE_MODELS)
        raise InputError(f"{model.name}: {model.kind} is not measured for {what}. Of its heads are known {known}.")
    name = FINDABLE[what]

    on_test = measured or measure(model, test)

    def ranked(candidate: Model, on_test: Sequence[HeadRoles]) -> list[Ranked]:
        tested = {roles.name: roles.measures[name] for roles in on_test if name in roles.measures}
        on_dev = [roles for roles in measure(candidate, dev) if name in roles.measures]
        for side, known in (("dev", on_dev), ("test", tested)):
            if not known:
                raise InputError(f"the {side} data says nothing of {what}: that needs {_NEEDED[what]}.")
        both = [roles for roles in on_dev if roles.name in tested]
        if not both:
            raise InputError(f"no head shows {what} on dev and on test: one has translations and the other none.")
        best = sorted(both, key=lambda roles: -roles.measures[name])[:_NUM_RANKED]
        return [Ranked(roles, roles.measures[name], tested[roles.name]) for roles in best]

    ranking = ranked(model, on_test)
    twins = (untrained(model, seed) for seed in range(seeds))
    chance = [ranked(twin, measure(twin, test))[0].test for twin in twins]
    about_pronouns = what in ABOUT_PRONOUNS
    among = next(roles for roles in on_test if roles.name == ranking[0].roles.name).measures.get("candidate")
    return Found(name, ranking, chance, dict(rules or {}) if about_pronouns else {}, among if about_pronouns else None)


def table(roles: Sequence[HeadRoles]) -> list[str]:
    """All heads and their measures, for people."""
    names = [name for name in MEASURES if any(name in each.measures for each in roles)]
    lines = [f"{'head':<14}" + "".join(f"{name:>12}" for name in names)]
    for each in roles:
        cells = [f"{each.measures[name]:.2f}" if name in each.measures else "" for name in names]
        lines.append(f"{each.name:<14}" + "".join(f"{cell:>12}" for cell in cells))
    return [*lines, "", *(f"{name}: {MEASURES[name]}" for name in names)]


def draw(roles: Sequence[HeadRoles], path: Path, *, title: str = "", note: str = "") -> None:
    """A map of layers and heads for each kind and measure, with its unit and how many words or pronouns it is of.

    Raises:
        InputError, MissingDependencyError, StorageError: see `look.style.picture`.
    """
    maps: dict[str, np.ndarray] = {}
    layers, heads = max(each.layer for each in roles) + 1, max(each.head for each in roles) + 1
    for kind in dict.fromkeys(each.kind for each in roles):
        for name in MEASURES:
            of_kind = [each for each in roles if each.kind == kind and name in each.measures]
            if not of_kind:
                continue
            unit = _UNITS.get(name, "weight, mean over words")
            values = maps[f"{kind}: {name}\n{unit} ({of_kind[0].counts[name]:,})"] = np.full((layers, heads), np.nan)
            for each in of_kind:
                values[each.layer, each.head] = each.measures[name]
    draw_roles(maps, path, title=title, note=f"{note}. Rows are layers, columns are heads.")


def found_lines(what: str, found: Found) -> list[str]:
    """What `find` found, for people."""
    lines = [
        f"{what}: {found.chosen.name}, chosen on dev ({found.chosen.measures[found.measure]:.3f}), "
        f"on test {found.test:.3f}"
    ]
    if len(found.ranking) > 1:
        lines += [f"{'best on dev':<14}{'dev':>12}{'test':>12}"]
        lines += [f"{each.roles.name:<14}{each.dev:>12.3f}{each.test:>12.3f}" for each in found.ranking]
    if found.untrained:
        shown = ", ".join(f"{value:.3f}" for value in found.untrained)
        lines.append(f"the same choice over models with random weights: {shown}")
    if found.rules:
        shown = "   ".join(f"{name} {value:.3f}" for name, value in found.rules.items())
        if found.measure == "candidate":
            return [*lines, f"rules: {shown}"]
        # Beside a choice among all words they would look better than they are.
        head = "" if found.candidate is None else f"this head {found.candidate:.3f}   "
        lines.append(f"among the candidates alone (as --find candidate chooses): {head}rules: {shown}")
    return lines


def to_json(roles: Sequence[HeadRoles]) -> list[dict[str, Any]]:
    """For machines; layers and heads from 1, as people count them."""
    return [each.to_json() for each in roles]


class _Totals:
    """Sums of each measure over rows, for all layers and heads at once."""

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape
        self.sums: dict[str, np.ndarray] = {}
        self.counts: dict[str, int] = {}

    def add(self, name: str, values: np.ndarray) -> None:
        """Values (layers, heads, rows)."""
        if values.shape[-1]:
            self.sums[name] = self.sums.get(name, np.zeros(self.shape)) + values.sum(axis=-1)
            self.counts[name] = self.counts.get(name, 0) + values.shape[-1]

    def means(self) -> dict[str, np.ndarray]:
        return {name: total / self.counts[name] for name, total in self.sums.items()}


def _add(totals: _Totals, kind: str, words: np.ndarray, special: np.ndarray, example: Example) -> None:
    """One text's weights (layers, heads, rows, columns), and those on special tokens (layers, heads, rows)."""
    rows, columns = np.arange(words.shape[2]), np.arange(words.shape[3])
    names = example.target_words if kind == "decoder" else example.source_words
    marks = np.array([not any(character.isalnum() for character in name) for name in names], dtype=bool)
    totals.add("separators", special + words[..., marks].sum(axis=-1))
    everything = np.concatenate([words, special[..., None]], axis=-1)
    totals.add("spread", -np.where(everything > 0, everything * np.log2(np.maximum(everything, 1e-30)), 0.0).sum(-1))
    if kind == "cross":
        linked = np.zeros((len(rows), len(columns)))
        for source, target in example.links:
            linked[target, source] = 1
        has_link = linked.any(axis=1)
        totals.add("aligned", (words * linked).sum(axis=-1)[..., has_link])
    else:
        totals.add("previous", words[..., rows[1:], rows[1:] - 1])
        on_words = np.maximum(words.sum(axis=-1), 1e-9)
        distance = (words * np.abs(rows[:, None] - columns)).sum(axis=-1) / on_words
        folded = np.array([name.casefold() for name in names])
        again = (folded[:, None] == folded) & (rows[:, None] != columns) & ~marks[:, None]
        if kind == "decoder":
            again &= columns < rows[:, None]
        totals.add("repeated", (words * again).sum(axis=-1)[..., again.any(axis=1)])
        totals.add("distance", distance[..., 1:] if kind == "decoder" else distance)  # the first sees no word
    if kind == "encoder":
        totals.add("same", words[..., rows, rows])
        totals.add("next", words[..., rows[:-1], rows[:-1] + 1])
    for mention in example.mentions:
        _add_mention(totals, kind, words, mention)


def _add_mention(totals: _Totals, kind: str, words: np.ndarray, mention: Mention) -> None:
    """What the heads see (layers, heads, rows, columns) from one pronoun; see `measure`."""
    wanted = mention.candidates[mention.antecedent]
    row = mention.source
    if kind != "encoder":
        if mention.target is None:
            return
        row = mention.target[0]
        if kind == "decoder":
            wanted = (mention.target[1],)
    seen = seen_from(words, row) if kind == "encoder" else words[:, :, row]  # (layers, heads, columns)
    found = np.isin(seen.argmax(axis=-1), wanted) & (seen.max(axis=-1) > 0)
    totals.add("antecedent", found.astype(float)[..., None])
    if kind != "decoder":
        weights = np.stack([seen[..., list(candidate)].sum(axis=-1) for candidate in mention.candidates])
        totals.add("candidate", (weights.argmax(axis=0) == mention.antecedent).astype(float)[..., None])


def seen_from(words: np.ndarray, row: int) -> np.ndarray:
    """What an encoder's heads see from one word among others (layers, heads, words): itself is no answer."""
    seen = words[:, :, row].copy()
    seen[..., row] = 0
    return seen


def word_weights(model: Model, examples: Sequence[Example]) -> Iterator[dict[str, tuple[np.ndarray, np.ndarray]]]:
    """For each example by kind the weights between words and the rest of each row, which is on special tokens."""
    if isinstance(model, LanguageModel):
        yield from _text_weights(model, examples)
        return
    tokens = model.engine.tokens
    if len({example.target is None for example in examples}) > 1:
        raise InputError("some texts have a translation and some have none. Measure them apart.")
    read_sources = [read_source(model, each.source, each.masked) for each in examples]
    sources = [ids for ids, _ in read_sources]
    targets = [tokens.encode_target(each.target) for each in examples if each.target is not None]
    lengths = [max(len(source), len(target) + 1) for source, target in zip_longest(sources, targets, fillvalue=[])]
    for each, length in zip(examples, lengths, strict=True):
        _check_length(each, length, model.engine.max_length)
    for some in stretches(lengths):
        found = model.engine.attention(sources[some], targets[some] if targets else None)
        for weights, each, (_, spans) in zip(found, examples[some], read_sources[some], strict=True):
            if not weights:
                raise _no_heads(model, each)
            source = _groups(spans, each.source, each.source_words)
            target = _groups(tokens.target_spans(each.target), each.target, each.target_words) if each.target else []
            read = [[piece + 1 for piece in group] for group in target]  # the start of the sentence stands before
            sides = {"cross": (target, source), "encoder": (source, source), "decoder": (target, read)}
            merged = {}
            for kind, values in weights.items():
                rows, columns = sides[kind]
                words = words_from_pieces(values.astype(np.float64), columns, rows)
                merged[kind] = (words, np.clip(1 - words.sum(axis=-1), 0, None))
            yield merged


def _text_weights(
    model: LanguageModel, examples: Sequence[Example]
) -> Iterator[dict[str, tuple[np.ndarray, np.ndarray]]]:
    """As `word_weights`, of the texts that a language model reads and writes."""
    tokens, limit = model.engine.tokens, model.engine.max_length
    before = tokens.before_text
    if before is None:
        raise ModelError(
            f"{model.name}: its tokenizer has no token before a text, so nothing predicts the first one and its word "
            "has no row. Its weights can be looked at (regard look)."
        )
    for each in examples:
        text = each.target or ""
        found = tokens.encode(text)
        real = [place for place, special in enumerate(found.special) if not special]
        _check_length(each, len(real) + 1, limit)
        (weights,) = model.engine.attention([[before, *(found.ids[place] for place in real)]])
        groups = _groups([found.spans[place] for place in real], text, each.target_words)
        read = [[piece + 1 for piece in group] for group in groups]  # `before` stands before
        words = words_from_pieces(weights["decoder"].astype(np.float64), read, groups)
        yield {"decoder": (words, np.clip(1 - words.sum(axis=-1), 0, None))}


def _check_length(example: Example, length: int, limit: int) -> None:
    if length > limit:
        where = f"{example.where}: " if example.where else ""
        # Of the built-in corpus, whose pairs stand in no file, none can be left out.
        todo = (
            "Leave such ones out." if where else "Measure it on shorter texts, or take a model that reads longer ones."
        )
        raise ModelError(f"{where}a text or pair has {length:,} tokens, the model takes {limit:,}. {todo}")


def _no_heads(model: Model, example: Example) -> ModelError:
    if example.target is None:
        return ModelError(
            f"{model.name}: a model of type {type(model.engine.model).__name__} has no attention within its source, "
            "and these texts have no translation to attend from. Measure it on pairs, such as world:1000, or take a "
            "model whose encoder attends."
        )
    return model.without_attention("it has no heads to measure")


def _groups(spans: Sequence[tuple[int, int]], text: str, words: Sequence[str]) -> Groups:
    return piece_groups(spans, word_spans(text, words))
