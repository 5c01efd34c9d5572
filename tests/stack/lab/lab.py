"""The hosts of a test on one network, and their end; what a killed test left goes first."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.stack.lab.host import Host
from tests.stack.lab.namespaces import Namespaces
from tests.stack.lab.network import PREFIX, Network
from wharfinger.operator.parts import leftovers
from wharfinger.operator.parts.dockerd import DockerDaemon

# Short, since a Unix socket's path may have 107 bytes at most (unix(7)).
PARENT: Final = Path("/tmp")
MARK: Final = "wf-lab-"
UNOWNED: Final = "wf-new-"
FIRST_ADDRESS: Final = 11


class Lab:
    """Hosts that are all off at first.

    Attributes:
        folder: all that is on disk of it.
        hosts: in the order of their names: box1, box2, ...
        network: between them.
        client: beside the hosts, on the same network: where load comes from.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.network = Network(folder / "hosts")
        self.hosts = [
            Host(f"box{n}", f"{PREFIX}.{FIRST_ADDRESS + n - 1}", folder / f"box{n}", self.network)
            for n in range(1, count + 1)
        ]
        names = {"127.0.0.1": "localhost", self.network.ip: self.client.name}
        names |= {host.ip: host.name for host in self.hosts}
        lines = [f"{ip} {name}\n" for ip, name in names.items()]
        self.network.names.write_text("".join(lines), encoding="ascii")

    @property
    def client(self) -> Namespaces:
        """The switch's own namespaces."""
        return self.network.switch

    async def power_on(self) -> None:
        """All hosts, side by side."""
        await asyncio.gather(*(host.power_on() for host in self.hosts))

    async def close(self) -> None:
        """Kills everything that runs in it."""
        for host in self.hosts:
            await host.close()
        await self.network.close()


@asynccontextmanager
async def raised(count: int = 3) -> AsyncIterator[Lab]:
    """A lab of so many hosts, on its network and off; all of it is gone with the block.

    Raises:
        Unavailable: the kernel refuses, or a program is missing.
    """
    with folder_of_a_lab() as folder:
        lab = Lab(folder, count)
        try:
            await lab.network.open()
            yield lab
        finally:
            await lab.close()


def remove_left() -> None:
    """Takes away what labs left whose process was killed.

    Raises:
        Unavailable: something of it cannot be got rid of.
    """
    for folder in PARENT.glob(f"{MARK}*"):
        with _owned(folder) as free:
            if free:
                _remove(folder)


@contextlib.contextmanager
def folder_of_a_lab() -> Iterator[Path]:
    """A folder for a lab, which must be closed when the block ends: then it is removed.

    Raises:
        Unavailable: what a lab that was killed left cannot be got rid of, or this folder.
    """
    remove_left()
    made = Path(tempfile.mkdtemp(prefix=UNOWNED, dir=PARENT))
    with _owned(made):
        # Leftovers are known by their name, which it has only now that it is held.
        folder = made.rename(PARENT / made.name.replace(UNOWNED, MARK, 1))
        try:
            yield folder
        finally:
            _remove(folder)


@contextlib.contextmanager
def _owned(folder: Path) -> Iterator[bool]:
    """Holds the folder's lock, which the kernel frees when its holder dies; whether it is ours."""
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False  # its own test has just removed it
        return
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(held)


def _remove(folder: Path) -> None:
    """The processes and mounts went with their namespaces; groups of processes did not."""
    for host in folder.glob("*/docker"):
        engine = DockerDaemon(host)
        leftovers.end_containers(engine.containerd_socket, engine.cgroup)
    shutil.rmtree(folder)
