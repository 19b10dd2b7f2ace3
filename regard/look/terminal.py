"""The attention matrix as text: shaded cells on a terminal, digits where there are no colours."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len, set_cell_size

from regard.look.weights import Matrix

_LONGEST_ROW_NAME = 18  # terminal cells
_LONGEST_COLUMN_NAME = 14
_COLUMN = 3  # terminal cells a column
_STOPS = (247, 251, 255), (96, 165, 214), (8, 48, 107)  # red, green, blue at 0, in the middle and at 1


def matrix_lines(matrix: Matrix, *, width: int = 80, colours: bool = True) -> list[str]:
    """A matrix as lines of text: source words on top, written downwards, target words on the left.

    A cell shows its weight in hundredths where it is at least 0.05, and its shade with colours. A matrix that is too
    wide is cut into several, one below the other.

    Args:
        width: of the terminal, in cells.
        colours: shade the cells with 24-bit ANSI colours.
    """
    rows = [_row_name(name, special) for name, special in zip(matrix.rows, matrix.special_rows, strict=True)]
    name_width = min(_LONGEST_ROW_NAME, max(map(cell_len, rows), default=0))
    rows = [set_cell_size(" " * max(0, name_width - cell_len(name)) + name, name_width) for name in rows]
    at_once = max(1, (width - name_width - 1) // _COLUMN)
    lines = [matrix.title]
    for first in range(0, len(matrix.columns), at_once):
        columns = slice(first, first + at_once)
        lines.append("")
        names = zip(matrix.columns[columns], matrix.special_columns[columns], strict=True)
        lines += [" " * (name_width + 1) + head for head in _headings([_row_name(*name) for name in names])]
        for name, weights in zip(rows, matrix.weights[:, columns], strict=True):
            lines.append(f"{name} " + "".join(_cell(float(weight), colours) for weight in weights).rstrip())
    return [*lines, "", matrix.note]


def _row_name(name: str, special: bool) -> str:
    text = " ".join(name.replace("▁", " ").split()) or "␣"
    return f"‹{text.strip('<>')}›" if special else text


def _headings(names: Sequence[str]) -> Iterator[str]:
    """Names written downwards, ending on one line."""
    short = [name if len(name) <= _LONGEST_COLUMN_NAME else name[: _LONGEST_COLUMN_NAME - 1] + "…" for name in names]
    height = max(map(len, short), default=0)
    for depth in range(height):
        letters = [name.rjust(height)[depth] for name in short]
        yield "".join(set_cell_size(f" {letter}", _COLUMN) for letter in letters).rstrip()


def _cell(weight: float, colours: bool) -> str:
    hundredths = round(weight * 100)
    text = f"{hundredths:2d} "[:_COLUMN] if hundredths >= 5 else " · " if not colours else "   "
    if not colours:
        return text
    place = 2 * min(weight, 1.0) ** 0.8
    first = min(int(place), 1)
    mixed = [low + (high - low) * (place - first) for low, high in zip(_STOPS[first], _STOPS[first + 1], strict=True)]
    ink = "255;255;255" if weight > 0.45 else "28;39;51"
    return f"\x1b[48;2;{';'.join(str(round(part)) for part in mixed)}m\x1b[38;2;{ink}m{text}\x1b[0m"
