"""The last lines of a log and what comes, read from real files as the shipper reads them."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from logshipper.lastlines import begin
from logshipper.linesettings import LineSettings
from logshipper.livetail import Document, Place, Reader, Wish, caught_up
from logshipper.model import Route
from logshipper.tailcommand import line as shown
from logshipper.tailcommand import unknown
from tests.logshipper.dockerlog import DockerLog

EPOCH = 1_782_900_000.0  # 2026-07-01T10:00:00Z


@pytest.fixture
def log(tmp_path: Path) -> DockerLog:
    return DockerLog(tmp_path)


class Screen:
    """What was shown and complained of."""

    def __init__(self) -> None:
        self.documents: list[Document] = []
        self.complaints: list[str] = []

    @property
    def texts(self) -> list[str]:
        return [each["message"] for each in self.documents]

    async def tail(
        self, log: DockerLog, wish: Wish, lines: LineSettings | None = None, *, follow: bool = False
    ) -> Reader:
        route = Route(ship=True, lines=lines or LineSettings())
        place = Place(log.container_id, log.folder, log.base, route, 2**20)
        complain, show = self.complaints.append, self.documents.append
        return await caught_up(place, wish, complain, show, follow=follow)


async def last(
    log: DockerLog, count: int | None, since: float | None = None, **lines: Any
) -> list[str]:
    screen = Screen()
    reader = await screen.tail(log, Wish(count, since), LineSettings(**lines))
    reader.close()
    assert not screen.complaints
    return screen.texts


async def test_the_last_lines_across_rotated_and_compressed_files(log: DockerLog) -> None:
    log.write_numbered(2000)
    log.rotate(compress=True)
    log.write_numbered(2000)
    log.rotate()
    log.write_numbered(3)
    assert await last(log, 2) == log.written[-2:]
    assert await last(log, 10) == log.written[-10:]
    assert await last(log, 3500) == log.written[-3500:]
    assert await last(log, None) == log.written
    assert await last(log, 9999) == log.written
    assert await last(log, 0) == []


async def test_a_huge_log_is_not_read_whole(log: DockerLog) -> None:
    log.write_numbered(20_000)
    assert log.path.stat().st_size > 2**20
    found = begin(str(log.folder), log.base, 64 * 2**10)
    assert found.saved is not None
    offset = found.saved.progress.read.offset
    assert log.path.stat().st_size - 64 * 2**10 <= offset < log.path.stat().st_size
    with log.path.open("rb") as file:
        file.seek(offset - 1)
        assert file.read(2) == b"\n{"


async def test_a_line_that_is_longer_than_the_window_comes_whole(log: DockerLog) -> None:
    log.write("before", "x" * 200_000, "after")
    assert await last(log, 2) == log.written[-2:]
    assert await last(log, 3) == log.written


async def test_since_a_time(log: DockerLog) -> None:
    # Each number is a second later than the one before, within a minute.
    log.write_numbered(50)
    assert await last(log, None, EPOCH + 40) == log.written[39:]
    assert await last(log, 3, EPOCH + 40) == log.written[-3:]
    assert await last(log, None, EPOCH + 4000) == []
    assert await last(log, None, EPOCH - 1) == log.written


async def test_rules_are_applied_and_events_are_put_together(log: DockerLog) -> None:
    log.write("Traceback (most recent call last):", "  File x", "ValueError: y", "done")
    assert await last(log, 2, multiline="python", multiline_seconds=9.0) == [
        "\n".join(log.written[:3]),
        "done",
    ]


async def test_a_folder_that_is_not_there_yet_has_no_lines(log: DockerLog, tmp_path: Path) -> None:
    log.remove()
    assert await last(log, 10) == []


async def test_what_comes_is_followed_across_rotation_until_the_container_is_gone(
    log: DockerLog,
) -> None:
    log.write("old", "older")
    screen = Screen()
    reader = await screen.tail(log, Wish(1), follow=True)
    assert screen.texts == ["older"]

    async def follow() -> None:
        async for document in reader.coming():
            screen.documents.append(document)

    async def until(count: int) -> None:
        async with asyncio.timeout(30):
            while len(screen.documents) < count:  # noqa: ASYNC110 - of files
                await asyncio.sleep(0.02)

    following = asyncio.create_task(follow())
    log.write_numbered(5)
    await until(6)
    log.rotate()
    log.write_numbered(5)
    await until(11)
    log.write("last")
    log.remove()
    async with asyncio.timeout(30):
        await following
    assert screen.texts == log.written[1:]
    assert not screen.complaints
    reader.close()


async def test_files_that_were_read_to_their_end_are_not_kept(log: DockerLog) -> None:
    log.write("old")
    reader = await Screen().tail(log, Wish(1), follow=True)
    for _ in range(6):
        log.write_numbered(3)
        log.rotate()
        log.write_numbered(3)
        assert len([each async for each in reader.there()]) == 6
    assert len(held_below(log.folder)) <= 2
    reader.close()


def held_below(folder: Path) -> list[str]:
    """Files in a folder that this process has open, deleted or not."""
    held = [str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    return [each for each in held if each.startswith(str(folder))]


HOSTILE = "\x1b]0;title\x07\x1b[2J\x1b[31mred \x9b31m \u202eabc\r\nforged\x00"


@pytest.mark.parametrize("colours", [True, False])
def test_hostile_text_drives_no_terminal(colours: bool) -> None:
    document = {"@timestamp": HOSTILE, "stream": HOSTILE, "level": HOSTILE, "message": HOSTILE}
    text = shown(document, colours=colours)
    for allowed in ("\x1b[2m", "\x1b[0m", "\x1b[31m"):
        text = text.replace(allowed, "") if colours else text
    assert text.isprintable()
    assert "\\u001b]0;title" in text


def test_a_line_as_people_read_it() -> None:
    time = "2026-07-01T10:00:00.123456789Z"
    document = {"@timestamp": time, "stream": "stderr", "message": "hi"}
    assert shown(document, colours=False) == "2026-07-01T10:00:00.123Z stderr hi"
    assert "\x1b[31mstderr\x1b[0m" in shown(document, colours=True)


def test_who_is_meant_by_a_name_that_nobody_has() -> None:
    names = {"aa11" + "0" * 60: "shop-web", "aa22" + "0" * 60: "shop-db", "bb" * 32: "cron"}
    assert "did you mean shop-web" in unknown("shop-wbe", names)
    assert "shop-db" in unknown("shop", names)
    assert "2 containers' ids begin with 'aa': shop-db (aa22" in unknown("aa", names)
    assert "there are cron, shop-db, shop-web" in unknown("zzz", names)
    assert "Docker has none" in unknown("zzz", {})
