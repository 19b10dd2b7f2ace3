"""Score an encoder's labels on test data: what `regard evaluate` prints of it."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import regard.api
from regard import long_texts
from regard.data import labelled
from regard.data.columns import Columns
from regard.data.labelled import LabelTask
from regard.errors import ConfigError
from regard.evaluation.calibration import calibration_error
from regard.evaluation.labels import LabelScore
from regard.judging import judge

_MOST_CLASSES = 30  # that are listed for people


@dataclass(frozen=True)
class ClassRow:
    """How one class fares."""

    label: str
    n: int  # texts that have it
    precision: float  # percent
    recall: float


@dataclass(frozen=True)
class LabelReport:
    """Everything that is known of one encoder on one test set."""

    model: str
    data: str
    num_texts: int
    scores: dict[str, LabelScore]
    loss: float  # nats a label; of numbers the mean squared error
    skipped: dict[str, int]  # texts that were not judged, by reason
    in_stretches: int  # texts longer than the model takes, judged by what it says of their stretches
    products: str  # the type in which the encoder multiplied: "float32" or "bfloat16"
    classes: list[ClassRow]  # none for tags and numbers
    calibration_errors: tuple[float, float] | None  # percent, of classes: as they are, and calibrated
    unknown_tags: dict[str, int]  # words whose tag the model has not learnt, by tag; they count as missed
    outputs: list[str] = field(repr=False)  # the prediction for each judged text

    def lines(self) -> list[str]:
        """For people."""
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(self.skipped.items()) if count)
        lines = [
            f"{self.model} on {self.data}: {self.num_texts:,} texts{f' (not judged: {reasons})' if reasons else ''}"
        ]
        if self.in_stretches:
            lines.append(f"longer than the model takes, and read in stretches: {self.in_stretches:,}")
        lines.append("")
        lines += [f"  {each.name:<14} {each.value:6.2f}  {each.interval}" for each in self.scores.values()]
        lines.append(f"  {'loss':<14} {self.loss:6.3f}")
        if self.unknown_tags:
            listed = ", ".join(f"{tag} {count:,}" for tag, count in self.unknown_tags.items())
            lines.append(f"  tags that the model has not learnt, counted as missed: {listed}")
        if self.calibration_errors is not None:
            plain, calibrated = self.calibration_errors
            lines.append(f"  {'calibration':<14} {plain:6.2f}  ({calibrated:.2f} with predict --calibrated)")
        if self.classes and len(self.classes) <= _MOST_CLASSES:
            width = max(5, *(len(row.label) for row in self.classes))
            lines += ["", f"  {'class':<{width}}       n  precision  recall"]
            lines += [
                f"  {row.label:<{width}} {row.n:>7,} {row.precision:>10.1f} {row.recall:>7.1f}" for row in self.classes
            ]
        lines += ["", "intervals: the middle 95 % of 1,000 bootstrap samples of the texts"]
        if self.products != "float32":
            lines.append(f"products in {self.products}, as this processor is faster at; --float32 takes them in full")
        return lines

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        plain = dataclasses.asdict(self)
        del plain["outputs"]
        return plain


def evaluate_encoder(
    model: Path,
    data: Sequence[str],
    columns: Columns,
    *,
    pair: bool | None = None,
    split_long: bool = False,
    float32: bool = False,
) -> LabelReport:
    """Predict the labels of DATA and score them.

    Args:
        pair: whether each text is two; None: as the model has learnt.
        split_long: judge also texts that are longer than the model takes, read in stretches.
        float32: as in `regard.load`.

    Raises:
        ConfigError: the model has learnt otherwise, or pairs are to be split.
        RegardError: of the model or the data.
    """
    encoder = regard.api.load(model, float32=float32)
    head = encoder.engine.model.config
    if head.task not in ("classify", "tag"):
        raise encoder.refusal("be scored: it has no head that labels")
    task: LabelTask = "tag"
    if head.task == "classify":
        task = "pair" if reads_pairs(encoder, pair) else "regress" if len(head.labels) == 1 else "classify"
    if split_long:
        long_texts.check_single(task)
    rows = labelled.load(data, task, columns)
    found = judge(encoder.engine, head.labels, rows, split_long=split_long)
    classes, errors = [], None
    if found.classes is not None:
        errors = calibration_error(*found.classes), calibration_error(*found.classes, head.temperature)
    if head.task == "classify" and len(head.labels) > 1:
        classes = [_class_row(label, found.gold, found.predicted) for label in head.labels]
    return LabelReport(
        model=str(model),
        data=" ".join(data),
        num_texts=len(found.gold),
        scores=found.scores,
        loss=found.loss,
        skipped={**rows.skipped, "longer than the model takes": 0 if split_long else found.too_long},
        in_stretches=found.too_long if split_long else 0,
        products=encoder.engine.products,
        classes=classes,
        calibration_errors=errors,
        unknown_tags=found.unknown_tags,
        outputs=found.predicted,
    )


def reads_pairs(encoder: regard.api.Model, said: bool | None) -> bool:
    """Whether an encoder judges pairs of texts: as it has learnt, or as is said of one that does not tell.

    Raises:
        ConfigError: it has learnt otherwise.
    """
    learnt = encoder.engine.model.config.pair
    if said is not None and learnt is not None and said != learnt:
        raise ConfigError(
            f"{encoder.name}: has learnt to judge {'pairs of' if learnt else 'single'} texts, and was given "
            f"{'pairs' if said else 'single ones'}. Leave out --pair and --other, or take another model."
        )
    return bool(said if learnt is None else learnt)


def _class_row(label: str, gold: Sequence[str], predicted: Sequence[str]) -> ClassRow:
    right = sum(a == b == label for a, b in zip(gold, predicted, strict=True))
    n, guessed = gold.count(label), predicted.count(label)
    return ClassRow(label, n, 100 * right / guessed if guessed else 0.0, 100 * right / n if n else 0.0)
