"""What training prints for people, on a terminal and elsewhere."""

import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")

from rich.console import Console

from regard import progress as shown
from regard.progress import Bars, ConsoleReporter
from regard.training.batches import Position
from regard.training.loop import Progress
from regard.training.plan import TrainingPlan

PLAN = TrainingPlan(max_steps=100)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(shown, "time", found)
    return found


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """What was printed to stderr since the last call; nothing may go to stdout."""

    def read() -> list[str]:
        found = capsys.readouterr()
        assert found.out == ""
        return found.err.splitlines()

    return read


def on_terminal(reporter: Any) -> io.StringIO:
    """Have a reporter write to a terminal that is 200 characters wide."""
    screen = io.StringIO()
    reporter.console = Console(file=screen, force_terminal=True, width=200, highlight=False, soft_wrap=True)
    return screen


def tell(reporter: ConsoleReporter, step: int, elapsed: float = 1.0, plan: TrainingPlan = PLAN, epoch: int = 0) -> None:
    progress = Progress(step, Position(epoch, 0), 3.2, 2.5, 1.0, 0.1, 500)
    reporter.progress(progress, 1234.5, "target tokens", plan, elapsed)


def test_without_a_terminal_a_line_comes_every_fifteen_seconds(clock: Clock, lines: Callable[[], list[str]]) -> None:
    with ConsoleReporter() as reporter:
        assert reporter.live is None
        tell(reporter, 1)
        assert lines() == ["  step 1  " + "▁".ljust(10, "·") + "  loss 2.500  1,234 target tokens/s"]
        for seconds, step in ((14.9, 2), (0.1, 3), (14.9, 4)):
            clock.now += seconds
            tell(reporter, step)
        assert [line.split()[1] for line in lines()] == ["3"]


def test_on_a_terminal_one_line_lives_until_the_end(lines: Callable[[], list[str]]) -> None:
    reporter = ConsoleReporter()
    screen = on_terminal(reporter)
    with reporter:
        live = reporter.live
        assert live is not None
        for step in (49, 50):  # at once: no interval
            tell(reporter, step)
            assert f"step {step}  " in str(live.get_renderable())
        assert "█████·····" in str(live.get_renderable())
        reporter.note("a sentence")
    assert reporter.live is None
    assert not live.is_started
    assert "  a sentence\n" in screen.getvalue()
    assert screen.getvalue().endswith("\x1b[2K"), "the line is wiped out"
    assert lines() == []


def test_the_terminal_is_given_back_when_a_run_fails() -> None:
    reporter = ConsoleReporter()
    screen = on_terminal(reporter)
    with pytest.raises(KeyboardInterrupt), reporter:
        raise KeyboardInterrupt
    assert reporter.live is None
    hidden, visible = "\x1b[?25l", "\x1b[?25h"
    assert screen.getvalue().rindex(visible) > screen.getvalue().rindex(hidden), "the cursor"


@pytest.mark.parametrize(
    ("plan", "step", "elapsed", "epoch", "share"),
    [
        ({}, 25, 10, 0, 0.25),
        ({"max_minutes": 1}, 25, 30, 0, 0.5),
        ({"max_minutes": 1}, 75, 30, 0, 0.75),
        ({"max_epochs": 4}, 25, 10, 3, 0.75),
        ({"max_epochs": 4}, 25, 10, 1, 0.25),
        ({"max_minutes": 1}, 25, 90, 0, 1.0),
    ],
)
def test_the_bar_shows_the_limit_that_is_nearest(
    lines: Callable[[], list[str]], plan: dict[str, Any], step: int, elapsed: float, epoch: int, share: float
) -> None:
    tell(ConsoleReporter(), step, elapsed, TrainingPlan(max_steps=100, **plan), epoch)
    (line,) = lines()
    full, rest = divmod(round(share * 80), 8)
    assert line.split()[2] == ("█" * full + " ▁▂▃▄▅▆▇"[rest].strip()).ljust(10, "·")


