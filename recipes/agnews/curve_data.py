"""Write the parts of AG News that the curve needs: so many texts of a class, drawn for each seed, and plain text.

Usage: python recipes/agnews/curve_data.py DATA FOLDER

FOLDER holds what run.sh made of DATA/agnews. Written are COUNT-SEED.tsv (COUNT texts a class; of one seed the larger
holds the smaller), and text.txt for pre-training: the same news without labels, the English sides of DATA/news,
WikiText-2 and the Brown corpus, each text apart.
"""

import gzip
import random
import sys
from pathlib import Path

COUNTS = [10, 30, 100, 300, 1_000]
SEEDS = [1, 2, 3]
SENTENCES = ["news/en-de.train", "news/en-fr.train", "news/en-cs.train"]
RUNNING = ["lm/wikitext-2.train", "lm/brown"]


def main(data: Path, folder: Path) -> None:
    rows = [line for name in ("train", "train_description_only") for line in _lines(folder / f"{name}.tsv")]
    for seed in SEEDS:
        drawn = random.Random(seed).sample(rows, len(rows))
        for count in COUNTS:
            chosen = [row for label in "0123" for row in [row for row in drawn if row[0] == label][:count]]
            (folder / f"{count}-{seed}.tsv").write_text("\n".join(chosen) + "\n", encoding="utf-8")
    with (folder / "text.txt").open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(row.split("\t")[1] + "\n\n")
        for name in SENTENCES:
            file.writelines(line.split("\t")[0] + "\n\n" for line in _lines(data / f"{name}.tsv.gz"))
        for name in RUNNING:
            file.writelines(line.strip() + "\n" for line in _lines(data / f"{name}.txt.gz"))


def _lines(path: Path) -> list[str]:
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        return file.read().split("\n")[:-1]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
