"""Pre-training on running text: an encoder by masked words, a language model by what comes next."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regard.config import from_dict, refuse_idle, to_dict, to_toml
from regard.data import corpus as corpora
from regard.data.byte_tokens import ByteTokens
from regard.data.corpus import Corpus, Documents, check_documents
from regard.data.text_tokens import TextTokens
from regard.errors import ConfigError, DataError, ModelError
from regard.formats.files import read_blocks
from regard.models import DECODERS, ENCODERS
from regard.models.folder import LoadedDecoder, LoadedEncoder, arch_of, save_decoder, save_encoder
from regard.models.heads import HeadConfig, TaskModel, tells_pairs, with_head
from regard.models.protocol import Decoder
from regard.runs.bases import decoder_base, encoder_base, student_base, with_language
from regard.runs.card import write_corpus_card
from regard.runs.finetuning import DistilledLesson
from regard.runs.folder import RunFolder, facts_of
from regard.runs.forgetting import ContinuedLesson, balance, score_before
from regard.runs.masked import MaskedLesson
from regard.runs.pretrain_settings import SHORT, CorpusSettings, ModelSettings, plan_from
from regard.runs.reporter import Reporter
from regard.runs.running import RunningLesson
from regard.runs.session import Learner, Lesson, Session
from regard.runs.sizes import DECODER_SIZES
from regard.training.batches import epoch_order
from regard.training.distil import DistilSettings, student_of
from regard.training.masking import MaskedCorpus, Masking
from regard.training.running import RunningCorpus

_LONG = 512  # tokens; few paragraphs and lines have more
_NO_LONG_TEXT = " A document that is a paragraph or a line seldom fills it; see --documents."


@dataclass(frozen=True)
class _Subject:
    """What is to be taught, by which kind of lesson, and how it is kept."""

    model: TaskModel | Decoder
    tokens: TextTokens
    lesson: Callable[[Corpus, Corpus], Lesson]  # of train and dev
    save: Callable[[Path, Mapping[str, Tensor], str], None]  # folder, weights, card
    around: tuple[list[int], list[int]] = ([], [])  # ids before and after each document
    short_tokens: int = 0  # as many are read in short stretches before all else


class Pretraining:
    """One pre-training run in its folder."""

    def __init__(
        self,
        folder: Path,
        model: ModelSettings,
        training: Mapping[str, Any],
        data: CorpusSettings,
        where: str = "settings",
        reporter: Reporter | None = None,
        distil: DistilSettings | None = None,
    ):
        """Make ready to run; arguments as `runs.finetuning.Finetuning`."""
        self.folder = RunFolder(folder)
        self.length_was_given, model = bool(model.max_length), model.with_length()
        self.model, self.distil = model, distil
        self.plan = plan_from(training, model, where)
        self.from_nothing = not Path(model.base).exists()
        if data.old_dev and self.from_nothing:
            raise ConfigError(
                f"{where}, [data]: old_dev was given, but {model.base} begins from nothing and has nothing to forget. "
                "Name a model folder to go on with."
            )
        if model.next_sentence and distil is not None:
            raise ConfigError(f"{where}: model.next_sentence does nothing here: a student is taught masked words.")
        arch = "" if self.from_nothing else arch_of(Path(model.base))
        self.data = with_language(data, model.base)
        self.writes = model.base in DECODER_SIZES if self.from_nothing else arch in DECODERS
        self.documents: Documents = check_documents(data.documents or ("files" if self.writes else "paragraphs"))
        if self.from_nothing:
            self._check_short()  # a mistake shows before the text is read
            arch, config = self._new_config(10)
            if model.next_sentence:
                _check_pairs(model.base, config)
        self.paths = [Path(name) for name in data.train]
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
        sections: dict[str, Any] = {"model": self.model, "training": plan, "data": self.data}
        base: LoadedEncoder | LoadedDecoder | None = None
        if not self.from_nothing:
            base, digest = (decoder_base if self.writes else encoder_base)(self.model.base)
            sections["model"] = dataclasses.replace(self.model, base_sha256=digest)
        student: TaskModel | None = None
        if self.distil is not None:
            if not isinstance(base, LoadedEncoder) or base.model.config.task != "mask":
                raise ModelError(f"{self.model.base}: has not learnt to guess masked words, so it cannot teach it.")
            assert base.tokens is not None
            student, sections["distil"] = student_base(self.distil, base.tokens)
        settings = to_toml({name: to_dict(section) for name, section in sections.items()})
        dev_paths, old_paths = ([Path(name) for name in names or ()] for names in (self.data.dev, self.data.old_dev))
        prints = [corpora.fingerprint(paths) if paths else "" for paths in (self.paths, dev_paths, old_paths)]
        self.folder.settle(settings)  # after the files were found
        torch.manual_seed(plan.seed)
        subject = self._writer(base) if self.writes else self._reader(base, student)
        corpus = self._corpus(self.paths, subject, "corpus", prints[0])
        if dev_paths:
            if prints[0] == prints[1]:
                self.reporter.note("dev is the training text itself: its scores will flatter.")
            train, dev = corpus, self._corpus(dev_paths, subject, "dev-corpus", prints[1])
            dev = corpora.first_tokens(dev, self.data.dev_tokens)
        else:
            train, dev = corpora.split(corpus, self.data.dev_tokens, plan.seed)
        self.reporter.note(
            f"train: {train.num_tokens:,} tokens in {len(train):,} documents; dev: {dev.num_tokens:,} in {len(dev):,}"
        )
        learner = Learner.of(subject.model, plan)
        facts = facts_of(*prints, short_tokens=subject.short_tokens)
        lesson = subject.lesson(train, dev)
        self._tell_early_end(lesson)
        before: Mapping[str, float] = {}
        if old_paths:
            old = corpora.first_tokens(
                self._corpus(old_paths, subject, "old-dev-corpus", prints[2]), self.data.dev_tokens
            )
            lesson = ContinuedLesson(lesson, subject.lesson(train, old))
            before = score_before(self.folder.path, lesson, subject.model, facts, self.reporter)
        best = Session(self.folder.path, plan, learner, lesson, facts, self.reporter).run()
        change = balance(before, best, plan.dev_metric) if before else ""
        data = self.data
        card = write_corpus_card(
            settings,
            self.model.base,
            data,
            subject.model,
            train.num_tokens,
            best,
            change,
            facts,
        )
        subject.save(self.folder.path / "model", self.folder.best_weights(best["step"], plan), card)
        if change:
            self.reporter.note(change)
        return best

    def _corpus(self, paths: list[Path], subject: _Subject, name: str, sha256: str) -> Corpus:
        folder = self.folder.path / name
        # Before a run has begun it is encoded anew, as its tokenizer is made anew.
        if self.folder.has_begun and (found := corpora.stored(folder, sha256)):
            return found
        parts, (before, after) = corpora.read_parts(paths, self.documents), subject.around
        return corpora.encode(parts, subject.tokens, folder, sha256, before=before, after=after)

    def _texts(self) -> Iterator[str]:
        return (part.text for part in corpora.read_parts(self.paths, self.documents))

    def _vocab_size(self) -> int:
        """What was asked for; else 8,000 pieces for text under ten megabytes, 16,000 under a hundred, 30,000 above."""
        if self.model.vocab_size:
            return self.model.vocab_size
        size = 0
        for block in (block for path in self.paths for block in read_blocks(path)):
            size += len(block)  # not as it is compressed
            if size >= 100 << 20:
                return 30_000
        return 8_000 if size < 10 << 20 else 16_000

    def _new_config(self, vocab_size: int) -> tuple[str, Any]:
        """The architecture and the configuration of a model that begins from nothing."""
        arch, sizes = self.model.named()
        config_class, _ = (DECODERS if self.writes else ENCODERS)[arch]
        dropouts = ["dropout", "attention_dropout", *(["embedding_dropout"] if self.writes else [])]
        values = {**sizes, "vocab_size": vocab_size, "max_length": self.model.max_length}
        return arch, from_dict(config_class, {**values, **dict.fromkeys(dropouts, self.model.dropout)}, self.model.base)

    def _length(self, taken: int) -> int:
        """Tokens that are read at once; where nothing was said of them a note says how many.

        Args:
            taken: as many as the model takes.
        """
        length, base = min(self.model.max_length, taken), self.model.base
        if self.length_was_given:
            return length
        if self.from_nothing:
            long = self.documents != "files" and length > _LONG
            self.reporter.note(
                f"{base} reads {length:,} tokens at once, and never more; to begin with another number: "
                f"--set model.max_length=512.{_NO_LONG_TEXT if long else ''}"
            )
        elif length < taken:
            self.reporter.note(
                f"reads {length:,} tokens at once of the {taken:,} that {base} takes; "
                f"--set model.max_length={taken} for all of them."
            )
        return length

    def _tell_early_end(self, lesson: Lesson) -> None:
        """Say where passes over the text end the run long before its rate would have fallen."""
        plan = self.plan
        if not plan.max_epochs or plan.schedule not in ("cosine", "linear"):
            return
        batches = len(epoch_order(lesson.train.at(0), plan.batch_tokens, plan.seed, 0))
        steps = plan.max_epochs * max(1, batches // plan.batches_per_step)
        if steps < 0.9 * plan.max_steps:
            self.reporter.note(
                f"training.max_epochs ends this run after about {steps:,} steps, but its rate rises over "
                f"{plan.warmup_steps:,} and falls until step {plan.max_steps:,}. For one that falls by then: "
                f"--set training.max_steps={steps}"
            )

    # Encoders

    def _why_not_short(self) -> str:
        """Why an encoder from nothing reads no short stretches first; empty: it does."""
        model = self.model
        if self.plan.max_epochs:
            return "training.max_epochs counts passes over all of the text"
        if model.max_length < 2 * model.short_length:
            return f"short stretches are read where max_length, here {model.max_length}, is twice their length or more"
        return "" if model.short_share else "short_share is 0"

    def _check_short(self) -> None:
        """Refuse settings of short stretches where none are read; a language model has refused them already."""
        if not self.writes and (why := self._why_not_short()):
            idle = SHORT if self.model.short_share else {**SHORT, "short_share": 0.0}
            refuse_idle(self.model, idle, why, "[model]")

    def _short_tokens(self, num_special: int) -> int:
        """Tokens of text that are read in short stretches before all else."""
        plan, short = self.plan, self.model.short_length
        if not self.from_nothing or self._why_not_short():
            return 0
        read = self.model.short_share * plan.max_steps * plan.batch_tokens * plan.batches_per_step
        return round(read * (short - num_special) / short)

    def _reader(self, base: LoadedEncoder | LoadedDecoder | None, student: TaskModel | None) -> _Subject:
        assert not isinstance(base, LoadedDecoder)
        if base is None:
            model, tokens = self._new_reader()
        else:
            assert base.tokens is not None
            model, tokens = self._reader_on(base.model), base.tokens
        teacher = model
        if self.distil is not None:
            model = student_of(teacher, self.distil, student)
        masking = self._masking(tokens)
        length = self._length(min(each.encoder.config.max_length for each in (model, teacher)))
        seed = self.plan.seed
        short_tokens = self._short_tokens(masking.num_special)
        if short_tokens:
            self.reporter.note(
                f"{self.model.short_length} tokens at once in the first {100 * self.model.short_share:.0f} % of the "
                "steps: there a word's neighbours are sooner found (model.short_share)."
            )

        def lesson(train: Corpus, dev: Corpus) -> Lesson:
            if self.model.next_sentence:
                _check_documents({"training": train, "dev": dev})
            ours = MaskedCorpus(train, masking, length, seed, self.model.short_length, short_tokens)
            found = MaskedLesson(ours, MaskedCorpus(dev, masking, length, seed), tokens, self.plan)
            return found if self.distil is None else DistilledLesson(found, teacher, self.distil)

        def save(folder: Path, weights: Mapping[str, Tensor], card: str) -> None:
            save_encoder(folder, model, weights, tokens, card, language=self.data.language or "")

        return _Subject(model, tokens, lesson, save, short_tokens=short_tokens)

    def _new_reader(self) -> tuple[TaskModel, TextTokens]:
        tokens = self.folder.tokens(
            TextTokens.load,
            lambda: TextTokens.train_wordpiece(self._texts, self._vocab_size(), lowercase=self.model.lowercase),
        )
        arch, config = self._new_config(tokens.vocab_size)
        head = HeadConfig(task="mask", next_sentence=bool(self.model.next_sentence))
        encoder = ENCODERS[arch][1](config)
        encoder.positions.start_as_waves()
        return TaskModel(encoder, head), tokens

    def _reader_on(self, base: TaskModel) -> TaskModel:
        """The base's encoder under the heads that are taught, its own where it has them."""
        config = HeadConfig(task="mask", pool=base.config.pool, next_sentence=bool(self.model.next_sentence))
        if config.next_sentence:
            _check_pairs(self.model.base, base.encoder.config)
        return base if base.config == config else with_head(base, config)

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
            ends_sentence=tokens.ends_sentence() if self.model.next_sentence else None,
        )

    # Language models

    def _writer(self, base: LoadedEncoder | LoadedDecoder | None) -> _Subject:
        assert not isinstance(base, LoadedEncoder)
        if base is None:
            model, tokens = self._new_writer()
        else:
            assert base.tokens is not None
            model, tokens = base.model, base.tokens
        length, seed = self._length(model.config.max_length), self.plan.seed

        def lesson(train: Corpus, dev: Corpus) -> Lesson:
            ours, theirs = (RunningCorpus(side, length, seed) for side in (train, dev))
            return RunningLesson(ours, theirs, tokens, self.plan)

        def save(folder: Path, weights: Mapping[str, Tensor], card: str) -> None:
            save_decoder(folder, model, weights, tokens, card, language=self.data.language or "")

        # A document begins after the token that ends another, and ends with it.
        start = [] if tokens.before_text is None else [tokens.before_text]
        end = [tokens.id_of("end")] if "end" in tokens.special else []
        return _Subject(model, tokens, lesson, save, (start, end))

    def _new_writer(self) -> tuple[Decoder, ByteTokens]:
        tokens = self.folder.tokens(ByteTokens.load, lambda: ByteTokens.train(self._texts(), self._vocab_size()))
        arch, config = self._new_config(tokens.vocab_size)
        return DECODERS[arch][1](config), tokens


def _check_pairs(name: str, config: Any) -> None:
    """Refuse an encoder that cannot be asked whether one text follows another.

    Raises:
        ConfigError: it has no types of tokens, or no pooling layer.
    """
    if not tells_pairs(config):
        raise ConfigError(
            f"model.next_sentence: {name} cannot tell two texts apart; it needs token types and a pooling layer, as "
            "bert and bigbird sizes have them."
        )


def _check_documents(sides: Mapping[str, Corpus]) -> None:
    """Refuse text that has no other document to take a second part from.

    Raises:
        DataError: one side is a single document, or all its documents are single tokens.
    """
    for side, corpus in sides.items():
        if len(corpus) < 2 or corpus.lengths.max() < 2:
            raise DataError(
                f"the {side} text has {len(corpus):,} documents, the longest of {corpus.lengths.max():,} tokens; for "
                "model.next_sentence it needs two, and one of two tokens. See --documents, or give more text."
            )
