"""The loop of this host: observe, plan, apply, until there is nothing left to do."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Mapping
from typing import Final, Never

from registrar import plan, sockets
from registrar.census import Census
from registrar.checks.schedule import Schedule
from registrar.massloss import Loss
from registrar.model import (
    Holder,
    Identify,
    Listener,
    Observed,
    Plan,
    Verdict,
    Wanted,
)
from registrar.ports.berths import Berths
from registrar.registry.publisher import Desired
from registrar.remarks import Remarks
from registrar.state import State
from wharfinger.errors import WharfingerError
from wharfinger.events import Events
from wharfinger.health import Check
from wharfinger.keys import InstanceKey

# How often to look for listeners, by how long the youngest has been waited for: most listen within
# a second of their start, and who does not after a minute may never.
LOOKS_SECONDS: Final = ((2.0, 0.02), (60.0, 0.1))
REPLAN_SECONDS: Final = 0.1
CALM_TICK_SECONDS: Final = 1.0
FORGIVE_SECONDS: Final = 5.0
PASSES: Final = 8


class Planner:
    """Plans for every container whenever something happened, and often while one waits.

    Args:
        host: this host's name.
        census: what is known of the containers.
        berths: carries out what is planned.
        state: keeps who was told to stop.
        events: where refusals are told.
        check: whether planning works.
        publish: takes what etcd shall hold.
        checks: asks those that are to be asked; calls `doubt` when one has answered.
        drained: why a container is to be out though it may serve, by its id.
        spare: of those instances that are lost with this plan, the ids to keep all the same.

    Attributes:
        ip: address of this host; nothing is planned while it is empty.
        note: what the operator should know though all is well.
        verdicts: the latest, by container id; one for each thing that it asks for.
    """

    def __init__(
        self,
        *,
        host: str,
        census: Census,
        berths: Berths,
        state: State,
        events: Events,
        check: Check,
        publish: Callable[[Desired], None],
        checks: Schedule,
        drained: Callable[[], Mapping[str, str]] = dict,
        spare: Callable[[Loss], frozenset[str]] = lambda _loss: frozenset(),
    ) -> None:
        self._host = host
        self._census = census
        self._berths = berths
        self._state = state
        self._check = check
        self._publish = publish
        self._checks = checks
        self._drained = drained
        self._spare = spare
        self._planned = asyncio.Event()
        self._registered: dict[InstanceKey, Holder] = {}
        self._inherited: Mapping[InstanceKey, Holder] = {}
        self._wake = asyncio.Event()
        self._listeners: Mapping[int, tuple[Listener, ...]] = {}
        self._doubts = 0
        self._planned_at: tuple[int, int] | None = None
        self._settled = False
        self._desired: Desired | None = None
        self._remarks = Remarks(events, lambda each: census.containers[each].container.name)
        self._inherits = False
        self._plans = plan.Plans()
        self._refreshing: asyncio.Task[bool] | None = None
        self._stops = census.stops
        self._calm_at = 0.0
        self._replan_at = 0.0
        self._refresh_at = 0.0
        self._declared: frozenset[int] = frozenset()
        self._declared_at = -1
        self._doubt = census.doubt
        self._forgive_at = 0.0
        self.ip = ""
        self.note = ""
        self.verdicts: Mapping[str, tuple[Verdict, ...]] = {}

    def wake(self) -> None:
        """Has it plan now."""
        self._wake.set()

    def doubt(self) -> None:
        """Has it plan now though nothing may have happened to a container."""
        self._doubts += 1
        self._planned.clear()
        self.wake()

    def settle(self, ip: str) -> None:
        """Plans with this address from now on."""
        self.ip = ip
        self.doubt()

    def waited_seconds(self) -> dict[str, float]:
        """For how long each container that waits has done so, by its id."""
        now = time.monotonic()
        return {each: now - since for each, since in self._remarks.waiting_since.items()}

    async def take_up(self, registered: Mapping[InstanceKey, Holder]) -> None:
        """Plans from scratch, and waits until what etcd shall hold was published.

        Args:
            registered: whose each instance is that the life before left in etcd; without it, what
                is to stay there would be taken out.
        """
        self._inherited = registered
        self.doubt()
        await self._planned.wait()

    async def run(self) -> Never:
        """Plans for ever."""
        while True:
            await self._until_due()
            # Before the first list every container would seem to be gone, and lose its port.
            if not self.ip or not self._census.complete:
                continue
            try:
                if await self._round():
                    await self._berths.share()
            except WharfingerError as error:
                self._check.fail(str(error))
                await asyncio.sleep(REPLAN_SECONDS)
                self._planned_at = None
            else:
                self._tell_health()

    def _tell_health(self) -> None:
        if self._berths.trouble:
            self._check.fail(self._berths.trouble)
        else:
            self._check.ok(self.note)

    async def _round(self) -> bool:
        """Plans, if there is anything to plan; whether there was."""
        await self._refresh()
        # As it is before anything is looked at: what is planned from is as new as that, or newer.
        self._doubt = self._census.doubt
        listeners = sockets.listeners()
        relevant = self._relevant(listeners)
        self._calm_down(listeners)
        at = (self._census.version, self._doubts)
        hopes = bool(self._remarks.waiting_since or self._berths.trouble)
        again = hopes and time.monotonic() >= self._replan_at
        if at == self._planned_at and relevant == self._listeners and not again:
            return False
        self._replan_at = time.monotonic() + REPLAN_SECONDS
        self._listeners = relevant
        if self._inherited:
            self._registered = {**self._inherited, **self._registered}
            self._inherited, self._inherits = {}, True
        try:
            await self._plan(listeners)
        finally:
            self._settled = True
            self._tell_desired()
        self._planned_at = at
        if at[1] == self._doubts:
            self._planned.set()
        await self._keep_stops()
        return True

    async def _refresh(self) -> None:
        """Takes up what the runtime has assigned, a moment late rather than wait for the disk."""
        now = time.monotonic()
        # Not with each look for listeners: a thread has to look at the disk.
        if self._refreshing is None and now >= self._refresh_at:
            self._refresh_at = now + REPLAN_SECONDS
            self._refreshing = asyncio.create_task(self._berths.refresh(), name="look at the table")
            self._refreshing.add_done_callback(self._refreshed)
        task = self._refreshing
        if task is not None and (task.done() or not self._settled):
            self._refreshing = None
            if await task:
                self._planned_at = None

    def _refreshed(self, task: asyncio.Task[bool]) -> None:
        if not task.cancelled() and (task.exception() is not None or task.result()):
            self.wake()

    async def _plan(self, listeners: Mapping[int, tuple[Listener, ...]]) -> None:
        for _ in range(PASSES):
            version = self._census.version
            made = self._plans.make(self._observed(listeners))
            unknown = [each for each in made.actions if isinstance(each, Identify)]
            # First of all, or an instance that opens one more socket would leave etcd for moments.
            # What was waited for may hang, and meanwhile others have come and gone.
            if unknown and (
                await self._berths.identify(unknown) or self._census.version != version
            ):
                continue
            # Not before: who waits to be identified has no target, and its check would begin anew.
            self._checks.want(made.targets, standing=made.standing)
            self._accept(made)
            # After a start with lost state, instances that are to be found again are still in etcd.
            if self._settled:
                self._tell_desired()
            if not await self._berths.apply(made.actions, wait=not self._settled):
                break

    def _tell_desired(self) -> None:
        if self._desired is not None:
            self._publish(self._desired)

    def _observed(self, listeners: Mapping[int, tuple[Listener, ...]]) -> Observed:
        return Observed(
            host=self._host,
            ip=self.ip,
            containers=self._census.containers,
            ports=self._berths.assignments.ports,
            listeners=listeners,
            owners=self._berths.owners,
            in_environment=self._berths.assignments.in_environment,
            drained=self._drained(),
            registered=self._registered,
            outcomes=self._checks.outcomes,
            unknown=self._census.unknown | self._berths.unseen,
        )

    def _relevant(
        self, listeners: Mapping[int, tuple[Listener, ...]]
    ) -> Mapping[int, tuple[Listener, ...]]:
        """Those on ports that somebody was given or declares; others come and go on any host."""
        if self._declared_at != self._census.version:
            self._declared_at = self._census.version
            asks = (ask for seen in self._census.containers.values() for ask in seen.asks)
            self._declared = frozenset(
                ask.port for ask in asks if isinstance(ask, Wanted) and ask.port is not None
            )
        ports = {*self._berths.assignments.ports.values(), *self._declared}
        return {port: found for port, found in listeners.items() if port in ports}

    def _calm_down(self, listeners: Mapping[int, tuple[Listener, ...]]) -> None:
        now = time.monotonic()
        if now >= self._calm_at:
            self._calm_at = now + CALM_TICK_SECONDS
            self._berths.prune({each.inode for several in listeners.values() for each in several})
        if now >= self._forgive_at:
            self._forgive_at = now + FORGIVE_SECONDS
            self._census.forgive()

    def _accept(self, made: Plan) -> None:
        before, self.verdicts = self.verdicts, made.verdicts
        # What was not judged anew is the very same, and needs no second look.
        news = {
            container_id: several
            for container_id, several in made.verdicts.items()
            if before.get(container_id) is not several
        }
        gone = before.keys() - made.verdicts.keys()
        self._remarks.take(news, gone)
        loss = Loss(self._registered, made, self._census.containers, self._census.farewells)
        spare = (self._census.unknown - self._census.containers.keys()) | self._spare(loss)
        desired, same = self._desired, not (news or gone or self._inherits)
        if desired is not None and same and (spare, self._doubt) == (desired.spare, desired.doubt):
            return
        self._inherits = False
        self._registered = {
            key: holder for key, holder in self._registered.items() if holder.container_id in spare
        } | {key: instance.holder for key, instance in made.instances.items()}
        reasons = dict(self._remarks.reasons)
        self._desired = Desired(made.instances, spare=spare, reasons=reasons, doubt=self._doubt)

    async def _keep_stops(self) -> None:
        stops = self._census.stops
        if stops != self._stops:
            await self._state.save_stops(stops)
            self._stops = stops

    async def _until_due(self) -> None:
        since = max(self._remarks.waiting_since.values(), default=-math.inf)
        waited = time.monotonic() - since
        tick = next((tick for limit, tick in LOOKS_SECONDS if waited < limit), CALM_TICK_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(tick):
                await self._wake.wait()
        self._wake.clear()
