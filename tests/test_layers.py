"""Who may import whom, and what works without torch."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "regard"
LAYERS = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0][
    "layers"
]
# A folder or module, and how far below the first it stands: it imports only from those above it or beside it.
RANKS = {
    name.removeprefix("regard."): rank for rank, names in enumerate(reversed(LAYERS)) for name in names.split(" : ")
} | {"__main__": len(LAYERS)}


def imported(tree: ast.AST) -> set[str]:
    """The modules of regard that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            module = node.module or ""
            names |= {f"{module}.{alias.name}" if module == "regard" else module for alias in node.names}
    return {name for name in names if name.startswith("regard.")}


def broken(layer: str, tree: ast.AST) -> list[str]:
    """What a file of this layer imports from below it."""
    found = []
    for name in sorted(imported(tree)):
        other = name.split(".")[1]
        if RANKS.get(other, -1) > RANKS[layer]:
            found.append(name)
    return found


def test_every_folder_has_its_place() -> None:
    present = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert present - set(RANKS) == {"__init__"}, "name the new one in pyproject.toml, [tool.importlinter]"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_folder_imports_only_from_above(path: Path) -> None:
    layer = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if layer == "__init__":
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert broken(layer, tree) == []
    relative = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
    assert not relative, "imports are written out"


def test_the_check_can_fail() -> None:
    tree = ast.parse(
        "def f():\n    from regard.runs.run import Run\nimport regard.nn.padded\nfrom regard import api, errors"
    )
    assert broken("training", tree) == ["regard.api", "regard.runs.run"]
    assert broken("data", tree) == ["regard.api", "regard.nn.padded", "regard.runs.run"]
    assert broken("cli", tree) == []


def without_torch(code: str) -> subprocess.CompletedProcess[str]:
    blocked = "import sys; sys.modules['torch'] = None; sys.modules['transformers'] = None\n"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", blocked + code], capture_output=True, text=True, check=False
    )


def test_what_needs_no_torch_imports_without_it() -> None:
    free = ["errors", "config", "storage", "flags", "translation", "api", "cli", "scoring", "aligning", "counted_pairs"]
    modules = [
        "regard",
        "regard.decoding.options",
        *(f"regard.{name}" for name in free if (PACKAGE / f"{name}.py").exists()),
    ]
    for folder in ("formats", "data", "evaluation", "look"):
        paths = (PACKAGE / folder).rglob("*.py")
        modules += [".".join(("regard", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in paths]
    modules = sorted({name.removesuffix(".__init__") for name in modules})
    code = f"""
import importlib, traceback
for name in {modules!r}:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith('torch'):
            traceback.print_exc()
            print('NEEDS TORCH', name)
"""
    found = without_torch(code)
    assert found.stdout == "", found.stderr
    assert found.returncode == 0, found.stderr


def test_help_prints_without_torch() -> None:
    found = without_torch("sys.argv = ['regard', '--help']\nfrom regard.cli import main; main()")
    assert found.returncode == 0, found.stderr
    for command in ("train", "translate", "evaluate", "audit"):
        assert command in found.stdout


def test_a_model_without_torch_says_what_to_install() -> None:
    found = without_torch("sys.argv = ['regard', 'translate', '/nowhere']\nfrom regard.cli import main; main()")
    assert found.returncode == 3
    assert "needs torch. Install it with: pip install 'regard[train]'" in found.stderr
    assert "Traceback" not in found.stderr
