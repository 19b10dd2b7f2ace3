"""A smaller model that learns from a larger one.

Encoders as DistilBERT (Sanh et al. 2019), for masked words and for any task; translators from the translations that
their teacher writes (Kim and Rush 2016), for which see `runs/teaching.py`.
"""

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.config import refuse_idle
from regard.errors import ConfigError, ModelError
from regard.models import ENCODERS
from regard.models.bert import Bert, DistilBertConfig
from regard.models.heads import TaskModel, with_head
from regard.models.protocol import Encoder, Seq2Seq
from regard.training.examples import LabelBatch
from regard.training.loss import Losses, hard_loss, read


@dataclass(frozen=True, kw_only=True)
class DistilSettings:
    """The [distil] table. The three weights are those of the paper's code."""

    layers: int = 0  # of the student; 0: half the teacher's
    student: str | None = None  # folder of a pre-trained encoder to begin as; else as layers of the teacher
    student_sha256: str | None = None  # of its weights
    as_distilbert: bool = False  # without token types, as in the paper; for single texts only
    temperature: float = 2.0  # of both distributions, where they are compared
    soft_weight: float = 5.0  # of the distance from the teacher's distribution
    hard_weight: float = 2.0  # of the loss on the labels, or on the masked words
    hidden_weight: float = 1.0  # of the cosine distance between the states of the last layers

    def __post_init__(self) -> None:
        if self.layers < 0:
            raise ConfigError(f"distil.layers must not be negative, got {self.layers}")
        if not 0 < self.temperature < float("inf"):
            raise ConfigError(f"distil.temperature must be above 0 and finite, got {self.temperature}")
        weights = (self.soft_weight, self.hard_weight, self.hidden_weight)
        if not all(0 <= weight < float("inf") for weight in weights) or not any(weights):
            raise ConfigError(f"distil: the weights must not be negative, and one above 0, got {weights}")
        if self.student:
            idle = {"layers": 0, "as_distilbert": False}
            refuse_idle(self, idle, "the student begins as distil.student", "[distil]")
        if not self.soft_weight:
            refuse_idle(self, {"temperature": 2.0}, "soft_weight is 0, so no distributions are compared", "[distil]")


@dataclass(frozen=True, kw_only=True)
class TranslatorDistilSettings:
    """The [distil] table of a student that translates."""

    layers: int = 0  # of its decoder, of recurrent networks both sides; 0: one, of recurrent networks half as many
    beam_size: int = 5  # with which the teacher translates
    choose: Literal["likeliest", "nearest"] = "likeliest"  # of the teacher's translations; nearest to the reference

    def __post_init__(self) -> None:
        if self.layers < 0:
            raise ConfigError(f"distil.layers must not be negative, got {self.layers}")
        if self.beam_size < 1:
            raise ConfigError(f"distil.beam_size must be at least 1, got {self.beam_size}")
        if self.choose == "nearest" and self.beam_size == 1:
            raise ConfigError(
                "distil.choose 'nearest' needs a beam_size above 1: of one translation none can be chosen."
            )


def student_of(teacher: TaskModel, settings: DistilSettings, base: TaskModel | None = None) -> TaskModel:
    """A model with fewer layers that begins with the teacher's weights: of two neighbouring layers the first.

    Args:
        base: pre-trained, to begin as instead; of any size, the teacher's too (Furlanello et al. 2018 call such
            students born again). Its head is its own if it has learnt the same task, else new.

    Raises:
        ModelError: it would not be smaller, cannot be a DistilBERT, or its states cannot be set beside the teacher's.
    """
    question = dataclasses.replace(teacher.config, next_sentence=False)  # that is not taught
    if base is not None:
        ours, theirs = base.encoder.config.hidden_size, teacher.encoder.config.hidden_size
        if settings.hidden_weight and ours != theirs:
            raise ModelError(
                f"the student's states have {ours} numbers, its teacher's {theirs}, so there is no cosine between "
                "them. Leave that loss out: --set distil.hidden_weight=0"
            )
        return with_head(base, question)
    config = teacher.encoder.config
    count = settings.layers or config.num_layers // 2
    if not 0 < count < config.num_layers:
        if config.num_layers == 1:
            raise ModelError("the teacher has 1 layer; a student needs fewer, so it cannot be distilled.")
        raise ModelError(
            f"the teacher has {config.num_layers} layers; a student needs from 1 to {config.num_layers - 1}, "
            f"got {count}."
        )
    encoder = type(teacher.encoder)(dataclasses.replace(config, num_layers=count))
    begin_with(encoder, teacher.encoder)
    if settings.as_distilbert:
        if teacher.config.pair:
            raise ModelError(
                "as_distilbert: the teacher reads pairs, whose texts it tells by token types. "
                "Leave distil.as_distilbert out."
            )
        encoder = _without_types(encoder)
    student = TaskModel(encoder, question)
    if student.head is not None and teacher.head is not None:
        student.head.load_state_dict(teacher.head.state_dict())
    return student


