"""The command line: exit statuses, one sentence for a mistake, one line in and one line out."""

import json
import os
import re
import select
import subprocess
import sys
import threading
import tomllib
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")

from command_line import Command, Outcome
from tiny_model import SOURCES, TARGETS, make_encoder_folder, make_folder

import regard
from regard import cli, streams

SIZES = [
    *("--set", "model.hidden_size=16", "--set", "model.num_layers=1", "--set", "model.num_heads=2"),
    *("--set", "model.feed_forward_size=16", "--set", "model.max_length=32", "--set", "tokens.vocab_size=320"),
    *("--set", "training.batch_tokens=200", "--set", "training.threads=1"),
]
COMMANDS = (
    *("audit", "train", "translate", "evaluate", "look", "align", "heads"),
    *("pretrain", "finetune", "distil", "predict", "generate", "compare", "demo"),
    *("import", "export"),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("cli") / "model")


@pytest.fixture
def pairs(tmp_path: Path) -> list[str]:
    """Two aligned files."""
    for name, lines in (("my.en", SOURCES), ("my.pt", TARGETS)):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return [str(tmp_path / "my.en"), str(tmp_path / "my.pt")]


def mistake(outcome: Outcome, status: int, message: str) -> None:
    """A user's mistake: its exit status, one sentence or two on one line, no traceback, nothing on stdout."""
    assert outcome.status == status, outcome.err
    assert "Traceback" not in outcome.err
    errors = [line for line in outcome.err.split("\n") if line.startswith("regard: error: ")]
    assert len(errors) == 1, outcome.err
    assert re.search(message, errors[0]), errors[0]
    assert outcome.err.rstrip("\n").endswith(errors[0])
    assert outcome.out == ""


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
        (["translate", "{model}", "--min-length", "5", "--max-length", "2"], r"min_length \(5\) is above max_length"),
        (["evaluate", "{model}", "my.en"], r"my\.en: a plain text file without a partner"),
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
    mistake(run("translate", tmp_path), 2, r"this run has not finished, so it has no model/ yet\. Run the same")


def test_a_damaged_model_says_so(run: Command, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-40])
    mistake(run("translate", folder, stdin="a\n"), 2, r"model\.safetensors: cannot be read as safetensors")
    (folder / "config.json").write_text("{")
    mistake(run("translate", folder, stdin="a\n"), 2, r"config\.json: cannot be read as JSON")


# Translate


def test_one_line_in_one_line_out(run: Command, model: Path) -> None:
    lines = ["the cat", "", "  ", "a\u2028dog\u0085sees\x0b\x0ca", "a\rcat", "the bird\r", "\ttab ", "sings"]
    found = run("translate", model, "--beam", "2", stdin="\n".join(lines))
    assert found.status == 0
    assert len(found.lines) == len(lines), found.out
    assert found.lines[1:3] == ["", "  "]
    assert found.lines[6].startswith("\t")
    assert found.lines[6].endswith(" ")
    assert found.out.endswith("\n")
    assert not found.lines[5].endswith("\r"), "one CR before LF belongs to the line end"


def test_a_file_a_pipe_and_a_dash_give_the_same(run: Command, tmp_path: Path, model: Path) -> None:
    content = b"\xef\xbb\xbf" + "the cat\r\n\na\u2028dog\rsees\nlast".encode()
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    from_file = run("translate", model, path)
    assert len(from_file.lines) == 4
    assert run("translate", model, stdin=content).out == from_file.out
    assert run("translate", model, "-", stdin=content).out == from_file.out
    assert run("translate", model, "-o", tmp_path / "out.txt", stdin=content).out == ""
    assert (tmp_path / "out.txt").read_bytes().decode() == from_file.out
    assert run("translate", model, path, "-", stdin="the cat").lines == [*from_file.lines, from_file.lines[0]]


def test_no_line_in_no_line_out(run: Command, tmp_path: Path, model: Path) -> None:
    (tmp_path / "empty.txt").write_bytes(b"")
    assert run("translate", model) == Outcome(0, "", "")
    assert run("translate", model, tmp_path / "empty.txt", "-o", tmp_path / "out.txt") == Outcome(0, "", "")
    assert (tmp_path / "out.txt").read_bytes() == b""


