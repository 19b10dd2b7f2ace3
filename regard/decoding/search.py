"""Greedy, beam and sampling search over any decoder that follows the protocol.

The same sentence gives the same text whatever stands beside it. Products of one or two rows take other paths in the
libraries than products of many, and so do the last elements of a tensor whose size is no multiple of what the processor
takes at once. So the encoder reads a multiple of eight sentences and the decoder has at least eight rows, of an even
number of sentences, with repetitions as filling. The length limit depends on the sentence alone, and random numbers are
drawn for each sentence from its own generator.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.decoding.options import Hypothesis, SearchOptions, Written
from regard.errors import ConfigError, ModelError
from regard.models.protocol import Decoder, Seq2Seq
from regard.nn.padded import Padded

_MULTIPLE = 8  # the encoder reads a multiple of so many sentences, and the decoder has at least so many rows
_FINISHED_SHARE = 4  # the batch is made smaller when one in so many sentences is finished

Ends = Callable[[Sequence[int]], bool]  # of a hypothesis' ids so far: whether it is complete


@dataclass(frozen=True)
class Controls:
    """The ids that mean something to the search itself."""

    bos_id: int | None  # what the decoder reads first; None: it goes on where its source ends, as a language model does
    eos_id: int | None  # None: the model has none
    pad_id: int | None = None  # never written; None: the model has none
    forbidden_ids: tuple[int, ...] = ()  # others that are never written, for they stand for no text


def search(
    model: Seq2Seq | Decoder,
    source: Padded,
    options: SearchOptions,
    controls: Controls,
    *,
    ends: Ends | None = None,
) -> list[list[Hypothesis]]:
    """Translate a batch of encoded sentences, or go on with a batch of encoded prompts.

    Args:
        model: in evaluation mode.
        source: (B, S), all sentences of one padded length that depends on each sentence alone.
        ends: is told all ids of a hypothesis after each; it is complete where this says so. Not with a beam.

    Returns:
        For each sentence its hypotheses, best first.

    Raises:
        ConfigError: `ends` is given for a beam.
        ModelError: the model gives what is no probability (NaN): its weights are damaged.
    """
    found: list[list[Hypothesis]] = [[] for _ in range(source.ids.size(0))]
    for written in stream(model, source, options, controls, ends=ends):
        if written.hypothesis is not None:
            found[written.sentence].append(written.hypothesis)
    return [_ranked(hypotheses, options) for hypotheses in found]


@torch.inference_mode()
def stream(
    model: Seq2Seq | Decoder,
    source: Padded,
    options: SearchOptions,
    controls: Controls,
    *,
    ends: Ends | None = None,
) -> Iterator[Written]:
    """What `search` finds, told id by id as it is written; of a beam, which may change its mind, at the end only.

    Raises:
        ConfigError, ModelError: as `search`.
    """
    if ends is not None and options.searches:
        raise ConfigError("to stop at a text, sample or take a beam_size of 1: a beam's hypotheses are not final.")
    sentences = source.ids.size(0)
    width = options.n_best if options.sample else options.beam_size
    filled = torch.arange(_round_up(sentences, _MULTIPLE)) % sentences
    padded = Padded(source.ids[filled], source.lengths[filled])
    lengths = padded.lengths[: _groups(sentences, width)].tolist()  # of the sentences that the decoder takes
    # A text that goes on where its source ends shares the model's length with it.
    taken = [length - 1 if controls.bos_id is None else 0 for length in lengths]
    rooms = [model.config.max_length - each for each in taken]
    limits = [options.limit(length, room) for length, room in zip(lengths, rooms, strict=True)]
    if options.searches:
        found = _beam(model, padded, options, limits, controls)
        yield from (
            Written(number, column, hypothesis.ids, hypothesis)
            for number, hypotheses in enumerate(found[:sentences])
            for column, hypothesis in enumerate(_ranked(hypotheses, options))
        )
        return
    seeds = [_seed(options.seed, ids[:length]) for ids, length in zip(padded.ids, lengths, strict=False)]
    for written in _one_by_one(model, padded, options, width, limits, controls, seeds, ends):
        if written.sentence < sentences:
            yield written


def _ranked(hypotheses: list[Hypothesis], options: SearchOptions) -> list[Hypothesis]:
    """Best first; what a search had to cut stands after what it finished, however well it scores."""
    cut_last = options.searches
    return sorted(hypotheses, key=lambda each: (cut_last and not each.finished, -each.score))[: options.n_best]


def penalized(log_prob: float, length: int, length_penalty: float) -> float:
    """Total log-probability over ((5 + length) / 6)^α, length with eos (Wu et al. 2016, equation 14)."""
    return log_prob / ((5 + length) / 6) ** length_penalty


def _seed(seed: int, ids: Tensor) -> int:
    """What a sentence's random draws begin from: the seed asked for and the sentence, not where it stands."""
    text = f"{seed}:{','.join(map(str, ids.tolist()))}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def _first(source: Padded, controls: Controls, sentences: int, width: int) -> Tensor:
    """What the rows (sentences * width, 1) read first."""
    if controls.bos_id is not None:
        return torch.full((sentences * width, 1), controls.bos_id)
    last = source.ids.gather(1, source.lengths[:, None] - 1)[:sentences]  # (sentences, 1)
    return last.repeat_interleave(width, dim=0)


