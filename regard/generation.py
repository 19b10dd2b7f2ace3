"""Prompts to texts, and texts to their probability: what is written, why it ended, and nothing lost on the way.

A prompt is taken as it is. One that leaves no room in the model's context is refused; a text that fills the context
ends there and is flagged.
"""

import codecs
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from regard import flags
from regard.data.byte_tokens import ByteTokens
from regard.decoding.options import Hypothesis, SearchOptions, Written
from regard.errors import InputError, ModelError

# Drawing from all tokens goes astray, always taking the likeliest goes round in circles (Holtzman et al. 2020, who
# recommend 0.95).
DEFAULT_GENERATION = SearchOptions(sample=True, top_p=0.95, max_length=200)


class Engine(Protocol):
    """What generation needs of an engine: see `regard.engines.decoder`."""

    @property
    def tokens(self) -> ByteTokens:
        """The tokenizer."""
        ...

    @property
    def max_length(self) -> int:
        """Most tokens of a prompt and the text after it together."""
        ...

    def search(
        self,
        prompts: Sequence[Sequence[int]],
        options: SearchOptions,
        ends: Callable[[Sequence[int]], bool] | None = None,
    ) -> list[list[Hypothesis]]:
        """For each encoded prompt its hypotheses, best first."""
        ...

    def stream(
        self, prompt: Sequence[int], options: SearchOptions, ends: Callable[[Sequence[int]], bool] | None = None
    ) -> Iterator[Written]:
        """The same for one prompt, token by token."""
        ...

    def score(self, texts: Sequence[Sequence[int]]) -> list[list[float]]:
        """The log-probability (nats) of each id but the first."""
        ...


@dataclass(frozen=True)
class Continuation:
    """How a prompt goes on."""

    prompt: str
    text: str  # what follows the prompt, up to where it ended
    # What ended it: the model itself, a stop string (which is not of the text), the length asked for, the full context.
    ended: Literal["end", "stop", "length", "context"]
    score: float  # as `Hypothesis`
    flags: tuple[str, ...] = ()  # "truncated" where the context was full, "repetition" where it goes round in circles
    ids: tuple[int, ...] = field(default=(), repr=False)  # as the model wrote them, those of a stop string too
    log_probs: tuple[float, ...] = field(default=(), repr=False)  # nats, of each id, and of the end if it came
    alternatives: tuple["Continuation", ...] = field(default=(), repr=False)  # the n best, this one first


@dataclass(frozen=True)
class Scored:
    """How probable a text is to a language model."""

    text: str
    tokens: tuple[str, ...]  # those that were scored
    log_probs: tuple[float, ...]  # nats, of each, given all before it

    @property
    def log_prob(self) -> float:
        """Of the text, in nats."""
        return math.fsum(self.log_probs)

    @property
    def perplexity(self) -> float:
        """A token: the exponential of the mean loss. Models with different tokenizers cannot be compared by it."""
        return math.exp(-self.log_prob / len(self.log_probs))


def few_shot(examples: Sequence[tuple[str, str]], text: str) -> str:
    """A prompt in which examples say what is to be done (Brown et al. 2020, figure 2.1).

        cheese => queijo
        sea otter =>

    A line each, input and answer with " => " between, and at the end the input that waits for its answer; that the
    answer ends at the line's end is the caller's to say, with the stop string "\\n".

    Raises:
        InputError: there is no example, or one has more than one line, for then the format is none.
    """
    if not examples:
        raise InputError("there is no example to follow.")
    for part in [*(part for pair in examples for part in pair), text]:
        if "\n" in part:
            raise InputError(f"{part[:60]!r} has more than one line: examples and prompt must have one each.")
    lines = [f"{source.strip()} => {answer.strip()}\n" for source, answer in examples]
    return "".join([*lines, f"{text.strip()} =>"])


def generate(
    engine: Engine, prompts: Sequence[str], options: SearchOptions, stop: Sequence[str] = ()
) -> list[Continuation]:
    """Go on with prompts.

    Args:
        options: `max_length` 0 lets a text go on until the model ends it or the context is full.
        stop: a text ends before the first of these that it would write.

    Raises:
        ModelError: a prompt leaves no room in the context.
        ConfigError: stop strings are given for a beam.
        InputError: a stop string is empty.
    """
    stops = _Stops(engine.tokens, stop)
    encoded = [_encode(engine, prompt) for prompt in prompts]
    found = engine.search(encoded, options, stops.ends)
    results = []
    for prompt, hypotheses in zip(prompts, found, strict=True):
        alternatives = tuple(_continuation(prompt, each, options, stops) for each in hypotheses)
        results.append(replace(alternatives[0], alternatives=alternatives))
    return results


