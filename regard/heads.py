"""What each head of attention does, measured on data: where it looks, how far, and whether it finds an antecedent."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from regard.aligning import CountedPair, Groups, piece_groups, read_text, untrained, word_spans
from regard.api import Model
from regard.data import world
from regard.data.pairs import parse_data
from regard.data.world import WorldPair
from regard.errors import InputError, ModelError
from regard.evaluation import coreference
from regard.evaluation.alignment import words_from_pieces
from regard.look.roles import draw_roles
from regard.look.weights import KINDS

# What is measured, and what it says of a head. All but the last two are shares from 0 to 1.
MEASURES: dict[str, str] = {
    "previous": "weight on the word before",
    "next": "weight on the word after",
    "same": "weight on the word itself",
    "aligned": "weight on the gold translation of the word",
    "separators": "weight on punctuation and special tokens",
    "antecedent": "share of it-pronouns from which the head looks at the antecedent more than at any other word",
    "candidate": "share of it-pronouns from which it looks more at the antecedent than at the other candidates",
    "distance": "mean distance of what it looks at, in words",
    "spread": "mean entropy of a row, in bits",
}
FINDABLE = {"coreference": "antecedent", "previous": "previous", "next": "next", "alignment": "aligned"}


@dataclass(frozen=True)
class Mention:
    """A pronoun whose antecedent is known, by word numbers."""

    source: int
    target: int
    antecedent_source: int
    antecedent_target: int
    candidates: tuple[int, ...]  # source words it could stand for


@dataclass(frozen=True)
class HeadPair:
    """A sentence pair, with the pronouns in it."""

    pair: CountedPair
    mentions: tuple[Mention, ...] = ()

    @classmethod
    def of_world(cls, pair: WorldPair) -> "HeadPair":
        """A pair of the built-in corpus."""
        mentions = tuple(
            Mention(
                it.source_index,
                it.target_index,
                it.antecedent_source_index,
                it.antecedent_target_index,
                tuple(index for index, _ in it.candidates),
            )
            for it in pair.pronouns
        )
        return cls(CountedPair.of_world(pair), mentions)


@dataclass(frozen=True)
class HeadRoles:
    """One head's measures; one that cannot be taken of its kind, or on this data, is missing."""

    kind: str
    layer: int  # from 0
    head: int
    measures: dict[str, float]

    @property
    def name(self) -> str:
        return f"{self.kind} {self.layer + 1}.{self.head + 1}"


@dataclass(frozen=True)
class Found:
    """The head that does one thing best: chosen on dev, scored on test."""

    measure: str
    chosen: HeadRoles  # measured on dev
    test: float
    untrained: list[float]  # of models with random weights, chosen on dev and scored on test in the same way
    rules: dict[str, float]  # what rules without a model reach on test: nearest noun, first noun, ...


def measure(model: Model, pairs: Sequence[HeadPair]) -> list[HeadRoles]:
    """Measure every head of a model over pairs. The weights come from a forced pass over the given translations.

    Raises:
        ModelError: the model has no attention, or cannot take a pair whole.
    """
    totals: dict[str, _Totals] = {}
    for weights, pair in zip(_word_weights(model, pairs), pairs, strict=True):
        for kind, (words, special) in weights.items():
            if kind not in totals:
                totals[kind] = _Totals(words.shape[:2])
            _add(totals[kind], kind, words, special, pair)
    return [
        HeadRoles(kind, layer, head, {name: float(values[layer, head]) for name, values in found.items()})
        for kind in KINDS
        if kind in totals
        for found in [totals[kind].means()]
        for layer in range(totals[kind].shape[0])
        for head in range(totals[kind].shape[1])
    ]


