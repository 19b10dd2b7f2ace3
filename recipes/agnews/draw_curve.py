"""Print and draw accuracy by number of labels from the scores that curve.sh left.

Usage: python recipes/agnews/draw_curve.py SCORES-FOLDER PICTURE
"""

import json
import sys
from pathlib import Path

from regard.look.curves import Curve, Panel, draw_curves

COUNTS = ["10", "30", "100", "300", "1000", "all"]
NAMES = {"agnews-pretrained": "pre-trained", "bert-mini": "from nothing", "tfidf": "TF-IDF, logistic regression"}


def main(scores: Path, picture: Path) -> None:
    curves = []
    for stem, name in NAMES.items():
        places, means, lows, highs = [], [], [], []
        for place, count in enumerate(COUNTS):
            files = sorted(scores.glob(f"{stem}-{count}-*.json"))
            found = [json.loads(file.read_text())["scores"]["accuracy"]["value"] for file in files]
            if found:
                places.append(place)
                means.append(sum(found) / len(found))
                lows.append(min(found))
                highs.append(max(found))
        curves.append(Curve(name, places, means, lows, highs))
        rows = zip(places, means, lows, highs, strict=True)
        print(f"{name}: " + ", ".join(f"{COUNTS[i]} {m:.1f} ({a:.1f} to {b:.1f})" for i, m, a, b in rows))
    panel = Panel("AG News", "labelled texts of each class", "accuracy, %", curves, COUNTS)
    draw_curves(
        [panel], picture, note="Mean of three seeds, which draw other texts; lines reach from the worst to the best."
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
