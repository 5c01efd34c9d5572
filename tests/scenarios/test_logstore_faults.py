"""Every call of the store fails in turn; and its disk cannot be written, its process is frozen."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import pytest

from tests.stack.logstore import Sender, Server
from tests.stack.powercut import Recording
from tests.stack.storecheck import check_file, check_index, check_lines
from tests.stack.storelife import Body
from wharfinger.operator.parts.process import until

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(300)]

STEPS = (
    Body("t", 0, "a", 0, 9),
    Body("t", -1, "b", 0, 4),
    Body("t", 0, "a", 5, 12),
    Body("t", -1, "b", 2, 9),
)
FREEZE_SECONDS = 30

Record = Callable[[str, object], None]


@pytest.mark.parametrize(
    ("calls", "error"),
    [
        ("pwrite64,ftruncate,fallocate", "ENOSPC"),
        ("fsync,fdatasync", "EIO"),
        ("rename,mkdir,unlink", "EROFS"),
    ],
)
def test_each_call_fails_once(
    tmp_path: Path, calls: str, error: str, record_property: Record
) -> None:
    """Each is refused or does no harm; the same life goes on, and nothing is lost or twice."""
    (tmp_path / "0").mkdir()
    count = _count(Recording(tmp_path / "0"), calls, tmp_path / "0/calls0")

    def fails(number: int) -> int:
        folder = tmp_path / str(number)
        folder.mkdir()
        recording = Recording(folder)
        notes = recording.live(STEPS, f"{calls}:error={error}:when={number}")
        assert notes.count("done") == len(STEPS)
        promised = {word for body in STEPS for word in body.words()}
        check_lines(recording.root, "t", promised, promised)
        check_index(recording.root, "t", promised)
        for path in recording.root.glob("*/*.db"):
            check_file(path)
        return notes.count("refused")

    with ThreadPoolExecutor(2) as threads:
        refused = list(threads.map(fails, range(1, count + 1)))
    record_property(f"{error} in turn", f"{count} calls, {sum(map(bool, refused))} refused a body")
    assert any(refused)


def _count(recording: Recording, calls: str, log: Path) -> int:
    recording.live(STEPS)
    return len(re.findall(rf"^\d+ +(?:{calls.replace(',', '|')})\(", log.read_text(), re.MULTILINE))


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    # A frozen store answers nobody; senders give up and send again.
    patience = aiohttp.ClientTimeout(total=None, sock_read=10)
    async with aiohttp.ClientSession(timeout=patience) as session:
        yield session


async def test_frozen_for_a_while(tmp_path: Path, client: aiohttp.ClientSession) -> None:
    server = Server(tmp_path, client)
    await server.start()
    try:
        senders = [Sender(server, number) for number in range(4)]
        stop = asyncio.Event()
        running = [asyncio.create_task(sender.run(stop)) for sender in senders]

        def acknowledged() -> set[str]:
            return set[str]().union(*(sender.acknowledged for sender in senders))

        async def some() -> bool:
            return len(acknowledged()) > 2_000

        await until(some, timeout_seconds=60, what="lines are acknowledged")
        server.process.freeze()
        await asyncio.sleep(FREEZE_SECONDS)
        server.process.thaw()
        before = len(acknowledged())

        async def more() -> bool:
            return len(acknowledged()) > before + 2_000

        await until(more, timeout_seconds=60, what="lines are acknowledged again")
        stop.set()
        await asyncio.gather(*running)
        assert sorted(await server.messages()) == sorted(acknowledged())

        async def healthy() -> bool:
            return bool((await server.get("/healthz"))["healthy"])

        await until(healthy, timeout_seconds=30, what="health is green")
    finally:
        await server.process.kill()


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """The folder of a tenant, on a disk that cannot be written."""
    folder = tmp_path / "data" / "default"
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=64m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.real
async def test_a_folder_cannot_be_written_and_is_mended(
    read_only: Path, tmp_path: Path, client: aiohttp.ClientSession
) -> None:
    server = Server(tmp_path, client)
    await server.start()
    try:
        assert await server.bulk({"c.1.1": "line"}) == {}

        async def red() -> bool:
            health = await server.get("/healthz")
            return not health["healthy"] and "cannot write" in health["why"]

        await until(red, timeout_seconds=30, what="health says why")
        mended = ["mount", "-o", "remount,rw", str(read_only)]
        await asyncio.to_thread(subprocess.run, mended, check=True)

        async def taken() -> bool:
            return set((await server.bulk({"c.1.1": "line"})).values()) == {201}

        await until(taken, timeout_seconds=30, what="lines are taken again")
        assert await server.messages() == ["line"]
    finally:
        await server.process.kill()
