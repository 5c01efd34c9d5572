"""A shipment on a machine that is slow, full or failing: nothing of that ends it."""

import asyncio
import errno
import os
import threading
from typing import Any

import pytest

from logshipper import retention
from logshipper.log import Log
from logshipper.model import Progress, Route, SavedLog
from logshipper.spool import Spool
from logshipper.tail import Tail
from tests.logshipper.dockerlog import CONTAINER, DockerLog
from tests.logshipper.life import SHIPPED, Begin, Life, complete
from tests.logshipper.strict_sink import StrictSink, status


def stale(*_: object) -> Any:
    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def check(life: Life, name: str) -> bool:
    return next(each.healthy for each in life.health.report().checks if each.name == name)


async def test_a_log_left_out_after_its_container_is_gone_leaves_nothing(
    begin: Begin, log: DockerLog
) -> None:
    """Docker answers late about one that lived for a moment: thousands of them fill the memory."""
    life = begin()
    log.write("one")
    await life.shipment.open(log.container_id, str(log.folder), log.base)
    log.remove()
    await life.stir()
    life.shipment.gone(log.container_id)
    life.shipment.direct(log.container_id, Route(ship=False, reason="label"))
    assert life.shipment.logs == {}


async def test_an_answer_is_taken_while_a_file_of_its_log_is_busy(
    begin: Begin, sink: StrictSink, log: DockerLog
) -> None:
    """A copy into the spool takes seconds: nobody else may wait for it, nor who asks for status."""
    life = begin()
    log.write("one")
    await life.follow(log)
    await sink.until(complete(sink, log))
    entry = life.shipment.logs[CONTAINER]
    log.write("two")
    piece = await asyncio.to_thread(entry.step)
    assert piece is not None
    ended = threading.Event()

    def copy() -> None:
        with entry._mutex:
            ended.wait(30)

    copying = asyncio.create_task(asyncio.to_thread(copy))
    life.shipment._add(entry, piece)
    life.shipment._hand_over()
    await sink.until(complete(sink, log))
    [told] = life.shipment.status()["logs"]  # type: ignore[misc]
    assert not told["files_are_current"]
    before = life.shipment.saved(CONTAINER)
    ended.set()
    await copying
    await sink.until(lambda: life.shipment.saved(CONTAINER) != before)
    [told] = life.shipment.status()["logs"]  # type: ignore[misc]
    assert told["files_are_current"]


async def test_bytes_between_a_read_and_their_request_are_lag(
    begin: Begin, sink: StrictSink, log: DockerLog
) -> None:
    life = begin()
    log.write("one")
    await life.shipment.open(log.container_id, str(log.folder), log.base)
    entry = life.shipment.logs[CONTAINER]
    life.shipment._draining = True  # nobody else reads
    life.shipment.direct(CONTAINER, SHIPPED)
    piece = await asyncio.to_thread(entry.step)
    assert piece is not None
    assert entry.lag_bytes == log.path.stat().st_size
    assert entry.lag_seconds > 1000
    life.shipment._add(entry, piece)
    assert entry.lag_bytes == log.path.stat().st_size
    life.shipment._hand_over()
    await sink.until(complete(sink, log))
    await sink.until(lambda: entry.lag_bytes == 0)


