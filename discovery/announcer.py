"""Tells the others, below /wharfinger/hosts/, which revision of etcd this host's Nginx serves."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from wharfinger.backoff import Backoff
from wharfinger.errors import Unavailable, WharfingerError
from wharfinger.etcd import Etcd
from wharfinger.lease import HostLease
from wharfinger.lifecycle import Scope
from wharfinger.metadata import HostRecord

LEASE_TTL_SECONDS: Final = 15
# A release waits for this; etcd need not hear of every step of a burst.
INTERVAL_SECONDS: Final = 0.1
LOOK_SECONDS: Final = 1.0


class Report(HostRecord, frozen=True, kw_only=True):
    """What discovery says of itself.

    Attributes:
        why: what is wrong; empty when nothing is.
        applied_revision: of etcd, that this host's Nginx serves.
        mode: how Nginx learns of a change.
    """

    why: str
    applied_revision: int
    mode: str


class Announcer:
    """Keeps one key, under a lease of its own, at what `report` says.

    Args:
        etcd: the session.
        key: where.
        report: what to say; asked when `news` is set, and each second.
        news: set when there is something to say.
        scope: of the daemon.
        lease_file: where the lease's id is kept.
        owner: this host's name.
    """

    def __init__(
        self,
        etcd: Etcd,
        *,
        key: str,
        report: Callable[[], Report],
        news: asyncio.Event,
        scope: Scope,
        lease_file: Path,
        owner: str,
    ) -> None:
        self._etcd = etcd
        self._key = key
        self._report = report
        self._news = news
        self._told: bytes = b""
        check = scope.health.check("host lease", stale_after_seconds=LEASE_TTL_SECONDS)
        self._lease = HostLease(
            etcd,
            ttl_seconds=LEASE_TTL_SECONDS,
            path=lease_file,
            owner=owner,
            on_change=self._put_again,
            on_alive=check.beat,
            on_trouble=check.fail,
        )
        self._check = check
        self._backoff = Backoff(first_seconds=0.1, cap_seconds=1.0)

    async def run(self) -> None:
        """Tells for ever.

        A stop leaves the report to its lease: Nginx goes on serving what it says, and a release
        must not take this host for one that serves nothing.
        """
        while True:
            try:
                await self._lease.ensure()
                break
            except WharfingerError as error:
                self._check.fail(str(error))
                await asyncio.sleep(self._backoff.next_delay_seconds())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._lease.keep(), name="host lease")
            tasks.create_task(self._tell(), name="host report")

    async def _tell(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._news.wait()
            self._news.clear()
            report = msgspec.json.encode(self._report())
            if report == self._told:
                continue
            began = time.monotonic()
            try:
                await self._etcd.put(self._key, report, lease=self._lease.id)
            except Unavailable:
                self._news.set()
                await asyncio.sleep(self._backoff.next_delay_seconds())
            except WharfingerError:
                # The lease is gone; as soon as there is another, `_put_again` is called.
                self._lease.doubt()
                await asyncio.sleep(self._backoff.next_delay_seconds())
            else:
                self._backoff.reset()
                self._told = report
                await asyncio.sleep(max(0.0, began + INTERVAL_SECONDS - time.monotonic()))

    def _put_again(self, _lease_id: int) -> None:
        self._told = b""
        self._news.set()
