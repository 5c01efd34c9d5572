"""Questions to an engine over HTTP: connections, secrets, time limits, and what went wrong."""

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import aiohttp
from yarl import URL

from logshipper.store.backendconfig import BackendConfig
from logshipper.store.model import BadQuery, Unanswered
from wharfinger import __version__
from wharfinger.errors import ConfigError, Finding

CONNECT_TIMEOUT_SECONDS: Final = 5.0
REPLY_LIMIT_BYTES: Final = 512 * 2**20
WHY_CHARACTERS: Final = 300
_KEEPALIVE_SECONDS: Final = 10
_SECRET_BYTES: Final = 64 * 2**10


class Slow(BadQuery):
    """There was no time for the answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What an engine said.

    Attributes:
        status: of HTTP.
        body: unpacked.
    """

    status: int
    body: bytes

    @property
    def why(self) -> str:
        """Its own words, for people."""
        return self.body[: 4 * WHY_CHARACTERS].decode(errors="replace").strip()[:WHY_CHARACTERS]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    Attributes:
        path: below the engine's address.
        method: of HTTP.
        headers: further ones.
        form: fields of a body.
        json: the body, if it is no form.
        parameters: behind the `?`.
    """

    path: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = None
    json: Any = None
    parameters: Mapping[str, str] = field(default_factory=dict)


class Connection:
    """A pool of connections to one engine; for the event loop.

    Args:
        config: where it is, and who asks.

    Raises:
        ConfigError: a secret or a certificate cannot be used.
    """

    def __init__(self, config: BackendConfig) -> None:
        self.config = config
        self.url = config.url.rstrip("/")
        self._headers = {"Authorization": said} if (said := _authorization(config)) else {}
        self._tls = _tls(config.ca_file)
        self._session: aiohttp.ClientSession | None = None

    @property
    def seconds(self) -> float:
        """How long a question may take."""
        return self.config.request_timeout_seconds

    async def ask(self, question: Question) -> Reply:
        """One question, and an answer that says something of it: a success, or 400.

        Raises:
            Unanswered: there was no answer, or one that is none.
            BadQuery: it took too long.
        """
        async with self._asked(question) as got:
            chunks, size = [], 0
            async for chunk in got.content.iter_any():
                size += len(chunk)
                if size > REPLY_LIMIT_BYTES:
                    raise BadQuery("the answer is too long", "narrow the time (from, to)")
                chunks.append(chunk)
            reply = Reply(got.status, b"".join(chunks))
        if reply.status < HTTPStatus.MULTIPLE_CHOICES or reply.status == HTTPStatus.BAD_REQUEST:
            return reply
        raise self._unanswered(question, reply)

    @asynccontextmanager
    async def listen(
        self, question: Question, refusal: Callable[[Reply], BadQuery]
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """An answer without an end.

        Args:
            question: what is asked.
            refusal: the error for a 400.

        Raises:
            Unanswered: there is none.
            BadQuery: it was refused.
        """
        async with self._asked(question, endless=True) as got:
            if got.status != HTTPStatus.OK:
                reply = Reply(got.status, await got.content.read(4 * WHY_CHARACTERS))
                if reply.status == HTTPStatus.BAD_REQUEST:
                    raise refusal(reply)
                raise self._unanswered(question, reply)
            _keep_alive(got)
            yield got.content

    async def close(self) -> None:
        """Closes them."""
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def _asked(
        self, question: Question, *, endless: bool = False
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            self._session = self._opened()
        url = URL(self.url + question.path, encoded=True)
        if question.parameters:
            url = url.with_query(dict(question.parameters))
        try:
            # A redirect would carry the secret, and every question, to a host that nobody named.
            async with (
                asyncio.timeout(self.seconds) as limit,
                self._session.request(
                    question.method,
                    url,
                    headers={**self._headers, **question.headers},
                    data=question.form,
                    json=question.json,
                    allow_redirects=False,
                    ssl=self._tls,
                ) as answer,
            ):
                if endless:
                    limit.reschedule(None)
                yield answer
        except aiohttp.ConnectionTimeoutError as error:
            raise Unanswered(f"{self.url} cannot be reached: no connection in time") from error
        except TimeoutError as error:
            raise slow(self.seconds) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unanswered(f"{self.url} {_explained(error)}") from error

    def _unanswered(self, question: Question, reply: Reply) -> Unanswered:
        return Unanswered(f"{self.url}{question.path} answered {reply.status}: {reply.why}")

    def _opened(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_SECONDS),
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"wharfinger-logstore/{__version__}"},
        )


def refused(reply: Reply, fix: str = "ask in another way") -> BadQuery:
    """The error for a question that the engine does not understand."""
    return BadQuery(f"the back end refuses the question: {reply.why}", fix)


def slow(seconds: float) -> Slow:
    """The error for a question that takes too long."""
    return Slow(
        f"the search took longer than {seconds:g} s",
        "narrow the time (from, to), or add a word that is rare; any search takes so long"
        " of an engine that hangs: /healthz is red then",
    )


def _keep_alive(answer: aiohttp.ClientResponse) -> None:
    """Lets the kernel notice an engine that has gone without a word: a tail waits in silence."""
    transport = answer.connection and answer.connection.transport
    held = transport.get_extra_info("socket") if transport else None
    if held is not None:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        held.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_SECONDS)
        held.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_SECONDS)
        held.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def _explained(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return f"is not to be trusted: {error!s:.{WHY_CHARACTERS}}"
        case aiohttp.ClientConnectorError():
            return f"cannot be reached: {error.os_error.strerror or error.os_error}"
        case aiohttp.ServerDisconnectedError() | ConnectionResetError():
            return "cut the connection before it answered"
        case _:
            return f"failed: {error!r:.{WHY_CHARACTERS}}"


def _authorization(config: BackendConfig) -> str:
    if config.token_file is not None:
        return f"Bearer {_secret(config.token_file, 'token_file')}"
    if config.api_key_file is not None:
        return f"ApiKey {_secret(config.api_key_file, 'api_key_file')}"
    if config.password_file is not None:
        pair = f"{config.user}:{_secret(config.password_file, 'password_file')}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"
    return ""


def _secret(path: Path, key: str) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            lines = file.read(_SECRET_BYTES).split("\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise _wrong(key, f"{path}: {why}") from None
    secret = lines[0].strip()
    if not (secret and secret.isascii() and secret.isprintable()):
        raise _wrong(key, f"{path} holds no secret that can be sent")
    return secret


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise _wrong("ca_file", f"{ca_file}: {error}") from None


def _wrong(key: str, problem: str) -> ConfigError:
    return ConfigError([Finding(f"logstore.backend.{key}", problem)])
