"""TF-IDF with logistic regression on the texts of the curve, as COUNT-SEED.json beside the others'.

Usage: python recipes/agnews/tfidf.py DATA-FOLDER SCORES-FOLDER

Words and pairs of words; the strength of the regularisation is chosen on dev, as the others' step is.
"""

import json
import sys
from pathlib import Path

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

STRENGTHS = [1.0, 10.0, 100.0]  # C
COUNTS = ["10", "30", "100", "300", "1000"]


def main(data: Path, scores: Path) -> None:
    dev, test = (_read([data / f"{name}.tsv"]) for name in ("dev", "test"))
    everything = [data / "train.tsv", data / "train_description_only.tsv"]
    runs = [(f"{count}-{seed}", [data / f"{count}-{seed}.tsv"]) for count in COUNTS for seed in (1, 2, 3)]
    for name, files in [*runs, ("all-1", everything)]:
        labels, texts = _read(files)
        models = []
        for strength in STRENGTHS:
            words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
            models.append(make_pipeline(words, LogisticRegression(C=strength, max_iter=1_000)).fit(texts, labels))
        best = max(models, key=lambda model: model.score(dev[1], dev[0]))
        accuracy = 100 * best.score(test[1], test[0])
        report = {"scores": {"accuracy": {"value": accuracy}}, "C": best[-1].C, "num_texts": len(test[0])}
        (scores / f"tfidf-{name}.json").write_text(json.dumps(report))
        print(f"tfidf {name}: C {best[-1].C:g}, accuracy {accuracy:.2f}", flush=True)


def _read(files: list[Path]) -> tuple[list[str], list[str]]:
    """Labels and texts."""
    rows = [line.split("\t") for file in files for line in file.read_text(encoding="utf-8").split("\n")[:-1]]
    return [row[0] for row in rows], [row[1] for row in rows]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