def find(
    model: Model,
    what: str,
    dev: Sequence[HeadPair],
    test: Sequence[HeadPair],
    *,
    seeds: int = 3,
    rules: Mapping[str, float] | None = None,
    measured: Sequence[HeadRoles] | None = None,
) -> Found:
    """Choose the head that does `what` best on dev, and score that one head on test.

    Args:
        what: one of FINDABLE.
        seeds: how many models with random weights the same is done with: what selection alone gives.
        rules: what rules without a model reach on test (see `read`), to stand beside it where antecedents are found.
        measured: what `measure` gave for the model on test, if that is known already.

    Raises:
        InputError: an unknown role, or data that says nothing of it.
    """
    if what not in FINDABLE:
        raise InputError(f"there is no role {what!r} to find. Known are {', '.join(FINDABLE)}.")
    name = FINDABLE[what]

    def best(candidate: Model, on_test: Sequence[HeadRoles] | None = None) -> tuple[HeadRoles, float]:
        measured = [roles for roles in measure(candidate, dev) if name in roles.measures]
        if not measured:
            raise InputError(f"these pairs say nothing of {what}: that needs gold, such as world:1000.")
        chosen = max(measured, key=lambda roles: roles.measures[name])
        tested = {roles.name: roles.measures.get(name, 0.0) for roles in on_test or measure(candidate, test)}
        return chosen, tested[chosen.name]

    chosen, score = best(model, measured)
    chance = [best(untrained(model, seed))[1] for seed in range(seeds)]
    return Found(name, chosen, score, chance, dict(rules or {}) if name == "antecedent" else {})


def read(data: Sequence[str], split: world.Split, it_share: float = 0.3) -> tuple[list[HeadPair], dict[str, float]]:
    """The pairs that DATA means, and how often rules without a model pick the antecedent of their pronouns (none, where
    no antecedents are known; see `evaluation.coreference.baselines`).

    Args:
        it_share: of the built-in corpus, the share of sentences with a pronoun to resolve.

    Raises:
        DataError: it cannot be read.
    """
    if len(data) == 1 and (data[0] == "world" or data[0].startswith("world:")):
        (source,) = parse_data(data)
        pairs = list(world.generate(split, source.world_pairs, it_share=it_share))
        rules = {name: baseline.antecedent for name, baseline in coreference.baselines(pairs).items()}
        return [HeadPair.of_world(pair) for pair in pairs], rules
    return [HeadPair(pair) for pair in read_text(data)], {}


def table(roles: Sequence[HeadRoles]) -> list[str]:
    """All heads and their measures, for people."""
    names = [name for name in MEASURES if any(name in each.measures for each in roles)]
    lines = [f"{'head':<14}" + "".join(f"{name:>12}" for name in names)]
    for each in roles:
        cells = [f"{each.measures[name]:.2f}" if name in each.measures else "" for name in names]
        lines.append(f"{each.name:<14}" + "".join(f"{cell:>12}" for cell in cells))
    return [*lines, "", *(f"{name}: {MEASURES[name]}" for name in names)]


def draw(roles: Sequence[HeadRoles], path: Path, *, title: str = "", note: str = "") -> None:
    """A map of layers and heads for each kind and measure.

    Raises:
        InputError, MissingDependencyError, StorageError: see `look.style.picture`.
    """
    maps: dict[str, np.ndarray] = {}
    layers, heads = max(each.layer for each in roles) + 1, max(each.head for each in roles) + 1
    for kind in dict.fromkeys(each.kind for each in roles):
        for name in MEASURES:
            of_kind = [each for each in roles if each.kind == kind and name in each.measures]
            if of_kind:
                maps[f"{kind}: {name}"] = np.full((layers, heads), np.nan)
            for each in of_kind:
                maps[f"{kind}: {name}"][each.layer, each.head] = each.measures[name]
    draw_roles(maps, path, title=title, note=f"{note}. Rows are layers, columns are heads.")


def found_lines(what: str, found: Found) -> list[str]:
    """What `find` found, for people."""
    lines = [
        f"{what}: {found.chosen.name}, chosen on dev ({found.chosen.measures[found.measure]:.3f}), "
        f"on test {found.test:.3f}"
    ]
    if found.untrained:
        shown = ", ".join(f"{value:.3f}" for value in found.untrained)
        lines.append(f"the same choice over models with random weights: {shown}")
    if found.rules:
        lines.append("rules: " + "   ".join(f"{name} {value:.3f}" for name, value in found.rules.items()))
    return lines


def to_json(roles: Sequence[HeadRoles]) -> list[dict[str, Any]]:
    """For machines; layers and heads from 1, as people count them."""
    return [{**dataclasses.asdict(each), "layer": each.layer + 1, "head": each.head + 1} for each in roles]


