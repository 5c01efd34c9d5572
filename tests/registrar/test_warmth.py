"""The process beside the registrar: there while it lives, back when it was killed, gone after."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
from prometheus_client import CollectorRegistry

from registrar.ports import warmth
from registrar.ports.warmth import Warmth
from tests.stack.rights import with_only
from tests.stack.runtime import FIRST, RuntimeHost
from wharfinger.events import Events
from wharfinger.operator.parts.process import freeze, until

WAIT_SECONDS = 30.0


class Kept:
    def __init__(self, folder: Path) -> None:
        self.host = RuntimeHost(folder)
        self.events = Events()
        self.metrics = CollectorRegistry()
        self.warmth = Warmth(folder, self.events, self.metrics)

    def pid(self) -> int:
        with contextlib.suppress(OSError, IndexError):
            return int(self.host.owner.read_text().split()[0])
        return 0

    async def until_another(self, before: int = 0) -> int:
        async def there() -> bool:
            return self.pid() not in (0, before)

        await until(there, timeout_seconds=WAIT_SECONDS, what="a process is announced")
        return self.pid()

    async def until_told(self, kind: str) -> dict[str, object]:
        async def told() -> bool:
            return kind in [line["event"] for _, line in self.events.since(0)]

        await until(told, timeout_seconds=WAIT_SECONDS, what=f"{kind!r} is told")
        return next(line for _, line in self.events.since(0) if line["event"] == kind)

    def count(self, outcome: str) -> float:
        labels = {"outcome": outcome}
        return self.metrics.get_sample_value("wharfinger_registrar_warm_starts_total", labels) or 0


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    kept = Kept(tmp_path)
    task = asyncio.create_task(kept.warmth.run())
    try:
        yield kept
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_it_serves_and_is_gone_with_the_registrar(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    task = asyncio.create_task(kept.warmth.run())
    pid = await kept.until_another()
    mark = kept.host.refuse_cold()
    assert await asyncio.to_thread(kept.host.create) == FIRST
    assert not mark.exists()

    async def counted() -> bool:
        return kept.count("done") == 1

    await until(counted, timeout_seconds=WAIT_SECONDS, what="the start is counted")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not psutil.pid_exists(pid)
    left = await asyncio.to_thread(lambda: list(tmp_path.iterdir()))
    assert not {"create.fifo", kept.host.owner.name} & {each.name for each in left}


def test_without_the_right_to_end_a_sleep_it_is_of_no_use() -> None:
    def is_none() -> None:
        assert not warmth.is_of_use()

    assert warmth.is_of_use()
    with_only(is_none, "CAP_SYS_PTRACE", uid=65_534)


async def test_killed_it_comes_back_and_that_is_told(kept: Kept) -> None:
    pid = await kept.until_another()
    os.kill(pid, signal.SIGKILL)
    assert (await kept.until_told("warm process ended"))["why"] == "exit code -9"
    await kept.until_another(pid)
    mark = kept.host.refuse_cold()
    assert await asyncio.to_thread(kept.host.create) == FIRST
    assert not mark.exists()


async def test_cleaned_away_its_pipe_comes_back(kept: Kept) -> None:
    pid = await kept.until_another()
    path = kept.host.folder / "create.fifo"
    await asyncio.to_thread(path.unlink)
    assert (await kept.until_told("warm process ended"))["why"] == f"{path} is another one now"
    await kept.until_another(pid)
    mark = kept.host.refuse_cold()
    assert await asyncio.to_thread(kept.host.create) == FIRST
    assert not mark.exists()


async def test_a_frozen_one_keeps_no_registrar_from_its_stop(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    task = asyncio.create_task(kept.warmth.run())
    pid = await kept.until_another()
    freeze(pid)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, WAIT_SECONDS)

    async def gone() -> bool:
        return not psutil.pid_exists(pid)

    await until(gone, timeout_seconds=WAIT_SECONDS, what="it is gone")


async def test_what_it_leaves_undone_is_told_and_counted(kept: Kept) -> None:
    await kept.until_another()
    kept.host.table.unlink()
    assert await asyncio.to_thread(kept.host.create) == 0
    told = await kept.until_told("warm start left")
    assert str(told["why"]).startswith("FileNotFoundError: ")
    assert kept.count("left") == 1
    with (kept.host.folder / "create.fifo").open("w") as pipe:
        pipe.write("hello\n")
    assert (await kept.until_told("warm start garbage"))["why"] == "no count of words"


@pytest.fixture(params=["No such file", "No space left"])
def unusable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder in which nothing can be, and why."""
    why: str = request.param
    folder = tmp_path / "folder"
    if why == "No such file":
        yield folder, why
        return
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", folder], check=True)
    (folder / "all").write_bytes(bytes(4_096))
    yield folder, why
    subprocess.run(["umount", folder], check=True)


async def test_where_it_cannot_be_that_is_told(unusable: tuple[Path, str]) -> None:
    (folder, why), events = unusable, Events()
    task = asyncio.create_task(Warmth(folder, events, CollectorRegistry()).run())

    async def told() -> bool:
        return events.last > 0

    await until(told, timeout_seconds=WAIT_SECONDS, what="its end is told")
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(why in str(line["why"]) for _, line in events.since(0))


def test_it_does_not_outlive_a_registrar_that_is_killed(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from prometheus_client import CollectorRegistry
from registrar.ports import warmth
from registrar.ports.warmth import Warmth
from wharfinger.events import Events
asyncio.run(Warmth(Path(sys.argv[1]), Events(), CollectorRegistry()).run())
"""
    owner = tmp_path / "create.fifo.owner"
    with subprocess.Popen([sys.executable, "-c", program, tmp_path]) as registrar:
        give_up_at = time.monotonic() + WAIT_SECONDS
        while not owner.exists():
            assert time.monotonic() < give_up_at
            time.sleep(0.01)
        pid = int(owner.read_text().split()[0])
        registrar.kill()
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
    assert not owner.exists()
