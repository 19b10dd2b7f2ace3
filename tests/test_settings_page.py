"""docs/settings.md lists the settings as the code has them."""

import dataclasses
import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("torch")

from regard.training.plan import TrainingPlan

DOCS = Path(__file__).parent.parent / "docs"


def test_the_page_of_settings_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("settings_page", DOCS / "settings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = module.page()
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == page, "run `make docs`"
    assert all(f"| `{field.name}` |" in page for field in dataclasses.fields(TrainingPlan))
    assert "| `patience` | whole number | 0 | validations without a better dev score" in page
    assert "What a base could translate before; dev_pairs at most are used. Left out" in page  # comments of two lines