@pytest.mark.parametrize("what", ["unread_bytes", "written_at", "stirred"])
async def test_a_file_system_that_went_away_under_a_log_is_trouble_and_no_end(
    begin: Begin, sink: StrictSink, log: DockerLog, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    life = begin()
    log.write("one")
    await life.follow(log)
    await sink.until(complete(sink, log))
    log.write("two")
    with monkeypatch.context() as patched:
        patched.setattr(Tail, what, property(stale))
        await life.stir()
        life.shipment.wake(CONTAINER)
        await life.stir()
        if what == "unread_bytes":
            assert "Stale" in life.troubles()[CONTAINER]
    await life.stir()
    await sink.until(complete(sink, log))
    assert not any(task.done() for task in life.tasks)
    assert life.troubles() == {}


@pytest.mark.parametrize("what", ["look", "read", "saved"])
async def test_a_mount_that_hangs_is_trouble(
    begin: Begin, sink: StrictSink, log: DockerLog, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A file of text may be on a network's disk; all that waits for it is deaf, and must be red."""
    monkeypatch.setattr("logshipper.log.STUCK_SECONDS", 0.1)
    ended = threading.Event()
    real = getattr(Tail, what)

    def hanging(*arguments: object) -> Any:
        ended.wait(30)
        return real(*arguments)

    life = begin()
    log.write("one")
    with monkeypatch.context() as patched:
        patched.setattr(Tail, what, hanging)
        following = asyncio.create_task(life.follow(log))
        await sink.until(lambda: "does a mount hang" in life.troubles().get(CONTAINER, ""))
        ended.set()
        await following
    await sink.until(complete(sink, log))
    await sink.until(lambda: life.troubles() == {})


async def test_what_a_healthy_sink_has_not_taken_yet_is_spooled_before_it_is_let_go(
    begin: Begin, sink: StrictSink, log: DockerLog
) -> None:
    life = begin(hold_limit_bytes=0, spool_bytes=2**20)
    log.write_numbered(5000)
    await life.shipment.open(log.container_id, str(log.folder), log.base)
    log.remove()  # before Docker has said whose it was
    await life.stir()
    assert not life.delivery.trouble
    await sink.until(lambda: not life.shipment.logs[CONTAINER].has_deleted)
    life.shipment.direct(CONTAINER, SHIPPED)
    await sink.until(complete(sink, log))
    assert life.losses == []


async def test_what_was_deleted_while_others_were_copied_comes_to_the_spool_first(
    begin: Begin, sink: StrictSink, log: DockerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = begin(spool_bytes=2**20, hold_limit_bytes=0, size_bytes=500)
    other = DockerLog(log.root, container_id="a" * 64)
    sink.mood = status(503)
    for each in (other, log):
        each.write_numbered(500)
        await life.follow(each)
    await sink.until(lambda: sink.requests > 1)
    entry, real = life.shipment.logs[other.container_id], Spool.store

    def store(spool: Spool, container_id: str, *arguments: Any, **more: Any) -> Any:
        if container_id == CONTAINER:
            other.remove()
            entry.look()
        return real(spool, container_id, *arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Spool, "store", store)
        log.remove()
        await life.stir()
        await sink.until(lambda: not life.shipment.logs[CONTAINER].has_deleted)
    await sink.until(lambda: entry.has_deleted)
    await life.stir()
    await sink.until(lambda: not entry.has_deleted)
    assert life.losses == []


async def test_answers_that_overtake_each_other_take_no_checkpoint_back(
    begin: Begin, sink: StrictSink, log: DockerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = begin()
    log.path.touch()
    await life.follow(log)
    life.shipment._draining = True  # nobody else reads
    entry = life.shipment.logs[CONTAINER]
    tickets = []
    for text in ("one", "two"):
        log.write(text)
        piece = await asyncio.to_thread(entry.step)
        assert piece is not None
        tickets.append(entry.issue(piece))
    first, second, real = threading.Event(), threading.Event(), Log.saved_at

    def slow(entry: Log, progress: Progress) -> SavedLog:
        if not first.is_set():
            first.set()
            second.wait(0.3)  # in vain, where one waits for the other
        return real(entry, progress)

    monkeypatch.setattr(Log, "saved_at", slow)
    tasks = [asyncio.create_task(life.shipment._settle([(CONTAINER, each)])) for each in tickets]
    tasks[1].add_done_callback(lambda _: second.set())
    await asyncio.gather(*tasks)
    saved = life.shipment.saved(CONTAINER)
    assert saved is not None
    assert saved.progress == tickets[1].progress


async def test_bytes_that_are_zeroed_are_a_counted_loss(
    begin: Begin, sink: StrictSink, log: DockerLog
) -> None:
    life = begin()
    log.write("before")
    log.append(bytes(4096))
    log.write("after")
    await life.follow(log)
    await sink.until(complete(sink, log))
    assert [(loss.reason, loss.size_bytes) for loss in life.losses] == [("zeroed", 4096)]


@pytest.mark.parametrize(("hold", "room"), [(0, 12_000), (0, 0), (100_000, 12_000)])
async def test_what_has_no_room_is_lost_oldest_first_and_counted_to_the_byte(
    begin: Begin, sink: StrictSink, log: DockerLog, hold: int, room: int
) -> None:
    life = begin(spool_bytes=room, hold_limit_bytes=hold, size_bytes=500)
    log.max_files = 2
    sink.mood = status(503)
    log.write_numbered(500)
    await life.follow(log)
    await sink.until(lambda: sink.requests > 1)
    entry, spool = life.shipment.logs[CONTAINER], life.shipment._retention.spool
    for _ in range(12):
        log.rotate()
        log.write_numbered(500)
        await life.stir()
        if room:
            await sink.until(lambda: not entry.has_deleted)
    await sink.until(lambda: spool.stored_bytes <= room and entry.deleted_bytes <= hold)
    assert {loss.reason for loss in life.losses} == {"spool" if room else "rotated"}
    sink.mood = None
    await sink.until(lambda: entry.lag_bytes == 0)
    missing = set(log.written) - set(sink.messages)
    assert sum(loss.size_bytes for loss in life.losses) == log.sizes(missing) > 0
    assert set(log.written[-1000:]) <= set(sink.messages)


async def test_the_spool_is_green_again_when_it_can_be_written_or_need_not_be(
    begin: Begin, sink: StrictSink, log: DockerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(retention, "RETRY_SECONDS", 0.01)
    life = begin(spool_bytes=2**20, size_bytes=500)
    log.max_files = 2
    sink.mood = status(503)
    log.write_numbered(500)
    await life.follow(log)
    await sink.until(lambda: sink.requests > 1)
    with monkeypatch.context() as patched:
        patched.setattr(Spool, "store", full)
        for _ in range(2):
            log.rotate()
            log.write("later")
            await life.stir()
        await sink.until(lambda: not check(life, "spool"))
        sink.mood = None
        await sink.until(complete(sink, log))
        await life.stir()
        await sink.until(lambda: check(life, "spool"))
    assert life.losses == []


async def test_a_segment_that_cannot_be_read_back_is_said_and_its_source_is_held(
    begin: Begin, sink: StrictSink, log: DockerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "RETRY_SECONDS", 0.01)
    life = begin(spool_bytes=2**20, size_bytes=500)
    log.max_files = 2
    sink.mood = status(503)
    log.write_numbered(500)
    await life.follow(log)
    await sink.until(lambda: sink.requests > 1)
    with monkeypatch.context() as patched:
        patched.setattr("logshipper.segment.MAGIC", b"another\n")
        patched.setattr("logshipper.spool.encoded", lambda *_: iter([b"what a disk made of it"]))
        for _ in range(2):
            log.rotate()
            log.write("later")
            await life.stir()
        await sink.until(lambda: not check(life, "spool"))
    sink.mood = None
    await sink.until(complete(sink, log))
    assert not any(task.done() for task in life.tasks)
    assert life.losses == []
