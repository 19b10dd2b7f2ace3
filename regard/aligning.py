"""Word alignments from a model's attention: which layer and head to read, chosen on dev and scored on test."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from regard.api import Encoder, LanguageModel, Model
from regard.config import one_of
from regard.data import world
from regard.data.filters import Filters, RowFilter
from regard.data.pairs import as_sources, draw_world
from regard.data.pairs import read as read_rows
from regard.data.world import WorldPair
from regard.errors import ConfigError, DataError, ModelError, TextError
from regard.evaluation import alignment
from regard.evaluation.alignment import AlignmentScore, GoldPair, Link
from regard.look import weights as look

# How two directions are joined: by their weights, or by their links as `evaluation.alignment.symmetrize` says.
AGREEMENT = "agreement"
SYMMETRIZATIONS = (AGREEMENT, *alignment.SYMMETRIZATIONS)
_STRETCH_CELLS = 1_000_000  # of the weights of one head
Groups = list[list[int]]
Links = set[Link]


@dataclass(frozen=True)
class CountedPair:
    """A sentence and its translation, with the words that links count."""

    source: str
    target: str
    source_words: tuple[str, ...]  # each stands in the source, in this order
    target_words: tuple[str, ...]
    sure: frozenset[Link] = frozenset()  # gold; empty where there is none
    possible: frozenset[Link] = frozenset()
    where: str = ""  # file and line, for people

    @classmethod
    def of_text(cls, source: str, target: str, where: str = "") -> "CountedPair":
        """Words are what stands between white space, as alignment files count them."""
        return cls(source, target, tuple(source.split()), tuple(target.split()), where=where)

    @property
    def has_both_sides(self) -> bool:
        """Whether there is anything to link."""
        return bool(self.source_words and self.target_words)

    @classmethod
    def of_gold(cls, pair: GoldPair, where: str = "") -> "CountedPair":
        """A hand-aligned pair; its tokens with single spaces between are the text."""
        source, target = " ".join(pair.source), " ".join(pair.target)
        return cls(source, target, pair.source, pair.target, pair.sure, pair.possible, where)

    @classmethod
    def of_world(cls, pair: WorldPair) -> "CountedPair":
        """A pair of the built-in corpus, whose links are all sure."""
        links = frozenset(pair.alignment)
        return cls(pair.source, pair.target, pair.source_tokens, pair.target_tokens, links, links)


@dataclass(frozen=True)
class Way:
    """Which attention weights are read as an alignment."""

    layer: int | None = None  # from 0; None: the mean over all
    head: int | None = None
    # Read a word's source not where it was predicted but one step later, where the decoder has just read it: there the
    # model knows which word it is (Chen et al. 2020, "shift-att").
    shifted: bool = False
    # Read where the last attention was, once the word that came of it is known: `TorchEngine.posterior`.
    posterior: bool = False

    def of(self, weights: np.ndarray) -> np.ndarray:
        """(layers, heads, T, S) to (T, S).

        Raises:
            InputError: there is no such layer or head.
        """
        layer = look.choose(weights, self.layer, "layer", "cross")
        return look.choose(layer, self.head, "head", "cross")

    def __str__(self) -> str:
        if self.posterior:
            return "last layer, given the word that came of it"
        layer = "mean of layers" if self.layer is None else f"layer {_from_one(self.layer)}"
        head = "mean of heads" if self.head is None else f"head {_from_one(self.head)}"
        return f"{layer}, {head}, " + ("after reading the word" if self.shifted else "predicting the word")


def ways(num_layers: int, num_heads: int) -> Iterator[Way]:
    """All that can be chosen from, simpler ones first: of equals the first is taken."""
    layers = [None, *range(num_layers)] if num_layers > 1 else [0]
    heads = [None, *range(num_heads)] if num_heads > 1 else [0]
    for shifted, layer, head in itertools.product((False, True), layers, heads):
        yield Way(layer, head, shifted)
    yield Way(posterior=True)


def choose(
    model: Model, dev: Sequence[CountedPair], *, method: str = "argmax", threshold: float | None = None
) -> tuple[Way, AlignmentScore]:
    """The way that aligns the dev pairs best, and how well it does there.

    Args:
        method, threshold: how links are read; see `evaluation.alignment.from_weights`.

    Raises:
        ModelError: the model has no attention to its source.
        DataError: the dev pairs have no gold links.
    """
    both = list(_word_weights(model, dev))
    posterior = list(_word_posteriors(model, dev))

    def links(way: Way) -> list[Links]:
        read = posterior if way.posterior else [way.of(pair[way.shifted]) for pair in both]
        return [alignment.from_weights(each, method, threshold=threshold) for each in read]

    num_layers, num_heads = both[0][0].shape[:2]
    scored = [(score(links(way), dev), way) for way in ways(num_layers, num_heads)]
    best, way = min(scored, key=lambda pair: pair[0].aer)
    return way, best


def align(
    model: Model, pairs: Sequence[CountedPair], way: Way, *, method: str = "argmax", threshold: float | None = None
) -> list[Links]:
    """The links of each pair. The weights come from a forced pass over the given translation.

    Args:
        method, threshold: see `evaluation.alignment.from_weights`.

    Raises:
        ModelError: the model has no attention to its source, or cannot take a pair whole.
    """
    return [alignment.from_weights(weights, method, threshold=threshold) for weights in _read(model, pairs, way)]


def _read(model: Model, pairs: Sequence[CountedPair], way: Way) -> Iterator[np.ndarray]:
    """The weights of each pair that a way reads, (target words, source words)."""
    if way.posterior:
        return _word_posteriors(model, pairs)
    return (way.of(weights) for weights in word_weights(model, pairs, shifted=way.shifted))


@dataclass(frozen=True)
class AlignReport:
    """Alignments of some pairs, how they were read, and how good they are where gold is known."""

    links: list[Links]
    way: Way
    reverse_way: Way | None  # of the model that translates the other way
    symmetrization: str | None  # how the two were joined
    dev: AlignmentScore | None  # of the model alone, on the pairs its way was chosen on
    score: AlignmentScore | None
    untrained: list[float]  # alignment error rates of the same choice over models with random weights

    def lines(self) -> list[str]:
        """For people."""
        chosen = f" (chosen: alignment error {self.dev.aer:.3f} on dev)" if self.dev else ""
        lines = [f"read from: {self.way}{chosen}"]
        if self.reverse_way is not None:
            lines.append(f"and from the other direction: {self.reverse_way}; joined by {self.symmetrization}")
        if self.score is not None:
            lines.append(
                f"alignment error rate {self.score.aer:.3f}   precision {self.score.precision:.3f}   recall "
                f"{self.score.recall:.3f}   ({len(self.links):,} pairs, {self.score.sure_links:,} sure links)"
            )
        if self.untrained:
            shown = ", ".join(f"{rate:.3f}" for rate in self.untrained)
            lines.append(f"the same choice over models with random weights: {shown}")
        return lines

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        plain = dataclasses.asdict(self)
        plain["links"] = [alignment.format_links(links) for links in self.links]
        for key in ("way", "reverse_way"):
            if plain[key] is not None:  # as people count them, from 1
                plain[key] |= {name: _from_one(plain[key][name]) for name in ("layer", "head")}
        return plain


def _from_one(number: int | None) -> int | None:
    return number + 1 if number is not None and number >= 0 else number


def align_pairs(
    model: Model,
    pairs: Sequence[CountedPair],
    *,
    dev: Sequence[CountedPair] = (),
    way: Way | None = None,
    method: str = "argmax",
    threshold: float | None = None,
    reverse_model: Model | None = None,
    symmetrization: str = AGREEMENT,
    seeds: int = 0,
) -> AlignReport:
    """Align pairs, and score them where they carry gold links. A pair without two sides has no links.

    Args:
        dev: gold pairs to choose layer and head on, for each model by itself; the pairs themselves are never chosen on.
        way: which weights to read, if there are no dev pairs; None: the mean of all layers and heads.
        reverse_model: a model of the other direction, whose links are combined with this one's.
        symmetrization: how. "agreement": the weights of both are multiplied (`evaluation.alignment.agreement`), read
            from either side, and those links joined by grow-diag-final-and; or see `evaluation.alignment.symmetrize`.
        seeds: with gold, also make the same choice over so many models with random weights: the best of many heads is
            a selection, and this is what selection alone gives.

    Raises:
        ModelError, DataError, ConfigError: see `choose` and `align`.
    """
    settings: dict[str, Any] = {"method": method, "threshold": threshold}
    given, pairs = pairs, [pair for pair in pairs if pair.has_both_sides]
    turned_dev, turned_pairs = ([turned_pair(pair) for pair in each] for each in (dev, pairs))

    one_of(symmetrization, SYMMETRIZATIONS, "symmetrization")

    def one_way(model: Model, dev: Sequence[CountedPair]) -> tuple[Way, AlignmentScore | None]:
        return choose(model, dev, **settings) if dev else (way or Way(), None)

    def both_ways(model: Model, reverse: Model | None) -> tuple[list[Links], Way, Way | None, AlignmentScore | None]:
        chosen, dev_score = one_way(model, dev)
        if reverse is None:
            return align(model, pairs, chosen, **settings), chosen, None, dev_score
        reverse_way, _ = one_way(reverse, turned_dev)
        if symmetrization == AGREEMENT:
            weights = zip(_read(model, pairs, chosen), _read(reverse, turned_pairs, reverse_way), strict=True)
            agreed = [alignment.agreement(there, back) for there, back in weights]
            forward, backward = (
                [alignment.from_weights(each, **settings) for each in side]
                for side in (agreed, [each.T for each in agreed])
            )
            joining = "grow-diag-final-and"
        else:
            forward = align(model, pairs, chosen, **settings)
            backward = align(reverse, turned_pairs, reverse_way, **settings)
            joining = symmetrization
        both = [
            alignment.symmetrize(there, turned(back), joining) for there, back in zip(forward, backward, strict=True)
        ]
        return both, chosen, reverse_way, dev_score

    links, chosen, reverse_way, dev_score = both_ways(model, reverse_model)
    has_gold = any(pair.sure for pair in pairs)
    rates = []
    for seed in range(seeds if has_gold and dev else 0):
        twins = untrained(model, seed), None if reverse_model is None else untrained(reverse_model, seed)
        rates.append(score(both_ways(*twins)[0], pairs).aer)
    joined = None if reverse_model is None else symmetrization
    scored = score(links, pairs) if has_gold else None
    found = iter(links)
    spread = [next(found) if pair.has_both_sides else set() for pair in given]
    return AlignReport(spread, chosen, reverse_way, joined, dev_score, scored, rates)


def untrained(model: Model, seed: int) -> Model:
    """The same model with the random weights that training would begin with."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return type(model)(model.engine.untrained(), f"{model.name}, untrained")


