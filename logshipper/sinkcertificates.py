"""Watches the certificates of a sink: renewed ones are used, and an end is told before it comes."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Final

from logshipper.sinks.contract import Renewable, Sink
from wharfinger.certificatecheck import ENDING, OVER
from wharfinger.errors import Unavailable
from wharfinger.events import Events
from wharfinger.expiry import Standing
from wharfinger.health import Check
from wharfinger.scope import Scope

LOOK_SECONDS: Final = 5.0
# A server may have another by now, which connections that stand do not tell of.
ASK_SECONDS: Final = 3600.0
# Of one that ends soon, so that a renewed one is soon believed; and where none was seen yet.
ASK_AGAIN_SECONDS: Final = 60.0
# A mount that hangs says nothing of a certificate that was renewed.
STALE_SECONDS: Final = 60.0
_TOLD: Final = OVER | ENDING
# Somebody has to be woken.
_URGENT: Final = _TOLD - {"soon"}


def begin(scope: Scope, name: str, sink: Sink) -> None:
    """Watches them for the daemon's whole life, where there are some.

    Args:
        scope: what the lifecycle lends.
        name: the sink's.
        sink: whose.
    """
    if sink.certificates is not None:
        watch = Watch(
            name,
            sink,
            sink.certificates,
            check=scope.health.check(f"certificates {name}", stale_after_seconds=STALE_SECONDS),
            expiry=scope.health.check(f"certificate expiry {name}"),
            events=scope.events,
        )
        scope.spawn(f"{name} certificates", watch.keep())


class Watch:
    """One sink's.

    Args:
        name: the sink's.
        sink: asked now and then what its server shows.
        certificates: its own.
        check: red while their files cannot be used as they are.
        expiry: red shortly before one of either side ends.
        events: where it is told that others are used.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        certificates: Renewable,
        *,
        check: Check,
        expiry: Check,
        events: Events,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._sink = sink
        self._certificates = certificates
        self._check = check
        self._expiry = expiry
        self._events = events
        self._clock = clock
        self._used = certificates.latest
        # A probe asks at the start.
        self._asked_at = clock()

    async def keep(self) -> None:
        """Looks again and again, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Looks once."""
        await self._certificates.look()
        latest = self._certificates.latest
        if latest is not self._used:
            # A probe or a refusal may have been first.
            self._used = latest
            self._events.emit("certificates read again", sink=self._name)
        if trouble := self._certificates.trouble:
            self._check.fail(trouble)
        else:
            self._check.ok()
        # A sink that was away at the start and is busy since has not been asked by a probe.
        unseen = all(end.ours for end in self._certificates.ends())
        await self._ask(ASK_AGAIN_SECONDS if unseen or self._ending(_TOLD) else ASK_SECONDS)
        if urgent := self._ending(_URGENT):
            self._expiry.fail(urgent)
        else:
            self._expiry.ok(self._ending(_TOLD))

    def _ending(self, standings: AbstractSet[Standing]) -> str:
        now, ends = datetime.now(UTC), self._certificates.ends()
        return "; ".join(end.told(now) for end in ends if end.validity.standing(now) in standings)

    async def _ask(self, after_seconds: float) -> None:
        if self._clock() - self._asked_at >= after_seconds:
            self._asked_at = self._clock()
            with contextlib.suppress(Unavailable):  # whoever delivers tells it
                await self._sink.reach()
