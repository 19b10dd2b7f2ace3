"""BLEU, chrF, TER and exact match, each with its signature and a 95 % interval; paired tests; scores by length.

The metrics are sacreBLEU's (Post 2018). The bootstrap draws the same sentences as sacreBLEU's own does for the same
seed; it stands here because sacreBLEU takes its seed from an environment variable only, holds every resample in memory
at once, and gives no interval for the difference of two systems.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from regard.errors import ConfigError, DataError, MissingDependencyError

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

METRICS = ("bleu", "chrf", "ter")
MINIMUM_RESAMPLES = 40  # the interval leaves out 1/40 of the resamples at each end
WILSON_Z = 1.959963984540054  # the normal quantile at 97.5 %

# 13a does not cut text that is written without spaces. Names are ISO 639-1 and, as FLORES has them, 639-3.
TOKENIZERS = {
    "zh": "zh", "zho": "zh", "cmn": "zh", "yue": "zh",
    "ja": "ja-mecab", "jpn": "ja-mecab",
    "ko": "ko-mecab", "kor": "ko-mecab",
}  # fmt: skip


@dataclass(frozen=True)
class Score:
    """One number and what is needed to believe it.

    `value`, `low` and `high` are in percent (0 to 100; TER, where lower is better, can exceed 100). `low` and `high`
    bound the middle 95 % of the bootstrap, or are None where no resampling was asked for. `name` is sacreBLEU's
    ("BLEU", "chrF2", "TER"), and `signature` begins with it.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    signature: str


@dataclass(frozen=True)
class PairedScore:
    """Two systems under one metric, on the same resamples.

    `difference` is b's value minus a's; `low` and `high` bound the middle 95 % of that difference. `p_value` is
    sacreBLEU's paired bootstrap (Koehn 2004): how often chance alone gives a difference as large as the observed one.
    It centres the absolute differences, so it is nearly one-sided and may be below 0.05 where the interval contains 0.
    """

    name: str
    a: Score
    b: Score
    difference: float
    low: float
    high: float
    p_value: float
    signature: str


@dataclass(frozen=True)
class LengthRow:
    """Scores of the sentences whose source has a length within one bucket; all None in an empty bucket.

    `label` gives the source words ("11-20", ">50"), `n` the sentences; `low` and `high` bound BLEU (95 %).
    """

    label: str
    n: int
    bleu: float | None = None
    low: float | None = None
    high: float | None = None
    chrf: float | None = None
    bleu_signature: str = ""
    chrf_signature: str = ""


def score(
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    target_language: str = "",
    metrics: Sequence[str] = METRICS,
    resamples: int = 1000,
    seed: int = 12345,
) -> dict[str, Score]:
    """Score a corpus under each metric, with 95 % bootstrap intervals.

    Args:
        hypotheses: detokenised translations, one a line.
        references: as many, in the same order.
        target_language: code of the language written ("de", "pt-BR", "zho_Hans"); chooses BLEU's tokeniser: a
            special one for Chinese, Japanese and Korean where its library is installed, else 13a. The signature tells.
        metrics: any of "bleu", "chrf", "ter".
        resamples: bootstrap resamples; 0 gives no intervals.
        seed: of the resampling; the same seed draws the same sentences as sacreBLEU.

    Returns:
        A `Score` for each name in `metrics`, in that order.

    Raises:
        DataError: no lines, or line counts that differ.
        ConfigError: an unknown metric, or too few resamples for an interval.
        MissingDependencyError: sacrebleu is not installed.
    """
    _check_lines(hypotheses, references)
    _check_resamples(resamples)
    chosen = {name: make_metric(name, target_language) for name in metrics}
    return {name: score_with(metric, hypotheses, references, resamples, seed) for name, metric in chosen.items()}


def quick(hypotheses: Sequence[str], references: Sequence[str], metric: str, *, target_language: str = "") -> float:
    """The corpus score in percent and nothing else: for early stopping, where no interval is needed.

    Raises: as `score`.
    """
    _check_lines(hypotheses, references)
    return make_metric(metric, target_language, force=True).corpus_score(hypotheses, [references]).score


def sentence_chrf(hypotheses: Sequence[str], references: Sequence[str]) -> list[float]:
    """The chrF of each sentence by itself, in percent; an empty one scores 0.

    Raises: as `score`.
    """
    _check_lines(hypotheses, references)
    metric = make_metric("chrf")
    return [
        metric.sentence_score(hypothesis, [reference]).score
        for hypothesis, reference in zip(hypotheses, references, strict=True)
    ]


