"""A command that is run to its end, for what it prints."""

import asyncio
import contextlib
import os
from collections.abc import Mapping
from typing import Final

from wharfinger.errors import Unavailable

WORDS_SHOWN: Final = 6
ERROR_CHARACTERS: Final = 2000


async def output(
    *command: str | os.PathLike[str],
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float = 120.0,
) -> str:
    """Runs a command and gives what it printed, without blanks at either end.

    Raises:
        Unavailable: it is missing, failed, or took too long; with what it said on stderr.
    """
    words = [os.fspath(part) for part in command]
    what = " ".join(words[:WORDS_SHOWN]) + (" ..." if len(words) > WORDS_SHOWN else "")
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=None if environment is None else dict(environment),
        )
    except OSError as error:
        raise Unavailable(f"{what}: {error}") from error
    try:
        async with asyncio.timeout(timeout_seconds):
            printed, complaint = await process.communicate()
    except TimeoutError as error:
        raise Unavailable(f"{what}: not done after {timeout_seconds:g} s") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()
    if process.returncode:
        said = complaint.decode(errors="replace").strip()[-ERROR_CHARACTERS:]
        raise Unavailable(f"{what}: exit code {process.returncode}: {said}")
    return printed.decode(errors="replace").strip()
