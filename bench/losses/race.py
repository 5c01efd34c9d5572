"""The same lines before several shippers at once: one engine, and what became of each line."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple

from losses.contestant import Contestant, Kind

from tests.logshipper.dockerlog import DockerLog
from tests.logshipper.strict_sink import Answer
from wharfinger.operator.parts.dockerd import DockerDaemon

# Longer than the longest pause between two attempts of any of them.
QUIET_SECONDS: Final = 17.0
PATIENCE_SECONDS: Final = 150.0
LABELS: Final = ("--label=wharfinger.app=shop", "--label=wharfinger.env=prod")
FILLING: Final = "of a customer who ordered this and that, and would like to have it soon"


class Fate(NamedTuple):
    """What became of the lines with one shipper."""

    lost: int
    twice: int


class Race:
    """One fault, and those who have to bear it.

    Attributes:
        docker: the engine.
        contestants: shippers, each with its sink.
        written: every numbered line.
        number: of the fault, in its lines.
    """

    def __init__(self, docker: DockerDaemon, folder: Path, kinds: list[Kind], number: int) -> None:
        self.docker, self.number = docker, number
        self.contestants = [
            Contestant(kind, folder / str(place), docker=docker.url, root=docker.data_root)
            for place, kind in enumerate(kinds)
        ]
        self.written: set[str] = set()

    async def open(self) -> None:
        for each in self.contestants:
            await each.open()

    async def close(self) -> None:
        for each in self.contestants:
            await each.close()
        await self.docker.remove_containers()

    async def all(self, act: Callable[[Contestant], Awaitable[None]]) -> None:
        """The same for each of them at once."""
        await asyncio.gather(*map(act, self.contestants))

    async def start(self) -> None:
        await self.all(Contestant.start)

    def behave(self, answer: Answer | None) -> None:
        """What each sink answers from now on."""
        for each in self.contestants:
            each.sink.mood = answer

    def names(self, name: str, count: int) -> list[str]:
        """Numbered lines that are yet to be written."""
        lines = [f"{name}-{self.number}-{n:06d}" for n in range(1, count + 1)]
        self.written.update(lines)
        return lines

    async def write(
        self, name: str, count: int, *options: str, pause: str = ":", remove: bool = False
    ) -> str:
        """A container that prints numbered lines, `pause` after every hundredth; gives its id."""
        self.names(name, count)
        script = (
            f"i=0; while [ $i -lt {count} ]; do i=$((i+1));"
            f" printf '{name}-{self.number}-%06d {FILLING}\\n' $i;"
            f" [ $((i%100)) -gt 0 ] || {pause}; done"
        )
        kind = "--rm" if remove else "--detach"
        command = ("run", kind, "--network=none", *LABELS, *options, "busybox", "sh", "-c", script)
        return (await self.docker.run(*command)).strip()

    async def log(self) -> DockerLog:
        """The log of a container that says nothing itself; the bench writes it."""
        command = ("run", "--detach", "--network=none", *LABELS, "busybox", "sleep", "1000")
        container = (await self.docker.run(*command)).strip()
        return DockerLog(self.docker.data_root / "containers", container_id=container)

    def rotated(self, container: str) -> int:
        """How many rotated files a container has."""
        folder = self.docker.data_root / "containers" / container
        return sum(1 for _ in folder.glob("*-json.log.*"))

    async def fates(self) -> list[Fate]:
        """Waits until each has all lines, or nothing more comes; then counts."""
        return list(await asyncio.gather(*map(self._fate, self.contestants)))

    async def _fate(self, contestant: Contestant) -> Fate:
        sink = contestant.sink
        begun = changed = time.monotonic()
        seen = -1
        lines = sink.lines()
        while time.monotonic() < begun + PATIENCE_SECONDS:
            if (count := sum(sink.received.values())) != seen:
                seen, changed = count, time.monotonic()
                lines = sink.lines()
            if self.written <= lines.keys() or time.monotonic() > changed + QUIET_SECONDS:
                break
            await asyncio.sleep(1.0)
        await asyncio.sleep(1.0)  # for what may come twice
        lines = sink.lines()
        twice = sum(count > 1 for token, count in lines.items() if token in self.written)
        return Fate(len(self.written - lines.keys()), twice)