def read_counted(name: str, split: world.Split) -> list[CountedPair]:
    """Pairs with gold links: a file of hand-made alignments, or world[:N].

    Raises:
        DataError: no such file, or not of that form.
    """
    if (drawn := draw_world([name], split)) is not None:
        return [CountedPair.of_world(pair) for pair in drawn]
    return [CountedPair.of_gold(pair, f"{name}:{line}") for line, pair in enumerate(alignment.read_gold(name), 1)]


def read_text(
    data: Sequence[str],
    source_language: str = "",
    target_language: str = "",
    note: Callable[[str], None] = lambda text: None,
) -> list[CountedPair]:
    """DATA whose words are to be aligned: for every line, or unit, a pair. One that cannot be used has no words.

    Args:
        note: hears how many cannot be used, and why, if there are any.

    Raises:
        DataError: it cannot be read, or no pair can be used.
    """
    sources = as_sources(data)
    row_filter = RowFilter(Filters.none(), [source.name for source in sources])
    rows = read_rows(sources, source_language or None, target_language or None, split="test")
    pairs = [
        CountedPair.of_text(row.source, row.target, sources[number].where(row.line))
        if reason is None
        else CountedPair.of_text("", "")
        for number, row, reason in row_filter.apply(rows)
    ]
    total = row_filter.report.total
    if not total.used:
        names = ", ".join(source.name for source in sources)
        raise DataError(f"{names}: no pair can be used ({total.line()}). Give pairs that have two sides.")
    if total.skipped:
        note(total.line())
    return pairs


