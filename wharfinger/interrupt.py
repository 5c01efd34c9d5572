"""Ctrl-C in a command: it cancels what runs, between two steps of its loop."""

import asyncio
import signal
import threading
from collections.abc import Coroutine
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


def interruptible(work: Coroutine[Any, Any, T]) -> T:
    """Runs it in a loop of its own; a first Ctrl-C cancels it, a second ends it where it stands.

    So does `asyncio.run`, but in the middle of whatever runs just then: a callback that has seen
    that its future is not done, and is about to end it (CPython, `_sock_connect_cb`), then fails
    with a traceback.

    Raises:
        KeyboardInterrupt: it was ended so.
    """
    came: list[int] = []

    async def whole() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine that runs has one

        def interrupt(number: int, _frame: FrameType | None) -> None:
            if came:
                raise KeyboardInterrupt
            came.append(number)
            loop.call_soon_threadsafe(task.cancel)

        before = signal.getsignal(signal.SIGINT)
        # Behind a shell's & it is ignored; and only the main thread may choose who hears it.
        heard = threading.current_thread() is threading.main_thread()
        if not heard or before is signal.SIG_IGN:
            return await work
        signal.signal(signal.SIGINT, interrupt)
        try:
            return await work
        finally:
            signal.signal(signal.SIGINT, before)

    try:
        return asyncio.run(whole())
    except asyncio.CancelledError:
        if not came:
            raise
        raise KeyboardInterrupt from None