def test_several_files_go_into_a_folder(run: Command, tmp_path: Path, model: Path) -> None:
    import gzip

    (tmp_path / "a.txt").write_text("the cat\n")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"a dog\n"))
    found = run(
        "translate", model, tmp_path / "a.txt", tmp_path / "b.txt.gz", "-", "-o", tmp_path / "pt", stdin="sings"
    )
    assert found.status == 0, found.err
    assert sorted(path.name for path in (tmp_path / "pt").iterdir()) == ["a.txt", "b.txt", "stdin.txt"]
    expected = run("translate", model, stdin="the cat\na dog\nsings\n").lines
    assert [(tmp_path / "pt" / name).read_text() for name in ("a.txt", "b.txt", "stdin.txt")] == [
        f"{line}\n" for line in expected
    ]


@pytest.mark.parametrize(
    ("inputs", "out", "message"),
    [
        (["x/a.txt", "y/a.txt"], "pt", r"pt/a\.txt: two inputs would be written here"),
        (["x/a.txt", "x/b.txt"], "x", r"x/a\.txt: is an input and would be overwritten"),
        (["x/a.txt"], "x/a.txt", r"is an input and would be overwritten"),
        (["x/a.txt"], "x", r"x: is a folder"),
        (["x/a.txt", "x/missing.txt"], "pt", r"missing\.txt: there is no such file"),
    ],
)
def test_nothing_is_overwritten(
    run: Command, tmp_path: Path, model: Path, inputs: list[str], out: str, message: str
) -> None:
    for name in ("x/a.txt", "y/a.txt", "x/b.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("the cat\n")
    mistake(run("translate", model, *(tmp_path / name for name in inputs), "-o", tmp_path / out), 2, message)
    assert not (tmp_path / "pt").exists()
    assert {path.read_text() for path in tmp_path.rglob("*.txt")} == {"the cat\n"}


def test_an_output_appears_complete_or_not_at_all(run: Command, tmp_path: Path, model: Path) -> None:
    out = tmp_path / "out.txt"
    out.write_text("old\n")
    bad = b"the cat\n" * 3 + b"caf\xe9\n"
    mistake(
        run("translate", model, "-o", out, stdin=bad), 2, r"standard input, line 4: byte 4 of the line is not UTF-8"
    )
    assert out.read_text() == "old\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out.txt"]
    (tmp_path / "bad.txt").write_bytes(bad)
    mistake(run("translate", model, tmp_path / "bad.txt", "-o", out), 2, r"bad\.txt, line 4: byte 0xe9 at offset 27")
    assert out.read_text() == "old\n"


def test_an_output_that_cannot_be_written(run: Command, tmp_path: Path, model: Path, pairs: list[str]) -> None:
    (tmp_path / "file").write_text("")
    message = r"file/out\.txt: cannot be written \(.+\)"
    mistake(run("translate", model, "-o", tmp_path / "file" / "out.txt", stdin="a\n"), 1, message)
    mistake(run("evaluate", model, *pairs, "-o", tmp_path / "file" / "out.txt"), 1, message)
    mistake(
        run("train", *pairs, "--dev", pairs[0], "--dev", pairs[1], "-o", tmp_path / "file" / "run", *SIZES), 1, "file"
    )


def test_a_device_is_written_to_and_stays(run: Command, model: Path) -> None:
    assert run("translate", model, "-o", "/dev/null", stdin="the cat\n").status == 0
    assert not Path("/dev/null").is_file()


