"""`regard train` from a shell: which setting stands over which, and a run that is there already."""

import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from command_line import Command, mistake
from tiny_model import SOURCES, TARGETS

import regard
from regard import cli

SIZES = [
    *("--set", "model.hidden_size=16", "--set", "model.num_layers=1", "--set", "model.num_heads=2"),
    *("--set", "model.feed_forward_size=16", "--set", "model.max_length=32", "--set", "tokens.vocab_size=320"),
    *("--set", "training.batch_tokens=200", "--set", "training.threads=1"),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A run that the command line trained, and its arguments."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "train.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in zip(SOURCES, TARGETS, strict=True)) * 3)
    (folder / "dev.tsv").write_text(f"{SOURCES[0]}\t{TARGETS[0]}\n")
    config = "[training]\nmax_steps = 9\nseed = 5\n[model]\ndropout = 0.0\n[data]\nfilter = false\n"
    (folder / "settings.toml").write_text(config)
    arguments = [
        "train",
        str(folder / "train.tsv"),
        "--dev",
        str(folder / "dev.tsv"),
        "-c",
        str(folder / "settings.toml"),
    ]
    arguments += ["--set", "training.max_steps=4", *SIZES, "--from", "en", "--to", "pt-BR", "-o", str(folder / "run")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["regard", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
    assert not stopped.value.code
    return folder / "run", arguments


def test_a_single_value_stands_over_the_file_and_the_file_over_the_default(trained: tuple[Path, list[str]]) -> None:
    settings = tomllib.loads((trained[0] / "config.toml").read_text())
    assert settings["training"]["max_steps"] == 4, "--set"
    assert (settings["training"]["seed"], settings["model"]["dropout"]) == (5, 0.0), "the file"
    assert settings["model"]["arch"] == "transformer", "the default"
    assert settings["data"]["train"] == [trained[1][1]]
    assert settings["data"]["dev"] == [trained[1][3]]
    assert (settings["data"]["source_language"], settings["data"]["target_language"]) == ("en", "pt-BR")
    assert settings["data"]["filter"] is False


def test_a_finished_run_has_nothing_left_to_train(run: Command, trained: tuple[Path, list[str]]) -> None:
    weights = (trained[0] / "model" / "model.safetensors").read_bytes()
    found = run(*trained[1])
    assert found.status == 0, found.err
    assert "already at step 4 of 4: nothing left to train." in found.err
    assert f"regard translate {trained[0]}" in found.err
    assert found.out == ""
    assert (trained[0] / "model" / "model.safetensors").read_bytes() == weights


def test_another_setting_in_the_same_folder_is_refused(run: Command, trained: tuple[Path, list[str]]) -> None:
    mistake(run(*trained[1], "--set", "training.seed=6"), 2, r"training\.seed was 5 and is now 6")


def test_a_run_folder_translates_and_evaluates(run: Command, trained: tuple[Path, list[str]]) -> None:
    assert len(run("translate", trained[0], "--max-length", "6", stdin="the cat\n\n").lines) == 2
    assert run("evaluate", trained[0], trained[1][3]).status == 0


def data_of(run: Command, folder: Path, *arguments: str) -> dict[str, Any]:
    """The [data] that the settings of a run would hold."""
    found: dict[str, Any] = {}

    class Enough(regard.RegardError):
        pass

    def stop(data: Any, *_: object) -> None:
        found.update(vars(data))
        raise Enough("enough")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("regard.runs.data.prepare_data", stop)
        mistake(run("train", *arguments, "-o", str(folder / "run")), 1, "enough")
    return found


def test_the_command_line_stands_over_the_data_table(run: Command, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        '[data]\ntrain = ["old.tsv"]\ndev = ["dev.tsv"]\ndev_pairs = 7\nfilter = true\nreverse = true\n'
        'source_language = "fr"\ntarget_language = "de"\n'
    )
    config = ["-c", str(tmp_path / "c.toml")]
    expected = {"train": ("a.tsv",), "dev": ("dev.tsv",), "dev_pairs": 7, "filter": True, "reverse": True}
    expected |= {"source_language": "fr", "target_language": "de", "old_dev": None, "alignments": None}
    assert data_of(run, tmp_path, "a.tsv", *config) == expected
    changed = data_of(run, tmp_path, "a.tsv", *config, "--dev", "x", "--dev", "y", "--no-filter", "--from", "en")
    assert changed == expected | {"dev": ("x", "y"), "filter": False, "source_language": "en"}
    taught = data_of(run, tmp_path, "a.tsv", *config, "--set", "data.alignments='old'", "--alignments", "a.links")
    assert taught == expected | {"alignments": "a.links"}
    bare = data_of(run, tmp_path, "a.tsv", "--reverse", "--set", "data.dev_pairs=3")
    assert (bare["reverse"], bare["dev_pairs"], bare["dev"], bare["filter"]) == (True, 3, (), True)


def test_a_value_outside_any_table_is_refused(run: Command, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("model = 3\n")
    for more in ([], ["--set", "model.arch=rnn"]):
        found = run("train", "world:30", "-c", tmp_path / "c.toml", *more, "-o", tmp_path / "run")
        mistake(found, 2, r"c\.toml: model stands outside any table")
