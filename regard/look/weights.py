"""The attention weights of one sentence pair as plain arrays, by kind, layer and head, between pieces or words."""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from regard.errors import InputError
from regard.evaluation.alignment import words_from_pieces
from regard.look.words import Line

Kind = Literal["cross", "encoder", "decoder"]
KINDS: dict[str, str] = {
    "cross": "encoder-decoder attention",
    "encoder": "encoder self-attention",
    "decoder": "decoder self-attention",
}


@dataclass(frozen=True)
class Matrix:
    """Weights with the names of their rows and columns; each row is a distribution over the columns."""

    weights: np.ndarray  # (rows, columns)
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    special_rows: tuple[bool, ...]  # the end of the sentence and the like
    special_columns: tuple[bool, ...]
    title: str  # which attention, layer and head
    note: str  # how it was made


@dataclass(frozen=True)
class Look:
    """Everything a forced pass over a sentence and its translation shows, or over the one text of an encoder (a source
    without a target) or of a language model (a target without a source).

    Row t of "cross" and "decoder" is the distribution used to predict target token t, the last one its end; a row of
    "encoder" is that of a source token. The columns of "decoder" are the tokens read so far: the start, then the
    target.
    """

    source_text: str
    target_text: str
    source: Line  # the end of the sentence last
    target: Line  # what was predicted, the end last
    read: Line  # what the decoder read, the start first
    weights: Mapping[str, np.ndarray]  # by kind: (layers, heads, rows, columns), between pieces, before dropout
    log_probs: tuple[float, ...]  # of each target piece and the end, in nats
    model: str = ""  # its name, for people
    target_ids: tuple[int, ...] = ()  # the target as the model wrote it, without start and end
    source_language: str = ""  # BCP-47, where the model folder says
    target_language: str = ""

    def __repr__(self) -> str:
        """Short: the weights are thousands of numbers."""
        sides = {"source": self.source, "target": self.target}
        words = ", ".join(f"{len(line.words) - sum(line.special)} {side}" for side, line in sides.items() if line.words)
        heads = ", ".join(f"{kind} {len(each)} x {each.shape[1]}" for kind, each in self.weights.items())
        return f"<Look: model {self.model!r}; words: {words}; layers x heads: {heads}>"

    def _repr_html_(self) -> str:
        """For a notebook: the page of this one sentence, shut off from the notebook around it."""
        from regard.look.page import page_text  # it is made of looks

        text, _ = page_text([self])
        style = "width: 100%; height: 44em; border: 0"
        title = html.escape(f"What {self.model or 'the model'} attends to")
        return f'<iframe sandbox="allow-scripts" title="{title}" style="{style}" srcdoc="{html.escape(text)}"></iframe>'

    @property
    def text(self) -> str:
        """What was looked at, for titles: the source, or the one text of a language model, which is its target."""
        return self.source_text or self.target_text

    def kind(self, wanted: str = "") -> str:
        """The kind of attention that is wanted; empty: that to the source, or what else the model has.

        Raises:
            InputError: the model has no such attention.
        """
        kinds = [name for name in KINDS if name in self.weights]
        if wanted and wanted not in kinds:
            has = ", ".join(kinds) or "none"
            raise InputError(f"this model has no attention of kind {wanted!r}; it has: {has}.")
        return wanted or kinds[0]

    def sides(self, kind: str) -> tuple[Line, Line]:
        """What the rows and the columns of a kind of attention are.

        Raises:
            InputError: the model has no such attention.
        """
        return {
            "cross": (self.target, self.source),
            "encoder": (self.source, self.source),
            "decoder": (self.target, self.read),
        }[self.kind(kind)]

    def attention(self, kind: str = "", layer: int | None = None, head: int | None = None) -> np.ndarray:
        """Weights between words, (rows, columns): a word is attended to with the sum over its pieces, and attends with
        the mean over its own.

        Args:
            layer, head: counted from 0, or from the end if negative; None: the mean over all.

        Raises:
            InputError: there is no such kind, layer or head.
        """
        rows, columns = self.sides(kind)
        return words_from_pieces(self.piece_attention(kind, layer, head), columns.groups, rows.groups)

    def piece_attention(self, kind: str = "", layer: int | None = None, head: int | None = None) -> np.ndarray:
        """Weights between pieces, (rows, columns), as the model has them; see `attention`."""
        kind = self.kind(kind)
        weights = self.weights[kind]  # (layers, heads, rows, columns)
        weights = choose(weights, layer, "layer", kind)
        return choose(weights, head, "head", kind)

    def matrix(
        self, kind: str = "", layer: int | None = None, head: int | None = None, *, pieces: bool = False
    ) -> Matrix:
        """A layer's or head's weights with everything that a picture says of them."""
        kind = self.kind(kind)
        rows, columns = self.sides(kind)
        weights = (self.piece_attention if pieces else self.attention)(kind, layer, head)
        num_layers, num_heads = self.weights[kind].shape[:2]
        where = [
            "mean of layers" if layer is None else f"layer {layer % num_layers + 1} of {num_layers}",
            "mean of heads" if head is None else f"head {head % num_heads + 1} of {num_heads}",
        ]
        note = {
            "cross": "A row is the distribution over source words used to predict its word.",
            "encoder": "A row is how much its source word takes from each source word."
            if self.target.pieces
            else "A row is how much its word takes from each word.",  # one text, and no translation
            "decoder": "A row is the distribution over the words before it used to predict its word.",
        }[kind]
        merged = "Pieces merged to words: the sum over those attended to, the mean over those attending."
        unit = "Sub-word pieces, as the model reads them." if pieces else merged
        return Matrix(
            weights=weights,
            rows=rows.pieces if pieces else rows.words,
            columns=columns.pieces if pieces else columns.words,
            special_rows=rows.special_pieces if pieces else rows.special,
            special_columns=columns.special_pieces if pieces else columns.special,
            title=", ".join([KINDS[kind], *(where if num_layers * num_heads > 1 else [])]),
            note=f"{note} {unit}",
        )


def choose(weights: np.ndarray, number: int | None, what: str, kind: str) -> np.ndarray:
    """One of the first axis, or the mean over it.

    Args:
        number: from 0, or from the end below it; None: the mean.
        what: what the axis is of, for the message: "layer".
        kind: of attention; see `KINDS`.

    Raises:
        InputError: there is none of that number.
    """
    if number is None:
        return weights.mean(axis=0)
    if not -len(weights) <= number < len(weights):
        shown, has = number + 1 if number >= 0 else number, f"{len(weights)} {what}{'s' * (len(weights) != 1)}"
        raise InputError(f"{KINDS[kind]} has {has}; there is no {what} {shown}.")
    return weights[number]
