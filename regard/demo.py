"""`regard demo`: three small translators learn the built-in corpus, and their claims are checked against its gold."""

import dataclasses
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regard import aligning, heads
from regard.aligning import Way
from regard.api import Model, load
from regard.compare import quality_panel, read_log, train_one
from regard.counted_pairs import CountedPair
from regard.data import world
from regard.data.pairs import PairSet
from regard.data.world import WorldPair
from regard.decoding.options import SearchOptions
from regard.errors import TrainingError
from regard.evaluation import coreference, metrics
from regard.evaluation.alignment import AlignmentScore
from regard.evaluation.metrics import LengthRow
from regard.head_examples import Example
from regard.heads import Found
from regard.look.curves import draw_curves
from regard.look.matrix import draw_matrix
from regard.look.page import write_page
from regard.runs.reporter import Reporter
from regard.runs.settings import DataSettings

ARCHITECTURES = ("rnn", "rnnsearch", "transformer")
SEED = 1
IT_PAIRS, OTHER_PAIRS, LONG_PAIRS = 40_000, 15_000, 5_000  # training pairs
SAME_GENDER_SHARE = 0.5  # of those with *it*: if genders always differ, either noun tells which; see docs/decisions.md
IT_WORDS, SHORT_WORDS, LONG_WORDS = 16, 25, 60  # most words in the source
LENGTH_EDGES = (10, 25, 40)
SENTENCES_A_BUCKET, IT_SENTENCES = 100, 300
GREEDY = SearchOptions(beam_size=1)

STEPS = {"rnn": 1_300, "rnnsearch": 1_200, "transformer": 3_500}  # the first two learn while the third does
LEARNING_RATES = {"rnn": 0.004, "rnnsearch": 0.006, "transformer": 0.005}
_MODELS: dict[str, dict[str, Any]] = {
    "rnn": {"hidden_size": 192, "embedding_size": 64, "dropout": 0.0},
    "rnnsearch": {  # with scaled vectors it translates a little better and aligns worse
        "hidden_size": 96,
        "embedding_size": 64,
        "attention_size": 64,
        "scaled_embeddings": False,
        "dropout": 0.0,
    },
    "transformer": {  # one head a layer, so that what each does can be seen; as recipes/world/transformer.toml
        "hidden_size": 96,
        "num_layers": 3,
        "num_heads": 1,
        "encoder_windows": [2, 4],
        "last_layer_reads_words": True,
        "last_layer_adds_to": 1,
        "last_layer_noise": 0.25,
        "decoder_window": 3,
        "cross_noise": 0.1,
        "decoder_num_layers": 1,
        "decoder_num_heads": 1,
        "feed_forward_size": 16,
        "decoder_feed_forward_size": 256,
        "dropout": 0.0,
    },
}
_TRAINING: dict[str, Any] = {  # tried on dev; see results/LOG.md
    "batch_tokens": 1_000,
    "schedule": "cosine",
    "warmup_steps": 200,
    "label_smoothing": 0.0,
    "bf16_products": False,  # at 64 to 192 wide the casts cost more than the products save
    "average_decay": 0.99,
    "log_every": 50,
    "save_every": 1_000,
    "threads": 1,
    "seed": SEED,
}


@dataclass(frozen=True)
class Result:
    """What one architecture reached on the test sentences."""

    arch: str
    seconds: float  # of training
    bleu: float
    lengths: list[LengthRow]
    it: coreference.GenderAccuracy
    aligned: AlignmentScore | None  # None: it has no attention
    way: Way | None  # the attention that aligns best on dev
    translations: list[str]  # of `examples`


@dataclass(frozen=True)
class Sentences:
    """The built-in corpus, cut for the demo."""

    train: list[WorldPair]
    dev: list[WorldPair]
    dev_it: list[WorldPair]  # dev, to choose the head on that finds the antecedent
    by_length: list[WorldPair]  # test, as many in each length bucket
    it: list[WorldPair]  # test, whose *it* stands among nouns never seen with it
    examples: list[WorldPair]


def make_sentences() -> Sentences:
    """Draw the sentences; the same ones every time."""
    with_it = list(
        world.generate(
            "train", IT_PAIRS, seed=SEED, max_words=IT_WORDS, it_share=1.0, same_gender_share=SAME_GENDER_SHARE
        )
    )
    others = list(world.generate("train", OTHER_PAIRS, seed=SEED, max_words=SHORT_WORDS, it_share=0.0))
    long = list(world.generate("train", LONG_PAIRS, seed=SEED, min_words=SHORT_WORDS + 1, max_words=LONG_WORDS))
    buckets = zip((5, *(edge + 1 for edge in LENGTH_EDGES)), (*LENGTH_EDGES, LONG_WORDS), strict=True)
    by_length = [
        pair
        for first, last in buckets
        for pair in world.generate("test", SENTENCES_A_BUCKET, seed=SEED, min_words=first, max_words=last)
    ]
    it = list(world.generate("test", IT_SENTENCES, seed=SEED + 1, max_words=SHORT_WORDS, it_share=1.0))
    dev = list(world.generate("dev", 200, seed=SEED, max_words=SHORT_WORDS))
    dev_it = list(world.generate("dev", IT_SENTENCES, seed=SEED + 1, max_words=SHORT_WORDS, it_share=1.0))
    return Sentences(with_it + others + long, dev, dev_it, by_length, it, [*it[:2], *by_length[:1]])


