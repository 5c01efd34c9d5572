"""The containers of one engine, through Docker's command: looked at, stopped, their last words."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Final

from deploy.release import programs
from deploy.release.engines import facts
from deploy.release.engines.facts import Facts
from wharfinger.errors import Unavailable
from wharfinger.text import printable

LAST_LINES: Final = 20
# Of these; a trace is longer, and what is wrong stands at its beginning.
LINES_READ: Final = 400
LOOK_ATTEMPTS: Final = 4
LOOK_SECONDS: Final = 0.2
TIMEOUT_SECONDS: Final = 30.0
PULL_SECONDS: Final = 1_800.0
# dockerd remembers 256 events.
EVENTS_BACK: Final = "15m"


class Containers:
    """Those of one Docker engine.

    Args:
        docker_url: of the engine.
    """

    def __init__(self, docker_url: str) -> None:
        self.environment = {"DOCKER_HOST": docker_url}

    async def labelled(self, labels: Mapping[str, str]) -> tuple[Facts, ...]:
        """All that carry these labels, whether they run or not, the oldest first.

        Raises:
            Unavailable: the engine does not answer.
        """
        filters = [f"--filter=label={key}={value}" for key, value in labels.items()]
        for attempt in range(LOOK_ATTEMPTS):
            listed = await self._docker("ps", "--all", "--quiet", "--no-trunc", *filters)
            if not (ids := listed.split()):
                return ()
            try:
                return await self.inspected(ids)
            except Unavailable:
                # One that is removed between the two makes the second fail.
                if attempt + 1 == LOOK_ATTEMPTS:
                    raise
            await asyncio.sleep(LOOK_SECONDS)
        raise AssertionError

    async def inspected(self, ids: Collection[str]) -> tuple[Facts, ...]:
        """These, the oldest first.

        Raises:
            Unavailable: the engine does not answer, or does not know one.
        """
        return facts.parse(await self._docker("inspect", "--type=container", *ids))

    async def last_lines(self, container_id: str) -> tuple[str, ...]:
        """What tells most of what it wrote last, on either stream; or why that cannot be had."""
        said: list[str] = []
        try:
            await programs.run(
                *("docker", "logs", f"--tail={LINES_READ}", container_id),
                environment=self.environment,
                timeout_seconds=TIMEOUT_SECONDS,
                on_line=said.append,
                # Its last word on stderr would be behind, or lost among, hundreds on stdout.
                in_order=True,
            )
        except Unavailable as error:
            return (f"(its log cannot be had: {printable(str(error))})",)
        return facts.telling(said, at_most=LAST_LINES)

    async def explained(self, found: Facts, reason: str) -> str:
        """Why one does not run, with its last words."""
        if found.runs and found.restarts and (code := await self._last_exit_code(found.id)):
            reason = f"{reason} (exit code {code})"
        return facts.failure(found, reason, await self.last_lines(found.id))

    async def _last_exit_code(self, container_id: str) -> str:
        """How the run before ended, which no inspection tells any more; empty where unknown."""
        words = (f"--since={EVENTS_BACK}", "--until=0s", "--filter=event=die")
        code = "--format={{.Actor.Attributes.exitCode}}"
        try:
            told = await self._docker("events", *words, f"--filter=container={container_id}", code)
        except Unavailable:
            return ""
        return printable(told.split()[-1]) if told.split() else ""

    async def stop(self, ids: Collection[str], *, grace_seconds: float) -> None:
        """Has them end, side by side; who has not after `grace_seconds` is killed.

        Raises:
            Unavailable: the engine does not answer.
        """
        words = ("stop", f"--time={round(grace_seconds)}")
        await asyncio.gather(
            *(self._docker(*words, each, timeout=grace_seconds + TIMEOUT_SECONDS) for each in ids)
        )

    async def remove(self, ids: Collection[str]) -> None:
        """Takes them away; named volumes stay.

        Raises:
            Unavailable: the engine does not answer.
        """
        await self._docker("rm", "--force", *ids)

    async def pull(self, image: str) -> bool:
        """Has the engine fetch an image that it does not have yet; whether it had to.

        Raises:
            Unavailable: neither engine nor registry has it.
        """
        try:
            await self._docker("image", "inspect", "--format={{.Id}}", image)
        except Unavailable:
            await self._docker("pull", "--quiet", image, timeout=PULL_SECONDS)
            return True
        return False

    async def _docker(self, *words: str, timeout: float = TIMEOUT_SECONDS) -> str:  # noqa: ASYNC109  of a program
        return await programs.run(
            "docker", *words, environment=self.environment, timeout_seconds=timeout
        )
