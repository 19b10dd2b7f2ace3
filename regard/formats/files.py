"""Files as blocks of bytes and as lines of text, compressed or not, in bounded memory.

Lines end at LF only: U+2028, U+0085, a vertical tab, a form feed and a lone CR are characters like any other, because
a line that one reader splits and another does not would shift every pair below it.
"""

import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from regard.errors import DataError, MissingDependencyError

MAX_LINE_BYTES = 1_000_000  # of a longer line only the fact is kept, so that memory stays bounded
BLOCK_BYTES = 1 << 18  # must stay below MAX_LINE_BYTES: read_lines relies on it
TOO_LONG = "too long"

BOM = b"\xef\xbb\xbf"
COMPRESSIONS = {".gz": "gzip", ".xz": "xz", ".zst": "zstd", ".zstd": "zstd"}
_MAGIC = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}  # none of them starts UTF-8 text


class Row(NamedTuple):
    """One pair as it stands in a file, before any filter. Neither side holds a line feed."""

    line: int  # 1-based; in TMX and PO the line where the unit begins
    source: str
    target: str
    unusable: str | None = None  # a reason for which no filter setting may let this row through; its text is not whole


def one_line(text: str) -> str:
    """Fold line breaks, with the spaces and tabs around them, into one space: a model reads and writes single lines."""
    if "\n" not in text and "\r" not in text:
        return text
    lines = text.replace("\r", "\n").split("\n")
    return " ".join(stripped for line in lines if (stripped := line.strip(" \t")))


def has_half_character(text: str) -> bool:
    """Whether there is half a surrogate pair in it: an escape of JSON can smuggle one in, and it is no character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def kind_suffix(path: Path) -> str:
    """The suffix that tells the kind of a file, lower-case: ".tsv" of "a.TSV.gz"; "" if there is none."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def exists(path: Path) -> bool:
    """Whether there is such a file or folder; what cannot be a name is none."""
    try:
        return path.exists()
    except (OSError, ValueError):  # too long for a name, or with a zero byte
        return False


def read_blocks(path: Path) -> Iterator[bytes]:
    """The decompressed bytes of a file in blocks of 1 to `BLOCK_BYTES` bytes.

    Raises:
        DataError: the file is missing, not a file, unreadable, empty, or its compressed data is cut off or damaged.
        MissingDependencyError: it is compressed with zstd, and zstandard is not installed.
    """
    empty = True
    compression = None
    try:
        with path.open("rb") as file:
            compression = _compression(path, file)
            for block in _DECOMPRESSORS[compression](file):
                if block:
                    empty = False
                    yield block
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise DataError(_damaged(path, compression, error)) from error
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file. Check the name and the folder you are in.") from error
    except IsADirectoryError as error:
        raise DataError(f"{path}: this is a folder, a file was expected. Name the files in it.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}. Check the file and its rights.") from error
    if empty:
        raise _empty(path)


