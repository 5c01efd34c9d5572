"""Orders to this host that stand in etcd: taken once, carried out as on request, and told of."""

import asyncio
import time
from collections import deque
from contextlib import aclosing
from typing import Any, Final, Never

from registrar.drains.progress import Gone, Progress
from registrar.drains.requests import Asked, Requests
from wharfinger.drainsteps import described
from wharfinger.errors import Rejected, Unavailable, WharfingerError
from wharfinger.etcd import Etcd
from wharfinger.events import Events
from wharfinger.following import Patience
from wharfinger.health import Check
from wharfinger.keys import ORDERS, OrderKey
from wharfinger.kv import Event, KeyValue, Listed, Update
from wharfinger.orders import Order, parse
from wharfinger.watch import Watch

# Whoever may write there may write any number; what is more waits in etcd, and lapses there.
MAX_HELD: Final = 100
AT_ONCE: Final = 8
REMEMBERED: Final = 1_000
READY_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.5
STALE_SECONDS: Final = 30.0
# Orders are few, and hosts are many: each asks a silent etcd seldom. Not more seldom than a lease
# does, since etcd takes pings of a connection that says nothing else for abuse.
PATIENCE: Final = Patience(ask_after_seconds=5.0, ask_again_seconds=1.0, answer_seconds=5.0)


class Orders:
    """Watches the orders to this host, and carries them out.

    Nobody who writes there is trusted: an order names an instance of this host by its key, or this
    host, and what comes of it is what `wharfinger drain` does here. The same order twice, or one
    that a killed registrar had begun, does no more than once: who is drained already is drained.

    Args:
        etcd: the session.
        host: this host's name.
        requests: carries them out.
        check: is red while orders cannot be heard.
        events: where each is told.
    """

    def __init__(
        self, etcd: Etcd, host: str, requests: Requests, check: Check, events: Events
    ) -> None:
        self._etcd = etcd
        self._host = host
        self._requests = requests
        self._check = check
        self._events = events
        self._held: set[str] = set()
        self._over: deque[str] = deque(maxlen=REMEMBERED)
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> Never:
        """Takes orders for ever."""
        prefix = f"{ORDERS}{self._host}/"
        watch = Watch(
            self._etcd,
            [prefix],
            on_alive=self._check.ok,
            on_trouble=self._check.fail,
            patience=PATIENCE,
        )
        async with asyncio.TaskGroup() as tasks, aclosing(watch.updates()) as updates:
            async for update in updates:
                for kv in _put(update):
                    if (found := self._understood(kv)) is not None:
                        key, order = found
                        self._held.add(key.id)
                        tasks.create_task(self._whole(key, order, kv), name="order")
        raise AssertionError

    def _understood(self, kv: KeyValue) -> tuple[OrderKey, Order] | None:
        """An order that is to be carried out; None for what is none, is over or under way."""
        try:
            key = OrderKey.parse(kv.key)
            order = parse(kv.value, self._host)
        except Rejected as error:
            self._events.emit("order refused", "warning", key=kv.key[:300], why=str(error))
            return None
        # What we write of one comes back by the watch, the last of it when it is over.
        if order.is_over or key.id in self._held or key.id in self._over:
            return None
        if len(self._held) >= MAX_HELD:
            why = f"{MAX_HELD} are under way"
            self._events.emit("order left", "warning", key=kv.key, why=why)
            return None
        return key, order

    async def _whole(self, key: OrderKey, order: Order, kv: KeyValue) -> None:
        try:
            async with self._turns:
                await self._carried_out(key, order, kv)
        finally:
            self._held.discard(key.id)
            self._over.append(key.id)

    async def _carried_out(self, key: OrderKey, order: Order, kv: KeyValue) -> None:
        about = {"order": key.id, "verb": order.verb, "target": order.target, "by": order.by}
        progress = Progress(self._etcd, key, order)
        try:
            await progress.take(kv)
        except Gone:
            self._events.emit("order lapsed", "warning", **about)
            return
        except WharfingerError as error:
            # It stands there still, or lapses; who follows the fleet sees which.
            self._events.emit("order not taken", "warning", why=str(error), **about)
            return
        self._events.emit("order taken", **about)
        began = time.monotonic()
        async with progress.telling():
            why = await self._done(order, progress)
        seconds = round(time.monotonic() - began, 3)
        if why:
            self._events.emit("order failed", "warning", why=why, seconds=seconds, **about)
        else:
            self._events.emit("order done", seconds=seconds, **about)
        await progress.end("failed" if why else "done", why)

    async def _done(self, order: Order, progress: Progress) -> str:
        """Carries it out; gives why not, empty where it was."""
        failure = ""

        def tell(step: dict[str, Any]) -> None:
            nonlocal failure
            failure = str(step.get("error", failure))
            done, waiting = described(step)
            for text in (done or waiting).splitlines():
                progress.tell(text)

        instance = order.instance
        asked = Asked(
            instance=None if instance is None else instance.address,
            host=self._host if instance is None else None,
        )
        by = order.by or "an order"
        try:
            if order.verb == "drain":
                leaving = await self._once_ready(lambda: self._requests.drain(asked, by))
                await self._requests.depart(asked, leaving, tell)
            else:
                ids, was = await self._once_ready(lambda: self._requests.undrain(asked))
                await self._requests.come_back(asked, ids, tell, was=was)
        except WharfingerError as error:
            return str(error)
        return failure

    async def _once_ready(self, work: Any) -> Any:
        """What is asked right after a start waits until Docker has told what there is."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                return await work()
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(LOOK_SECONDS)


def _put(update: Update) -> list[KeyValue]:
    if isinstance(update, Listed):
        return list(update.snapshot.items.values())
    events: tuple[Event, ...] = update.events
    return [event.kv for event in events if event.kv is not None]
