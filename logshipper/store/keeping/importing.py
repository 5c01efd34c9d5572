"""Brings a file of lines into a store: through its HTTP where it runs, else into its files."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import aiohttp
import msgspec
from prometheus_client import CollectorRegistry

from logshipper.store.engine import retention, swap
from logshipper.store.engine.folder import Folder
from logshipper.store.engine.intake import Intake
from logshipper.store.engine.retention import Limits
from logshipper.store.engine.writer import Writer
from logshipper.store.keeping import bodies
from logshipper.store.keeping.bodies import Body, Parsed
from logshipper.store.lines import times
from logshipper.store.lines.times import Arrival
from logshipper.store.metrics import Metrics
from logshipper.store.model import Busy
from wharfinger.errors import Rejected, Unavailable

_PATHS: Final = {
    "exported": "/insert/exported",
    "jsonline": "/insert/jsonline",
    "bulk": "/_bulk",
    "loki": "/_bulk",
}
_TIMEOUT: Final = aiohttp.ClientTimeout(total=120.0, sock_connect=5.0)
_PATIENCE_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 1.0
_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})
_REASONS: Final = 20


class _Item(msgspec.Struct):
    status: int = 0


class _BulkReply(msgspec.Struct):
    items: list[dict[str, _Item]]


class _CountsReply(msgspec.Struct):
    stored: int


_bulk_decoder = msgspec.json.Decoder(_BulkReply)
_counts_decoder = msgspec.json.Decoder(_CountsReply)


@dataclass(slots=True)
class Outcome:
    """What became of a file's lines.

    Attributes:
        new: were stored.
        known: were there already.
        old: are older than the retention, and were left out.
        bad: are of no use.
        reasons: the first of these, by their numbers in the file.
        lines: of the file that were read.
    """

    new: int = 0
    known: int = 0
    old: int = 0
    bad: int = 0
    reasons: list[tuple[int, str]] = field(default_factory=list)
    lines: int = 0


class Target(Protocol):
    """Takes bodies."""

    async def deliver(self, body: Body, parsed: Parsed) -> int:
        """Stores what is good of a body; how many of its lines are new.

        Raises:
            Unavailable: it cannot take it now, also after some patience.
            Rejected: it never will.
        """


async def bring(
    lines: Iterable[bytes], form: str, target: Target, retention_days: int, outcome: Outcome
) -> None:
    """Brings all lines in, body after body; what is in stays in, however this ends.

    Args:
        lines: of the file.
        form: one of `bodies.FORMATS`.
        target: where to.
        retention_days: what is older than so many days is left out.
        outcome: is kept up to date.
    """
    for body in bodies.cut(lines, form):
        now_ns = time.time_ns()
        parsed = bodies.understand(body, form, Arrival.of(now_ns))
        first = retention.first_day(now_ns, retention_days)
        old = sum(times.day_of(each.line.time_ns) < first for each in parsed.documents)
        new = 0
        if old < len(parsed.documents):
            new = await target.deliver(body, parsed)
        outcome.new += new
        outcome.old += old
        outcome.known += len(parsed.documents) - old - new
        outcome.bad += parsed.bad
        outcome.reasons += parsed.reasons[: _REASONS - len(outcome.reasons)]
        outcome.lines = body.numbers[-1]


class Files:
    """The files of a store that is stopped; see `into_files`."""

    def __init__(self, intake: Intake, tenant: str) -> None:
        self._intake = intake
        self._tenant = tenant

    async def deliver(self, body: Body, parsed: Parsed) -> int:
        """See `Target`."""
        try:
            with self._intake.reserve(body.size):
                future = self._intake.offer(self._tenant, parsed.documents)
                stored = await asyncio.wrap_future(future)
                return sum(stored)
        except Busy as busy:
            raise Unavailable(f"{busy}; what is in stays in: import again") from None


@asynccontextmanager
async def into_files(folder: Folder, limits: Limits, tenant: str) -> AsyncIterator[Files]:
    """Writes as the store would; its folder must be locked.

    Args:
        folder: where to.
        limits: the store's own.
        tenant: whose lines they are.

    Raises:
        Conflict: a repair was interrupted, and cannot be ended.
    """
    swap.finish_all(folder.root)
    metrics = Metrics(CollectorRegistry())
    intake = Intake(1 << 30, metrics)
    writer = Writer(folder, intake, limits, metrics)
    before = set(folder.root.glob("**/*"))
    await asyncio.to_thread(writer.start)
    try:
        yield Files(intake, tenant)
    finally:
        await asyncio.to_thread(writer.close)
        for made in set(folder.root.glob("**/*")) - before:
            # By whom it was started is not who runs the store.
            swap.own(made, folder.root)


class Http:
    """A store that runs.

    Args:
        session: to it; with the token.
        url: of it, without a slash at the end.
        form: of the bodies.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, form: str) -> None:
        self._session = session
        self._url = url
        self._form = form

    async def deliver(self, body: Body, parsed: Parsed) -> int:
        """See `Target`."""
        data = bodies.as_bulk(parsed.documents) if self._form == "loki" else body.data
        ends_at = time.monotonic() + _PATIENCE_SECONDS
        while True:
            status, why, reply = await self._post(data)
            if status == 200 or (status == 400 and b'"stored"' in reply):  # noqa: PLR2004
                return self._new(reply)
            if status and status not in _AGAIN:
                raise Rejected(f"{self._url} refuses: {status} {why}")
            if time.monotonic() > ends_at:
                raise Unavailable(f"{self._url}: {why}; what is in stays in: import again")
            # Nothing of it was taken, or nobody knows: what was is known the next time.
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _post(self, data: bytes) -> tuple[int, str, bytes]:
        headers = {"Content-Type": "application/x-ndjson"}
        try:
            async with self._session.post(
                self._url + _PATHS[self._form], data=data, headers=headers
            ) as answer:
                reply = await answer.read()
                return answer.status, reply[:300].decode(errors="replace"), reply
        except aiohttp.InvalidURL:
            raise Rejected(f"{self._url!r:.80} is no URL") from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return 0, str(error) or type(error).__name__, b""

    def _new(self, reply: bytes) -> int:
        try:
            if self._form in {"bulk", "loki"}:
                items = _bulk_decoder.decode(reply).items
                return sum(each.status == 201 for item in items for each in item.values())  # noqa: PLR2004
            return _counts_decoder.decode(reply).stored
        except msgspec.DecodeError as error:
            raise Unavailable(f"{self._url} gave no reply of a store: {error}") from None


@asynccontextmanager
async def over_http(
    url: str, token: str, form: str, *, tls: ssl.SSLContext | bool = True
) -> AsyncIterator[Http]:
    """Sends to a store that runs.

    Args:
        url: of it.
        token: that may write; empty for none.
        form: of the bodies.
        tls: how its certificate is checked, as aiohttp takes it.
    """
    headers: dict[str, Any] = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(
        timeout=_TIMEOUT, headers=headers, connector=aiohttp.TCPConnector(ssl=tls)
    ) as session:
        yield Http(session, url.rstrip("/"), form)
