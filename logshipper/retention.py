"""What Docker deletes before a sink has taken it: spooled, else held open, else a counted loss."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from math import inf
from typing import Final

from logshipper.log import Log
from logshipper.metrics import Metrics
from logshipper.model import SavedLog
from logshipper.spool import Spool
from wharfinger.health import Check

# A disk that is full stays so for a while.
RETRY_SECONDS: Final = 1.0


class Retention:
    """Watches over the deleted files of all logs of one sink.

    A file that is held open keeps its bytes only as long as this process lives, and keeps them
    uncompressed on Docker's disk. So while the sink does not take what there is, deleted files
    are copied into the spool; as long as it does, they are read before that would be worth it.

    Args:
        name: the sink's.
        spool: of this sink.
        hold_limit_bytes: unread bytes in deleted files of all logs that may be held open.
        logs: all logs by container.
        saved: what is acknowledged of a log.
        changed: told of each log of which something was let go.
        metrics: the shipper's.
        check: red while the spool cannot be written.
    """

    def __init__(
        self,
        name: str,
        spool: Spool,
        hold_limit_bytes: int,
        *,
        logs: Mapping[str, Log],
        saved: Callable[[str], SavedLog | None],
        changed: Callable[[Log], None],
        metrics: Metrics,
        check: Check,
    ) -> None:
        self.spool = spool
        self._name = name
        self._hold_limit_bytes = hold_limit_bytes
        self._logs = logs
        self._saved = saved
        self._changed = changed
        self._metrics = metrics
        self._check = check
        self._stirred = asyncio.Event()
        self._freeing = asyncio.Lock()
        check.ok()
        metrics.spool_bytes.labels(name).set_function(lambda: spool.stored_bytes)

    async def look(self, *, threatened: bool) -> None:
        """Sees to what was deleted; `threatened` when the sink does not take what there is."""
        beyond = self._held_bytes() > self._hold_limit_bytes
        if self.spool.limit_bytes and (threatened or beyond):
            self._stirred.set()  # takes time, and new files are waiting to be opened
        elif beyond:
            await self._free_held()

    async def keep(self) -> None:
        """Spools what was deleted, for ever."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            left_bytes = 0
            try:
                for log in self._with_deleted():
                    await self._store(log)
                    left_bytes += log.deleted_bytes
            except OSError as error:
                # The file stays held; what is not deleted yet is safe with Docker.
                self._metrics.spool_failures.labels(self._name).inc()
                self._check.fail(f"cannot be written: {error}")
                await self._free_held()
                await asyncio.sleep(RETRY_SECONDS)
                self._stirred.set()  # red until it was written, or need not be any more
                continue
            self._check.ok()
            await self._free_spool()
            # Only what the spool had no room for: others were deleted since, and come first to it.
            await self._free_held(left_bytes)

    def _held_bytes(self) -> int:
        return sum(log.deleted_bytes for log in self._logs.values())

    def _with_deleted(self) -> Iterator[Log]:
        return (log for log in tuple(self._logs.values()) if log.has_deleted)

    async def _store(self, log: Log) -> None:
        saved = self._saved(log.container_id)
        acknowledged = saved.progress.resume if saved else None
        stored = await asyncio.to_thread(log.spool_deleted, self.spool, acknowledged)
        if stored:
            self._metrics.spooled_bytes.labels(self._name).inc(stored)
            self._changed(log)

    async def _free_spool(self) -> None:
        while (segment := self.spool.oldest_beyond_limit()) is not None:
            log = self._logs.get(segment.header.container)
            if log is None:
                break  # not opened yet, or finished: the next checkpoint on the disk frees it
            await asyncio.to_thread(log.drop_spooled, segment)
            await asyncio.to_thread(self.spool.drop, segment)
            self._changed(log)

    async def _free_held(self, offered_bytes: float = inf) -> None:
        """Takes from those logs that keep most; a sink that is down must not fill Docker's disk."""
        async with self._freeing:
            excess = min(self._held_bytes(), offered_bytes) - self._hold_limit_bytes
            while excess > 0:
                log = max(self._logs.values(), key=lambda log: log.deleted_bytes)
                before = log.deleted_bytes
                await asyncio.to_thread(log.hold_at_most, max(0, int(before - excess)))
                if log.deleted_bytes >= before:
                    return
                excess -= before - log.deleted_bytes
                self._changed(log)