def _log_totals(logits: Tensor) -> Tensor:
    """What makes log-probabilities of logits (R, V): of all tokens, for they are the model's, forbidden or not."""
    totals = logits.logsumexp(-1)
    if not totals.isfinite().all():
        raise ModelError(
            "the model gave numbers that are no probabilities (NaN or infinite). Its weights are damaged, or too large "
            "for their type: train again, or import it again."
        )
    return totals


def _forbid(logits: Tensor, controls: Controls, position: int, options: SearchOptions) -> Tensor:
    """Logits (R, V) with what cannot come next at -inf: tokens that are no text, and eos before the minimum length."""
    forbidden = [controls.pad_id, *controls.forbidden_ids]
    if controls.bos_id != controls.eos_id:
        forbidden.append(controls.bos_id)
    if position < options.min_length:
        forbidden.append(controls.eos_id)
    logits[:, [number for number in forbidden if number is not None]] = -math.inf
    return logits


def _one_by_one(
    model: Seq2Seq | Decoder,
    source: Padded,
    options: SearchOptions,
    width: int,
    limits: list[int],
    controls: Controls,
    seeds: list[int],
    ends: Ends | None,
) -> Iterator[Written]:
    """Greedy search and sampling: rows never compete, so each is extended by one token a step until its eos.

    At the length limit it is asked once more: a text may be complete there, or else it is cut.
    """
    sentences = len(limits)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds] if options.sample else []
    alive = list(range(sentences))  # the sentence of each group of `width` rows
    tokens: list[list[list[int]]] = [[[] for _ in range(width)] for _ in range(sentences)]
    log_probs: list[list[list[float]]] = [[[] for _ in range(width)] for _ in range(sentences)]
    open_rows = [[True] * width for _ in range(sentences)]
    state = model.start(source).select(torch.arange(sentences)[:, None].expand(-1, width))
    ids = _first(source, controls, sentences, width)
    seen = _Seen(source, controls, options, sentences, width, model.config.vocab_size)
    position = 0
    while True:
        logits, state = model.step(ids, state)
        totals = _log_totals(logits[:, -1])  # (R,)
        logits = _forbid(logits[:, -1], controls, position, options)  # (R, V)
        judged = seen.penalize(logits)
        if options.sample:
            chosen = _draw(judged, options, [generators[sentence] for sentence in alive], width)
        else:
            chosen = judged.argmax(-1)
        seen.add(chosen)
        chosen_log_probs = (logits.gather(1, chosen[:, None])[:, 0] - totals).tolist()
        chosen_ids = chosen.tolist()
        for group, sentence in enumerate(alive):
            for column in range(width):
                if not open_rows[sentence][column]:
                    continue
                row = group * width + column
                written, parts = tokens[sentence][column], log_probs[sentence][column]
                finished, full = chosen_ids[row] == controls.eos_id, len(written) == limits[sentence]
                if finished or not full:
                    parts.append(chosen_log_probs[row])
                if not (finished or full):
                    written.append(chosen_ids[row])
                hypothesis = None
                if finished or full or (ends is not None and ends(written)):
                    open_rows[sentence][column] = False
                    score = penalized(sum(parts), len(parts), options.length_penalty)
                    hypothesis = Hypothesis(tuple(written), tuple(parts), score, finished)
                yield Written(sentence, column, tuple(written), hypothesis)
        position += 1
        kept = _groups_to_keep([any(open_rows[sentence]) for sentence in alive], width)
        if kept is None:
            return
        if len(kept) < len(alive):
            rows = torch.tensor(kept)[:, None] * width + torch.arange(width)
            state, chosen = state.select(rows), chosen[rows.flatten()]
            seen.select(rows)
            alive = [alive[group] for group in kept]
        ids = chosen[:, None]


