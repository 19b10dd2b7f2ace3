"""Encoded texts with labels at some of their tokens, in batches: classes and numbers of texts, tags of words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from regard.data.labelled import LabelledSet, TagSpan
from regard.data.subwords import flatten
from regard.data.text_tokens import TextIds, that_fit
from regard.errors import DataError
from regard.nn.padded import Padded
from regard.training.batches import gather


@dataclass(frozen=True)
class LabelBatch:
    """Some texts, ready for an encoder."""

    tokens: Padded
    types: Tensor  # (B, L), int64
    rows: Tensor  # (labels,): the text of each label
    places: Tensor  # (labels,): its token there; 0, the first, for a label of the whole text
    labels: Tensor  # (labels,): int64 classes, or float32 numbers

    @property
    def target_tokens(self) -> int:
        """How many labels the loss sums over."""
        return len(self.labels)


@dataclass(frozen=True)
class IdTexts:
    """Encoded texts and their labels in flat arrays."""

    ids: np.ndarray  # int32, all texts one after another, special tokens included
    types: np.ndarray  # int8, as ids
    starts: np.ndarray  # int64, (texts + 1,)
    labels: np.ndarray  # int32 classes, or float32 numbers, of all texts one after another
    places: np.ndarray  # int32, as labels: the token that carries it, counted from its text's first
    label_starts: np.ndarray  # int64, (texts + 1,)
    weights: np.ndarray  # float32, how often an epoch shows each text on average
    pad_id: int

    def __len__(self) -> int:
        return len(self.weights)

    def at(self, epoch: int) -> "IdTexts":
        """The texts as an epoch sees them: always the same."""
        del epoch
        return self

    @property
    def source_lengths(self) -> np.ndarray:
        """Tokens of each text."""
        return np.diff(self.starts)

    @property
    def target_lengths(self) -> np.ndarray:
        """Tokens of each text: batches are made by them."""
        return np.diff(self.starts)

    def batch(self, rows: np.ndarray) -> LabelBatch:
        """The texts with these numbers as one batch."""
        ids, lengths = gather(self.ids, self.starts, rows, self.pad_id)
        types, _ = gather(self.types, self.starts, rows, 0)
        counts = self.label_starts[rows + 1] - self.label_starts[rows]
        index = np.concatenate([np.arange(self.label_starts[row], self.label_starts[row + 1]) for row in rows])
        labels = self.labels[index]
        return LabelBatch(
            tokens=Padded(torch.from_numpy(ids), torch.from_numpy(lengths)),
            types=torch.from_numpy(types),
            rows=torch.from_numpy(np.repeat(np.arange(len(rows)), counts)),
            places=torch.from_numpy(self.places[index].astype(np.int64)),
            labels=torch.from_numpy(labels if labels.dtype == np.float32 else labels.astype(np.int64)),
        )


def id_texts(
    inputs: Sequence[TextIds], labels: Sequence[Sequence[tuple[int, float]]], weights: np.ndarray, pad_id: int
) -> IdTexts:
    """Put encoded texts into arrays.

    Args:
        labels: for each text the tokens that carry a label, and it: a class number, or any number if it is a float.
    """
    ids, starts = flatten([np.asarray(read.ids, dtype=np.int32) for read in inputs])
    values = [label for each in labels for _, label in each]
    kind = np.float32 if any(isinstance(value, float) for value in values) else np.int32
    return IdTexts(
        ids=ids,
        types=np.concatenate([np.asarray(read.types, dtype=np.int8) for read in inputs]),
        starts=starts,
        labels=np.array(values, dtype=kind),
        places=np.array([place for each in labels for place, _ in each], dtype=np.int32),
        label_starts=np.concatenate([[0], np.cumsum([len(each) for each in labels])]).astype(np.int64),
        weights=weights,
        pad_id=pad_id,
    )


def encode_labelled(
    rows: LabelledSet, inputs: Sequence[TextIds], labels: Sequence[str], *, max_length: int, pad_id: int
) -> IdTexts:
    """The texts that a model can take whole, with their labels as numbers.

    A word's tag stands on its first piece; its further pieces carry the tag of the same entity's inside, so that every
    piece is taught, however text is later cut into words.

    Args:
        inputs: the texts encoded.
        labels: the classes or tags by number; of numbers to be predicted: none.

    Raises:
        DataError: a label is none of these, or no text fits.
    """
    number_of = {label: number for number, label in enumerate(labels)}
    kept = that_fit(inputs, max_length)
    found: list[list[tuple[int, float]]] = []
    for row in kept:
        label = rows.labels[row]
        if not isinstance(label, str):
            found.append(_piece_tags(inputs[row], label, number_of))
        elif not labels:
            found.append([(0, float(label))])
        elif label in number_of:
            found.append([(0, number_of[label])])
        else:
            raise DataError(f"the label {label!r} is none of those learnt: {', '.join(labels)[:200]}.")
    return id_texts([inputs[row] for row in kept], found, rows.weights[kept], pad_id)


def _piece_tags(read: TextIds, spans: Sequence[TagSpan], number_of: Mapping[str, int]) -> list[tuple[int, float]]:
    found: list[tuple[int, float]] = []
    word = 0
    for place, ((first, end), special) in enumerate(zip(read.spans, read.special, strict=True)):
        if special or first == end:
            continue
        while word < len(spans) and spans[word].end <= first:
            word += 1
        if word == len(spans):
            break
        tag = spans[word].tag
        inside = f"I-{tag[2:]}" if tag.startswith("B-") and first > spans[word].first else tag
        number = number_of.get(inside, number_of.get(tag))
        if number is not None:  # a tag that only the dev set has cannot be learnt
            found.append((place, number))
    return found
