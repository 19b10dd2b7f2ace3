"""How well a language model tells running text: what `regard evaluate` prints of it."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import regard.api
from regard.data.corpus import read_parts
from regard.errors import DataError

_WINDOWS_AT_ONCE = 64  # that are scored in one call


@dataclass(frozen=True)
class TextReport:
    """What a language model's surprise at some files comes to."""

    model: str
    data: str
    nats: float  # in all
    num_tokens: int
    num_characters: int
    num_words: int  # by white space
    num_lines: int
    context: int  # tokens of the model's context

    @property
    def word_perplexity(self) -> float:
        """With one end of a line counted as a word, as is usual for WikiText-2."""
        return math.exp(min(self.nats / (self.num_words + self.num_lines), 700.0))

    def lines(self) -> list[str]:
        """For people."""
        per_token = self.nats / self.num_tokens
        least = self.context + 1 - self.context // 2  # see `windows`
        return [
            f"{self.model} on {self.data}: {self.num_tokens:,} tokens, {self.num_characters:,} characters, "
            f"{self.num_words:,} words in {self.num_lines:,} lines",
            "",
            f"  nats a token      {per_token:9.4f}   perplexity {math.exp(min(per_token, 700.0)):,.2f}",
            f"  nats a character  {self.nats / self.num_characters:9.4f}   "
            f"bits {self.nats / self.num_characters / math.log(2):.4f}",
            f"  perplexity a word {self.word_perplexity:9,.2f}   (words by white space, and one end a line)",
            "",
            f"each token is told from at least {least:,} before it, where there are so many",
        ]

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {**dataclasses.asdict(self), "word_perplexity": self.word_perplexity}


def evaluate_text(model: Path, data: Sequence[str]) -> TextReport:
    """Score whole files, and each line of JSON lines, as one text, by windows of the model's context that overlap by
    half. Lines of JSON lines too short to score say nothing and are passed over.

    Raises:
        RegardError: of the model or the files; none of them has text.
    """
    loaded = regard.api.load(model)
    engine = loaded.engine
    tokens, context = engine.tokens, engine.max_length
    nats, counts = 0.0, [0, 0, 0, 0]
    start = [] if tokens.before_text is None else [tokens.before_text]
    for name in data:
        before = counts[0]
        for text in _texts(name):
            ids = [*start, *tokens.encode_bare([text])[0]]
            if len(ids) < 2:
                continue
            found = windows(len(ids), context)
            for first in range(0, len(found), _WINDOWS_AT_ONCE):
                group = found[first : first + _WINDOWS_AT_ONCE]
                scores = engine.score([ids[begin:end] for begin, _, end in group])
                for (_, scored, end), each in zip(group, scores, strict=True):
                    nats -= math.fsum(each[len(each) - (end - scored) :])
            size = [len(ids) - 1, len(text), len(text.split()), text.count("\n") + 1]
            counts = [a + b for a, b in zip(counts, size, strict=True)]
        if counts[0] == before:
            raise DataError(f"{name}: has too few tokens to score.")
    num_tokens, num_characters, num_words, num_lines = counts
    return TextReport(
        model=str(model),
        data=" ".join(data),
        nats=nats,
        num_tokens=num_tokens,
        num_characters=num_characters,
        num_words=num_words,
        num_lines=num_lines,
        context=context,
    )


def _texts(name: str) -> Iterator[str]:
    """Each document of a file, whole."""
    parts: list[str] = []
    for part in read_parts([Path(name)], "files"):
        parts.append(part.text)
        if part.ends:
            yield "".join(parts)
            parts = []


def windows(length: int, context: int) -> list[tuple[int, int, int]]:
    """Where each window of a text begins, where what is scored in it begins, and where it ends.

    Every token but the first is scored once. A window reads at most `context` tokens, and the one after them is scored.
    """
    step = max(1, context // 2)
    found = [(0, 1, min(length, context + 1))]
    while found[-1][2] < length:
        scored = found[-1][2]
        end = min(length, scored + step)
        found.append((max(0, end - context - 1), scored, end))
    return found
