"""Asks a sink to which nothing is sent whether it is there: deaf must not look well."""

import asyncio
from typing import Final, Protocol

from wharfinger.backoff import Backoff

IDLE_SECONDS: Final = 30.0
ABSENT_SECONDS: Final = 2.0
LONGEST_ABSENT_SECONDS: Final = 15.0


class Probed(Protocol):
    """A sink, and whether anything is sent to it."""

    @property
    def idle_seconds(self) -> float:
        """How long nothing has been sent; 0 while something is."""

    async def probe(self) -> bool:
        """Looks whether the sink is there; whether it is, as far as one knows."""


async def keep_probing(probed: Probed) -> None:
    """Probes at once, and then whenever nothing was sent for a while, for ever.

    What is sent needs no probe: its answers say more.
    """
    # Between 20 and 40 seconds: a thousand hosts must not ask in step.
    idle = Backoff(IDLE_SECONDS * 4 / 3, IDLE_SECONDS * 4 / 3)
    absent = Backoff(ABSENT_SECONDS, LONGEST_ABSENT_SECONDS)
    wait_seconds = 0.0
    while True:
        rest_seconds = wait_seconds - probed.idle_seconds
        if rest_seconds > 0:
            await asyncio.sleep(rest_seconds)
        elif await probed.probe():
            absent.reset()
            wait_seconds = idle.next_delay_seconds()
            await asyncio.sleep(wait_seconds)
        else:
            wait_seconds = absent.next_delay_seconds()
            await asyncio.sleep(wait_seconds)
