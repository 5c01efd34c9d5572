"""When a watch lists again, and which events it keeps."""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wharfinger.container import Container, DockerEvent, Listed
from wharfinger.dockerwatch import Inbox, Lines, Watch, WatchLimits
from wharfinger.errors import Unavailable
from wharfinger.operator.parts.process import until
from wharfinger.roll import Roll

ID = "a" * 64
OTHER = "b" * 64
FAST = WatchLimits(ping_seconds=0.01)
ENTRIES = [{"Id": each, "State": "running", "Status": "Up 3 hours"} for each in (ID, OTHER)]


def event(action: str, time_ns: int = 1, container_id: str = ID) -> DockerEvent:
    return DockerEvent(container_id, action, time_ns)


def line(action: str, time_ns: int | None = None) -> bytes:
    at = time.time_ns() if time_ns is None else time_ns
    told = {"Type": "container", "Action": action, "Actor": {"ID": ID}, "timeNano": at}
    return json.dumps(told).encode() + b"\n"


def test_inbox_keeps_the_order() -> None:
    inbox = Inbox(10)
    inbox.put(event("start"))
    inbox.put(event("die"))
    assert [inbox.take(), inbox.take(), inbox.take()] == [event("start"), event("die"), None]
    assert not inbox.gap


def test_too_many_events_are_replaced_by_a_list() -> None:
    inbox = Inbox(2)
    for _ in range(3):
        inbox.put(event("rename"))
    assert inbox.gap
    assert inbox.overflows == 1
    assert inbox.take() is None


def test_what_the_list_shows_is_not_told_again_but_a_kill_is() -> None:
    inbox = Inbox(10)
    for action in ("start", "kill", "pause"):
        inbox.put(event(action, 5))
    before = inbox.begin_list()
    inbox.put(event("unpause", 6))
    inbox.end_list(Listed((Container(ID, started_at_ns=2),)), before)
    assert [inbox.take(), inbox.take(), inbox.take()] == [
        event("kill", 5),
        event("unpause", 6),
        None,
    ]


def test_events_of_an_earlier_run_are_left_out() -> None:
    inbox = Inbox(10)
    inbox.put(event("kill", 5))
    inbox.put(event("kill", 5, OTHER))
    before = inbox.begin_list()
    for action, time_ns in (("die", 6), ("start", 8), ("kill", 9)):
        inbox.put(event(action, time_ns))
    inbox.end_list(Listed((Container(ID, started_at_ns=7), Container(OTHER))), before)
    kept = [inbox.take() for _ in range(4)]
    assert kept == [event("kill", 5, OTHER), event("start", 8), event("kill", 9), None]


@given(data=st.binary(max_size=60).map(lambda raw: raw.replace(b"\0", b"\n")), cut=st.data())
def test_lines_however_they_are_cut(data: bytes, cut: st.DataObject) -> None:
    lines, position, found = Lines(8), 0, []
    while position < len(data):
        size = cut.draw(st.integers(1, 10))
        found += list(lines.feed(data[position : position + size]))
        position += size
    whole = data.split(b"\n")[:-1]
    assert found == [each if len(each) <= 8 else None for each in whole]


class FakeEngine:
    """An engine that does what a test says; the real one is in tests/integration."""

    def __init__(self) -> None:
        self.streams: deque[list[bytes]] = deque()
        self.lists: deque[Listed | Exception] = deque()
        self.known: list[bool] = []  # whether a list might pass anybody over
        self.subscribed = 0
        self.frozen = False
        self.since_ns = 0
        self.flowing = asyncio.Event()
        self.flowing.set()

    async def ping(self) -> None:
        if self.frozen:
            raise Unavailable("frozen")

    async def list(self, *, all: bool = False, roll: Roll | None = None) -> Listed:  # noqa: A002
        assert roll is not None
        self.known.append(bool(roll.same(ENTRIES, began=1, now=1)))
        for entry in ENTRIES:
            roll.inspected(entry, Container(entry["Id"]), began=1)
        answer = self.lists.popleft() if self.lists else Listed(())
        if isinstance(answer, Exception):
            raise answer
        return answer

    @asynccontextmanager
    async def events(self, since_ns: int) -> AsyncIterator[AsyncIterator[bytes]]:
        if self.frozen:
            raise Unavailable("frozen")
        self.subscribed += 1
        self.since_ns = since_ns
        yield self._chunks()

    async def _chunks(self) -> AsyncIterator[bytes]:
        if not self.streams:
            await asyncio.Event().wait()
        for chunk in self.streams.popleft():
            await asyncio.sleep(0)
            await self.flowing.wait()
            yield chunk


async def take(watch: Watch, enough: Callable[[list[Listed | DockerEvent]], bool]) -> None:
    seen: list[Listed | DockerEvent] = []
    async with asyncio.timeout(20), aclosing(watch.updates()) as updates:
        async for update in updates:
            seen.append(update)
            if enough(seen):
                return


def lists(seen: list[Listed | DockerEvent]) -> int:
    return sum(isinstance(update, Listed) for update in seen)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def watch(engine: FakeEngine, told: list[str]) -> Watch:
    return Watch(engine, FAST, lambda: told.append("alive"), told.append)


