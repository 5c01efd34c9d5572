"""Which of many addresses take a TCP connection."""

import asyncio
import errno
from collections.abc import Iterable
from typing import Final

Address = tuple[str, int]
# Of these it is us who cannot ask: nothing follows for whoever was to answer.
_OURS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


async def reachable(
    addresses: Iterable[Address], *, timeout_seconds: float, at_once: int
) -> dict[Address, bool]:
    """Tries each address once; whether somebody accepts there, by address.

    Those are missing that could not be asked for want of file descriptors or memory.

    Args:
        addresses: IP address and port; each is tried once, however often it is named.
        timeout_seconds: for each connection.
        at_once: connections that are tried at the same time.
    """
    gate = asyncio.Semaphore(at_once)

    async def accepts(ip: str, port: int) -> bool | None:
        async with gate:
            try:
                async with asyncio.timeout(timeout_seconds):
                    _, writer = await asyncio.open_connection(ip, port)
            except OSError as error:  # a TimeoutError is one
                return None if error.errno in _OURS else False
            writer.close()
            return True

    several = sorted(set(addresses))
    found = await asyncio.gather(*(accepts(*address) for address in several))
    asked = zip(several, found, strict=True)
    return {address: answered for address, answered in asked if answered is not None}
