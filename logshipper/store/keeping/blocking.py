"""Runs work that blocks as the whole of a command, and ends it at the first Ctrl-C."""

import signal
from collections.abc import Callable
from typing import TypeVar

from wharfinger.errors import Conflict

T = TypeVar("T")


async def run(work: Callable[[], T], interrupted: str) -> T:
    """Does the work in this thread; nothing else runs meanwhile.

    Args:
        work: what to do.
        interrupted: what to say when Ctrl-C ends it; what follows it in a shell must not be done.

    Raises:
        Conflict: it was ended so.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        # That of `interruptible` would only end what waits, and this does not.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return work()
    except KeyboardInterrupt:
        raise Conflict(interrupted) from None
