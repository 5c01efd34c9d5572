"""In front of every question: who asks, whether it may now, and a note of what came of it."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from aiohttp import web

from logshipper.store.access import audit
from logshipper.store.access.audit import Audit
from logshipper.store.access.callers import Caller, Denied
from logshipper.store.access.door import Door
from logshipper.store.access.rates import Rates
from logshipper.store.metrics import Metrics
from logshipper.store.query.turns import ASKER

# Of one reader; a browser has six connections at most, and a dashboard asks for what it shows.
MAX_OPEN: Final = 64
_STALLED_SECONDS: Final = 120.0
# These go on for long: that they have begun is noted as well.
_TAILS: Final = frozenset({"tail", "loki tail", "/events", "fleet live"})
_STREAMS: Final = frozenset({"export", *_TAILS})

# Asked by what has no certificate, and telling nothing of what is stored.
_FOR_MACHINES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_ISOLATED: Final = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_FOR_OPERATORS: Final = frozenset({"/status", "/events"})

Handler = Callable[[web.Request, str], Awaitable[web.StreamResponse]]
Refuse = Callable[[Denied], web.StreamResponse]


@dataclass(slots=True, eq=False)
class Asked:
    """A question that is being answered.

    Attributes:
        name: of the endpoint.
        caller: who asks.
        request: in which.
        parameters: of the question.
        task: that answers.
        lines: that were given so far.
        revoked: whether the asker may no longer read.
    """

    name: str
    caller: Caller
    request: web.Request
    parameters: Iterable[tuple[str, str]]
    task: "asyncio.Task[Any] | None" = field(default_factory=asyncio.current_task)
    lines: int = 0
    revoked: bool = False


_ASKED: Final = web.RequestKey("asked", Asked)


class Guard:
    """Lets questions through.

    Args:
        door: tells who asks.
        audit_: notes it.
        metrics: what to count.
        rates: questions of each reader.
    """

    def __init__(self, door: Door, audit_: Audit, metrics: Metrics, rates: Rates) -> None:
        self.door = door
        self._audit = audit_
        self._metrics = metrics
        self._rates = rates
        self._open: set[Asked] = set()
        self._counts: Counter[tuple[bool, object]] = Counter()
        self._told = Rates(1.0, 10.0)

    def read(
        self, name: str, handler: Handler, refuse: "Refuse | None" = None
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A handler that is asked by those who may read only, with their tenant.

        Args:
            name: of the endpoint, for metrics and notes.
            handler: answers; it says by `gave` how many lines it gives.
            refuse: makes an answer of a refusal; JSON unless given.
        """

        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                caller = self._admitted(request)
                with self._answering(name, caller, request) as asked:
                    ASKER.set(caller.key)
                    self._metrics.queries.labels(name).inc()
                    return await self._noted(asked, handler)
            except Denied as denied:
                self.count(denied, request)
                return (refuse or refusal)(denied)

        return guarded

    def admin(self, request: web.Request) -> Caller:
        """Who gives an order.

        Raises:
            Denied: they may not, or not so often.
        """
        caller = self.door.admin(request)
        self._use_rate(caller)
        return caller

    @web.middleware
    async def front(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """What holds for every request, as a middleware of aiohttp."""
        resource = request.match_info.route.resource
        place = "" if resource is None else resource.canonical
        caller = None
        try:
            if place in _FOR_OPERATORS:
                caller = self.door.check_operator(request)
            elif place not in _FOR_MACHINES:
                self.door.check_certificate(request)
            self.door.check_origin(request)
            if caller is None:
                return await handler(request)
            # Events go on for long, so they end with the right to see them.
            with self._answering(place, caller, request):
                return await handler(request)
        except Denied as denied:
            self.count(denied, request)
            return refusal(denied)
        except ConnectionError:
            if request.transport is not None and not request.transport.is_closing():
                raise
            return web.Response()  # the asker has gone, and nobody has to look at that

    async def prepared(self, _request: web.Request, response: web.StreamResponse) -> None:
        """What every answer says of itself, as a signal of aiohttp: other sites may not load it."""
        for name, value in _ISOLATED.items():
            response.headers.setdefault(name, value)

    def count(self, denied: Denied, request: web.Request) -> None:
        """Counts somebody who was sent away, and tells of those that somebody should look at."""
        self._metrics.denied.labels(denied.reason).inc()
        now = time.monotonic()
        # Who floods us shall not flood the events.
        if denied.reason == "none" or self._told.wait_seconds("", now):
            return
        self._told.use("", 1.0, now)
        peer = self.door.peer(request).address
        self._audit.note(
            "request denied", "warning", peer=peer, reason=denied.reason, path=request.path,
            why=str(denied),
        )  # fmt: skip

    def recheck(self) -> None:
        """Ends the answers to those who may no longer read."""
        for asked in list(self._open):
            if not asked.revoked and not self.door.holds(asked.request, asked.caller):
                asked.revoked = True
                if asked.request.transport is not None:
                    asked.request.transport.abort()
                if asked.task is not None:
                    asked.task.cancel()

    def _admitted(self, request: web.Request) -> Caller:
        if self.door.has_ignored_user(request):
            self._metrics.denied.labels("user_header").inc()
        caller = self.door.reader(request)
        self._use_rate(caller)
        self._metrics.read.labels(caller.tenant, caller.label).inc()
        return caller

    def _use_rate(self, caller: Caller) -> None:
        now = time.monotonic()
        if wait := self._rates.wait_seconds(caller.key, now):
            again = {"Retry-After": str(math.ceil(wait))}
            fix = "ask less often, or raise logstore.read_requests_per_second"
            raise Denied(429, "rate", "too many questions a second", fix, again)
        self._rates.use(caller.key, 1.0, now)

    @contextmanager
    def _answering(self, name: str, caller: Caller, request: web.Request) -> Iterator[Asked]:
        key = (name in _TAILS, caller.key)
        if self._counts[key] >= MAX_OPEN:
            fix = "end some, or wait until they are answered"
            why = f"{MAX_OPEN} are being answered already"
            raise Denied(429, "open", why, fix, {"Retry-After": "1"})
        asked = Asked(name, caller, request, request.query.items())
        request[_ASKED] = asked
        self._counts[key] += 1
        self._open.add(asked)
        try:
            yield asked
        finally:
            self._open.discard(asked)
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]

    async def _noted(self, asked: Asked, handler: Handler) -> web.StreamResponse:
        if asked.name in _STREAMS:
            self._note(asked, f"{asked.name} begun", "info")
        began = time.monotonic()
        outcome = "left"
        try:
            response = await handler(asked.request, asked.caller.tenant)
            outcome = "answered" if response.status < web.HTTPBadRequest.status_code else "refused"
            if response.status >= web.HTTPInternalServerError.status_code:
                outcome = "failed"
            return response
        finally:
            level = "info" if asked.name in _STREAMS else "debug"
            self._note(
                asked, f"{asked.name} answered", level, lines=asked.lines,
                seconds=round(time.monotonic() - began, 6),
                outcome="revoked" if asked.revoked else outcome,
            )  # fmt: skip

    def _note(self, asked: Asked, kind: str, level: str, **fields: object) -> None:
        caller, rules = asked.caller, self.door.rules
        known = frozenset(t.digest for t in (*rules.readers.known, *rules.writing.known))
        asking = audit.conditions(asked.parameters, known)
        who = {"reader": caller.name, "by": caller.kind, "tenant": caller.tenant}
        self._audit.note(kind, level, **who, peer=caller.address, asked=asking, **fields)


def gave(request: web.Request, lines: int) -> None:
    """Says that so many lines more were given."""
    if (asked := request.get(_ASKED)) is not None:
        asked.lines += lines


def asks(request: web.Request, parameters: Iterable[tuple[str, str]]) -> None:
    """Says what is asked, where that is not in the query of the request alone."""
    if (asked := request.get(_ASKED)) is not None:
        asked.parameters = tuple(parameters)


def caller_of(request: web.Request) -> Caller:
    """Who asks, in a guarded handler."""
    return request[_ASKED].caller


async def send(request: web.Request, response: web.StreamResponse, data: bytes) -> None:
    """Sends a part of a stream; who takes nothing for two minutes is cut off.

    Raises:
        ConnectionResetError: they have gone, or are as good as gone.
    """
    try:
        async with asyncio.timeout(_STALLED_SECONDS):
            await response.write(data)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the reader takes nothing") from None


def refusal(denied: Denied) -> web.Response:
    """What a refusal looks like in JSON."""
    told = {"error": str(denied), **({"fix": denied.fix} if denied.fix else {})}
    return web.Response(
        body=msgspec.json.encode(told),
        status=denied.status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", **denied.headers},
    )
