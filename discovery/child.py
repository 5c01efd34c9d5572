"""The child that runs on what is rendered: begun, told of changes, ended with us or before us."""

import asyncio
import contextlib
import os
import secrets
import shlex
import signal
import subprocess
from collections.abc import Callable
from typing import Any, Final, Self

from discovery.config import ExecConfig
from discovery.publish import commands
from wharfinger.errors import Unavailable, WharfingerError
from wharfinger.lifecycle import Scope

POLL_SECONDS: Final = 0.2
# One change writes several files, side by side: a restart for each would be one after another.
QUIET_SECONDS: Final = 0.1
LONGEST_SECONDS: Final = 2.0
CHECK: Final = "child"
# What asks a program for something, and is not ours: HUP re-reads our configuration.
FORWARDED: Final = (signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)


class ChildEnded(WharfingerError):
    """The child ended by itself: so do we, with its code.

    Args:
        code: as wait(2) tells it; negative for a signal.
    """

    def __init__(self, code: int) -> None:
        by = f"by signal {-code}" if code < 0 else f"with code {code}"
        super().__init__(f"the child ended {by}")
        self.exit_code = 128 - code if code < 0 else code  # as a shell tells it


class Child:
    """Owns the child's process, in a group of its own.

    Args:
        config: what to run, and how to tell it.
        scope: of the daemon, which ends when the child does.
        rendered: whether every file is there.
        news: set when a file is new that has no reload command of its own.
    """

    def __init__(
        self,
        config: ExecConfig,
        scope: Scope,
        *,
        rendered: Callable[[], bool],
        news: asyncio.Event,
    ) -> None:
        self._config = config
        self._scope = scope
        self._rendered = rendered
        self._news = news
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = asyncio.Event()
        self._ending = asyncio.Lock()
        scope.health.check(CHECK).fail("not begun: files are missing")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leaves nobody behind, whatever ended the daemon."""
        if self._process is not None:
            self._signal(self._process, signal.SIGKILL)
            await asyncio.to_thread(self._process.wait)

    async def run(self) -> None:
        """Runs it for ever."""
        while not await asyncio.to_thread(self._rendered):  # noqa: ASYNC110 - files tell nobody
            await asyncio.sleep(POLL_SECONDS)
        loop = asyncio.get_running_loop()
        for number in FORWARDED:
            loop.add_signal_handler(number, self._send, number)
        try:
            self._news.clear()
            self._begin()
            while True:
                await self._news_or_end()
                await self._tell()
        finally:
            for number in FORWARDED:
                loop.remove_signal_handler(number)

    async def stop(self) -> None:
        """Ends it, and waits for that; kills it after its time."""
        async with self._ending:
            process = self._process
            self._process = None
            if process is None:
                return
            self._signal(process, signal.Signals[f"SIG{self._config.kill_signal}"])
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._config.kill_timeout_seconds):
                    await self._ended.wait()
            if not self._ended.is_set():
                self._scope.events.emit("child killed", "warning", pid=process.pid)
            # Whatever it has left in its group goes with it.
            self._signal(process, signal.SIGKILL)
            await asyncio.to_thread(process.wait)

    def status(self) -> dict[str, Any]:
        """What /status shows of it."""
        process = self._process
        return {"child": {"command": self._config.command, "pid": process.pid if process else 0}}

    def _begin(self) -> None:
        words = shlex.split(self._config.command)
        self._ended = asyncio.Event()
        try:
            process = subprocess.Popen(words, process_group=0, env=commands.environment())
        except OSError as error:
            raise Unavailable(f"{words[0]} cannot be run: {error.strerror}") from None
        self._process = process
        self._watch(process, self._ended)
        self._scope.health.check(CHECK).ok()
        self._scope.events.emit("child begun", command=self._config.command, pid=process.pid)

    def _watch(self, process: "subprocess.Popen[bytes]", ended: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        descriptor = os.pidfd_open(process.pid)

        def over() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            ended.set()

        loop.add_reader(descriptor, over)

    async def _news_or_end(self) -> None:
        """Returns when there is news; a child that ends by itself ends the daemon."""
        process = self._process
        tasks = [asyncio.create_task(event.wait()) for event in (self._news, self._ended)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        if self._ended.is_set() and process is not None and process is self._process:
            self._over(process)
            await asyncio.Event().wait()  # the daemon's end ends this, too

    def _over(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = None
        code = process.wait()
        self._scope.events.emit("child ended", "error" if code else "info", code=code)
        if not self._scope.failure.done():
            self._scope.failure.set_exception(ChildEnded(code))

    async def _tell(self) -> None:
        if self._process is None:
            await asyncio.Event().wait()  # it is being stopped for good
        # A thousandth of the time is fine enough.
        await asyncio.sleep(self._config.splay_seconds * secrets.randbelow(1000) / 1000)
        await self._settled()
        if self._ended.is_set():
            return  # by itself: that is what is to be told
        if self._config.reload_signal:
            self._send(signal.Signals[f"SIG{self._config.reload_signal}"])
            return
        await self.stop()
        self._begin()

    async def _settled(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_SECONDS):
                while self._news.is_set():
                    self._news.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(QUIET_SECONDS):
                            await self._news.wait()

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._scope.events.emit("child told", signal=number.name)
            self._signal(self._process, number)

    def _signal(self, process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
        # Not reaped before `wait`: neither its id nor its group's can be another's.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
