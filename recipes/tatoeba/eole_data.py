"""Write Tatoeba and the documentation sets as the plain files and the sentencepiece model that Eole reads.

Usage: python recipes/tatoeba/eole_data.py DATA FOLDER
"""

import gzip
import sys
from pathlib import Path

import sentencepiece

SETS = {
    "tatoeba": ["tatoeba/en-pt.train", "tatoeba/en-pt.pivot"],
    "docs": [f"docs-en-pt/{name}.train" for name in ("libreoffice-help", "python-docs", "debian-handbook")],
    "dev": ["tatoeba/en-pt.dev"],
    "test": ["tatoeba/en-pt.test"],
}


def main(data: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, parts in SETS.items():
        files = [gzip.decompress((data / f"{part}.tsv.gz").read_bytes()).decode() for part in parts]
        rows = [row for text in files for row in text.removesuffix("\n").split("\n")]
        for side, language in enumerate(("en", "pt")):
            text = "".join(row.split("\t")[side] + "\n" for row in rows)
            (folder / f"{name}.{language}").write_text(text, encoding="utf-8", newline="\n")
    sentencepiece.SentencePieceTrainer.train(
        input=[str(folder / f"{name}.{language}") for name in ("tatoeba", "docs") for language in ("en", "pt")],
        model_prefix=str(folder / "spm"),
        vocab_size=8000,
        model_type="bpe",
        character_coverage=0.9998,
        minloglevel=2,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
