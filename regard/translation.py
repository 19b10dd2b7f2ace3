"""Split, translate, join: every line comes back as one line, with nothing lost and everything doubtful flagged."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from regard import flags
from regard.data.tokens import Tokens
from regard.decoding.options import Hypothesis, SearchOptions
from regard.errors import InputError, ModelError
from regard.look.weights import Look


class Engine(Protocol):
    """What translation needs of an engine: see `regard.engines`."""

    tokens: Tokens

    @property
    def max_length(self) -> int:
        """Longest source in tokens, eos counted."""
        ...

    def search(self, sources: Sequence[Sequence[int]], options: SearchOptions) -> list[list[Hypothesis]]:
        """For each encoded sentence its hypotheses, best first."""
        ...


@dataclass(frozen=True)
class Alternative:
    """One of the n best translations."""

    text: str
    score: float  # log-probability (nats) divided by the length penalty
    flags: tuple[str, ...] = ()  # as `Translation`


@dataclass(frozen=True)
class Translation:
    """A translated line."""

    source: str
    text: str
    flags: tuple[str, ...] = ()  # reasons for doubt: see `regard.flags`
    score: float = 0.0  # as `Alternative`; the sum over the pieces of a line that had to be split
    alternatives: tuple[Alternative, ...] = ()  # the n best, this one first; only of a line that was not split
    pieces: tuple[tuple[int, ...], ...] = field(default=(), repr=False)  # target ids of each piece
    source_pieces: tuple[tuple[int, ...], ...] = field(default=(), repr=False)  # source ids of each piece, with eos
    looker: Callable[["Translation"], Look] | None = field(default=None, repr=False, compare=False)  # its model's

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled or copied: all but the model behind `looker`."""
        return {**self.__dict__, "looker": None}

    def look(self) -> Look:
        """What the model attended to for this translation: see `regard.api.Translator.look`.

        Raises:
            InputError: it comes from no loaded model (or from another process).
            ModelError: the model has no attention, or the line was empty or too long to be translated whole.
        """
        if self.looker is None:
            raise InputError(
                "this translation knows no model. Load one with regard.load and take its look(source, text)."
            )
        return self.looker(self)

    def attention(self, kind: str = "", layer: int | None = None, head: int | None = None) -> np.ndarray:
        """Weights between words, (target words, source words) if no other kind is asked for: `Look.attention`."""
        return self.look().attention(kind, layer, head)

    def _repr_html_(self) -> str | None:
        """For a notebook: the picture, where there is one to show."""
        try:
            return self.look()._repr_html_()
        except (InputError, ModelError):
            return None


def translate(engine: Engine, lines: Sequence[str], options: SearchOptions) -> list[Translation]:
    """Translate lines of text, each by itself.

    White space around a line stays as it is and an empty line stays empty. A line longer than the model can take is
    split at sentence ends, then at commas, then at spaces, and its translations are joined.
    """
    tokens, limit = engine.tokens, engine.max_length
    plans = [_plan(line, tokens.encode_source, limit) for line in lines]
    encoded = [tokens.encode_source(piece.text) for plan in plans for piece in plan]
    found = iter(engine.search(encoded, options))
    ids = iter(encoded)
    return [
        _join(line, plan, [next(found) for _ in plan], [next(ids) for _ in plan], tokens)
        for line, plan in zip(lines, plans, strict=True)
    ]


@dataclass(frozen=True)
class _Piece:
    """What is translated at once, and the white space before it."""

    before: str
    text: str


def _plan(line: str, encode: Callable[[str], list[int]], limit: int) -> list[_Piece]:
    if not line.strip():
        return []
    pieces, position = [], 0
    for part in split(line.strip(), lambda text: len(encode(text)), limit):
        start = line.index(part, position)
        pieces.append(_Piece(line[position:start], part))
        position = start + len(part)
    return pieces


def _join(
    line: str,
    plan: list[_Piece],
    found: list[list[Hypothesis]],
    encoded: list[list[int]],
    tokens: Tokens,
) -> Translation:
    if not plan:
        return Translation(line, line)
    best = [_written(piece, hypotheses[0], tokens) for piece, hypotheses in zip(plan, found, strict=True)]
    end = line[len(line.rstrip()) :]
    alternatives: tuple[Alternative, ...] = ()
    if len(plan) == 1:
        others = [_written(plan[0], hypothesis, tokens) for hypothesis in found[0][1:]]
        alternatives = tuple(replace(each, text=each.text + end) for each in (*best, *others))
    return Translation(
        source=line,
        text="".join(each.text for each in best) + end,
        flags=tuple(dict.fromkeys(flag for each in best for flag in each.flags)),
        score=sum((each.score for each in best), 0.0),
        alternatives=alternatives,
        pieces=tuple(tuple(hypotheses[0].ids) for hypotheses in found),
        source_pieces=tuple(tuple(ids) for ids in encoded),
    )


def _written(piece: _Piece, hypothesis: Hypothesis, tokens: Tokens) -> Alternative:
    """A hypothesis as text, after the white space that stands before its piece."""
    text = _one_line(tokens.decode(hypothesis.ids))
    doubts = flags.find(piece.text, text, hypothesis.log_probs, hypothesis.finished)
    return Alternative(piece.before + text, hypothesis.score, doubts)


def _one_line(text: str) -> str:
    """One line in, one line out, whatever bytes the model wrote."""
    return text.replace("\r", " ").replace("\n", " ").strip()


_BREAKS = (
    re.compile(r"(?<=[.!?…][\s\"'”’)])\s*|(?<=[。！？])"),  # sentence ends
    re.compile(r"(?<=[,;:،])\s+|(?<=[、，；：])\s*"),  # not within 12:30, 1,000 or an address
    re.compile(r"\s+"),
)


def split(text: str, count: Callable[[str], int], limit: int) -> list[str]:
    """Cut text into pieces of at most `limit` tokens, at the best break that does: each piece is stripped, in order.

    Args:
        count: tokens of a text.
    """
    return _split(text, count, limit, 0)


def _split(text: str, count: Callable[[str], int], limit: int, level: int) -> list[str]:
    text = text.strip()
    if not text:
        return []
    if len(text) < limit * 64 and count(text) <= limit:
        return [text]
    if level == len(_BREAKS):  # one enormous word: a character is four byte tokens at most
        size = max(1, (limit - 3) // 4)
        return [part for first in range(0, len(text), size) if (part := text[first : first + size].strip())]
    starts = [0, *(match.end() for match in _BREAKS[level].finditer(text) if 0 < match.end() < len(text)), len(text)]
    parts: list[str] = []
    first = 0
    while first < len(starts) - 1:
        last = _furthest(text, starts, first, count, limit)
        part = text[starts[first] : starts[last]]
        parts += _split(part, count, limit, level + 1)
        first = last
    return parts


def _furthest(text: str, starts: list[int], first: int, count: Callable[[str], int], limit: int) -> int:
    """The last break up to which the text from break `first` fits; the next one if nothing fits."""
    last = first + 1
    total = count(text[starts[first] : starts[last]])
    while last + 1 < len(starts):
        total += count(text[starts[last] : starts[last + 1]])  # counts each part once: an upper bound for the whole
        if total > limit:
            break
        last += 1
    return last
