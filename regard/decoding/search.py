"""Greedy, beam and sampling search over any decoder that follows the protocol.

The same sentence gives the same text whatever stands beside it. Products of one or two rows take other paths in the
libraries than products of many, and so do the last elements of a tensor whose size is no multiple of what the processor
takes at once. So the encoder reads a multiple of eight sentences and the decoder has at least eight rows, of an even
number of sentences, with repetitions as filling. The length limit depends on the sentence alone, and random numbers are
drawn for each sentence from its own generator.
"""

import hashlib
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.decoding.options import Hypothesis, SearchOptions
from regard.models.protocol import Seq2Seq
from regard.nn.padded import Padded

_MULTIPLE = 8  # the encoder reads a multiple of so many sentences, and the decoder has at least so many rows
_FINISHED_SHARE = 4  # the batch is made smaller when one in so many sentences is finished


@torch.inference_mode()
def search(
    model: Seq2Seq,
    source: Padded,
    options: SearchOptions,
    *,
    bos_id: int,
    eos_id: int,
    pad_id: int,
) -> list[list[Hypothesis]]:
    """Translate a batch of encoded sentences.

    Args:
        model: in evaluation mode.
        source: (B, S), all sentences of one padded length that depends on each sentence alone.

    Returns:
        For each sentence its hypotheses, best first.
    """
    sentences = source.ids.size(0)
    width = options.n_best if options.sample else options.beam_size
    filled = torch.arange(_round_up(sentences, _MULTIPLE)) % sentences
    padded = Padded(source.ids[filled], source.lengths[filled])
    lengths = padded.lengths[: _groups(sentences, width)].tolist()  # of the sentences that the decoder takes
    limits = [options.limit(length, model.config.max_length) for length in lengths]
    controls = _Controls(bos_id, eos_id, pad_id)
    if options.sample or options.beam_size == 1:
        seeds = [_seed(options.seed, ids[:length]) for ids, length in zip(padded.ids, lengths, strict=False)]
        found = _one_by_one(model, padded, options, width, limits, controls, seeds)
    else:
        found = _beam(model, padded, options, limits, controls)
    ranked = [sorted(hypotheses, key=lambda hypothesis: -hypothesis.score) for hypotheses in found[:sentences]]
    return [hypotheses[: options.n_best] for hypotheses in ranked]


@dataclass(frozen=True)
class _Controls:
    bos_id: int
    eos_id: int
    pad_id: int


def penalized(log_prob: float, length: int, length_penalty: float) -> float:
    """Total log-probability over ((5 + length) / 6)^α, length with eos (Wu et al. 2016, equation 14)."""
    return log_prob / ((5 + length) / 6) ** length_penalty


def _seed(seed: int, ids: Tensor) -> int:
    """What a sentence's random draws begin from: the seed asked for and the sentence, not where it stands."""
    text = f"{seed}:{','.join(map(str, ids.tolist()))}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def _forbid(logits: Tensor, controls: _Controls, position: int, options: SearchOptions) -> Tensor:
    """Logits (R, V) with the tokens that cannot come next at -inf: padding, bos, and eos before the minimum length."""
    logits[:, controls.pad_id] = -math.inf
    if controls.bos_id != controls.eos_id:
        logits[:, controls.bos_id] = -math.inf
    if position < options.min_length:
        logits[:, controls.eos_id] = -math.inf
    return logits


