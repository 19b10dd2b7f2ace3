"""A run's folder: whose settings it holds, and from when on."""

from pathlib import Path

import pytest

from regard.errors import CheckpointError, ConfigError
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


def test_a_file_name_that_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"caf.udce9.*is not UTF-8, and config\.toml could not name it"):
        RunFolder(tmp_path).settle('[data]\ntrain = ["caf\udce9"]\n')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("theirs", ["[training]\nseed = 3\n", 'title = "my site"\ndata = 3\n'])
def test_a_file_of_settings_that_no_run_wrote_stays(tmp_path: Path, theirs: str) -> None:
    (tmp_path / "config.toml").write_text(theirs)
    with pytest.raises(CheckpointError, match="holds a run with other settings"):
        RunFolder(tmp_path).settle(NEW)
    assert (tmp_path / "config.toml").read_text() == theirs
