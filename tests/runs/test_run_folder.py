"""A run's folder: whose settings it holds, and from when on."""

from pathlib import Path

import pytest

from regard.errors import CheckpointError
from regard.runs.folder import BEFORE_FILE, TEACHER_FOLDER, RunFolder

OLD, NEW = '[data]\ntrain = ["a"]\n', '[data]\ntrain = ["b"]\n'


def test_settings_of_a_folder_where_nothing_has_begun_give_way(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.settle(OLD)
    (tmp_path / BEFORE_FILE).write_text("{}")
    folder.settle(OLD)
    assert (tmp_path / BEFORE_FILE).exists()
    folder.settle(NEW)
    assert (tmp_path / "config.toml").read_text() == NEW
    assert not (tmp_path / BEFORE_FILE).exists()


@pytest.mark.parametrize("name", ["checkpoints/step-000001", "metrics.jsonl", "model", TEACHER_FOLDER])
def test_settings_of_a_run_that_has_begun_stay(tmp_path: Path, name: str) -> None:
    folder = RunFolder(tmp_path)
    folder.settle(OLD)
    (tmp_path / name).mkdir(parents=True)
    with pytest.raises(CheckpointError, match=r"data\.train was \['a'\] and is now \['b'\]"):
        folder.settle(NEW)
    assert (tmp_path / "config.toml").read_text() == OLD


@pytest.mark.parametrize("theirs", ["[training]\nseed = 3\n", 'title = "my site"\ndata = 3\n'])
def test_a_file_of_settings_that_no_run_wrote_stays(tmp_path: Path, theirs: str) -> None:
    (tmp_path / "config.toml").write_text(theirs)
    with pytest.raises(CheckpointError, match="holds a run with other settings"):
        RunFolder(tmp_path).settle(NEW)
    assert (tmp_path / "config.toml").read_text() == theirs
