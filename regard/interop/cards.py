"""README.md of folders that went from one project to the other."""

from collections.abc import Sequence
from pathlib import Path

from regard.models.folder import card_of


def imported(
    source: Path,
    architecture: str,
    num_parameters: int,
    *,
    origin: str = "",
    facts: Sequence[str] = (),
    use: Sequence[str] = (),
) -> str:
    """README.md of a model folder of ours that was made from another's.

    Args:
        origin: where that came from, if it was fetched.
        facts: lines for machines, such as "pipeline_tag: translation".
        use: lines on how to use it.
    """
    said = [
        f"A {architecture}, imported from {origin or 'a Hugging Face folder'}; {num_parameters:,} parameters in "
        "float32.",
        "Author, training data and licence are those of the original: see its card.",
    ]
    return card_of(source, ["library_name: regard", *facts], said, use)


def exported(source: Path, architecture: str, *, facts: Sequence[str] = (), use: Sequence[str] = ()) -> str:
    """README.md of a folder for `transformers` that was made from ours; arguments as `imported`."""
    return card_of(source, ["library_name: transformers", *facts], [f"A {architecture}, written by regard."], use)