def paired_test(
    hypotheses_a: Sequence[str],
    hypotheses_b: Sequence[str],
    references: Sequence[str],
    *,
    target_language: str = "",
    metrics: Sequence[str] = ("bleu", "chrf"),
    resamples: int = 1000,
    seed: int = 12345,
) -> dict[str, PairedScore]:
    """Test whether system b differs from system a by more than the choice of sentences explains.

    Both are scored on the same resamples of the test set. The p-value is that of `sacrebleu --paired-bs` with a as
    baseline, but for systems that never differ: there it is 1, where sacreBLEU says 1 / (resamples + 1).

    Args: as in `score`; `resamples` must not be 0.

    Raises: as `score`.
    """
    _check_lines(hypotheses_a, references)
    _check_lines(hypotheses_b, references)
    _check_resamples(resamples, zero_allowed=False)
    results = {}
    for key in metrics:
        metric = make_metric(key, target_language)
        statistics_a, statistics_b = (_statistics(metric, lines, references) for lines in (hypotheses_a, hypotheses_b))
        samples_a = _resampled_scores(metric, statistics_a, resamples, seed)
        samples_b = _resampled_scores(metric, statistics_b, resamples, seed)
        name, value_a = _value(metric, statistics_a)
        signature = _signature(metric, name, resamples, seed)
        _, value_b = _value(metric, statistics_b)
        low, high = _interval(samples_b - samples_a)
        results[key] = PairedScore(
            name,
            Score(name, value_a, *_interval(samples_a), signature),
            Score(name, value_b, *_interval(samples_b), signature),
            value_b - value_a,
            low,
            high,
            _p_value(samples_b - samples_a, value_b - value_a),
            signature,
        )
    return results


def by_length(
    sources: Sequence[str],
    hypotheses: Sequence[str],
    references: Sequence[str],
    edges: Sequence[int] = (10, 20, 30, 40, 50),
    *,
    target_language: str = "",
    resamples: int = 1000,
    seed: int = 12345,
) -> list[LengthRow]:
    """Score the sentences of each range of source lengths apart.

    Args:
        sources: one a line; their length is counted in white-space words.
        hypotheses: as many translations.
        references: as many.
        edges: the longest length of each bucket, ascending; one more bucket holds all that is longer. (10, 15, 20)
            makes "1-10", "11-15", "16-20", ">20". A source without a word is counted in the first.
        target_language, resamples, seed: as in `score`.

    Returns:
        A row for each bucket, shortest first, empty ones too; their `n` sum to the number of lines.

    Raises: as `score`, and ConfigError for edges that do not ascend from 1 or more.
    """
    _check_lines(hypotheses, references)
    _check_lines(hypotheses, sources, "sources")
    _check_resamples(resamples)
    if not edges or any(low >= high for low, high in zip((0, *edges), edges, strict=False)):
        raise ConfigError(f"edges are {tuple(edges)}; they must be whole numbers that ascend from 1 or more.")
    bleu, chrf = make_metric("bleu", target_language, force=True), make_metric("chrf", target_language)
    bleu_statistics = _statistics(bleu, hypotheses, references)
    chrf_statistics = _statistics(chrf, hypotheses, references)
    bleu_signature = _signature(bleu, _value(bleu, bleu_statistics)[0], resamples, seed)
    chrf_signature = _signature(chrf, _value(chrf, chrf_statistics)[0], 0, seed)
    bucket_of = np.searchsorted(edges, [len(source.split()) for source in sources])  # first edge >= the length
    rows = []
    for bucket, label in enumerate(_labels(edges)):
        members = np.flatnonzero(bucket_of == bucket)
        if not len(members):
            rows.append(LengthRow(label, 0))
            continue
        _, bleu_value = _value(bleu, bleu_statistics[members])
        _, chrf_value = _value(chrf, chrf_statistics[members])
        low = high = None
        if resamples:
            low, high = _interval(_resampled_scores(bleu, bleu_statistics[members], resamples, seed))
        n = len(members)
        rows.append(LengthRow(label, n, bleu_value, low, high, chrf_value, bleu_signature, chrf_signature))
    return rows