def test_a_full_disk_behind_stdout_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        found = subprocess.run(
            [sys.executable, "-m", "regard", "audit", "world:5"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert found.returncode == 1
    assert found.stderr.decode() == "regard: error: standard output: No space left on device.\n"


def test_json_has_everything(run: Command, model: Path) -> None:
    found = run("translate", model, "--json", "--n-best", "3", "--beam", "2", stdin="the cat\n\nthe bird\u2028sings\n")
    rows = [json.loads(line) for line in found.lines]
    assert [row["source"] for row in rows] == ["the cat", "", "the bird\u2028sings"]
    assert all(set(row) == {"source", "text", "score", "flags", "alternatives"} for row in rows)
    assert [len(row["alternatives"]) for row in rows] == [3, 0, 3]
    assert rows[0]["alternatives"][0] == {"text": rows[0]["text"], "score": rows[0]["score"]}
    assert rows[1] == {"source": "", "text": "", "score": 0.0, "flags": [], "alternatives": []}


def test_samples_are_seeded(run: Command, model: Path) -> None:
    def draw(*options: object) -> str:
        return run("translate", model, "--sample", "--max-length", "8", *options, stdin="the cat\n").out

    assert draw("--seed", "1") == draw("--seed", "1") != draw("--seed", "2")
    greedy = run("translate", model, "--beam", "1", "--max-length", "8", stdin="the cat\n").out
    assert draw("--top-k", "1") == greedy
    assert draw("--temperature", "0.0001") == greedy


def test_lengths_are_kept(run: Command, model: Path) -> None:
    tokens = regard.load(model).engine.tokens
    for minimum, maximum in ((0, 3), (9, 9), (20, 0)):
        found = run("translate", model, "--min-length", minimum, "--max-length", maximum, "--json", stdin="the cat\n")
        result = regard.load(model).translate("the cat", regard.SearchOptions(min_length=minimum, max_length=maximum))
        assert json.loads(found.out)["text"] == result.text
        assert minimum <= len(result.pieces[0]) <= (maximum or tokens.vocab_size)


def test_doubts_are_counted_for_people(run: Command, model: Path) -> None:
    found = run("translate", model, "--max-length", "2", stdin="the cat\na dog\n")
    assert found.err.startswith("2 lines · flagged: ")
    assert "truncated 2" in found.err
    one = run("translate", model, "--max-length", "2", "--json", stdin="the cat\n")
    assert one.err.startswith("1 line · flagged: ")
    assert "truncated" in json.loads(one.out)["flags"]


def test_a_typed_line_is_answered_before_the_next(monkeypatch: pytest.MonkeyPatch, run: Command, model: Path) -> None:
    (source, typing), (screen, output) = os.pipe(), os.pipe()
    answers: list[bool] = []

    def person() -> None:
        for line in (b"the cat\n", b"a dog\n"):
            os.write(typing, line)
            answers.append(bool(select.select([screen], [], [], 20)[0]) and os.read(screen, 1000).endswith(b"\n"))
        os.close(typing)

    monkeypatch.setattr(sys, "argv", ["regard", "translate", str(model), "--max-length", "5"])
    thread = threading.Thread(target=person)
    thread.start()
    with os.fdopen(source, "rb") as stdin, os.fdopen(output, "w") as stdout:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stdin))
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(SystemExit):
            cli.main()
        monkeypatch.undo()
    thread.join()
    os.close(screen)
    assert answers == [True, True]


@pytest.mark.parametrize("portion", [1, 2, 3, 7, 100])
def test_stdin_is_read_alike_in_portions_of_any_size(monkeypatch: pytest.MonkeyPatch, portion: int) -> None:
    content = b"\xef\xbb\xbfa\r\n\n\xc3\xa9\xe2\x80\xa8b\r\r\nlast\r"

    stream = BytesIO(content)
    pipe = SimpleNamespace(buffer=SimpleNamespace(read1=lambda size: stream.read(min(size, portion))))
    monkeypatch.setattr(sys, "stdin", pipe)
    chunks = list(streams.stdin_chunks())
    assert [line for chunk in chunks for line in chunk] == ["a", "", "é\u2028b\r", "last\r"]
    assert all(chunks)


def test_an_endless_line_on_stdin_is_refused(run: Command, model: Path) -> None:
    mistake(run("translate", model, stdin=b"x" * 1_300_000), 2, "line 1: longer than 1,000,000 bytes")


# Train


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
    expected |= {"source_language": "fr", "target_language": "de", "old_dev": None}
    assert data_of(run, tmp_path, "a.tsv", *config) == expected
    changed = data_of(run, tmp_path, "a.tsv", *config, "--dev", "x", "--dev", "y", "--no-filter", "--from", "en")
    assert changed == expected | {"dev": ("x", "y"), "filter": False, "source_language": "en"}
    bare = data_of(run, tmp_path, "a.tsv", "--reverse", "--set", "data.dev_pairs=3")
    assert (bare["reverse"], bare["dev_pairs"], bare["dev"], bare["filter"]) == (True, 3, (), True)


def test_a_value_outside_any_table_is_refused(run: Command, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("model = 3\n")
    for more in ([], ["--set", "model.arch=rnn"]):
        found = run("train", "world:30", "-c", tmp_path / "c.toml", *more, "-o", tmp_path / "run")
        mistake(found, 2, r"c\.toml: model stands outside any table")


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
