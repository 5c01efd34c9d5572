"""Looks, while etcd is silent, whether it is this host that is cut off, and says when it is not."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from discovery import isolation
from discovery.isolation import Isolation
from discovery.model import Service
from wharfinger.lifecycle import Scope
from wharfinger.reachable import reachable

LOOK_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 1.0


class Lookout:
    """Has what was learned of instances in an isolation forgotten at its end.

    To a host that hears nothing all others look dead, and to its Nginx, too, which goes on to
    leave them out for `fail_timeout` when they are long back.

    Args:
        scope: of the daemon.
        host: its name.
        hears: whether etcd is heard.
        served: the services whose instances are to be asked.
        forget: has Nginx forget.
    """

    def __init__(
        self,
        scope: Scope,
        host: str,
        *,
        hears: Callable[[], bool],
        served: Callable[[], Awaitable[Iterable[Service]]],
        forget: Callable[[], Awaitable[None]],
    ) -> None:
        self._scope = scope
        self._host = host
        self._hears = hears
        self._served = served
        self._forget = forget
        self._isolation = Isolation()

    async def run(self) -> None:
        """Looks for ever; asks nobody as long as etcd is heard and nobody is missed."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._isolation.missed or not self._hears():
                await self.look()

    async def look(self) -> None:
        """Asks each other host once."""
        answers = await reachable(
            isolation.asked(await self._served(), self._host),
            timeout_seconds=ANSWER_SECONDS,
            at_once=isolation.MOST_HOSTS,
        )
        before, now = self._isolation, time.monotonic()
        self._isolation, over = isolation.judged(before, answers, now, hears=self._hears())
        if over:
            seconds = round(now - before.since, 1)
            self._scope.events.emit("hosts within reach again", seconds=seconds)
            await self._forget()
        elif self._isolation.missed and not before.missed:
            self._scope.events.emit(
                "hosts out of reach",
                "warning",
                count=len(self._isolation.missed),
                why="etcd is not heard, and most other hosts do not answer",
            )
