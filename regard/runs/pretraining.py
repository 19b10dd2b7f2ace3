"""Pre-training an encoder on running text: what it learns from and is validated with, and the run in its folder."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from regard.config import from_dict, to_dict, to_toml
from regard.data import corpus as corpora
from regard.data.corpus import Corpus, Documents, check_documents
from regard.data.text_tokens import TextTokens
from regard.errors import ConfigError, ModelError
from regard.models import ENCODERS
from regard.models.folder import LoadedEncoder, save_encoder
from regard.models.heads import HeadConfig, TaskModel
from regard.nn.layers import fast_in_bf16, multiply_in_bf16
from regard.runs.card import write_corpus_card
from regard.runs.finetuning import DistilledLesson, loaded_base
from regard.runs.folder import RunFolder, facts_of
from regard.runs.reporter import Reporter
from regard.runs.session import Learner, Lesson, Session, Validation
from regard.runs.sizes import ENCODER_SIZES
from regard.training.batches import epoch_order
from regard.training.distil import DistilSettings, student_of
from regard.training.examples import LabelBatch
from regard.training.loss import Losses, masked_loss
from regard.training.masking import MaskedCorpus, Masking
from regard.training.optimizer import WeightAverage, adamw
from regard.training.plan import TrainingPlan

_DEV_EPOCH = 0
_SAMPLES = 3  # dev stretches that are shown at each validation
_SAMPLE_TOKENS = 40
_STUCK_SHARE = 0.97  # of the loss of guessing by frequency: above, nothing but frequencies has been learnt


@dataclass(frozen=True, kw_only=True)
class CorpusSettings:
    """The [data] table: which text, and how it is read."""

    train: tuple[str, ...]
    dev: tuple[str, ...] = ()  # empty: dev_tokens of the training text are held out
    dev_tokens: int = 50_000  # held out, or most used of dev files
    documents: str = "paragraphs"  # parted by empty lines; or each of "lines", or of "files", is one

    def __post_init__(self) -> None:
        check_documents(self.documents)
        if self.dev_tokens < 10:
            raise ConfigError(f"data.dev_tokens must be at least 10, got {self.dev_tokens}")


@dataclass(frozen=True, kw_only=True)
class EncoderSettings:
    """The [model] table: a size to begin from nothing with, or an encoder to go on with, and what is masked."""

    base: str  # such as bert-mini, or a model folder
    base_sha256: str = ""  # of the folder's weights
    vocab_size: int = 0  # from nothing, at most; 0: follows the text
    lowercase: bool = True  # from nothing
    max_length: int = 128  # from nothing: tokens of a stretch, special ones counted
    mask_share: float = 0.15  # of the tokens, that are to be guessed
    whole_words: bool = False  # mask all pieces of a word together

    def __post_init__(self) -> None:
        if not 0 < self.mask_share < 1:
            raise ConfigError(f"model.mask_share must be above 0 and below 1, got {self.mask_share}")
        if (self.vocab_size and self.vocab_size < 10) or self.max_length < 4:
            raise ConfigError("model.vocab_size must be at least 10 and model.max_length at least 4")


@dataclass(frozen=True)
class MaskedLesson:
    """Running text with masks; see `runs.session.Lesson`."""

    train: MaskedCorpus
    dev: MaskedCorpus  # always seen as in epoch 0
    tokens: TextTokens
    plan: TrainingPlan
    unit: str = "masked tokens"

    def loss(self, model: TaskModel, batch: LabelBatch) -> Losses:
        return masked_loss(model, batch)

    @cached_property
    def unigram_loss(self) -> float:
        """Nats a masked token of dev, for who guesses by how often tokens occur in the training text (one added)."""
        counts = np.ones(self.tokens.vocab_size)
        for first, end in self.train.corpus.spans:
            counts += np.bincount(self.train.corpus.ids[first:end], minlength=len(counts))
        losses = math.log(counts.sum()) - np.log(counts)
        return float(losses[np.concatenate([batch.labels.numpy() for batch in self._dev_batches()])].mean())

    @torch.inference_mode()
    def validate(self, model: TaskModel) -> Validation:
        """Loss and accuracy at masks that are always the same, and whether anything has been learnt."""
        assert model.head is not None
        total = right = count = 0
        samples: list[tuple[str, str, str]] = []
        for batch in self._dev_batches():
            states = model.encoder.encode(batch.tokens, batch.types).states[batch.rows, batch.places]
            logits = model.head(states).double()  # (labels, V)
            guessed = logits.argmax(-1)
            total += torch.nn.functional.cross_entropy(logits, batch.labels, reduction="sum").item()
            right += int((guessed == batch.labels).sum())
            count += len(batch.labels)
            if len(samples) < _SAMPLES:
                samples.append(self._sample(batch, guessed))
        loss = total / count
        row = {"dev_loss": loss, "dev_accuracy": 100 * right / count, "dev_unigram_loss": self.unigram_loss}
        return Validation(row, "dev_loss", samples, self._verdict(loss, 100 * right / count))

    def _dev_batches(self) -> Any:
        stretches = self.dev.at(_DEV_EPOCH)
        order = epoch_order(stretches, self.plan.batch_tokens, 0, _DEV_EPOCH)
        return (stretches.batch(rows) for rows in order)

    def _verdict(self, loss: float, accuracy: float) -> str:
        gain = self.unigram_loss - loss
        if loss > _STUCK_SHARE * self.unigram_loss:
            return (
                f"it guesses no better than by how often words occur ({self.unigram_loss:.2f} nats). That is how every "
                f"run begins; if it stays so for some thousand steps, change training.learning_rate "
                f"(now {self.plan.learning_rate:g}), by a third first, or lengthen training.warmup_steps."
            )
        return f"it learns: {gain:.2f} nats better than guessing by frequency, {accuracy:.0f} % of the masks right."

    def _sample(self, batch: LabelBatch, guessed: torch.Tensor) -> tuple[str, str, str]:
        """The first text of a batch with its masks, and what was guessed there."""
        length = min(int(batch.tokens.lengths[0]), _SAMPLE_TOKENS)
        ids = batch.tokens.ids[0, :length].tolist()
        mask_id = self.train.masking.mask_id
        hidden = [
            number
            for number, (row, place) in enumerate(zip(batch.rows.tolist(), batch.places.tolist(), strict=True))
            if row == 0 and place < length and ids[place] == mask_id
        ]
        real = self.tokens.pieces([int(batch.labels[number]) for number in hidden])
        told = self.tokens.pieces([int(guessed[number]) for number in hidden])
        text = " ".join(self.tokens.pieces(ids[1:])).replace(" ##", "")
        pairs = zip(real, told, strict=True)
        return text, " ".join(real), ", ".join(a if a == b else f"{b} (was: {a})" for a, b in pairs)


class Pretraining:
    """One pre-training run in its folder."""

    def __init__(
        self,
        folder: Path,
        model: EncoderSettings,
        training: Mapping[str, Any],
        data: CorpusSettings,
        where: str = "settings",
        reporter: Reporter | None = None,
        distil: DistilSettings | None = None,
    ):
        """Make ready to run; arguments as `runs.finetuning.Finetuning`."""
        self.distil = distil
        self.folder = RunFolder(folder)
        self.model, self.data, self.where = model, data, where
        self.documents: Documents = check_documents(data.documents)
        self.plan = plan_from(training, model.base, where)
        self.reporter = reporter or Reporter()

    def train(self) -> dict[str, Any]:
        """Train to the end of the plan, from the newest checkpoint if there is one, and write `model/`.

        Returns:
            The best validation's row.

        Raises:
            CheckpointError: the folder holds a run with other settings or data.
            DataError: the text cannot be read, or there is too little of it.
            ModelError: the base cannot be gone on with.
            Stopped: a signal came; a checkpoint was written.
            TrainingError: the loss is not finite.
            StorageError: the disk refused.
        """
        with self.folder.locked():
            return self._train()

    def _train(self) -> dict[str, Any]:
        plan = self.plan
        if plan.threads:
            torch.set_num_threads(plan.threads)
        base: LoadedEncoder | None = None
        sections: dict[str, Any] = {"model": self.model, "training": plan, "data": self.data}
        if self.model.base not in ENCODER_SIZES or Path(self.model.base).exists() or self.distil is not None:
            base, digest = loaded_base(self.model.base)
            sections["model"] = dataclasses.replace(self.model, base_sha256=digest)
        if self.distil is not None:
            sections["distil"] = self.distil
        settings = to_toml({name: to_dict(section) for name, section in sections.items()})
        self.folder.settle(settings)
        paths = [Path(name) for name in self.data.train]
        dev_paths = [Path(name) for name in self.data.dev]
        prints = corpora.fingerprint(paths), corpora.fingerprint(dev_paths) if dev_paths else ""
        torch.manual_seed(plan.seed)
        model, tokens = self._new(paths) if base is None else _with_masked_head(base)
        teacher = model
        if self.distil is not None:
            if base is None or base.model.config.task != "mask":
                raise ModelError(f"{self.model.base}: has not learnt to guess masked words, so it cannot teach it.")
            model = student_of(teacher, self.distil)
        if plan.bf16_products:
            multiply_in_bf16(model)
        corpus = self._corpus(paths, tokens, "corpus", prints[0])
        if dev_paths:
            train = corpus
            dev = self._corpus(dev_paths, tokens, "dev-corpus", prints[1])
            if dev.num_tokens > self.data.dev_tokens:
                dev = corpora.first_tokens(dev, self.data.dev_tokens)
        else:
            train, dev = corpora.split(corpus, self.data.dev_tokens, plan.seed)
        self.reporter.note(
            f"train: {train.num_tokens:,} tokens in {len(train):,} documents; dev: {dev.num_tokens:,} in {len(dev):,}"
        )
        masking = self._masking(tokens)
        limit = min(self.model.max_length, model.encoder.config.max_length)
        lesson: Lesson = MaskedLesson(
            MaskedCorpus(train, masking, limit, plan.seed), MaskedCorpus(dev, masking, limit, plan.seed), tokens, plan
        )
        if self.distil is not None:
            lesson = DistilledLesson(lesson, teacher, self.distil)
        average = WeightAverage(model, plan.average_decay) if plan.average_decay else None
        facts = facts_of(settings, *prints)
        learner = Learner(model, adamw(model, plan), average)
        best = Session(self.folder.path, plan, learner, lesson, facts, self.reporter).run()
        card = write_corpus_card(settings, self.model.base, self.data.train, model, train.num_tokens, best, facts)
        save_encoder(self.folder.path / "model", model, self.folder.best_weights(best["step"], plan), tokens, card)
        return best

    def _new(self, paths: list[Path]) -> tuple[TaskModel, TextTokens]:
        """A model that has learnt nothing, and its tokenizer."""
        name = self.model.base
        tokens = self.folder.tokens(TextTokens.load, lambda: self._new_tokens(paths))
        arch, sizes = ENCODER_SIZES[name]
        values = {**sizes, "vocab_size": tokens.vocab_size, "max_length": self.model.max_length}
        config_class, model_class = ENCODERS[arch]
        return TaskModel(model_class(from_dict(config_class, values, name)), HeadConfig(task="mask")), tokens

    def _new_tokens(self, paths: list[Path]) -> TextTokens:
        size = self.model.vocab_size or _vocab_size(paths)

        def texts() -> Iterator[str]:
            return (part.text for part in corpora.read_parts(paths, self.documents))

        return TextTokens.train_wordpiece(texts, size, lowercase=self.model.lowercase)

    def _corpus(self, paths: list[Path], tokens: TextTokens, name: str, print_: str) -> Corpus:
        folder = self.folder.path / name
        found = corpora.stored(folder, print_)
        return found or corpora.encode(corpora.read_parts(paths, self.documents), tokens, folder, print_)

    def _masking(self, tokens: TextTokens) -> Masking:
        special = {tokens.id_of(role) for role in tokens.special}
        return Masking(
            mask_id=tokens.id_of("mask"),
            start_id=tokens.id_of("start"),
            end_id=tokens.id_of("end"),
            pad_id=tokens.id_of("pad"),
            ordinary_ids=np.array([number for number in range(tokens.vocab_size) if number not in special]),
            share=self.model.mask_share,
            starts_word=tokens.starts_word() if self.model.whole_words else None,
        )


def _with_masked_head(base: LoadedEncoder) -> tuple[TaskModel, TextTokens]:
    assert base.tokens is not None
    if base.model.config.task == "mask":
        return base.model, base.tokens
    return TaskModel(base.model.encoder, HeadConfig(task="mask")), base.tokens


def plan_from(given: Mapping[str, Any], base: str, where: str) -> TrainingPlan:
    """Complete the [training] table.

    Raises:
        ConfigError: an unknown key or base, or a value out of range.
    """
    if base not in ENCODER_SIZES and not Path(base).exists():
        raise ConfigError(
            f"{base}: is no model folder, and no size to begin from nothing with: {', '.join(ENCODER_SIZES)}."
        )
    width = ENCODER_SIZES[base][1].get("hidden_size", 768) if base in ENCODER_SIZES else 0
    usual = {
        "max_steps": 10_000,
        "batch_tokens": 4_000,
        # Smaller models take larger steps; an encoder that has learnt before takes small ones.
        "learning_rate": 1e-3 if 0 < width < 512 else 5e-4 if width == 512 else 1e-4,
        "schedule": "linear",
        "beta2": 0.98,  # Liu et al. 2019
        "epsilon": 1e-6,
        "weight_decay": 0.01,
        "label_smoothing": 0.0,
        "average_decay": 0.0,
        "bf16_products": fast_in_bf16(),
        "dev_metric": "loss",
        "validate_every": 1_000,
    }
    plan = from_dict(TrainingPlan, {**usual, **given}, f"{where}, [training]")
    if plan.dev_metric != "loss":
        raise ConfigError(f"{where}: training.dev_metric {plan.dev_metric!r}; pre-training is judged by its loss.")
    if "warmup_steps" not in given:
        plan = dataclasses.replace(plan, warmup_steps=max(1, plan.max_steps // 10))
    return plan


def _vocab_size(paths: list[Path]) -> int:
    """A vocabulary for files of this size: 8,000 pieces under ten megabytes, 16,000 under a hundred, BERT's above."""
    size = sum(path.stat().st_size for path in paths if path.is_file())
    return 8_000 if size < 10 << 20 else 16_000 if size < 100 << 20 else 30_522
