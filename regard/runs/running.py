"""Running text: what a language model learns from, and whether it learns anything."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from regard import generation
from regard.data.byte_tokens import ByteTokens
from regard.decoding.options import SearchOptions
from regard.engines.decoder import DecoderEngine
from regard.models.protocol import Decoder
from regard.runs.session import Validation
from regard.runs.verdict import unigram_loss, verdict
from regard.training.batches import epoch_order
from regard.training.loss import Losses, running_loss
from regard.training.plan import TrainingPlan
from regard.training.running import RunningBatch, RunningCorpus

_DEV_EPOCH = 0
_PROMPT_TOKENS, _WRITTEN_TOKENS = 16, 40  # of the sample that is shown at each validation


@dataclass(frozen=True)
class RunningLesson:
    """Running text, each token told from those before it; see `runs.session.Lesson`."""

    train: RunningCorpus
    dev: RunningCorpus  # always seen as in epoch 0
    tokens: ByteTokens
    plan: TrainingPlan
    unit: str = "tokens"

    def loss(self, model: Decoder, batch: RunningBatch) -> Losses:
        return running_loss(model, batch)

    @cached_property
    def unigram_loss(self) -> float:
        """Nats a token of dev, for who guesses by how often tokens occur in the training text."""
        return unigram_loss(self.train.corpus, self._dev_ids(), self.tokens.vocab_size)

    @torch.inference_mode()
    def validate(self, model: Decoder) -> Validation:
        """Loss a token and a character, and how a text of dev is gone on with."""
        stretches = self.dev.at(_DEV_EPOCH)
        total, count = 0.0, 0
        for rows in epoch_order(stretches, self.plan.batch_tokens, 0, _DEV_EPOCH):
            batch = stretches.batch(rows)
            total += running_loss(model, batch).negative_log_likelihood.item()
            count += batch.target_tokens
        loss = total / count
        characters = len(self.tokens.decode(self._dev_ids().tolist()))
        row = {
            "dev_loss": loss,
            "dev_perplexity": math.exp(min(loss, 700.0)),
            "dev_character_loss": total / max(characters, 1),
            "dev_unigram_loss": self.unigram_loss,
        }
        remark = verdict(loss, self.unigram_loss, self.plan, f"perplexity {row['dev_perplexity']:.1f} a token")
        return Validation(row, "dev_loss", [self._sample(model)], remark)

    def _dev_ids(self) -> np.ndarray:
        """All labels of dev."""
        return np.concatenate([self.dev.corpus.ids[first + 1 : end] for first, end in self.dev.corpus.spans])

    def _sample(self, model: Decoder) -> tuple[str, str, str]:
        first, end = self.dev.corpus.spans[0]
        ids = self.dev.corpus.ids[first : min(first + _PROMPT_TOKENS, end - 1)].tolist()
        prompt = self.tokens.decode(ids)
        options = SearchOptions(sample=True, top_p=0.95, max_length=_WRITTEN_TOKENS, seed=self.plan.seed)
        engine = DecoderEngine(model, self.tokens)
        room = engine.max_length - _WRITTEN_TOKENS
        if len(self.tokens.encode_prompt(prompt)) > room:
            prompt = ""  # a context so short that a beginning fills it
        written = generation.generate(engine, [prompt], options)[0].text
        return " ".join(prompt.split()), "", " ".join(written.split())