def exact_match(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Percent of lines that equal their reference, character for character, with Wilson's 95 % interval (1927).

    Raises:
        DataError: no lines, or line counts that differ.
    """
    _check_lines(hypotheses, references)
    n = len(references)
    share = sum(ours == theirs for ours, theirs in zip(hypotheses, references, strict=True)) / n
    low, high = wilson(share, n)
    return Score("exact match", 100 * share, 100 * low, 100 * high, f"exact match|n:{n}|case:mixed|interval:wilson-95")


def wilson(share: float, n: int) -> tuple[float, float]:
    """95 % confidence interval of a share of n cases (Wilson 1927); 0 to 1 when there are none."""
    if not n:
        return 0.0, 1.0
    shrink = 1 + WILSON_Z**2 / n
    centre = (share + WILSON_Z**2 / (2 * n)) / shrink
    radius = WILSON_Z * math.sqrt(share * (1 - share) / n + WILSON_Z**2 / (4 * n * n)) / shrink
    # At 0 and at 1 one bound is exactly the share; rounding may leave it a hair beyond.
    return min(share, max(0.0, centre - radius)), max(share, min(1.0, centre + radius))


def make_metric(name: str, target_language: str = "", *, force: bool = False) -> "Metric":
    """sacreBLEU's metric with its defaults; `force` silences BLEU's warning about text that looks tokenised."""
    if name not in METRICS:
        raise ConfigError(f"metric {name!r} is unknown; choose from {', '.join(METRICS)}.")
    try:
        from sacrebleu.metrics import BLEU, CHRF, TER
    except ImportError as error:
        raise MissingDependencyError("sacrebleu", "eval", "Scoring") from error
    if name == "chrf":
        return CHRF()
    if name == "ter":
        return TER()
    tokenizer = TOKENIZERS.get(primary_subtag(target_language), "13a")
    try:
        return BLEU(tokenize=tokenizer, force=force)
    except RuntimeError:  # sacreBLEU's way to say that MeCab or its dictionary is not installed
        return BLEU(tokenize="13a", force=force)


def score_with(
    metric: "Metric", hypotheses: Sequence[str], references: Sequence[str], resamples: int, seed: int
) -> Score:
    """Score under a metric object of sacreBLEU's; arguments are those of `score`."""
    _check_lines(hypotheses, references)
    _check_resamples(resamples)
    statistics = _statistics(metric, hypotheses, references)
    name, value = _value(metric, statistics)
    low = high = None
    if resamples:
        low, high = _interval(_resampled_scores(metric, statistics, resamples, seed))
    return Score(name, value, low, high, _signature(metric, name, resamples, seed))


def primary_subtag(language: str) -> str:
    """The language of a code without region or script: "pt-BR" and "por_Latn" give "pt" and "por"."""
    return language.replace("_", "-").split("-")[0].lower()


def _statistics(metric: "Metric", hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """What the metric counts in each sentence, (lines, counts): corpus scores are functions of the sums.

    These two methods of sacreBLEU's are not public, but its own PairedTest is built on them from outside the class;
    tests hold our results to PairedTest's, so a change there will be seen.
    """
    return np.array(metric._extract_corpus_statistics(hypotheses, [references]), dtype=np.float64)


def _value(metric: "Metric", statistics: np.ndarray) -> tuple[str, float]:
    result = metric._compute_score_from_stats(statistics.sum(axis=0).tolist())
    return result.name, float(result.score)


def _resampled_scores(metric: "Metric", statistics: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """The corpus score of each of `resamples` test sets drawn with replacement, (resamples,)."""
    generator = np.random.default_rng(seed)
    lines = len(statistics)
    scores = np.empty(resamples)
    for i in range(resamples):
        times_drawn = np.bincount(generator.choice(lines, size=lines, replace=True), minlength=lines)
        scores[i] = metric._compute_score_from_stats((times_drawn @ statistics).tolist()).score
    return scores


def _interval(samples: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of the samples, cut as sacreBLEU cuts."""
    cut = len(samples) // 40
    ordered = np.sort(samples)
    return float(ordered[cut]), float(ordered[len(samples) - cut - 1])


def _p_value(differences: np.ndarray, observed: float) -> float:
    """sacreBLEU's: the share of resampled absolute differences, moved to mean zero, above the observed one."""
    sizes = np.abs(differences)
    if not sizes.any():
        return 1.0
    larger = int(np.count_nonzero(sizes - sizes.mean() > abs(observed)))
    return (larger + 1) / (len(sizes) + 1)


def _signature(metric: "Metric", name: str, resamples: int, seed: int) -> str:
    """sacreBLEU's signature, with our resampling where it would write its own."""
    signature = metric.get_signature()
    signature.update("bs", resamples or None)
    signature.update("seed", seed if resamples else None)
    return f"{name}|{signature.format()}"


def _labels(edges: Sequence[int]) -> list[str]:
    starts = [1, *(edge + 1 for edge in edges[:-1])]
    ranges = [f"{start}-{end}" if start < end else f"{end}" for start, end in zip(starts, edges, strict=True)]
    return [*ranges, f">{edges[-1]}"]


def _check_lines(hypotheses: Sequence[str], others: Sequence[str], what: str = "references") -> None:
    if len(hypotheses) != len(others):
        raise DataError(
            f"{len(hypotheses)} hypotheses but {len(others)} {what}; line N of one must belong to line N of the other."
        )
    if not hypotheses:
        raise DataError("There is nothing to score: 0 hypotheses. Give at least one line.")


def _check_resamples(resamples: int, *, zero_allowed: bool = True) -> None:
    if resamples < MINIMUM_RESAMPLES and not (zero_allowed and resamples == 0):
        without = ", or 0 for none" if zero_allowed else ""
        raise ConfigError(
            f"resamples is {resamples}; a 95 % interval needs at least {MINIMUM_RESAMPLES} (1000 is usual){without}."
        )
