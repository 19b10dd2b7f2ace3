"""Score model folders on test data: what `regard evaluate` prints."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import regard.api
from regard.data import pairs as pair_data
from regard.data.filters import Filters
from regard.data.pairs import PairSet
from regard.data.world import WorldPair
from regard.decoding.options import SearchOptions
from regard.evaluation import coreference, metrics, paper
from regard.evaluation.coreference import Baseline, GenderAccuracy
from regard.evaluation.metrics import LengthRow, PairedScore, Score


@dataclass(frozen=True)
class ItReport:
    """How often *it* of the built-in corpus got the gender of the noun it stands for."""

    accuracy: GenderAccuracy
    interval: tuple[float, float]  # 95 %
    rules: dict[str, Baseline]  # rules without a model, on the same sentences

    @classmethod
    def of(cls, outputs: Sequence[str], gold: Sequence[WorldPair]) -> "ItReport | None":
        """Score translations; None if no sentence has an *it*."""
        accuracy = coreference.gender_accuracy(outputs, gold)
        return cls(accuracy, accuracy.interval(), coreference.baselines(gold)) if accuracy.total else None

    def lines(self) -> list[str]:
        """For people."""
        low, high = (100 * bound for bound in self.interval)
        rules = "   ".join(f"{name} {100 * rule.gender:.1f} %" for name, rule in self.rules.items())
        return [
            f"*it* given the right gender: {100 * self.accuracy.accuracy:.1f} % [{low:.1f}, {high:.1f}] "
            f"of {self.accuracy.total:,} ({self.accuracy.missing:,} not to be read)",
            f"  rules: {rules}",
        ]


@dataclass(frozen=True)
class EvaluationReport:
    """Everything that is known of one model on one test set."""

    model: str
    data: str
    num_pairs: int
    scores: dict[str, Score]
    exact: Score
    lengths: list[LengthRow]
    flags: dict[str, int]  # doubtful translations by reason
    skipped: dict[str, int]  # pairs of the data that cannot be scored, by reason: a side is empty, a line too long
    outputs: list[str] = field(repr=False)
    paper: Score | None = None
    against: str = ""
    paired: dict[str, PairedScore] = field(default_factory=dict)
    it: ItReport | None = None  # of the built-in corpus

    def lines(self) -> list[str]:
        """For people."""
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(self.skipped.items()))
        skipped = f" (skipped: {reasons})" if reasons else ""
        lines = [f"{self.model} on {self.data}: {self.num_pairs:,} pairs{skipped}", ""]
        lines += [_score_line(score) for score in self.scores.values()]
        if self.paper is not None:
            lines.append(_score_line(self.paper, "paper BLEU"))
        lines.append(_score_line(self.exact))
        lines += ["", "by source length (words)      n    BLEU  [95 %]         chrF"]
        for row in self.lengths:
            if row.bleu is not None and row.chrf is not None and row.low is not None and row.high is not None:
                interval = f"[{row.low:.1f}, {row.high:.1f}]"
                lines.append(f"  {row.label:<22}{row.n:>7,}  {row.bleu:>6.1f}  {interval:<13}  {row.chrf:>5.1f}")
            else:
                lines.append(f"  {row.label:<22}{row.n:>7,}")
        if self.flags:
            found = ", ".join(f"{flag.replace('_', ' ')} {count:,}" for flag, count in sorted(self.flags.items()))
            lines += ["", f"flagged: {found}"]
        if self.it is not None:
            lines += ["", *self.it.lines()]
        if self.paired:
            lines += ["", f"against {self.against} (paired bootstrap; positive: {self.model} is better)"]
            for pair in self.paired.values():
                lines.append(
                    f"  {pair.name:<6} {pair.b.value:.1f} against {pair.a.value:.1f}: {pair.difference:+.1f} "
                    f"[{pair.low:.1f}, {pair.high:.1f}], p = {pair.p_value:.4f}"
                )
        signatures = [score.signature for score in self.scores.values()]
        signatures += [self.paper.signature] if self.paper is not None else []
        return [*lines, "", "signatures:", *(f"  {signature}" for signature in signatures)]

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        plain = dataclasses.asdict(self)
        del plain["outputs"]
        return plain


def evaluate_models(
    model: Path,
    data: Sequence[str],
    *,
    against: Path | None = None,
    paper_language: str = "",
    edges: Sequence[int] = (10, 20, 30, 40, 50),
    options: SearchOptions,
    source_language: str = "",
    target_language: str = "",
    reverse: bool = False,
) -> EvaluationReport:
    """Translate DATA's sources and score the result.

    Args:
        against: another model for a paired test.
        paper_language: also give the literature's BLEU for this target language.
        edges: upper ends of the source-length buckets, in words.
        source_language, target_language: BCP-47; empty: as the model folder says.
        reverse: translate from the second side to the first.

    Raises:
        RegardError: of the models, the data or the metrics; DataError: the data's sides are the other way round.
    """
    metrics.make_metric("bleu", target_language)  # a missing library or a wrong language shows before the long work
    if paper_language:
        paper.tokenize([], paper_language)
    translator = regard.api.load(model)
    other = regard.api.load(against) if against is not None else None
    if other is not None:
        other.translate([], options)  # that it is no translator shows before the long work
        known = other.engine.source_language, other.engine.target_language
        pair_data.check_direction(data, source_language or known[0], target_language or known[1], reverse=reverse)
    source_language = source_language or translator.engine.source_language
    target_language = target_language or translator.engine.target_language
    pair_data.check_direction(data, source_language, target_language, reverse=reverse)
    languages = (source_language or None, target_language or None)
    gold = pair_data.draw_world(data, "test")
    if gold is not None:
        pairs, skipped = PairSet.of_world(gold), {}
    else:
        pairs, report = pair_data.load(
            list(data),
            source_language=languages[1 if reverse else 0],
            target_language=languages[0 if reverse else 1],
            filters=Filters.none(),
            split="test",
        )
        skipped = dict(report.total.skipped)
    sources, references = (pairs.targets, pairs.sources) if reverse else (pairs.sources, pairs.targets)
    results = translator.translate(sources, options)
    outputs = [result.text for result in results]
    flags: dict[str, int] = {}
    for result in results:
        for flag in result.flags:
            flags[flag] = flags.get(flag, 0) + 1
    paired = {}
    if other is not None:
        others = [result.text for result in other.translate(sources, options)]
        paired = metrics.paired_test(others, outputs, references, target_language=target_language)
    return EvaluationReport(
        model=str(model),
        data=" ".join(data),
        num_pairs=len(sources),
        scores=metrics.score(outputs, references, target_language=target_language),
        exact=metrics.exact_match(outputs, references),
        lengths=metrics.by_length(sources, outputs, references, edges, target_language=target_language),
        flags=flags,
        skipped=skipped,
        outputs=outputs,
        paper=paper.score(outputs, references, paper_language) if paper_language else None,
        against=str(against or ""),
        paired=paired,
        it=None if reverse or gold is None else ItReport.of(outputs, gold),
    )


def _score_line(score: Score, name: str = "") -> str:
    interval = "" if score.low is None or score.high is None else f"  [{score.low:.1f}, {score.high:.1f}]"
    return f"  {name or score.name:<12} {score.value:6.2f}{interval}"
