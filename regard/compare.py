"""Several architectures on the same data for the same budget: quality by length, training speed, parameters."""

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from regard.api import Model, load
from regard.data.holding_out import hold_out
from regard.data.pairs import PairSet
from regard.decoding.options import SearchOptions
from regard.errors import ConfigError
from regard.evaluation import metrics
from regard.evaluation.metrics import LengthRow
from regard.look.curves import Curve, Panel, draw_curves
from regard.models import build
from regard.models.protocol import Seq2Seq, count_parameters
from regard.nn.attention import AdditiveAttention, MultiHeadAttention
from regard.nn.layers import fast_in_bf16, multiply_in_bf16
from regard.nn.padded import Padded
from regard.runs.data import load_pairs, prepare_data
from regard.runs.reporter import Reporter
from regard.runs.run import Run
from regard.runs.settings import DataSettings, Settings, settings_from
from regard.training.batches import Batch
from regard.training.loss import translation_loss
from regard.training.optimizer import adamw

SPEED_LENGTHS = (10, 20, 40, 80)  # tokens
SPEED_BATCHES = (8, 64)  # sentences
HELD_OUT_PAIRS = 1_000
_ROUNDS = 3


@dataclass(frozen=True)
class Contestant:
    """What one architecture reached."""

    arch: str
    parameters: int
    attention_parameters: int
    minutes: float  # of training and validation
    steps: int
    dev_chrf: float
    bleu: float  # on the test set
    chrf: float
    lengths: list[LengthRow]
    # (sentence length, batch size) -> target tokens a second of a training step, median of several alternating rounds
    speed: dict[tuple[int, int], float]


def run(
    archs: Sequence[str],
    tables: Mapping[str, Mapping[str, Any]],
    data: DataSettings,
    test: Sequence[str],
    edges: Sequence[int],
    out: Path,
    reporter: Reporter,
) -> list[Contestant]:
    """Train each architecture in `out/ARCH` and score it.

    Args:
        archs: names, as in `MODELS`.
        tables: settings for all of them; a [model] table must fit each.
        test: DATA to score on; empty: a tenth of the pairs, a thousand at most, is held out first.
        edges: upper ends of the source-length buckets, in words.

    Raises:
        ConfigError: an architecture is unknown or named twice, or a setting does not fit it.
        DataError: the data cannot be read.
    """
    if len(set(archs)) < len(archs):
        raise ConfigError(f"--arch names one architecture twice: {', '.join(archs)}.")
    # Mistakes show before the data is read.
    seed = [settings_from(tables, data, 1, arch, "settings").training.seed for arch in archs].pop()
    train_pairs, dev_pairs = prepare_data(data, seed, reporter.note)
    if test:
        test_pairs, _ = load_pairs(data, test, "test")
    else:
        held = hold_out(train_pairs, HELD_OUT_PAIRS, seed + 1)
        train_pairs, test_pairs = held.train, held.dev
        reporter.note(f"held out: test {len(test_pairs):,}")
    all_settings = {arch: settings_from(tables, data, len(train_pairs), arch, "settings") for arch in archs}
    contestants = []
    for arch in archs:
        reporter.note(arch)
        model, best = train_one(arch, tables, data, train_pairs, dev_pairs, out / arch, reporter)
        log = out / arch / "metrics.jsonl"
        contestants.append(contest(arch, model, best, test_pairs, edges, SearchOptions(), log))
    speeds = training_speed(all_settings)
    return [replace(row, speed=speeds[row.arch]) for row in contestants]


def train_one(
    arch: str,
    tables: Mapping[str, Mapping[str, Any]],
    data: DataSettings,
    train_pairs: PairSet,
    dev_pairs: PairSet,
    folder: Path,
    reporter: Reporter,
) -> tuple[Model, dict[str, Any]]:
    """Train one architecture in its own run folder; its model and its best validation."""
    settings = settings_from(tables, data, len(train_pairs), arch, "settings")
    best = Run(folder, settings, reporter).train(train_pairs, dev_pairs)
    return load(folder), best


def contest(
    arch: str,
    model: Model,
    best: Mapping[str, Any],
    test: PairSet,
    edges: Sequence[int],
    options: SearchOptions,
    log: Path,
) -> Contestant:
    """Score a trained model on the test pairs."""
    outputs = [result.text for result in model.translate(test.sources, options)]
    language = model.engine.target_language
    scores = metrics.score(outputs, test.targets, metrics=("bleu", "chrf"), target_language=language, resamples=0)
    network = model.engine.model
    rows = read_log(log)
    return Contestant(
        arch=arch,
        parameters=count_parameters(network),
        attention_parameters=count_attention_parameters(network),
        minutes=max((row["time"].get("elapsed_seconds", 0.0) for row in rows), default=0.0) / 60,
        steps=max((row["step"] for row in rows), default=0),
        dev_chrf=best["dev_chrf"],
        bleu=scores["bleu"].value,
        chrf=scores["chrf"].value,
        lengths=metrics.by_length(test.sources, outputs, test.targets, edges, target_language=language),
        speed={},
    )


