"""Work is shared among those who ask at once, and never with who may know more."""

import asyncio

import pytest

from logshipper.store.query import shared
from logshipper.store.query.shared import Shared


class Work:
    """Work that ends when it is told to, and counts how often it was begun and cancelled."""

    def __init__(self) -> None:
        self.begun = self.cancelled = 0
        self.may_end = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return number


async def test_who_asks_at_once_waits_for_the_same() -> None:
    work, held = Work(), Shared[str, int]()
    waiting = [asyncio.create_task(held.get("key", 1, work)) for _ in range(3)]
    other = asyncio.create_task(held.get("other", 1, work))
    await asyncio.sleep(0)
    assert held.keys(1) == ["key", "other"]
    work.may_end.set()
    assert await asyncio.gather(*waiting, other) == [1, 1, 1, 2]
    assert await held.get("key", 1, work) == 1  # still the same lines


async def test_a_later_version_is_not_answered_from_before() -> None:
    work, held = Work(), Shared[str, int]()
    before = asyncio.create_task(held.get("key", 1, work))
    await asyncio.sleep(0)
    after = asyncio.create_task(held.get("key", 2, work))
    await asyncio.sleep(0)
    assert held.keys(2) == ["key"]
    assert held.keys(1) == []
    work.may_end.set()
    assert await asyncio.gather(before, after) == [1, 2]


async def test_work_goes_on_until_the_last_has_gone() -> None:
    work, held = Work(), Shared[str, int]()
    first, second = (asyncio.create_task(held.get("key", 1, work)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert work.cancelled == 0
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    await asyncio.sleep(0)
    assert work.cancelled == 1
    third = asyncio.create_task(held.get("key", 1, work))
    work.may_end.set()
    assert await third == 2


async def test_a_failure_is_told_to_all_and_not_kept() -> None:
    held = Shared[str, int]()
    begun = []

    async def fail() -> int:
        begun.append(1)
        await asyncio.sleep(0)
        raise ValueError("no luck")

    both = await asyncio.gather(
        held.get("key", 1, fail), held.get("key", 1, fail), return_exceptions=True
    )
    assert [type(error) for error in both] == [ValueError, ValueError]
    with pytest.raises(ValueError, match="no luck"):
        await held.get("key", 1, fail)
    assert len(begun) == 2


async def test_results_are_few_and_young(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(shared, "KEPT", 2)
    work, held = Work(), Shared[str, int](lambda: now[0])
    work.may_end.set()
    for key in ("a", "b", "c"):
        await held.get(key, 1, work)
    assert held.keys(1) == ["b", "c"]
    now[0] = shared.KEPT_SECONDS + 1
    assert held.keys(1) == []


async def test_what_is_too_old_to_be_used_is_not_held() -> None:
    now = [0.0]
    work, held = Work(), Shared[str, int](lambda: now[0])
    slow = Work()
    waiting = asyncio.create_task(held.get("slow", 1, slow))
    work.may_end.set()
    await held.get("old", 1, work)
    now[0] = shared.KEPT_SECONDS + 1
    await held.get("new", 1, work)
    assert set(held._flights) == {"slow", "new"}
    slow.may_end.set()
    assert await waiting == 1
