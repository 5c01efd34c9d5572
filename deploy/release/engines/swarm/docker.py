"""Asks and tells a manager of the Swarm, by the `docker` command."""

import contextlib
import re
from collections.abc import Callable, Collection
from typing import Final

from deploy.release import programs
from deploy.release.engines.swarm import answers
from deploy.release.engines.swarm.model import Node, Service, Task
from wharfinger.errors import Unavailable

ASK_SECONDS: Final = 30.0
TELL_SECONDS: Final = 120.0
LOG_SECONDS: Final = 10.0
LOG_LINES: Final = 20
# From Docker 26 on; a flag that says so is refused by older ones.
_OF_DETACH: Final = ("Since --detach", "In a future release, --detach")
# The command's own words, or those of the engine, which it passes on.
_GONE: Final = re.compile(
    r"no such (?:service|task|object)|(?:service|task) \S+ not found", re.IGNORECASE
)


class Manager:
    """One service of one stack.

    Args:
        docker: address of a manager's engine; None for that of the surroundings.
        stack: name of the stack.
        service: of the service in it.
    """

    def __init__(self, docker: str | None, stack: str, service: str) -> None:
        self.stack = stack
        self.name = f"{stack}_{service}"
        # A context that somebody uses would win over the address (docker CLI reference).
        self._environment = {} if docker is None else {"DOCKER_HOST": docker, "DOCKER_CONTEXT": ""}

    async def service(self) -> Service | None:
        """The service as it is; None where there is none.

        Raises:
            Unavailable: no manager answers.
        """
        try:
            return answers.service(await self._ask("service", "inspect", self.name))
        except Unavailable as error:
            if _GONE.search(str(error)):
                return None
            raise

    async def tasks(self) -> tuple[Task, ...]:
        """All of its tasks that Swarm remembers.

        Raises:
            Unavailable: no manager answers, or there is no such service.
        """
        words = ("service", "ps", "--quiet", "--no-trunc", self.name)
        for last in (False, False, True):
            ids = (await self._ask(*words)).split()
            if not ids:
                return ()
            try:
                return answers.tasks(await self._ask("inspect", "--type", "task", *ids))
            except Unavailable as error:
                # One was forgotten between the two questions.
                if last or not _GONE.search(str(error)):
                    raise
        raise AssertionError

    async def nodes(self) -> tuple[Node, ...]:
        """The nodes of the Swarm.

        Raises:
            Unavailable: no manager answers.
        """
        ids = (await self._ask("node", "ls", "--quiet")).split()
        return answers.nodes(await self._ask("node", "inspect", *ids))

    async def deploy(self, text: str, on_line: Callable[[str], None]) -> None:
        """`docker stack deploy` of a stack's file.

        Raises:
            Unavailable: it was refused; with what was said.
        """

        def told(line: str) -> None:
            if line.strip() and not line.startswith(_OF_DETACH):
                on_line(line)

        # By digest there is nothing to look up, and managers may not reach the registry.
        await self._tell(
            *("stack", "deploy", "--prune", "--with-registry-auth", "--resolve-image", "never"),
            *("--compose-file", "-", self.stack),
            stdin=text.encode(),
            on_line=told,
        )

    async def remove(self) -> None:
        """Takes the whole stack away.

        Raises:
            Unavailable: no manager answers.
        """
        await self._tell("stack", "rm", self.stack)

    async def remove_service(self, service_id: str) -> None:
        """Takes one service away, by its id: no other can be meant, whatever it is called.

        Raises:
            Unavailable: no manager answers.
        """
        try:
            await self._tell("service", "rm", service_id)
        except Unavailable as error:
            # The attempt before, of which no answer came.
            if not _GONE.search(str(error)):
                raise

    async def remembered(self, ids: Collection[str]) -> tuple[Task, ...]:
        """Of these tasks those that Swarm still knows, be their service gone.

        Raises:
            Unavailable: no manager answers.
        """
        found: list[Task] = []
        for each in ids:
            try:
                found += answers.tasks(await self._ask("inspect", "--type", "task", each))
            except Unavailable as error:
                if not _GONE.search(str(error)):
                    raise
        return tuple(found)

    async def roll_back(self) -> None:
        """Has Swarm go back to what was specified before.

        Raises:
            Unavailable: no manager answers, or nothing was specified before.
        """
        await self._tell("service", "update", "--rollback", "--detach", "--quiet", self.name)

    async def scale(self, replicas: int, *, service_id: str = "") -> None:
        """Changes how many tasks there shall be.

        Args:
            replicas: so many.
            service_id: of this service and no other; empty for the one of our name.

        Raises:
            Unavailable: no manager answers, or the service runs on each node.
        """
        await self._tell("service", "scale", "--detach", f"{service_id or self.name}={replicas}")

    async def log(self, task: Task) -> tuple[str, ...]:
        """The last lines of a task's container; none where its node does not tell."""
        lines: list[str] = []
        with contextlib.suppress(Unavailable):
            await programs.run(
                *("docker", "service", "logs", "--raw", "--tail", str(LOG_LINES), task.id),
                environment=self._environment,
                timeout_seconds=LOG_SECONDS,
                on_line=lines.append,
            )
        return tuple(lines[-LOG_LINES:])

    async def _ask(self, *words: str) -> str:
        return await programs.run(
            "docker", *words, environment=self._environment, timeout_seconds=ASK_SECONDS
        )

    async def _tell(
        self,
        *words: str,
        stdin: bytes = b"",
        on_line: Callable[[str], None] = lambda _line: None,
    ) -> None:
        await programs.run(
            "docker",
            *words,
            environment=self._environment,
            stdin=stdin,
            timeout_seconds=TELL_SECONDS,
            on_line=on_line,
        )
