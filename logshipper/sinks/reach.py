"""Whether somebody is there: a connection is made, and closed again."""

import asyncio
import ssl
from typing import Final
from urllib.parse import urlsplit

from wharfinger.errors import Unavailable

CONNECT_TIMEOUT_SECONDS: Final = 5.0
CLOSE_TIMEOUT_SECONDS: Final = 1.0
DEFAULT_PORTS: Final = {"http": 80, "https": 443}


async def reachable(
    host: str,
    port: int,
    tls: ssl.SSLContext | None = None,
    *,
    limit_seconds: float = CONNECT_TIMEOUT_SECONDS,
) -> None:
    """Makes a connection and closes it.

    Args:
        host: name or address.
        port: of TCP.
        tls: what is trusted and shown; None for plain TCP.
        limit_seconds: to wait for it.

    Raises:
        Unavailable: there is none, or nobody to be trusted.
    """
    try:
        async with asyncio.timeout(limit_seconds):
            _, writer = await asyncio.open_connection(host, port, ssl=tls)
    except TimeoutError as error:
        raise Unavailable(f"no connection within {limit_seconds:g} s") from error
    except OSError as error:
        raise Unavailable(error.strerror or str(error)) from error
    except ValueError as error:
        raise Unavailable(f"{host[:80]!r} is no name of a host: {error}") from error
    await closed(writer)


async def url_reachable(url: str, tls: ssl.SSLContext) -> None:
    """Makes a connection to whom a URL names; over TLS where it says `https`.

    Raises:
        Unavailable: see `reachable`.
    """
    parts = urlsplit(url)
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    await reachable(parts.hostname or "", port, tls if parts.scheme == "https" else None)


async def closed(writer: asyncio.StreamWriter) -> None:
    """Closes a connection, and waits for that only so long."""
    writer.close()
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        # TLS says goodbye on both sides; a server that does not must not hold up our end.
        writer.transport.abort()
