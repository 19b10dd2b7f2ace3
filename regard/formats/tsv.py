"""Tab-separated pairs: source, tab, target. There is no quoting; further columns are ignored."""

from collections.abc import Iterator
from pathlib import Path

from regard.errors import DataError
from regard.formats.files import TOO_LONG, Row, read_lines


def read_pairs(path: Path) -> Iterator[Row]:
    """The first two columns of every line.

    Raises:
        DataError: the file cannot be read as text (see `read_lines`), or a line has fewer than two columns.
    """
    for number, line in enumerate(read_lines(path), 1):
        if line is None:
            yield Row(number, "", "", TOO_LONG)
            continue
        columns = line.split("\t", 2)
        if len(columns) < 2:
            found = f"no tab in {line[:60]!r}" if line else "an empty line"
            raise DataError(
                f"{path}, line {number:,}: {found}. Each line must be a source, a tab and a target. "
                f"Add what is missing, or remove the line."
            )
        yield Row(number, columns[0], columns[1])
