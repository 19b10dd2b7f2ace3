"""Prepare the pairs and the gold of one language: python make_data.py fr|pt DATA-FOLDER OUT-FOLDER

Gold alignments count lower-cased words with every mark apart ("start - ups", "l ' europe"), and most training text is
not written so: all of it is brought to that form. Writes train.tsv and held.tsv, and gold-dev.tsv and gold-test.tsv
with links: for French Europarl and Hansards, for Portuguese the first 16 sentences of Europarl and the other 32.
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from regard.data.filters import Filters
from regard.data.pairs import load
from regard.formats.files import text_lines
from regard.streams import writer

TRAIN = {
    "fr": ["tatoeba/en-fr.train.tsv.gz", "news/en-fr.train.tsv.gz"],
    "pt": [
        *("tatoeba/en-pt.train.tsv.gz", "tatoeba/en-pt.pivot.tsv.gz"),
        *(f"docs-en-pt/{name}.train.tsv.gz" for name in ("debian-handbook", "libreoffice-help", "python-docs")),
        "bible-en-pt/kjv-almeida.tsv.gz",
    ],
}
GOLD_DEV = {"fr": ("alignments/en-fr.europarl.tsv.gz", 0, 48), "pt": ("alignments/en-pt.europarl.tsv.gz", 0, 16)}
GOLD_TEST = {"fr": ("alignments/en-fr.hansards.tsv.gz", 0, 219), "pt": ("alignments/en-pt.europarl.tsv.gz", 16, 48)}
WORD = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> str:
    """Lower-cased words and marks with single spaces between."""
    return " ".join(WORD.findall(text.lower()))


def main(language: str, data: Path, out: Path) -> None:
    for name, files, filters in (
        ("train", TRAIN[language], Filters()),
        ("held", [f"tatoeba/en-{language}.dev.tsv.gz"], Filters.none()),
    ):
        pairs, report = load([str(data / file) for file in files], filters=filters)
        print(f"{name}: {report.total.line()}")
        write(out / f"{name}.tsv", zip(map(words, pairs.sources), map(words, pairs.targets), strict=True))
    for name, (file, first, end) in (("gold-dev", GOLD_DEV[language]), ("gold-test", GOLD_TEST[language])):
        rows = [line.lower().split("\t") for _, line in text_lines(data / file)][first:end]
        write(out / f"{name}.tsv", rows)


def write(path: Path, rows: Iterable[Iterable[str]]) -> None:
    with writer(path) as put:
        for row in rows:
            put("\t".join(row))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
