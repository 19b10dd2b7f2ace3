"""Files and folders that are always the old one or the new one, whatever moment the process or the power dies at.

What is new is written under a hidden name, flushed to the disk, and given its own name by one rename.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from regard.errors import StorageError

PARTIAL, OLD = ".partial", ".old"  # how hidden names end: what is being written, what is being replaced


def write_file(path: Path, data: bytes) -> None:
    """Replace a file, or make it.

    Raises:
        StorageError: the disk refused; the old file is untouched.
    """
    with storing(path, "The old file is intact."), replacing(path) as partial:
        partial.write_bytes(data)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A hidden name to write under: when the block has ended well, what stands there takes the file's place.

    Raises:
        StorageError: the disk refused that; the old file is untouched. Errors of the block pass as they are.
    """
    partial = _hidden(path, PARTIAL)
    try:
        yield partial
        with storing(path, "The old file is intact."):
            flush(partial)
            partial.replace(path)
            flush(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_output(path: Path) -> Iterator[Path]:
    """As `replacing`, for a file that a person named: its folder is made, and of a symbolic link the file that it means
    is replaced.
    """
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        yield partial


def publish_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    """Have a folder of files appear under its name complete or not at all, in the place of one that is there.

    Args:
        fill: writes files into the empty folder that it is given.

    Raises:
        StorageError: the disk refused; a folder that was there is untouched, and nothing else is left behind.
    """
    partial, old = _hidden(folder, PARTIAL), _hidden(folder, OLD)
    try:
        if old.exists() and not folder.exists():
            old.rename(folder)  # a process died between the two names: what it left is the newest that is whole
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        fill(partial)
        for path in partial.rglob("*"):
            flush(path)
        flush(partial)
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
        flush(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        if old.exists() and not folder.exists():
            with contextlib.suppress(OSError):  # the first error is the one to tell
                old.rename(folder)
        raise StorageError(
            f"{folder}: could not be saved ({error.strerror}). What was saved before is intact; make room, "
            "then run the same command again."
        ) from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def flush(path: Path) -> None:
    """Have the disk remember what a file says, or which files a folder holds."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def storing(path: Path, then: str = "") -> Iterator[None]:
    """A block in which a disk that refuses is told as one.

    Args:
        path: what is written.
        then: a sentence on what is left, or to be done.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path}: cannot be written ({error.strerror or error}). {then}".rstrip()) from error


def _hidden(path: Path, suffix: str) -> Path:
    return path.with_name(f".{path.name}{suffix}")
