"""A smaller model that learns from a larger one: DistilBERT (Sanh et al. 2019), for masked words and for any task."""

import dataclasses
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.errors import ConfigError, ModelError
from regard.models import ENCODERS
from regard.models.bert import Bert, DistilBertConfig
from regard.models.heads import TaskModel
from regard.models.protocol import Encoder
from regard.training.examples import LabelBatch
from regard.training.loss import Losses, hard_loss, read


@dataclass(frozen=True, kw_only=True)
class DistilSettings:
    """The [distil] table. The three weights are those of the paper's code."""

    layers: int = 0  # of the student; 0: half the teacher's
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


def student_of(teacher: TaskModel, settings: DistilSettings) -> TaskModel:
    """A model with fewer layers that begins with the teacher's weights: of two neighbouring layers the first.

    Raises:
        ModelError: it would not be smaller, or cannot be a DistilBERT.
    """
    config = teacher.encoder.config
    count = settings.layers or config.num_layers // 2
    if not 0 < count < config.num_layers:
        raise ModelError(f"the teacher has {config.num_layers} layers; a student with {count} would not be smaller.")
    chosen = [number * config.num_layers // count for number in range(count)]
    encoder = type(teacher.encoder)(dataclasses.replace(config, num_layers=count))
    weights = dict(teacher.encoder.state_dict())
    kept = {name: value for name, value in weights.items() if not name.startswith("layers.")}
    for number, layer in enumerate(chosen):
        source = f"layers.{layer}."
        kept |= {
            f"layers.{number}.{name.removeprefix(source)}": value
            for name, value in weights.items()
            if name.startswith(source)
        }
    encoder.load_state_dict(kept)
    if settings.as_distilbert:
        encoder = _without_types(encoder)
    student = TaskModel(encoder, dataclasses.replace(teacher.config, next_sentence=False))  # that is not taught
    if student.head is not None and teacher.head is not None:
        student.head.load_state_dict(teacher.head.state_dict())
    return student


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
    real = batch.tokens.real()
    cosine = F.cosine_similarity(states[real], teacher_states[real], dim=-1)
    hidden = (1 - cosine).mean() * batch.target_tokens
    loss = (
        settings.soft_weight * _soft_loss(logits, teacher_logits, settings.temperature)
        + settings.hard_weight * hard
        + settings.hidden_weight * hidden
    )
    return Losses(loss, hard.detach())


def _soft_loss(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    if logits.size(-1) == 1:
        return (logits - teacher_logits).square().sum()
    ours, theirs = ((each / temperature).log_softmax(-1) for each in (logits, teacher_logits))
    return F.kl_div(ours, theirs, reduction="sum", log_target=True) * temperature**2


def _without_types(encoder: Encoder) -> Encoder:
    """The same encoder of single texts without token types: the vector of the first goes into the positions.

    Raises:
        ModelError: it has none to take away.
    """
    if not isinstance(encoder, Bert):
        raise ModelError("as_distilbert: only a BERT can be made one without token types.")
    values = dataclasses.asdict(encoder.config)
    config = DistilBertConfig(**{field.name: values[field.name] for field in dataclasses.fields(DistilBertConfig)})
    found = ENCODERS["distilbert"][1](config)
    weights = dict(encoder.state_dict())
    types = weights.pop("type_embedding.weight")
    weights["positions.weight"] = weights["positions.weight"] + types[0]
    found.load_state_dict(weights)
    return found
