"""BPE-dropout: the same word is cut differently each time it is seen (Provilkov et al. 2020).

Pieces never cross a space, so a text's segmentation is that of its words, one by one. Each word of the training text
gets a few segmentations once; an epoch then draws one for each place where the word stands. That keeps an epoch a
function of (seed, epoch), and costs it milliseconds.
"""

import itertools
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sentencepiece

_WORD = re.compile("▁[^▁]*")


@dataclass(frozen=True)
class Merges:
    """What byte-pair encoding knows: which pieces there are, and in which order they were learnt."""

    ids: dict[str, int]  # by piece, without control and byte pieces
    scores: dict[str, float]  # of pieces of several characters; the higher of two merges is done first
    byte_ids: tuple[int, ...]  # 256, for characters that are no piece

    @classmethod
    def of(cls, processor: sentencepiece.SentencePieceProcessor) -> "Merges":
        """The merges of a sentencepiece model of type BPE."""
        numbers = range(processor.vocab_size())
        apart = [processor.is_control(i) or processor.is_unknown(i) or processor.is_byte(i) for i in numbers]
        ids = {processor.id_to_piece(i): i for i in numbers if not apart[i]}
        scores = {piece: processor.get_score(i) for piece, i in ids.items() if len(piece) > 1}
        return cls(ids, scores, tuple(processor.piece_to_id(f"<0x{byte:02X}>") for byte in range(256)))

    def segment(self, word: str, dropout: float, chance: random.Random) -> list[int]:
        """Ids of a word (its ▁ before it): the best merge first, each candidate left out with a probability.

        Source: Provilkov et al. 2020, algorithm 1. With dropout 0 it is byte-pair encoding itself.
        """
        symbols = list(word)
        while True:
            best, place = -float("inf"), -1
            for number, (left, right) in enumerate(itertools.pairwise(symbols)):
                score = self.scores.get(left + right)
                if score is not None and score > best and not (dropout and chance.random() < dropout):
                    best, place = score, number
            if place < 0:
                break
            symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]
        return [number for symbol in symbols for number in self._ids_of(symbol)]

    def _ids_of(self, symbol: str) -> list[int]:
        known = self.ids.get(symbol)
        return [self.byte_ids[byte] for byte in symbol.encode()] if known is None else [known]


class SampledLines:
    """Lines of text whose words can be drawn in other segmentations."""

    def __init__(
        self,
        lines: Sequence[str],
        merges: Merges,
        *,
        dropout: float,
        variants: int = 16,
        seed: int = 1,
        end_id: int | None = None,
    ):
        """Cut the words of the lines.

        Args:
            dropout: the probability of leaving out a merge; 0.1 in the paper.
            variants: segmentations made of each word, its plain one not counted.
            end_id: this id ends every line.
        """
        numbers: dict[str, int] = {}
        in_lines = [[numbers.setdefault(word, len(numbers)) for word in _WORD.findall(_marked(line))] for line in lines]
        chance = random.Random(seed)
        table = []  # for each word its plain segmentation, then the variants
        for word in numbers:
            table.append(merges.segment(word, 0.0, chance))
            table += [merges.segment(word, dropout, chance) for _ in range(variants)]
        if end_id is not None:
            end = len(numbers)
            table += [[end_id]] * (1 + variants)
            for words in in_lines:
                words.append(end)
        self.variants = variants
        self._words, self._line_starts = flatten([np.array(words, dtype=np.int64) for words in in_lines])
        self._ids, self._starts = flatten([np.array(ids, dtype=np.int32) for ids in table])

    def draw(self, generator: np.random.Generator, max_length: int) -> tuple[np.ndarray, np.ndarray]:
        """All lines, each word in a segmentation drawn anew: flat ids, int32, and where each line starts.

        A line that would have more than `max_length` ids is cut plainly.
        """
        choice = generator.integers(1, 1 + self.variants, len(self._words))
        ids, line_starts = self._gather(choice)
        too_long = np.diff(line_starts) > max_length
        if too_long.any():
            choice[np.repeat(too_long, np.diff(self._line_starts))] = 0
            ids, line_starts = self._gather(choice)
        return ids, line_starts

    def _gather(self, choice: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = self._words * (1 + self.variants) + choice
        sizes = self._starts[rows + 1] - self._starts[rows]
        ends = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(sizes, out=ends[1:])
        index = np.repeat(self._starts[rows] - ends[:-1], sizes) + np.arange(ends[-1])
        return self._ids[index], ends[self._line_starts]


def _marked(line: str) -> str:
    """The line as sentencepiece sees it: spaces are marks, and one stands before a line that is not empty."""
    return "▁" + line.replace(" ", "▁") if line else ""


def flatten(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Arrays laid end to end, and where each starts (one more: the end)."""
    starts = np.zeros(len(parts) + 1, dtype=np.int64)
    np.cumsum([len(part) for part in parts], out=starts[1:])
    empty = np.empty((0, *parts[0].shape[1:]) if parts else 0, dtype=np.int32)  # parts may be none
    return np.concatenate([empty, *parts]), starts
