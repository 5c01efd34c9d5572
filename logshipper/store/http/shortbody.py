"""A body that somebody typed, or nearly so: read whole, within a size and a time."""

import asyncio

from aiohttp import web

from logshipper.store.model import TooLarge
from wharfinger.errors import Rejected


async def read(request: web.Request, most_bytes: int, seconds: float) -> bytes:
    """The body.

    Raises:
        TooLarge: it has more bytes.
        Rejected: it does not end in time, or cannot be read.
    """
    body = b""
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > most_bytes:
                    raise TooLarge(f"the body has more than {most_bytes} bytes")
    except TimeoutError:
        raise Rejected(f"no whole body in {seconds:g} s") from None
    except web.RequestPayloadError as error:
        raise Rejected(f"the body cannot be read: {error}") from None
    return body