def test_a_bar_is_always_as_wide_and_never_shrinks() -> None:
    bars = [shown._bar(number / 1_000, 24) for number in range(1_001)]
    assert {len(bar) for bar in bars} == {24}
    assert (bars[0], bars[-1]) == ("·" * 24, "█" * 24)
    heights = [sum("·▁▂▃▄▅▆▇█".index(sign) for sign in bar) for bar in bars]
    assert heights == sorted(heights)
    assert len(set(heights)) == 24 * 8 + 1


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ([(1, 0.0), (50, 4.9)], None),  # too early to tell
        ([(1, 0.0), (51, 50.0)], "49 s"),
        ([(1, 0.0), (51, 200.0)], "3 min"),
        ([(40, 5_000.0), (60, 5_010.0)], "20 s"),  # resumed: only this process's pace counts
    ],
)
def test_the_time_left_follows_the_pace_of_this_process(
    clock: Clock, lines: Callable[[], list[str]], told: list[tuple[int, float]], left: str | None
) -> None:
    reporter = ConsoleReporter()
    for step, elapsed in told:
        tell(reporter, step, elapsed)
        clock.now += 20
    last = lines()[-1]
    assert last.endswith("target tokens/s" if left is None else f"  about {left} left")


def test_dev_scores_stay_in_view_until_another_run_begins(clock: Clock, lines: Callable[[], list[str]]) -> None:
    reporter = ConsoleReporter()
    tell(reporter, 10)
    reporter.validation({"step": 10, "dev_chrf": 41.25, "dev_bleu": 20.0, "old_chrf": 39.0}, [], is_best=True)
    reporter.validation({"step": 10, "dev_chrf": 40.0}, [("s" * 201, "", "t" * 200)], is_best=False)
    assert lines()[1:] == [
        "  step 10  dev chrF 41.2  BLEU 20.0  (best)",
        "      old dev chrF 39.0",
        "  step 10  dev chrF 40.0",
        f"      {'s' * 199}…  →  {'t' * 200}",
    ]
    clock.now += 20
    tell(reporter, 11, 100.0)
    assert "  dev chrF 40.0" in lines()[0]
    clock.now += 20
    tell(reporter, 1, 0.5)
    clock.now += 20
    tell(reporter, 2, 20.5)
    first, second = lines()
    assert "dev" not in first + second
    assert second.endswith("about 33 min left"), "at the pace of the new run"


def test_sizes_are_told(lines: Callable[[], list[str]]) -> None:
    model = {"hidden_size": 64, "num_layers": 2, "num_heads": 4, "decoder_num_layers": 0, "dropout": 0.1, "x": 5}
    settings: Any = SimpleNamespace(arch="transformer", model=model, tokens=SimpleNamespace(vocab_size=8_000))
    ConsoleReporter().settings(settings)
    assert lines() == ["  transformer: hidden_size 64, num_layers 2, num_heads 4, dropout 0.1; vocabulary 8,000"]


def test_a_young_models_control_characters_do_not_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with ConsoleReporter() as reporter:
        reporter.validation({"step": 5, "dev_chrf": 1.0}, [("a\x07", "", "\x1b[31mred")], is_best=True)
    shown = capsys.readouterr().err
    assert not set(shown) & set("\x07\x1b")
    assert r"a\x07  →  \x1b[31mred" in shown


def test_several_trainings_without_a_terminal(clock: Clock, lines: Callable[[], list[str]]) -> None:
    with Bars() as bars:
        for seconds, share in ((14.9, 0.1), (0.1, 0.25), (14.9, 0.3), (0.1, 1.0)):
            clock.now += seconds
            bars.show({"rnn": share, "gnmt": 0.5})
    assert lines() == ["  15 s   rnn 25 %   gnmt 50 %", "  30 s   rnn 100 %   gnmt 50 %"]


def test_several_trainings_on_a_terminal_have_a_bar_each(clock: Clock, lines: Callable[[], list[str]]) -> None:
    bars = Bars()
    screen = on_terminal(bars)
    bars.live.console = bars.console
    with bars:
        assert bars.live.is_started
        clock.now += 3
        bars.show({"rnn": 0.25, "transformer": 1.0})
        drawn = str(bars.live.get_renderable()).split("\n")
    assert drawn == [
        "  rnn          " + "█" * 6 + "·" * 18 + "  25 %",
        "  transformer  " + "█" * 24 + " 100 %",
        "  3 s",
    ]
    assert not bars.live.is_started
    assert screen.getvalue()
    assert lines() == []
