"""Alignment error rate of a statistical aligner (eflomal), trained on the pairs that our translators are trained on.

eflomal (Östling and Tiedemann 2016; IBM models 1 to 3 with an HMM, Gibbs sampling) is a program of its own under the
GPL, run as such and never imported. It wants an environment of its own:

    python3 -m venv peer && peer/bin/pip install eflomal==2.0.0
    PATH="$PWD/peer/bin:$PATH" python bench/alignment_peer.py

Without it, or without the data sets, this says so and ends. Our side of the comparison is `recipes/alignments/run.sh`.

It aligns words, we translate pieces: training text is split here into lower-cased words much as the gold files are, and
the gold pairs stand among the training pairs, without their links, as is usual for aligners that learn what they align.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from regard.data.filters import Filters
from regard.data.pairs import load
from regard.evaluation.alignment import Link, alignment_error_rate, parse_links, read_gold, symmetrize

# name, gold pairs, training pairs
SETS = [
    ("en-fr Hansards", "alignments/en-fr.hansards.tsv.gz", ["tatoeba/en-fr.train.tsv.gz", "news/en-fr.train.tsv.gz"]),
    (
        "en-pt Europarl",
        "alignments/en-pt.europarl.tsv.gz",
        [
            *("tatoeba/en-pt.train.tsv.gz", "tatoeba/en-pt.pivot.tsv.gz"),
            *(f"docs-en-pt/{name}.train.tsv.gz" for name in ("debian-handbook", "libreoffice-help", "python-docs")),
            "bible-en-pt/kjv-almeida.tsv.gz",
        ],
    ),
]
WORD = re.compile(r"\w+['’]|\w+(?:-\w+)*|[^\w\s]")


def main() -> int:
    data = Path(os.environ.get("REGARD_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if shutil.which("eflomal-align") is None or not data.is_dir():
        print("alignment_peer: skipped, eflomal-align or the data sets are not here; its first lines say how.")
        return 0
    for name, gold_file, training in SETS:
        files = [str(data / file) for file in training if (data / file).is_file()]
        gold = list(read_gold(data / gold_file))
        pairs, _ = load(files, filters=Filters())
        sides = [
            [" ".join(WORD.findall(text.lower())) for text in texts] + [" ".join(words).lower() for words in golds]
            for texts, golds in (
                (pairs.sources, [pair.source for pair in gold]),
                (pairs.targets, [pair.target for pair in gold]),
            )
        ]
        forward, reverse = (links[-len(gold) :] for links in align(*sides))
        print(f"{name}: {len(gold)} sentences, {len(pairs):,} training pairs ({' '.join(training)})")
        both = [symmetrize(there, back, "grow-diag-final-and") for there, back in zip(forward, reverse, strict=True)]
        for way, links in (("forward", forward), ("reverse", reverse), ("grow-diag-final-and", both)):
            score = alignment_error_rate(links, [pair.sure for pair in gold], [pair.possible for pair in gold])
            print(
                f"  {way:<20} AER {score.aer:.3f}   precision {score.precision:.3f}   recall {score.recall:.3f}",
                flush=True,
            )
    return 0


def align(sources: Sequence[str], targets: Sequence[str]) -> tuple[list[set[Link]], list[set[Link]]]:
    """The links of each pair in both directions, by the program with its own settings."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for side, lines in (("source", sources), ("target", targets)):
            (folder / side).write_text("".join(f"{each}\n" for each in lines), encoding="utf-8")
        subprocess.run(
            ["eflomal-align", "-s", "source", "-t", "target", "-f", "forward", "-r", "reverse", "--overwrite"],
            cwd=folder,
            check=True,
        )
        found = [
            [parse_links(line)[0] for line in (folder / way).read_text(encoding="utf-8").splitlines()]
            for way in ("forward", "reverse")
        ]
    return found[0], found[1]


if __name__ == "__main__":
    sys.exit(main())
