"""A translator's student is taught with what its teacher writes (Kim and Rush 2016), and then set beside it."""

import dataclasses
import hashlib
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
from torch import nn

from regard import flags
from regard.data.pairs import PairSet
from regard.decoding.options import SearchOptions
from regard.engines.torch import TorchEngine
from regard.errors import DataError, ModelError, StorageError
from regard.evaluation.metrics import sentence_chrf
from regard.models.folder import LoadedModel
from regard.models.protocol import Seq2Seq
from regard.runs.reporter import Reporter, told_score
from regard.runs.translating import TranslationLesson
from regard.training import checkpoint
from regard.training.distil import TranslatorDistilSettings
from regard.translation import Translation, translate

_FOLDER = "teacher"  # in the run folder: the translations, a part a file
_PART = 2_000  # sentences
_UNUSABLE = {flags.EMPTY, flags.TRUNCATED, flags.REPETITION}  # what nobody should learn to write
_TIMED, _ROUNDS = 200, 3  # dev sentences translated by student and teacher in turn


def taught(
    folder: Path, teacher: LoadedModel, pairs: PairSet, settings: TranslatorDistilSettings, reporter: Reporter
) -> PairSet:
    """The pairs with the teacher's translations as targets; what is cut short, repeats itself or is empty is left out.

    What has been translated is kept in the run folder, part by part, so that a run that was interrupted goes on there.

    Raises:
        DataError: no translation can be used.
        StorageError: the disk refused.
    """
    where = folder / _FOLDER
    try:
        where.mkdir(exist_ok=True)
    except OSError as error:
        raise StorageError(f"{where}: cannot be written ({error.strerror}).") from error
    engine = TorchEngine(teacher.model, teacher.tokens)
    targets: list[str] = []
    began, here, told = time.monotonic(), 0, 0
    for first in range(0, len(pairs), _PART):
        part = slice(first, first + _PART)
        found, is_new = _part(where, engine, pairs.sources[part], pairs.targets[part], settings)
        targets += found
        here += len(found) * is_new
        if is_new and len(targets) * 10 // len(pairs) > told:
            told = len(targets) * 10 // len(pairs)
            left = (time.monotonic() - began) / here * (len(pairs) - len(targets))
            reporter.note(
                f"teacher: {len(targets):,} of {len(pairs):,} sentences translated"
                + (f", about {left / 60:.0f} min left" if left > 90 else "")
            )
    kept = numpy.array([number for number, target in enumerate(targets) if target], dtype=numpy.int64)
    if not len(kept):
        raise DataError(f"of {len(pairs):,} translations that the teacher wrote none can be learnt from.")
    if len(kept) < len(pairs):
        reporter.note(
            f"{len(pairs) - len(kept):,} translations of the teacher were left out: cut short, repeating or empty"
        )
    return dataclasses.replace(pairs, targets=targets).select(kept)


def check_smaller(student: nn.Module, teacher: nn.Module) -> None:
    """Refuse a student that has as many numbers as its teacher.

    Raises:
        ModelError: it has.
    """
    ours, theirs = _size(student), _size(teacher)
    if ours >= theirs:
        raise ModelError(
            f"the student would have {ours:,} parameters and its teacher has {theirs:,}: it would not be smaller. "
            "Ask for fewer --layers, or set sizes: --set model.hidden_size=128."
        )


def beside_teacher(student: Seq2Seq, teacher: Seq2Seq, lesson: TranslationLesson, best: Mapping[str, Any]) -> str:
    """A line on what the student can, how fast and how large it is, beside its teacher.

    Args:
        student: with its best weights.
        lesson: whose dev set both translate.
        best: the student's best validation.
    """
    scores = lesson.validate(teacher.eval()).row
    metric = lesson.plan.dev_metric
    ours, theirs = best[f"dev_{metric}"], scores[f"dev_{metric}"]
    seconds = _seconds((student.eval(), teacher), lesson)
    rates = [min(_TIMED, len(lesson.dev_pairs)) / taken for taken in seconds]
    return (
        f"dev {told_score(metric, ours)}, its teacher {told_score(metric, theirs).rpartition(' ')[2]}; "
        f"{rates[0]:,.0f} sentences/s, its teacher {rates[1]:,.0f} ({rates[0] / rates[1]:.2f} times as fast); "
        f"{_size(student):,} parameters of {_size(teacher):,}"
    )


def _part(
    where: Path,
    engine: TorchEngine,
    sources: Sequence[str],
    references: Sequence[str],
    settings: TranslatorDistilSettings,
) -> tuple[list[str], bool]:
    """The teacher's translations of some sentences, "" where one is of no use; and whether they were made just now.

    The name of their file follows from the sentences. Teacher and settings are those of the run.
    """
    content = json.dumps([list(sources), list(references)]).encode()
    path = where / f"{hashlib.sha256(content).hexdigest()[:32]}.json"
    try:
        found = json.loads(path.read_bytes())
        if isinstance(found, list) and len(found) == len(sources) and all(isinstance(text, str) for text in found):
            return found, False
    except (OSError, ValueError):
        pass  # not there; or damaged, and made again
    nearest = settings.choose == "nearest"
    options = SearchOptions(beam_size=settings.beam_size, n_best=settings.beam_size if nearest else 1)
    once = list(dict.fromkeys(sources))  # a sentence with several translations by people
    written = dict(zip(once, translate(engine, once, options), strict=True))
    results = [written[source] for source in sources]
    chosen = [
        _nearest(result, reference) if nearest else result.text
        for result, reference in zip(results, references, strict=True)
    ]
    texts = ["" if _UNUSABLE & set(result.flags) else text for result, text in zip(results, chosen, strict=True)]
    checkpoint.write_file(path, json.dumps(texts, ensure_ascii=False).encode())
    return texts, True


def _nearest(result: Translation, reference: str) -> str:
    """Of the n best the one with the highest chrF; of equal ones the likeliest."""
    texts = [alternative.text for alternative in result.alternatives] or [result.text]
    scores = sentence_chrf(texts, [reference] * len(texts))
    return texts[scores.index(max(scores))]


def _seconds(models: Sequence[Seq2Seq], lesson: TranslationLesson) -> list[float]:
    """What translating takes each, the middle one of several rounds in turn."""
    options = SearchOptions(beam_size=lesson.plan.dev_beam_size)
    sentences = lesson.dev_pairs.sources[:_TIMED]
    engines = [TorchEngine(model, lesson.tokens) for model in models]
    taken: list[list[float]] = [[] for _ in engines]
    for _ in range(_ROUNDS):
        for engine, times in zip(engines, taken, strict=True):
            began = time.perf_counter()
            translate(engine, sentences, options)
            times.append(time.perf_counter() - began)
    return [statistics.median(times) for times in taken]


def _size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
