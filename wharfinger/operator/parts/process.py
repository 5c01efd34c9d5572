"""One program that we started: its log, its readiness, and its end by process id."""

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from wharfinger.errors import Unavailable

POLL_SECONDS: Final = 0.02
TAIL_LINES: Final = 25
# Below the kernel's ephemeral range (32768 and up) and below the registrar's own: a client that
# keeps dialling a stopped server on an ephemeral port can end up connected to itself (TCP
# simultaneous open), and an outgoing connection can take the port while the server is away.
FREE_PORTS: Final = range(10_000, 20_000)
# In turn: nothing is bound to a port that was just given. Drawn at random, one server's three
# ports would now and then be one, and one port two processes' at once; these begin far apart.
_first: Final = FREE_PORTS[os.getpid() * 6_180 % len(FREE_PORTS)]
_turn: Final = itertools.cycle((*range(_first, FREE_PORTS.stop), *range(FREE_PORTS.start, _first)))

Condition = Callable[[], Awaitable[bool]]


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port on `host` that nothing is bound to at this moment, and that was not given before.

    Raises:
        Unavailable: hundreds of ports were all taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    port: int
    for port in itertools.islice(_turn, 500):
        with socket.socket(family, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
            probe.bind((host, port))
            return port
    raise Unavailable(f"no free port on {host} in {FREE_PORTS}")


async def until(condition: Condition, *, timeout_seconds: float, what: str) -> None:
    """Waits until `condition` holds.

    Raises:
        Unavailable: it did not within `timeout_seconds`; the message says `what`.
    """
    deadline = time.monotonic() + timeout_seconds
    while not await condition():
        if time.monotonic() > deadline:
            raise Unavailable(f"waited {timeout_seconds:g} s in vain until {what}")
        await asyncio.sleep(POLL_SECONDS)


def freeze(pid: int) -> None:
    """SIGSTOP, and waits until every thread of that process stands still; or all have ended.

    The signal alone is no more than on its way: who is still to get it is woken for what comes
    meanwhile, in the place of somebody who would see to it, and stops with it in hand.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    while not _states(pid) <= set("tTXZ"):
        time.sleep(0.001)


def _states(pid: int) -> set[str]:
    """The letters of proc(5) for what its threads do; none when it is gone."""
    states = set()
    for path in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):  # that thread has ended meanwhile
            states.add(path.read_text(errors="replace").rpartition(") ")[2][0])
    return states


class Process:
    """A program in a process group of its own, so that Ctrl-C in a terminal stays with us.

    It may be started again after it ended; the log is appended to. It belongs to no event loop.

    Attributes:
        name: what messages call it.
        command: program and arguments.
        log: file that takes its stdout and stderr.
    """

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        log: Path,
        name: str = "",
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.command = tuple(os.fspath(part) for part in command)
        self.name = name or Path(self.command[0]).name
        self.log = log
        self._environment = environment
        self._folder = folder
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id.

        Raises:
            Unavailable: it was never started.
        """
        if self._popen is None:
            raise Unavailable(f"{self.name} was not started")
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Its exit code, negative for a signal; None before the end."""
        return None if self._popen is None else self._popen.poll()

    async def start(self, ready: Condition | None = None, *, timeout_seconds: float = 30.0) -> None:
        """Starts it and waits until `ready` holds.

        Raises:
            Unavailable: the program is missing, it ended before it was ready, or it did not get
                ready in time (it is ended then); the message carries the end of its log.
        """
        if self.running:
            raise Unavailable(f"{self.name} is running already")
        self._spawn()
        if ready is None:
            return
        try:
            await self._until_ready(ready, timeout_seconds)
        except BaseException:
            await self.kill()
            raise

    async def wait(self, *, timeout_seconds: float = 30.0) -> int:
        """Waits for its end and gives the exit code, negative for a signal.

        Raises:
            Unavailable: it still runs after `timeout_seconds`.
        """
        await until(self._ended, timeout_seconds=timeout_seconds, what=f"{self.name} ends")
        code = self.exit_code
        return 0 if code is None else code

    async def terminate(self, timeout_seconds: float = 10.0) -> int | None:
        """SIGTERM, then SIGKILL when it has not ended in time; gives the exit code."""
        if self.running:
            self.signal(signal.SIGTERM)
            try:
                await self.wait(timeout_seconds=timeout_seconds)
            except Unavailable:
                await self.kill()
        return self.exit_code

    async def kill(self) -> int | None:
        """SIGKILL, frozen or not, and waits for the end; gives the exit code."""
        if self.running:
            self.signal(signal.SIGKILL)
            await self.wait()
        return self.exit_code

    def freeze(self) -> None:
        """Has it stand still: it keeps its sockets open and answers nothing."""
        if self.running:
            freeze(self.pid)

    def thaw(self) -> None:
        """SIGCONT: it goes on where it was frozen."""
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to this one process; does nothing when it has ended."""
        if self._popen is not None:
            self._popen.send_signal(number)

    def log_tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines that it wrote."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _spawn(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self.log.open("ab") as log:
                self._popen = subprocess.Popen(
                    self.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self._folder,
                    env=None if self._environment is None else dict(self._environment),
                    process_group=0,
                )
        except OSError as error:
            raise Unavailable(f"{self.name} cannot be started: {error}") from error

    async def _until_ready(self, ready: Condition, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        while not await ready():
            if not self.running:
                raise Unavailable(self._with_log(f"ended with code {self.exit_code}"))
            if time.monotonic() > deadline:
                raise Unavailable(self._with_log(f"was not ready after {timeout_seconds:g} s"))
            await asyncio.sleep(POLL_SECONDS)

    async def _ended(self) -> bool:
        return not self.running

    def _with_log(self, what: str) -> str:
        return f"{self.name} {what}; the end of {self.log}:\n{self.log_tail()}"
