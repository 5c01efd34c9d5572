"""Asks one target once: TCP, HTTP, gRPC, or a script; nothing but its own address is asked."""

import asyncio
import errno
import os
import ssl
from types import TracebackType
from typing import Any, Final, Self, assert_never

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from registrar.checks import grpcprobe
from registrar.checks.model import Answer, Check, CheckKind, Target, shown
from registrar.checks.scripts import Scripts
from wharfinger.dockerd import Docker

BODY_BYTES: Final = 65_536
HEADER_BYTES: Final = 8_190
HEADER_FIELDS: Final = 128
INTERIM_ANSWERS: Final = 16
USER_AGENT: Final = "wharfinger-check"
# We have run out of something: it says nothing of the container.
OUR_OWN: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
)


class Prober:
    """Asks targets; an async context manager, called with the target.

    Redirects are not followed: where they lead would be the container's choice, and a 3xx is an
    answer. Certificates are not verified: inside of containers they are self-signed or for the
    public name, and a check asks whether the instance serves, not who it is. No proxy is used.
    """

    def __init__(self, docker: Docker) -> None:
        self.scripts = Scripts(docker)
        self._tls = unverified(("http/1.1",))
        self._tls_h2 = unverified(("h2",))
        self._opened: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._opened = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, force_close=True, use_dns_cache=False, ssl=self._tls
            ),
            # The schedule keeps the time.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                "User-Agent": USER_AGENT,
                "Accept": "*/*",
                "Accept-Encoding": "identity",
                "Connection": "close",
            },
            # A few bytes could unpack to gigabytes.
            auto_decompress=False,
            trust_env=False,
            max_line_size=HEADER_BYTES,
            max_field_size=HEADER_BYTES,
            max_headers=HEADER_FIELDS,
            read_bufsize=BODY_BYTES,
            response_class=_Response,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    async def __call__(self, target: Target) -> Answer:
        """What one probe of the target finds; takes as long as the target does."""
        try:
            return await self._ask(target)
        except OSError as error:
            return _broken(error)
        except (aiohttp.ClientError, ValueError) as error:
            return Answer(good=False, why=shown(f"answers no HTTP: {error}"))

    async def _ask(self, target: Target) -> Answer:
        match target.check.kind:
            case CheckKind.TCP:
                return await _connect(target)
            case CheckKind.HTTP | CheckKind.HTTPS:
                return await self._request(target)
            case CheckKind.GRPC:
                tls = self._tls_h2 if target.check.tls else None
                return await grpcprobe.ask(target, tls)
            case CheckKind.SCRIPT:
                return await self.scripts.ask(target)
            case CheckKind.DOCKER | CheckKind.NONE:
                raise AssertionError(target.check.kind)
        assert_never(target.check.kind)

    async def _request(self, target: Target) -> Answer:
        if self._opened is None:
            raise RuntimeError("Prober is used outside its `async with`")
        check = target.check
        host = f"[{target.ip}]" if ":" in target.ip else target.ip
        url = URL(f"{check.kind.value}://{host}:{target.port}{check.path}", encoded=True)
        async with self._opened.request(
            check.method,
            url,
            headers={"Host": check.host} if check.host else None,
            server_hostname=_server_name(check),
            allow_redirects=False,
        ) as response:
            status = response.status
            if not any(first <= status <= last for first, last in check.statuses):
                return Answer(good=False, why=f"status {status}, not {_ranges(check)}")
            if check.body and not await _holds(response.content, check.body.encode()):
                why = f"status {status}, but no {check.body!r:.60} in the body"
                return Answer(good=False, why=shown(why))
            return Answer(good=True, why=f"status {status}")


class _Response(aiohttp.ClientResponse):
    """An answer that is preceded by a few interim ones at most (RFC 9110, section 15.2).

    aiohttp would pass over millions of them, for as long as the check has time.
    """

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        protocol, count = connection.protocol, 0
        if protocol is None:
            return await super().start(connection)
        read = protocol.read

        async def bounded_read() -> Any:
            nonlocal count
            count += 1
            if count > INTERIM_ANSWERS:
                raise aiohttp.ClientPayloadError("one interim answer after the other")
            return await read()

        protocol.read = bounded_read  # type: ignore[method-assign]  # kept for no other request
        return await super().start(connection)


def unverified(protocols: tuple[str, ...]) -> ssl.SSLContext:
    """TLS with whoever answers."""
    # Not the default context: it would read all of the machine's authorities, to ask none.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(list(protocols))
    return context


async def _connect(target: Target) -> Answer:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, target.ip, target.port)
    transport.abort()
    return Answer(good=True, why="takes connections")


async def _holds(content: aiohttp.StreamReader, wanted: bytes) -> bool:
    """Whether the body's beginning holds the text; no more of it is read than it takes."""
    body = bytearray()
    while len(body) < BODY_BYTES and (chunk := await content.read(BODY_BYTES - len(body))):
        seen = max(0, len(body) - len(wanted))
        body += chunk
        if body.find(wanted, seen) >= 0:
            return True
    return False


def _server_name(check: Check) -> str | None:
    """The name asked for in TLS; an address has none there (RFC 6066, section 3)."""
    if check.kind is not CheckKind.HTTPS or not check.host or check.host.startswith("["):
        return None
    return check.host.partition(":")[0]


def _ranges(check: Check) -> str:
    return ", ".join(f"{low}-{high}" if low < high else f"{low}" for low, high in check.statuses)


def _broken(error: OSError) -> Answer:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in OUR_OWN:
            return Answer(good=None, why=f"cannot be asked: {os.strerror(cause.errno)}")
        cause = cause.__cause__
    match error.errno:
        case errno.ECONNREFUSED:
            return Answer(good=False, why="nobody listens")
        case errno.ECONNRESET | errno.EPIPE:
            return Answer(good=False, why="cut the connection")
        case None:
            return Answer(good=False, why=shown(f"cut the connection: {error}"))
        case number:
            return Answer(good=False, why=shown(f"cannot be reached: {os.strerror(number)}"))
