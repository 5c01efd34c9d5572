"""Follows etcd for the fleet; imported only where that is on, since it brings an etcd client."""

import asyncio
import time
from contextlib import aclosing
from typing import Final, Never

from logshipper.store.fleet.live import Live
from logshipper.store.fleet.snapshot import Snapshot
from wharfinger.backoff import Backoff
from wharfinger.errors import WharfingerError
from wharfinger.etcd import Etcd
from wharfinger.health import Check
from wharfinger.keys import OrderKey
from wharfinger.kv import Changed, Listed, Put, absent
from wharfinger.orders import Order, encode
from wharfinger.sections import EtcdConfig
from wharfinger.watch import Watch

STALE_SECONDS: Final = 15.0
ORDER_SECONDS: Final = 30
"""For how long an order waits for its registrar: then its lease ends, and it has lapsed."""


class Following:
    """The fleet's session with etcd.

    Args:
        config: how etcd is reached.
        live: takes what is heard.
        check: is red while nothing is heard.
    """

    def __init__(self, config: EtcdConfig, live: Live, check: Check) -> None:
        self._etcd = Etcd(config)
        self._live = live
        self._check = check

    async def run(self) -> Never:
        """Follows for ever."""
        backoff = Backoff(first_seconds=0.5, cap_seconds=5.0)
        while True:
            # One that ends by itself has lost its place, whatever it was.
            try:
                await self._follow()
            except WharfingerError as error:
                self._check.fail(str(error))
            await asyncio.sleep(backoff.next_delay_seconds())

    async def order(self, key: OrderKey, order: Order) -> None:
        """Puts an order where its registrar finds it, for some seconds.

        Raises:
            Unavailable: etcd does not answer; nothing may have been put.
            Rejected: etcd's users do not let the store do so.
        """
        lease = await self._etcd.grant(ORDER_SECONDS)
        put = Put(key.key, encode(order), lease.id)
        await self._etcd.transact([absent(key.key)], [put])

    async def close(self) -> None:
        """Ends the session."""
        await self._etcd.close()

    async def _follow(self) -> None:
        watch = Watch(self._etcd, ["/"], on_alive=self._check.ok, on_trouble=self._trouble)
        async with aclosing(watch.updates()) as updates:
            async for update in updates:
                match update:
                    case Listed(snapshot):
                        # A thread, since a large fleet takes a second: lines must not wait.
                        items = snapshot.items.values()
                        made = await asyncio.to_thread(Snapshot.of, snapshot.revision, items)
                        self._live.replace(made)
                    case Changed(revision, events):
                        self._live.snapshot.apply(revision, events, time.monotonic())
                        self._live.stir()

    def _trouble(self, why: str) -> None:
        self._check.fail(why)
        self._live.stir()
