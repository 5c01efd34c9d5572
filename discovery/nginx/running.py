"""Asks a running Nginx which generation it serves, and whether older workers still accept."""

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from discovery.builtin.nginxfile import GENERATION_ADDRESS
from discovery.resources.resources import Resource
from discovery.resources.views import Rendered
from wharfinger.errors import Rejected

ASK_SECONDS: Final = 1.0
POLL_SECONDS: Final = 0.005
# Where workers cannot be seen (another pid namespace): so many answers in a row, over a time in
# which the master, which waits 100 ms before it ends the old workers, has surely ended them.
ANSWERS_IN_A_ROW: Final = 20
ANSWERS_SECONDS: Final = 0.5
_REQUEST: Final = b"GET /generation HTTP/1.0\r\nHost: generation\r\n\r\n"
_ANSWER: Final = re.compile(
    rb"HTTP/1\.[01] 200 .*\r\n\r\n([0-9a-f]{16}) ([0-9]{1,10})\n", re.DOTALL
)
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker said of itself."""

    generation: str
    worker_pid: int


class Nginx:
    """The Nginx that includes the built-in resource's file.

    A reload's exit code says that a signal was sent, no more: the master may refuse the file,
    new workers take a while, and the old ones go on accepting for 100 ms and more beside them.

    Args:
        port: that the file listens on.
        confirm_timeout_seconds: new workers must answer within it.
        proc: where the kernel shows processes.
    """

    def __init__(
        self, port: int, *, confirm_timeout_seconds: float, proc: Path = Path("/proc")
    ) -> None:
        self._port = port
        self._limit_seconds = confirm_timeout_seconds
        self._proc = proc

    async def ask(self) -> Answer | None:
        """What one worker says, over a connection of its own; None when none says anything."""
        try:
            async with asyncio.timeout(ASK_SECONDS):
                reader, writer = await asyncio.open_connection(GENERATION_ADDRESS, self._port)
                try:
                    writer.write(_REQUEST)
                    told = await reader.read(4096)
                    while more := await reader.read(4096):
                        told += more
                        if len(told) > 2**16:
                            break
                finally:
                    writer.close()
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()
        except (OSError, TimeoutError):
            return None
        match = _ANSWER.fullmatch(told)
        return Answer(match[1].decode(), int(match[2])) if match else None

    def old_workers(self, worker_pid: int) -> int:
        """How many workers of former generations still end their connections.

        Args:
            worker_pid: of any worker.
        """
        master = self._master(worker_pid)
        children = self._children(master) if master is not None else []
        return sum("shutting down" in self._title(pid) for pid in children)

    async def running(self) -> bool:
        """Whether anybody listens on the port."""
        try:
            async with asyncio.timeout(ASK_SECONDS):
                _, writer = await asyncio.open_connection(GENERATION_ADDRESS, self._port)
                writer.close()
        except ConnectionRefusedError:
            return False
        except (OSError, TimeoutError):
            return True
        return True

    async def confirm(self, rendered: Rendered, began: float) -> None:
        """Returns when only workers of this generation accept connections.

        Raises:
            Rejected: it was not so within the limit.
        """
        answer: Answer | None = None

        async def serves() -> bool:
            nonlocal answer
            answer = await self.ask()
            return answer is not None and answer.generation == rendered.generation

        if not await self._until(serves):
            found = f"generation {answer.generation} answers" if answer else "nothing answers"
            raise Rejected(
                f"Nginx does not serve generation {rendered.generation} "
                f"{self._limit_seconds:g} s after the reload ({found} on "
                f"{GENERATION_ADDRESS}:{self._port}); its error log tells why"
            )
        assert answer is not None  # noqa: S101 - set by serves()
        await self._confirm_alone(answer, began)

    async def _confirm_alone(self, answer: Answer, began: float) -> None:
        master = self._master(answer.worker_pid)
        if master is None:
            await self._confirm_by_answers(answer.generation)
            return

        async def alone() -> bool:
            return not self._accepting(master, began)

        if not await self._until(alone):
            pids = ", ".join(map(str, self._accepting(master, began)))
            raise Rejected(f"older workers still accept connections: {pids}")

    async def _confirm_by_answers(self, generation: str) -> None:
        row, first_at = 0, 0.0

        async def enough() -> bool:
            nonlocal row, first_at
            answer = await self.ask()
            if answer is None or answer.generation != generation:
                row = 0
                return False
            first_at = time.monotonic() if row == 0 else first_at
            row += 1
            return row >= ANSWERS_IN_A_ROW and time.monotonic() - first_at >= ANSWERS_SECONDS

        if not await self._until(enough):
            raise Rejected(f"older generations than {generation} still answer")

    async def _until(self, holds: Callable[[], Awaitable[bool]]) -> bool:
        deadline = time.monotonic() + self._limit_seconds
        while not await holds():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True

    def _master(self, worker_pid: int) -> int | None:
        """The worker's master; None where that pid is no worker of Nginx that we can see."""
        if not self._title(worker_pid).startswith("nginx: worker process"):
            return None
        parent = self._stat(worker_pid)[0]
        return parent if self._title(parent).startswith("nginx: master process") else None

    def _accepting(self, master: int, began: float) -> list[int]:
        """Workers from before that moment that have not closed their listening sockets.

        A worker changes its title in the same breath in which it closes them
        (ngx_worker_process_cycle), and accepts nothing in between.
        """
        limit = int(began * _TICKS_PER_SECOND)
        found = []
        for pid in self._children(master):
            title = self._title(pid)
            if title.startswith("nginx: worker process") and "shutting down" not in title:
                _, started = self._stat(pid)
                if 0 < started < limit:
                    found.append(pid)
        return found

    def _children(self, pid: int) -> list[int]:
        with contextlib.suppress(OSError):
            text = (self._proc / str(pid) / "task" / str(pid) / "children").read_text()
            return [int(word) for word in text.split()]
        return []

    def _title(self, pid: int) -> str:
        with contextlib.suppress(OSError):
            raw = (self._proc / str(pid) / "cmdline").read_bytes()
            return raw.replace(b"\0", b" ").decode(errors="replace").strip()
        return ""

    def _stat(self, pid: int) -> tuple[int, int]:
        """The parent's pid and the start in clock ticks since boot; zeros when it is gone."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            text = (self._proc / str(pid) / "stat").read_text(errors="replace")
            # proc(5): the name in parentheses may hold blanks and parentheses itself.
            rest = text.rpartition(")")[2].split()
            return int(rest[1]), int(rest[19])
        return 0, 0


def reader_of(resource: Resource) -> Nginx | None:
    """Who can be asked whether the resource's file is served."""
    if resource.nginx is None:
        return None
    _, port = resource.nginx.listen_address
    return Nginx(port, confirm_timeout_seconds=resource.nginx.confirm_timeout_seconds)
