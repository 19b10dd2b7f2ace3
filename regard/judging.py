"""An encoder's labels against those that people gave: for validation in training and for `regard evaluate`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from regard import long_texts, prediction
from regard.data.labelled import LabelledSet, TagSpan
from regard.data.text_tokens import TextIds, that_fit
from regard.errors import DataError
from regard.evaluation import labels as label_scores
from regard.evaluation.calibration import log_softmax
from regard.evaluation.labels import Scores
from regard.prediction import OUTSIDE, Engine, TaggedWord


@dataclass(frozen=True)
class Judged:
    """What a model made of labelled texts."""

    scores: Scores
    loss: float  # nats a label; of numbers the mean squared error
    gold: list[str]  # of each text, tags with spaces between
    predicted: list[str]
    texts: list[str]  # that were judged
    too_long: int  # texts that the model cannot take whole; they are judged only where they may be split
    classes: "tuple[np.ndarray, np.ndarray] | None" = None  # of classes: logits (texts, labels) and gold numbers
    unknown_tags: "dict[str, int]" = field(default_factory=dict)  # words whose tag is none of the head's, by tag


def judge(
    engine: Engine,
    labels: Sequence[str],
    rows: LabelledSet,
    *,
    inputs: Sequence[TextIds] | None = None,
    resamples: int = label_scores.RESAMPLES,
    split_long: bool = False,
) -> Judged:
    """Predict every text and score what comes out.

    Args:
        labels: the head's, in the order of its logits; one: it predicts a number.
        inputs: the rows' texts encoded, for who judges them time and again; None: they are encoded here.
        resamples: of the bootstrap that gives the scores their intervals; 0: none.
        split_long: judge also single texts that are longer than the model takes, read in stretches.

    Raises:
        DataError: no text fits into the model, a class is none of the head's, or no tag is one of them.
    """
    if inputs is None:
        inputs = engine.tokens.encode_all(rows.texts)
    too_long = sum(len(read) > engine.max_length for read in inputs)
    kept = list(range(len(inputs))) if split_long else that_fit(inputs, engine.max_length)
    texts, gold = [rows.texts[row] for row in kept], [rows.labels[row] for row in kept]
    inputs = [inputs[row] for row in kept]
    logits = long_texts.logits(engine, inputs) if split_long else engine.logits(inputs)
    shown = [text if isinstance(text, str) else " | ".join(text) for text in texts]
    if isinstance(gold[0], tuple):
        spans = [label for label in gold if not isinstance(label, str)]
        words = [
            prediction.words_of(text, read, each, labels)
            for text, read, each in zip(shown, inputs, logits, strict=True)
        ]
        guessed = [tags_at(found, wanted) for found, wanted in zip(words, spans, strict=True)]
        wanted = [[span.tag for span in each] for each in spans]
        unknown = Counter(tag for each in wanted for tag in each if tag not in labels)
        if unknown.total() == sum(map(len, wanted)):
            raise DataError(
                f"the tags {', '.join(sorted(unknown))[:200]} are none of the model's: {', '.join(labels)[:200]}."
            )
        losses = _tag_losses(logits, [read.spans for read in inputs], spans, labels)
        told = [" ".join(each) for each in wanted], [" ".join(each) for each in guessed]
        scores = label_scores.tags(wanted, guessed, resamples=resamples)
        return Judged(scores, losses, *told, shown, too_long, unknown_tags=dict(sorted(unknown.items())))
    names = [label for label in gold if isinstance(label, str)]
    if len(labels) == 1:
        values, real = np.array([each[0] for each in logits], dtype=np.float64), np.array(names, dtype=np.float64)
        told = names, [f"{value:.6g}" for value in values]
        scores = label_scores.numbers(real, values, resamples=resamples)
        return Judged(scores, float(((values - real) ** 2).mean()), *told, shown, too_long)
    number_of = {label: number for number, label in enumerate(labels)}
    if unknown := next((name for name in names if name not in number_of), None):
        raise DataError(f"the label {unknown!r} is none of the model's: {', '.join(labels)[:200]}.")
    real = np.array([number_of[name] for name in names])
    stacked = np.stack(logits).astype(np.float64)  # (texts, labels)
    best = stacked.argmax(axis=1)
    loss = float(-log_softmax(stacked)[np.arange(len(real)), real].mean())
    told = names, [labels[number] for number in best]
    scores = label_scores.classes(real, best, labels, resamples=resamples)
    return Judged(scores, loss, *told, shown, too_long, classes=(stacked, real))


def tags_at(words: Sequence[TaggedWord], spans: Sequence[TagSpan]) -> list[str]:
    """For each span the label of the word that covers its first character; "O" where none does."""
    found = prediction.words_at(words, [span.first for span in spans])
    return [OUTSIDE if word is None else word.label for word in found]


def _tag_losses(
    logits: Sequence[np.ndarray],
    places: Sequence[Sequence[tuple[int, int]]],
    spans: Sequence[Sequence[TagSpan]],
    labels: Sequence[str],
) -> float:
    """The mean over words, at their first pieces; tags that the model does not know are left out."""
    number_of = {label: number for number, label in enumerate(labels)}
    total, count = 0.0, 0
    for rows, characters, wanted in zip(logits, places, spans, strict=True):
        starts = {first: place for place, (first, end) in reversed(list(enumerate(characters))) if end > first}
        scores = log_softmax(rows.astype(np.float64))
        for span in wanted:
            if span.tag in number_of and span.first in starts:
                total -= scores[starts[span.first], number_of[span.tag]]
                count += 1
    return total / max(count, 1)
