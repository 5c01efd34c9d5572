"""HTTP to one registry: TLS or not, who we are, tries again, nothing without a bound.

Source: the registry's HTTP API V2 (distribution, docs/spec/api.md).
"""

import asyncio
import io
import re
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, Self

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from deploy.release.reference import is_loopback
from deploy.release.registry.access import Access
from deploy.release.registry.authority import Authority
from deploy.release.registry.challenge import challenges
from deploy.release.registry.messages import WHY_CHARACTERS, Distrusted, Reply, Request
from wharfinger import __version__
from wharfinger.backoff import Backoff
from wharfinger.errors import ConfigError, Finding, Rejected, Unavailable
from wharfinger.text import printable, quantity, shortened

MAX_REDIRECTS: Final = 3
TIMEOUT_SECONDS: Final = 30.0
CONNECT_SECONDS: Final = 5.0
# A report goes over a slow line, too.
SLOWEST_BYTES_PER_SECOND: Final = 100_000
# Whoever asks for more is told of as away: somebody waits for this command.
LONGEST_WAIT_SECONDS: Final = 30.0
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_SECONDS: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


class Connection:
    """Connections to one registry, made when they are first needed.

    Args:
        registry: `HOST[:PORT]`.
        access: how it is reached.
        backoff: how long to wait before a request that failed is tried again.

    Raises:
        ConfigError: the CA's file cannot be used.
    """

    def __init__(self, registry: str, access: Access, backoff: Backoff | None = None) -> None:
        self.registry = registry
        self._may_be_plain = is_loopback(registry) or registry in access.insecure
        self._tls = _tls(access)
        self._url: URL | None = None
        self._backoff = backoff or Backoff(first_seconds=0.2)
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            # Digests are of what is sent, and a packed answer can be a thousand times longer.
            headers={
                "User-Agent": f"wharfinger-deploy/{__version__}",
                "Accept-Encoding": "identity",
            },
        )
        self._authority = Authority(registry, access, self._send)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, request: Request) -> Reply:
        """The answer, if it is one: neither a fault of the registry's nor a question who we are.

        Raises:
            Unavailable: it cannot be reached, or failed again and again.
            Rejected: it does not know us, or answers without end.
            ConfigError: what docker keeps of us cannot be read.
        """
        why, wished_seconds = "", 0.0
        for attempt in range(request.attempts):
            if attempt:
                await asyncio.sleep(max(wished_seconds, self._backoff.next_delay_seconds()))
                wished_seconds = 0.0
            try:
                reply = await self._authorized(request)
            except Distrusted:
                raise
            except Unavailable as error:
                why = str(error)
                continue
            if reply.status < HTTPStatus.INTERNAL_SERVER_ERROR and (
                reply.status != HTTPStatus.TOO_MANY_REQUESTS
            ):
                self._backoff.reset()
                return reply
            why = f"registry {self.registry} answers {request.method} with {reply.why}"
            wished_seconds = _retry_after(reply)
        raise Unavailable(f"{why} (tried {quantity(request.attempts, 'time')})")

    async def _authorized(self, request: Request) -> Reply:
        url = await self._base()
        headers = CIMultiDict(request.headers)
        if held := self._authority.held(request.scope):
            headers["Authorization"] = held
        reply = await self._followed(request, url, headers)
        if reply.status != HTTPStatus.UNAUTHORIZED:
            return reply
        asked = challenges(reply.headers.getall("WWW-Authenticate", []))
        plain = url.scheme == "http"
        headers["Authorization"] = await self._authority.prove(asked, request.scope, plain=plain)
        reply = await self._followed(request, url, headers)
        if reply.status == HTTPStatus.UNAUTHORIZED:
            raise Rejected(self._authority.refusal(reply.why))
        return reply

    async def _followed(self, request: Request, base: URL, headers: CIMultiDict[str]) -> Reply:
        url = base.join(URL(request.path, encoded=True))
        if url.origin() != base.origin():
            raise Rejected(f"registry {self.registry}: {request.path[:80]!a} leads elsewhere")
        for _ in range(MAX_REDIRECTS + 1):
            reply = await self._send(request, url, headers)
            if reply.status not in _REDIRECTS or request.method not in ("GET", "HEAD"):
                return reply
            url = self._target(url, reply)
            if url.origin() != base.origin():
                # Who keeps the blobs is not who we have told the registry that we are.
                headers = CIMultiDict(headers)
                headers.pop("Authorization", None)
        raise Rejected(f"registry {self.registry} sends us from one address to the next")

    def _target(self, url: URL, reply: Reply) -> URL:
        try:
            target = url.join(URL(reply.headers.get("Location", ""), encoded=True))
            target.origin()
        except ValueError:
            raise Rejected(f"registry {self.registry} sends us to no address") from None
        if url.scheme == "https" and target.scheme != "https":
            raise Rejected(f"registry {self.registry} sends us where there is no TLS")
        return target

    async def _base(self) -> URL:
        """Where it is; whether without TLS is found out as Docker does: by trying with it."""
        if self._url is not None:
            return self._url
        url = URL(f"https://{self.registry}/")
        if self._may_be_plain:
            try:
                async with self._session.get(
                    url / "v2/", ssl=self._tls, allow_redirects=False, timeout=_timeout(0)
                ):
                    pass
            except aiohttp.ClientConnectorCertificateError as error:
                raise Distrusted(_explained(self.registry, error)) from error
            except (aiohttp.ClientSSLError, aiohttp.ServerDisconnectedError, ssl.SSLError):
                url = url.with_scheme("http")
            except (aiohttp.ClientError, OSError) as error:
                raise Unavailable(_explained(self.registry, error)) from error
        self._url = url
        return url

    async def _send(self, request: Request, url: URL, headers: Mapping[str, str]) -> Reply:
        try:
            async with self._session.request(
                request.method,
                url,
                headers=headers,
                # As a file it is sent in pieces: a report of megabytes keeps no lease waiting.
                data=io.BytesIO(request.body) if request.body else None,
                ssl=self._tls,
                allow_redirects=False,
                timeout=_timeout(len(request.body)),
            ) as answer:
                body = await self._read(answer, request.limit_bytes)
                return Reply(status=answer.status, headers=answer.headers, body=body)
        except aiohttp.ClientConnectorCertificateError as error:
            raise Distrusted(_explained(url.authority, error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(_explained(url.authority, error)) from error

    async def _read(self, answer: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
        chunks, size = [], 0
        async for chunk in answer.content.iter_any():
            size += len(chunk)
            if size > limit_bytes:
                raise Rejected(f"registry {self.registry} answers more than {limit_bytes} bytes")
            chunks.append(chunk)
        return b"".join(chunks)


def location(reply: Reply, registry: str) -> str:
    """Path and query of where an answer sends us to upload; it must be the same registry.

    Behind a proxy that ends TLS it may name `http` or another port; we stay where we are.

    Raises:
        Rejected: it names nobody, or somebody else.
    """
    text = reply.headers.get("Location", "")
    try:
        url = URL(text, encoded=True)
        elsewhere = url.host not in (None, "", URL(f"https://{registry}").host)
    except ValueError:
        elsewhere = True
    # Two slashes would begin a host's name where the path is taken up again.
    if elsewhere or not url.raw_path.startswith("/") or url.raw_path.startswith("//"):
        raise Rejected(f"registry {registry} wants uploads elsewhere: {shortened(text, 80)!a}")
    return url.raw_path_qs


def _retry_after(reply: Reply) -> float:
    """For how many seconds it wants to be left alone (RFC 9110, 10.2.3); 0 where it says none.

    A time of day, which may stand there, too, would be by a clock that is not ours.
    """
    said = reply.headers.get("Retry-After", "")
    return min(float(said), LONGEST_WAIT_SECONDS) if _SECONDS.fullmatch(said) else 0.0


def _timeout(body_bytes: int) -> aiohttp.ClientTimeout:
    seconds = TIMEOUT_SECONDS + body_bytes / SLOWEST_BYTES_PER_SECOND
    return aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)


def _tls(access: Access) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context()
        if access.ca_file is not None:
            context.load_verify_locations(access.ca_file)
    except (OSError, ssl.SSLError) as error:
        problem = f"{access.ca_file}: {error}"
        raise ConfigError([Finding("deploy.registry_ca_file", problem)]) from None
    return context


def _explained(registry: str, error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            why = f"is not to be trusted: {error.certificate_error}: is registry_ca_file right?"
        case aiohttp.ClientSSLError():
            why = f"does not speak TLS as we do: {error!s:.{WHY_CHARACTERS}}"
        case aiohttp.ClientConnectorError():
            why = f"cannot be reached: {error.os_error.strerror or error.os_error}"
        case aiohttp.ConnectionTimeoutError():
            why = "cannot be reached: no connection in time"
        case TimeoutError():
            why = "did not answer in time"
        case aiohttp.ServerDisconnectedError() | ConnectionResetError():
            why = "cut the connection before it answered"
        case aiohttp.ClientPayloadError():
            why = "cut its answer off"
        case _:
            why = f"failed: {type(error).__name__}"
    return f"registry {registry} {printable(why)}"
