"""Writes what was acknowledged into the checkpoint, as soon as the disk allows, off the loop."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from logshipper.checkpoint import Checkpoint
from logshipper.model import SavedLog
from wharfinger.health import Check

SYNC_SECONDS: Final = 1.0
# All logs are in one file: with thousands of them, each acknowledgement would write a megabyte.
BYTES_PER_SECOND: Final = 4 * 2**20


class Keeper:
    """How far each log of one sink was acknowledged, in memory and on disk.

    A save costs a rename, which on ext4 waits for the data to be written out: acknowledgements
    that come meanwhile, or soon after a large one, share the next one. A process that is killed in
    between sends them again, under the same ids.

    Args:
        checkpoint: on disk.
        check: red while it cannot be written.

    Attributes:
        folder: of the checkpoint.
        on_synced: told in a thread what is on the disk for certain, each time that it is.

    Raises:
        OSError: the checkpoint cannot be read.
    """

    def __init__(self, checkpoint: Checkpoint, check: Check) -> None:
        self.folder = checkpoint.folder
        self._checkpoint = checkpoint
        self._check = check
        self._logs = checkpoint.load()
        self._dirty = asyncio.Event()
        self._writing = asyncio.Lock()
        self._synced_at = 0.0
        self._saved: dict[str, SavedLog] = dict(self._logs)
        self.on_synced: Callable[[Mapping[str, SavedLog]], None] | None = None
        check.ok()

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._logs))

    def get(self, container_id: str) -> SavedLog | None:
        """What is known of a log."""
        return self._logs.get(container_id)

    def put(self, container_id: str, saved: SavedLog) -> None:
        """Notes that a log was acknowledged so far."""
        self._logs[container_id] = saved
        self._dirty.set()

    def forget(self, container_id: str) -> bool:
        """Drops a log that has come to its end; whether it was known."""
        self._dirty.set()
        return self._logs.pop(container_id, None) is not None

    async def keep(self) -> None:
        """Writes whenever something is new, for ever."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SYNC_SECONDS):
                    await self._dirty.wait()
            new = self._dirty.is_set()
            await self.write(sync=time.monotonic() - self._synced_at >= SYNC_SECONDS)
            if new:
                await asyncio.sleep(min(self._checkpoint.size_bytes / BYTES_PER_SECOND, 1.0))

    async def write(self, *, sync: bool) -> None:
        """Writes what is new now; with `sync` waits for the disk."""
        async with self._writing:
            try:
                if self._dirty.is_set():
                    self._dirty.clear()
                    logs = dict(self._logs)
                    await asyncio.to_thread(self._checkpoint.save, logs)
                    self._saved = logs
                if sync:
                    await asyncio.to_thread(self._sync)
                    self._synced_at = time.monotonic()
            except OSError as error:
                # What is acknowledged stays so; only a crash now would send it again.
                self._dirty.set()
                self._check.fail(f"{self.folder} cannot be written: {error.strerror}")
                await asyncio.sleep(SYNC_SECONDS)
            else:
                self._check.ok()

    def _sync(self) -> None:
        self._checkpoint.sync()
        if self.on_synced is not None:
            self.on_synced(self._saved)
