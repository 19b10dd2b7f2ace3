"""Running a command line in the tests' own process, and what a mistake must look like there."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper

import pytest

from regard import cli


@dataclass(frozen=True)
class Outcome:
    """What a command left."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.split("\n")[:-1]


Command = Callable[..., Outcome]


def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object, stdin: str | bytes = b""
) -> Outcome:
    """`regard ARGUMENTS < stdin`."""
    content = stdin.encode() if isinstance(stdin, str) else stdin
    monkeypatch.setattr(sys, "argv", ["regard", *map(str, arguments)])
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(content), encoding="ascii"))
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    captured = capsys.readouterr()
    return Outcome(int(stopped.value.code or 0), captured.out, captured.err)


def mistake(outcome: Outcome, status: int, message: str) -> None:
    """A user's mistake: its exit status, one sentence or two on one line, no traceback, nothing on stdout."""
    assert outcome.status == status, outcome.err
    assert "Traceback" not in outcome.err, outcome.err
    errors = [line for line in outcome.err.split("\n") if line.startswith("regard: error: ")]
    assert len(errors) == 1, outcome.err
    assert re.search(message, errors[0]), errors[0]
    assert outcome.err.rstrip("\n").endswith(errors[0])
    assert outcome.out == "", outcome.out
