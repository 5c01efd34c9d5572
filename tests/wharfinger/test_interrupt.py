"""Ctrl-C in a command."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from wharfinger.interrupt import interruptible


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


async def test_work_that_is_not_interrupted_gives_what_it_gives() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert await asyncio.to_thread(interruptible, work()) == 7


def test_it_is_cancelled_and_may_put_things_in_order() -> None:
    done: list[str] = []

    async def work() -> None:
        asyncio.get_running_loop().call_soon(press)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            done.append("in order")

    with pytest.raises(KeyboardInterrupt):
        interruptible(work())
    assert done == ["in order"]


def test_in_the_middle_of_a_callback_it_breaks_nothing() -> None:
    broken: list[dict[str, Any]] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: broken.append(context))
        connected = loop.create_future()

        def connect() -> None:
            if not connected.done():
                press()
                connected.set_result(None)

        loop.call_soon(connect)
        await connected
        await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        interruptible(work())
    assert broken == []


def test_who_ends_in_its_own_way_has_that() -> None:
    async def work() -> int:
        asyncio.get_running_loop().call_soon(press)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return 75
        return 0

    assert interruptible(work()) == 75


def test_a_second_one_ends_what_does_not_wait() -> None:
    async def work() -> None:
        press()
        press()
        time.sleep(60)  # noqa: ASYNC251 - it blocks the loop

    with pytest.raises(KeyboardInterrupt):
        interruptible(work())


def test_what_cancels_itself_was_not_interrupted() -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        interruptible(work())


def test_behind_a_shells_ampersand_it_is_ignored() -> None:
    async def work() -> int:
        press()
        await asyncio.sleep(0)
        return 7

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert interruptible(work()) == 7
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_it_runs_all_the_same() -> None:
    found: list[int] = []

    async def work() -> None:
        found.append(threading.get_ident())

    thread = threading.Thread(target=lambda: interruptible(work()))
    thread.start()
    thread.join()
    assert found == [thread.ident]
