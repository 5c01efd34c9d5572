"""The engine of one environment on Rancher 1.6: files, rancher-compose, and the wait behind it."""

import asyncio
import contextlib
import shlex
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Final

from deploy.release import programs
from deploy.release.app.model import App, Environment
from deploy.release.engine import Replica, RolloutFailed, Target
from deploy.release.engines.instances import Instances
from deploy.release.engines.place import Place
from deploy.release.engines.rancher.api import Access, Rancher
from deploy.release.engines.rancher.arrival import UNDER_WAY, UPGRADED, Arrival
from deploy.release.progress import Progress
from wharfinger.errors import Exit, Unavailable, WharfingerError
from wharfinger.files import PRIVATE_MODE, make_folder, write_atomically
from wharfinger.keys import Service

PROGRAM: Final = "rancher-compose"
FLAGS: Final = "rancher-compose.flags"
RUN_SECONDS: Final = 600.0
LOOK_SECONDS: Final = 0.5
# Beside starts and drains: pulls on each host, and what Rancher's agents take.
SPARE_SECONDS: Final = 120.0

Render = Callable[[Target], Mapping[str, str]]


class ByHand(WharfingerError):
    """The files are written, and somebody else has to hand them to Rancher; the message says how.

    The same command done again afterwards finds the release there, and ends well.
    """

    exit_code = Exit.TRY_LATER


