"""How long a render takes, by what it computes rather than by the clock on the wall."""

import time
from collections.abc import Callable
from typing import Final

WAITS: Final = 6  # a second of waiting is so much less than one of computing


def stopwatch() -> Callable[[], float]:
    """The seconds of one render, in its thread: those that it computes.

    Of a busy host it is not to blame. But who only waits, for DNS, has an end, too.
    """
    began, computed = time.monotonic(), time.thread_time()
    return lambda: max(time.thread_time() - computed, (time.monotonic() - began) / WAITS)
