"""Requests over HTTP, for the sinks that speak it: connections, secrets, and what went wrong."""

import asyncio
import io
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from logshipper.sinks.certificates import Certificates
from logshipper.sinks.compression import compressed
from logshipper.sinks.contract import Indigestible, Later, TooLarge
from logshipper.sinks.credentials import secret_headers
from logshipper.sinks.reach import CONNECT_TIMEOUT_SECONDS, place_of, reachable
from logshipper.sinks.reply import retry_after_seconds
from logshipper.sinksection import HttpConfig, TlsConfig
from wharfinger import __version__
from wharfinger.errors import ConfigError, Unavailable

REPLY_LIMIT_BYTES: Final = 64 * 2**20
WHY_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said.

    Attributes:
        url: of whom.
        status: of HTTP.
        body: as it was sent, unpacked.
        retry_after: that header.
    """

    url: str
    status: int
    body: bytes
    retry_after: str = ""

    @property
    def why(self) -> str:
        """For people."""
        return f"{self.url} answered {self.status} {self.body[:WHY_CHARACTERS]!r}"

    def later(self, why: str = "") -> Later:
        """The error that asks to come back."""
        wait = retry_after_seconds(self.retry_after, datetime.now(UTC))
        return Later(why or self.why, wait)


class Connections:
    """A pool of connections to one server.

    Args:
        config: the sink's.
        url: where the server is.

    Raises:
        ConfigError: a certificate cannot be used.
    """

    def __init__(self, config: TlsConfig, url: str) -> None:
        self._config = config
        self._url = url
        self._trusted = Certificates(config)
        self._session: aiohttp.ClientSession | None = None

    @property
    def certificates(self) -> Certificates | None:
        """Those of its connections; None where they do without."""
        return self._trusted if URL(self._url).scheme == "https" else None

    def refresh(self) -> None:
        """Reads the certificates again, for the connections that are made from now on.

        Raises:
            ConfigError: one cannot be used; the old ones stay.
        """
        self._trusted.refresh()

    async def post(self, url: URL, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One request; a redirect is an answer like any other.

        Raises:
            Unavailable: there was no answer.
        """
        shown = str(url.with_query(None))
        if self._session is None:
            self._session = self._opened()
        try:
            # A redirect would carry the secrets, and every log, to a host that nobody configured.
            # A connection is taken from the pool only for the context that it was made with.
            async with self._session.post(
                url,
                data=io.BytesIO(body),
                headers=headers,
                allow_redirects=False,
                ssl=self._trusted.latest,
            ) as answer:
                reply = await answer.content.read(REPLY_LIMIT_BYTES)
                while more := await answer.content.read(REPLY_LIMIT_BYTES - len(reply)):
                    reply += more
                waits = answer.headers.get("Retry-After", "")
                return Answer(shown, answer.status, reply, waits)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            renewed = await asyncio.to_thread(self._trusted.renewed)
            raise Unavailable(f"{shown} {self._explained(error)}{renewed}") from error

    async def reach(self) -> None:
        """Makes one more, which is closed at once.

        Raises:
            Unavailable: there is none.
        """
        place = place_of(self._url)
        if self.certificates is None:
            await reachable(*place)
        else:
            await self.certificates.reach(*place)

    async def close(self) -> None:
        """Closes them."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(
            total=self._config.request_timeout_seconds, sock_connect=CONNECT_TIMEOUT_SECONDS
        )
        return aiohttp.ClientSession(
            timeout=timeout,
            connector=aiohttp.TCPConnector(limit=self._config.requests),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"wharfinger-logshipper/{__version__}"},
        )

    def _explained(self, error: Exception) -> str:
        said = f"failed: {error!r:.{WHY_CHARACTERS}}"
        match error:
            case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
                said = f"is not to be trusted: {error!s:.{WHY_CHARACTERS}}"
            case aiohttp.ClientConnectorError():
                why = error.os_error.strerror
                said = f"cannot be reached ({why}): is it running, is url right?"
            case aiohttp.ConnectionTimeoutError():
                said = f"cannot be reached: no connection within {CONNECT_TIMEOUT_SECONDS:g} s"
            case TimeoutError():
                limit = self._config.request_timeout_seconds
                said = f"did not answer within {limit:g} s: does it hang?"
            case ssl.SSLError():
                said = f"broke TLS, or wants another certificate: {error!s:.{WHY_CHARACTERS}}"
            case aiohttp.ServerDisconnectedError() | ConnectionResetError():
                said = "cut the connection before it answered"
        return said


class Endpoint:
    """One address that bodies are posted to, with what stands in the configuration for it.

    A sink with one such address is an endpoint that knows what to send, and what an answer means.

    Args:
        config: the sink's.
        path: is added to its url.
        content_type: of the bodies.

    Raises:
        ConfigError: a secret or a certificate cannot be used.
    """

    remote = True

    def __init__(self, config: HttpConfig, path: str, content_type: str) -> None:
        self._config = config
        self.url = URL(config.url.rstrip("/") + path).with_query(config.parameters)
        self._content_type = content_type
        self._secret = secret_headers(config)
        self._connections = Connections(config, config.url)
        self.certificates = self._connections.certificates

    async def post(self, body: bytes) -> Answer:
        """Sends a body; gives the answer if it is a success, or one that only the sink can read.

        Raises:
            Unavailable: no answer, or one that says nothing of the documents; `Later` when the
                server wants to be asked again.
            TooLarge: 413.
        """
        headers = CIMultiDict(self._config.headers)
        headers.setdefault("Content-Type", self._content_type)
        if self._config.compression != "none":
            body = await compressed(body, self._config.compression)
            headers["Content-Encoding"] = self._config.compression
        headers.update(self._secret)
        answer = await self._connections.post(self.url, body, headers)
        match answer.status:
            case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                raise TooLarge(answer.why)
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                renewed = await asyncio.to_thread(self._renewed)
                raise answer.later(f"{answer.why}{renewed}")
            case status if status < HTTPStatus.MULTIPLE_CHOICES or status == HTTPStatus.BAD_REQUEST:
                return answer
            case _:
                # 404 and redirects, too: an operator mends those, and loses nothing.
                raise answer.later()

    async def reach(self) -> None:
        """Looks whether it is there.

        Raises:
            Unavailable: it is not.
        """
        await self._connections.reach()

    def refresh(self) -> None:
        """Reads secrets and certificates again.

        Raises:
            ConfigError: one cannot be used; the old ones stay.
        """
        self._secret = secret_headers(self._config)
        self._connections.refresh()

    async def close(self) -> None:
        """Closes its connections."""
        await self._connections.close()

    def _renewed(self) -> str:
        """A token that was rotated is taken up by the next attempt."""
        before = self._secret
        try:
            self.refresh()
        except ConfigError as error:
            return f": its secret cannot be read again: {error}"
        if self._secret != before:
            return ": its secret has changed and is tried now"
        keys = ("token_file", "api_key_file", "password_file", "cert_file")
        given = next((key for key in keys if getattr(self._config, key) is not None), "")
        given = given or ("header_files" if self._config.header_files else "")
        return f": is {given} right?" if given else ": it wants token_file, or another secret"


def refused_whole(answer: Answer) -> Indigestible:
    """The error for a body that was refused or not accounted for."""
    return Indigestible(answer.why)
