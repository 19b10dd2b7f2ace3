"""Files in the formats that hold text and its translation. Everything streams; no line is ever lost in silence."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from regard.errors import DataError
from regard.formats import jsonl, plain, po, tmx, tsv
from regard.formats.files import Row, kind_suffix, read_lines

__all__ = ["Row", "kind", "read_lines", "read_pairs"]

_KINDS = {".tsv": "tsv", ".jsonl": "jsonl", ".tmx": "tmx", ".po": "po"}


def kind(path: Path) -> str:
    """ "tsv", "jsonl", "tmx" or "po", told by the suffix before that of the compression; "plain" for anything else."""
    # A file may really be called "a.tsv:2", like the argument that gives a.tsv the weight 2.
    return _KINDS.get(kind_suffix(Path(re.sub(r":[0-9.]+$", "", path.name))), "plain")


def read_pairs(
    paths: Path | Sequence[Path], source_language: str | None = None, target_language: str | None = None
) -> Iterator[Row]:
    """The pairs of one TSV, JSONL, TMX or PO file, or of two plain files aligned by line (source first).

    Languages are BCP-47 tags; only TMX and JSONL with language names look at them.

    Raises:
        DataError: a file cannot be read as what its name says; see the reader of each format.
    """
    paths = [paths] if isinstance(paths, Path) else list(paths)
    if len(paths) == 2:
        return plain.read_pairs(*paths)
    if len(paths) != 1:
        raise DataError(f"{len(paths)} files for one set of pairs. One file, or two plain ones, were expected.")
    path = paths[0]
    match kind(path):
        case "tsv":
            return tsv.read_pairs(path)
        case "jsonl":
            return jsonl.read_pairs(path, source_language, target_language)
        case "tmx":
            return tmx.read_pairs(path, source_language, target_language)
        case "po":
            return po.read_pairs(path)
    raise DataError(
        f"{path}: a plain text file holds one side only. Give its partner after it, "
        f"or a file that ends in .tsv, .jsonl, .tmx or .po."
    )
