"""The last lines of a log behind Docker's API and what comes, from an engine that has its ways."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from logshipper import apilivetail
from logshipper.api.anchor import WINDOW
from logshipper.apilivetail import Asked
from logshipper.livetail import Document, Place, Reader, Wish
from logshipper.model import Route
from tests.logshipper.test_api_stream import ID, FakeEngine
from wharfinger.container import Container
from wharfinger.errors import Rejected, Unavailable

ALIKE = 5000


class OneMoment(FakeEngine):
    """So many lines were written at the same time."""

    def _framed(self, number: int, text: bytes) -> bytes:
        return super()._framed(max(number, ALIKE), text)


class Screen:
    """What was shown and complained of."""

    def __init__(self, engine: FakeEngine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.documents: list[Document] = []
        self.complaints: list[str] = []

    @property
    def texts(self) -> list[str]:
        return [each["message"] for each in self.documents]

    async def tail(self, wish: Wish, *, follow: bool = False) -> Reader:
        container = Container(ID, name="web", running=self.engine.running, log_driver="journald")
        place = Place(ID, self.folder, "-", Route(ship=True, driver="journald"), 2**20)
        asked = Asked(self.engine, self.engine, container)
        complain, show = self.complaints.append, self.documents.append
        return await apilivetail.caught_up(asked, place, wish, complain, show, follow=follow)

    async def follow(self, reader: Reader) -> None:
        async for document in reader.coming():
            self.documents.append(document)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await self.engine.tell()
                await asyncio.sleep(0.01)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


async def test_no_more_is_asked_for_than_is_needed(engine: FakeEngine, tmp_path: Path) -> None:
    texts = [f"line {n}" for n in range(1, 20_001)]
    engine.write(*texts)
    # A line is written in each second.
    for wish, shown, last in (
        (Wish(0), 0, WINDOW),
        (Wish(10), 10, WINDOW),
        (Wish(5000), 5000, 10_000),
        (Wish(None, 19_991), 10, WINDOW),
        (Wish(3, 19_001), 3, 4096),
        (Wish(None, 19_001), 1000, 4096),
        (Wish(None, 1), 20_000, None),
        (Wish(None), 20_000, None),
    ):
        screen = Screen(engine, tmp_path)
        (await screen.tail(wish)).close()
        assert screen.texts == texts[len(texts) - shown :]
        assert not screen.complaints
        assert engine.asked[-1] == (False, last)
    assert engine.open == 0


async def test_a_short_log_is_shown_whole(engine: FakeEngine, tmp_path: Path) -> None:
    engine.write("one", "two")
    for wish, shown in ((Wish(10), 2), (Wish(2), 2), (Wish(None, 2), 1), (Wish(None, 9), 0)):
        screen = Screen(engine, tmp_path)
        (await screen.tail(wish)).close()
        assert screen.texts == ["one", "two"][2 - shown :]
    engine.lines.clear()
    screen = Screen(engine, tmp_path)
    (await screen.tail(Wish(10))).close()
    assert screen.texts == []


async def test_lines_that_are_all_alike_are_shown_once(tmp_path: Path) -> None:
    engine = OneMoment()
    engine.write(*["same"] * ALIKE)
    screen = Screen(engine, tmp_path)
    reader = await screen.tail(Wish(2), follow=True)
    following = asyncio.create_task(screen.follow(reader))
    engine.write("same", "other")
    await screen.until(lambda: len(screen.documents) == 4 and engine.follows)
    engine.removed = True
    await screen.until(following.done)
    await following
    assert screen.texts == ["same", "same", "same", "other"]
    assert not screen.complaints
    reader.close()


async def test_one_that_cannot_be_read_or_is_gone_is_refused(
    engine: FakeEngine, tmp_path: Path
) -> None:
    screen = Screen(engine, tmp_path)
    engine.refuses = "configured logging driver does not support reading"
    with pytest.raises(Rejected, match="does not support reading"):
        await screen.tail(Wish(1))
    engine.refuses, engine.down = "", "away"
    with pytest.raises(Unavailable, match="away"):
        await screen.tail(Wish(1))
    engine.down, engine.removed = "", True
    with pytest.raises(Rejected, match="container web was removed"):
        await screen.tail(Wish(1))


async def test_a_refusal_while_it_is_followed_ends_it(engine: FakeEngine, tmp_path: Path) -> None:
    engine.write("one")
    screen = Screen(engine, tmp_path)
    reader = await screen.tail(Wish(1), follow=True)
    engine.refuses = "no more"
    with pytest.raises(Rejected, match="no more"):
        async with asyncio.timeout(10):
            await screen.follow(reader)
    assert screen.texts == ["one"]
    reader.close()


async def test_an_engine_that_is_down_is_told_once_and_waited_for(
    engine: FakeEngine, tmp_path: Path
) -> None:
    engine.write("one")
    screen = Screen(engine, tmp_path)
    reader = await screen.tail(Wish(1), follow=True)
    engine.down = "away"
    following = asyncio.create_task(screen.follow(reader))
    await screen.until(lambda: bool(screen.complaints))
    engine.down = ""
    engine.write("two")
    await screen.until(lambda: len(screen.complaints) == 2)
    assert screen.texts == ["one", "two"]
    assert screen.complaints == ["away", "the log can be read again"]
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert engine.open == 0
    reader.close()
