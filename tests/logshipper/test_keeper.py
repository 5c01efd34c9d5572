"""When the checkpoint is written: soon, but not over and over where it is large."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from logshipper import keeper as module
from logshipper.checkpoint import Checkpoint
from logshipper.keeper import Keeper
from logshipper.model import Position, Progress, SavedLog
from wharfinger.events import Events
from wharfinger.health import Health


def saved(offset: int) -> SavedLog:
    return SavedLog(Progress(Position(0, offset)), ())


@pytest.mark.parametrize(("logs", "least", "most"), [(1, 0.0, 0.001), (4000, 0.05, 1.0)])
async def test_a_large_checkpoint_is_not_written_at_each_acknowledgement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: int, least: float, most: float
) -> None:
    pauses: list[float] = []
    paused = asyncio.Event()

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        paused.set()
        await asyncio.Event().wait()

    keeper = Keeper(Checkpoint(tmp_path), Health(Events()).check("checkpoint"))
    for number in range(logs):
        keeper.put(f"{number:064x}", saved(number))
    monkeypatch.setattr(module.asyncio, "sleep", pause)
    task = asyncio.create_task(keeper.keep())
    await asyncio.wait_for(paused.wait(), 30)
    assert least < pauses[0] < most
    # A stop waits for no pause.
    keeper.put("f" * 64, saved(7))
    await keeper.write(sync=True)
    assert Checkpoint(tmp_path).load()["f" * 64] == saved(7)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_only_what_is_on_the_disk_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Segments go by it: an acknowledgement that comes while the disk works is not there yet."""
    keeper = Keeper(Checkpoint(tmp_path), Health(Events()).check("checkpoint"))
    told: list[set[str]] = []
    keeper.on_synced = lambda logs: told.append(set(logs))
    sync = Checkpoint.sync

    def slow(checkpoint: Checkpoint) -> None:
        sync(checkpoint)
        keeper.put("later", saved(2))

    monkeypatch.setattr(Checkpoint, "sync", slow)
    keeper.put("first", saved(1))
    await keeper.write(sync=True)
    assert told == [{"first"}]
    await keeper.write(sync=False)
    assert told == [{"first"}]
    await keeper.write(sync=True)
    assert told == [{"first"}, {"first", "later"}]


async def test_what_is_forgotten_is_gone_from_the_disk(tmp_path: Path) -> None:
    keeper = Keeper(Checkpoint(tmp_path), Health(Events()).check("checkpoint"))
    keeper.put("c", saved(1))
    await keeper.write(sync=True)
    assert keeper.forget("c")
    assert not keeper.forget("c")
    await keeper.write(sync=True)
    assert Checkpoint(tmp_path).load() == {}
