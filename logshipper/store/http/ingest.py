"""One request of lines, whatever its protocol: who may, memory for it, understanding, commit."""

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from aiohttp import web

from logshipper.store.access.callers import Caller, Denied
from logshipper.store.access.door import Door
from logshipper.store.access.rates import Rates
from logshipper.store.engine.intake import Intake, Reservation
from logshipper.store.http import packed
from logshipper.store.http.protocols import understood
from logshipper.store.http.protocols.understood import Understood
from logshipper.store.lines.times import Arrival
from logshipper.store.metrics import Metrics
from logshipper.store.model import Busy, TooLarge
from wharfinger.errors import Rejected

T = TypeVar("T", bound=Understood)

# Smaller bodies are understood at once: a trip to a thread would cost more.
_INLINE_BYTES: Final = 32 * 1024
_INLINE_PACKED_BYTES: Final = 4 * 1024
_READ_SECONDS: Final = 60.0


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
        understand: body and arrival to documents; raises `Rejected` if it is no such
            body, `TooLarge` if it holds too much.
        weigh: the bytes of memory that this takes beside the body; raises `TooLarge`.
        opened: takes off the packing of the protocol's own, below that of Content-Encoding.
    """

    understand: Callable[[bytes, Arrival], T]
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
        door: tells who sends.
        rates: bytes of each sender.
        executor: where big bodies are understood.
        denied: is told of those who may not.
        clock_ns: wall time.
        highest_ns: the highest of it that was ever believed.
    """

    def __init__(
        self,
        intake: Intake,
        metrics: Metrics,
        door: Door,
        rates: Rates,
        executor: Executor,
        *,
        denied: Callable[[Denied, web.Request], None],
        clock_ns: Callable[[], int] = time.time_ns,
        highest_ns: Callable[[], int],
    ) -> None:
        self._intake = intake
        self._metrics = metrics
        self._door = door
        self._rates = rates
        self._executor = executor
        self._denied = denied
        self._clock_ns = clock_ns
        self._highest_ns = highest_ns

    @property
    def refusing(self) -> bool:
        """Whether nothing can be taken at present."""
        return bool(self._intake.refusal)

    def tenant(self, request: web.Request) -> str:
        """Whose lines these are.

        Raises:
            Refusal: the sender may not write.
        """
        return self._sender(request).tenant

    async def take(self, request: web.Request, way: Way[T]) -> Taken[T]:
        """Takes a request; when it returns, all that is good of it is on disk.

        Raises:
            Refusal: nothing of it was taken.
        """
        sender = self._sender(request)
        self._wait_for_turn(sender)
        try:
            with self._intake.reserve(request.content_length or 0) as reservation:
                encoding = _encoding(request, way)
                raw = await _read(request, reservation)
                sizes: list[int] = []
                body = await self._understood(raw, encoding, way, reservation, sizes.append)
                self._took(sender, sum(sizes))
                taken = Taken(body, await self._committed(sender.tenant, body))
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
        self,
        raw: bytes,
        encoding: str,
        way: Way[T],
        reservation: Reservation,
        took: Callable[[int], None],
    ) -> T:
        arrival = Arrival.of(self._clock_ns(), self._highest_ns())

        def understand() -> T:
            body = packed.unpacked(raw, encoding)
            if way.opened is not None:
                body = way.opened(body)
            took(len(body))
            reservation.grow(len(body) + way.weigh(body))
            return way.understand(body, arrival)

        grows = way.opened is not None or packed.is_packed(raw, encoding)
        if len(raw) <= (_INLINE_PACKED_BYTES if grows else _INLINE_BYTES):
            return understand()
        return await asyncio.get_running_loop().run_in_executor(self._executor, understand)

    def _sender(self, request: web.Request) -> Caller:
        try:
            return self._door.sender(request)
        except Denied as denied:
            self._denied(denied, request)
            raise Refusal(denied.status, str(denied), denied.headers) from None

    def _wait_for_turn(self, sender: Caller) -> None:
        if wait := self._rates.wait_seconds(sender.key, time.monotonic()):
            self._metrics.refused.labels("rate").inc()
            again = {"Retry-After": str(math.ceil(wait))}
            raise Refusal(429, f"{sender.name} has sent too many bytes a second", again)

    def _took(self, sender: Caller, size: int) -> None:
        self._rates.use(sender.key, size, time.monotonic())
        self._metrics.sent.labels(sender.tenant, sender.label).inc(size)

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
