"""The attention matrix as text: shaded cells on a terminal, digits where there are no colours."""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from rich.cells import cell_len

from regard.look.contrast import ink_on
from regard.look.weights import Matrix
from regard.look.words import graphemes

_LONGEST_ROW_NAME = 18  # terminal cells
_LONGEST_COLUMN_NAME = 14
_COLUMN = 3  # terminal cells a column
_TURNS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")  # directions, as Unicode names them
_HIDDEN = re.compile("[\u00ad\u200b\u2060-\u206f\ufeff\ufff9-\ufffb]|^[\u061c\u200c-\u200f]+$")  # as in page.js
_STOPS = (247, 251, 255), (96, 165, 214), (8, 48, 107)  # red, green, blue at 0, in the middle and at 1


def matrix_lines(matrix: Matrix, *, width: int = 80, colours: bool = True) -> list[str]:
    """A matrix as lines of text: source words on top, written downwards, target words on the left.

    A cell shows its weight in hundredths where it is at least 0.05, and its shade with colours; a line says so. A
    matrix that is too wide is cut into several, one below the other.

    Args:
        width: of the terminal, in cells.
        colours: shade the cells with 24-bit ANSI colours.
    """
    rows = [_row_name(name, special) for name, special in zip(matrix.rows, matrix.special_rows, strict=True)]
    rows = [shortened(name, _LONGEST_ROW_NAME) for name in rows]
    name_width = max(map(cell_len, rows), default=0)
    rows = [" " * (name_width - cell_len(name)) + name for name in rows]
    at_once = max(1, (width - name_width - 1) // _COLUMN)
    lines = [matrix.title]
    for first in range(0, len(matrix.columns), at_once):
        columns = slice(first, first + at_once)
        lines.append("")
        names = zip(matrix.columns[columns], matrix.special_columns[columns], strict=True)
        lines += [" " * (name_width + 1) + head for head in _headings([_row_name(*name) for name in names])]
        for name, weights in zip(rows, matrix.weights[:, columns], strict=True):
            lines.append(f"{name} " + "".join(_cell(float(weight), colours) for weight in weights).rstrip())
    return [*lines, "", f"Numbers are hundredths; {'no number' if colours else '·'}: below 5.", matrix.note]


def visible(text: str) -> str:
    """The text with an escape for each character that would act on the terminal: bells, colours, turned directions.

    Tabs and line ends stay.
    """
    return "".join(_escaped(each) if _acts(each) else each for each in text)


def token_name(token: str) -> str:
    """What stands beside a matrix for a word or piece: also signs that hide in it are escaped, and a space is seen.

    Joiners of letters are part of a word, and are escaped where they are all of it.
    """
    text = visible(" ".join(token.replace("▁", " ").split()))
    return _HIDDEN.sub(lambda found: _escaped(found[0]), text) or "␣"


def _escaped(text: str) -> str:
    return repr(text)[1:-1]


def _acts(character: str) -> bool:
    if character.isprintable() or character in "\t\n":
        return False
    # Of format characters only those that turn the text after them: others join letters, or do nothing that is seen.
    category = unicodedata.category(character)
    return category in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(character) in _TURNS


def padded(text: str, width: int) -> str:
    """The text with spaces up to a width in terminal cells; a wide letter fills two, a mark none."""
    return text + " " * max(0, width - cell_len(text))


def shortened(text: str, width: int) -> str:
    """The text if it fits into a width in terminal cells; else as many whole letters as do, and an ellipsis."""
    if cell_len(text) <= width:
        return text
    letters = graphemes(text)
    while cell_len("".join(letters)) >= width:
        letters.pop()
    return "".join(letters) + "…"


def _row_name(name: str, special: bool) -> str:
    text = token_name(name)
    return f"‹{text.strip('<>')}›" if special else text


def _headings(names: Sequence[str]) -> Iterator[str]:
    """Names written downwards, ending on one line; a mark stays on its letter."""
    letters = [graphemes(name) for name in names]
    short = [
        each if len(each) <= _LONGEST_COLUMN_NAME else [*each[: _LONGEST_COLUMN_NAME - 1], "…"] for each in letters
    ]
    height = max(map(len, short), default=0)
    for depth in range(height):
        shown = [each[depth - height] if depth >= height - len(each) else "" for each in short]
        yield "".join(padded(f" {letter}", _COLUMN) for letter in shown).rstrip()


def _cell(weight: float, colours: bool) -> str:
    hundredths = round(weight * 100)
    text = f"{hundredths:2d} "[:_COLUMN] if hundredths >= 5 else " · " if not colours else "   "
    if not colours:
        return text
    place = 2 * min(weight, 1.0) ** 0.8
    first = min(int(place), 1)
    mixed = [low + (high - low) * (place - first) for low, high in zip(_STOPS[first], _STOPS[first + 1], strict=True)]
    ink = [255 * part for part in ink_on([part / 255 for part in mixed])]
    paper, letters = (";".join(str(round(part)) for part in colour) for colour in (mixed, ink))
    return f"\x1b[48;2;{paper}m\x1b[38;2;{letters}m{text}\x1b[0m"