def run(out: Path, say: Callable[[str], None], show: Callable[[Mapping[str, float]], None]) -> list[Result]:
    """Train, measure, draw; everything is written under `out`.

    Args:
        out: a folder; run folders of an earlier demo in it are gone on with.
        say: prints a line.
        show: hears now and then which share of its training each architecture has done.
    """
    sentences = make_sentences()
    say(
        f"Built-in corpus: {len(sentences.train):,} English-Portuguese pairs of 5 to {LONG_WORDS} words; "
        "the test has sentences, verb-noun pairs and it-nouns never seen in training."
    )
    say("")
    train_all(PairSet.of_world(sentences.train), PairSet.of_world(sentences.dev), out, show)
    models = {arch: load(out / arch) for arch in ARCHITECTURES}
    results = [_measure(arch, models[arch], out / arch, sentences) for arch in ARCHITECTURES]
    found = _find_antecedents(models["transformer"], sentences)
    _report(results, _antecedent_lines(models["transformer"], found, sentences), sentences, say)
    pictures = _pictures(results, models, found, sentences, out)
    say("")
    say("Pictures: " + " · ".join(str(picture) for picture in pictures))
    say("Yours next:  regard train my.en my.pt --out runs/mine")
    say("             regard translate runs/mine < text.txt")
    return results


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def train_all(train_pairs: PairSet, dev_pairs: PairSet, out: Path, show: Callable[[Mapping[str, float]], None]) -> None:
    """Train the architectures, each in a process of its own with one thread, as many at once as there are cores.

    Models as small as these gain little from a second thread and much from not waiting for each other.
    """
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(max_workers=min(num_cores(), len(ARCHITECTURES)), mp_context=context) as pool,
        _one_sentence(),
    ):
        longest_first = sorted(ARCHITECTURES, key=lambda arch: -STEPS[arch])
        waiting = {pool.submit(_train, arch, STEPS[arch], out / arch, train_pairs, dev_pairs) for arch in longest_first}
        while waiting:
            done, waiting = wait(waiting, timeout=1.0)
            if wrong := next((error for future in done if (error := future.exception())), None):
                pool.shutdown(wait=False, cancel_futures=True)  # what has not begun need not
                raise wrong
            show({arch: _share_done(out / arch, STEPS[arch]) for arch in ARCHITECTURES})


@contextmanager
def _one_sentence() -> Iterator[None]:
    """A training process that was killed from outside (by a lack of memory, mostly) is no bug of the program."""
    try:
        yield
    except BrokenProcessPool as error:
        raise TrainingError(
            "a training process was killed; there may be too little memory. Run the same command again."
        ) from error


def _train(arch: str, steps: int, folder: Path, train_pairs: PairSet, dev_pairs: PairSet) -> None:
    tables = {
        "model": _MODELS[arch],
        "tokens": {"vocab_size": 3_000},
        "training": {
            **_TRAINING,
            "learning_rate": LEARNING_RATES[arch],
            "max_steps": steps,
            "validate_every": steps,
        },
    }
    data = DataSettings(train=("world",), source_language="en", target_language="pt-BR")
    train_one(arch, tables, data, train_pairs, dev_pairs, folder, Reporter())


def _share_done(folder: Path, steps: int) -> float:
    rows = read_log(folder / "metrics.jsonl")
    return max((row["step"] for row in rows), default=0) / steps


def _measure(arch: str, model: Model, folder: Path, sentences: Sentences) -> Result:
    outputs = _translate(model, sentences.by_length)
    references = [pair.target for pair in sentences.by_length]
    sources = [pair.source for pair in sentences.by_length]
    aligned = way = None
    if arch != "rnn":
        way, _ = aligning.choose(model, [CountedPair.of_world(pair) for pair in sentences.dev])
        pairs = [CountedPair.of_world(pair) for pair in sentences.by_length]
        aligned = aligning.score(aligning.align(model, pairs, way), pairs)
    return Result(
        arch=arch,
        seconds=max(row["time"].get("elapsed_seconds", 0.0) for row in read_log(folder / "metrics.jsonl")),
        bleu=metrics.quick(outputs, references, "bleu"),
        lengths=metrics.by_length(sources, outputs, references, LENGTH_EDGES),
        it=coreference.gender_accuracy(_translate(model, sentences.it), sentences.it),
        aligned=aligned,
        way=way,
        translations=_translate(model, sentences.examples),
    )


def _without_translation(pairs: Sequence[WorldPair]) -> list[Example]:
    """Sentences without their translation, of which the encoder's heads alone are measured."""
    return [dataclasses.replace(Example.of_world(pair), target=None) for pair in pairs]