def alike(student: Seq2Seq, teacher: Seq2Seq) -> bool:
    """Whether a student can begin as part of its teacher: but for dropout it is the same, and no deeper."""
    if type(student) is not type(teacher):
        return False
    ours, theirs = (
        {
            name: value
            for name, value in dataclasses.asdict(model.config).items()
            if not name.endswith(("num_layers", "dropout"))
        }
        for model in (student, teacher)
    )
    depths, limits = (_depths(model.state_dict()) for model in (student, teacher))
    return ours == theirs and all(depths[stack] <= limits[stack] for stack in depths)


def begin_with(student: Encoder | Seq2Seq, teacher: Encoder | Seq2Seq) -> None:
    """Give a student the weights of a teacher that is like it but deeper: of a longer stack evenly spaced layers."""
    theirs, ours = teacher.state_dict(), student.state_dict()
    depths = [_depths(weights) for weights in (theirs, ours)]
    found: dict[str, Tensor] = {}
    for name in ours:
        source = name
        if place := _LAYER.match(name):
            stack, number = place["stack"], int(place["number"])
            chosen = number * depths[0][stack] // depths[1][stack]
            source = name[: place.start("number")] + str(chosen) + name[place.end("number") :]
        found[name] = theirs[source]
    student.load_state_dict(found)


# "encoder.3.attention.query.weight", and torch's own names of recurrent layers: "encoder.weight_ih_l3".
_LAYER = re.compile(r"(?P<stack>\w+)\.(?:\w+_l)?(?P<number>\d+)(?:\.|$)")


def _depths(weights: Iterable[str]) -> dict[str, int]:
    """How many layers each stack has."""
    found: dict[str, int] = {}
    for place in filter(None, map(_LAYER.match, weights)):
        found[place["stack"]] = max(found.get(place["stack"], 0), int(place["number"]) + 1)
    return found


def distil_loss(student: TaskModel, teacher: TaskModel, batch: LabelBatch, settings: DistilSettings) -> Losses:
    """The weighted sum of three losses, each summed over the labels (Sanh et al. 2019, section 2).

    Soft: the divergence of the student's distribution from the teacher's, both at the temperature T, times T², so that
    its gradient does not shrink with T (Hinton et al. 2015); of numbers the squared distance. Hard: the loss on the
    labels. Hidden: one minus the cosine of the last states, the mean over tokens. Of masked words the soft loss is
    taken at the masked tokens only, as with `restrict_ce_to_mask` in the authors' code: at all it would cost seven
    times the output layer.
    """
    with torch.no_grad():
        teacher_states, teacher_logits = read(teacher, batch)
    states, logits = read(student, batch)
    hard = hard_loss(logits, batch.labels)
    loss = settings.soft_weight * _soft_loss(logits, teacher_logits, settings.temperature) + settings.hard_weight * hard
    if settings.hidden_weight:  # else the states may be of different widths
        real = batch.tokens.real()
        cosine = F.cosine_similarity(states[real], teacher_states[real], dim=-1)
        loss = loss + settings.hidden_weight * (1 - cosine).mean() * batch.target_tokens
    return Losses(loss, hard.detach())


def _soft_loss(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    if logits.size(-1) == 1:
        return (logits - teacher_logits).square().sum()
    ours, theirs = ((each / temperature).log_softmax(-1) for each in (logits, teacher_logits))
    return F.kl_div(ours, theirs, reduction="sum", log_target=True) * temperature**2


def _without_types(encoder: Encoder) -> Encoder:
    """The same encoder of single texts without token types: the vector of the first goes into the positions.

    Its states are the same. Its pooled state is not, to begin with: BERT pools through tanh, DistilBERT through ReLU.

    Raises:
        ModelError: it has none to take away, or is a BigBird, whose sparse attention a DistilBERT has not.
    """
    if type(encoder) is not Bert:
        raise ModelError("as_distilbert: only a BERT can be made one without token types.")
    values = dataclasses.asdict(encoder.config)
    config = DistilBertConfig(**{field.name: values[field.name] for field in dataclasses.fields(DistilBertConfig)})
    found = ENCODERS["distilbert"][1](config)
    weights = dict(encoder.state_dict())
    types = weights.pop("type_embedding.weight")
    weights["positions.weight"] = weights["positions.weight"] + types[0]
    found.load_state_dict(weights)
    return found
