"""What the checkpoint holds of files in volumes, and when it goes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from logshipper.config import Config
from logshipper.fileshipping import FileShipping
from logshipper.inotify import Watches
from logshipper.model import Position, Progress, SavedLog
from tests.logshipper.life import Life
from tests.logshipper.strict_sink import StrictSink


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[Life]:
    async with StrictSink() as sink:
        made = Life(sink, tmp_path / "state")
        yield made
        await made.kill()


async def test_positions_in_volumes_that_are_removed_are_forgotten_and_no_others(
    life: Life, tmp_path: Path
) -> None:
    (tmp_path / "volumes" / "there" / "_data").mkdir(parents=True)
    (tmp_path / "binds").mkdir()
    kept = {
        f"volume:{tmp_path}/volumes/there/_data:/app.log",
        f"volume:{tmp_path}/away/gone/_data:/app.log",  # the disk of all volumes is not there
        f"volume:{tmp_path}/binds/gone:/app.log",  # no volume of Docker's
        f"host:{tmp_path}/volumes/gone/_data:/app.log",
        "c" * 64,
    }
    gone = {f"volume:{tmp_path}/volumes/gone/_data:/deep/app.log"}
    for key in kept | gone:
        life.shipment._keeper.put(key, SavedLog(Progress(Position(0, 9)), (), 7))
    watches = Watches(life.health.check("inotify"))
    shipping = FileShipping(Config(), [life.shipment], events=life.events, watches=watches)
    loops = dict(shipping.loops())
    task = asyncio.create_task(loops.pop("removed volumes"))  # type: ignore[arg-type]
    for loop in loops.values():
        loop.close()
    async with asyncio.timeout(10):
        while set(life.shipment.known()) != kept:  # noqa: ASYNC110 - of files
            await asyncio.sleep(0.01)
    assert [(loss.reason, loss.size_bytes) for loss in life.losses] == [("removed", 7)]
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
