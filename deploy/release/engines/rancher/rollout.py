"""One release on its way on Rancher: handed over, waited for, confirmed or taken back."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from deploy.release.engine import RolloutFailed, Target
from deploy.release.engines.instances import Instances
from deploy.release.engines.rancher.api import Rancher
from deploy.release.engines.rancher.arrival import ACTIVE, UNDER_WAY, UPGRADED, Arrival
from deploy.release.progress import Progress
from wharfinger.errors import Unavailable

LOOK_SECONDS: Final = 0.5
# Beside starts and drains: pulls on each host, and what Rancher's agents take.
SPARE_SECONDS: Final = 120.0

Run = Callable[..., Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Rollout:
    """One release.

    Attributes:
        target: what shall run.
        instances: of the service in etcd.
        progress: is told.
        run: rancher-compose, with the words that follow its own flags.
    """

    target: Target
    instances: Instances
    progress: Progress
    run: Run

    async def upgrade(self, words: tuple[str, ...], rancher: Rancher) -> None:
        """Hands it over, and waits; confirms, or has Rancher take it back.

        Args:
            words: of rancher-compose, for the upgrade.
            rancher: is asked how it stands.

        Raises:
            RolloutFailed: it does not run.
            Unavailable: Rancher or etcd do not answer.
        """
        before = await self.look(rancher)
        before = await self._settled(before, rancher)
        is_upgraded = before.service is not None and before.service.state == UPGRADED
        goes_on = is_upgraded and bool(before.come)
        if goes_on:
            self.progress.step("it goes on where an earlier run was cut off")
        elif is_upgraded:
            # Rancher refuses a second upgrade before that.
            self.progress.step("an upgrade that was left unconfirmed is confirmed")
            await self.run("up", "-d", "--confirm-upgrade")
        try:
            if not goes_on:
                await self.run(*words)
            await self.until_there(rancher)
        except Unavailable as error:
            # What an earlier run had begun is not what is gone back to.
            same = bool(before.come) and not goes_on
            restored = await self._taken_back(rancher, before, same=same)
            raise RolloutFailed(str(error), restored=restored) from error
        await self.run("up", "-d", "--confirm-upgrade")
        self.progress.step("the upgrade is confirmed")

    async def _settled(self, look: Arrival, rancher: Rancher) -> Arrival:
        """Waits for what Rancher is doing already: it takes one upgrade at a time."""
        deadline = time.monotonic() + self._patience_seconds()
        while look.service is not None and look.service.state in UNDER_WAY:
            if time.monotonic() > deadline:
                raise Unavailable(f"something else is under way: {look.described}")
            self.progress.waiting(look.service.described, 0, 1)
            await asyncio.sleep(LOOK_SECONDS)
            look = await self.look(rancher)
        return look

    async def until_there(self, rancher: Rancher) -> None:
        """Waits until it is, for as long as it must stay so, and is sent requests.

        Raises:
            Unavailable: it never is.
        """
        deadline = time.monotonic() + self._patience_seconds()
        steady_since: float | None = None
        while True:
            now = time.monotonic()
            try:
                look = await self.look(rancher)
            except Unavailable as error:
                # Rancher goes on by itself while its API is away for a moment.
                if now > deadline:
                    raise
                self.progress.waiting(str(error), 0, 1)
                await asyncio.sleep(LOOK_SECONDS)
                continue
            steady_since = (steady_since or now) if look.is_there else None
            self.progress.waiting("instances of the release", len(look.come), look.wanted)
            monitored = self.target.environment.rollout.monitor_seconds
            if steady_since is not None and now - steady_since >= monitored:
                break
            if now > deadline:
                raise Unavailable(await self._explained(look))
            await asyncio.sleep(LOOK_SECONDS)
        revision = max((each.revision for each in look.come), default=0)
        if revision and (behind := await self.instances.served(revision)):
            raise Unavailable(f"not served by the discovery on {', '.join(behind)}")

    async def look(self, rancher: Rancher | None) -> Arrival:
        """How far it is."""
        registering = bool((await self.instances.hosts()).registrars)
        return Arrival(
            await rancher.service() if rancher is not None else None,
            self.target.image,
            0 if self.target.environment.everywhere else self.target.replicas,
            await self.instances.held() if registering else None,
        )

    async def _explained(self, look: Arrival) -> str:
        """Why it is not there, with what registrars say of containers of this service."""
        hosts = await self.instances.hosts()
        reasons = [
            f"{each.name} on {host}: {each.reason}"
            for host, told in sorted(hosts.registrars.items())
            for each in told.unregistered
            if self.target.app.name in each.name
        ]
        return "\n".join([look.described, *reasons])

    async def _taken_back(self, rancher: Rancher, before: Arrival, *, same: bool) -> bool:
        """Has Rancher roll back; whether there was something before, and it serves again.

        Args:
            rancher: is told to.
            before: what there was.
            same: whether that was of the same image.
        """
        self.progress.step("it does not run: Rancher takes it back")
        try:
            if await rancher.service() is None:
                return False
            await self.run("up", "-d", "--rollback")
            return before.service is not None and await self._is_back(rancher, same=same)
        except Unavailable as error:
            self.progress.step(f"the way back: {error}")
            return False

    async def _is_back(self, rancher: Rancher, *, same: bool) -> bool:
        """Waits until Rancher has rolled back, and what it has started again is in etcd."""
        deadline = time.monotonic() + self._patience_seconds()
        while True:
            look = await self.look(rancher)
            # What came of the other and is on its way out tells nothing.
            serves = look.instances is None or bool(look.instances if same else look.left)
            if look.service is not None and look.service.state == ACTIVE and serves:
                return True
            if time.monotonic() > deadline:
                self.progress.step(f"the way back: {look.described}")
                return False
            await asyncio.sleep(LOOK_SECONDS)

    def _patience_seconds(self) -> float:
        rollout = self.target.environment.rollout
        batches = -(-max(1, self.target.replicas) // rollout.batch)
        # The pause between two batches is a start and a watch itself (see render).
        each = 2 * (self.target.app.health.start_seconds + rollout.monitor_seconds)
        return batches * (each + self.target.app.drain_seconds) + SPARE_SECONDS
