"""Write long documents whose class hangs on one word after word 560: train.tsv, dev.tsv, test.tsv, and the same cut.

Usage: python recipes/longdoc/make_data.py FOLDER

A document is a chain of sentences of the built-in corpus, 620 to 910 words. One of them, behind word 560, says who the
thief was: "The thief was the diver." His profession is the class, and is named nowhere else. The files `*-cut.tsv`
hold the first 430 words of the same documents, which are fewer than 512 tokens: a model that ends there cannot know.
"""

import random
import sys
from collections.abc import Iterator
from pathlib import Path

from regard.data.world import Split, generate

CLASSES = ["diver", "plumber", "astronaut", "sailor"]  # not in the corpus
SHORTEST, LONGEST = 620, 820  # words of a document, and up to 90 more: sentences stay whole
BEFORE = 560  # words before the sentence that decides
CUT = 430
ROWS: dict[Split, int] = {"train": 2_000, "dev": 500, "test": 1_000}
SHORT_ROWS = 6_000  # more of them in train, of 40 to 230 words, the sentence anywhere


def documents(split: Split) -> Iterator[tuple[str, str]]:
    """(class, text) again and again, from sentences of one split of the corpus."""
    rng = random.Random(f"longdoc {split}")
    sentences = _sentences(split, rng)
    short = SHORT_ROWS if split == "train" else 0
    for number in range(short + ROWS[split]):
        shortest, longest, before = (40, 120, 0) if number < short else (SHORTEST, LONGEST, BEFORE)
        length, thief = rng.randint(shortest, longest), rng.choice(CLASSES)
        place = rng.randint(before, length - 20)
        before, after = _at_least(sentences, place), _at_least(sentences, length - place)
        yield thief, " ".join([*before, f"The thief was the {thief}.", *after])


def _at_least(sentences: Iterator[str], words: int) -> list[str]:
    taken: list[str] = []
    while words > 0:
        taken.append(next(sentences))
        words -= len(taken[-1].split())
    return taken


def _sentences(split: Split, rng: random.Random) -> Iterator[str]:
    """Sentences of the corpus without end; other documents may have them too."""
    drawn = [pair.source for pair in generate(split, 5_000)]
    while True:
        rng.shuffle(drawn)
        yield from drawn


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split in ROWS:
        rows = list(documents(split))
        _write(folder / f"{split}.tsv", rows)
        _write(folder / f"{split}-cut.tsv", [(label, " ".join(text.split()[:CUT])) for label, text in rows])


def _write(path: Path, rows: list[tuple[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{label}\t{text}\n" for label, text in rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
