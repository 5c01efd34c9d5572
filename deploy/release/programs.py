"""The programs that do the work: docker, docker-compose; run to their end, told line by line."""

import asyncio
import contextlib
import os
import re
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Final, cast

from deploy.release import warrant
from wharfinger.errors import Unavailable
from wharfinger.text import printable

LINES_KEPT: Final = 20
_LIMIT_BYTES: Final = 1 << 20
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
) -> str:
    """Runs a program to its end; gives what it printed on stdout.

    Args:
        command: program and arguments; nothing secret, since everybody sees them.
        environment: beside our own.
        stdin: what it reads.
        timeout_seconds: after that it is ended.
        on_line: told each line of stderr and stdout, made printable.
        lines_kept: how many of the last ones an error repeats.

    Raises:
        Unavailable: it is missing, failed, or took too long; with what it said last.
    """
    warrant.require()
    words = [os.fspath(part) for part in command]
    what = " ".join(words[:4])
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **_signed_in(), **(environment or {})},
            limit=_LIMIT_BYTES,
        )
    except OSError as error:
        raise Unavailable(f"{what}: {error}") from error
    said: deque[str] = deque(maxlen=lines_kept)
    printed: list[str] = []

    def tell(line: str) -> None:
        shown = printable(_COLOUR.sub("", line).rstrip().expandtabs(_TAB_BLANKS))
        # `docker inspect` prints that for what it could not ask about, before it says why.
        if shown not in {"", "[]"}:
            said.append(shown)
        on_line(shown)

    async def feed(writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(stdin)
            await writer.drain()
        writer.close()

    try:
        async with asyncio.timeout(timeout_seconds):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(feed(cast("asyncio.StreamWriter", process.stdin)))
                tasks.create_task(_follow(process.stdout, tell, printed.append))
                tasks.create_task(_follow(process.stderr, tell))
            code = await process.wait()
    except TimeoutError as error:
        raise Unavailable(f"{what}: not done after {timeout_seconds:g} s") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if code:
        raise Unavailable(f"{what}: exit code {code}: " + "\n".join(said))
    return "".join(printed)


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
