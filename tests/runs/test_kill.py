"""SIGKILL at any moment, SIGTERM and SIGINT: the same command goes on, and ends bit for bit where it would have."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import tiny_run
from tiny_run import Child, lines_until

from regard.config import to_toml
from regard.training import checkpoint


def kill_some_time_later(child: Child, seconds: float) -> int:
    """The timer is another process, so that the moment does not depend on this one."""
    subprocess.run(["sh", "-c", f"sleep {seconds:.4f}; kill -9 {child.pid}"], check=False, stderr=subprocess.DEVNULL)
    return child.wait()


def kills(out: Path, data: Path, wanted: int, inside_saves: int, seed: int) -> list[str]:
    """Kill a run again and again, inside saves first, and let it end; starts a second one if the first ends too early.

    Returns:
        What each killed process left behind.
    """
    moments = random.Random(seed)
    found: list[str] = []
    number = 0
    while len(found) < wanted:
        number += 1
        run = out / str(number)
        while len(found) < wanted:
            inside = len(found) < inside_saves
            child = Child(run, data, *(["--slow-saves"] if inside else []))
            word, count = ("saving", moments.randint(1, 12)) if inside else ("step", moments.randint(1, 15))
            if not lines_until(child.stdout, word, count):
                assert child.wait() == 0
                break
            status = kill_some_time_later(child, moments.uniform(0, 0.02 if inside else 0.2))
            if status == 0:  # it was faster
                break
            assert status == -signal.SIGKILL
            partial = list((run / "checkpoints").glob(".*.partial"))
            newest, warnings = checkpoint.newest(run / "checkpoints")
            assert warnings == [], "nothing that is published is ever incomplete"
            found.append(f"{newest.name if newest else 'none'}{' and half of another' if partial else ''}")
        child = Child(run, data)
        lines_until(child.stdout, "never")
        assert child.wait() == 0
    return found


def check_all(out: Path, assert_same_outcome) -> None:
    for run in [path for path in out.iterdir() if path.is_dir()]:
        assert_same_outcome(run)
        assert not list((run / "checkpoints").glob(".*"))


def test_three_kills(tmp_path: Path, data: Path, assert_same_outcome) -> None:
    found = kills(tmp_path, data, 3, inside_saves=1, seed=1)
    assert "half of another" in found[0]
    check_all(tmp_path, assert_same_outcome)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_kills(tmp_path: Path, data: Path, assert_same_outcome) -> None:
    found = kills(tmp_path, data, 20, inside_saves=5, seed=2)
    assert sum("half of another" in what for what in found) >= 5
    assert len(set(found)) > 5, "at many different moments"
    check_all(tmp_path, assert_same_outcome)


def command(out: Path, data: Path, config: Path) -> list[str]:
    train = ["train", str(data / "train.tsv"), "--dev", str(data / "dev.tsv"), "--no-filter"]
    return [sys.executable, "-c", "from regard.cli import main; main()", *train, "-c", str(config), "--out", str(out)]


def interrupt(out: Path, data: Path, config: Path, number: signal.Signals) -> tuple[int, str]:
    """Train through the command line until something new is logged, then send a signal."""
    log = out / "metrics.jsonl"
    before = len(log.read_bytes()) if log.exists() else 0
    process = subprocess.Popen(command(out, data, config), stderr=subprocess.PIPE, text=True)
    gone = threading.Event()
    while not (log.exists() and len(log.read_bytes()) > before) and process.poll() is None:
        gone.wait(0.005)
    process.send_signal(number)
    _, words = process.communicate()
    return process.returncode, words


def test_a_signal_saves_and_the_same_command_goes_on(tmp_path: Path, data: Path, assert_same_outcome) -> None:
    config, out = tmp_path / "config.toml", tmp_path / "run"
    config.write_text(to_toml(tiny_run.TABLES), encoding="utf-8")
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        returned, words = interrupt(out, data, config, number)
        assert returned == status, words
        assert "the same command goes on from there" in " ".join(words.split())
        assert "Traceback" not in words
        newest, warnings = checkpoint.newest(out / "checkpoints")
        assert newest is not None
        assert f"saved at step {checkpoint.read_state(newest)['step']}" in " ".join(words.split())
        assert warnings == []
        assert not (out / "model").exists()
    tiny_run.train(out, data)
    assert_same_outcome(out)


def test_a_second_signal_ends_at_once(tmp_path: Path, data: Path) -> None:
    """Inside a save that takes a minute the first one waits for its end."""
    child = Child(tmp_path / "run", data, "--stuck-save")
    assert lines_until(child.stdout, "stuck")
    while (ended := child.poll()) is None:  # on a busy machine two signals close together may come as one
        os.kill(child.pid, signal.SIGTERM)
        time.sleep(0.2)
    child.stdout.close()
    assert ended == -signal.SIGTERM
    assert checkpoint.newest(tmp_path / "run" / "checkpoints")[1] == []