def _one_by_one(
    model: Seq2Seq,
    source: Padded,
    options: SearchOptions,
    width: int,
    limits: list[int],
    controls: _Controls,
    seeds: list[int],
) -> list[list[Hypothesis]]:
    """Greedy search and sampling: rows never compete, so each is extended by one token a step until its eos."""
    sentences = len(limits)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds] if options.sample else []
    results: list[list[Hypothesis]] = [[] for _ in range(sentences)]
    alive = list(range(sentences))  # the sentence of each group of `width` rows
    tokens: list[list[list[int]]] = [[[] for _ in range(width)] for _ in range(sentences)]
    log_probs: list[list[list[float]]] = [[[] for _ in range(width)] for _ in range(sentences)]
    open_rows = [[True] * width for _ in range(sentences)]
    state = model.start(source).select(torch.arange(sentences)[:, None].expand(-1, width))
    ids = torch.full((sentences * width, 1), controls.bos_id)
    position = 0
    while True:
        logits, state = model.step(ids, state)
        totals = logits[:, -1].logsumexp(-1)  # of all tokens: a log-probability is the model's, forbidden or not
        logits = _forbid(logits[:, -1], controls, position, options)  # (R, V)
        if options.sample:
            chosen = _draw(logits, options, [generators[sentence] for sentence in alive], width)
        else:
            chosen = logits.argmax(-1)
        chosen_log_probs = (logits.gather(1, chosen[:, None])[:, 0] - totals).tolist()
        chosen_ids = chosen.tolist()
        for group, sentence in enumerate(alive):
            for column in range(width):
                if not open_rows[sentence][column]:
                    continue
                row = group * width + column
                log_probs[sentence][column].append(chosen_log_probs[row])
                finished = chosen_ids[row] == controls.eos_id
                if not finished:
                    tokens[sentence][column].append(chosen_ids[row])
                if finished or len(tokens[sentence][column]) >= limits[sentence]:
                    open_rows[sentence][column] = False
                    parts = log_probs[sentence][column]
                    score = penalized(sum(parts), len(parts), options.length_penalty)
                    results[sentence].append(Hypothesis(tuple(tokens[sentence][column]), tuple(parts), score, finished))
        position += 1
        kept = _groups_to_keep([any(open_rows[sentence]) for sentence in alive], width)
        if kept is None:
            return results
        if len(kept) < len(alive):
            rows = torch.tensor(kept)[:, None] * width + torch.arange(width)
            state, chosen = state.select(rows), chosen[rows.flatten()]
            alive = [alive[group] for group in kept]
        ids = chosen[:, None]


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
    logits = logits / options.temperature
    if options.top_k:
        kept = min(options.top_k, logits.size(-1))
        logits = logits.masked_fill(logits < logits.topk(kept).values[:, -1:], -math.inf)
    probabilities = logits.softmax(-1)
    if options.top_p < 1:
        ordered, order = probabilities.sort(-1, descending=True)
        outside = ordered.cumsum(-1) - ordered >= options.top_p  # the first token is always inside
        probabilities = probabilities.scatter(1, order, ordered.masked_fill(outside, 0.0))
    uniform = torch.cat([torch.rand(width, generator=generator, dtype=torch.float64) for generator in generators])
    cumulative = probabilities.double().cumsum(-1)
    threshold = (uniform.to(cumulative.device) * cumulative[:, -1])[:, None]
    return torch.searchsorted(cumulative, threshold, right=True)[:, 0].clamp_max(logits.size(-1) - 1)


def _beam(
    model: Seq2Seq, source: Padded, options: SearchOptions, limits: list[int], controls: _Controls
) -> list[list[Hypothesis]]:
    """Beam search: of all continuations of a sentence's hypotheses the best `beam_size` go on.

    A continuation by eos among the best `beam_size` is finished; a sentence ends when it has `beam_size` of them.
    """
    width, sentences = options.beam_size, len(limits)
    finished: list[list[Hypothesis]] = [[] for _ in range(sentences)]
    done = [False] * sentences
    alive = list(range(sentences))
    state = model.start(source).select(torch.arange(sentences)[:, None].expand(-1, width))
    ids = torch.full((sentences * width, 1), controls.bos_id)
    # At first all hypotheses of a sentence are the same: only one may be continued.
    totals = torch.full((sentences, width), -math.inf, dtype=torch.float64)
    totals[:, 0] = 0.0
    history = torch.empty(sentences, width, 0, dtype=torch.int64)  # ids so far
    parts = torch.empty(sentences, width, 0, dtype=torch.float64)  # their log-probabilities
    position = 0
    while True:
        logits, state = model.step(ids, state)
        log_totals = logits[:, -1].logsumexp(-1, keepdim=True)  # of all tokens, forbidden or not
        logits = _forbid(logits[:, -1], controls, position, options)  # (R, V)
        best, tokens = logits.topk(min(2 * width, logits.size(-1)))  # (R, 2 width): no more can matter
        log_probs = (best - log_totals).double().view(len(alive), -1)  # (B, width * 2 width)
        per_row = best.size(-1)
        candidates = totals.repeat_interleave(per_row, dim=1) + log_probs
        candidate_totals, index = candidates.topk(min(2 * width, candidates.size(1)))  # (B, 2 width)
        candidate_rows = index // per_row  # which hypothesis is continued
        candidate_tokens = tokens.view(len(alive), -1).gather(1, index)
        candidate_parts = log_probs.gather(1, index)
        ends = candidate_tokens == controls.eos_id
        position += 1
        _collect(finished, done, alive, ends[:, :width], candidate_rows, candidate_totals, candidate_parts,
                 history, parts, position, options)  # fmt: skip

        # The best `width` continuations that do not end: candidates in order, those by eos put last.
        order = (torch.arange(ends.size(1)) + ends * ends.size(1)).argsort(dim=1)[:, :width]
        totals = candidate_totals.gather(1, order)
        chosen_rows = candidate_rows.gather(1, order)
        chosen = candidate_tokens.gather(1, order)
        chosen_parts = candidate_parts.gather(1, order)
        spread = chosen_rows[:, :, None].expand(-1, -1, position - 1)
        history = torch.cat([history.gather(1, spread), chosen[:, :, None]], dim=2)
        parts = torch.cat([parts.gather(1, spread), chosen_parts[:, :, None]], dim=2)
        _cut(finished, done, alive, totals, history, parts, position, limits, options)

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
    length: int,
    limits: list[int],
    options: SearchOptions,
) -> None:
    """End sentences that have reached their length limit; what is open fills up the finished ones, marked as cut."""
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