def read_log(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a run's metrics.jsonl so far; none if there is no such file yet."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def count_attention_parameters(model: Seq2Seq) -> int:
    """The weights of all attention modules: what the model would not have without them."""
    modules = [module for module in model.modules() if isinstance(module, AdditiveAttention | MultiHeadAttention)]
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def training_speed(settings: Mapping[str, Settings]) -> dict[str, dict[tuple[int, int], float]]:
    """Target tokens a second of one training step, by sentence length and batch size.

    A recurrent network takes one position after another, a Transformer all at once: the first gains nothing from long
    sentences, the second pays for them with the square. Rounds alternate between the models, for machines drift.

    Args:
        settings: architecture -> the settings it is trained with.

    Returns:
        architecture -> (tokens in a sentence, sentences in a batch) -> median of the rounds; no length that one of
        the models cannot take.
    """
    random = torch.Generator().manual_seed(1)
    vocab_size = next(iter(settings.values())).tokens.vocab_size
    networks = {arch: build(arch, {**its.model, "vocab_size": vocab_size}).train() for arch, its in settings.items()}
    for arch, network in networks.items():
        if settings[arch].training.bf16_products and fast_in_bf16():
            multiply_in_bf16(network)
    optimizers = {arch: adamw(network, settings[arch].training) for arch, network in networks.items()}
    results: dict[str, dict[tuple[int, int], list[float]]] = {arch: {} for arch in networks}
    longest = min(network.config.max_length for network in networks.values())
    for length in [length for length in SPEED_LENGTHS if length <= longest]:
        for batch_size in SPEED_BATCHES:
            batch = _made_up_batch(length, batch_size, vocab_size, random)
            for number in range(_ROUNDS + 1):
                for arch, network in networks.items():
                    began = time.perf_counter()
                    translation_loss(network, batch).loss.backward()
                    optimizers[arch].step()
                    optimizers[arch].zero_grad()
                    seconds = time.perf_counter() - began
                    if number:  # the first round warms up
                        results[arch].setdefault((length, batch_size), []).append(batch.target_tokens / seconds)
    return {arch: {key: statistics.median(values) for key, values in found.items()} for arch, found in results.items()}


def report_lines(contestants: Sequence[Contestant]) -> list[str]:
    """The comparison as tables, for people."""
    lines = ["architecture   parameters  of attention  minutes    steps   BLEU   chrF"]
    lines += [
        f"{row.arch:<14} {row.parameters:>10,}  {row.attention_parameters:>12,}  {row.minutes:>7.1f}  {row.steps:>7,}"
        f"  {row.bleu:>5.1f}  {row.chrf:>5.1f}"
        for row in contestants
    ]
    labels = [row.label for row in contestants[0].lengths]
    counts = [row.n for row in contestants[0].lengths]
    lines += ["", "BLEU by source words" + "".join(f"{label:>22}" for label in labels)]
    lines.append(f"{'  sentences':<20}" + "".join(f"{count:>22,}" for count in counts))
    for contestant in contestants:
        cells = [_interval(row) for row in contestant.lengths]
        lines.append(f"{'  ' + contestant.arch:<20}" + "".join(f"{cell:>22}" for cell in cells))
    if any(contestant.speed for contestant in contestants):
        keys = sorted(contestants[0].speed, key=lambda key: (key[1], key[0]))
        lines += ["", "training, tokens a second, by sentence length x batch"]
        lines.append(" " * 20 + "".join(f"{f'{length} x {batch}':>10}" for length, batch in keys))
        for contestant in contestants:
            cells = [f"{contestant.speed[key]:,.0f}" for key in keys]
            lines.append(f"{'  ' + contestant.arch:<20}" + "".join(f"{cell:>10}" for cell in cells))
    return lines


def draw(contestants: Sequence[Contestant], path: Path, note: str = "") -> None:
    """The comparison as a picture: quality by length, and speed by length where it was measured."""
    panels = [quality_panel({row.arch: row.lengths for row in contestants})]
    if any(row.speed for row in contestants):
        largest = max(SPEED_BATCHES)
        measured = sorted(length for length, batch_size in contestants[0].speed if batch_size == largest)
        curves = [Curve(row.arch, measured, [row.speed[length, largest] for length in measured]) for row in contestants]
        panels.append(
            Panel(f"Training speed, batches of {largest}", "tokens in a sentence", "target tokens a second", curves)
        )
    draw_curves(panels, path, note=note)


def quality_panel(lengths: Mapping[str, Sequence[LengthRow]]) -> Panel:
    """BLEU by source length with its interval, a curve for each model."""
    labels = [row.label for row in next(iter(lengths.values())) if row.n]
    curves = []
    for arch, all_rows in lengths.items():
        rows = [row for row in all_rows if row.bleu is not None]
        curves.append(
            Curve(
                arch,
                range(len(rows)),
                [row.bleu or 0.0 for row in rows],
                [row.low or 0.0 for row in rows],
                [row.high or 0.0 for row in rows],
            )
        )
    return Panel("Quality by sentence length", "words in the source", "BLEU", curves, labels)


def to_json(contestants: Sequence[Contestant]) -> list[dict[str, Any]]:
    """The comparison for machines."""
    return [
        {
            **asdict(row),
            "speed": [
                {"length": length, "batch": batch, "tokens_per_second": speed}
                for (length, batch), speed in row.speed.items()
            ],
        }
        for row in contestants
    ]


def _interval(row: LengthRow) -> str:
    if row.bleu is None or row.low is None or row.high is None:
        return ""
    return f"{row.bleu:.1f} [{row.low:.1f}, {row.high:.1f}]"


def _made_up_batch(length: int, batch_size: int, vocab_size: int, random: torch.Generator) -> Batch:
    ids = torch.randint(4, vocab_size, (batch_size, length), generator=random)
    padded = Padded(ids, torch.full((batch_size,), length))
    return Batch(padded, padded, ids.flatten(), batch_size)
