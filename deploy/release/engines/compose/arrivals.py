"""New instances on their way: waited for until they are up, stay so, and are sent requests."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from deploy.release.engines.compose.judging import TOLD_SECONDS, Patience, Waited
from deploy.release.engines.compose.site import NotRunning, Site
from deploy.release.engines.facts import Facts
from deploy.release.engines.registered import Instance, by_container

LOOK_SECONDS: Final = 0.3
# A call that took longer has waited for etcd.
AWAY_SECONDS: Final = 2.0


class Arrivals:
    """Waits for some containers.

    Args:
        site: where they are.
        ids: of them.
        before: how many of the release are up already.
        of: how many there shall be in the end.
    """

    def __init__(self, site: Site, ids: Sequence[str], *, before: int = 0, of: int = 0) -> None:
        self._site = site
        self._before = before
        self._of = max(of, before + len(ids))
        self._ids = tuple(ids)
        self._patience = Patience.of(site.app, site.environment)
        self._steady_since: dict[str, float] = {}
        self._restarts: dict[str, int] = {}
        self._began = time.monotonic()

    async def until_up(self) -> None:
        """Waits until all were up for long enough, and every discovery sends requests to them.

        Raises:
            NotRunning: one never will be; with its last words.
            Unavailable: engine or etcd do not answer.
        """
        while True:
            several = await self._looked()
            for each in several:
                await self._require_hope(each)
            done = sum(each.proven(self._patience) for each in several)
            up = self._before + done
            self._site.progress.waiting("instances of the release that are up", up, self._of)
            if done == len(self._ids):
                break
            await asyncio.sleep(LOOK_SECONDS)
        if self._site.registering:
            await self._until_served()

    async def _looked(self) -> list[Waited]:
        found = tuple(each for each in await self._site.found() if each.id in self._ids)
        if len(found) < len(self._ids):
            raise NotRunning("a new instance was removed by somebody else")
        held = await self._held()
        now = time.monotonic()
        return [self._waited(each, held, now) for each in found]

    async def _held(self) -> dict[str, tuple[Instance, ...]]:
        if not self._site.registering:
            return {}
        asked = time.monotonic()
        held = by_container(await self._site.instances.held())
        if time.monotonic() - asked > AWAY_SECONDS:
            # Nobody could register meanwhile, and leases may have ended: all begins anew.
            self._began = time.monotonic()
        return held

    def _waited(self, facts: Facts, held: dict[str, tuple[Instance, ...]], now: float) -> Waited:
        steady = self._steady_since.get(facts.id, now)
        waited = Waited(
            facts,
            facts.id in held if self._site.registering else None,
            now - self._began,
            now - steady,
            self._restarts.setdefault(facts.id, facts.restarts),
        )
        if waited.is_up:
            self._steady_since[facts.id] = steady
        else:
            self._steady_since.pop(facts.id, None)
        return waited

    async def _require_hope(self, waited: Waited) -> None:
        if waited.broken(self._patience) is None:
            return
        reason = ""
        if self._site.registering:
            hosts = await self._site.instances.hosts()
            reason = hosts.reason(waited.facts.name)
            if not reason and waited.seconds > TOLD_SECONDS:
                reason = hosts.silence
        if (why := waited.broken(self._patience, reason)) is not None:
            await self._site.fail(waited.facts, why)

    async def _until_served(self) -> None:
        held = by_container(await self._site.instances.held())
        revision = max(
            (each.revision for key in self._ids for each in held.get(key, ())), default=0
        )
        if not revision:
            return
        instances, progress = self._site.instances, self._site.waiting_for
        if behind := await instances.served(revision, on_waiting=progress):
            raise NotRunning(
                f"no requests are sent to it by the discovery on {', '.join(behind)}, which does "
                "not apply what etcd holds: see its /healthz"
            )
