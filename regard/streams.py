"""Lines of text into a command and out of it: files and standard streams, nothing lost and nothing half written."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

from regard.errors import DataError, InputError
from regard.formats.files import BOM, COMPRESSIONS, MAX_LINE_BYTES, EmptyFileError, exists, text_lines
from regard.storage import replacing_output, storing

Row = TypeVar("Row")  # a line, or what stands for one
_CHUNK_LINES = 2_000  # given on together: many, for lines of one length are translated in one batch


def pair_up(files: list[Path], out: str) -> list[tuple[Path | None, Path | None]]:
    """Each input (None: standard input) with the file its results go to (None: standard output).

    Args:
        files: "-" is standard input, and so is no file.
        out: a file, or a folder: one that is there, ends with "/", or is for several inputs; "": all results go to
            standard output.

    Raises:
        DataError: there is no such file.
        InputError: results would overwrite an input, or each other.
    """
    sources = [None if str(path) == "-" else path for path in files] or [None]
    for path in sources:
        if path is not None and not path.exists():
            raise DataError(f"{path}: there is no such file. Check the name and the folder you are in.")
    if not out:
        return [(path, None) for path in sources]
    if len(sources) == 1 and not (out.endswith("/") or Path(out).is_dir()):
        targets = [Path(out)]
    else:
        names = [Path("stdin.txt") if path is None else Path(path.name) for path in sources]
        targets = [Path(out) / (name.stem if name.suffix.lower() in COMPRESSIONS else name) for name in names]
    for number, target in enumerate(targets):
        if target in targets[:number]:
            raise InputError(f"{target}: two inputs would be written here. Translate files of the same name apart.")
        refuse_overwriting(target, [path for path in sources if path is not None])
    return list(zip(sources, targets, strict=True))


def refuse_overwriting(target: Path, inputs: Sequence[Path]) -> None:
    """Refuse to write results over what they are made from.

    Args:
        inputs: names that are no files are passed over.

    Raises:
        InputError: the target is one of them, perhaps under another name.
    """
    if exists(target) and any(exists(path) and target.samefile(path) for path in inputs):
        raise InputError(f"{target}: is an input and would be overwritten. Name another --out.")


@contextmanager
def writer(path: Path | None) -> Iterator[Callable[[str], None]]:
    """A function that writes a line to standard output (None), or to a file that appears complete or not at all.

    A symbolic link stays, and the file that it means is written; a device or a named pipe is written as it is.

    Raises:
        InputError: the file is a folder.
        StorageError: the disk refused.
    """
    if path is None or _is_standard_output(path):
        yield lambda line: print(line)
        return
    if path.is_dir():
        raise InputError(f"{path}: is a folder. --out names a file, or a folder for several inputs.")
    if path.exists() and not path.is_file():
        with storing(path), path.open("w", encoding="utf-8", newline="\n") as file:
            yield lambda line: print(line, file=file)
        return
    with replacing_output(path) as partial:
        with storing(path):
            file = partial.open("w", encoding="utf-8", newline="\n")

        def write(line: str) -> None:
            with storing(path):
                file.write(line + "\n")

        try:
            yield write
        finally:
            with storing(path):
                file.close()


def _is_standard_output(path: Path) -> bool:
    """Whether this is /dev/stdout under one of its names, which are links to wherever it goes."""
    if not path.is_symlink():
        return False
    try:
        return os.path.samestat(path.stat(), os.fstat(1))
    except OSError:  # it leads nowhere, or standard output is closed
        return False


def file_chunks(path: Path) -> Iterator[list[str]]:
    """The lines of a file; an empty file has none.

    Raises:
        DataError: see `text_lines`.
    """
    return in_chunks(line for _, line in text_lines(path))


def stdin_chunks() -> Iterator[list[str]]:
    """The lines of standard input, read as those of a file are, but as they arrive: a typed line is a chunk of its own.

    Lines end at LF only; a byte order mark at the start and one CR before each LF are dropped.

    Raises:
        DataError: not UTF-8, a line too long, or nothing to read from.
    """
    if sys.stdin is None:
        raise DataError("standard input: is closed. Give text, or name a file.")
    number, rest, ended = 0, b"", False
    while not ended:
        try:
            block = sys.stdin.buffer.read1(1 << 18)  # type: ignore[attr-defined]  # what is there, or waits for some
        except OSError as error:
            raise DataError(f"standard input: cannot be read ({error.strerror}). Give text, or name a file.") from error
        ended = not block
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            raise DataError(
                f"standard input, line {number + len(lines) + 1:,}: longer than {MAX_LINE_BYTES:,} bytes. "
                "Lines of text were expected. Break it into shorter lines."
            )
        if ended and rest:
            lines.append(rest)
        decoded = []
        for line in lines:
            number += 1
            if number == 1:
                line = line.removeprefix(BOM)
                if ended and not line:  # a byte order mark and nothing else
                    continue
            if not ended:
                line = line.removesuffix(b"\r")
            try:
                decoded.append(line.decode("utf-8"))
            except UnicodeDecodeError as error:
                raise DataError(
                    f"standard input, line {number:,}: byte {error.start + 1} of the line is not UTF-8. "
                    "Convert the text first, for example with iconv."
                ) from error
        yield from in_chunks(iter(decoded))


def in_chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """The lines or rows of a file, many together; those before one that cannot be read come before its error."""
    ended = False
    while not ended:
        chunk: list[Row] = []
        wrong = None
        try:
            for row in islice(rows, _CHUNK_LINES):
                chunk.append(row)  # one by one: what came before an error must stay
        except EmptyFileError:
            pass
        except DataError as error:
            wrong = error
        ended = len(chunk) < _CHUNK_LINES
        if chunk:
            yield chunk
        if wrong is not None:
            raise wrong
