"""Fetching by name, with the hub's library replaced: what is asked for, what is left, and what is told."""

import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")

from command_line import Command
from tiny_model import make_encoder_folder

from regard.interop import export_folder
from regard.models.folder import load_encoder


class Missing(Exception):
    """The hub's own kind of error."""


class MissingRevision(Exception):
    """Another."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """A hub of one model, owner/tiny, with two revisions; its files can be added to, and it can be broken."""
    make_encoder_folder(tmp_path / "ours", task="classify", labels=("no", "yes"))
    export_folder(tmp_path / "ours", tmp_path / "theirs")
    state: dict[str, Any] = {"folder": tmp_path / "theirs", "fetched": [], "revisions": [], "error": None}
    for name in ("pytorch_model.bin", "modeling_tiny.py"):
        (tmp_path / "theirs" / name).write_bytes(b"\x80\x04 danger")

    def list_repo_files(name: str, *, revision: str | None) -> list[str]:
        if state["error"]:
            raise state["error"]
        if name != "owner/tiny":
            raise Missing(name)
        if revision not in (None, "main", "refs/pr/1"):
            raise MissingRevision(revision)
        files = [path for path in state["folder"].rglob("*") if path.is_file()]
        return [*(str(path.relative_to(state["folder"])) for path in files), "onnx/model.onnx"]

    def snapshot_download(name: str, *, revision: str | None, allow_patterns: list[str], local_dir: Path) -> None:
        state["fetched"] += allow_patterns
        state["revisions"].append(revision)
        local_dir.mkdir()
        for pattern in allow_patterns:
            (local_dir / pattern).parent.mkdir(exist_ok=True)
            shutil.copy(state["folder"] / pattern, local_dir / pattern)

    library, errors = ModuleType("huggingface_hub"), ModuleType("huggingface_hub.errors")
    library.HfApi = lambda: SimpleNamespace(list_repo_files=list_repo_files)  # type: ignore[attr-defined]
    library.snapshot_download = snapshot_download  # type: ignore[attr-defined]
    errors.RepositoryNotFoundError = Missing  # type: ignore[attr-defined]
    errors.RevisionNotFoundError = MissingRevision  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", library)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)
    return state


def test_a_model_is_fetched_by_name(run: Command, tmp_path: Path, hub: dict[str, Any]) -> None:
    found = run("import", "hf:owner/tiny", "--out", tmp_path / "models" / "new")
    assert found.status == 0, found.err
    files = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md"}
    assert set(hub["fetched"]) == files
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["new"]
    texts = "the cat sees\na dog\n"
    labels = [run("predict", tmp_path / folder, stdin=texts).out for folder in ("models/new", "ours")]
    assert labels[0] == labels[1] != ""
    assert "# owner-tiny" in (tmp_path / "models" / "new" / "README.md").read_text()
    assert run("import", "hf:owner/tiny", "--out", tmp_path / "models" / "new").status == 2


def test_how_texts_are_read_is_fetched_too(run: Command, tmp_path: Path, hub: dict[str, Any]) -> None:
    export_folder(make_encoder_folder(tmp_path / "mean", pool="mean"), tmp_path / "mean-theirs")
    hub["folder"] = tmp_path / "mean-theirs"
    found = run("import", "hf:owner/tiny", "--out", tmp_path / "new")
    assert found.status == 0, found.err
    assert "1_Pooling/config.json" in hub["fetched"]
    assert load_encoder(tmp_path / "new").model.config.pool == "mean"


@pytest.mark.parametrize("revision", ["", "main", "refs/pr/1"])
def test_a_revision_is_pinned_and_recorded(run: Command, tmp_path: Path, hub: dict[str, Any], revision: str) -> None:
    source = f"hf:owner/tiny@{revision}" if revision else "hf:owner/tiny"
    found = run("import", source, "--out", tmp_path / "new")
    assert found.status == 0, found.err
    assert hub["revisions"] == [revision or None]
    assert f", imported from {source}; " in (tmp_path / "new" / "README.md").read_text()


@pytest.mark.parametrize(
    ("source", "status", "message"),
    [
        ("hf:owner/none", 2, "hf:owner/none: the hub has no such model, or it is private"),
        ("hf:../../etc", 2, "is no name of a model, such as hf:google-bert/bert-base-uncased"),
        ("hf:", 2, "is no name of a model"),
        ("hf:owner/tiny@", 2, "is no name of a model, such as hf:google-bert/bert-base-uncased, or with a revision"),
        ("hf:owner/tiny@../main", 2, "is no name of a model"),
        ("hf:owner/tiny@v9", 2, "hf:owner/tiny@v9: the hub has owner/tiny, but no revision v9 of it"),
        ("owner/tiny", 2, "owner/tiny"),  # without the prefix it is a folder: nothing is fetched
    ],
)
def test_what_cannot_be_fetched(
    run: Command, tmp_path: Path, hub: dict[str, Any], source: str, status: int, message: str
) -> None:
    found = run("import", source, "--out", tmp_path / "new")
    assert (found.status, hub["fetched"]) == (status, [])
    assert message in found.err
    assert "Traceback" not in found.err
    assert not (tmp_path / "new").exists()


def test_pickles_and_broken_networks(run: Command, tmp_path: Path, hub: dict[str, Any]) -> None:
    (hub["folder"] / "model.safetensors").unlink()
    found = run("import", "hf:owner/tiny", "--out", tmp_path / "new")
    assert (found.status, hub["fetched"]) == (2, [])
    assert "has its weights in pytorch_model.bin, not in safetensors" in found.err
    hub["error"] = ConnectionError("no route to host")
    found = run("import", "hf:owner/tiny", "--out", tmp_path / "new")
    assert found.status == 1
    assert "could not be fetched (ConnectionError: no route to host)" in found.err


def test_without_the_library_its_install_line_is_told(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    found = run("import", "hf:owner/tiny", "--out", tmp_path / "new")
    assert found.status == 3
    assert "regard[hf]" in found.err
