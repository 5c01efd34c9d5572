"""Namespaces as a machine has them (network, name, processes, mounts), and their end at once."""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
import psutil

from wharfinger.errors import Unavailable
from wharfinger.operator.parts.command import output
from wharfinger.operator.parts.process import Process

FORK_SECONDS: Final = 5.0
CLONE_NEWNET: Final = 0x40000000  # sched.h
TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
# Process 1 of the namespaces. dash, whose wait for the sleep takes orphans away, too. The machine's
# own /run stays out of sight, since engines keep to it whatever their flags say; /sys shows the
# devices of the network namespace it was mounted from.
INIT: Final = """\
set -e
mount -t tmpfs tmpfs /run
mkdir /run/cgroup
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t sysfs sysfs /sys
mount --rbind /run/cgroup /sys/fs/cgroup
umount -l /run/cgroup
rmdir /run/cgroup
mount --bind /dev/null /etc/resolv.conf # without servers a look-up fails at once
mount --bind "$2" /etc/hosts
hostname "$1"
ip link set lo up
echo ready
while :; do sleep 1000; done
"""
_libc: Final = ctypes.CDLL(None, use_errno=True)


class Namespaces:
    """Where programs run as on a machine of their own.

    What runs inside lives and dies with process 1: the kernel kills all the others with it
    (pid_namespaces(7)), and then mounts, devices and addresses are gone. Process 1 dies with the
    test's process, however that ends.

    Attributes:
        name: the host name inside.
    """

    def __init__(self, name: str, names: Path) -> None:
        """Prepares them; nothing is there before `open`.

        Args:
            name: the host name inside.
            names: what is /etc/hosts inside.
        """
        self.name = name
        self._names = names
        self._unshare: subprocess.Popen[bytes] | None = None
        self._init: psutil.Process | None = None
        self._processes: list[InsideProcess] = []

    @property
    def running(self) -> bool:
        """Whether process 1 runs."""
        return self._unshare is not None and self._unshare.poll() is None

    @property
    def init_pid(self) -> int:
        """Process 1, by the id that it has outside.

        Raises:
            Unavailable: it does not run.
        """
        if self._init is None or not self.running:
            raise Unavailable(f"{self.name} is not there")
        return self._init.pid

    async def open(self) -> None:
        """Makes the namespaces.

        Raises:
            Unavailable: the kernel refuses, or a program for it is missing.
        """
        self._unshare = _unshared(self.name, self._names)
        assert self._unshare.stdout is not None
        if await asyncio.to_thread(self._unshare.stdout.readline) != b"ready\n":
            _, complaint = self._unshare.communicate()
            raise Unavailable(f"no namespaces for {self.name}: {complaint.decode().strip()}")
        (self._init,) = psutil.Process(self._unshare.pid).children()

    async def close(self) -> None:
        """SIGKILL for all that runs inside, at once."""
        if self._unshare is None:
            return
        if self._init is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._init.kill()
        await asyncio.to_thread(self._unshare.wait)
        for process in self._processes:
            await process.wait()  # killed by the kernel: what stands between us is told now
        for pipe in (self._unshare.stdout, self._unshare.stderr):
            if pipe is not None:
                pipe.close()
        self._unshare = self._init = None

    def words(self) -> tuple[str, ...]:
        """What stands before a command to have it run inside.

        Raises:
            Unavailable: the namespaces are not there.
        """
        return (
            *("nsenter", "--target", str(self.init_pid)),
            *("--net", "--uts", "--ipc", "--pid", "--mount", "--"),
        )

    async def run(self, *command: str | os.PathLike[str], timeout_seconds: float = 60.0) -> str:
        """Runs a command inside to its end; gives what it printed.

        Raises:
            Unavailable: it failed; with what it said on stderr.
        """
        return await output(*self.words(), *command, timeout_seconds=timeout_seconds)

    def process(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        log: Path,
        name: str = "",
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> "InsideProcess":
        """A program that is to run inside; takes what `Process` takes."""
        made = InsideProcess(
            self, command, log=log, name=name, environment=environment, folder=folder
        )
        self._processes.append(made)
        return made

    def session(self, **more: Any) -> aiohttp.ClientSession:
        """An HTTP client whose connections come from inside; takes what `ClientSession` takes."""
        connector = aiohttp.TCPConnector(socket_factory=self._socket, force_close=True, limit=0)
        return aiohttp.ClientSession(connector=connector, **{"timeout": TIMEOUT, **more})

    def _socket(self, address: Any) -> socket.socket:
        family, kind, protocol, *_ = address
        with self._entered():
            return socket.socket(family, kind, protocol)

    @contextlib.contextmanager
    def _entered(self) -> Iterator[None]:
        """This thread is in the network namespace: what it opens meanwhile, stays there."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            there = os.open(f"/proc/{self.init_pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            try:
                _setns(there)
            finally:
                os.close(there)
            try:
                yield
            finally:
                _setns(home)
        except FileNotFoundError as error:
            raise ConnectionError(f"{self.name} has just gone") from error
        finally:
            os.close(home)


class InsideProcess(Process):
    """A program in namespaces that may be made anew before it is started again.

    Between us and the program stands nsenter(1), which must fork to reach another process
    namespace. It ends as the program does, with its exit code or by the same signal.
    """

    def __init__(
        self, where: Namespaces, command: Sequence[str | os.PathLike[str]], **more: Any
    ) -> None:
        super().__init__(command, **more)
        self._where = where
        self._inside = self.command
        self._program: psutil.Process | None = None

    @property
    def pid(self) -> int:
        """The program's own id, as it is outside."""
        return self._found().pid

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the program; does nothing when it has ended."""
        with contextlib.suppress(psutil.NoSuchProcess):
            if self.running:
                self._found().send_signal(number)
        if number == signal.SIGCONT:
            super().signal(number)  # nsenter stops itself when its child is stopped

    def _spawn(self) -> None:
        self._program = None
        self.command = (*self._where.words(), *self._inside)
        super()._spawn()

    def _found(self) -> psutil.Process:
        if self._program is None:
            nsenter, deadline = psutil.Process(super().pid), time.monotonic() + FORK_SECONDS
            while not (children := nsenter.children()):
                if not self.running or time.monotonic() > deadline:
                    raise psutil.NoSuchProcess(nsenter.pid, self.name)
                time.sleep(0.001)
            self._program = children[0]
        return self._program


def _unshared(name: str, names: Path) -> subprocess.Popen[bytes]:
    kinds = ("--net", "--uts", "--ipc", "--pid", "--mount", "--mount-proc")
    return subprocess.Popen(
        [
            *("setpriv", "--pdeathsig", "KILL"),
            *("unshare", *kinds, "--fork", "--kill-child"),
            *("sh", "-c", INIT, "init", name, names),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
    )


def _setns(namespace: int) -> None:
    if _libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
