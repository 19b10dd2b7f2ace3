"""Word alignments from a model's attention: which layer and head to read, chosen on dev and scored on test."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from regard.api import Encoder, LanguageModel, Model, Translator
from regard.config import one_of
from regard.counted_pairs import CountedPair, read_counted, read_text, turned_pair
from regard.data.pairs import check_direction, is_world
from regard.data.word_pieces import Groups, piece_groups, word_spans
from regard.errors import ConfigError, DataError, ModelError, TextError
from regard.evaluation import alignment
from regard.evaluation.alignment import AlignmentScore
from regard.formats.links import Links, format_links, turned
from regard.look import weights as look

# How two directions are joined: by their weights, or by their links as `evaluation.alignment.symmetrize` says.
AGREEMENT = "agreement"
SYMMETRIZATIONS = (AGREEMENT, *alignment.SYMMETRIZATIONS)
_STRETCH_CELLS = 1_000_000  # of the weights of one head


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
        plain["links"] = [format_links(links) for links in self.links]
        for key in ("way", "reverse_way"):
            if plain[key] is not None:  # as people count them, from 1
                plain[key] |= {name: _from_one(plain[key][name]) for name in ("layer", "head")}
        return plain


def _from_one(number: int | None) -> int | None:
    return number + 1 if number is not None and number >= 0 else number


def align_data(
    model: Model,
    data: Sequence[str],
    *,
    gold: str = "",
    dev: str = "",
    reverse_model: Model | None = None,
    reverse: bool = False,
    languages: tuple[str, str] = ("", ""),
    way: Way | None = None,
    method: str = "argmax",
    threshold: float | None = None,
    symmetrization: str = AGREEMENT,
    seeds: int = 0,
    in_part: bool = False,
    note: Callable[[str], None] = lambda text: None,
) -> tuple[AlignReport, TextError | None]:
    """Read DATA, or pairs with gold links, and align them.

    Args:
        data: pairs to align; empty: those of `gold`.
        gold: hand-made alignments or world[:N], to score on.
        dev: the same, to choose on; see `align_pairs`, as for what is not told here.
        reverse: the model translates from the second side to the first, and `reverse_model` back.
        languages: of the model's source and target, where its folder does not say them.
        in_part: where a pair is longer than the model takes, align those before it.
        note: hears which pairs cannot be used, and why.

    Returns:
        The report, its links as DATA has its sides, and what is wrong with the pair that it stops before, if it does.

    Raises:
        ModelError: a model does not translate, or has no attention to its source.
        ConfigError: both models translate the same way.
        DataError: it cannot be read, is not of the model's languages, or has no gold links to be scored on.
        TextError: a pair is longer than the model takes.
    """
    for each in (model, reverse_model):
        if each is not None and not isinstance(each, Translator):
            raise each.refusal("align words")
    if reverse_model is not None:
        _check_directions(model, reverse_model)
    source_language = languages[0] or model.engine.source_language
    target_language = languages[1] or model.engine.target_language
    worlds = [name for name in (gold, dev) if is_world(name)]
    check_direction([*worlds, *data], source_language, target_language, reverse=reverse)
    in_order = (target_language, source_language) if reverse else (source_language, target_language)
    pairs = read_counted(gold, "test") if gold else read_text(data, *in_order, note)
    if gold and not any(pair.sure for pair in pairs):
        raise DataError(f"{gold}: no pair has a sure link (i-j); an error rate needs some. For links alone give DATA.")
    dev_pairs = read_counted(dev, "dev") if dev else []
    if reverse:
        pairs, dev_pairs = ([turned_pair(pair) for pair in each] for each in (pairs, dev_pairs))
    if empty := sum(not pair.has_both_sides for pair in pairs):
        note(f"{empty:,} of {len(pairs):,} pairs could not be used; the line of links of each is empty.")
    wrong = _first_too_long(model, pairs, reverse_model)
    if wrong is not None and not (in_part and wrong.row):
        raise wrong
    report = align_pairs(
        model,
        pairs[: wrong.row] if wrong else pairs,
        dev=dev_pairs,
        way=way,
        method=method,
        threshold=threshold,
        reverse_model=reverse_model,
        symmetrization=symmetrization,
        seeds=seeds,
    )
    if reverse:
        report = dataclasses.replace(report, links=[turned(links) for links in report.links])
    return report, wrong


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

    def one_way(
        model: Model, dev: Sequence[CountedPair], pairs: Sequence[CountedPair]
    ) -> tuple[Way, AlignmentScore | None]:
        return choose(model, dev, **settings) if dev else (_from_the_start(model, pairs, way or Way()), None)

    def both_ways(model: Model, reverse: Model | None) -> tuple[list[Links], Way, Way | None, AlignmentScore | None]:
        chosen, dev_score = one_way(model, dev, pairs)
        if reverse is None:
            return align(model, pairs, chosen, **settings), chosen, None, dev_score
        reverse_way, _ = one_way(reverse, turned_dev, turned_pairs)
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


def _from_the_start(model: Model, pairs: Sequence[CountedPair], way: Way) -> Way:
    """The same way with layer and head counted from the start, for people to read which they were.

    Raises:
        InputError: there is no such layer or head.
    """
    if not pairs or all(number is None or number >= 0 for number in (way.layer, way.head)):
        return way
    weights = next(word_weights(model, pairs[:1]))  # (layers, heads, T, S)
    way.of(weights)  # a layer or head that is not there
    layer, head = (
        number if number is None else number % count
        for number, count in zip((way.layer, way.head), weights.shape[:2], strict=True)
    )
    return dataclasses.replace(way, layer=layer, head=head)


def untrained(model: Model, seed: int) -> Model:
    """The same model with the random weights that training would begin with."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return type(model)(model.engine.untrained(), f"{model.name}, untrained")


def _check_directions(model: Model, reverse_model: Model) -> None:
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


def _first_too_long(model: Model, pairs: Sequence[CountedPair], reverse_model: Model | None = None) -> TextError | None:
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
                raise model.without_attention("there is nothing to align with")
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
        try:
            (rows,) = model.engine.posterior(sources[row : row + 1], targets[row : row + 1])
        except ModelError as error:
            raise model.without_attention("there is nothing to align with") from error
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
