"""What the README and the help say can be typed."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from regard import cli

REPOSITORY = Path(__file__).parent.parent
README = REPOSITORY / "README.md"
DOCUMENTS = [README, *sorted((REPOSITORY / "recipes").rglob("*.md")), *sorted((REPOSITORY / "docs").rglob("*.md"))]


def command_lines(text: str) -> Iterator[str]:
    """Every `regard ...` of indented lines, shell blocks and inline code; continued lines are one."""
    joined = text.replace("\\\n", " ")
    for block in re.findall(r"^```(?:sh|bash|console)?\n(.*?)^```", joined, re.MULTILINE | re.DOTALL):
        yield from re.findall(r"^ *(?:\$ +)?(regard .*)$", block, re.MULTILINE)
    outside = re.sub(r"^```.*?^```", "", joined, flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"^ {4}(regard .*)$", outside, re.MULTILINE)
    yield from re.findall(r"`(regard [^`]*)`", outside)


def help_examples() -> Iterator[str]:
    for command in cli.app.registered_commands:
        assert command.callback is not None
        yield from re.findall(r"Example: (regard .*)", command.callback.__doc__ or "")


def parse(line: str) -> None:
    """Parse a command line as the program would, but run nothing."""
    words = shlex.split(line, comments=True)
    for number, word in enumerate(words):
        if word.startswith(("<", ">", "|", "&", ";", "2>")):
            words = words[:number]
            break
    words = [word.strip(";") for word in words[1:] if word != "..."]
    group = typer.main.get_command(cli.app)
    with group.make_context("regard", words, resilient_parsing=True) as context:
        name, command, rest = group.resolve_command(context, words)
        assert command is not None, f"No such command: {name}"
        with command.make_context(name, rest, parent=context, resilient_parsing="..." in line):
            pass


def all_lines() -> list[tuple[str, str]]:
    found = [(path, line) for path in DOCUMENTS for line in command_lines(path.read_text(encoding="utf-8"))]
    lines = [(str(path.relative_to(REPOSITORY)), line) for path, line in found]
    return lines + [("--help", line) for line in help_examples()]


LINES = all_lines()


def test_the_lines_are_found() -> None:
    assert sum(where == "README.md" for where, _ in LINES) >= 5
    assert sum(where == "--help" for where, _ in LINES) == len(cli.app.registered_commands)


@pytest.mark.parametrize(("where", "line"), LINES)
def test_every_command_line_parses(where: str, line: str) -> None:
    if len(line.split()) == 2 and not line.startswith("regard demo"):  # `regard train`: a command's name, no line
        assert line.split()[1] in {command.name or command.callback.__name__ for command in cli.app.registered_commands}
        return
    parse(line)


@pytest.mark.parametrize("line", ["regard trian a b", "regard train a b --out x --no-such-option", "regard train a b"])
def test_the_check_can_fail(line: str) -> None:
    with pytest.raises(Exception, match=r"No such command|No such option|Missing parameter: out"):
        parse(line)


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from tiny_model import make_folder

    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert blocks, "the README has an example"
    make_folder(tmp_path / "runs" / "mine" / "model")
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        names: dict[str, object] = {}
        exec(compile(block, "README.md", "exec"), names)
        assert {"result", "attention"} <= set(names)


def test_links_lead_to_files() -> None:
    for path in DOCUMENTS:
        for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            if "://" not in link and not link.startswith("mailto:"):
                assert (path.parent / link).exists(), f"{path}: {link}"