def read_lines(path: Path) -> Iterator[str | None]:
    """The lines of a UTF-8 file without their ends; None stands for a line of more than `MAX_LINE_BYTES` bytes.

    A byte order mark at the start is dropped, and so is one CR before each LF. A last line without LF is a line.

    Raises:
        DataError: as `read_blocks`, or a byte that is not UTF-8 (the message has line and byte offset). The lines
            just before it may not have been delivered; the inside of a line delivered as None is not looked at.
    """
    number = 1  # of the line that begins at `offset`
    offset = 0
    parts: list[bytes] = []  # of the unfinished line; dropped when it gets too long
    size = 0
    for block in read_blocks(path):
        if offset == size == 0 and block.startswith(BOM):
            block = block[len(BOM) :]
            offset = len(BOM)
        end = block.rfind(b"\n") + 1
        if end == 0:
            size += len(block)
            if size <= MAX_LINE_BYTES:
                parts.append(block)
            else:
                parts.clear()
            continue
        first_end = block.index(b"\n") + 1
        if size + first_end - 1 > MAX_LINE_BYTES:  # only a line begun in an earlier block can be so long
            yield None
            number += 1
            offset += size + first_end
            whole = block[first_end:end]
        else:
            whole = b"".join((*parts, block[:end]))
        if whole:
            lines = _decode(whole, path, number, offset).split("\n")
            lines.pop()  # what follows the last LF: nothing
            yield from lines
            number += len(lines)
            offset += len(whole)
        parts = [block[end:]]
        size = len(block) - end
    if size > MAX_LINE_BYTES:
        yield None
    elif size:
        yield _decode(b"".join(parts), path, number, offset)
    elif number == 1:  # a byte order mark and nothing else
        raise _empty(path)


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line number (1-based) and line, for work where every line counts: one too long to deliver is an error.

    Raises:
        DataError: as `read_lines`, or a line of more than `MAX_LINE_BYTES` bytes.
    """
    for number, line in enumerate(read_lines(path), 1):
        if line is None:
            raise DataError(
                f"{path}, line {number:,}: longer than {MAX_LINE_BYTES:,} bytes. "
                f"Lines of text were expected. Break it into shorter lines."
            )
        yield number, line


def _decode(data: bytes, path: Path, number: int, offset: int) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = number + data.count(b"\n", 0, error.start)
        where = f"{path}, line {line:,}: byte 0x{data[error.start]:02x} at offset {offset + error.start:,}"
        inside = " of the decompressed file" if path.suffix.lower() in COMPRESSIONS else ""
        encoding = "UTF-16" if offset == error.start == 0 and data[:2] in (b"\xff\xfe", b"\xfe\xff") else "LATIN1"
        raise DataError(
            f"{where}{inside} is not UTF-8. Text must be UTF-8. "
            f"Re-encode the file, for example: iconv -f {encoding} -t UTF-8 OLD > NEW"
        ) from error
    return text.replace("\r\n", "\n") if "\r" in text else text


def _compression(path: Path, file: BinaryIO) -> str | None:
    start = file.peek(8)[:8]  # type: ignore[attr-defined]  # open("rb") gives a BufferedReader
    for magic, compression in _MAGIC.items():
        if start.startswith(magic):
            return compression
    named = COMPRESSIONS.get(path.suffix.lower())
    if named == "zstd" and start[1:4] == b"\x2a\x4d\x18":  # a skippable frame first, as pzstd writes
        return named
    if named and start:
        raise DataError(
            f"{path}: the name says {named}, the content is not {named}. "
            f"Take {path.suffix} off the name if it is plain text, or fetch the file again."
        )
    return None


def _damaged(path: Path, compression: str | None, error: Exception) -> str:
    if "requires too much memory" in str(error):
        return f"{path}: compressed with a window above 128 MiB. Compress it again, without zstd --long."
    if isinstance(error, EOFError):
        found = f"the {compression} data ends before its end mark, the file is cut off"
    else:
        found = f"the {compression} data is damaged ({error})"
    return f"{path}: {found}. A whole file was expected. Copy or download it again."


class EmptyFileError(DataError):
    """There is nothing in the file."""


def _empty(path: Path) -> DataError:
    return EmptyFileError(f"{path}: the file is empty. At least one line was expected. Check how it was made.")


def _plain_blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(BLOCK_BYTES):
        yield block


def _gzip_blocks(file: BinaryIO) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file) as opened:
        while block := opened.read(BLOCK_BYTES):
            yield block


def _xz_blocks(file: BinaryIO) -> Iterator[bytes]:
    """Stream by stream: `LZMAFile` takes a damaged second stream for something to pass over."""
    stream: lzma.LZMADecompressor | None = None
    data = b""
    while True:
        if not data and (stream is None or stream.needs_input):
            data = file.read(BLOCK_BYTES)
            if not data:
                break
        if stream is None:
            data = data.lstrip(b"\0")  # padding between streams
            if not data:
                continue
            stream = lzma.LZMADecompressor(lzma.FORMAT_XZ)
        yield stream.decompress(data, BLOCK_BYTES)
        data = b""
        if stream.eof:
            data, stream = stream.unused_data, None
    if stream is not None:
        raise EOFError


def _zstd_blocks(file: BinaryIO) -> Iterator[bytes]:
    """Frame by frame with `decompressobj`: zstandard's own stream reader takes a cut-off file for a whole one."""
    try:
        import zstandard
    except ImportError as error:
        raise MissingDependencyError("zstandard", "documents", "reading .zst files") from error
    frame = None
    output = bytearray()
    try:
        # 1 KiB of input gives 32 MiB at most (a 4-byte block can stand for 128 KiB), so a bomb cannot fill the memory.
        while piece := file.read(1024):
            while piece:
                frame = frame or zstandard.ZstdDecompressor().decompressobj()
                output += frame.decompress(piece)
                piece = b""
                if frame.eof:
                    piece, frame = frame.unused_data, None
            if len(output) >= BLOCK_BYTES:
                whole = len(output) - len(output) % BLOCK_BYTES
                for start in range(0, whole, BLOCK_BYTES):
                    yield bytes(output[start : start + BLOCK_BYTES])
                del output[:whole]
    except zstandard.ZstdError as error:
        raise zlib.error(str(error)) from error  # told like the damage of the other kinds
    if output:
        yield bytes(output)
    if frame is not None:
        raise EOFError


_DECOMPRESSORS: dict[str | None, Callable[[BinaryIO], Iterator[bytes]]] = {
    None: _plain_blocks,
    "gzip": _gzip_blocks,
    "xz": _xz_blocks,
    "zstd": _zstd_blocks,
}
