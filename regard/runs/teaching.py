"""A translator's student is taught with what its teacher writes (Kim and Rush 2016), and then set beside it."""

import dataclasses
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy

from regard import flags
from regard.data.pairs import PairSet
from regard.decoding.options import SearchOptions
from regard.engines.torch import TorchEngine
from regard.errors import CheckpointError, DataError, ModelError, Stopped
from regard.evaluation import metrics
from regard.models.folder import LoadedModel
from regard.models.protocol import Seq2Seq, count_parameters
from regard.runs import beside
from regard.runs.folder import TEACHER_FOLDER
from regard.runs.reporter import Reporter, told_score
from regard.runs.signals import stop_requests
from regard.runs.translating import TranslationLesson
from regard.storage import storing, write_file
from regard.training.distil import TranslatorDistilSettings
from regard.translation import Translation, translate

_PART = 1_000  # sentences
_UNUSABLE = {flags.EMPTY, flags.TRUNCATED, flags.REPETITION}  # what nobody should learn to write
_NOTE_SECONDS = 60.0  # between two notes


def taught(
    folder: Path,
    teacher: LoadedModel,
    pairs: PairSet,
    settings: TranslatorDistilSettings,
    facts: Mapping[str, Any],
    reporter: Reporter,
) -> PairSet:
    """The pairs with the teacher's translations as targets; what is cut short, repeats itself or is empty is left out.

    What has been translated is kept in the run folder, part by part, so that a run that was interrupted goes on there.

    Args:
        folder: the run folder. Teacher and settings are those of its config.toml, and do not change.
        facts: of the run; see `runs.folder.facts_of`.

    Raises:
        CheckpointError: the folder holds translations of other data.
        DataError: no translation can be used.
        Stopped: a signal came; what was translated is kept.
        StorageError: the disk refused.
    """
    where = folder / TEACHER_FOLDER  # facts.json, and the translations, a part a file
    _settle(where, facts, reporter)
    engine = TorchEngine(teacher.model, teacher.tokens)
    targets: list[str] = []
    began, told, here = time.monotonic(), 0.0, 0
    with stop_requests() as stop:
        for number, first in enumerate(range(0, len(pairs), _PART)):
            path, part = where / f"part-{number:06}.json", slice(first, first + _PART)
            found = _stored(path, len(pairs.sources[part]), reporter)
            if found is None:
                found = _written(engine, pairs.sources[part], pairs.targets[part], settings)
                _store(path, found)
                here += len(found)
                seconds = time.monotonic() - began
                if seconds - told > _NOTE_SECONDS:
                    told = seconds
                    left = seconds / here * (len(pairs) - len(targets) - len(found)) / 60
                    reporter.note(
                        f"teacher: {len(targets) + len(found):,} of {len(pairs):,} sentences translated, "
                        f"about {left:.0f} min left"
                    )
            targets += found
            if stop.number:
                raise Stopped(
                    stop.number,
                    f"{len(targets):,} of {len(pairs):,} sentences translated; the same command goes on from there.",
                )
    kept = numpy.array([number for number, target in enumerate(targets) if target], dtype=numpy.int64)
    if not len(kept):
        raise DataError(f"of {len(pairs):,} translations that the teacher wrote none can be learnt from.")
    left_out = len(pairs) - len(kept)
    reporter.note(
        f"the teacher's translations: {len(kept):,} to learn from, {left_out:,} left out (cut short, repeating, empty)"
    )
    return dataclasses.replace(pairs, targets=targets).select(kept)


def check_smaller(student: Seq2Seq, teacher: Seq2Seq) -> None:
    """Refuse a student that has as many parameters as its teacher.

    Raises:
        ModelError: it has.
    """
    ours, theirs = count_parameters(student), count_parameters(teacher)
    if ours >= theirs:
        raise ModelError(
            f"the student would have {ours:,} parameters and its teacher has {theirs:,}: it would not be smaller. "
            f"Ask for smaller sizes, such as --set model.hidden_size={student.config.hidden_size // 2}."
        )


