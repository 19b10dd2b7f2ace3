"""`regard translate` from a shell: one line in and one line out, from files, pipes and fingers."""

import json
import os
import select
import subprocess
import sys
import threading
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")

from command_line import Command, Outcome, mistake

import regard
from regard import cli, streams


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


def test_one_input_goes_into_a_folder_that_is_meant(run: Command, tmp_path: Path, model: Path) -> None:
    (tmp_path / "a.txt").write_text("the cat\n")
    (tmp_path / "there").mkdir()
    for out in (f"{tmp_path}/new/", tmp_path / "there"):
        assert run("translate", model, tmp_path / "a.txt", "-o", out).status == 0
        assert len((Path(out) / "a.txt").read_text().split("\n")) == 2


@pytest.mark.parametrize(
    ("inputs", "out", "message"),
    [
        (["x/a.txt", "y/a.txt"], "pt", r"pt/a\.txt: two inputs would be written here"),
        (["x/a.txt", "x/b.txt"], "x", r"x/a\.txt: is an input and would be overwritten"),
        (["x/a.txt"], "x/a.txt", r"is an input and would be overwritten"),
        (["x/a.txt"], "x", r"x/a\.txt: is an input and would be overwritten"),
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


def test_a_device_is_written_to_and_stays(run: Command, model: Path) -> None:
    assert run("translate", model, "-o", "/dev/null", stdin="the cat\n").status == 0
    assert not Path("/dev/null").is_file()


def test_a_link_stays_and_what_it_means_is_written(run: Command, tmp_path: Path, model: Path) -> None:
    (tmp_path / "target.txt").write_text("old\n")
    (tmp_path / "link.txt").symlink_to("target.txt")
    assert run("translate", model, "-o", tmp_path / "link.txt", stdin="the cat\n").status == 0
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "target.txt").read_text() == run("translate", model, stdin="the cat\n").out
    (tmp_path / "loop").symlink_to("loop")  # that leads nowhere
    assert run("translate", model, "-o", tmp_path / "loop", stdin="the cat\n").status == 0
    assert (tmp_path / "loop").read_text() == (tmp_path / "target.txt").read_text()


def test_standard_output_by_its_name_is_standard_output(tmp_path: Path) -> None:
    """Where it goes to a file, that file is neither replaced nor begun anew, and the name stays a link."""
    (tmp_path / "stdout").symlink_to("/proc/self/fd/1")
    code = "from regard.streams import writer; import pathlib\nwith writer(pathlib.Path('stdout')) as write: write('b')"
    with (tmp_path / "log").open("w") as log:
        log.write("a\n")
        log.flush()
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, stdout=log, check=True)
    assert (tmp_path / "log").read_text() == "a\nb\n"
    assert (tmp_path / "stdout").is_symlink()


@pytest.mark.parametrize("command", ["evaluate", "align"])
def test_what_is_scored_or_aligned_is_not_overwritten(run: Command, tmp_path: Path, model: Path, command: str) -> None:
    for side in ("en", "pt"):
        (tmp_path / f"a.{side}").write_text("the cat\n")
    (tmp_path / "other.pt").symlink_to("a.pt")
    for out in ("a.pt", "other.pt"):
        found = run(command, model, tmp_path / "a.en", f"{tmp_path / 'a.pt'}", "--out", tmp_path / out)
        mistake(found, 2, rf"{out}: is an input and would be overwritten")
    assert (tmp_path / "a.pt").read_text() == "the cat\n"


def test_a_name_too_long_for_a_file_is_bad_input(run: Command, model: Path) -> None:
    mistake(run("translate", model, "x" * 300), 2, r"x\.\.\.: too long for the name of a file")


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


def test_pairs_that_have_no_line_in_the_output_are_counted(run: Command, tmp_path: Path, model: Path) -> None:
    data, out = tmp_path / "a.tsv", tmp_path / "out.txt"
    data.write_text("the cat\to gato\n\tvazio\na dog\t\na dog\tum cão\n")
    found = run("evaluate", model, data, "--out", out)
    assert found.status == 0, found.err
    assert len(out.read_text().splitlines()) == 2
    assert f"{out}: 2 lines; 2 of the data that cannot be used were left out (empty 2)." in found.err
    whole = tmp_path / "b.tsv"
    whole.write_text("the cat\to gato\na dog\tum cão\n")
    assert "left out" not in run("evaluate", model, whole, "--out", out).err
