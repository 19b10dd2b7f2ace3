"""What a translator learns from and is validated with."""

from dataclasses import dataclass

import numpy
import torch

from regard.data.pairs import PairSet
from regard.data.tokens import Tokens
from regard.decoding.options import SearchOptions
from regard.engines.torch import TorchEngine
from regard.evaluation import metrics
from regard.models.protocol import Seq2Seq
from regard.runs.session import Validation
from regard.training.batches import Batch, ExamplesByEpoch, IdPairs
from regard.training.loss import Losses, translation_loss
from regard.training.plan import TrainingPlan
from regard.translation import translate

GUIDED_ALIGNMENT = 0.1  # where alignments are given and training.guided_alignment says nothing else
_SAMPLES = 3  # dev sentences whose translations are shown at each validation


@dataclass(frozen=True)
class TranslationLesson:
    """Sentence pairs; see `runs.session.Lesson`."""

    train: ExamplesByEpoch
    dev: IdPairs
    dev_pairs: PairSet  # the text of the dev set, long pairs too
    tokens: Tokens
    plan: TrainingPlan
    target_language: str = ""  # BLEU cuts some languages in their own way
    unit: str = "tokens"

    def loss(self, model: Seq2Seq, batch: Batch) -> Losses:
        return translation_loss(
            model,
            batch,
            label_smoothing=self.plan.label_smoothing,
            guided_alignment=self.plan.guided_alignment or GUIDED_ALIGNMENT,
        )

    def validate(self, model: Seq2Seq) -> Validation:
        """Loss without label smoothing, and how good the dev set's translations are."""
        loss = self._dev_loss(model)
        engine = TorchEngine(model, self.tokens)
        options = SearchOptions(beam_size=self.plan.dev_beam_size)
        sources, references = self.dev_pairs.sources, self.dev_pairs.targets
        outputs = [result.text for result in translate(engine, sources, options)]
        scores = {
            f"dev_{name}": metrics.quick(outputs, references, name, target_language=self.target_language)
            for name in ("chrf", "bleu")
        }
        samples = list(zip(sources, references, outputs, strict=True))[:_SAMPLES]
        return Validation({"dev_loss": loss, **scores}, f"dev_{self.plan.dev_metric}", samples)

    def _dev_loss(self, model: Seq2Seq) -> float:
        """Nats a target token."""
        total = count = 0.0
        with torch.inference_mode():
            for first in range(0, len(self.dev), 64):
                batch = self.dev.batch(numpy.arange(first, min(first + 64, len(self.dev))))
                total += translation_loss(model, batch).negative_log_likelihood.item()
                count += batch.target_tokens
        return total / count
