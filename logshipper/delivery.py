"""Brings documents into one sink, however long it takes; returns only when each has its fate."""

import asyncio
import math
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Final, Protocol

from logshipper.census import Census
from logshipper.deadletter import DeadLetters
from logshipper.metrics import Metrics
from logshipper.model import Refusal, Verdict
from logshipper.probe import keep_probing
from logshipper.sinks.contract import Indigestible, Later, Sink, TooLarge
from wharfinger.backoff import Backoff
from wharfinger.errors import Unavailable
from wharfinger.events import Events
from wharfinger.health import Check
from wharfinger.text import quantity

ALARM_SECONDS = 5.0
# One that fails in every other request is told of so often at most.
TELL_SECONDS = 10.0
LETTERS_SECONDS = 1.0
# The alarm must not wait for the next attempt, which may be far away.
LOOK_SECONDS = 1.0
TOO_LARGE_STATUS = 413
BAD_REQUEST_STATUS = 400
# So many single documents in a row that nobody can digest: the fault is not in them.
SUSPECTS = 3
FIX: Final = "its logs wait in Docker's files: does it run, and is its [[logshipper.sinks]] right?"


class Consignor(Protocol):
    """Who is told what befalls the documents of one delivery."""

    def retried(self) -> None:
        """A request has to be made again."""

    def refused(self, documents: Sequence[bytes], dropped_bytes: int) -> None:
        """The sink will never take these; so many bytes of older dead letters had to go."""


