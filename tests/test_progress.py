"""What training prints for people."""

import pytest

pytest.importorskip("torch")

from regard.progress import ConsoleReporter


def test_a_young_models_control_characters_do_not_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with ConsoleReporter() as reporter:
        reporter.validation({"step": 5, "dev_chrf": 1.0}, [("a\x07", "", "\x1b[31mred")], is_best=True)
    shown = capsys.readouterr().err
    assert not set(shown) & set("\x07\x1b")
    assert r"a\x07  →  \x1b[31mred" in shown
