"""The log store over HTTP: pages of lines, their surroundings, counts, and what comes."""

import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Literal, Self, TypeAlias, TypeVar

import aiohttp
import msgspec

from wharfinger.errors import ConfigError, Finding, Rejected, Unavailable
from wharfinger.operator import settings
from wharfinger.operator.logs.question import Parameters, having
from wharfinger.text import shortened

# The store answers or gives up in 30 s; an open tail has a ping every 15 s.
ANSWER_TIMEOUT: Final = aiohttp.ClientTimeout(total=60.0, sock_connect=5.0)
TAIL_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=45.0)
MAX_EVENT_BYTES: Final = 64 * 2**20
_DEFAULT_WAIT_SECONDS: Final = 1.0
_MAX_WAIT_SECONDS: Final = 30.0

T = TypeVar("T")
# A line, an empty one as a sign of life; True where some were left out.
Coming: TypeAlias = dict[str, Any] | Literal[True]


class Busy(Unavailable):
    """The store takes no more questions for now.

    Attributes:
        wait_seconds: when it may be asked again.
    """

    def __init__(self, problem: str, wait_seconds: float) -> None:
        self.wait_seconds = wait_seconds
        super().__init__(problem)


class Page(msgspec.Struct, frozen=True):
    """Lines as they came, each a JSON object, and whether there are more."""

    hits: list[msgspec.Raw]
    more: bool = False


class Identified(msgspec.Struct, frozen=True):
    """What a page ends with: where the next begins."""

    id: str


class Around(msgspec.Struct, frozen=True):
    """A line between those of its container, oldest first."""

    before: list[dict[str, Any]]
    hit: dict[str, Any]
    after: list[dict[str, Any]]


class Bucket(msgspec.Struct, frozen=True):
    """Lines by level from a time on."""

    time: str
    levels: dict[str, int]


class Histogram(msgspec.Struct, frozen=True):
    """Lines over time; what is older than `counted_from` was not counted."""

    buckets: list[Bucket]
    bucket_seconds: float = 0
    bucket_minutes: float = 0
    exact: bool = True
    counted_from: str = ""


