"""The watch's loop against a scripted server, in virtual time."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from wharfinger.backoff import Backoff
from wharfinger.errors import Unavailable
from wharfinger.etcd.faults import Disconnected, RevisionGone
from wharfinger.kv import (
    Changed,
    Count,
    Event,
    Get,
    KeyRange,
    KeyValue,
    Listed,
    Result,
    Snapshot,
    Transacted,
    Update,
    WatchAnswer,
)
from wharfinger.watch import Watch

pytestmark = pytest.mark.looptime

Message = WatchAnswer | Exception


def put(key: str, revision: int) -> Event:
    return Event(key, revision, KeyValue(key, b"", revision, revision, 1, 0))


def told(number: int, *events: Event) -> WatchAnswer:
    return WatchAnswer(number + 1, events[-1].revision, events=events)


@dataclass
class Place:
    endpoint: str = "fake:1"
    user: str = ""


@dataclass
class Stream:
    """One stream; confirms what is asked for unless told to be mute, then says `script`."""

    server: "Server"
    script: list[Message] = field(default_factory=list)
    mute: bool = False
    answers_progress: bool = True
    connection: Place = field(default_factory=Place)
    asked: list[float] = field(default_factory=list)
    started: list[tuple[KeyRange, int]] = field(default_factory=list)
    closed: bool = False
    given_up_at: float | None = None

    def __post_init__(self) -> None:
        self.queue: asyncio.Queue[Message] = asyncio.Queue()

    async def create(self, watch_id: int, keys: KeyRange, start_revision: int) -> None:
        self.started.append((keys, start_revision))
        if not self.mute:
            self.queue.put_nowait(WatchAnswer(watch_id, self.server.revision, created=True))
        if len(self.started) == len(self.server.ranges):
            for message in self.script:
                self.queue.put_nowait(message)

    async def ask_progress(self) -> None:
        self.asked.append(now())
        if self.answers_progress:
            self.queue.put_nowait(WatchAnswer(-1, self.server.revision))

    async def receive(self, timeout_seconds: float) -> WatchAnswer | None:
        try:
            async with asyncio.timeout(timeout_seconds):
                message = await self.queue.get()
        except TimeoutError:
            return None
        if isinstance(message, Exception):
            raise message
        self.server.revision = max(self.server.revision, message.revision)
        return message

    def give_up(self) -> None:
        self.given_up_at = now()

    async def close(self) -> None:
        self.closed = True


class Server:
    """Stands for the session; its streams are handed out in order, the last one for ever."""

    def __init__(self, items: Sequence[Event] = (), revision: int = 10) -> None:
        self.items = {event.key: event.kv for event in items if event.kv is not None}
        self.revision = revision
        self.ranges: list[KeyRange] = []
        self.lists = 0
        self.streams: deque[Stream] = deque()
        self.proofs: deque[Exception | bool] = deque()
        self.opened: list[Stream] = []

    def stream(self, *script: Message, **more: Any) -> Stream:
        self.streams.append(Stream(self, list(script), **more))
        return self.streams[-1]

    async def list_ranges(self, ranges: Sequence[KeyRange], *, revision: int = 0) -> Snapshot:
        self.lists += 1
        (keys,) = ranges
        held = {
            key: kv
            for key, kv in self.items.items()
            if keys.start <= key and (keys.end is None or key < keys.end)
        }
        return Snapshot(revision or self.revision, held)

    async def watch_stream(self) -> Stream:
        stream = self.streams.popleft() if self.streams else Stream(self)
        self.opened.append(stream)
        return stream

    async def transact(
        self, compare: object, asked: Sequence[Get | Count], *, on: object
    ) -> Transacted:
        outcome = self.proofs.popleft() if self.proofs else True
        if isinstance(outcome, Exception):
            raise outcome
        results: list[Result] = []
        for question in asked:
            if isinstance(question, Count):
                found = await self.list_ranges([question.keys])
                self.lists -= 1
                results.append(len(found.items) if outcome else -1)
            else:
                results.append(self.items.get(question.key))
        return Transacted(succeeded=True, revision=self.revision, results=tuple(results))


def now() -> float:
    return asyncio.get_running_loop().time()


class Consumer:
    def __init__(
        self, server: Server, prefixes: Sequence[str] = ("/",), *, alone: Sequence[str] = ()
    ) -> None:
        self.updates: list[Update] = []
        self.troubles: list[str] = []
        self.alive: list[float] = []
        self.slept = 0.0
        self.watch = Watch(
            server,  # type: ignore[arg-type]  # a scripted stand-in
            prefixes,
            complete=lambda events: all(event.key in alone for event in events),
            on_alive=lambda: self.alive.append(now()),
            on_trouble=self.troubles.append,
            backoff=Backoff(0.1, 1.0, uniform=lambda _low, high: high),
            clock=lambda: now() + self.slept,
        )
        server.ranges = list(self.watch._ranges)

    async def run(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for update in self.watch:
                    self.updates.append(update)

    @property
    def changes(self) -> list[Changed]:
        return [update for update in self.updates if isinstance(update, Changed)]


async def test_a_silent_server_is_asked_and_then_left() -> None:
    server = Server()
    silent = server.stream(told(0, put("/a", 11)), answers_progress=False)
    consumer = Consumer(server)
    server.items = {}
    await consumer.run(4.5)
    assert silent.asked[0] == pytest.approx(1.5)
    assert silent.given_up_at == pytest.approx(4.0)
    assert silent.closed
    assert "silent for 4.0 s" in consumer.troubles[0]


async def test_a_quiet_server_that_answers_is_stayed_with() -> None:
    server = Server()
    quiet = server.stream()
    consumer = Consumer(server)
    await consumer.run(60)
    assert len(quiet.asked) == pytest.approx(40, abs=2)
    assert len(consumer.alive) >= 40
    assert consumer.troubles == []
    assert len(server.opened) == 1


async def test_goes_on_after_the_last_event_without_listing() -> None:
    server = Server()
    server.stream(told(0, put("/a", 12), put("/b", 15)), Disconnected("broke"))
    second = server.stream(told(0, put("/c", 16)))
    consumer = Consumer(server)
    server.items = {}

    async def follow() -> None:
        async for update in consumer.watch:
            consumer.updates.append(update)
            if isinstance(update, Changed):
                server.items |= {e.key: e.kv for e in update.events if e.kv is not None}

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            await follow()
    assert server.lists == 1
    assert second.started == [(KeyRange("/", "0"), 16)]
    assert [e.revision for c in consumer.changes for e in c.events] == [12, 15, 16]


LOST: list[tuple[str, Callable[[Server], object]]] = [
    ("wiped", lambda server: server.proofs.append(False)),
    ("never reached", lambda server: server.proofs.append(RevisionGone("future"))),
    (
        "compacted",
        lambda server: server.stream(WatchAnswer(1, 20, canceled=True, compact_revision=15)),
    ),
    ("backwards", lambda server: server.stream(WatchAnswer(-1, 3))),
    ("repeated", lambda server: server.stream(told(0, put("/a", 10)))),
]


@pytest.mark.parametrize(("what", "happens"), LOST, ids=[name for name, _ in LOST])
async def test_a_lost_history_is_listed_anew(
    what: str, happens: Callable[[Server], object]
) -> None:
    server = Server([put("/a", 5)])
    happens(server)
    consumer = Consumer(server)
    await consumer.run(3)
    assert [type(update) for update in consumer.updates] == [Listed, Listed]
    assert len(consumer.troubles) == 1
    assert consumer.alive[-1] > 0


async def test_a_history_that_is_lost_again_and_again_is_not_listed_in_a_rush() -> None:
    server = Server()
    server.proofs.extend([False] * 1000)
    consumer = Consumer(server)
    await consumer.run(60)
    assert 50 < server.lists < 70
    assert consumer.alive == []


async def test_a_server_that_ends_each_stream_at_once_is_not_asked_in_a_rush() -> None:
    server = Server()
    for _ in range(1000):
        server.stream(Disconnected("broke"))
    consumer = Consumer(server)
    await consumer.run(60)
    assert 50 < len(server.opened) < 70


async def test_after_a_long_good_time_it_is_tried_again_at_once() -> None:
    server = Server()
    for _ in range(5):
        server.stream(Disconnected("broke"))
    good = server.stream()
    consumer = Consumer(server)
    running = asyncio.create_task(consumer.run(60))
    await asyncio.sleep(30)
    good.queue.put_nowait(Disconnected("broke"))
    await asyncio.sleep(0.2)
    assert len(server.opened) == 7
    await running


async def test_nothing_is_alive_before_the_history_is_proven() -> None:
    server = Server()
    server.stream(mute=True)
    consumer = Consumer(server)
    await consumer.run(3.9)
    assert consumer.alive == []
    assert len(consumer.updates) == 1


async def test_denied_or_away_is_said_each_time_and_tried_for_ever() -> None:
    server = Server()
    for _ in range(100):
        server.stream(WatchAnswer(1, 10, created=True, canceled=True, reason="no"), mute=True)
    consumer = Consumer(server)
    await consumer.run(30)
    assert 25 < len(consumer.troubles) < 40
    assert set(consumer.troubles) == {"etcd fake:1: the watch was ended: no"}
    assert server.lists == 1


async def test_ranges_that_are_behind_catch_up_in_order() -> None:
    server = Server(revision=10)
    stream = server.stream(told(0, put("/a/1", 11), put("/a/2", 13)))
    later = (told(1, put("/b/1", 11), put("/b/2", 12)), told(0, put("/a/3", 14)))
    for number, message in enumerate(later, 1):
        asyncio.get_running_loop().call_later(0.2 * number, stream.queue.put_nowait, message)
    consumer = Consumer(server, ("/a/", "/b/"))
    listing = server.list_ranges

    async def list_before(ranges: Sequence[KeyRange], *, revision: int = 0) -> Snapshot:
        snapshot = await listing(ranges, revision=revision)
        server.revision = 14  # the rest happens between the list and the watch
        return snapshot

    server.list_ranges = list_before  # type: ignore[method-assign]
    await consumer.run(2)
    (change,) = consumer.changes
    assert [event.revision for event in change.events] == [11, 11, 12, 13, 14]
    assert change.revision == 14


async def test_what_was_held_back_is_not_lost_when_the_stream_breaks() -> None:
    server = Server(revision=10)
    server.stream(told(0, put("/a/1", 11)), Disconnected("broke"))
    server.stream(mute=True)
    consumer = Consumer(server, ("/a/", "/b/"))
    await consumer.run(1)
    assert consumer.changes == [Changed(11, (put("/a/1", 11),))]


class Sleeper:
    """A consumer that is frozen after a second, and what it finds in its stream when it goes on."""

    def __init__(self, prefixes: Sequence[str], seconds: float, *found: Message) -> None:
        self.server = Server(revision=10)
        self.stream = self.server.stream()
        self.consumer = Consumer(self.server, prefixes, alone=("/a/1",))
        self._seconds = seconds
        self._found = found
        asyncio.get_running_loop().call_later(1, self._wake)

    def _wake(self) -> None:
        self.consumer.slept = self._seconds
        for message in self._found:
            self.stream.queue.put_nowait(message)

    async def heard(self) -> list[list[int]]:
        """The revisions of each change."""
        await self.consumer.run(8)
        return [[event.revision for event in each.events] for each in self.consumer.changes]


PAST = told(0, put("/a/1", 11)), told(0, put("/a/1", 12)), told(0, put("/a/1", 14))


@pytest.mark.parametrize("prefixes", [("/a/", "/b/"), ("/a/",)])
@pytest.mark.parametrize(
    ("seconds", "changes"),
    [(0.5, [[11], [12], [14]]), (3.0, [[11, 12, 14]]), (1e6, [[11, 12, 14]])],
)
async def test_what_happened_while_it_stood_still_is_one_change(
    prefixes: Sequence[str], seconds: float, changes: list[list[int]]
) -> None:
    sleeper = Sleeper(prefixes, seconds, *PAST)
    assert await sleeper.heard() == changes
    assert sleeper.consumer.troubles == []


async def test_afterwards_each_revision_is_a_change_again() -> None:
    sleeper = Sleeper(("/a/", "/b/"), 60.0, *PAST)
    for number, revision in enumerate((15, 16)):
        again = told(0, put("/a/1", revision))
        loop = asyncio.get_running_loop()
        loop.call_later(3 + number / 10, sleeper.stream.queue.put_nowait, again)
    assert await sleeper.heard() == [[11, 12, 14], [15], [16]]


async def test_who_asks_waits_until_all_of_that_was_told_and_not_where_no_stream_stands() -> None:
    sleeper = Sleeper(("/a/", "/b/"), 60.0, *PAST)
    watch, seen = sleeper.consumer.watch, list[int]()
    await watch.caught_up()

    async def ask() -> None:
        await asyncio.sleep(0.9)
        began = now()
        await watch.caught_up()
        assert now() == began
        sleeper.consumer.slept = 60.0  # before the watch itself has noticed
        await watch.caught_up()
        seen.extend(each.revision for each in sleeper.consumer.changes)

    asking = asyncio.create_task(ask())
    assert await sleeper.heard() == [[11, 12, 14]]
    await asking
    assert seen == [14]


@pytest.mark.parametrize("prefixes", [("/a/", "/b/"), ("/a/",)])
async def test_standing_still_again_while_it_catches_up_is_not_taken_for_quiet(
    prefixes: Sequence[str],
) -> None:
    sleeper, loop = Sleeper(prefixes, 60.0, *PAST[:1]), asyncio.get_running_loop()
    seen = list[int]()

    async def ask() -> None:
        await sleeper.consumer.watch.caught_up()
        seen.extend(each.revision for each in sleeper.consumer.changes)

    loop.call_later(1.1, lambda: asking.append(asyncio.create_task(ask())))
    loop.call_later(1.3, setattr, sleeper.consumer, "slept", 120.0)
    asking = list[asyncio.Task[None]]()
    # When it goes on, its timers are over before what waits in the socket has come through.
    for message in PAST[1:]:
        loop.call_later(1.55, sleeper.stream.queue.put_nowait, message)
    assert await sleeper.heard() == [[11, 12, 14]]
    await asyncio.gather(*asking)
    assert seen == [14]


async def test_one_that_is_stopped_again_and_again_is_not_deaf_for_ever() -> None:
    sleeper, loop = Sleeper(("/a/", "/b/"), 60.0, *PAST[:1]), asyncio.get_running_loop()
    for number in range(1, 80):
        at = 1 + number / 10
        loop.call_later(at, setattr, sleeper.consumer, "slept", 60.0 * (number + 1))
    assert await sleeper.heard() == [[11]]


async def test_a_stream_that_does_not_catch_up_is_not_waited_for_for_ever() -> None:
    sleeper = Sleeper(("/a/", "/b/"), 60.0)
    sleeper.stream.answers_progress = False
    watch = sleeper.consumer.watch
    running = asyncio.create_task(sleeper.heard())
    await asyncio.sleep(1.1)
    began = now()
    await watch.caught_up()
    assert now() - began < 5.1
    assert await running == []


@pytest.mark.parametrize("prefixes", [("/a/", "/b/"), ("/a/",)])
async def test_of_a_stream_that_broke_meanwhile_half_a_past_waits_for_the_other_half(
    prefixes: Sequence[str],
) -> None:
    sleeper = Sleeper(prefixes, 60.0, *PAST[:1], Disconnected("broke"))
    sleeper.server.stream(*PAST[1:])
    # By then all of it has happened.
    asyncio.get_running_loop().call_later(1, setattr, sleeper.server, "revision", 14)
    (first,) = PAST[0].events
    sleeper.server.items = {first.key: first.kv} if first.kv else {}
    assert await sleeper.heard() == [[11, 12, 14]]
    assert sleeper.consumer.troubles == ["broke"]


async def test_where_no_stream_comes_about_half_a_past_is_told() -> None:
    sleeper = Sleeper(("/a/", "/b/"), 60.0, *PAST[:1], Disconnected("broke"))
    sleeper.server.stream(mute=True, answers_progress=False)
    assert await sleeper.heard() == [[11]]


async def test_events_that_overtake_a_confirmation_are_kept() -> None:
    server = Server(revision=10)
    stream = server.stream(mute=True)
    consumer = Consumer(server, ("/a/", "/b/"))
    stream.script = [
        WatchAnswer(1, 10, created=True),
        told(0, put("/a/1", 11)),
        WatchAnswer(2, 11, created=True),
    ]
    await consumer.run(1)
    assert consumer.changes == [Changed(11, (put("/a/1", 11),))]


async def test_the_parts_of_a_revision_that_come_apart_are_one_change() -> None:
    server = Server(revision=10)
    stream = server.stream(told(0, put("/a/1", 11)), answers_progress=False)
    consumer = Consumer(server, ("/a/", "/b/"))
    later = (told(1, put("/b/1", 11)), WatchAnswer(-1, 11), WatchAnswer(-1, 11))
    for number, message in enumerate(later, 1):
        asyncio.get_running_loop().call_later(0.05 * number, stream.queue.put_nowait, message)
    await consumer.run(1)
    assert consumer.changes == [Changed(11, (put("/a/1", 11), put("/b/1", 11)))]


async def test_a_revision_that_every_range_has_told_of_is_asked_about_no_more() -> None:
    server = Server(revision=10)
    stream = server.stream(
        told(0, put("/a/1", 11)), told(1, put("/b/1", 11)), answers_progress=False
    )
    consumer = Consumer(server, ("/a/", "/b/"))
    # One range alone says nothing of the other: that is asked, and nothing is let go before.
    loop = asyncio.get_running_loop()
    loop.call_later(0.5, lambda: stream.asked.append(0.0))
    loop.call_later(0.5, stream.queue.put_nowait, told(0, put("/a/1", 12)))
    await consumer.run(1)
    assert consumer.changes == [Changed(11, (put("/a/1", 11), put("/b/1", 11)))]
    assert stream.asked[0] == 0.0
    assert len(stream.asked) > 1


async def test_what_is_complete_by_itself_waits_for_no_other_range() -> None:
    server = Server(revision=10)
    stream = server.stream(told(1, put("/b/1", 11)), answers_progress=False)
    consumer = Consumer(server, ("/a/", "/b/"), alone=("/b/1",))
    began = now()
    async for update in consumer.watch:
        if isinstance(update, Changed):
            break
    assert update == Changed(11, (put("/b/1", 11),))
    assert now() == began
    assert stream.asked == []


async def test_a_progress_answer_that_overtakes_a_part_tears_no_revision() -> None:
    server = Server(revision=10)
    server.stream(told(0, put("/a/1", 11)), WatchAnswer(-1, 11), told(1, put("/b/1", 11)))
    consumer = Consumer(server, ("/a/", "/b/"))
    await consumer.run(1)
    assert consumer.changes == [Changed(11, (put("/a/1", 11), put("/b/1", 11)))]


async def test_one_range_that_never_pauses_does_not_hold_up_the_other() -> None:
    server = Server(revision=10)
    stream = server.stream()
    consumer = Consumer(server, ("/a/", "/b/"))

    async def flood() -> None:
        for revision in range(11, 1000):
            stream.queue.put_nowait(told(0, put("/a/1", revision)))
            await asyncio.sleep(0.001)

    flooding = asyncio.create_task(flood())
    await consumer.run(0.5)
    assert consumer.troubles == []
    assert len(consumer.changes) > 10
    seen = [event.revision for change in consumer.changes for event in change.events]
    assert seen == sorted(seen)
    flooding.cancel()


async def test_an_error_that_is_none_of_ours_ends_the_watch() -> None:
    server = Server()
    server.stream(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await Consumer(server).run(1)
    assert server.opened[0].closed


async def test_the_first_list_is_tried_until_it_works() -> None:
    server = Server()
    listing, failures = server.list_ranges, deque([Unavailable("away")] * 3)

    async def list_later(ranges: Sequence[KeyRange], *, revision: int = 0) -> Snapshot:
        if failures:
            raise failures.popleft()
        return await listing(ranges, revision=revision)

    server.list_ranges = list_later  # type: ignore[method-assign]
    consumer = Consumer(server)
    await consumer.run(5)
    assert consumer.troubles == ["away"] * 3
    assert len(consumer.updates) == 1
