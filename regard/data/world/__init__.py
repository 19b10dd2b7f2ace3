"""The built-in corpus: English and Brazilian Portuguese from a synchronous grammar of our own, with gold alignment.

Every pair carries its word alignment and, for each *it*, the noun it stands for: Portuguese must choose ele or ela,
o or a by that noun's gender, so a translator has to find it. Any size, seeded, the same on every machine.

The splits: a sentence belongs to train (70 %), dev (15 %) or test (15 %) by the CRC-32 of its lower-cased source
without punctuation, so no source stands in two of them. Held out for the test are also nouns in it-frames and
verb-noun pairs (see `lexicon`).

Capacity: 200,000 distinct training sentences at the default lengths have been drawn without a shortage.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Iterator
from typing import Literal

from regard.data.world import lexicon
from regard.data.world.draft import Draft, finish
from regard.data.world.gold import Pronoun, WorldPair, detokenize, links_between_words
from regard.data.world.sentences import it_sentence, plain_sentence
from regard.errors import DataError

Split = Literal["train", "dev", "test"]
LONGEST = 60
SHORTEST = 5
SAME_GENDER_SHARE = 0.4  # of frames, where a translator is trained on the corpus as DATA
_MOST_REPEATS = 20_000  # draws in a row without a new sentence: the bounds leave no more of them


def generate(
    split: Split,
    count: int,
    *,
    seed: int = 0,
    min_words: int = SHORTEST,
    max_words: int = LONGEST,
    it_share: float = 0.3,
    same_gender_share: float = 0.0,
) -> Iterator[WorldPair]:
    """Yield distinct sentence pairs of a split.

    Args:
        split: "train", "dev" or "test"; no source sentence stands in two of them, whatever the seeds.
        count: how many pairs.
        seed: another seed gives other pairs (of the same split); a smaller count gives a beginning of a larger one.
        min_words: fewest words (by white space) of the source.
        max_words: most words of the source, at most 60.
        it_share: share of sentences with an *it* to resolve.
        same_gender_share: share of these whose two candidates have one gender, so that a translation does not show
            which of them was meant; for training only.

    Raises:
        DataError: an unknown split, bounds that no sentence can meet, or more pairs than these bounds hold.
    """
    if split not in ("train", "dev", "test"):
        raise DataError(f"the built-in corpus has no split {split!r}. Ask for train, dev or test.")
    if not 1 <= min_words <= max_words or max_words < SHORTEST or min_words > LONGEST:
        raise DataError(
            f"sentence length from {min_words} to {max_words} words cannot be met. "
            f"The built-in corpus has sentences of {SHORTEST} to {LONGEST} words."
        )
    if not 0 <= it_share <= 1:
        raise DataError(f"it_share is {it_share}. It is a share of sentences, from 0 to 1.")
    if not 0 <= same_gender_share <= 1:
        raise DataError(f"same_gender_share is {same_gender_share}. It is a share of sentences, from 0 to 1.")
    shortest = min(frame.shortest for frame in lexicon.load().frames)
    if it_share and max_words < shortest:
        raise DataError(
            f"sentences with an it to resolve have at least {shortest} words, max_words is {max_words}. "
            f"Raise max_words or set it_share to 0."
        )
    return _draw(split, count, seed, max(min_words, SHORTEST), min(max_words, LONGEST), it_share, same_gender_share)


def split_of(source: str) -> Split:
    """The split a source sentence belongs to: 70 % train, 15 % dev, 15 % test."""
    normal = f" {_NOT_WORDS.sub(' ', source.lower())} ".replace(" an ", " a ")
    bucket = zlib.crc32(" ".join(normal.split()).encode()) % 20
    return "train" if bucket < 14 else "dev" if bucket < 17 else "test"


_NOT_WORDS = re.compile(r"\W+")


def _draw(
    split: Split, count: int, seed: int, min_words: int, max_words: int, it_share: float, same_gender_share: float
) -> Iterator[WorldPair]:
    words = lexicon.load()
    rng = random.Random(f"{split} {seed}")
    seen: set[str] = set()
    repeats = 0
    wants_it = rng.random() < it_share
    target = _length(rng, min_words, max_words)
    while len(seen) < count:
        draft = Draft(
            words,
            rng,
            test=split == "test",
            spare_held_out=wants_it and split != "test",
            same_gender_share=same_gender_share,
        )
        made = (it_sentence if wants_it else plain_sentence)(draft, target, min_words, max_words)
        source = " ".join([word for word, _ in made[0].source]) if made else ""
        if (
            made is None
            or not min_words <= made[0].num_words() <= max_words
            or source in seen
            or split_of(source) != split  # the words decide, so they may be asked before the pair is finished
        ):
            repeats += 1
            if repeats > _MOST_REPEATS:
                raise DataError(
                    f"found only {len(seen)} of {count} distinct {split} sentences of {min_words} to {max_words} "
                    f"words. Widen the lengths or ask for fewer."
                )
            target = _length(rng, min_words, max_words)  # but it or not stays, or the share would drift
            continue
        repeats = 0
        seen.add(source)
        yield finish(draft, made)
        wants_it = rng.random() < it_share
        target = _length(rng, min_words, max_words)


def _length(rng: random.Random, min_words: int, max_words: int) -> int:
    """A length to aim at: three in four at most 25 words, where the bounds allow."""
    if rng.random() < 0.75 and min_words < 25:
        return rng.randint(min_words, min(25, max_words))
    return rng.randint(max(min_words, min(26, max_words)), max_words)


__all__ = [
    "LONGEST",
    "SAME_GENDER_SHARE",
    "SHORTEST",
    "Pronoun",
    "Split",
    "WorldPair",
    "detokenize",
    "generate",
    "links_between_words",
    "split_of",
]