class Delivery:
    """What all requests to one sink share: when the next may be made, and how it fares.

    Args:
        name: the sink's.
        sink: makes one attempt at a time.
        letters: keeps what the sink will never take.
        metrics: the shipper's.
        events: where a sink's failing and coming back is told.
        check: red while the sink takes nothing.
        letters_check: red while the dead letters cannot be written.
        backoff: between attempts, unless the sink says when.
        clock: monotonic seconds.

    Attributes:
        name: the sink's.
        census: of its dead letters.
        trouble: why it takes nothing now; empty while it does.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        letters: DeadLetters,
        *,
        metrics: Metrics,
        events: Events,
        check: Check,
        letters_check: Check,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._sink = sink
        self._letters = letters
        self.census = Census(letters)
        metrics.dead_letters.labels(name).set_function(lambda: self.census.letters)
        metrics.dead_letter_bytes.labels(name).set_function(lambda: self.census.size_bytes)
        self._metrics = metrics
        self._events = events
        self._check = check
        self._backoff = backoff or Backoff(0.2, 15.0)
        self._clock = clock
        self._not_before = 0.0
        self._failing_since: float | None = None
        self._told, self._told_at = False, -math.inf
        self._answered = 0
        self._known = not sink.remote
        self.trouble = ""
        self._letters_check = letters_check
        self._under_way = 0
        self._idle_since = -math.inf
        if not sink.remote:
            check.ok("nothing sent yet")
        letters_check.ok()

    def loops(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """What must run for its whole life, by name."""
        yield f"{self.name} dead letters", self.census.keep()
        if self._sink.remote:
            yield f"{self.name} probe", keep_probing(self)

    @property
    def idle_seconds(self) -> float:
        """How long nothing has been sent; 0 while something is."""
        return 0.0 if self._under_way else self._clock() - self._idle_since

    @property
    def certificates(self) -> dict[str, object] | None:
        """How those of the sink stand; None where it has none."""
        held = self._sink.certificates
        return None if held is None else held.status()

    async def probe(self) -> bool:
        """Looks whether the sink is there; whether it is, as far as one knows.

        No line waits for that, and none is sent later because of it.
        """
        asked_at, why = self._clock(), ""
        try:
            await self._sink.reach()
        except Unavailable as error:
            why = f"cannot be reached: {error}"
        if self.idle_seconds < self._clock() - asked_at:
            return True  # something was sent meanwhile, and that says more
        if not why:
            self._recovered()
            return True
        self._trouble(why, asked_at)
        return False

    async def deliver(self, documents: Sequence[bytes], told: Consignor | None = None) -> None:
        """Returns when the sink holds each document, or the dead letters do; tells the rest."""
        if not documents:
            return  # rules have left nothing: the sink is not asked, and says nothing
        self._under_way += 1
        try:
            await self._deliver(documents, told)
        finally:
            self._under_way -= 1
            self._idle_since = self._clock()

    async def _deliver(self, documents: Sequence[bytes], told: Consignor | None) -> None:
        limit = self._sink.limit_documents
        begins = reversed(range(0, len(documents), limit))
        work = [list(documents[begin : begin + limit]) for begin in begins]
        answered, suspects = self._answered, 0
        while work:
            part = work.pop()
            await self._wait_for_turn()
            asked_at = self._clock()
            try:
                verdict = await self._sink.send(part)
            except TooLarge as error:
                work += await self._smaller(part, TOO_LARGE_STATUS, str(error), told)
            except Indigestible as error:
                if len(part) > 1 or self._answered > answered:
                    work += await self._smaller(part, BAD_REQUEST_STATUS, str(error), told)
                    continue
                # The sink has digested nothing since: it, and no document, may be at fault.
                self._retry(told)
                self._failed(str(error), asked_at)
                suspects += 1
                if suspects >= SUSPECTS:
                    work, suspects = [[*part, *(d for p in reversed(work) for d in p)]], 0
                else:
                    work.insert(0, part)
            except Unavailable as error:
                wait = error.retry_after_seconds if isinstance(error, Later) else 0.0
                self._retry(told)
                self._failed(str(error), asked_at, wait)
                work.append(part)
            else:
                work += await self._settle(verdict, asked_at, told)

    async def close(self) -> None:
        """Closes the sink."""
        await self._sink.close()

    async def _settle(
        self, verdict: Verdict, asked_at: float, told: Consignor | None
    ) -> list[list[bytes]]:
        self._metrics.delivered_documents.labels(self.name).inc(verdict.accepted)
        self._answered += 1
        await self._bury(verdict.refused, told)
        if verdict.again:
            why = f"{quantity(len(verdict.again), 'document')} refused for now"
            if verdict.why:
                why += f": {verdict.why}"
            if verdict.accepted:
                self._backoff.reset()
            self._retry(told)
            self._failed(why, asked_at)
            return [list(verdict.again)]
        self._recovered()
        return []

    async def _smaller(
        self, part: list[bytes], status: int, why: str, told: Consignor | None
    ) -> list[list[bytes]]:
        if len(part) > 1:
            self._retry(told)
            half = len(part) // 2
            return [part[half:], part[:half]]  # the first half is taken first
        await self._bury([Refusal(part[0], status, why)], told)
        return []

    async def _bury(self, refusals: Sequence[Refusal], told: Consignor | None) -> None:
        while refusals:
            try:
                dropped = await asyncio.to_thread(self._letters.write, refusals)
            except OSError as error:
                # Not acknowledged before they are safe: the log is where they still are.
                self._letters_check.fail(f"cannot be written, so their logs wait: {error}")
                await asyncio.sleep(LETTERS_SECONDS)
                continue
            self._letters_check.ok()
            self.census.stir()
            self._metrics.rejected_documents.labels(self.name).inc(len(refusals))
            first = refusals[0]
            self._events.emit(
                "documents refused",
                "error",
                sink=self.name,
                documents=len(refusals),
                status=first.status,
                why=first.reason,
            )
            if told is not None:
                told.refused([refusal.document for refusal in refusals], dropped)
            return

    def _retry(self, told: Consignor | None) -> None:
        self._metrics.retries.labels(self.name).inc()
        if told is not None:
            told.retried()

    async def _wait_for_turn(self) -> None:
        while (wait_seconds := self._not_before - self._clock()) > 0:
            # Another request may fail meanwhile and move the time further.
            await asyncio.sleep(min(wait_seconds, LOOK_SECONDS))
            self._alarm()

    def _failed(self, why: str, asked_at: float, retry_after_seconds: float = 0.0) -> None:
        self._trouble(why, asked_at)
        now = self._clock()
        # Requests that were under way together fail together: that is one failure.
        if now >= self._not_before:
            self._not_before = now + self._backoff.next_delay_seconds()
        self._not_before = max(self._not_before, now + retry_after_seconds)

    def _trouble(self, why: str, asked_at: float) -> None:
        now = self._clock()
        self.trouble = why
        if self._failing_since is None:
            # A sink that hangs has failed since it was asked, not since the wait was given up.
            self._failing_since = asked_at
        if not self._told and now - self._told_at >= TELL_SECONDS:
            self._told, self._told_at = True, now
            self._events.emit("sink failing", "warning", sink=self.name, why=why)
        self._alarm()

    def _alarm(self) -> None:
        since = self._failing_since
        # One that was never there is red already, and can say why.
        patience_seconds = ALARM_SECONDS if self._known else 0.0
        if since is not None and self._clock() - since >= patience_seconds:
            self._check.fail(f"{self.trouble}; {FIX}")

    def _recovered(self) -> None:
        self._backoff.reset()
        self.trouble = ""
        if self._told and self._failing_since is not None:
            seconds = self._clock() - self._failing_since
            self._events.emit("sink recovered", sink=self.name, after_seconds=round(seconds, 3))
        self._told, self._failing_since, self._known = False, None, True
        self._check.ok()
