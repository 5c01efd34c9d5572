"""Logs on a real file system into a strict sink: lives that end, sinks that fail, exact counts."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from logshipper.checkpoint import Checkpoint
from logshipper.linesettings import LineSettings
from logshipper.log import Log
from logshipper.model import Route
from tests.logshipper.dockerlog import CONTAINER, DockerLog, line, records
from tests.logshipper.life import SHIPPED, Begin, complete
from tests.logshipper.strict_sink import StrictSink, busy_items, hang, reset_after_storing, status


async def test_everything_arrives_once_and_carries_its_fields(
    sink: StrictSink, begin: Begin, log: DockerLog
) -> None:
    log.write_numbered(5000)
    life = begin()
    await life.follow(log)
    await sink.until(complete(sink, log))
    assert sorted(sink.messages) == log.written
    assert sink.duplicates == 0
    assert {d["app"] for d in sink.documents.values()} == {"shop"}
    assert life.health.report().healthy
    log.write("later")
    await life.stir()
    await sink.until(complete(sink, log))


async def test_a_log_without_a_route_is_held_and_not_read(
    sink: StrictSink, begin: Begin, log: DockerLog
) -> None:
    log.write_numbered(10)
    life = begin()
    await life.shipment.open(log.container_id, str(log.folder), log.base)
    log.remove()
    await life.stir()
    assert sink.requests == 0
    life.shipment.direct(log.container_id, SHIPPED)
    await sink.until(complete(sink, log))
    await sink.until(lambda: not life.shipment.logs)


async def test_a_file_that_appears_empty_is_watched(
    sink: StrictSink, begin: Begin, log: DockerLog
) -> None:
    """The container was created and is known; dockerd makes its file when it is started."""
    life = begin()
    await life.follow(log)
    await asyncio.sleep(0.1)
    assert life.armed == []
    log.path.touch()
    await life.stir()
    await sink.until(lambda: bool(life.armed), seconds=2)
    log.write("first")
    life.shipment.wake(log.container_id)
    await sink.until(complete(sink, log))


async def test_a_log_that_is_left_out_is_let_go(
    sink: StrictSink, begin: Begin, log: DockerLog
) -> None:
    log.write_numbered(10)
    life = begin()
    await life.shipment.open(log.container_id, str(log.folder), log.base)
    life.shipment.direct(log.container_id, Route(ship=False, reason="label"))
    assert life.shipment.logs[log.container_id].tail.newest_fd is None
    log.remove()
    await life.stir()
    life.shipment.gone(log.container_id)
    assert life.shipment.logs == {}
    assert sink.requests == 0


async def test_a_log_that_is_taken_up_again_goes_on_where_it_was_left(
    sink: StrictSink, begin: Begin, log: DockerLog
) -> None:
    life = begin()
    out = Route(ship=False, reason="labels leave it out")
    log.write_numbered(10)
    await life.follow(log, route=out)
    log.rotate()
    log.write_numbered(10)
    await life.follow(log)
    await life.stir()
    await sink.until(complete(sink, log))
    await sink.until(lambda: life.shipment.saved(log.container_id) is not None)
    life.shipment.direct(log.container_id, out)
    log.write_numbered(10)
    await life.stir()
    life.shipment.direct(log.container_id, SHIPPED)
    await life.stir()
    await sink.until(complete(sink, log))
    assert sorted(sink.messages) == sorted(log.written)
    assert sink.duplicates == 0
    life.shipment.direct(log.container_id, out)
    assert life.shipment.known() == (log.container_id,)
    log.remove()
    await life.stir()
    life.shipment.gone(log.container_id)
    await sink.until(lambda: life.shipment.known() == ())
    assert life.shipment.logs == {}


async def test_a_log_that_is_left_out_and_taken_up_while_its_lines_are_on_their_way(
    sink: StrictSink, begin: Begin, log: DockerLog
) -> None:
    life = begin()
    sink.mood = status(503)
    log.write_numbered(10)
    await life.follow(log)
    await sink.until(lambda: sink.requests > 2)
    life.shipment.direct(log.container_id, Route(ship=False, reason="names leave it out"))
    life.shipment.direct(log.container_id, SHIPPED)
    await life.stir()
    log.write_numbered(10)
    sink.mood = None
    await sink.until(complete(sink, log))
    assert sorted(sink.messages) == sorted(log.written)
    assert not any(task.done() for task in life.tasks)


async def test_what_is_done_to_lines_changes_while_they_are_shipped(
    sink: StrictSink, begin: Begin, log: DockerLog
) -> None:
    life = begin()
    log.write("pay 4111111111111111")
    await life.follow(log)
    await sink.until(complete(sink, log))
    redacting = replace(SHIPPED, lines=LineSettings(redact=("card",)))
    assert life.shipment.direct(log.container_id, redacting)
    assert not life.shipment.direct(log.container_id, redacting)
    log.write("pay 4111111111111111")
    await life.stir()
    await sink.until(complete(sink, log))
    assert sink.messages == ["pay 4111111111111111", "pay [redacted:card]"]
    assert sink.duplicates == 0


@pytest.mark.parametrize("kills", range(3))
async def test_killed_again_and_again_nothing_is_lost_and_ids_are_the_same(
    sink: StrictSink, begin: Begin, log: DockerLog, kills: int
) -> None:
    sink.moods = [status(503), busy_items(7), reset_after_storing]
    log.max_files = 9  # a life that ends at once reads little: all must be there at the end
    for turn in range(8):
        life = begin(size_bytes=5000)
        log.write_numbered(4000)
        log.write("long " + "x" * 40_000)
        log.write_numbered(4000)
        await life.follow(log)
        enough = sink.requests + kills
        done = complete(sink, log)
        await sink.until(lambda: sink.requests > enough or done())  # noqa: B023 - awaited here
        await life.kill()
        life.tasks = []
        if turn % 2:
            log.rotate(compress=turn % 4 == 1)
    life = begin()
    await life.follow(log)
    await sink.until(complete(sink, log))
    assert sorted(sink.messages) == sorted(log.written)
    assert life.losses == []


async def test_a_stop_in_good_order_sends_nothing_twice(
    sink: StrictSink, begin: Begin, log: DockerLog
) -> None:
    log.write_numbered(20_000)
    life = begin()
    await life.follow(log)
    await sink.until(lambda: len(sink.documents) > 2000)
    await life.shipment.drain()
    await life.kill()
    life.tasks = []
    life = begin()
    await life.follow(log)
    await sink.until(complete(sink, log))
    assert sink.duplicates == 0


@pytest.mark.parametrize("mood", [status(503), hang])
async def test_while_the_sink_is_down_reading_stops_and_rotated_files_are_held(
    sink: StrictSink, begin: Begin, log: DockerLog, mood: object
) -> None:
    life = begin(size_bytes=2000, timeout_seconds=1.0)
    sink.mood = mood  # type: ignore[assignment]
    log.write_numbered(1)
    await life.follow(log)
    for _ in range(20):
        log.write_numbered(1000)
        log.rotate()
        await life.stir()
    await sink.until(lambda: sink.requests > 3)
    entry = life.shipment.logs[log.container_id]
    assert entry.tail.unread_bytes > 1_000_000
    assert entry.lag_bytes > entry.tail.unread_bytes
    assert life.shipment.status()["in_flight_bytes"] < 1_000_000  # type: ignore[operator]
    sink.mood = None
    await sink.until(complete(sink, log))
    assert sorted(sink.messages) == log.written
    assert life.losses == []


async def test_a_loud_log_leaves_room_for_quiet_ones(
    sink: StrictSink, begin: Begin, tmp_path: Path
) -> None:
    loud = DockerLog(tmp_path / "containers", container_id="f" * 64)
    loud.write_numbered(60_000, prefix="loud " + "x" * 100)
    quiet = [DockerLog(tmp_path / "containers", container_id=f"{n:064x}") for n in range(20)]
    for each in quiet:
        each.write("quiet " + each.container_id)
    life = begin(size_bytes=200_000)
    await life.follow(loud, *quiet)
    await sink.until(lambda: sum("quiet" in m for m in sink.messages) == 20)
    assert len(sink.documents) < 30_000
    await sink.until(complete(sink, loud, *quiet))
    assert sink.duplicates == 0


async def test_a_full_disk_under_the_checkpoint_stops_nothing(
    sink: StrictSink, begin: Begin, log: DockerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "save", full)
        life = begin()
        log.write_numbered(100)
        await life.follow(log)
        await sink.until(complete(sink, log))
        await sink.until(lambda: not life.health.report().healthy)
        assert "No space left" in life.health.report().why
    log.write_numbered(1)
    await life.stir()
    await sink.until(complete(sink, log))
    await sink.until(lambda: life.health.report().healthy)


async def test_a_removed_container_leaves_nothing_in_the_checkpoint(
    sink: StrictSink, begin: Begin, log: DockerLog, tmp_path: Path
) -> None:
    log.write_numbered(100)
    life = begin()
    await life.follow(log)
    await sink.until(lambda: CONTAINER in life.shipment.known())
    log.write_numbered(100)
    log.remove()
    await life.stir()
    await sink.until(lambda: not life.shipment.logs)
    await sink.until(complete(sink, log))
    await sink.until(lambda: Checkpoint(tmp_path / "state").load() == {})
    assert life.losses == []


async def test_both_checkpoints_zeroed_costs_only_repetition(
    sink: StrictSink, begin: Begin, log: DockerLog, tmp_path: Path
) -> None:
    log.write_numbered(1000)
    log.rotate()
    log.write_numbered(1000)
    life = begin()
    await life.follow(log)
    await sink.until(complete(sink, log))
    await life.shipment.drain()
    await life.kill()
    life.tasks = []
    log.rotate(compress=True)
    log.write_numbered(10)
    for path in (tmp_path / "state").glob("checkpoint*"):
        path.write_bytes(b"\0" * path.stat().st_size)
    life = begin()
    assert len(life.checkpoint.refused) == 2
    await life.follow(log)
    await sink.until(complete(sink, log))
    await life.shipment.drain()
    assert sorted(sink.messages) == log.written
    assert life.losses == []


async def test_a_log_left_out_and_removed_while_its_lines_are_on_their_way_ends_nothing(
    sink: StrictSink, begin: Begin, log: DockerLog
) -> None:
    life = begin()
    sink.mood = status(503)
    log.write_numbered(10)
    await life.follow(log)
    await sink.until(lambda: sink.requests > 2)
    life.shipment.direct(log.container_id, Route(ship=False, reason="label"))
    log.remove()
    life.shipment.gone(log.container_id)
    other = DockerLog(log.root, container_id="a" * 64)
    other.write_numbered(10)
    await life.follow(other)
    sink.mood = None
    await sink.until(lambda: set(other.written) <= set(sink.messages))
    await sink.until(lambda: life.shipment.known() == (other.container_id,))
    assert not any(task.done() for task in life.tasks)


async def test_what_is_lost_while_the_sink_is_down_is_told_then(
    sink: StrictSink, begin: Begin, log: DockerLog
) -> None:
    life = begin(size_bytes=500, hold_limit_bytes=10_000)
    sink.mood = status(503)
    log.write_numbered(200)
    await life.follow(log)
    await sink.until(lambda: sink.requests > 2)
    for _ in range(8):
        log.write_numbered(1000)
        log.rotate()
        await life.stir()
    assert sum(loss.size_bytes for loss in life.losses) > 100_000


async def test_output_that_ends_at_a_parts_end_is_shipped_after_a_while(
    sink: StrictSink, begin: Begin, log: DockerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = begin()
    log.append(b"".join(records("x" * 2 * 16_384, number=1)))
    await life.follow(log)
    await sink.until(lambda: life.shipment.known() == (CONTAINER,))
    await life.stir()
    assert sink.messages == []
    monkeypatch.setattr("logshipper.log.JOIN_SECONDS", 0.0)
    await life.stir()
    await sink.until(lambda: sink.messages == ["x" * 2 * 16_384])
    log.write("after a restart")
    await life.stir()
    await sink.until(lambda: len(sink.documents) == 2)
    assert sink.messages[1] == "after a restart"
    await life.shipment.drain()
    assert life.shipment._keeper.get(CONTAINER).progress.open == ()  # type: ignore[union-attr]


async def test_a_log_that_cannot_be_read_now_is_said_and_tried_again(
    sink: StrictSink, begin: Begin, log: DockerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    life = begin()
    log.write("one")
    with monkeypatch.context() as patched:
        patched.setattr("logshipper.logfile.PlainFile.pread", broken)
        await life.follow(log)
        await sink.until(lambda: bool(life.troubles()))
        await life.stir()
        assert "Input/output error" in life.troubles()[CONTAINER]
    await life.stir()
    await sink.until(complete(sink, log))
    assert not life.troubles()


async def test_logs_leave_descriptors_for_the_way_to_the_sink(
    sink: StrictSink, begin: Begin, log: DockerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = begin()
    log.write("one")
    with monkeypatch.context() as patched:
        patched.setattr("logshipper.logfile.SPARE_DESCRIPTORS", 2**62)
        await life.follow(log)
        await life.stir()
        assert "LimitNOFILE" in life.troubles()[CONTAINER]
    await life.stir()
    await sink.until(complete(sink, log))


async def test_all_logs_together_keep_no_more_of_the_disk_than_the_limit(
    sink: StrictSink, begin: Begin, tmp_path: Path
) -> None:
    life = begin(size_bytes=500, hold_limit_bytes=200_000)
    sink.mood = status(503)
    logs = [DockerLog(tmp_path / "containers", container_id=f"{n}" * 64) for n in range(10)]
    for each in logs:
        each.write_numbered(500)
    await life.follow(*logs)
    await sink.until(lambda: sink.requests > 2)
    for each in logs:
        each.remove()
    await life.stir()
    await life.stir()
    held = [entry.tail.deleted_bytes for entry in life.shipment.logs.values()]
    assert sum(held) <= 200_000
    assert sum(held) > 0
    assert {loss.reason for loss in life.losses} == {"removed"}
    sink.mood = None
    await sink.until(lambda: not life.shipment.logs)
    lost = sum(loss.size_bytes for loss in life.losses)
    record = len(line("line 000001\n", number=1))
    assert len(sink.documents) == 5000 - lost // record


def lines(**settings: Any) -> Route:
    return Route(ship=True, fields={"app": "shop"}, lines=LineSettings(**settings))


async def test_an_event_that_nothing_comes_to_is_shipped_by_the_clock(
    sink: StrictSink, begin: Begin, log: DockerLog
) -> None:
    life = begin()
    log.write("ERROR x", "\tat a.B")
    await life.follow(log, route=lines(multiline="java", multiline_seconds=2.0))
    await sink.until(lambda: sink.messages == ["ERROR x\n\tat a.B"])
    await sink.until(lambda: not life.shipment.logs[CONTAINER].timed)
    await life.shipment.drain()
    saved = life.shipment._keeper.get(CONTAINER)
    assert saved is not None
    assert saved.progress.open == ()


@pytest.mark.parametrize("kills", range(3))
async def test_killed_again_and_again_every_event_arrives_once(
    sink: StrictSink, begin: Begin, log: DockerLog, kills: int
) -> None:
    sink.moods = [status(503), busy_items(7), reset_after_storing]
    log.max_files = 9
    route = lines(multiline="java", multiline_seconds=20.0)
    events: list[str] = []

    def write(count: int) -> None:
        for _ in range(count):
            traced = [f"ERROR {len(events)}", "\tat a.B", "Caused by: c", "\tat d.E " + "x" * 9]
            if len(events) % 50 == 0:
                traced.append("\t" + "y" * 20_000)
            log.write(*traced)
            events.append("\n".join(traced))

    for turn in range(6):
        life = begin(size_bytes=5000)
        write(700)
        log.write(f"ERROR {len(events)}")  # the event goes on behind the kill, and the rotation
        await life.follow(log, route=route)
        enough = sink.requests + kills
        everything = len(events)
        await sink.until(
            lambda: sink.requests > enough or len(sink.documents) >= everything  # noqa: B023
        )
        await life.kill()
        life.tasks = []
        if turn % 2:
            log.rotate(compress=turn % 4 == 1)
        log.write("\tat f.G")
        events.append(f"ERROR {len(events)}\n\tat f.G")
    life = begin()
    await life.follow(log, route=route)
    log.remove()
    await life.stir()
    await sink.until(lambda: not life.shipment.logs)
    assert sorted(sink.messages) == sorted(events)
    assert life.losses == []


async def test_what_rules_do_is_counted(sink: StrictSink, begin: Begin, log: DockerLog) -> None:
    life = begin()
    log.write("GET /healthz", "plain", '{"msg":"4111111111111111"}')
    await life.follow(log, route=lines(exclude=("healthz",), parse="json", redact=("card",)))
    await sink.until(lambda: len(sink.documents) == 2)
    assert sorted(sink.messages) == ["[redacted:card]", "plain"]

    def counted(name: str, **labels: str) -> float | None:
        return life.registry.get_sample_value(
            f"wharfinger_logshipper_{name}_total", {"sink": "main", **labels}
        )

    assert counted("dropped_lines", reason="exclude") == 1
    assert counted("unread_lines", what="parse") == 1
    assert counted("redactions", rule="card") == 1


async def test_a_log_of_which_nothing_is_shipped_is_acknowledged_all_the_same(
    sink: StrictSink, begin: Begin, log: DockerLog
) -> None:
    life = begin()
    log.write_numbered(1000)
    await life.follow(log, route=lines(include=("nothing",)))
    size = log.path.stat().st_size

    def read() -> int:
        saved = life.shipment._keeper.get(CONTAINER)
        return saved.progress.read.offset if saved else 0

    await sink.until(lambda: read() == size)
    assert sink.requests == 0


async def test_what_is_deleted_while_the_spool_is_written_is_spooled_as_well(
    begin: Begin, sink: StrictSink, log: DockerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.max_files = 2
    life = begin(hold_limit_bytes=0, spool_bytes=2**20)
    await life.follow(log)
    sink.mood = status(503)
    log.write_numbered(50)
    await life.stir()
    await sink.until(lambda: sink.requests > 1)
    spool_deleted, more, writing = Log.spool_deleted, [1, 2, 3], threading.Lock()

    def rotated() -> None:
        with writing:  # or one of the two threads rotates a file that has nothing yet
            log.write_numbered(2000)
            log.rotate()

    def spooled_meanwhile(self: Log, *given: Any) -> int:
        stored = spool_deleted(self, *given)
        if stored and more:
            more.pop()
            rotated()
            self.look()
        return stored

    monkeypatch.setattr(Log, "spool_deleted", spooled_meanwhile)
    while more:
        rotated()
        await life.stir()
        while life.shipment.logs[log.container_id].has_deleted:
            await asyncio.sleep(0.05)  # whoever only looks keeps the log from being spooled
            await life.stir()
    assert life.losses == []
    sink.mood = None
    await sink.until(complete(sink, log))
    assert life.losses == []


async def test_a_log_that_a_slow_sink_leaves_behind_is_spooled_and_read_from_there(
    begin: Begin, sink: StrictSink, log: DockerLog
) -> None:
    log.max_files = 2
    life = begin(hold_limit_bytes=0, spool_bytes=2**20)
    await life.follow(log)
    sink.mood = status(503)
    log.write_numbered(50)
    await life.stir()
    await sink.until(lambda: sink.requests > 1)
    for _ in range(4):
        log.write_numbered(2000)
        log.rotate()
        await life.stir()
        await sink.until(lambda: not life.shipment.logs[log.container_id].has_deleted)
    await life.kill()
    life.tasks = []
    assert life.losses == []
    life = begin(hold_limit_bytes=0, spool_bytes=2**20)
    await life.follow(log)
    sink.mood = None
    await sink.until(complete(sink, log))
    assert life.losses == []
    assert len(sink.documents) == len(log.written)
