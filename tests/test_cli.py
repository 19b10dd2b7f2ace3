"""The command line: help, exit statuses, one sentence for a mistake."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

from command_line import Command, Outcome, mistake
from tiny_model import SOURCES, TARGETS, make_encoder_folder, make_folder

import regard
from regard import cli

COMMANDS = (
    *("audit", "train", "translate", "evaluate", "look", "align", "heads"),
    *("pretrain", "finetune", "distil", "average", "predict", "generate", "compare", "demo"),
    *("import", "export"),
)


@pytest.fixture
def pairs(tmp_path: Path) -> list[str]:
    """Two aligned files."""
    for name, lines in (("my.en", SOURCES), ("my.pt", TARGETS)):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return [str(tmp_path / "my.en"), str(tmp_path / "my.pt")]


# Help


def test_help_of_every_command_needs_no_library_and_has_an_example() -> None:
    code = f"""
import io, sys
from contextlib import redirect_stdout
blocked = ("torch", "matplotlib", "sacrebleu", "sacremoses", "sentencepiece", "numpy")
sys.modules.update(dict.fromkeys(blocked))
from regard.cli import main
for command in {("", *COMMANDS)!r}:
    for flag in ("--help", "-h"):
        sys.argv = ["regard", command, flag] if command else ["regard", flag]
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        with redirect_stdout(out):
            try:
                main()
            except SystemExit as stopped:
                assert not stopped.code, (command, stopped.code)
        out.seek(0)
        text = out.read()
        assert not command or f"Example: regard {{command}}" in text, text
        assert command or all(name in text for name in {COMMANDS!r}), text
