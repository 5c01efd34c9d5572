"""Keeps an eye on the address of this host, which may change while the registrar runs."""

import asyncio
from collections.abc import Callable
from typing import Final, Never

from registrar.host import address
from wharfinger.errors import Unavailable
from wharfinger.events import Events
from wharfinger.health import Check
from wharfinger.sections import HostConfig

LOOK_SECONDS: Final = 30.0
RETRY_SECONDS: Final = 1.0


async def follow(
    config: HostConfig, check: Check, events: Events, settle: Callable[[str], None]
) -> Never:
    """Looks for ever.

    Args:
        config: what is written down of it.
        check: red while there is none.
        events: where each change is told.
        settle: takes the address, at first and whenever it is another one.
    """
    told = ""
    while True:
        try:
            ip = await asyncio.to_thread(address.find, config)
        except Unavailable as error:
            # An address that is gone may be back in a moment: what was told stands till then.
            check.fail(str(error))
            await asyncio.sleep(RETRY_SECONDS)
            continue
        check.ok()
        if ip != told:
            events.emit("address found", ip=ip)
            settle(ip)
            told = ip
        await asyncio.sleep(LOOK_SECONDS)
