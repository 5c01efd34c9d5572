"""Asks instances that Docker has suddenly lost whether they still serve, before they are let go."""

import asyncio
from collections.abc import Callable
from typing import Final, Never

from registrar import massloss
from registrar.massloss import Loss
from wharfinger.events import Events
from wharfinger.health import Check
from wharfinger.keys import InstanceKey
from wharfinger.reachable import reachable

PROBE_SECONDS: Final = 1.0
PROBES: Final = 32
AGAIN_SECONDS: Final = 2.0


class MassGuard:
    """Keeps what answers, and reports it; lets go what is silent.

    Args:
        check: red while anything is kept against Docker's word.
        events: where it is told.
        settled: called when something may be let go: plan again.
    """

    def __init__(self, check: Check, events: Events, settled: Callable[[], None]) -> None:
        self._check = check
        self._events = events
        self._settled = settled
        self._doubted: dict[InstanceKey, str] = {}
        self._silent: set[InstanceKey] = set()
        self._wake = asyncio.Event()
        check.ok()

    @property
    def kept(self) -> tuple[InstanceKey, ...]:
        """What stays in etcd though Docker does not know it any more."""
        return tuple(sorted(self._doubted))

    def spare(self, loss: Loss) -> frozenset[str]:
        """The ids of containers whose instances must stay as they are for now."""
        lost = massloss.unexplained(loss)
        self._silent &= lost.keys()
        before = self._doubted.keys()
        # Who was doubted stays so until it answers, is silent, or is explained.
        suspicious = massloss.suspicious(loss) if lost else {}
        doubted = {**suspicious, **{k: lost[k] for k in before & lost.keys()}}
        self._doubted = {key: doubted[key] for key in doubted.keys() - self._silent}
        if new := self._doubted.keys() - before:
            self._events.emit(
                "mass loss doubted", "warning", instances=len(new), registered=len(loss.registered)
            )
            self._wake.set()
        if before and not self._doubted:
            self._check.ok()
        return frozenset(self._doubted.values())

    async def run(self) -> Never:
        """Asks for ever."""
        while True:
            if not self._doubted:
                await self._wake.wait()
            self._wake.clear()
            await self._ask(list(self._doubted))
            await self._pause()

    async def _ask(self, keys: list[InstanceKey]) -> None:
        at = {key: (key.endpoint.ip, key.endpoint.port) for key in keys}
        told = await reachable(at.values(), timeout_seconds=PROBE_SECONDS, at_once=PROBES)
        silent = {key for key, address in at.items() if told.get(address) is False}
        answering = sum(told.get(address) is True for address in at.values())
        if answering:
            self._check.fail(
                f"Docker has lost {len(keys)} instances at once, and {answering} of them still "
                "answer: they stay registered. Is this the engine that started them?"
            )
        if silent:
            self._silent |= silent
            self._settled()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(AGAIN_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            pass