class Store:
    """A log store, to be used as a context; every question raises what `_require_ok` says.

    Args:
        url: without a slash at its end.
        headers: with a token, where there is one.
        tls: how its certificate is checked; True for the system's way.
    """

    def __init__(
        self, url: str, headers: Mapping[str, str], *, tls: ssl.SSLContext | bool = True
    ) -> None:
        self.url = url
        self._headers = headers
        self._tls = tls

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def page(self, parameters: Parameters, limit: int) -> Page:
        """Lines that fit; see `pages.py` for what follows them."""
        return await self._answer("search", having(parameters, limit=str(limit)), Page)

    async def around(self, identity: str, before: int, after: int) -> Around:
        """The lines of the same container around the one with this id."""
        asked = (("id", identity), ("before", str(before)), ("after", str(after)))
        return await self._answer("context", asked, Around)

    async def histogram(self, parameters: Parameters) -> Histogram:
        """Lines by time and level."""
        return await self._answer("histogram", parameters, Histogram)

    async def fields(self, parameters: Parameters) -> dict[str, dict[str, int | None]]:
        """The values of each field, with lines where they were counted."""
        return await self._answer("fields", parameters, dict[str, dict[str, int | None]])

    @asynccontextmanager
    async def tail(self, parameters: Parameters) -> AsyncIterator[AsyncIterator[Coming]]:
        """What comes from the moment on that the block begins."""
        async with self._asked("tail", parameters, TAIL_TIMEOUT) as response:
            events = self._events(response)
            await anext(events)  # the greeting
            yield self._coming(events)

    async def _answer(self, what: str, parameters: Parameters, model: type[T]) -> T:
        async with self._asked(what, parameters, ANSWER_TIMEOUT) as response:
            with self._translated():
                body = await response.read()
        try:
            return msgspec.json.decode(body, type=model)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise Unavailable(f"log store {self.url}: something else listens there") from None

    @asynccontextmanager
    async def _asked(
        self, what: str, parameters: Parameters, patience: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        with self._translated():
            response = await self._session.get(
                f"{self.url}/api/{what}",
                params=parameters,
                timeout=patience,
                ssl=self._tls,
                allow_redirects=False,  # elsewhere our token has no business
            )
        try:
            await self._require_ok(response)
            yield response
        finally:
            response.close()

    async def _require_ok(self, response: aiohttp.ClientResponse) -> None:
        """Goes on if there is an answer.

        Raises:
            Rejected: the store cannot understand the question.
            ConfigError: it wants a token that we do not have.
            Unavailable: it cannot be reached or cannot answer.
        """
        if response.status == 200:  # noqa: PLR2004
            return
        with self._translated():
            body = await response.read()
        said = _complaint(body) or shortened(body.decode(errors="replace").strip(), 300)
        fix = "name a file with a token that may read: --token-file FILE"
        match response.status:
            case 400:
                raise Rejected(said)
            case 401:
                raise ConfigError([Finding(self.url, "the token is missing or wrong", fix)])
            case 403:
                raise ConfigError([Finding(self.url, said or "this token may not read", fix)])
            case 429 | 503 as status:
                wait = _seconds(response.headers.get("Retry-After", ""))
                raise Busy(f"log store {self.url}: status {status}: {said}", wait)
            case status:
                raise Unavailable(f"log store {self.url}: status {status}: {said}")

    async def _coming(self, events: AsyncIterator[str]) -> AsyncIterator[Coming]:
        async for event in events:
            kind, _, data = event.partition("data: ")
            if "event: dropped" in kind:
                yield True
            elif data:
                try:
                    yield msgspec.json.decode(data, type=dict[str, Any])
                except msgspec.MsgspecError:
                    raise Unavailable(f"log store {self.url}: it sent what is no line") from None
            else:
                yield {}
        raise Unavailable(f"log store {self.url}: it ended the stream")

    async def _events(self, response: aiohttp.ClientResponse) -> AsyncIterator[str]:
        """Server-sent events as text (HTML standard, 9.2); a comment is one as well."""
        held = bytearray()
        while True:
            with self._translated():
                part = await response.content.readany()
            if not part:
                raise Unavailable(f"log store {self.url}: it ended the stream")
            held += part
            while (end := held.find(b"\n\n")) >= 0:
                yield held[:end].decode(errors="replace")
                del held[: end + 2]
            if len(held) > MAX_EVENT_BYTES:
                raise Unavailable(f"log store {self.url}: an event beyond {MAX_EVENT_BYTES} bytes")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise Unavailable(f"log store {self.url}: it does not answer") from error
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            fix = "write http://HOST:PORT"
            raise ConfigError([Finding(f"--url {self.url}", "is no address", fix)]) from error
        except aiohttp.ClientConnectorCertificateError as error:
            why = shortened(str(error.certificate_error), 200)
            # OpenSSL's words: for another name, one that has ended; else its authority is unknown.
            if "mismatch" in why:
                fix = "name the store as its certificate does: --url https://NAME:PORT"
            elif "expired" in why:
                fix = "put a new pair in its place: `wharfinger pki renew`, or whoever signed it"
            else:
                fix = "name the CA that signed it: --ca-file FILE"
            raise ConfigError([Finding(self.url, f"its certificate: {why}", fix)]) from error
        except aiohttp.ClientConnectorSSLError as error:
            raise Unavailable(f"log store {self.url}: no TLS: {error.os_error}") from error
        except aiohttp.ClientConnectorError as error:
            why = settings.connection_problem(error)
            raise Unavailable(f"log store {self.url}: {why}") from error
        except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError) as error:
            raise Unavailable(f"log store {self.url}: it closed the connection") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"log store {self.url}: {type(error).__name__}: {error}") from error


def _complaint(body: bytes) -> str:
    """What the store says is wrong with a question, and how to write it."""
    try:
        told = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    return "; ".join(str(told[name]) for name in ("error", "fix") if told.get(name))


def _seconds(text: str) -> float:
    if text.isascii() and text.isdigit():
        return min(float(text), _MAX_WAIT_SECONDS)
    return _DEFAULT_WAIT_SECONDS
