"""Renders in threads: those that take long keep from nobody else what they need."""

import asyncio
import threading

import pytest

from discovery.lanes import threads
from discovery.lanes.threads import THREADS, Pace, Threads


async def test_those_that_are_slow_wait_for_each_other_alone() -> None:
    pool, go = Threads(), threading.Event()
    slow = [asyncio.create_task(pool.render(Pace(slow=True), go.wait)) for _ in range(THREADS + 1)]
    done: list[str] = []
    async with asyncio.timeout(20):
        await pool.render(Pace(), lambda: done.append("quick"))
        # Whoever writes files is in no queue with them.
        await asyncio.to_thread(done.append, "file")
    assert done == ["quick", "file"]
    assert not any(task.done() for task in slow)
    go.set()
    await asyncio.gather(*slow)


async def test_who_has_computed_for_long_is_slow_the_next_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool, pace = Threads(), Pace()
    for limit, slow in ((-1.0, True), (1000.0, False)):
        monkeypatch.setattr(threads, "SLOW_SECONDS", limit)
        await pool.render(pace, lambda: None)
        assert pace.slow is slow


async def test_what_fails_is_told_and_frees_its_place() -> None:
    def fails() -> None:
        raise ZeroDivisionError

    pool = Threads()
    for _ in range(THREADS + 1):
        with pytest.raises(ZeroDivisionError):
            await pool.render(Pace(slow=True), fails)
