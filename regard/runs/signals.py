"""SIGINT and SIGTERM as a wish to stop after the step, so that a checkpoint can be written first."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether a signal came."""

    number = 0  # of the signal that came; 0: none


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Within, SIGINT and SIGTERM ask to stop after the step; a second one stops at once."""
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():  # only there may handlers be set
        yield stop
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.number:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        stop.number = number

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