class RancherEngine:
    """One environment of an application on Rancher.

    The instances are replaced by Rancher, which stops the old ones itself: their start script
    holds that stop back, and the pause between two batches is as long as a start may take.

    Args:
        app: what wharf.yaml says.
        environment: one of its.
        place: where etcd and our state are.
        stack: its name in Rancher.
        render: makes the files of a release.
        access: to Rancher's API; None where nothing says where it is.
    """

    def __init__(
        self,
        app: App,
        environment: Environment,
        place: Place,
        *,
        stack: str,
        render: Render,
        access: Access | None,
    ) -> None:
        self._app = app
        self._environment = environment
        self._place = place
        self._stack = stack
        self._render = render
        self._access = access
        self._service = Service(app.name, environment.name)
        self._folder = place.state_dir / "deploy" / self._service.name

    async def running(self) -> tuple[Replica, ...]:
        """The instances that registrars tell of.

        Raises:
            Unavailable: etcd does not answer.
        """
        held = await self._instances(lambda _text: None).held()
        return tuple(
            Replica(id=each.container, name=each.name, host=each.host, image=each.image, state="up")
            for each in held
        )

    async def up(self, target: Target, progress: Progress) -> None:
        """Hands the files to Rancher, and waits; confirms, or has Rancher take it back.

        Raises:
            RolloutFailed: it does not run.
            ByHand: there is no rancher-compose here, or no address of Rancher.
            Unavailable: Rancher or etcd do not answer.
        """
        files = self._render(target)
        words = ("up", "-d", "--upgrade", "--pull", *shlex.split(files[FLAGS]))
        async with self._prepared(files) as known:
            instances = self._instances(progress.step)
            rancher = await self._at_hand(target, words, known, instances, progress)
            if rancher is not None:
                await self._rolled(target, words, rancher, instances, progress)

    async def scale(self, target: Target, progress: Progress) -> None:
        """Changes only how many instances there are.

        Raises:
            RolloutFailed: they do not come up; there are as many as were asked for all the same.
            ByHand: as of `up`.
            Unavailable: Rancher or etcd do not answer.
        """
        words = ("scale", f"{self._app.name}={target.replicas}")
        async with self._prepared(self._render(target)) as known:
            instances = self._instances(progress.step)
            rancher = await self._at_hand(target, words, known, instances, progress)
            if rancher is None:
                return
            try:
                await self._run(progress, *words)
                await self._until_there(target, rancher, instances, progress)
            except Unavailable as error:
                raise RolloutFailed(str(error), restored=False) from error

    @contextlib.asynccontextmanager
    async def _prepared(self, files: Mapping[str, str]) -> AsyncIterator[Rancher | None]:
        """Writes the files; gives Rancher's API where its address is known."""
        await asyncio.to_thread(self._write, files)
        if self._access is None:
            yield None
            return
        async with Rancher(self._access, self._stack, self._app.name) as rancher:
            yield rancher

    async def _at_hand(
        self,
        target: Target,
        words: tuple[str, ...],
        rancher: Rancher | None,
        instances: Instances,
        progress: Progress,
    ) -> Rancher | None:
        """Rancher, where it can be told from here; None where somebody else has told it already.

        Raises:
            ByHand: it cannot be.
        """
        if rancher is not None and shutil.which(PROGRAM) is not None:
            return rancher
        look = await self._look(target, rancher, instances)
        if look.instances is None or not look.is_there:
            raise ByHand(self._by_hand(words, why_here(rancher)))
        progress.step("it is there, handed to Rancher by somebody else")
        return None

    async def _rolled(
        self,
        target: Target,
        words: tuple[str, ...],
        rancher: Rancher,
        instances: Instances,
        progress: Progress,
    ) -> None:
        before = await self._look(target, rancher, instances)
        before = await self._settled(before, target, rancher, instances, progress)
        is_upgraded = before.service is not None and before.service.state == UPGRADED
        goes_on = is_upgraded and bool(before.come)
        if goes_on:
            progress.step("it goes on where an earlier run was cut off")
        elif is_upgraded:
            # Rancher refuses a second upgrade before that.
            progress.step("an upgrade that was left unconfirmed is confirmed")
            await self._run(progress, "up", "-d", "--confirm-upgrade")
        try:
            if not goes_on:
                await self._run(progress, *words)
            await self._until_there(target, rancher, instances, progress)
        except Unavailable as error:
            restored = await self._taken_back(rancher, progress)
            raise RolloutFailed(str(error), restored=restored) from error
        await self._run(progress, "up", "-d", "--confirm-upgrade")
        progress.step("the upgrade is confirmed")

    async def _settled(
        self,
        look: Arrival,
        target: Target,
        rancher: Rancher,
        instances: Instances,
        progress: Progress,
    ) -> Arrival:
        """Waits for what Rancher is doing already: it takes one upgrade at a time."""
        deadline = time.monotonic() + self._patience_seconds(target)
        while look.service is not None and look.service.state in UNDER_WAY:
            if time.monotonic() > deadline:
                raise Unavailable(f"something else is under way: {look.described}")
            progress.waiting(look.service.described, 0, 1)
            await asyncio.sleep(LOOK_SECONDS)
            look = await self._look(target, rancher, instances)
        return look

    async def _until_there(
        self, target: Target, rancher: Rancher, instances: Instances, progress: Progress
    ) -> None:
        """Waits until it is, for as long as it must stay so, and is sent requests.

        Raises:
            Unavailable: it never is.
        """
        deadline = time.monotonic() + self._patience_seconds(target)
        steady_since: float | None = None
        while True:
            now = time.monotonic()
            try:
                look = await self._look(target, rancher, instances)
            except Unavailable as error:
                # Rancher goes on by itself while its API is away for a moment.
                if now > deadline:
                    raise
                progress.waiting(str(error), 0, 1)
                await asyncio.sleep(LOOK_SECONDS)
                continue
            steady_since = (steady_since or now) if look.is_there else None
            progress.waiting("instances of the release", len(look.come), target.replicas)
            monitored = self._environment.rollout.monitor_seconds
            if steady_since is not None and now - steady_since >= monitored:
                break
            if now > deadline:
                raise Unavailable(await self._explained(look, instances))
            await asyncio.sleep(LOOK_SECONDS)
        revision = max((each.revision for each in look.come), default=0)
        if revision and (behind := await instances.served(revision)):
            raise Unavailable(f"not served by the discovery on {', '.join(behind)}")

    async def _look(self, target: Target, rancher: Rancher | None, instances: Instances) -> Arrival:
        registering = bool((await instances.hosts()).registrars)
        return Arrival(
            await rancher.service() if rancher is not None else None,
            target.image,
            0 if self._environment.everywhere else target.replicas,
            await instances.held() if registering else None,
        )

    async def _explained(self, look: Arrival, instances: Instances) -> str:
        """Why it is not there, with what registrars say of containers of this service."""
        hosts = await instances.hosts()
        reasons = [
            f"{each.name} on {host}: {each.reason}"
            for host, told in sorted(hosts.registrars.items())
            for each in told.unregistered
            if self._app.name in each.name
        ]
        return "\n".join([look.described, *reasons])

    async def _taken_back(self, rancher: Rancher, progress: Progress) -> bool:
        """Has Rancher roll back; whether it says that it did."""
        progress.step("it does not run: Rancher takes it back")
        try:
            service = await rancher.service()
            if service is None:
                return False
            await self._run(progress, "up", "-d", "--rollback")
            service = await rancher.service()
        except Unavailable as error:
            progress.step(f"the way back: {error}")
            return False
        return service is not None and service.state == "active"

    def _patience_seconds(self, target: Target) -> float:
        rollout = self._environment.rollout
        batches = -(-max(1, target.replicas) // rollout.batch)
        # The pause between two batches is a start and a watch itself (see render).
        each = 2 * (self._app.health.start_seconds + rollout.monitor_seconds)
        return batches * (each + self._app.drain_seconds) + SPARE_SECONDS

    async def _run(self, progress: Progress, *words: str) -> None:
        compose = ("--file", str(self._folder / "docker-compose.yml"))
        rancher = ("--rancher-file", str(self._folder / "rancher-compose.yml"))
        # Address and keys come with our own environment.
        await programs.run(
            *(PROGRAM, "--project-name", self._stack, *compose, *rancher, *words),
            timeout_seconds=RUN_SECONDS,
            on_line=progress.output,
        )

    def _by_hand(self, words: tuple[str, ...], why: str) -> str:
        command = shlex.join((PROGRAM, "--project-name", self._stack, *words))
        said = f"{why}: hand it to Rancher yourself, in {self._folder}:\n  {command}\n"
        if "--upgrade" in words:
            confirm = shlex.join((PROGRAM, "--project-name", self._stack, "up", "-d"))
            said += f"and when it is there: {confirm} --confirm-upgrade (or --rollback).\n"
        return said + "Then say the same again, and it is recorded"

    def _write(self, files: Mapping[str, str]) -> None:
        try:
            make_folder(self._folder, 0o700)
            for name, text in files.items():
                write_atomically(self._folder / Path(name).name, text.encode(), mode=PRIVATE_MODE)
        except OSError as error:
            raise Unavailable(f"{self._folder}: {error}") from error

    def _instances(self, tell: Callable[[str], None]) -> Instances:
        return Instances(self._place.etcd, self._service, by=self._place.by, tell=tell)


def why_here(rancher: Rancher | None) -> str:
    """Why nothing can be handed to Rancher from here."""
    if rancher is None:
        return "RANCHER_URL is not set"
    return f"{PROGRAM} is not on PATH"
