"""The programs that do the work: docker, docker-compose; run to their end, told line by line."""

import asyncio
import contextlib
import functools
import os
import re
import shutil
import subprocess
from asyncio.subprocess import Process
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Final, cast

import psutil

from deploy.release import warrant
from wharfinger.errors import Unavailable
from wharfinger.text import printable

LINES_KEPT: Final = 20
_LIMIT_BYTES: Final = 1 << 20
# util-linux's, from 2.33 on.
_SETPRIV: Final = "setpriv"
_WITH_US: Final = ("--pdeathsig", "KILL")
_TAB_BLANKS: Final = 4
# docker's classic builder paints red what a step says on stderr, terminal or not (ECMA-48, SGR).
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
# Every docker must know the registry by the same name: who pushes is who pulls.
_DOCKER_CONFIG: Final[ContextVar[Path | None]] = ContextVar("docker_config", default=None)


def sign_in(docker_config: Path | None) -> None:
    """From now on `docker` finds in this folder what `docker login` has kept; None: in its own."""
    _DOCKER_CONFIG.set(docker_config)


async def run(
    *command: str | os.PathLike[str],
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout_seconds: float = 600.0,
    on_line: Callable[[str], None] = lambda _line: None,
    lines_kept: int = LINES_KEPT,
    in_order: bool = False,
) -> str:
    """Runs a program to its end; gives what it printed on stdout.

    Should we be killed, it is, too: a `docker` that works on alone would change something when the
    lock is another's already.

    Args:
        command: program and arguments; nothing secret, since everybody sees them.
        environment: beside our own.
        stdin: what it reads.
        timeout_seconds: after that it is ended.
        on_line: told each line of stderr and stdout, made printable.
        lines_kept: how many of the last ones an error repeats.
        in_order: stdout and stderr come by one pipe, as they are written; both are given back.

    Raises:
        Unavailable: it is missing, failed, or took too long; with what it said last.
    """
    warrant.require()
    words = [os.fspath(part) for part in command]
    what, heard = " ".join(words[:4]), _Heard(on_line, lines_kept)
    async with _started(what, words, environment or {}, in_order=in_order) as process:
        try:
            async with asyncio.timeout(timeout_seconds):
                code = await _ended(process, stdin, heard)
        except TimeoutError as error:
            raise Unavailable(f"{what}: not done after {timeout_seconds:g} s") from error
    if code:
        raise Unavailable(f"{what}: exit code {code}: " + "\n".join(heard.last))
    return "".join(heard.printed)


class _Heard:
    """What a program says, and who is told.

    Args:
        on_line: told each line, made printable.
        lines_kept: how many of the last ones.

    Attributes:
        printed: on stdout, as it came.
        last: the last lines of both, for people.
    """

    def __init__(self, on_line: Callable[[str], None], lines_kept: int) -> None:
        self.printed: list[str] = []
        self.last: deque[str] = deque(maxlen=lines_kept)
        self._on_line = on_line

    def line(self, line: str) -> None:
        """Takes a line of either."""
        shown = printable(_COLOUR.sub("", line).rstrip().expandtabs(_TAB_BLANKS))
        # `docker inspect` prints that for what it could not ask about, before it says why.
        if shown not in {"", "[]"}:
            self.last.append(shown)
        self._on_line(shown)


@contextlib.asynccontextmanager
async def _started(
    what: str, words: Sequence[str], environment: Mapping[str, str], *, in_order: bool
) -> AsyncIterator[Process]:
    """Starts a program, and ends it where it is left before its end.

    Raises:
        Unavailable: it is missing.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *_ending_with_us(words[0]),
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT if in_order else asyncio.subprocess.PIPE,
            env={**os.environ, **_signed_in(), **environment},
            limit=_LIMIT_BYTES,
        )
    except OSError as error:
        raise Unavailable(f"{what}: {error}") from error
    try:
        yield process
    finally:
        if process.returncode is None:
            _kill(process.pid)
            await process.wait()


def _kill(pid: int) -> None:
    """Ends it and what it has started: a plugin of docker's would hold our pipes open."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()


async def _ended(process: Process, stdin: bytes, heard: _Heard) -> int:
    """Feeds and follows it to its end; gives its exit code."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_feed(cast("asyncio.StreamWriter", process.stdin), stdin))
        tasks.create_task(_follow(process.stdout, heard.line, heard.printed.append))
        tasks.create_task(_follow(process.stderr, heard.line))
    return await process.wait()


async def _feed(writer: asyncio.StreamWriter, data: bytes) -> None:
    with contextlib.suppress(OSError):
        writer.write(data)
        await writer.drain()
    writer.close()


def _ending_with_us(program: str) -> tuple[str, ...]:
    """What a program is started by so that it gets SIGKILL when we end (prctl(2), PDEATHSIG).

    Python's own way, between fork and exec, is none for who has gRPC's threads.
    """
    setpriv = shutil.which(_SETPRIV)
    # One that is missing is told of by its own name.
    if setpriv is None or shutil.which(program) is None:
        return ()
    words = (setpriv, *_WITH_US)
    return words if _is_known(words) else ()


@functools.cache
def _is_known(words: tuple[str, ...]) -> bool:
    """Whether it understands that, asked once: busybox's namesake does not, nor what is older."""
    ended = subprocess.run(
        (*words, "true"), check=False, stdin=subprocess.DEVNULL, capture_output=True
    )
    return not ended.returncode


def _signed_in() -> dict[str, str]:
    folder = _DOCKER_CONFIG.get()
    return {} if folder is None else {"DOCKER_CONFIG": str(folder)}


async def _follow(stream: asyncio.StreamReader | None, *tell: Callable[[str], None]) -> None:
    """Tells each line of it, as it comes, until it ends."""
    while stream is not None:
        try:
            raw = await stream.readline()
        except ValueError:
            continue  # a line beyond the limit: nobody reads it, but the program must go on
        if not raw:
            return
        for each in tell:
            each(raw.decode(errors="replace"))
