"""Word alignments: from attention weights, from two directions, and how far they are from what a person drew.

An alignment of one sentence pair is a set of links; see `regard.formats.links`.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regard.errors import ConfigError, DataError, ShapeError
from regard.formats.files import text_lines
from regard.formats.links import Link, parse_links

SYMMETRIZATIONS = ("intersection", "union", "grow-diag-final-and")

# (target, source) steps in the order of Koehn's pseudo-code: the four sides first, then the corners.
NEIGHBOURS = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


@dataclass(frozen=True)
class GoldPair:
    """One hand-aligned sentence pair; `possible` holds the sure links too."""

    source: tuple[str, ...]
    target: tuple[str, ...]
    sure: frozenset[Link]
    possible: frozenset[Link]


@dataclass(frozen=True)
class AlignmentScore:
    """Agreement with gold links over a corpus; the first three are shares from 0 to 1, the others count links.

    `aer` is the alignment error rate (lower is better), `precision` the share of predicted links that are at least
    possible (0 if nothing was predicted), `recall` the share of sure links that were predicted.
    """

    aer: float
    precision: float
    recall: float
    predicted_links: int
    sure_links: int
    possible_links: int
    predicted_sure_links: int
    predicted_possible_links: int


def read_gold(path: str | Path) -> list[GoldPair]:
    """Read hand-made alignments: source tokens, target tokens and links between tabs, one pair a line.

    Tokens stand between single spaces; the file may be compressed.

    Raises:
        DataError: a file that cannot be read, or a line not in this form; links beyond the last token included.
    """
    return [_gold_pair(line, f"{path}, line {number:,}") for number, line in text_lines(Path(path))]


def alignment_error_rate(
    predicted: Sequence[Set[Link]], sure: Sequence[Set[Link]], possible: Sequence[Set[Link]] | None = None
) -> AlignmentScore:
    """Compare links A with sure links S and possible links P: AER = 1 - (|A ∩ S| + |A ∩ P|) / (|A| + |S|).

    Source: Och & Ney 2003, section 6. Counts are summed over the corpus before dividing.

    Args:
        predicted: a set of links for each sentence pair.
        sure: as many sets; one may be empty.
        possible: as many sets, with the sure links or without (they count as possible anyway); None if there are none.

    Raises:
        DataError: numbers of sentence pairs that differ, or a corpus without any sure link.
    """
    possible = sure if possible is None else possible
    if not len(predicted) == len(sure) == len(possible):
        raise DataError(
            f"{len(predicted)} sentence pairs have predicted links, {len(sure)} sure, {len(possible)} possible ones; "
            "each pair needs all three."
        )
    num_predicted = num_sure = num_possible = num_predicted_sure = num_predicted_possible = 0
    for links, sure_links, possible_links in zip(predicted, sure, possible, strict=True):
        allowed = possible_links | sure_links
        num_predicted += len(links)
        num_sure += len(sure_links)
        num_possible += len(allowed)
        num_predicted_sure += len(links & sure_links)
        num_predicted_possible += len(links & allowed)
    if not num_sure:
        raise DataError(f"{len(sure)} sentence pairs have no sure link at all; an error rate needs gold links.")
    return AlignmentScore(
        aer=1 - (num_predicted_sure + num_predicted_possible) / (num_predicted + num_sure),
        precision=num_predicted_possible / num_predicted if num_predicted else 0.0,
        recall=num_predicted_sure / num_sure,
        predicted_links=num_predicted,
        sure_links=num_sure,
        possible_links=num_possible,
        predicted_sure_links=num_predicted_sure,
        predicted_possible_links=num_predicted_possible,
    )


def from_weights(weights: np.ndarray, method: str = "argmax", *, threshold: float | None = None) -> set[Link]:
    """Turn attention weights into links.

    Args:
        weights: (T, S), how much each target word attends to each source word; rows need not sum to 1.
        method: "argmax" links each target word to its heaviest source word (the first of equals; none if its row is
            all 0); "threshold" links all pairs that weigh at least `threshold`.
        threshold: for "threshold" the least weight, above 0; for "argmax" links lighter than it are left out.

    Returns:
        Links as (source, target).

    Raises:
        ConfigError: an unknown method, or a threshold that is missing or not above 0.
        ShapeError: weights that are not a matrix, or not all finite.
    """
    weights = _matrix(weights)
    if method not in ("argmax", "threshold"):
        raise ConfigError(f"method {method!r} is unknown; choose argmax or threshold.")
    if threshold is None and method == "threshold":
        raise ConfigError("method threshold needs a threshold, the least weight that makes a link, such as 0.2.")
    if threshold is not None and not threshold > 0:
        raise ConfigError(f"threshold is {threshold}; it must be above 0, or every pair would be linked.")
    if method == "threshold":
        return {(int(s), int(t)) for t, s in np.argwhere(weights >= threshold)}
    if not weights.size:
        return set()
    heaviest = weights.argmax(axis=1)  # (T,)
    return {
        (int(s), t)
        for t, s in enumerate(heaviest)
        if weights[t, s] > 0 and (threshold is None or weights[t, s] >= threshold)
    }


def words_from_pieces(
    weights: np.ndarray, source_groups: Sequence[Sequence[int]], target_groups: Sequence[Sequence[int]]
) -> np.ndarray:
    """Merge weights between sub-words into weights between words.

    A target word attends to a source word with the sum over the source word's pieces (attending to one means attending
    to the word), averaged over the target word's own pieces. Pieces that belong to no word, such as `eos`, are dropped
    after that without renormalising, so a row sums to less than 1 by what went to them.

    Args:
        weights: (..., target pieces, source pieces); all layers and heads at once if wanted.
        source_groups: for each source word the indices of its pieces. A piece may belong to two words (where gold
            tokens are finer than white space) and then counts for both; a word may have none and gets 0.
        target_groups: likewise for target words.

    Returns:
        (..., target words, source words), in the floating-point type of `weights`.

    Raises:
        ShapeError: weights that are no matrices or not finite, a piece index out of range or twice in one word.
    """
    weights = _finite(weights)
    if weights.ndim < 2:
        raise ShapeError(f"weights must be (..., target, source), got shape {weights.shape}.")
    source_membership = _membership(source_groups, weights.shape[-1], "source")  # (source words, source pieces)
    target_membership = _membership(target_groups, weights.shape[-2], "target")
    num_pieces = np.maximum(target_membership.sum(axis=1, keepdims=True), 1)
    merged = (target_membership / num_pieces) @ weights @ source_membership.T
    return merged.astype(weights.dtype, copy=False)


def agreement(forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """The geometric mean of the weights of both directions: high where both link the same words.

    Source: Liang et al. 2006, section 3, who multiply the posteriors of two models that align in opposite directions.

    Args:
        forward: (T, S), of the source-to-target direction.
        backward: (S, T), of the other.

    Returns:
        (T, S).

    Raises:
        ShapeError: weights that are not such matrices, or not all finite.
    """
    forward, backward = _matrix(forward), _matrix(backward)
    if forward.shape != backward.shape[::-1]:
        raise ShapeError(
            f"weights of {forward.shape} and of {backward.shape} are not those of one pair, turned around."
        )
    return np.sqrt(forward * backward.T)


def symmetrize(forward: Set[Link], backward: Set[Link], method: str = "grow-diag-final-and") -> set[Link]:
    """Combine the links found in both directions of translation into one alignment.

    "grow-diag-final-and" starts from the intersection; while anything changes, it adds links of the union that touch an
    accepted link, at a side or a corner, and whose source or target word is still free; last it adds links of forward,
    then of backward, of which both words are free. Source: Koehn et al. 2005, with the scanning order of Koehn 2010,
    figure 4.14 (his e is our target, f our source): target by target, source by source.

    Args:
        forward: (source, target) links of the source-to-target direction.
        backward: links of the other direction, also as (source, target): turn its pairs around first.
        method: "intersection", "union" or "grow-diag-final-and".

    Raises:
        ConfigError: another method.
    """
    if method not in SYMMETRIZATIONS:
        raise ConfigError(f"method {method!r} is unknown; choose from {', '.join(SYMMETRIZATIONS)}.")
    if method == "intersection":
        return set(forward & backward)
    if method == "union":
        return set(forward | backward)
    union = _scanning_order(forward | backward)
    links = set(forward & backward)
    linked_sources = {source for source, _ in links}
    linked_targets = {target for _, target in links}

    def accept(link: Link) -> None:
        links.add(link)
        linked_sources.add(link[0])
        linked_targets.add(link[1])

    candidates = set(union)
    num_before = -1
    while len(links) > num_before:
        num_before = len(links)
        for source, target in union:
            if (source, target) not in links:  # asked at each visit: a link accepted in this pass grows in this pass
                continue
            for target_step, source_step in NEIGHBOURS:
                new = (source + source_step, target + target_step)
                free = new[0] not in linked_sources or new[1] not in linked_targets
                if free and new in candidates:
                    accept(new)
    for direction in (forward, backward):
        for source, target in _scanning_order(direction):
            if source not in linked_sources and target not in linked_targets:
                accept((source, target))
    return links


def _scanning_order(links: Iterable[Link]) -> list[Link]:
    return sorted(links, key=lambda link: (link[1], link[0]))


def _gold_pair(line: str, where: str) -> GoldPair:
    fields = line.split("\t")
    if len(fields) != 3:
        raise DataError(f"{where}: {len(fields)} columns; expected 3: source tokens, target tokens, links.")
    source, target = (tuple(field.split(" ")) for field in fields[:2])
    if "" in source or "" in target:
        raise DataError(f"{where}: an empty token; tokens stand between single spaces, as links count them.")
    try:
        sure, possible = parse_links(fields[2])
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    for i, j in sorted(possible):
        if i >= len(source) or j >= len(target):
            raise DataError(
                f"{where}: link {i}-{j} is beyond the last token ({len(source)} source, {len(target)} target tokens, "
                "counted from 0). Correct the links or the tokens."
            )
    return GoldPair(source, target, frozenset(sure), frozenset(possible))


def _matrix(weights: np.ndarray) -> np.ndarray:
    weights = _finite(weights)
    if weights.ndim != 2:
        raise ShapeError(
            f"weights must be (target, source), got shape {weights.shape}; choose a layer and a head first."
        )
    return weights


def _finite(weights: np.ndarray) -> np.ndarray:
    weights = np.asarray(weights)
    if not np.issubdtype(weights.dtype, np.floating):
        weights = weights.astype(np.float64)
    if not np.isfinite(weights).all():
        raise ShapeError("weights must be finite, got nan or infinity.")
    return weights


def _membership(groups: Sequence[Sequence[int]], num_pieces: int, side: str) -> np.ndarray:
    """1 where a piece belongs to a word, (words, pieces)."""
    membership = np.zeros((len(groups), num_pieces))
    for word, pieces in enumerate(groups):
        for piece in pieces:
            if not 0 <= piece < num_pieces:
                raise ShapeError(f"{side} word {word} has piece {piece}, but weights have {num_pieces} {side} pieces.")
            if membership[word, piece]:
                raise ShapeError(f"{side} word {word} has piece {piece} twice; list each piece of a word once.")
            membership[word, piece] = 1
    return membership
