"""Two plain text files, aligned by line."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from regard.errors import DataError
from regard.formats.files import TOO_LONG, Row, read_lines

_NO_LINE = "\n"  # no line holds a line feed


def read_pairs(source_path: Path, target_path: Path) -> Iterator[Row]:
    """Line N of one file with line N of the other.

    Raises:
        DataError: a file cannot be read as text (see `read_lines`), or the two have different numbers of lines.
    """
    sources, targets = read_lines(source_path), read_lines(target_path)
    for number, (source, target) in enumerate(zip_longest(sources, targets, fillvalue=_NO_LINE), 1):
        if source is None or target is None:
            if _NO_LINE not in (source, target):
                yield Row(number, "", "", TOO_LONG)
                continue
        elif source is not _NO_LINE and target is not _NO_LINE:
            yield Row(number, source, target)
            continue
        longer = target_path if source is _NO_LINE else source_path
        num_lines = number + sum(1 for _ in (targets if source is _NO_LINE else sources))
        counts = {source_path: number - 1, target_path: number - 1, longer: num_lines}
        raise DataError(
            f"{source_path} has {counts[source_path]:,} lines, {target_path} has {counts[target_path]:,}. "
            f"Line N of one must be the partner of line N of the other. "
            f"Line {number:,} of {longer} is the first without a partner; look there and above for a missing line."
        )
