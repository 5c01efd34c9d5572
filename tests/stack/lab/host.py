"""A host of the lab: namespaces with an address, an engine, folders, and what its boot starts."""

import asyncio
import os
import shutil
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from tests.stack.lab.namespaces import InsideProcess, Namespaces
from tests.stack.lab.network import Network
from wharfinger.operator.parts.dockerd import DockerDaemon

# Where the daemons of this very environment are.
PROGRAMS: Final = Path(sys.executable).parent


class Host(Namespaces):
    """A host, off until `power_on`.

    Paths are the same inside and outside, but for /run, which is each host's own.

    Attributes:
        ip: its address on the lab's network.
        folder: all that is its own: `state` stays over a power-off, `run` does not.
        docker: its engine, not started; `network=host` is the host's own network.
        boot: what `power_on` starts, side by side, as an init system does.
    """

    def __init__(self, name: str, ip: str, folder: Path, network: Network) -> None:
        super().__init__(name, network.names)
        self.ip = ip
        self.folder = folder
        self.state = folder / "state"
        self.run_dir = folder / "run"
        self.docker = DockerDaemon(folder / "docker", process=self.process)
        self.boot: list[Callable[[], Awaitable[object]]] = []
        self._network = network
        self._programs: dict[str, InsideProcess] = {}

    async def power_on(self) -> None:
        """Gives it its namespaces and its cable, and starts what is in `boot`.

        Raises:
            Unavailable: something did not start.
        """
        for folder in (self.state, self.run_dir):
            folder.mkdir(parents=True, exist_ok=True)
        await self.open()
        await self._network.plug(self, self.ip)
        await asyncio.gather(*(start() for start in self.boot))

    async def unplug(self) -> None:
        """Pulls its cable, until it is switched on again."""
        if self.running:
            await self._network.unplug(self)

    async def power_off(self) -> None:
        """Everything at once, containers too, and nobody hears of it; what is on disk stays.

        The cable goes first: the kernel would say goodbye for each process that it kills.
        Nothing of what the page cache holds is lost: the machine below lives on.
        """
        await self.unplug()
        await self.close()
        volatile = (self.docker.containerd_state, self.docker.folder / "exec", self.run_dir)
        for folder in volatile:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def start(self, program: str, *arguments: str | os.PathLike[str]) -> InsideProcess:
        """Starts a program inside and gives its process; one of this environment goes first.

        What it prints goes to `NAME.log` in the host's folder.

        Raises:
            Unavailable: it cannot be started.
        """
        process = self.program(Path(program).name, program, *arguments)
        await process.start()
        return process

    def program(self, name: str, program: str, *arguments: str | os.PathLike[str]) -> InsideProcess:
        """A program that is to run inside, not started; asked again by name, the same process."""
        if name not in self._programs:
            own = PROGRAMS / program
            words: Sequence[str | os.PathLike[str]] = (own if own.exists() else program, *arguments)
            self._programs[name] = self.process(words, log=self.folder / f"{name}.log", name=name)
        return self._programs[name]

    async def partition(self, *others: Namespaces, ports: Sequence[int] = ()) -> None:
        """Nothing passes between it and these, or anybody if none is named, until `heal`.

        Args:
            others: from whom it is parted.
            ports: TCP ports of either side, if only what they serve is to be cut off.
        """
        await self._network.part(self, others or self._network.without(self), ports)

    async def deafen(self, *others: Namespaces) -> None:
        """It hears nothing from these, or anybody if none is named, but is heard, until `heal`."""
        await self._network.deafen(self, others or self._network.without(self))

    async def heal(self) -> None:
        """Everything passes again between it and everybody."""
        await self._network.heal(self)
