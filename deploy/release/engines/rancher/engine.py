"""The engine of one environment on Rancher 1.6: its files, and rancher-compose, here or by hand."""

import asyncio
import contextlib
import shlex
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from deploy.release import programs
from deploy.release.app.model import App, Environment
from deploy.release.engine import Replica, RolloutFailed, Target
from deploy.release.engines.departure import shown
from deploy.release.engines.instances import Instances
from deploy.release.engines.place import Place
from deploy.release.engines.rancher.api import Access, Rancher
from deploy.release.engines.rancher.arrival import Service as Said
from deploy.release.engines.rancher.rollout import Rollout
from deploy.release.progress import Progress
from wharfinger.errors import Exit, Unavailable, WharfingerError
from wharfinger.files import PRIVATE_MODE, make_folder, write_atomically
from wharfinger.keys import Service

PROGRAM: Final = "rancher-compose"
FLAGS: Final = "rancher-compose.flags"
RUN_SECONDS: Final = 600.0

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
        self._folder = place.folder(self._service)

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

    async def require_room(self, target: Target) -> None:
        """How many hosts there are is Rancher's to know."""

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
            rollout = self._rollout(target, progress)
            rancher = await self._at_hand(rollout, words, known)
            if rancher is not None:
                await rollout.upgrade(words, rancher)

    async def scale(self, target: Target, progress: Progress) -> None:
        """Changes only how many instances there are.

        Raises:
            RolloutFailed: they do not come up; there are as many as were asked for all the same.
            ByHand: as of `up`.
            Unavailable: Rancher or etcd do not answer.
        """
        words = ("scale", f"{self._app.name}={target.replicas}")
        async with self._prepared(self._render(target)) as known:
            rollout = self._rollout(target, progress)
            rancher = await self._at_hand(rollout, words, known)
            if rancher is None:
                return
            try:
                await rollout.run(*words)
                await rollout.until_there(rancher)
            except Unavailable as error:
                raise RolloutFailed(str(error), restored=False) from error

    async def down(self, progress: Progress) -> None:
        """Says which commands take it away; done again afterwards, sees that it is gone.

        Raises:
            ByHand: it is there.
            Unavailable: Rancher or etcd do not answer.
        """
        service = await self._asked()
        left = await self._instances(progress.step).addresses()
        if service is not None or left:
            raise ByHand(self._taken_by_hand(shown(left)))
        if self._access is None:
            progress.step("RANCHER_URL is not set: etcd alone was asked, and has none of it")

    async def _asked(self) -> Said | None:
        if self._access is None:
            return None
        async with Rancher(self._access, self._stack, self._app.name) as rancher:
            return await rancher.service()

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
        self, rollout: Rollout, words: tuple[str, ...], rancher: Rancher | None
    ) -> Rancher | None:
        """Rancher, where it can be told from here; None where somebody else has told it already.

        Raises:
            ByHand: it cannot be.
        """
        if rancher is not None and shutil.which(PROGRAM) is not None:
            return rancher
        look = await rollout.look(rancher)
        if look.instances is None or not look.is_there:
            raise ByHand(self._by_hand(words, why_here(rancher)))
        rollout.progress.step("it is there, handed to Rancher by somebody else")
        return None

    def _rollout(self, target: Target, progress: Progress) -> Rollout:
        run = partial(self._run, progress)
        return Rollout(target, self._instances(progress.step), progress, run)

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

    def _taken_by_hand(self, left: str) -> str:
        words = (("stop", self._app.name), ("rm", "--force", self._app.name))
        lines = [shlex.join((PROGRAM, "--project-name", self._stack, *each)) for each in words]
        there = f" ({left})" if left else ""
        render = f"`deploy render {self._environment.name} --out DIR` writes"
        where = f"take it away yourself{there}, in {self._folder} or where {render} its files:"
        said = "\n  ".join((where, *lines))
        return f"{said}\nThen say the same again, and it is recorded"

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