def turned(links: Links) -> Links:
    """The links of a model that translates the other way, as (source, target) of this one."""
    return {(source, target) for target, source in links}


def turned_pair(pair: CountedPair) -> CountedPair:
    """The pair as a model that translates the other way sees it."""
    return CountedPair(
        pair.target,
        pair.source,
        pair.target_words,
        pair.source_words,
        frozenset(turned(set(pair.sure))),
        frozenset(turned(set(pair.possible))),
        pair.where,
    )


def check_directions(model: Model, reverse_model: Model) -> None:
    """Refuse two models that translate the same way.

    Raises:
        ConfigError: they do, as far as their folders say.
    """
    first, second = ((each.engine.source_language, each.engine.target_language) for each in (model, reverse_model))
    if first == second and first[0] != first[1]:
        raise ConfigError(
            f"{reverse_model.name}: translates from {first[0]} to {first[1]}, as {model.name} does. Give a reverse "
            "model of the other direction."
        )


def first_too_long(model: Model, pairs: Sequence[CountedPair], reverse_model: Model | None = None) -> TextError | None:
    """What is wrong with the first pair that a model cannot take whole; its `row` says which that is.

    Raises:
        ModelError: a model does not translate.
    """
    asked = [(model, pairs)]
    if reverse_model is not None:
        asked.append((reverse_model, [turned_pair(pair) for pair in pairs]))
    found = []
    for each, sides in asked:
        try:
            _encoded(each, sides)
        except TextError as error:
            found.append(error)
    return min(found, key=lambda error: error.row, default=None)


