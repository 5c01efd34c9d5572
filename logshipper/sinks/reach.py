"""Whether somebody is there: a connection is made, and closed again."""

import asyncio
import ssl
import time
from typing import Final
from urllib.parse import urlsplit

from logshipper.sinks.trust import SILENT, Distrust, distrust
from wharfinger.certificate import validity
from wharfinger.errors import Unavailable
from wharfinger.expiry import Validity

CONNECT_TIMEOUT_SECONDS: Final = 5.0
CLOSE_TIMEOUT_SECONDS: Final = 1.0
# A server says no to our certificate after a client of TLS 1.3 takes the connection for made
# (RFC 8446, section 4.4.2.4); one that lets us in says nothing.
REFUSAL_SECONDS: Final = 0.5
DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Untrusted(Unavailable):
    """Somebody is there, and TLS does not come about.

    Attributes:
        distrust: whose fault that is.
    """

    def __init__(self, distrust: Distrust) -> None:
        super().__init__(f"{distrust.why}: {distrust.fix}")
        self.distrust = distrust


async def reachable(
    host: str,
    port: int,
    tls: ssl.SSLContext | None = None,
    *,
    limit_seconds: float = CONNECT_TIMEOUT_SECONDS,
) -> Validity | None:
    """Makes a connection and closes it.

    Args:
        host: name or address.
        port: of TCP.
        tls: what is trusted and shown; None for plain TCP.
        limit_seconds: to wait for it.

    Returns:
        From when until when the certificate is good that was shown; None without TLS.

    Raises:
        Untrusted: somebody is there, and one of us does not trust the other.
        Unavailable: there is none.
    """
    began_at = time.monotonic()
    try:
        async with asyncio.timeout(limit_seconds):
            reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    except TimeoutError as error:
        raise Unavailable(f"no connection within {limit_seconds:g} s") from error
    except ssl.SSLError as error:
        raise unavailable(error) from error
    except ConnectionResetError as error:
        if tls is None:
            raise Unavailable(error.strerror or str(error)) from error
        raise Untrusted(SILENT) from error
    except OSError as error:
        raise Unavailable(error.strerror or str(error)) from error
    except ValueError as error:
        raise Unavailable(f"{host[:80]!r} is no name of a host: {error}") from error
    try:
        if tls is not None:
            await let_in(reader, time.monotonic() - began_at)
        return _shown(writer)
    finally:
        await closed(writer)


def _shown(writer: asyncio.StreamWriter) -> Validity | None:
    spoken: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
    der = None if spoken is None else spoken.getpeercert(binary_form=True)
    return None if der is None else validity(ssl.DER_cert_to_PEM_cert(der))


async def let_in(reader: asyncio.StreamReader, took_seconds: float) -> None:
    """Waits a moment for a server that does not want us, on a new connection over TLS.

    Args:
        reader: of the connection.
        took_seconds: until it was made: two ways there and back, of which a refusal takes one.

    Raises:
        Untrusted: it does not.
        Unavailable: the same, in words that are not known.
    """
    try:
        async with asyncio.timeout(REFUSAL_SECONDS + took_seconds):
            said = await reader.read(1)
    except TimeoutError:
        return
    except ssl.SSLError as error:
        raise unavailable(error) from error
    except OSError as error:
        raise Untrusted(SILENT) from error
    if not said:
        raise Untrusted(SILENT)


def unavailable(error: ssl.SSLError) -> Unavailable:
    """What an error of TLS means; `Untrusted` where it says whose fault it is."""
    why = distrust(error)
    return Unavailable(error.strerror or str(error)) if why is None else Untrusted(why)


def place_of(url: str) -> tuple[str, int]:
    """The host and the port that a URL names."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]


async def closed(writer: asyncio.StreamWriter) -> None:
    """Closes a connection, and waits for that only so long."""
    writer.close()
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        # TLS says goodbye on both sides; a server that does not must not hold up our end.
        writer.transport.abort()
