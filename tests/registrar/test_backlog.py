"""Changes of the table of ports that nobody waits for."""

import asyncio
from collections.abc import Sequence

import pytest

from registrar.model import Assign, Reassign, Release
from registrar.ports.backlog import Backlog, Change, Planned
from tests.stack.etcd import eventually
from wharfinger.errors import Unavailable

A, B, C = "a" * 64, "b" * 64, "c" * 64


class Disk:
    """Takes its time, or is full."""

    def __init__(self) -> None:
        self.lots: list[tuple[list[Change], Planned]] = []
        self.full = False
        self.wrong: Exception | None = None
        self.free = asyncio.Event()
        self.free.set()
        self.settled = 0
        self.backlog = Backlog(self.carry_out, self.settle)

    def settle(self) -> None:
        self.settled += 1

    async def carry_out(self, changes: Sequence[Change], planned: Planned) -> None:
        self.lots.append((list(changes), planned))
        await self.free.wait()
        if self.wrong is not None:
            raise self.wrong
        if self.full:
            raise Unavailable("ports cannot be written: No space left on device")


@pytest.fixture
async def disk() -> Disk:
    return Disk()


async def test_what_is_asked_meanwhile_goes_in_at_once_and_nothing_twice(disk: Disk) -> None:
    disk.free.clear()
    disk.backlog.ask([Assign(A)], {})
    await eventually(lambda: disk.lots)
    # Each plan asks for all that is not there yet.
    disk.backlog.ask([Assign(A), Assign(B)], {})
    disk.backlog.ask([Assign(A), Assign(B), Release(C)], {C: 20_000})
    disk.free.set()
    await eventually(lambda: disk.settled == 2)
    assert disk.lots == [
        ([Assign(A)], {A: None}),
        ([Assign(B), Release(C)], {B: None, C: 20_000}),
    ]


async def test_what_is_asked_no_more_is_not_begun(disk: Disk) -> None:
    disk.free.clear()
    disk.backlog.ask([Assign(A)], {})
    await eventually(lambda: disk.lots)
    disk.backlog.ask([Release(B)], {B: 20_000})
    disk.backlog.ask([Reassign(B)], {B: 20_001})
    disk.free.set()
    await eventually(lambda: disk.settled == 2)
    assert disk.lots[1:] == [([Reassign(B)], {B: 20_001})]


async def test_a_full_disk_is_trouble_until_it_takes_something_or_nothing_is_asked(
    disk: Disk,
) -> None:
    disk.full = True
    disk.backlog.ask([Assign(A)], {})
    await eventually(lambda: "No space" in disk.backlog.trouble)
    disk.backlog.ask([Assign(A)], {})
    assert "No space" in disk.backlog.trouble  # while it is being tried again
    await eventually(lambda: len(disk.lots) == 2)
    disk.full = False

    def again() -> int:
        disk.backlog.ask([Assign(A)], {})
        return disk.settled

    await eventually(again)
    assert disk.backlog.trouble == ""
    disk.full = True
    await eventually(lambda: again() and disk.backlog.trouble)

    def nothing_more() -> bool:
        disk.backlog.ask([], {})
        return not disk.backlog.trouble

    await eventually(nothing_more)


async def test_a_bug_is_a_failure_and_no_silence(disk: Disk) -> None:
    disk.wrong = ZeroDivisionError()
    disk.backlog.ask([Assign(A)], {})
    await eventually(lambda: disk.lots)
    with pytest.raises(ZeroDivisionError):
        await eventually(lambda: disk.backlog.ask([], {}))


async def test_it_knows_whom_it_is_about(disk: Disk) -> None:
    disk.free.clear()
    disk.backlog.ask([Assign(A)], {})
    await eventually(lambda: disk.lots)
    disk.backlog.ask([Release(B)], {B: 20_000})
    assert [disk.backlog.is_about(each) for each in (A, B, C)] == [True, True, False]
    disk.free.set()
    await eventually(lambda: disk.settled == 2)
    assert not any(map(disk.backlog.is_about, (A, B, C)))
