"""One uninterrupted run for all tests of interrupted ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny_run import write_data

    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, data: Path) -> dict[str, Any]:
    """The outcome of the tiny run, trained in one go."""
    from tiny_run import outcome, train

    out = tmp_path_factory.mktemp("uninterrupted") / "run"
    train(out, data)
    found = outcome(out)
    assert found["state"]["position"][0] > 2, "the run shuffles several epochs"
    return found


@pytest.fixture
def assert_same_outcome(uninterrupted: dict[str, Any]) -> Callable[[Path], None]:
    from tiny_run import outcome

    def check(run: Path) -> None:
        found = outcome(run)
        differing = [name for name, expected in uninterrupted.items() if found[name] != expected]
        assert not differing

    return check