class _Seen:
    """Which tokens each row has had, where a penalty asks for it."""

    def __init__(
        self, source: Padded, controls: Controls, options: SearchOptions, sentences: int, width: int, vocab_size: int
    ):
        self._penalty = options.repetition_penalty
        if self._penalty == 1:
            return
        seen = torch.zeros(sentences, vocab_size, dtype=torch.bool)
        if controls.bos_id is None:  # a prompt is of the text; what is translated is not
            part = Padded(source.ids[:sentences], source.lengths[:sentences])
            seen.scatter_(1, torch.where(part.real(), part.ids, part.ids[:, :1]), True)
        self._mask = seen.repeat_interleave(width, dim=0)  # (R, V)

    def penalize(self, logits: Tensor) -> Tensor:
        if self._penalty == 1:
            return logits
        lowered = torch.where(logits < 0, logits * self._penalty, logits / self._penalty)
        return torch.where(self._mask, lowered, logits)

    def add(self, chosen: Tensor) -> None:
        if self._penalty != 1:
            self._mask.scatter_(1, chosen[:, None], True)

    def select(self, rows: Tensor) -> None:
        if self._penalty != 1:
            self._mask = self._mask[rows.flatten()]


def _groups_to_keep(unfinished: list[bool], width: int) -> list[int] | None:
    """Which sentences stay in the batch: all until enough are finished, always enough for their company; None: done."""
    open_groups = [group for group, is_open in enumerate(unfinished) if is_open]
    if not open_groups:
        return None
    closed = [group for group, is_open in enumerate(unfinished) if not is_open]
    fillers = _groups(len(open_groups), width) - len(open_groups)
    if len(closed) < len(unfinished) / _FINISHED_SHARE or fillers >= len(closed):
        return list(range(len(unfinished)))
    return sorted(open_groups + closed[:fillers])


