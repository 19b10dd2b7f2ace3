"""README.md of folders that went from one project to the other."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from regard.formats.languages import card_lines, language_of_card
from regard.models.folder import CARD_FILE, card_of

_MAX_CARD_BYTES = 1 << 20


def imported(
    source: Path,
    architecture: str,
    weights: Mapping[str, Tensor],
    languages: Sequence[str],
    *,
    origin: str = "",
    facts: Sequence[str] = (),
    use: Sequence[str] = (),
) -> str:
    """README.md of a model folder of ours that was made from another's.

    Args:
        weights: by name, each once.
        languages: of its text, where known.
        origin: where that came from, if it was fetched.
        facts: further lines for machines, such as "pipeline_tag: translation".
        use: lines on how to use it.
    """
    num_parameters = sum(weight.numel() for weight in weights.values())
    said = [
        f"A {architecture}, imported from {origin or 'a Hugging Face folder'}; {num_parameters:,} parameters in "
        "float32.",
        "Author, training data and licence are those of the original: see its card.",
    ]
    return card_of(source, ["library_name: regard", *facts, *card_lines(languages)], said, use)


def language_of(folder: Path) -> str:
    """The one language that a foreign folder's card names; "" where it names none or several, or there is no card."""
    try:
        with (folder / CARD_FILE).open("rb") as file:
            return language_of_card(file.read(_MAX_CARD_BYTES).decode("utf-8", errors="replace").replace("\r\n", "\n"))
    except OSError:  # a card is for people: a model is imported without it
        return ""


def exported(
    source: Path, architecture: str, languages: Sequence[str], *, facts: Sequence[str] = (), use: Sequence[str] = ()
) -> str:
    """README.md of a folder for `transformers` that was made from ours; arguments as `imported`."""
    facts = ["library_name: transformers", *facts, *card_lines(languages)]
    return card_of(source, facts, [f"A {architecture}, written by regard."], use)
