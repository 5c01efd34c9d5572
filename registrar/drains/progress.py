"""How far an order is, written to its key for whoever gave it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal

from wharfinger.backoff import Backoff
from wharfinger.errors import WharfingerError
from wharfinger.etcd import Etcd
from wharfinger.keys import OrderKey
from wharfinger.kv import KeyValue, Put, held_by, unchanged
from wharfinger.orders import Order, encode

# A registrar that dies leaves its order to this: longer than any drain that makes sense.
RUNNING_SECONDS: Final = 900
# For whoever looks; then the key goes, and etcd keeps no history of orders.
OVER_SECONDS: Final = 600
INTERVAL_SECONDS: Final = 0.3
TAKE_ATTEMPTS: Final = 5
END_ATTEMPTS: Final = 20


class Gone(WharfingerError):
    """The order was changed or has lapsed since it was read."""


class Progress:
    """One order's key, while it is carried out.

    It is moved from the lease of the one who gave it to one of ours, so that it neither lapses
    under our hands nor stays for ever; that lease tells our writes from anybody else's.

    Args:
        etcd: the session.
        key: where it stands.
        order: as it was read.
    """

    def __init__(self, etcd: Etcd, key: OrderKey, order: Order) -> None:
        self._etcd = etcd
        self._key = key.key
        self._again = order.state == "running"
        self._order = order
        self._lease = 0
        self._news = asyncio.Event()

    async def take(self, kv: KeyValue) -> None:
        """Makes the order ours, if it is still as it was read.

        Raises:
            Gone: it is not.
            Unavailable: etcd does not answer.
        """
        told = "taken up again after a restart" if self._again else "taken"
        self._order = self._order.told("running", told)
        backoff = Backoff(first_seconds=0.1, cap_seconds=1.0)
        while True:
            try:
                await self._take(kv)
            except Gone:
                raise
            except WharfingerError:
                if backoff.attempts >= TAKE_ATTEMPTS:
                    raise
            else:
                return
            await asyncio.sleep(backoff.next_delay_seconds())

    def tell(self, step: str) -> None:
        """Adds a step."""
        self._order = self._order.told("running", step)
        self._news.set()

    @asynccontextmanager
    async def telling(self) -> AsyncIterator[None]:
        """Writes steps as they come, some together."""
        task = asyncio.create_task(self._tell(), name="order progress")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def end(self, state: Literal["done", "failed"], step: str) -> None:
        """Writes what came of it, and leaves the key to a lease that ends some minutes later."""
        self._order = self._order.told(state, step)
        backoff = Backoff(first_seconds=0.1, cap_seconds=5.0)
        for _ in range(END_ATTEMPTS):
            try:
                lease = await self._etcd.grant(OVER_SECONDS)
                put = Put(self._key, encode(self._order), lease.id)
                await self._etcd.transact([held_by(self._key, self._lease)], [put])
                await self._etcd.revoke(self._lease)
            except WharfingerError:
                await asyncio.sleep(backoff.next_delay_seconds())
            else:
                return

    async def _take(self, kv: KeyValue) -> None:
        if not self._lease:
            self._lease = (await self._etcd.grant(RUNNING_SECONDS)).id
        put = Put(self._key, encode(self._order), self._lease)
        done = await self._etcd.transact([unchanged(kv)], [put])
        if done.succeeded:
            return
        # An attempt of which no answer came may have been the one that changed it.
        there = await self._etcd.get(self._key)
        if there is None or there.lease != self._lease:
            await self._etcd.revoke(self._lease)
            raise Gone(f"{self._key} is not as it was")

    async def _tell(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            put = Put(self._key, encode(self._order), self._lease)
            with suppress(WharfingerError):
                await self._etcd.transact([held_by(self._key, self._lease)], [put])
            await asyncio.sleep(INTERVAL_SECONDS)
