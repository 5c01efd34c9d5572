"""Script checks: a command inside the container, never a second one beside one that hangs."""

from typing import Final

from registrar.checks.model import Answer, Target, environment, shown, words
from wharfinger.dockerd import Docker
from wharfinger.errors import Rejected, Unavailable

# As a shell tells it, and as the runtime does for a container without one.
CANNOT_RUN: Final = {
    126: "the command cannot be run",
    127: "there is no such command",
}


class Scripts:
    """Runs scripts; exit code 0 is good, any other is a failure, as with Docker's HEALTHCHECK.

    Nothing in Docker's API ends a command inside a container. One that hangs is remembered,
    and no other is begun in its container before it has ended.

    Args:
        docker: the engine.

    Attributes:
        hanging: how often a script was still running when its time was over.
    """

    def __init__(self, docker: Docker) -> None:
        self.hanging = 0
        self._docker = docker
        self._left: dict[str, str] = {}

    @property
    def left(self) -> int:
        """How many containers may hold a script that was not seen to end."""
        return len(self._left)

    async def ask(self, target: Target) -> Answer:
        """Runs the target's script and says how it ended."""
        container_id = target.container_id
        try:
            if await self._still_runs(container_id):
                return Answer(good=False, why="the script of an earlier check still runs")
            return await self._run(target)
        except Unavailable as error:
            # With dockerd gone nothing is known of the container, which may serve as ever.
            return Answer(good=None, why=shown(f"cannot be asked: {error}"))
        except Rejected as error:
            told = str(error).replace(container_id, container_id[:12])
            return Answer(good=False, why=shown(f"the script cannot be started: {told}"))

    async def _run(self, target: Target) -> Answer:
        container_id = target.container_id
        begun: list[str] = []
        try:
            done = await self._docker.exec(
                container_id,
                words(target),
                environment=environment(target),
                timeout_seconds=target.check.timeout_seconds,
                on_start=begun.append,
            )
            if done.code is not None:
                begun.clear()
        finally:
            # Also when the target was forgotten meanwhile: another run may ask for it again.
            if begun:
                self._left[container_id] = begun[0]
        if done.code is None:
            self.hanging += 1
            await self._prune()
            seconds = target.check.timeout_seconds
            return Answer(good=False, why=f"the script was not done within {seconds:g} s")
        said = f": {done.output}" if done.output.strip() else ""
        if done.code == 0:
            return Answer(good=True, why="exit code 0")
        why = CANNOT_RUN.get(done.code, f"exit code {done.code}")
        return Answer(good=False, why=shown(why + said))

    async def _still_runs(self, container_id: str) -> bool:
        exec_id = self._left.get(container_id)
        if exec_id is None:
            return False
        if await self._docker.executing(exec_id):
            return True
        if self._left.get(container_id) == exec_id:
            del self._left[container_id]
        return False

    async def _prune(self) -> None:
        """Forgets the oldest ones that have ended, or went with their container."""
        for container_id in list(self._left)[:2]:
            await self._still_runs(container_id)