def score(links: Sequence[Links], pairs: Sequence[CountedPair]) -> AlignmentScore:
    """Alignment error rate, precision and recall against the pairs' gold.

    Raises:
        DataError: they have no gold links.
    """
    return alignment.alignment_error_rate(links, [pair.sure for pair in pairs], [pair.possible for pair in pairs])


def word_weights(model: Model, pairs: Sequence[CountedPair], *, shifted: bool = False) -> Iterator[np.ndarray]:
    """Attention between the words of each pair, (layers, heads, target words, source words).

    A word's pieces are merged as `words_from_pieces` says; what goes to the end of the sentence belongs to no word.

    Args:
        shifted: take the row after the one that predicted a piece; see `Way`.

    Raises:
        ModelError: the model has no attention to its source, or cannot take a pair whole.
    """
    for plain, later in _word_weights(model, pairs):
        yield later if shifted else plain


def _word_weights(model: Model, pairs: Sequence[CountedPair]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each pair the weights of `word_weights`, plain and shifted, from one forced pass."""
    sources, targets, lengths = _encoded(model, pairs)
    for some in stretches(lengths):
        for pair, weights in zip(pairs[some], model.engine.attention(sources[some], targets[some]), strict=True):
            if "cross" not in weights:
                raise ModelError("this model has no attention to its source: there is nothing to align with.")
            groups = _pieces(model, pair)
            rows = weights["cross"]  # one a target piece, and one for the end
            yield (
                alignment.words_from_pieces(rows[:, :, :-1], *groups),
                alignment.words_from_pieces(rows[:, :, 1:], *groups),
            )


def _word_posteriors(model: Model, pairs: Sequence[CountedPair]) -> Iterator[np.ndarray]:
    """For each pair, (target words, source words), what `TorchEngine.posterior` gives its pieces."""
    sources, targets, _ = _encoded(model, pairs)
    for row, pair in enumerate(pairs):
        (rows,) = model.engine.posterior(sources[row : row + 1], targets[row : row + 1])
        yield alignment.words_from_pieces(rows[:-1], *_pieces(model, pair))


def _encoded(model: Model, pairs: Sequence[CountedPair]) -> tuple[list[list[int]], list[list[int]], list[int]]:
    """The tokens of both sides, and of each pair how many positions it takes.

    Raises:
        ModelError: the model does not translate.
        TextError: it cannot take a pair whole.
    """
    if isinstance(model, Encoder | LanguageModel):
        raise model.refusal("align words")
    tokens, limit = model.engine.tokens, model.engine.max_length
    sources = [tokens.encode_source(pair.source) for pair in pairs]
    targets = [tokens.encode_target(pair.target) for pair in pairs]
    lengths = [max(len(source), len(target) + 1) for source, target in zip(sources, targets, strict=True)]
    for row, (pair, length) in enumerate(zip(pairs, lengths, strict=True)):
        if length > limit:
            where = f"{pair.where}: " if pair.where else ""
            raise TextError(
                f"{where}a pair has {length:,} tokens, the model takes {limit:,}: {pair.source[:60]!r}. "
                "Leave it out, or train with a higher model.max_length.",
                row,
            )
    return sources, targets, lengths


def _pieces(model: Model, pair: CountedPair) -> tuple[Groups, Groups]:
    """Which pieces make which words, of the source and of the target."""
    tokens = model.engine.tokens
    return (
        piece_groups(tokens.source_spans(pair.source), word_spans(pair.source, pair.source_words)),
        piece_groups(tokens.target_spans(pair.target), word_spans(pair.target, pair.target_words)),
    )


def stretches(lengths: Sequence[int]) -> Iterator[slice]:
    """Neighbouring rows whose attention weights fit into memory together: those of all rows at once would be large."""
    first = cells = 0
    for row, length in enumerate(lengths, 1):
        cells += length**2
        if cells > _STRETCH_CELLS or row == len(lengths):
            yield slice(first, row)
            first, cells = row, 0


def word_spans(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Where each word stands in the text, in order: characters (first, end).

    Raises:
        DataError: a word is not there, or not in this order.
    """
    spans, position = [], 0
    for word in words:
        first = text.find(word, position)
        if first < 0:
            raise DataError(f"word {word!r} does not stand in {text!r} after character {position}.")
        position = first + len(word)
        spans.append((first, position))
    return spans


def piece_groups(spans: Sequence[tuple[int, int]], words: Sequence[tuple[int, int]]) -> Groups:
    """For each word the pieces that share most of their characters with it; a piece of no word is in no group."""
    groups: Groups = [[] for _ in words]
    for piece, (first, end) in enumerate(spans):
        shared = [min(end, word_end) - max(first, word_first) for word_first, word_end in words]
        if shared and max(shared) > 0:
            groups[int(np.argmax(shared))].append(piece)
    return groups