class _Totals:
    """Sums of each measure over rows, for all layers and heads at once."""

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape
        self.sums: dict[str, np.ndarray] = {}
        self.counts: dict[str, float] = {}

    def add(self, name: str, values: np.ndarray) -> None:
        """Values (layers, heads, rows)."""
        if values.shape[-1]:
            self.sums[name] = self.sums.get(name, np.zeros(self.shape)) + values.sum(axis=-1)
            self.counts[name] = self.counts.get(name, 0) + values.shape[-1]

    def means(self) -> dict[str, np.ndarray]:
        return {name: total / self.counts[name] for name, total in self.sums.items()}


def _add(totals: _Totals, kind: str, words: np.ndarray, special: np.ndarray, pair: HeadPair) -> None:
    """One sentence's weights (layers, heads, rows, columns), and those on special tokens (layers, heads, rows)."""
    rows, columns = np.arange(words.shape[2]), np.arange(words.shape[3])
    names = pair.pair.target_words if kind == "decoder" else pair.pair.source_words
    marks = np.array([not any(character.isalnum() for character in name) for name in names], dtype=bool)
    totals.add("separators", special + words[..., marks].sum(axis=-1))
    everything = np.concatenate([words, special[..., None]], axis=-1)
    totals.add("spread", -np.where(everything > 0, everything * np.log2(np.maximum(everything, 1e-30)), 0.0).sum(-1))
    if kind == "cross":
        linked = np.zeros((len(rows), len(columns)))
        for source, target in pair.pair.sure:
            linked[target, source] = 1
        has_link = linked.any(axis=1)
        totals.add("aligned", (words * linked).sum(axis=-1)[..., has_link])
    else:
        totals.add("previous", words[..., rows[1:], rows[1:] - 1])
        on_words = np.maximum(words.sum(axis=-1), 1e-9)
        distance = (words * np.abs(rows[:, None] - columns)).sum(axis=-1) / on_words
        totals.add("distance", distance[..., 1:] if kind == "decoder" else distance)  # the first sees no word
    if kind == "encoder":
        totals.add("same", words[..., rows, rows])
        totals.add("next", words[..., rows[:-1], rows[:-1] + 1])
    for mention in pair.mentions:
        row = mention.source if kind == "encoder" else mention.target
        wanted = mention.antecedent_target if kind == "decoder" else mention.antecedent_source
        seen = words[:, :, row].copy()  # (layers, heads, columns)
        if kind == "encoder":
            seen[..., row] = -1  # itself is no answer
        totals.add("antecedent", (seen.argmax(axis=-1) == wanted).astype(float)[..., None])
        if kind != "decoder":
            candidates = np.array(mention.candidates)
            picked = candidates[seen[..., candidates].argmax(axis=-1)]
            totals.add("candidate", (picked == wanted).astype(float)[..., None])


def _word_weights(model: Model, pairs: Sequence[HeadPair]) -> Iterator[dict[str, tuple[np.ndarray, np.ndarray]]]:
    """For each pair by kind the weights between words and the rest of each row, which is on special tokens."""
    tokens, limit = model.engine.tokens, model.engine.max_length
    for first in range(0, len(pairs), 200):  # all weights of all sentences at once would be large
        some = pairs[first : first + 200]
        sources = [tokens.encode_source(each.pair.source) for each in some]
        targets = [tokens.encode_target(each.pair.target) for each in some]
        longest = max(max(len(source), len(target) + 1) for source, target in zip(sources, targets, strict=True))
        if longest > limit:
            raise ModelError(f"a pair has {longest:,} tokens, the model takes {limit:,}. Leave such pairs out.")
        for weights, each in zip(model.engine.attention(sources, targets), some, strict=True):
            if not weights:
                raise ModelError("this model has no attention: it has no heads to measure.")
            source = _groups(tokens.source_spans(each.pair.source), each.pair.source, each.pair.source_words)
            target = _groups(tokens.target_spans(each.pair.target), each.pair.target, each.pair.target_words)
            read = [[piece + 1 for piece in group] for group in target]  # the start of the sentence stands before
            sides = {"cross": (target, source), "encoder": (source, source), "decoder": (target, read)}
            merged = {}
            for kind, values in weights.items():
                rows, columns = sides[kind]
                words = words_from_pieces(values.astype(np.float64), columns, rows)
                merged[kind] = (words, np.clip(1 - words.sum(axis=-1), 0, None))
            yield merged


def _groups(spans: Sequence[tuple[int, int]], text: str, words: Sequence[str]) -> Groups:
    return piece_groups(spans, word_spans(text, words))
