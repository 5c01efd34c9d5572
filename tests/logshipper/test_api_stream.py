"""A stream against an engine that rotates, falls silent, goes away and lies as Docker does."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from logshipper.api import stream as module
from logshipper.api.stream import Pieces, Stream
from logshipper.api.tail import ApiTail
from logshipper.api.written import LOCAL_FILE, Written
from logshipper.model import Progress, SavedLog
from wharfinger.container import Container
from wharfinger.errors import Rejected, Unavailable

ID = "ab" * 32


@dataclass
class FakeEngine:
    """Holds one log.

    Attributes:
        lines: that it still has, each with its number.
        silent: an open answer says nothing any more, whatever is written.
        skips: an open answer leaves out lines with these numbers.
        down: why it cannot be asked.
        refuses: why it will not answer.
        running: the container does.
        asked: how each answer was asked for: follow, and how many of the last entries.
    """

    lines: list[tuple[int, bytes]] = field(default_factory=list)
    silent: bool = False
    skips: set[int] = field(default_factory=set)
    down: str = ""
    refuses: str = ""
    running: bool = True
    removed: bool = False
    asked: list[tuple[bool, int | None]] = field(default_factory=list)
    open: int = 0
    waiting: bool = False
    tty: bool = False
    written: int = 0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def follows(self) -> bool:
        """An answer is open, and has said what there is."""
        return self.open == 1 and self.waiting

    def write(self, *texts: str) -> None:
        for text in texts:
            self.written += 1
            self.lines.append((self.written, text.encode() + b"\n"))

    async def tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def inspect(self, container_id: str) -> Container | None:
        self._may_be_asked()
        return None if self.removed else Container(container_id, running=self.running)

    @contextlib.asynccontextmanager
    async def logs(
        self, container_id: str, *, follow: bool, last: int | None, terminal: bool = False
    ) -> AsyncIterator[Pieces | None]:
        self._may_be_asked()
        self.asked.append((follow, last))
        self.waiting = False
        if self.removed:
            yield None
            return
        self.open += 1
        there = self.lines if last is None else self.lines[-last:]
        pieces = self._pieces(list(there), follow=follow)
        try:
            yield pieces
        finally:
            self.open -= 1
            await pieces.aclose()

    async def _pieces(
        self, there: list[tuple[int, bytes]], *, follow: bool
    ) -> AsyncGenerator[tuple[bytes, bool], None]:
        said = self.written
        for number, text in there:
            yield self._framed(number, text), True
        while follow and self.running and not self.removed:
            self._may_be_asked()
            for number, text in list(self.lines):
                if number > said and not self.silent and number not in self.skips:
                    yield self._framed(number, text), True
            said = self.written
            self.waiting = True
            async with self._changed:
                await self._changed.wait()
            self.waiting = False

    def _framed(self, number: int, text: bytes) -> bytes:
        time = datetime.fromtimestamp(number, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000000Z")
        payload = time.encode() + b" " + text
        if self.tty:
            return payload
        return b"\x01\0\0\0" + len(payload).to_bytes(4, "big") + payload

    def _may_be_asked(self) -> None:
        if self.down:
            raise Unavailable(self.down)
        if self.refuses:
            raise Rejected(self.refuses)


class Reading:
    """A stream that runs, the file beside it, and what was taken of its tail."""

    def __init__(
        self, engine: FakeEngine, folder: Path, saved: SavedLog | None = None, driver: str = "local"
    ) -> None:
        self.engine = engine
        self.folder = folder / ID
        self.file = self.folder / LOCAL_FILE
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.touch()
        self.tail = ApiTail(saved)
        self.texts: list[str] = []
        self.gaps = 0
        self.taking = True
        container = Container(ID, running=True, tty=engine.tty)
        written = Written(str(self.folder), driver, {})
        self.stream = Stream(
            engine,
            engine,
            container,
            self.tail,
            written,
            gate=asyncio.Semaphore(2),
            on_data=lambda: None,
        )
        self.task = asyncio.create_task(self.stream.run())

    async def until(self, *texts: str, seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            while self.texts != list(texts):
                await self.engine.tell()
                self.take()
                assert len(self.texts) <= len(texts), self.texts
                await asyncio.sleep(0.005)

    async def until_state(self, state: str) -> None:
        async with asyncio.timeout(10):
            while self.tail.state != state or (state == "follows" and not self.engine.follows):
                await self.engine.tell()
                await asyncio.sleep(0.005)

    def take(self) -> None:
        while self.taking and (chunk := self.tail.read()) is not None:
            self.texts += [entry.text.decode().strip() for entry in chunk.entries]
            self.gaps += chunk.gap
            self.end = chunk.end

    def rotate(self) -> None:
        self.file.rename(self.file.with_suffix(".1"))
        self.file.touch()

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICK_SECONDS", 0.03)
    monkeypatch.setattr(module, "STALL_SECONDS", 0.05)
    monkeypatch.setattr(module, "AUDIT_SECONDS", 0.05)
    monkeypatch.setattr(module, "POLL_SECONDS", (0.01, 0.02))


@pytest.fixture
async def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def reading(engine: FakeEngine, tmp_path: Path) -> AsyncIterator[Reading]:
    made = Reading(engine, tmp_path)
    yield made
    await made.stop()


async def test_what_there_is_comes_first_and_then_what_comes(
    engine: FakeEngine, reading: Reading
) -> None:
    engine.write("one", "two")
    await reading.until("one", "two")
    await reading.until_state("follows")
    engine.write("three")
    await engine.tell()
    await reading.until("one", "two", "three")
    assert engine.asked[0] == (False, None)
    assert engine.asked[-1][0]
    assert engine.open == 1


async def test_a_later_life_goes_on_behind_what_was_acknowledged(
    engine: FakeEngine, reading: Reading, tmp_path: Path
) -> None:
    engine.write(*(f"line {n}" for n in range(1000)))
    await reading.until(*(f"line {n}" for n in range(1000)))
    saved = reading.tail.saved(Progress(reading.end))
    engine.write("new")
    later = Reading(engine, tmp_path, saved)
    try:
        await later.until("new")
        assert later.gaps == 0
    finally:
        await later.stop()


async def test_rotation_below_an_open_answer_costs_nothing(
    engine: FakeEngine, reading: Reading
) -> None:
    """Engine 20.10 leaves out what is between: measured, 51,283 of 200,000 lines."""
    engine.write("one")
    await reading.until("one")
    await reading.until_state("follows")
    engine.skips = {2, 3}
    engine.write("two", "three", "four")
    reading.rotate()
    await engine.tell()
    await reading.until("one", "two", "three", "four")
    engine.write("five")
    await engine.tell()
    await reading.until("one", "two", "three", "four", "five")
    assert reading.gaps == 0


async def test_an_answer_that_is_silent_while_the_file_grows_is_not_believed(
    engine: FakeEngine, reading: Reading
) -> None:
    engine.write("one")
    await reading.until("one")
    await reading.until_state("follows")
    engine.silent = True
    for number in range(20):
        engine.write(f"more {number}")
        reading.file.write_bytes(b"x" * (number + 1))
        await asyncio.sleep(0.05)
        reading.take()
        if len(reading.texts) > 1:
            break
    assert reading.texts[1] == "more 0"


async def test_where_no_file_tells_the_last_entry_is_asked_for(
    engine: FakeEngine, tmp_path: Path
) -> None:
    reading = Reading(engine, tmp_path, driver="journald")
    try:
        engine.write("one")
        await reading.until("one")
        await reading.until_state("follows")
        engine.silent = True
        engine.write("two")
        await reading.until("one", "two")
        assert (False, 1) in engine.asked
    finally:
        await reading.stop()


async def test_without_a_file_to_watch_it_looks_at_times(
    engine: FakeEngine, tmp_path: Path
) -> None:
    reading = Reading(engine, tmp_path)
    reading.file.unlink()
    try:
        engine.write("one")
        await reading.until("one")
        await reading.until_state("looks at times")
        engine.write("two", "three")
        await reading.until("one", "two", "three")
        assert not any(follow for follow, _ in engine.asked)
    finally:
        await reading.stop()


async def test_entries_that_are_gone_are_told_and_the_rest_is_read(
    engine: FakeEngine, reading: Reading
) -> None:
    engine.write("one")
    await reading.until("one")
    engine.down = "dockerd is down"
    await engine.tell()
    await reading.until_state("cannot be reached")
    assert reading.tail.trouble == "dockerd is down"
    engine.write("lost", "there")
    del engine.lines[:2]
    engine.down = ""
    await reading.until("one", "there")
    assert reading.gaps == 1
    [loss] = reading.tail.losses()
    assert (loss.reason, loss.size_bytes) == ("rotated", 0)
    assert reading.tail.trouble == ""


async def test_what_is_not_taken_closes_the_answer_and_is_read_later(
    engine: FakeEngine, reading: Reading
) -> None:
    texts = [f"{n} " + "x" * 20_000 for n in range(30)]
    engine.write(*texts)
    reading.taking = False
    await reading.until_state("waits for the sink")
    assert engine.open == 0
    assert reading.tail.unread_bytes < 200_000
    reading.taking = True
    await reading.until(*texts)
    assert reading.gaps == 0


async def test_a_container_that_stops_is_read_again_when_it_starts(
    engine: FakeEngine, reading: Reading
) -> None:
    engine.write("one")
    await reading.until("one")
    await reading.until_state("follows")
    engine.write("last")
    engine.running = False
    await engine.tell()
    await reading.until("one", "last")
    await reading.until_state("has stopped")
    engine.running = True
    engine.write("again")
    reading.stream.stir()
    await reading.until("one", "last", "again")


async def test_a_removed_container_ends_its_log_and_nothing_is_lost(
    engine: FakeEngine, reading: Reading
) -> None:
    engine.write("one")
    await reading.until("one")
    await reading.until_state("follows")
    engine.write("last")
    engine.running = False
    await engine.tell()
    await reading.until("one", "last")
    engine.removed = True
    reading.stream.stir()
    await reading.task
    assert reading.tail.ended
    assert reading.tail.losses() == []


async def test_an_end_is_told_once_however_long_its_last_lines_wait(
    engine: FakeEngine, reading: Reading
) -> None:
    reading.taking = False
    engine.write("one")
    async with asyncio.timeout(10):
        while not reading.tail.unread_bytes:
            await engine.tell()
            await asyncio.sleep(0.005)
    engine.removed = True
    reading.stream.stir()
    await engine.tell()
    await reading.task
    assert not reading.tail.ended
    asked = len(engine.asked)
    await asyncio.sleep(0.05)
    assert len(engine.asked) == asked
    assert len(reading.tail.losses()) <= 1
    reading.taking = True
    reading.take()
    assert (reading.texts, reading.tail.ended) == (["one"], True)


async def test_one_that_was_removed_while_nobody_read_it_is_told(
    engine: FakeEngine, reading: Reading
) -> None:
    engine.write("one")
    await reading.until("one")
    await reading.until_state("follows")
    engine.down = "dockerd is down"
    await engine.tell()
    await reading.until_state("cannot be reached")
    engine.removed, engine.down = True, ""
    await reading.task
    [loss] = reading.tail.losses()
    assert loss.reason == "removed"
    assert "nobody knows" in loss.why


async def test_a_log_that_docker_cannot_read_is_refused(
    engine: FakeEngine, reading: Reading
) -> None:
    engine.refuses = "does not support reading"
    await engine.tell()
    with pytest.raises(Rejected, match="does not support reading"):
        await reading.task


async def test_a_terminals_log_is_read_by_chunks(engine: FakeEngine, tmp_path: Path) -> None:
    engine.tty = True
    reading = Reading(engine, tmp_path)
    try:
        engine.write("one", "two")
        await reading.until("one", "two")
    finally:
        await reading.stop()


def test_a_log_of_one_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / LOCAL_FILE).parent.mkdir()
    (tmp_path / LOCAL_FILE).touch()
    for options, followed in (({}, True), ({"max-file": "1"}, False), ({"max-file": "2"}, True)):
        written = Written(str(tmp_path), "local", options)
        assert written.may_be_followed(written.look()) is followed
    away = Written(str(tmp_path), "syslog", {})
    assert not away.may_be_followed(away.look())
    assert Written(str(tmp_path / "gone"), "local", {}).look().gone


async def test_a_file_that_was_cut_is_not_the_same(tmp_path: Path) -> None:
    file = tmp_path / LOCAL_FILE
    file.parent.mkdir()
    file.write_bytes(b"12345")
    written = Written(str(tmp_path), "local", {})
    before = written.look()
    assert await written.same(before)
    file.write_bytes(b"1234567")
    assert await written.same(before)
    file.write_bytes(b"1")
    assert not await written.same(before)


async def test_a_short_log_is_asked_for_once_and_then_followed(
    engine: FakeEngine, reading: Reading
) -> None:
    """Its only entry is the anchor, and nothing before it says where the log begins."""
    engine.write("one")
    await reading.until("one")
    await reading.until_state("follows")
    asked = len(engine.asked)
    await asyncio.sleep(0.3)
    assert len(engine.asked) == asked


async def test_two_rotations_between_two_looks_are_not_taken_for_none(tmp_path: Path) -> None:
    """Docker deletes its oldest file, and the next one that it makes may have that inode."""
    file = tmp_path / LOCAL_FILE
    file.parent.mkdir()
    file.touch()
    written = Written(str(tmp_path), "local", {})
    before = written.hold()
    try:
        for _ in range(50):
            file.unlink()
            file.touch()
            assert not await written.same(before)
    finally:
        written.release()
