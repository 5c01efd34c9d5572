"""Servers of the tests' own on loopback: which port they got."""

import ssl

from aiohttp import web


async def listening(runner: web.AppRunner, port: int = 0, tls: ssl.SSLContext | None = None) -> int:
    """Lets a server listen; 0 for any port that is free. Gives the port that it is."""
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
    await site.start()
    found: int = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    return found