def _groups(sentences: int, width: int) -> int:
    """How many groups of `width` rows the decoder has for so many sentences: an even number, at least eight rows."""
    return _round_up(max(sentences, -(-_MULTIPLE // width)), 2)


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _draw(logits: Tensor, options: SearchOptions, generators: list[torch.Generator], width: int) -> Tensor:
    """One token for each row, each sentence from its own generator."""
    probabilities = _kept_probabilities(logits, options)
    uniform = torch.cat([torch.rand(width, generator=generator, dtype=torch.float64) for generator in generators])
    cumulative = probabilities.double().cumsum(-1)
    threshold = (uniform.to(cumulative.device) * cumulative[:, -1])[:, None]
    return torch.searchsorted(cumulative, threshold, right=True)[:, 0].clamp_max(logits.size(-1) - 1)


def _kept_probabilities(logits: Tensor, options: SearchOptions) -> Tensor:
    """Probabilities (R, V) at this temperature, 0 outside the top k and top p; what is kept need not add up to 1."""
    logits = logits / options.temperature
    if options.top_k:
        kept = min(options.top_k, logits.size(-1))
        logits = logits.masked_fill(logits < logits.topk(kept).values[:, -1:], -math.inf)
    probabilities = logits.softmax(-1)
    if options.top_p < 1:
        ordered, order = probabilities.sort(-1, descending=True)
        outside = ordered.cumsum(-1) - ordered >= options.top_p  # the first token is always inside
        probabilities = probabilities.scatter(1, order, ordered.masked_fill(outside, 0.0))
    return probabilities


def _beam(
    model: Seq2Seq | Decoder, source: Padded, options: SearchOptions, limits: list[int], controls: Controls
) -> list[list[Hypothesis]]:
    """Beam search: of all continuations of a sentence's hypotheses the best `beam_size` go on.

    A continuation by eos among the best `beam_size` is finished; a sentence ends when it has `beam_size` of them.
    """
    width, sentences = options.beam_size, len(limits)
    finished: list[list[Hypothesis]] = [[] for _ in range(sentences)]
    done = [False] * sentences
    alive = list(range(sentences))
    state = model.start(source).select(torch.arange(sentences)[:, None].expand(-1, width))
    ids = _first(source, controls, sentences, width)
    # At first all hypotheses of a sentence are the same: only one may be continued.
    totals = torch.full((sentences, width), -math.inf, dtype=torch.float64)
    totals[:, 0] = 0.0
    history = torch.empty(sentences, width, 0, dtype=torch.int64)  # ids so far
    parts = torch.empty(sentences, width, 0, dtype=torch.float64)  # their log-probabilities
    position = 0
    while True:
        logits, state = model.step(ids, state)
        log_totals = _log_totals(logits[:, -1])[:, None]  # (R, 1)
        logits = _forbid(logits[:, -1], controls, position, options)  # (R, V)
        best, tokens = logits.topk(min(2 * width, logits.size(-1)))  # (R, 2 width): no more can matter
        log_probs = (best - log_totals).double().view(len(alive), -1)  # (B, width * 2 width)
        per_row = best.size(-1)
        candidates = totals.repeat_interleave(per_row, dim=1) + log_probs
        candidate_totals, index = candidates.topk(min(2 * width, candidates.size(1)))  # (B, 2 width)
        candidate_rows = index // per_row  # which hypothesis is continued
        candidate_tokens = tokens.view(len(alive), -1).gather(1, index)
        candidate_parts = log_probs.gather(1, index)
        ends = candidate_tokens == (-1 if controls.eos_id is None else controls.eos_id)
        position += 1
        _collect(finished, done, alive, ends[:, :width], candidate_rows, candidate_totals, candidate_parts,
                 history, parts, position, options)  # fmt: skip
        _cut(finished, done, alive, totals, history, parts, limits, options)  # what had no eos after its last token

        # The best `width` continuations that do not end: candidates in order, those by eos put last.
        order = (torch.arange(ends.size(1)) + ends * ends.size(1)).argsort(dim=1)[:, :width]
        totals = candidate_totals.gather(1, order)
        chosen_rows = candidate_rows.gather(1, order)
        chosen = candidate_tokens.gather(1, order)
        chosen_parts = candidate_parts.gather(1, order)
        spread = chosen_rows[:, :, None].expand(-1, -1, position - 1)
        history = torch.cat([history.gather(1, spread), chosen[:, :, None]], dim=2)
        parts = torch.cat([parts.gather(1, spread), chosen_parts[:, :, None]], dim=2)

        rows = torch.arange(len(alive))[:, None] * width + chosen_rows  # (B, width)
        kept = _groups_to_keep([not done[sentence] for sentence in alive], width)
        if kept is None:
            return finished
        if len(kept) < len(alive):
            rows, chosen = rows[kept], chosen[kept]
            totals, history, parts = totals[kept], history[kept], parts[kept]
            alive = [alive[group] for group in kept]
        state = state.select(rows)
        ids = chosen.reshape(-1, 1)


def _collect(
    finished: list[list[Hypothesis]],
    done: list[bool],
    alive: list[int],
    ends: Tensor,
    rows: Tensor,
    totals: Tensor,
    log_probs: Tensor,
    history: Tensor,
    parts: Tensor,
    length: int,
    options: SearchOptions,
) -> None:
    """Record hypotheses that end at this step; a sentence with `beam_size` of them is done."""
    for group, column in ends.nonzero().tolist():
        sentence = alive[group]
        total = totals[group, column].item()
        if done[sentence] or total == -math.inf or len(finished[sentence]) >= options.beam_size:
            continue
        row = int(rows[group, column])
        finished[sentence].append(
            Hypothesis(
                ids=tuple(history[group, row].tolist()),
                log_probs=(*parts[group, row].tolist(), log_probs[group, column].item()),
                score=penalized(total, length, options.length_penalty),
                finished=True,
            )
        )
        done[sentence] = len(finished[sentence]) == options.beam_size


def _cut(
    finished: list[list[Hypothesis]],
    done: list[bool],
    alive: list[int],
    totals: Tensor,
    history: Tensor,
    parts: Tensor,
    limits: list[int],
    options: SearchOptions,
) -> None:
    """End sentences that have reached their length limit; what is open fills up the finished ones, marked as cut."""
    length = history.size(2)
    for group, sentence in enumerate(alive):
        if done[sentence] or length < limits[sentence]:
            continue
        done[sentence] = True
        missing = max(options.n_best - len(finished[sentence]), 0)
        for column in range(missing):
            total = totals[group, column].item()
            if total == -math.inf:
                break
            finished[sentence].append(
                Hypothesis(
                    ids=tuple(history[group, column].tolist()),
                    log_probs=tuple(parts[group, column].tolist()),
                    score=penalized(total, length, options.length_penalty),
                    finished=False,
                )
            )
