"""Alignment error rate of a statistical aligner (eflomal), trained on the pairs that our translators are trained on.

eflomal (Östling and Tiedemann 2016; IBM models 1 to 3 with an HMM, Gibbs sampling) is a program of its own under the
GPL, run as such and never imported. It wants an environment of its own; our side is `recipes/alignments/run.sh`, which
also prepares the pairs, each a lower-cased word or mark with spaces around, as `make_data.py` there does by itself:

    python3 -m venv peer && peer/bin/pip install eflomal==2.0.0
    python recipes/alignments/make_data.py fr ../shared/data runs/align-fr-data
    PATH="$PWD/peer/bin:$PATH" python bench/alignment_peer.py runs/align-fr-data

Without the program, or without the pairs, this says so and ends. The gold pairs stand among the training pairs, without
their links, as is usual for aligners that learn what they align.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from regard.data.filters import Filters
from regard.data.pairs import load
from regard.evaluation.alignment import Link, alignment_error_rate, parse_links, read_gold, symmetrize


def main(folders: Sequence[str]) -> int:
    """Score each folder of `recipes/alignments/make_data.py`."""
    missing = [folder for folder in folders if not (Path(folder) / "gold-test.tsv").is_file()]
    if shutil.which("eflomal-align") is None or missing or not folders:
        print("alignment_peer: skipped, eflomal-align or the pairs are not here; its first lines say how.")
        return 0
    for folder in map(Path, folders):
        gold = list(read_gold(folder / "gold-test.tsv"))
        pairs, _ = load([str(folder / "train.tsv")], filters=Filters())
        sides = [
            [*texts, *(" ".join(words) for words in golds)]
            for texts, golds in (
                (pairs.sources, [pair.source for pair in gold]),
                (pairs.targets, [pair.target for pair in gold]),
            )
        ]
        forward, reverse = (links[-len(gold) :] for links in align(*sides))
        print(f"{folder}: {len(gold)} sentences, {len(pairs):,} training pairs")
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
    sys.exit(main(sys.argv[1:]))
