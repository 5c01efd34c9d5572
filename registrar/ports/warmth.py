"""Keeps the process that gives starting containers their ports for the runtime."""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Final, Never

from prometheus_client import CollectorRegistry, Counter

from wharfinger.backoff import Backoff
from wharfinger.capabilities import missing
from wharfinger.events import Events

MODULE: Final = "registrar.runtime.warm"
# `wharfinger install --runtime` writes it into the runtime's settings.
PIPE_NAME: Final = "create.fifo"
FIRST_RETRY_SECONDS: Final = 1.0
LAST_RETRY_SECONDS: Final = 300.0
GOOD_SECONDS: Final = 60.0
LEAVE_SECONDS: Final = 2.0
OUTCOMES: Final = ("done", "left", "garbage")


def is_of_use() -> bool:
    """Whether what this process starts could end the sleep in which root's runtime waits."""
    return os.geteuid() == 0 or not missing("CAP_KILL")


class Warmth:
    """Runs `registrar.runtime.warm` for as long as the registrar lives, and tells what it says.

    Nothing depends on it: without it the runtime starts an interpreter for each container. It is
    a process and no thread of ours, so that a start does not wait while a plan is made.

    Args:
        runtime_dir: where its pipe is.
        events: where its troubles are told.
        metrics: the registry behind /metrics.
    """

    def __init__(self, runtime_dir: Path, events: Events, metrics: CollectorRegistry) -> None:
        self._path = runtime_dir / PIPE_NAME
        self._events = events
        self._backoff = Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        self._starts = Counter(
            "wharfinger_registrar_warm_starts",
            "Starts of containers that the runtime asked about, by what became of it",
            labelnames=["outcome"],
            registry=metrics,
        )
        for outcome in OUTCOMES:
            self._starts.labels(outcome)

    async def run(self) -> Never:
        """Starts it, and again whenever it ends."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                why = await self._once()
            except OSError as error:
                why = str(error)
            if loop.time() - began > GOOD_SECONDS:
                self._backoff.reset()
            self._events.emit("warm process ended", "warning", why=why)
            await asyncio.sleep(self._backoff.next_delay_seconds())

    async def _once(self) -> str:
        # -P: a working directory is no place for programs.
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", MODULE, self._path, stdin=PIPE, stdout=PIPE
        )
        try:
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            why = ""
            async for line in process.stdout:
                why = self._hear(line.decode(errors="replace").rstrip("\n")) or why
            return why or f"exit code {await process.wait()}"
        finally:
            await _leave(process)

    def _hear(self, line: str) -> str:
        """Takes what it says; gives why it ends, if that is what it says."""
        outcome, _, told = line.partition(" ")
        match outcome:
            case "done":
                self._starts.labels(outcome).inc(int(told))
            case "left" | "garbage":
                self._starts.labels(outcome).inc()
                self._events.emit(f"warm start {outcome}", "warning", why=told)
            case "ends":
                return told
        return ""


async def _leave(process: Process) -> None:
    """It leaves when its input ends; one that a disk holds is not waited for any longer."""
    assert process.stdin is not None  # noqa: S101 - a pipe was asked for
    process.stdin.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LEAVE_SECONDS):
            await process.wait()
            return
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    # Who goes at once is seen off: a loop that ends first would never know.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LEAVE_SECONDS):
            await process.wait()
