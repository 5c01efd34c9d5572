"""One request of lines, whatever its protocol: who may, memory for it, understanding, commit."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from aiohttp import web

from logshipper.store.engine.intake import Intake, Reservation
from logshipper.store.http import packed
from logshipper.store.http.access import Tokens
from logshipper.store.http.protocols import understood
from logshipper.store.http.protocols.understood import Understood
from logshipper.store.metrics import Metrics
from logshipper.store.model import Busy, TooLarge
from wharfinger.errors import Rejected

T = TypeVar("T", bound=Understood)

# Smaller bodies are understood at once: a trip to a thread would cost more.
_INLINE_BYTES: Final = 32 * 1024
_INLINE_PACKED_BYTES: Final = 4 * 1024
_READ_SECONDS: Final = 60.0
CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="logstore", charset="UTF-8"'}


class Refusal(Exception):
    """Nothing of a request was taken; each protocol says so in its own way.

    Attributes:
        status: of the answer.
        headers: to send with it.
    """

    def __init__(self, status: int, why: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Way(Generic[T]):
    """How a body of one protocol becomes documents.

    Attributes:
        understand: body and time of arrival to documents; raises `Rejected` if it is no such
            body, `TooLarge` if it holds too much.
        weigh: the bytes of memory that this takes beside the body; raises `TooLarge`.
        opened: takes off the packing of the protocol's own, below that of Content-Encoding.
    """

    understand: Callable[[bytes, int], T]
    weigh: Callable[[bytes], int]
    opened: Callable[[bytes], bytes] | None = None


@dataclass(frozen=True, slots=True)
class Taken(Generic[T]):
    """What became of a request.

    Attributes:
        body: as understood.
        stored: for each document whether it was new; else it is there already, or too old.
    """

    body: T
    stored: list[bool]


class Ingest:
    """Takes requests of lines.

    Args:
        intake: where they go.
        metrics: what to count.
        tokens: gives those that may write.
        executor: where big bodies are understood.
        clock_ns: wall time.
    """

    def __init__(
        self,
        intake: Intake,
        metrics: Metrics,
        tokens: Callable[[], Tokens],
        executor: Executor,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._intake = intake
        self._metrics = metrics
        self._tokens = tokens
        self._executor = executor
        self._clock_ns = clock_ns

    @property
    def refusing(self) -> bool:
        """Whether nothing can be taken at present."""
        return bool(self._intake.refusal)

    def tenant(self, request: web.Request) -> str:
        """Whose lines these are.

        Raises:
            Refusal: the sender may not write.
        """
        tenant = self._tokens().tenant(request.headers.get("Authorization", ""))
        if tenant is None:
            raise Refusal(401, "the token is missing or wrong", CHALLENGE)
        return tenant

    async def take(self, request: web.Request, way: Way[T]) -> Taken[T]:
        """Takes a request; when it returns, all that is good of it is on disk.

        Raises:
            Refusal: nothing of it was taken.
        """
        tenant = self.tenant(request)
        try:
            with self._intake.reserve(request.content_length or 0) as reservation:
                encoding = _encoding(request, way)
                raw = await _read(request, reservation)
                body = await self._understood(raw, encoding, way, reservation)
                taken = Taken(body, await self._committed(tenant, body))
        except Busy as busy:
            self._metrics.refused.labels(busy.reason).inc()
            again = {"Retry-After": str(busy.retry_after_seconds)}
            raise Refusal(429, str(busy), again) from None
        except TooLarge as error:
            raise Refusal(413, str(error)) from None
        except (Rejected, web.RequestPayloadError) as error:
            raise Refusal(400, f"the body cannot be read: {error}") from None
        self._metrics.rejected.inc(taken.body.bad)
        return taken

    async def _understood(
        self, raw: bytes, encoding: str, way: Way[T], reservation: Reservation
    ) -> T:
        now_ns = self._clock_ns()

        def understand() -> T:
            body = packed.unpacked(raw, encoding)
            if way.opened is not None:
                body = way.opened(body)
            reservation.grow(len(body) + way.weigh(body))
            return way.understand(body, now_ns)

        grows = way.opened is not None or packed.is_packed(raw, encoding)
        if len(raw) <= (_INLINE_PACKED_BYTES if grows else _INLINE_BYTES):
            return understand()
        return await asyncio.get_running_loop().run_in_executor(self._executor, understand)

    async def _committed(self, tenant: str, body: T) -> list[bool]:
        if not body.documents:
            return []
        return await asyncio.wrap_future(self._intake.offer(tenant, body.documents))


def _encoding(request: web.Request, way: Way[T]) -> str:
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding in packed.ENCODINGS:
        return encoding
    # Senders of Prometheus's family announce it, others of the same body do not.
    if way.opened is not None and encoding == "snappy":
        return ""
    known = ", ".join(name for name in packed.ENCODINGS if name)
    raise Refusal(415, f"{encoding[:20]!r} is not unpacked here: use one of {known}")


async def _read(request: web.Request, reservation: Reservation) -> bytes:
    """The whole body, whatever its Content-Type says; a form is not parsed.

    Raises:
        Busy: there is no memory left for it.
        TooLarge: it is.
        Rejected: it does not end in time.
    """
    if (request.content_length or 0) > understood.MAX_BODY_BYTES:
        raise understood.too_large()
    chunks, size = [], 0
    try:
        # A sender that stops in the middle must not hold its reservation for ever.
        async with asyncio.timeout(_READ_SECONDS):
            async for chunk in request.content.iter_any():
                size += len(chunk)
                if size > understood.MAX_BODY_BYTES:
                    raise understood.too_large()
                reservation.grow(size)
                chunks.append(chunk)
    except TimeoutError:
        raise Rejected(f"no whole body in {_READ_SECONDS:.0f} s") from None
    return b"".join(chunks)
