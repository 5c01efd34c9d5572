"""Files read again: once they have settled, never half, and not after others took their place."""

import asyncio
import threading
from pathlib import Path

import pytest

from wharfinger.errors import ConfigError, Finding
from wharfinger.events import Events
from wharfinger.health import Health
from wharfinger.rereading import Rereading


class Watched:
    """A file whose content is used, unless it says `bad`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "file"
        self.write("first")
        self.used: list[str] = []
        self.check = Health(Events()).check("files")
        self.files = Rereading([self.path], self.read, self.used.append, self.check)

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def read(self) -> str:
        text = self.path.read_text() if self.path.exists() else "bad"
        if text == "bad":
            raise ConfigError([Finding("file", "is bad")])
        return text

    @property
    def healthy(self) -> bool:
        return self.check.report().healthy


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


async def looked(watched: Watched, times: int = 3) -> bool:
    return any([await watched.files.look() for _ in range(times)])


async def test_what_changed_is_used_once(watched: Watched) -> None:
    assert watched.files.first() == "first"
    assert watched.healthy
    assert not await looked(watched)
    watched.write("second!")
    assert not await watched.files.look()  # it may be half written
    assert await watched.files.look()
    assert not await looked(watched)
    assert watched.used == ["second!"]


async def test_a_change_before_the_first_reading_is_not_missed(watched: Watched) -> None:
    watched.write("between")
    assert watched.files.first() == "between"
    assert await looked(watched)
    assert watched.used == ["between"]


async def test_what_is_still_being_written_waits(watched: Watched) -> None:
    for text in ("s", "se", "sec"):
        watched.write(text)
        assert not await watched.files.look()
    assert await watched.files.look()
    assert watched.used == ["sec"]


async def test_what_is_bad_or_gone_is_refused_until_it_is_mended(watched: Watched) -> None:
    watched.write("bad")
    assert not await looked(watched)
    assert not watched.healthy
    watched.path.rename(watched.path.with_name("away"))
    assert not await looked(watched)
    watched.write("good again")
    assert await looked(watched)
    assert watched.healthy
    assert watched.used == ["good again"]


@pytest.mark.parametrize("text", ["bad", "good"])
async def test_what_was_replaced_meanwhile_says_nothing_more(
    watched: Watched, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.files.first()
    entered, go_on, read = threading.Event(), threading.Event(), watched.read

    def slow() -> str:
        entered.set()
        go_on.wait(30)
        return read()

    monkeypatch.setattr(watched.files, "_read", slow)
    watched.write(text)
    await watched.files.look()
    looking = asyncio.create_task(watched.files.look())
    await asyncio.to_thread(entered.wait, 30)
    watched.files.end()
    go_on.set()
    assert not await looking
    assert watched.used == []
    assert watched.healthy


@pytest.mark.parametrize("text", ["bad", "second!"])
async def test_a_look_that_took_longer_says_nothing_of_what_was_read_since(
    watched: Watched, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.files.first()
    read, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        monkeypatch.setattr(watched.files, "_read", watched.read)  # for whoever is next
        try:
            return watched.read()
        finally:
            read.set()
            go_on.wait(30)

    monkeypatch.setattr(watched.files, "_read", slow)
    watched.write(text)
    await watched.files.look()
    looking = asyncio.create_task(watched.files.look())
    await asyncio.to_thread(read.wait, 30)
    watched.write("the third")
    assert await asyncio.to_thread(watched.files.again)
    go_on.set()
    assert not await looking
    assert not await looked(watched)
    assert watched.used == ["the third"]
    assert watched.healthy
    assert watched.files.trouble == ""


async def test_who_has_reason_to_reads_at_once_what_has_not_settled(watched: Watched) -> None:
    watched.files.first()
    assert not watched.files.again()
    watched.write("second!")
    assert watched.files.again()
    assert not watched.files.again()
    assert not await looked(watched)
    assert watched.used == ["second!"]


async def test_what_is_bad_is_refused_at_once_and_told_by_the_next_look(watched: Watched) -> None:
    watched.files.first()
    watched.write("bad")
    with pytest.raises(ConfigError):
        watched.files.again()
    assert watched.healthy
    await looked(watched)
    assert not watched.healthy
    assert watched.files.trouble.startswith("refused, ")
    watched.write("third!!")
    assert watched.files.again()
    assert watched.healthy
    assert watched.files.trouble == ""
    assert watched.used == ["third!!"]


async def test_who_tells_it_otherwise_needs_no_check(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("first")
    used: list[str] = []
    files = Rereading([path], path.read_text, used.append)
    assert files.first() == "first"
    path.write_text("second!")
    await files.look()
    assert await files.look()
    assert (used, files.trouble) == (["second!"], "")