def stream(
    engine: Engine, prompt: str, options: SearchOptions, stop: Sequence[str] = ()
) -> Generator[str, None, Continuation]:
    """Go on with a prompt and give the text away as it is written, in pieces that are whole characters.

    What could be the beginning of a stop string waits until that is known. All pieces together are the text that
    `generate` gives.

    Returns:
        As the generator's value, the continuation.

    Raises:
        ModelError, ConfigError, InputError: as `generate`.
        InputError: several texts are asked for.
    """
    if options.n_best > 1:
        raise InputError(f"n_best is {options.n_best}: only one text can be given away as it is written.")
    stops = _Stops(engine.tokens, stop)
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    given = 0  # bytes
    for written in engine.stream(_encode(engine, prompt), options, stops.ends):
        if written.hypothesis is None:
            ready = engine.tokens.bytes_of(written.ids)
            ready = ready[: len(ready) - stops.begun(ready)]
        else:
            ready = stops.cut(engine.tokens.bytes_of(written.hypothesis.ids))
        piece = decoder.decode(ready[given:], final=written.hypothesis is not None)
        given = max(given, len(ready))
        if piece:
            yield piece
        if written.hypothesis is not None:
            return _continuation(prompt, written.hypothesis, options, stops)
    raise AssertionError("a stream ends with its hypothesis")


def score(engine: Engine, texts: Sequence[str]) -> list[Scored]:
    """How probable texts are.

    The first token counts only where something can stand before it: the tokenizer's start token or, where it has none,
    the one that ends a text.

    Raises:
        InputError: a text has nothing to score.
        ModelError: a text is longer than the model reads.
    """
    encoded = [with_start(engine.tokens, text) for text in texts]
    for text, ids in zip(texts, encoded, strict=True):
        if len(ids) < 2:
            raise InputError(f"{text[:60]!r} has too few tokens: there is nothing to score.")
        _check_room(text, len(ids) - 1, engine.max_length)
    return [
        Scored(text, tuple(engine.tokens.pieces(ids[1:])), tuple(log_probs))
        for text, ids, log_probs in zip(texts, encoded, engine.score(encoded), strict=True)
    ]


def with_start(tokens: ByteTokens, text: str) -> list[int]:
    """Ids of a text with the token before it after which a text begins, if there is such a one."""
    ids, before = tokens.encode_prompt(text), tokens.before_text
    return ids if before is None or ids[:1] == [before] else [before, *ids]


def _encode(engine: Engine, prompt: str) -> list[int]:
    """Ids of a prompt; of an empty one the token after which a text begins."""
    ids = engine.tokens.encode_prompt(prompt) or with_start(engine.tokens, prompt)
    if not ids:
        raise ModelError("this model's tokenizer has no token that a text begins with, so it needs a prompt.")
    _check_room(prompt, len(ids) + 1, engine.max_length, "with at least one that it writes")
    return ids


def _check_room(text: str, length: int, limit: int, what: str = "") -> None:
    if length > limit:
        raise ModelError(
            f"{text[:60]!r}... has {length:,} tokens{f' {what}' if what else ''}, the model's context has {limit:,}. "
            "Shorten the text."
        )


def _continuation(prompt: str, hypothesis: Hypothesis, options: SearchOptions, stops: "_Stops") -> Continuation:
    written = stops.tokens.bytes_of(hypothesis.ids)
    cut = stops.cut(written)
    text = cut.decode("utf-8", errors="replace")
    if len(cut) < len(written):
        ended = "stop"
    elif hypothesis.finished:
        ended = "end"
    else:
        ended = "length" if options.max_length and len(hypothesis.ids) >= options.max_length else "context"
    signs = {flags.TRUNCATED: ended == "context", flags.REPETITION: flags.goes_round(prompt, text)}
    return Continuation(
        prompt=prompt,
        text=text,
        ended=ended,
        score=hypothesis.score,
        flags=tuple(flag for flag, is_there in signs.items() if is_there),
        ids=hypothesis.ids,
        log_probs=hypothesis.log_probs,
    )


class _Stops:
    """Stop strings, sought in bytes: a token may hold a part of one, or the end of one and more."""

    def __init__(self, tokens: ByteTokens, stop: Sequence[str]):
        if "" in stop:
            raise InputError("a stop string is empty: it would end every text before it begins.")
        self.tokens = tokens
        self._stops = [each.encode() for each in stop]
        self._longest = max(map(len, self._stops), default=0)
        self.ends = self._ends if self._stops else None

    def _ends(self, ids: Sequence[int]) -> bool:
        """Whether the last token completes a stop string."""
        wanted = self._longest - 1 + len(self.tokens.bytes_of(ids[-1:]))
        tail, place = b"", len(ids)
        while place and len(tail) < wanted:
            place -= 1
            tail = self.tokens.bytes_of(ids[place : place + 1]) + tail
        return any(stop in tail for stop in self._stops)

    def cut(self, text: bytes) -> bytes:
        """The text before the first stop string in it."""
        return text[: min((place for stop in self._stops if (place := text.find(stop)) >= 0), default=len(text))]

    def begun(self, text: bytes) -> int:
        """How many bytes at the text's end could be the beginning of a stop string."""
        longest = min(self._longest - 1, len(text))
        return next(
            (size for size in range(longest, 0, -1) if any(stop.startswith(text[-size:]) for stop in self._stops)), 0
        )
