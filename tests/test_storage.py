"""A file or folder that is always the old one or the new one; checkpoints and models: tests/runs, tests/models."""

import errno
import os
from pathlib import Path

import pytest

from regard import storage
from regard.errors import StorageError
from regard.streams import writer


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is flushed and what gets its name, in order."""
    found: list[str] = []

    def noted(word: str, real):
        def call(self: Path, *rest: Path) -> Path | None:
            found.append(f"{word} {self.name}")
            return real(self, *rest)

        return call

    monkeypatch.setattr(storage, "flush", noted("flush", storage.flush))
    for name in ("rename", "replace"):
        monkeypatch.setattr(Path, name, noted("name", getattr(Path, name)))
    return found


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, events: list[str]) -> None:
    path = tmp_path / "best.json"
    path.write_bytes(b"old")
    storage.write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert events == ["flush .best.json.partial", "name .best.json.partial", f"flush {tmp_path.name}"]
    events.clear()
    with writer(tmp_path / "out.txt") as write:
        write("a line")
    assert (tmp_path / "out.txt").read_bytes() == b"a line\n"
    assert events == ["flush .out.txt.partial", "name .out.txt.partial", f"flush {tmp_path.name}"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["best.json", "out.txt"]


def test_a_folder_is_on_the_disk_before_it_has_its_name(tmp_path: Path, events: list[str]) -> None:
    storage.publish_folder(tmp_path / "model", lambda folder: (folder / "a").write_text("old") and None)
    assert events == ["flush a", "flush .model.partial", "name .model.partial", f"flush {tmp_path.name}"]
    events.clear()
    storage.publish_folder(tmp_path / "model", lambda folder: (folder / "b").write_text("new") and None)
    assert events[:4] == ["flush b", "flush .model.partial", "name model", "name .model.partial"]
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["model", "model/b"]

    def nested(folder: Path) -> None:
        (folder / "c").mkdir()
        (folder / "c" / "d").write_text("within")

    events.clear()
    storage.publish_folder(tmp_path / "deep", nested)
    assert sorted(events[:2]) == ["flush c", "flush d"]
    assert events[2:] == ["flush .deep.partial", "name .deep.partial", f"flush {tmp_path.name}"]


def test_a_disk_that_refuses_to_flush_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", refuse)
    path = tmp_path / "out.txt"
    path.write_text("old")
    message = r"out.txt: cannot be written \(Input/output error\)\. The old file is intact\.$"
    with pytest.raises(StorageError, match=message):
        storage.write_file(path, b"new")
    with pytest.raises(StorageError, match=message), writer(path) as write:
        write("new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_and_the_file_it_means_is_written(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("shared/a")
    for text in ("old", "new"):  # at first its folder is not there either
        with storage.replacing_output(tmp_path / "link") as partial:
            partial.write_text(text)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "shared" / "a").read_text() == text
        assert [path.name for path in (tmp_path / "shared").iterdir()] == ["a"]


def test_an_interruption_leaves_the_old_and_nothing_half(tmp_path: Path) -> None:
    def interrupted(folder: Path) -> None:
        (folder / "half").write_text("ha")
        raise KeyboardInterrupt

    (tmp_path / "model").mkdir()
    (tmp_path / "out.txt").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        storage.publish_folder(tmp_path / "model", interrupted)
    with pytest.raises(KeyboardInterrupt), writer(tmp_path / "out.txt"):
        raise KeyboardInterrupt
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["model", "out.txt"]
    assert (tmp_path / "out.txt").read_text() == "old"


def test_the_callers_own_errors_are_not_the_disks(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), writer(tmp_path / "out.txt"):
        Path(tmp_path / "input that is not there").read_text()
    assert not list(tmp_path.iterdir())
