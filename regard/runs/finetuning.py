"""Fine-tuning an encoder: what it learns from and is validated with, and the run in its folder."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch

from regard import long_texts
from regard.config import from_dict, refuse_idle
from regard.data import labelled
from regard.data.labelled import LabelledSet, LabelTask, check_task
from regard.data.text_tokens import TextIds, TextTokens, that_fit
from regard.engines.encoder import EncoderEngine
from regard.errors import ConfigError, DataError, ModelError
from regard.evaluation.calibration import temperature
from regard.judging import judge
from regard.models import ENCODERS
from regard.models.bert import Bert
from regard.models.bigbird import lengthen
from regard.models.folder import save_encoder
from regard.models.heads import HeadConfig, TaskModel, reads_pooled, with_head
from regard.models.protocol import Encoder
from regard.runs import beside
from regard.runs.bases import check_encoder_name, encoder_base, student_base, with_language
from regard.runs.card import write_label_card
from regard.runs.finetune_settings import FinetuneSettings, HeadSettings, LabelledData, plan_from
from regard.runs.folder import RunFolder, facts_of
from regard.runs.reporter import Reporter, told_score
from regard.runs.session import Learner, Lesson, LessonAround, Session, Validation
from regard.runs.sizes import ENCODER_SIZES
from regard.training.batches import epoch_order
from regard.training.distil import DistilSettings, distil_loss, student_of
from regard.training.examples import IdTexts, LabelBatch, encode_labelled
from regard.training.loss import Losses, label_loss
from regard.training.plan import TrainingPlan

_SAMPLES = 3  # dev texts that are shown at each validation
_LENGTH = 512  # tokens that an encoder from nothing takes, if nothing is said
_MANY_CLASSES = 20  # with more, and less than two texts a class, a label column was mistaken
_LARGEST_NUMBER = 1e15  # of labels: their squares, and what weights of 32 bits make of them, stay finite
_NUMBER = "value"  # the label of a head that predicts a number


@dataclass(frozen=True)
class LabelLesson:
    """Labelled texts; see `runs.session.Lesson`."""

    train: IdTexts
    dev: LabelledSet
    dev_inputs: Sequence[TextIds]  # its texts, encoded
    tokens: TextTokens
    plan: TrainingPlan
    split_long: bool = False  # judge dev texts that are longer than the model takes in stretches
    spread: float = 1.0  # of the numbers to be predicted, where these are learnt in units of it; see `_scale`
    unit: str = "labels"

    def loss(self, model: TaskModel, batch: LabelBatch) -> Losses:
        return label_loss(model, batch, label_smoothing=self.plan.label_smoothing)

    def validate(self, model: TaskModel) -> Validation:
        """Loss, and the scores of the task."""
        engine = EncoderEngine(model, self.tokens)
        labels, inputs = model.config.labels, self.dev_inputs
        found = judge(engine, labels, self.dev, inputs=inputs, resamples=0, split_long=self.split_long)
        row = {
            "dev_loss": found.loss * self.spread**2,
            **{f"dev_{key}": score.value for key, score in found.scores.items()},
        }
        told = zip(found.texts[:_SAMPLES], found.gold, found.predicted, strict=False)
        samples = [
            (text, gold, predicted if predicted == gold else f"{predicted} (gold: {gold})")
            for text, gold, predicted in told
        ]
        if model.config.labels == (_NUMBER,):
            samples = []  # these numbers are not in the labels' own unit; see `_scale`
        return Validation(row, f"dev_{self.plan.dev_metric}", samples)


@dataclass(frozen=True)
class DistilledLesson(LessonAround):
    """Another lesson with a teacher beside it: the student learns from both, and is judged as ever."""

    teacher: TaskModel
    settings: DistilSettings

    def loss(self, model: TaskModel, batch: LabelBatch) -> Losses:
        return distil_loss(model, self.teacher, batch, self.settings)


class Finetuning:
    """One fine-tuning run in its folder."""

    def __init__(
        self,
        folder: Path,
        model: HeadSettings,
        training: Mapping[str, Any],
        data: LabelledData,
        where: str = "settings",
        reporter: Reporter | None = None,
        distil: DistilSettings | None = None,
    ):
        """Make ready to run.

        Args:
            training: the [training] table as far as it was given.
            where: what it was read from, for messages.
            distil: teach a smaller student; the base must have learnt the task.
        """
        self.distil, self.student = distil, None
        self.folder = RunFolder(folder)
        self.model, self.training, self.where = model, training, where
        self.task: LabelTask = check_task(model.task)
        self.split_long = bool(data.split_long)
        if self.split_long:
            long_texts.check_single(self.task)
        if model.base not in ENCODER_SIZES:
            check_encoder_name(model.base)
        self.data = with_language(data, model.base)
        draft = from_dict(TrainingPlan, training, f"{where}, [training]")  # a mistake shows before the data is read
        if distil is not None:
            refuse_idle(
                model,
                {"pool": None, "dropout": 0.1, "encoder_dropout": None},
                "a student has its teacher's",
                f"{where}, [model]",
            )
            if self.task == "regress":
                refuse_idle(distil, {"temperature": 2.0}, "numbers have no distribution", f"{where}, [distil]")
            if training.get("label_smoothing"):
                raise ConfigError(
                    f"{where}: training.label_smoothing does nothing here: the teacher's labels are soft."
                )
        self.seed, self.threads = draft.seed, draft.threads
        # One that cannot teach shows before the data is read.
        self.teacher = None
        if distil is not None:
            self.teacher = self._teacher()
            self.student, self.distil = student_base(distil, self.teacher[1])
        self.reporter = reporter or Reporter()

    def train(self, train_rows: LabelledSet, dev_rows: LabelledSet) -> dict[str, Any]:
        """Train to the end of the plan, from the newest checkpoint if there is one, and write `model/`.

        Returns:
            The best validation's row.

        Raises:
            CheckpointError: the folder holds a run with other settings or data.
            DataError: no text fits into the model, or there is nothing to tell apart.
            ModelError: the base cannot be fine-tuned.
            Stopped: a signal came; a checkpoint was written.
            TrainingError: the loss is not finite.
            StorageError: the disk refused.
        """
        with self.folder.locked():
            return self._train(train_rows, dev_rows)

    def _train(self, train_rows: LabelledSet, dev_rows: LabelledSet) -> dict[str, Any]:
        if self.threads:
            torch.set_num_threads(self.threads)
        torch.manual_seed(self.seed)
        teacher: TaskModel | None = None
        if self.distil is not None and self.teacher is not None:
            teacher, tokens, model_settings = self.teacher
            model, labels = student_of(teacher, self.distil, self.student), teacher.config.labels
        else:
            labels = (_NUMBER,) if self.task == "regress" else self._labels(train_rows, dev_rows)
            model, tokens, model_settings = self._model(train_rows, labels)
        limit = min(each.encoder.config.max_length for each in (model, teacher) if each is not None)
        if self.task != "regress":
            self._check_dev_labels(dev_rows, labels)
        # A student sees its teacher's numbers in their own unit.
        mean, spread = _scale(train_rows) if self.task == "regress" and teacher is None else (0.0, 1.0)
        encoded = self._encode(train_rows, tokens, labels, limit, mean, spread)
        dev = _rescaled(dev_rows, mean, spread) if self.task == "regress" else dev_rows
        dev, dev_inputs = self._that_fit(dev, tokens, limit)
        plan = plan_from(
            self.training,
            self.task,
            model.encoder.config.hidden_size,
            lambda draft: len(epoch_order(encoded, draft.batch_tokens, draft.seed, 0)),
            self.where,
        )
        settings = FinetuneSettings(model_settings, plan, self.data, self.distil)
        self.folder.settle(settings.to_toml())
        learner = Learner.of(model, plan, model.levels())
        facts = facts_of(labelled.fingerprint(train_rows), labelled.fingerprint(dev_rows))
        lesson: Lesson = LabelLesson(encoded, dev, dev_inputs, tokens, plan, self.split_long, spread)
        if teacher is not None and self.distil is not None:
            lesson = DistilledLesson(lesson, teacher, self.distil)
        best = Session(self.folder.path, plan, learner, lesson, facts, self.reporter).run()
        weights = self.folder.best_weights(best["step"], plan)
        if self.task == "regress":  # the head learnt in units of the labels' spread around their mean
            weights["head.output.weight"] = weights["head.output.weight"] * spread
            weights["head.output.bias"] = weights["head.output.bias"] * spread + mean
        model.load_state_dict(weights, strict=False)  # all parameters; buffers are not kept
        if self.task in ("classify", "pair"):
            engine = EncoderEngine(model, tokens)
            judged = judge(engine, labels, dev, inputs=dev_inputs, resamples=0, split_long=self.split_long)
            assert judged.classes is not None
            model.config = dataclasses.replace(model.config, temperature=temperature(*judged.classes))
        change = ""
        if teacher is not None:
            change = self._beside_teacher(model, teacher, tokens, dev, dev_inputs, plan.dev_metric, best)
        card = write_label_card(settings, model, len(train_rows), len(dev), best, change, facts)
        save_encoder(self.folder.path / "model", model, weights, tokens, card, language=self.data.language or "")
        if change:
            self.reporter.note(f"student: {change}")
        return best

    def _beside_teacher(
        self,
        student: TaskModel,
        teacher: TaskModel,
        tokens: TextTokens,
        dev: LabelledSet,
        inputs: Sequence[TextIds],
        metric: str,
        best: Mapping[str, Any],
    ) -> str:
        """A line on how good, how fast and how large the student is, beside its teacher."""
        ours, theirs = (EncoderEngine(model.eval(), tokens) for model in (student, teacher))
        timed = inputs[: beside.TIMED]
        parts = long_texts.split(timed, ours.max_length)[0] if self.split_long else timed

        def make() -> str:
            labels = teacher.config.labels
            found = judge(theirs, labels, dev, inputs=inputs, resamples=0, split_long=self.split_long)
            score = found.loss if metric == "loss" else found.scores[metric].value
            return beside.line_of(
                (told_score(metric, best[f"dev_{metric}"]), told_score(metric, score)),
                (student, teacher),
                (lambda: ours.logits(parts), lambda: theirs.logits(parts)),
                len(timed),
                "texts",
            )

        return beside.kept_line(self.folder.path, best["step"], make)

    def _labels(self, train: LabelledSet, dev: LabelledSet) -> tuple[str, ...]:
        """The classes or tags to learn; a rare one may stand in held-out rows alone."""
        names = train.names()
        if not self.data.dev and (held := sorted(set(dev.names()) - set(names))):
            self.reporter.note(f"{', '.join(held)[:200]}: only among the held-out texts, so nothing shows what it is.")
            names = labelled.in_order({*names, *held})
        if len(names) < 2:
            raise DataError(f"every text has the label {', '.join(names)}: there is nothing to tell apart.")
        if self.task != "tag" and len(names) > max(_MANY_CLASSES, len(train) // 2):
            listed = ", ".join(name[:40] for name in names[:3])
            raise DataError(
                f"{len(train):,} texts have {len(names):,} different labels ({listed}, ...), nearly each its own; "
                f"{train.read_from}. Name the columns with --label and --text."
            )
        return tuple(names)

    def _check_dev_labels(self, dev: LabelledSet, labels: Sequence[str]) -> None:
        """Refuse classes that cannot be judged, before hours are spent; of tags, say so."""
        unknown = [name for name in dev.names() if name not in labels]
        if not unknown:
            return
        where = ", ".join(self.data.dev) or "the held-out texts"
        shown = ", ".join(unknown)[:200]
        if self.task == "tag" and len(unknown) < len(dev.names()):
            self.reporter.note(f"{where}: the tags {shown} are none of those to learn; they count as missed.")
            return
        raise DataError(
            f"{where}: the label {shown} is none of those to learn: {', '.join(labels)[:200]}. Remove these rows, or "
            "train with such."
        )

    def _that_fit(self, dev: LabelledSet, tokens: TextTokens, limit: int) -> tuple[LabelledSet, list[TextIds]]:
        """The dev texts that can be judged, and these encoded: those that the model takes whole, or all in stretches.

        Raises:
            DataError: there is none.
        """
        inputs = tokens.encode_all(dev.texts)
        if self.split_long:
            return dev, inputs
        kept = that_fit(inputs, limit, "dev texts")
        if too_long := len(dev) - len(kept):
            self.reporter.note(f"{too_long:,} of {len(dev):,} dev texts have more than {limit:,} tokens: not judged.")
        return dev.select(numpy.array(kept)), [inputs[row] for row in kept]

    def _model(self, rows: LabelledSet, labels: tuple[str, ...]) -> tuple[TaskModel, TextTokens, HeadSettings]:
        """The encoder to go on with, or a new one, under its head; its tokenizer; the [model] table."""
        name = self.model.base
        tags = self.task == "tag"
        pair = None if tags else not isinstance(rows.texts[0], str)
        given = self.model.encoder_dropout
        dropout = {} if given is None else {"dropout": given, "attention_dropout": given}
        pool = self.model.pool or "first"
        head = HeadConfig(
            task="tag" if tags else "classify", labels=labels, pool=pool, dropout=self.model.dropout, pair=pair
        )
        if name in ENCODER_SIZES and not Path(name).exists():
            texts = [part for text in rows.texts for part in ([text] if isinstance(text, str) else text)]
            size, lowercase = self.model.vocab_size, self.model.lowercase
            tokens = self.folder.tokens(
                TextTokens.load, lambda: TextTokens.train_wordpiece(lambda: texts, size, lowercase=lowercase)
            )
            arch, sizes = self.model.named()
            length = self.model.max_length or _LENGTH
            values = {**sizes, **dropout, "vocab_size": tokens.vocab_size, "max_length": length}
            config_class, model_class = ENCODERS[arch]
            config = from_dict(config_class, {**values, "pooled": tags or reads_pooled(head)}, name)
            return TaskModel(model_class(config), head), tokens, self.model
        loaded, digest = encoder_base(name)
        base = loaded.model
        base.encoder = self._of_length(base.encoder)
        if self.model.pool is None and base.config.pool != pool:
            head = dataclasses.replace(head, pool=base.config.pool)
            if not tags:
                self.reporter.note(
                    f"told from the {head.pool} of a text's tokens, as {name} was made for (model.pool)."
                )
        other_unit = head.labels == (_NUMBER,)  # a number in another unit is another question
        model = with_head(base, head, new=other_unit, **dropout)
        assert loaded.tokens is not None
        return model, loaded.tokens, dataclasses.replace(self.model, base_sha256=digest)

    def _of_length(self, encoder: Encoder) -> Encoder:
        """The base as it is, or lengthened where the settings ask for longer texts than it takes."""
        given, taken = self.model.max_length, encoder.config.max_length
        if given in (0, taken):
            return encoder
        if given < taken or not isinstance(encoder, Bert):
            raise ConfigError(
                f"{self.where}: model.max_length is {given:,}, but {self.model.base} takes {taken:,} tokens. "
                f"Leave it out; a BERT or BigBird can be asked for more, and is lengthened to a BigBird."
            )
        self.reporter.note(f"{self.model.base} takes {taken:,} tokens: lengthened to a BigBird that takes {given:,}.")
        return lengthen(encoder, given)

    def _teacher(self) -> tuple[TaskModel, TextTokens, HeadSettings]:
        loaded, digest = encoder_base(self.model.base)
        teacher = loaded.model
        task = "tag" if self.task == "tag" else "classify"
        numbers = len(teacher.config.labels) == 1
        if teacher.config.task != task or (task == "classify" and numbers != (self.task == "regress")):
            labels = f"{teacher.config.task!r} with {len(teacher.config.labels)} labels"
            raise ModelError(
                f"{self.model.base}: has learnt {labels if teacher.config.labels else 'no task'}; a teacher for --task "
                f"{self.task} was expected. Fine-tune it for that first."
            )
        taken = teacher.encoder.config.max_length
        if self.model.max_length not in (0, taken):
            raise ConfigError(
                f"{self.where}: model.max_length is {self.model.max_length:,}, but a student takes as many tokens as "
                f"its teacher, {taken:,}. Leave it out."
            )
        assert loaded.tokens is not None
        return teacher, loaded.tokens, dataclasses.replace(self.model, base_sha256=digest)

    def _encode(
        self,
        rows: LabelledSet,
        tokens: TextTokens,
        labels: tuple[str, ...],
        limit: int,
        mean: float,
        spread: float,
    ) -> IdTexts:
        if self.task == "regress":
            rows, labels = _rescaled(rows, mean, spread), ()
        inputs = tokens.encode_all(rows.texts)
        if self.split_long:
            inputs, places = long_texts.split(inputs, limit)
            rows = rows.select(numpy.repeat(numpy.arange(len(rows)), [len(found) for found in places]))
            if too_long := sum(len(found) > 1 for found in places):
                self.reporter.note(
                    f"{too_long:,} training texts have more than {limit:,} tokens: {len(rows):,} stretches are learnt "
                    f"from {len(places):,} texts."
                )
        encoded = encode_labelled(rows, inputs, labels, max_length=limit, pad_id=tokens.id_of("pad"))
        if too_long := len(rows) - len(encoded):
            stretches = "" if self.task == "pair" else "; or they can be learnt in stretches: --split-long"
            self.reporter.note(
                f"{too_long:,} training texts have more than {limit:,} tokens: not trained on. "
                f"A BERT or BigBird can be lengthened: --set model.max_length=4096{stretches}"
            )
        return encoded


def _scale(rows: LabelledSet) -> tuple[float, float]:
    """Mean and standard deviation of labels that are numbers."""
    values = torch.tensor([float(label) for label in rows.labels if isinstance(label, str)], dtype=torch.float64)
    mean, spread = values.mean().item(), values.std(correction=0).item()
    if not abs(mean) + spread < _LARGEST_NUMBER:  # nan neither
        raise DataError(
            f"the numbers to be learnt, up to {values.abs().max().item():g}, are too large for float32. Give them in "
            "another unit, such as thousands."
        )
    if not spread > 0:
        raise DataError(f"every text has the number {values[0].item():g}: there is nothing to learn.")
    return mean, spread


def _rescaled(rows: LabelledSet, mean: float, spread: float) -> LabelledSet:
    labels = [repr((float(label) - mean) / spread) for label in rows.labels if isinstance(label, str)]
    return LabelledSet(rows.texts, list(labels), rows.weights, rows.skipped)