def _find_antecedents(model: Model, sentences: Sentences) -> Found:
    """The encoder's head that looks from *it* at the noun it stands for."""
    dev, test = (_without_translation(pairs) for pairs in (sentences.dev_it, sentences.it))
    rules = {name: rule.antecedent for name, rule in coreference.baselines(sentences.it).items()}
    return heads.find(model, "coreference", dev, test, seeds=1, rules=rules)


def _summary(result: Result) -> str:
    rows = [row for row in result.lengths if row.bleu is not None]
    shortest, longest = rows[0], rows[-1]
    line = (
        f"  {result.arch:<12} {result.seconds:4.0f} s   BLEU {result.bleu:5.1f}   "
        f"{shortest.label} words {shortest.bleu:5.1f}   {longest.label} words {longest.bleu:5.1f}   "
        f"it right {100 * result.it.accuracy:3.0f} %"
    )
    return line + (f"   alignment error {result.aligned.aer:.2f}" if result.aligned else "")


def _report(
    results: Sequence[Result], antecedents: Sequence[str], sentences: Sentences, say: Callable[[str], None]
) -> None:
    for result in results:
        say(_summary(result))
    rules = coreference.baselines(sentences.it)
    say("")
    say(f"How often *it* got the right gender ({len(sentences.it)} test sentences), next to simple rules:")
    learnt = "   ".join(f"{result.arch} {100 * result.it.accuracy:.0f} %" for result in results)
    say(f"  {learnt}")
    say("  " + "   ".join(f"{name} {100 * rule.gender:.0f} %" for name, rule in rules.items()))
    for line in antecedents:
        say(line)
    say("")
    labels = [row.label for row in results[0].lengths if row.n]
    say("BLEU by words in the source" + "".join(f"{label:>18}" for label in labels))
    for result in results:
        cells = [f"{row.bleu:.1f} [{row.low:.0f}, {row.high:.0f}]" for row in result.lengths if row.bleu is not None]
        say(f"  {result.arch:<25}" + "".join(f"{cell:>18}" for cell in cells))
    for number, pair in enumerate(sentences.examples):
        say("")
        say(f"  en           {pair.source}")
        say(f"  reference    {pair.target}")
        for result in results:
            say(f"  {result.arch:<12} {result.translations[number]}")


def _antecedent_lines(model: Model, found: Found, sentences: Sentences) -> list[str]:
    """How often the head looks at the noun, and what it looks at in the examples."""
    head = found.chosen
    rules = "   ".join(f"{name} {100 * share:.0f} %" for name, share in found.rules.items())
    lines = [
        f"From *it* the Transformer's head {head.name} (chosen on dev) looks at the noun it stands for in "
        f"{100 * found.test:.0f} % of these sentences:",
        f"  with random weights {100 * found.untrained[0]:.0f} %   rules, which choose between two nouns: {rules}",
    ]
    with_it = [pair for pair in sentences.examples if pair.pronouns]
    for pair, weights in zip(with_it, heads.word_weights(model, _without_translation(with_it)), strict=True):
        words, _ = weights[head.kind]
        place = pair.pronouns[0].source_index
        seen = heads.seen_from(words, place)[head.layer, head.head]
        noun = pair.source_tokens[seen.argmax()]
        lines.append(f"  {pair.source_tokens[place]} -> {noun} ({seen.max():.2f})   {pair.source}")
    return lines


def _pictures(
    results: Sequence[Result], models: Mapping[str, Model], found: Found, sentences: Sentences, out: Path
) -> list[Path]:
    quality = out / "quality-by-length.png"
    draw_curves(
        [quality_panel({result.arch: result.lengths for result in results})],
        quality,
        note=f"Built-in corpus, test; BLEU with 95 % bootstrap intervals, {SENTENCES_A_BUCKET} sentences a bucket.",
    )
    pictures = [quality]
    pair = next((pair for pair in sentences.it if 8 <= len(pair.source_tokens) <= 16), sentences.it[0])
    for result in results:
        if result.way is None:
            continue
        counted = CountedPair.of_world(pair)
        weights = result.way.of(next(aligning.word_weights(models[result.arch], [counted], shifted=result.way.shifted)))
        path = out / f"attention-{result.arch}.png"
        draw_matrix(
            weights,
            pair.source_tokens,
            pair.target_tokens,
            path,
            title=f"{result.arch}: {result.way}",
            note="The attention that aligns best on dev, for the reference; pieces merged to words.",
        )
        pictures.append(path)
    page = out / "index.html"
    shown = dict.fromkeys(example.source for example in [pair, *sentences.examples])  # each once
    looks = [models["transformer"].look(source) for source in shown]
    head = found.chosen
    write_page(looks, page, kind=head.kind, layer=head.layer, head=head.head)
    return [page, *pictures]


def _translate(model: Model, pairs: Sequence[WorldPair]) -> list[str]:
    return [result.text for result in model.translate([pair.source for pair in pairs], GREEDY)]
