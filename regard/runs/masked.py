"""Masked words: what an encoder learns from in pre-training, and whether it learns anything."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from regard.data.text_tokens import TextTokens
from regard.models.heads import TaskModel
from regard.runs.session import Validation
from regard.runs.verdict import unigram_loss, verdict
from regard.training.batches import epoch_order
from regard.training.loss import Losses, masked_loss
from regard.training.masking import MaskedBatch, MaskedCorpus, in_another_order
from regard.training.plan import TrainingPlan

_DEV_EPOCH = 0
_SAMPLES = 3  # dev stretches that are shown at each validation
_SAMPLE_TOKENS = 40
_ORDER_LABELS = 1_000  # of dev by which it is tried what the order of words tells


@dataclass(frozen=True)
class MaskedLesson:
    """Running text with masks; see `runs.session.Lesson`."""

    train: MaskedCorpus
    dev: MaskedCorpus  # always seen as in epoch 0
    tokens: TextTokens
    plan: TrainingPlan
    unit: str = "masked tokens"

    def loss(self, model: TaskModel, batch: MaskedBatch) -> Losses:
        return masked_loss(model, batch)

    @cached_property
    def unigram_loss(self) -> float:
        """Nats a masked token of dev, for who guesses by how often tokens occur in the training text."""
        labels = np.concatenate([batch.labels.numpy() for batch in self._dev_batches()])
        return unigram_loss(self.train.corpus, labels, self.tokens.vocab_size)

    @torch.inference_mode()
    def validate(self, model: TaskModel) -> Validation:
        """Loss and accuracy at masks that are always the same, and whether anything has been learnt."""
        assert model.head is not None
        total = right = count = next_right = next_count = 0
        straight = shuffled = tried = 0
        samples: list[tuple[str, str, str]] = []
        for batch in self._dev_batches():
            states = model.encoder.encode(batch.tokens, batch.types).states
            logits = model.head(states[batch.rows, batch.places])  # (labels, V)
            guessed = logits.argmax(-1)
            batch_loss = _loss(logits, batch)
            total += batch_loss
            if tried < _ORDER_LABELS:
                others = model.encoder.encode(in_another_order(batch, self.train.masking), batch.types).states
                shuffled += _loss(model.head(others[batch.rows, batch.places]), batch)
                straight += batch_loss
                tried += len(batch.labels)
            right += int((guessed == batch.labels).sum())
            count += len(batch.labels)
            if batch.follows is not None and model.next_sentence is not None:
                told = model.next_sentence(model.encoder.pool(states)).argmax(-1)
                next_right += int((told == batch.follows).sum())
                next_count += len(batch.follows)
            if len(samples) < _SAMPLES:
                samples.append(self._sample(batch, guessed))
        loss = total / count
        row = {
            "dev_loss": loss,
            "dev_accuracy": 100 * right / count,
            "dev_unigram_loss": self.unigram_loss,
            "dev_order_gain": (shuffled - straight) / tried,  # nats a label that are lost when the words change places
        }
        achieved = f"{100 * right / count:.0f} % of the masks right"
        if next_count:
            row["dev_next_accuracy"] = 100 * next_right / next_count
            achieved += f", and {row['dev_next_accuracy']:.0f} % of the next sentences (half by chance)"
        remark = verdict(loss, self.unigram_loss, self.plan, achieved, row["dev_order_gain"])
        return Validation(row, "dev_loss", samples, remark)

    def _dev_batches(self) -> Iterator[MaskedBatch]:
        stretches = self.dev.at(_DEV_EPOCH)
        order = epoch_order(stretches, self.plan.batch_tokens, 0, _DEV_EPOCH)
        return (stretches.batch(rows) for rows in order)

    def _sample(self, batch: MaskedBatch, guessed: torch.Tensor) -> tuple[str, str, str]:
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


def _loss(logits: torch.Tensor, batch: MaskedBatch) -> float:
    """Nats of all labels together."""
    return torch.nn.functional.cross_entropy(logits.double(), batch.labels, reduction="sum").item()
