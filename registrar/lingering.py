"""The registrar's stop where it comes for the whole host: others are seen off first."""

import asyncio
import time
from typing import Final

from registrar.census import Census

LOOK_SECONDS: Final = 0.1
# The lifecycle gives up a drain after twenty, and with-port holds a stop back for less as a rule.
LONGEST_SECONDS: Final = 15.0


async def linger(census: Census, seconds: float) -> None:
    """Waits for others to be told to stop, and until those that were have ended.

    An orchestrator that empties a node tells all its containers at once, the registrar among them.
    If that went first, their keys would stay for the lease's time, and requests would go to
    applications that end.

    Args:
        census: what is known of the containers.
        seconds: within which others are told, too; with 0 nobody is waited for.
    """
    began = time.monotonic()
    await asyncio.sleep(seconds)
    while seconds and _is_anybody_stopping(census):
        if time.monotonic() - began > LONGEST_SECONDS:
            return
        await asyncio.sleep(LOOK_SECONDS)


def _is_anybody_stopping(census: Census) -> bool:
    return any(census.containers[each].asks for each in census.stops)
