"""A command that is run to its end, for what it prints."""

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wharfinger.errors import Unavailable

WORDS_SHOWN: Final = 6
ERROR_CHARACTERS: Final = 2000


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that is over.

    Attributes:
        code: its exit code, negative for a signal.
        printed: what it said on stdout, without blanks at either end.
        complaint: on stderr.
    """

    code: int
    printed: str
    complaint: str


async def output(
    *command: str | os.PathLike[str],
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float = 120.0,
) -> str:
    """Runs a command and gives what it printed, without blanks at either end.

    Raises:
        Unavailable: it is missing, failed, or took too long; with what it said on stderr.
    """
    done = await ran(*command, environment=environment, timeout_seconds=timeout_seconds)
    if done.code:
        said = done.complaint[-ERROR_CHARACTERS:]
        raise Unavailable(f"{_shown(command)}: exit code {done.code}: {said}")
    return done.printed


async def ran(
    *command: str | os.PathLike[str],
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    timeout_seconds: float = 120.0,
) -> Ran:
    """Runs a command in a folder, whatever comes of it.

    Raises:
        Unavailable: it is missing, or took too long.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=None if environment is None else dict(environment),
            cwd=folder,
        )
    except OSError as error:
        raise Unavailable(f"{_shown(command)}: {error}") from error
    try:
        async with asyncio.timeout(timeout_seconds):
            printed, complaint = await process.communicate()
    except TimeoutError as error:
        raise Unavailable(f"{_shown(command)}: not done after {timeout_seconds:g} s") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()
    code = process.returncode or 0
    return Ran(
        code, printed.decode(errors="replace").strip(), complaint.decode(errors="replace").strip()
    )


def _shown(command: Sequence[str | os.PathLike[str]]) -> str:
    words = [os.fspath(part) for part in command]
    return " ".join(words[:WORDS_SHOWN]) + (" ..." if len(words) > WORDS_SHOWN else "")