def beside_teacher(
    folder: Path, student: Seq2Seq, teacher: Seq2Seq, lesson: TranslationLesson, best: Mapping[str, Any]
) -> str:
    """A line on how good, how fast and how large the student is, beside its teacher. It is measured once, and kept.

    Args:
        folder: the run folder.
        student: with its best weights.
        lesson: whose dev set both translate.
        best: the student's best validation.
    """
    metric = "chrf" if lesson.plan.dev_metric == "loss" else lesson.plan.dev_metric
    options = SearchOptions(beam_size=lesson.plan.dev_beam_size)
    student_engine, teacher_engine = (TorchEngine(model.eval(), lesson.tokens) for model in (student, teacher))
    sources, references = lesson.dev_pairs.sources, lesson.dev_pairs.targets
    timed = sources[: beside.TIMED]

    def make() -> str:
        outputs = [result.text for result in translate(teacher_engine, sources, options)]
        theirs = metrics.quick(outputs, references, metric, target_language=lesson.target_language)
        return beside.line_of(
            (told_score(metric, best[f"dev_{metric}"]), told_score(metric, theirs)),
            (student, teacher),
            (lambda: translate(student_engine, timed, options), lambda: translate(teacher_engine, timed, options)),
            len(timed),
            "sentences",
            f"beam {options.beam_size}",
        )

    return beside.kept_line(folder, best["step"], make)


def _settle(where: Path, facts: Mapping[str, Any], reporter: Reporter) -> None:
    """Make the folder of translations, or refuse one that holds those of other data."""
    with storing(where):
        where.mkdir(exist_ok=True)
    path = where / "facts.json"
    ours = {key: facts[key] for key in ("data", "versions", "threads")}
    try:
        theirs = json.loads(path.read_bytes())
        differing = [key for key in ours if theirs[key] != ours[key]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        write_file(path, json.dumps(ours).encode())
        return
    if "data" in differing:
        raise CheckpointError(
            f"{where}: holds translations of other training data (its sha256 differs). "
            "Put the old files back to go on, or use another --out."
        )
    for key in differing:
        reporter.note(
            f"{key} were {theirs[key]} and are now {ours[key]}: "
            "what the teacher translates from here on may differ in places."
        )


def _stored(path: Path, count: int, reporter: Reporter) -> list[str] | None:
    """A part that was translated before; None if it is not there, or not as it was written."""
    try:
        found = json.loads(path.read_bytes())
        texts = found["texts"]
        if found["sha256"] == _digest(texts) and len(texts) == count:
            return texts
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    reporter.note(f"{path}: is damaged, and is translated again.")
    return None


def _store(path: Path, texts: list[str]) -> None:
    found = {"sha256": _digest(texts), "texts": texts}
    write_file(path, json.dumps(found, ensure_ascii=False).encode())


def _digest(texts: list[str]) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def _written(
    engine: TorchEngine, sources: Sequence[str], references: Sequence[str], settings: TranslatorDistilSettings
) -> list[str]:
    """The teacher's translations, "" where it wrote none that can be learnt from."""
    n_best = settings.beam_size if settings.choose == "nearest" else 1
    options = SearchOptions(beam_size=settings.beam_size, n_best=n_best)
    once = list(dict.fromkeys(sources))  # a sentence with several translations by people
    written = dict(zip(once, translate(engine, once, options), strict=True))
    return [_chosen(written[source], reference) for source, reference in zip(sources, references, strict=True)]


def _chosen(result: Translation, reference: str) -> str:
    """Of what can be used of the n best the text with the highest chrF; of equal ones the likeliest."""
    texts = [each.text for each in result.alternatives or (result,) if not _UNUSABLE & set(each.flags)]
    if len(texts) < 2:
        return texts[0] if texts else ""
    scores = metrics.sentence_chrf(texts, [reference] * len(texts))
    return texts[scores.index(max(scores))]