assert not any(sys.modules.get(name) for name in blocked)
"""
    found = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


def test_every_command_is_known_to_these_tests() -> None:
    assert {command.name or command.callback.__name__ for command in cli.app.registered_commands} == set(COMMANDS)


def test_version_and_the_bare_word(run: Command) -> None:
    assert run("--version").out == f"{regard.__version__}\n"
    assert "Usage: regard" in run().out


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["translate"], "Missing argument"),
        (["tranlate", "x"], "No such command"),
        (["translate", "x", "--bean", "3"], "No such option: --bean"),
        (["translate", "x", "--beam", "many"], "Invalid value for '--beam'"),
        (["train", "world:30"], "Missing option"),
        (["--nonsense"], "No such option"),
    ],
)
def test_wrong_usage(run: Command, arguments: list[str], word: str) -> None:
    found = run(*arguments)
    assert found.status == 2
    assert word in found.err
    assert "Traceback" not in found.err
    assert found.out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["translate", "{model}", "missing.txt"], r"missing\.txt: there is no such file"),
        (["translate", "missing"], r"missing: there is no such folder\. Expected a model folder or a run folder"),
        (["translate", "{here}"], r"no config\.json here"),
        (["translate", "{model}", "--beam", "0"], r"beam_size must be at least 1"),
        (["translate", "{model}", "--n-best", "3"], r"--n-best 3 needs --json"),
        (["translate", "{model}", "--top-k", "3"], r"need --sample"),
        (["translate", "{model}", "--sample", "--beam", "7"], r"--beam 7 is of a search for the best, and --sample"),
        (["translate", "{model}", "--sample", "--length-penalty", "1"], r"--length-penalty compares what a beam finds"),
        (["translate", "{model}", "--beam", "1", "--length-penalty", "1"], r"--length-penalty compares what a beam"),
        (["evaluate", "{model}", "{pairs}", "--beam", "1", "--length-penalty", "1"], r"--length-penalty compares what"),
        (["translate", "{model}", "--min-length", "5", "--max-length", "2"], r"min_length \(5\) is above max_length"),
        (["evaluate", "{model}", "{here}/my.en"], r"my\.en: a plain text file without a partner"),
        (["evaluate", "{model}", "missing.en"], r"missing\.en: there is no such file"),
        (["evaluate", "{model}", "{pairs}", "--lengths", "10,x"], r"--lengths 10,x: expected whole numbers"),
        (["evaluate", "{model}", "{pairs}", "--lengths", "20,10"], r"--lengths 20,10: the numbers must ascend"),
        (["evaluate", "{model}", "{pairs}", "--lengths", "0,10"], r"must ascend from 1"),
        (["evaluate", "{model}", "{pairs}", "--paper", "pt"], r"language 'pt' has no references"),
        (["evaluate", "{model}", "{pairs}", "--against", "missing"], r"missing: there is no such folder"),
        (["train", "{pairs}", "--arch", "lstm", "-o", "{here}/run"], r"unknown architecture 'lstm'\. Known are rnn, "),
        (["train", "{pairs}", "--set", "seed=1", "-o", "{here}/run"], r"expected section\.key=value"),
        (["train", "{pairs}", "--set", "training.sede=1", "-o", "{here}/run"], r"unknown setting sede\. Known"),
        (["train", "{pairs}", "--set", "trainin.seed=1", "-o", "{here}/run"], r"unknown table \[trainin\]"),
        (["train", "{pairs}", "--set", "training.seed=one", "-o", "{here}/run"], r"expected a whole number"),
        (["train", "{pairs}", "--set", "data.dev=a.tsv", "-o", "{here}/run"], r"\[data\], dev: expected a list"),
        (["train", "{pairs}", "-c", "missing.toml", "-o", "{here}/run"], r"missing\.toml: cannot be read"),
        (["train", "missing.tsv", "-o", "{here}/run"], r"missing\.tsv: there is no such file"),
        (["train", "world:0", "-o", "{here}/run"], r"'0' is not a number of pairs"),
        (["compare", "{pairs}", "--arch", "rnn", "--arch", "rnn", "-o", "{here}/c"], r"names one architecture twice"),
        (["compare", "{pairs}", "--arch", "lstm", "-o", "{here}/c"], r"unknown architecture 'lstm'"),
        (["compare", "{pairs}", "--arch", "rnn", "-o", "{here}/c", "--lengths", "5,5"], r"must ascend"),
        (["compare", "{pairs}", "--arch", "rnn", "-o", "{here}/c", "--set", "training.seed=x"], r"whole number"),
        (["audit", "missing.tsv"], r"missing\.tsv: there is no such file"),
        (["average", "{model}", "missing", "-o", "{here}/new"], r"missing: there is no such folder"),
        (["average", "{model}", "{model}:0", "-o", "{here}/new"], r"the weight is 0\. It must be a positive number"),
        (["import", "missing", "-o", "{here}/new"], r"missing"),
        (["export", "missing", "--to", "hf", "-o", "{here}/new"], r"missing: there is no such folder"),
        (["export", "{model}", "--to", "onnx", "-o", "{here}/new"], r"--to onnx: expected hf"),
        (["export", "{model}", "--to", "hf", "-o", "{here}/new"], r"norm_place is pre, expected post"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence_and_status_2(
    run: Command, tmp_path: Path, model: Path, pairs: list[str], arguments: list[str], message: str
) -> None:
    filled: list[str] = []
    for argument in arguments:
        filled += pairs if argument == "{pairs}" else [argument.format(model=model, here=tmp_path)]
    mistake(run(*filled), 2, message)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my.en", "my.pt"], "nothing is left behind"


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run: Command) -> None:
    mistake(run("translate", tmp_path), 2, "no config")
    monkeypatch.setattr(sys, "argv", ["regard", "translate", "--debug", str(tmp_path)])
    with pytest.raises(regard.RegardError, match=r"no config\.json here"):
        cli.main()


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("regard.api.load", broken)
    monkeypatch.setattr(sys, "argv", ["regard", "translate", str(model)])
    with pytest.raises(ZeroDivisionError, match="ours"):
        cli.main()


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (MemoryError(), 1, r"out of memory\. Use smaller batches, for example --set training\.batch_tokens=1000"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried"), 1, "out of memory"),
        (PermissionError(13, "Permission denied", "/folder/x"), 1, r"/folder/x: Permission denied\."),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 3, r"pip install 'regard\[train\]'"),
    ],
)
def test_what_the_machine_lacks(
    run: Command, monkeypatch: pytest.MonkeyPatch, model: Path, error: Exception, status: int, message: str
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("regard.api.load", failing)
    mistake(run("translate", model), status, message)


def test_ctrl_c_ends_quietly_with_130(run: Command, monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("regard.api.load", interrupted)
    assert run("translate", model) == Outcome(130, "", "")


@pytest.mark.parametrize(
    ("library", "arguments", "extra"),
    [
        ("sacrebleu", ["evaluate", "{model}", "{pairs}"], "eval"),
        ("sacremoses", ["evaluate", "{model}", "{pairs}", "--paper", "de"], "eval"),
        ("sacrebleu", ["train", "{pairs}", "-o", "{here}/run"], "eval"),
        ("matplotlib", ["compare", "{pairs}", "--arch", "rnn", "-o", "{here}/c"], "plot"),
    ],
)
def test_a_missing_library_shows_before_the_work(
    run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: Path, pairs: list[str],
    library: str, arguments: list[str], extra: str,
) -> None:  # fmt: skip
    from regard.evaluation import paper

    paper._moses.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == library] or [library]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("sacrebleu.metrics", "matplotlib.figure"):
        if name.startswith(library):
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("regard.api.Model.translate", lambda *_: pytest.fail("worked before it looked"))
    filled: list[str] = []
    for argument in arguments:
        filled += pairs if argument == "{pairs}" else [argument.format(model=model, here=tmp_path)]
    mistake(run(*filled), 3, rf"needs {library}\. Install it with: pip install 'regard\[{extra}\]'")
    assert not (tmp_path / "run").exists()


def test_an_unfinished_run_says_so(run: Command, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    mistake(run("translate", tmp_path), 2, r"this run has not finished, so it has no model/ yet\. Give the command")


def test_a_damaged_model_says_so(run: Command, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-40])
    mistake(run("translate", folder, stdin="a\n"), 2, r"model\.safetensors: cannot be read as safetensors")
    (folder / "config.json").write_text("{")
    mistake(run("translate", folder, stdin="a\n"), 2, r"config\.json: cannot be read as JSON")


def test_an_output_that_cannot_be_written(run: Command, tmp_path: Path, model: Path, pairs: list[str]) -> None:
    (tmp_path / "file").write_text("")
    message = r"file/out\.txt: cannot be written \(.+\)"
    mistake(run("translate", model, "-o", tmp_path / "file" / "out.txt", stdin="a\n"), 1, message)
    mistake(run("evaluate", model, *pairs, "-o", tmp_path / "file" / "out.txt"), 1, message)
    mistake(run("train", *pairs, "--dev", pairs[0], "--dev", pairs[1], "-o", tmp_path / "file" / "run"), 1, "file")


def test_a_full_disk_behind_stdout_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        found = subprocess.run(
            [sys.executable, "-m", "regard", "audit", "world:5"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert found.returncode == 1
    assert found.stderr.decode() == "regard: error: standard output: No space left on device.\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("audit world:5 >&-", "regard: error: standard output: is closed. Results have nowhere to go.\n"),
        ("translate {model} <&-", "regard: error: standard input: is closed. Give text, or name a file.\n"),
    ],
)
def test_closed_standard_streams_are_told(model: Path, line: str, message: str) -> None:
    command = f"{sys.executable} -m regard {line.format(model=model)}"
    found = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, check=False)
    assert found.returncode in (1, 2)
    assert found.stderr == message


def test_a_file_name_that_is_no_text_is_printed(run: Command, tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path / "bad") + b"\xff.tsv")
    Path(odd).write_text("a cat\tum gato\n")
    assert json.loads(run("audit", odd, "--json").out)["sets"]["train"]["files"][0]["name"] == odd


# Audit and import


def test_audit_for_people_and_machines(run: Command, pairs: list[str]) -> None:
    found = run("audit", *pairs, "--test", pairs[0], "--test", pairs[1])
    assert found.status == 0
    assert "read 4 · used 4" in found.out
    assert json.loads(run("audit", *pairs, "--json").out)


def test_an_encoder_is_no_translator(run: Command, tmp_path: Path) -> None:
    encoder = make_encoder_folder(tmp_path / "bert")
    (tmp_path / "pairs.tsv").write_text("the cat\to gato\n")
    for arguments in (
        ["translate", encoder],
        ["evaluate", encoder, tmp_path / "pairs.tsv"],
        ["align", encoder, tmp_path / "pairs.tsv"],
    ):
        found = run(*arguments, stdin="the cat\n")
        assert (found.status, found.out) == (2, ""), found
        assert "encoder" in found.err
        assert len(found.err.splitlines()) == 1


def test_import_says_what_it_wrote(run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("regard.interop.import_folder", lambda source, out: ["its licence is not known"])
    found = run("import", tmp_path / "theirs", "-o", tmp_path / "ours")
    assert found.err == f"regard: warning: its licence is not known\nmodel: {tmp_path / 'ours'}\n"
    assert found.out == ""


@pytest.mark.parametrize(("given", "kept"), [(None, "64"), ("7", "7")])
def test_kernels_of_few_shapes_are_kept(
    monkeypatch: pytest.MonkeyPatch, run: Command, given: str | None, kept: str
) -> None:
    """The bound is there before torch is, and a person's own stays."""
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    monkeypatch.setattr(os, "environ", {key: value for key, value in os.environ.items() if key != name})
    if given:
        os.environ[name] = given
    run("--version")
    assert os.environ[name] == kept