async def test_a_list_comes_first_and_after_each_end_of_the_stream(
    engine: FakeEngine, watch: Watch, told: list[str]
) -> None:
    engine.streams.extend([[], []])
    await take(watch, lambda seen: lists(seen) == 3)
    assert watch.reconnects == 2
    assert told.count("Docker closed the event stream") == 2


async def test_a_line_that_cannot_be_read_is_a_doubt(engine: FakeEngine, watch: Watch) -> None:
    engine.streams.append([b"", line("start") + b"{nonsense\n", line("die")[:9]])
    await take(watch, lambda seen: lists(seen) >= 2)
    # Whatever was missed: nobody is taken for the same.
    assert not any(engine.known)


async def test_a_line_that_is_too_long_is_a_doubt(engine: FakeEngine) -> None:
    watch = Watch(engine, WatchLimits(event_bytes=200), lambda: None, lambda _: None)
    engine.streams.append([line("start"), b"x" * 1000, b"\n", line("die")])
    await take(watch, lambda seen: lists(seen) >= 1)


async def test_of_what_happened_before_only_a_stop_is_told(
    engine: FakeEngine, watch: Watch
) -> None:
    before = time.time_ns() - 10**9
    engine.lists.append(Listed((Container(ID),)))
    later = before + 10**12
    engine.streams.append([line("pause", before), line("kill", before), line("start", later)])
    engine.flowing.clear()
    seen: list[Listed | DockerEvent] = []

    def enough(so_far: list[Listed | DockerEvent]) -> bool:
        seen[:] = so_far
        engine.flowing.set()  # the list is there: what comes now is told as it comes
        return any(isinstance(each, DockerEvent) and each.action == "start" for each in so_far)

    await take(watch, enough)
    assert [each.action for each in seen if isinstance(each, DockerEvent)] == ["kill", "start"]
    assert engine.since_ns < before


def test_a_stop_of_one_that_is_gone_is_no_news() -> None:
    inbox = Inbox(10)
    inbox.put(event("kill", 5, OTHER))
    inbox.end_list(Listed((Container(ID),)), inbox.begin_list())
    assert inbox.take() is None
    inbox.put(event("kill", 5, OTHER))
    inbox.end_list(Listed((), frozenset({OTHER})), inbox.begin_list())
    assert inbox.take() == event("kill", 5, OTHER)


async def test_a_failed_list_is_told_and_tried_again(
    engine: FakeEngine, watch: Watch, told: list[str]
) -> None:
    engine.lists.extend([Unavailable("busy"), Unavailable("busy"), Listed((Container(ID),))])
    await take(watch, lambda seen: seen == [Listed((Container(ID),))])
    assert told.count("busy") == 2
    assert told.index("alive") > told.index("busy"), "green before anything was listed"


async def test_a_frozen_engine_is_noticed_and_taken_up_again(
    engine: FakeEngine, watch: Watch, told: list[str]
) -> None:
    def freeze_then_thaw(seen: list[Listed | DockerEvent]) -> bool:
        engine.frozen = lists(seen) == 1
        return lists(seen) == 2

    async def frozen() -> bool:
        return "frozen" in told

    async def thaw() -> None:
        await until(frozen, timeout_seconds=20, what="it is noticed")
        engine.frozen = False

    async with asyncio.TaskGroup() as group:
        group.create_task(thaw())
        await take(watch, freeze_then_thaw)
    assert watch.reconnects >= 1


async def test_what_could_not_be_read_is_asked_for_again_soon(engine: FakeEngine) -> None:
    limits = WatchLimits(ping_seconds=0.01, recheck_seconds=0.02, relist_seconds=3600)
    watch = Watch(engine, limits, lambda: None, lambda _: None)
    engine.lists.extend([Listed((), frozenset({ID})), Listed((Container(ID),))])
    await take(watch, lambda seen: lists(seen) == 2)


async def test_it_lists_again_after_a_while_by_itself(engine: FakeEngine) -> None:
    limits = WatchLimits(ping_seconds=0.01, relist_seconds=0.03)
    await take(Watch(engine, limits, lambda: None, lambda _: None), lambda seen: lists(seen) == 3)
    assert engine.subscribed == 1
    assert engine.known == [False, True, True]


async def test_asked_to_it_lists_at_once_and_what_was_under_way_does_not_count(
    engine: FakeEngine, watch: Watch
) -> None:
    begun, go_on, list_now = asyncio.Event(), asyncio.Event(), engine.list

    async def slowly(*, all: bool = False, roll: Roll | None = None) -> Listed:  # noqa: A002
        begun.set()
        await go_on.wait()
        return await list_now(all=all, roll=roll)

    engine.list = slowly  # type: ignore[method-assign]

    async def ask() -> None:
        await begun.wait()
        watch.relist()
        go_on.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(ask())
        await take(watch, lambda seen: lists(seen) == 2)
    assert engine.subscribed == 1
    assert engine.known == [False, True]


async def test_a_bug_in_the_reader_reaches_the_consumer(engine: FakeEngine, watch: Watch) -> None:
    engine.streams.append([b"x"])

    def broken() -> None:
        raise ZeroDivisionError

    engine.ping = broken  # type: ignore[assignment,method-assign]
    with pytest.raises(ZeroDivisionError):
        await take(watch, lambda _: False)


async def test_leaving_the_watch_ends_its_tasks(engine: FakeEngine, watch: Watch) -> None:
    await take(watch, lambda seen: lists(seen) == 1)
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert not any(name.startswith("docker") for name in names)
