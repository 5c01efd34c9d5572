"""All logs on their way into one sink: reads in turn, batches, sends, checkpoints."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from math import inf
from typing import Any, Final

from logshipper.account import Account, Accounts, Consignment, Standing, called
from logshipper.api.tail import ApiTail
from logshipper.batch import Batch, Limits, Ticket
from logshipper.delivery import Delivery
from logshipper.keeper import Keeper
from logshipper.log import Log
from logshipper.metrics import Metrics
from logshipper.model import Loss, Progress, Route, SavedLog, Slice
from logshipper.pipeline import Pipeline
from logshipper.retention import Retention
from logshipper.source import Source
from logshipper.tail import Tail
from wharfinger.events import Events

# A log that trickles is not read line by line as each arrives, but so often at most.
PACE_SECONDS: Final = 0.1
# What every container has, and nobody can tell of one that is gone.
NAME: Final = "container_name"
FULL_READ_BYTES: Final = 64 * 2**10

MakeRetention = Callable[..., Retention]
Compile = Callable[[str, Route, Progress | None], Pipeline]


class Shipment:
    """The way of all logs into one sink; sinks share nothing, so none can hold up another.

    Args:
        keeper: of this sink's checkpoint.
        delivery: into this sink.
        limits: of a batch.
        requests: batches on their way at the same time.
        compile_pipeline: makes the pipeline of a log.
        retention: makes what sees to deleted files.
        arm: asks to be told when the file behind a descriptor changes.
        metrics: the shipper's.
        events: where losses and ends are told.
        on_loss: told the container and what of its log was lost.
    """

    def __init__(
        self,
        keeper: Keeper,
        delivery: Delivery,
        *,
        limits: Limits,
        requests: int,
        compile_pipeline: Compile,
        retention: MakeRetention,
        arm: Callable[[str, int], None],
        metrics: Metrics,
        events: Events,
        on_loss: Callable[[str, Loss], None],
    ) -> None:
        self.name = delivery.name
        self.logs: dict[str, Log] = {}
        self.accounts = Accounts()
        self._keeper = keeper
        self._delivery = delivery
        self._limits = limits
        self._requests = requests
        self._limit_bytes = limits.size_bytes * (requests + 1)
        self._compile = compile_pipeline
        self._arm = arm
        self._metrics = metrics
        self._events = events
        self._on_loss = on_loss
        self._ready: deque[Log] = deque()
        self._batch: Batch | None = None
        self._outbox: asyncio.Queue[Batch] = asyncio.Queue()
        self._in_flight_bytes = 0
        self._changed = asyncio.Event()
        self._draining = False
        self._settling = asyncio.Lock()
        self._retention = retention(logs=self.logs, saved=keeper.get, changed=self._let_go)
        keeper.on_synced = self._retention.spool.release

    def known(self) -> tuple[str, ...]:
        """The containers that the checkpoint knows, or the spool."""
        return tuple({*self._keeper, *self._retention.spool.containers()})

    def loops(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """What must run for the shipment's whole life, by name."""
        yield f"{self.name} reader", self._read()
        yield f"{self.name} checkpoint", self._keeper.keep()
        yield f"{self.name} retention", self._retention.keep()
        yield from self._delivery.loops()
        for number in range(self._requests):
            yield f"{self.name} sender {number}", self._send()

    async def open(self, container_id: str, folder: str, base: str) -> None:
        """Opens the files of a log and holds them; they are read once the log has a route."""
        spooled = self._retention.spool.of

        def source(saved: SavedLog | None) -> Source:
            if saved is not None and saved.anchor is not None:
                return ApiTail(saved)
            return Tail(folder, base, saved=saved, spooled=spooled(container_id))

        await self.follow(container_id, source)

    async def follow(self, log_id: str, make_tail: Callable[[SavedLog | None], Source]) -> None:
        """Opens a log of any kind, as `open` does; `make_tail` is told what the checkpoint has."""

        def opened() -> Log:
            saved = self._keeper.get(log_id)
            return Log(log_id, make_tail(saved), saved, opened_anew=opened)

        if log_id not in self.logs:
            self.logs[log_id] = opened()
        self.logs[log_id].gone = False
        await self.look(log_id)
        self.wake(log_id)

    def saved(self, log_id: str) -> SavedLog | None:
        """What the checkpoint has of a log."""
        return self._keeper.get(log_id)

    def abandon(self, log_id: str) -> None:
        """Drops a log that is in the checkpoint and nowhere else; what waited of it is lost."""
        saved = self._keeper.get(log_id)
        if saved is not None and self._keeper.forget(log_id) and saved.waiting_bytes:
            why = "its container went while nobody read it"
            self._on_loss(log_id, Loss("removed", saved.waiting_bytes, why))

    async def look(self, *container_ids: str) -> None:
        """Opens what has appeared in the folders of these logs; of all without ids."""
        chosen = container_ids or tuple(self.logs)
        logs = [self.logs[each] for each in chosen if each in self.logs]
        for container_id in await asyncio.to_thread(_stirred, logs):
            self.wake(container_id)
        threatened = bool(self._delivery.trouble) or self._in_flight_bytes >= self._limit_bytes
        await self._retention.look(threatened=threatened)
        for log in logs:
            # Told now: while the sink is down nothing is read, but files may be lost all the same.
            self._tell_losses(log)

    def gone(self, container_id: str) -> None:
        """The container's folder is no more; what is held of its log is read to the end."""
        log = self.logs.get(container_id)
        if log is not None:
            log.gone = True
            if log.route is not None and not log.route.ship:
                del self.logs[container_id]
                if not log.tail.kept:
                    self._keeper.forget(container_id)
        self.wake(container_id)

    def wake(self, container_id: str) -> None:
        """Something may be there to read."""
        log = self.logs.get(container_id)
        if log is None:
            return
        log.armed = False
        if log.pipeline is not None and not log.queued and not log.finished:
            log.queued = True
            self._ready.append(log)
            self._changed.set()

    def direct(self, container_id: str, route: Route) -> bool:
        """Says whether the log is shipped and what its documents carry; whether that is new."""
        log = self.logs.get(container_id)
        if log is None:
            return False
        if NAME not in route.fields:
            # One that Docker does not know any more is what it was when it was spooled: whose it
            # is, which sinks take it, and what of it must be redacted.
            route = self._retention.spool.route(container_id) or route
        if log.route == route:
            return False
        before, log.route = log.route, route
        if not route.ship:
            # Its files need not be held; should it be shipped after all, they are opened again.
            log.close()
            log.parked = before is not None
            if not log.parked:
                self._keeper.forget(container_id)
            self._retention.spool.finish(container_id)
            if log.gone:
                del self.logs[container_id]
                self._keeper.forget(container_id)
            return True
        if before is not None and not before.ship and log.opened_anew is not None:
            gone, log = log.gone, log.opened_anew()
            log.route, log.gone = route, gone
            self.logs[container_id] = log
        if log.pipeline is None:
            progress = log.saved.progress if log.saved else None
            log.pipeline = self._compile(container_id, route, progress)
            self.wake(container_id)
        else:
            log.pipeline.describe(route.fields, route.lines)
        return True

    @property
    def trouble(self) -> str:
        """Why the sink takes nothing now; empty while it does."""
        return self._delivery.trouble

    def called(self, container_id: str) -> str:
        """A container, for people."""
        log = self.logs.get(container_id)
        return called(container_id, log.name if log else "")

    def standings(self) -> Iterator[Standing]:
        """How each log stands, and those that ended a moment ago and have lost something."""
        for container_id, log in self.logs.items():
            yield log.standing(self.name, self.accounts.find(container_id))
        for container_id, account in self.accounts.ended(self.logs):
            name = called(container_id, account.name)
            yield Standing(self.name, container_id, name, account=account, ended=True)

    async def drain(self) -> None:
        """Reads no more and waits until all that was read is acknowledged."""
        self._draining = True
        self._hand_over()
        while self._in_flight_bytes or self._outbox.qsize():
            self._changed.clear()
            await self._changed.wait()
        await self._keeper.write(sync=True)

    async def aclose(self) -> None:
        """Lets every file and connection go; its loops must have ended."""
        for log in self.logs.values():
            log.close()
        self._retention.spool.close()
        await self._delivery.close()

    def status(self) -> dict[str, object]:
        """Where each log stands."""
        return {
            "sink": self.name,
            "trouble": self._delivery.trouble,
            "in_flight_bytes": self._in_flight_bytes,
            "dead_letters": self._delivery.census.told(),
            "certificates": self._delivery.certificates,
            "logs": [self._told(log) for log in self.logs.values()],
            "ended": [
                {"container": container_id, "name": account.name, **account.told()}
                for container_id, account in self.accounts.ended(self.logs)
            ],
        }

    def _told(self, log: Log) -> dict[str, object]:
        account = self.accounts.find(log.container_id) or Account()
        return log.status(self._keeper.get(log.container_id)) | account.told()

    async def _read(self) -> None:
        """Takes a piece of each log in turn, so that a loud one leaves room for the quiet."""
        while True:
            self._changed.clear()
            now = time.monotonic()
            if self._batch and self._batch.due(self._limits, now):
                self._hand_over()
            full = self._in_flight_bytes >= self._limit_bytes
            if self._draining or full or not self._ready:
                await self._wait(now)
                continue
            log = self._ready.popleft()
            log.queued = False
            await self._take(log)

    async def _wait(self, now: float) -> None:
        remaining = None
        if self._batch:
            remaining = max(0.0, self._batch.begun_at + self._limits.age_seconds - now)
        try:
            async with asyncio.timeout(remaining):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _take(self, log: Log) -> None:
        piece = await asyncio.to_thread(log.step)
        self._tell_losses(log)
        if piece is not None:
            self._add(log, piece)
        if log.finished:
            self._forget_when_done(log)
        elif piece is None:
            if not log.trouble:  # else the next poll tries it again
                self._rest(log)
        elif piece.read_bytes >= FULL_READ_BYTES:
            self.wake(log.container_id)
        else:
            asyncio.get_running_loop().call_later(PACE_SECONDS, self.wake, log.container_id)

    def _let_go(self, log: Log) -> None:
        self._tell_losses(log)
        self.wake(log.container_id)

    def _tell_losses(self, log: Log) -> None:
        for loss in log.losses():
            self._lose(log.container_id, loss)

    def _lose(self, container_id: str, loss: Loss) -> None:
        log = self.logs.get(container_id)
        self.accounts.lost(container_id, log.name if log else "", loss)
        self._on_loss(container_id, loss)

    def _rest(self, log: Log) -> None:
        """Has read all there is: a change of the file wakes it, and what came meanwhile."""
        fd = log.tail.newest_fd
        if fd is not None and not log.armed:
            self._arm(log.container_id, fd)
            self.wake(log.container_id)
            log.armed = True
        due_seconds = log.due_seconds
        if due_seconds < inf and not log.timed:
            log.timed = True
            asyncio.get_running_loop().call_later(max(0.0, due_seconds), self._ring, log)

    def _ring(self, log: Log) -> None:
        """An event may be over: nothing else would say so."""
        log.timed = False
        self.wake(log.container_id)

    def _add(self, log: Log, piece: Slice) -> None:
        self._metrics.read_bytes.labels(self.name).inc(piece.read_bytes)
        if piece.tally is not None:
            self._metrics.count(self.name, piece.tally)
        if piece.undecoded:
            self._metrics.undecoded_lines.labels(self.name).inc(piece.undecoded)
        if piece.zeroed_bytes:
            zeroed = Loss("zeroed", piece.zeroed_bytes, f"{log.tail.base} holds NUL bytes")
            self._lose(log.container_id, zeroed)
        if self._batch is None:
            self._batch = Batch(time.monotonic())
        self._batch.add(log.container_id, piece, log.issue(piece))

    def _hand_over(self) -> None:
        if self._batch is not None:
            self._in_flight_bytes += self._batch.size_bytes
            self._outbox.put_nowait(self._batch)
            self._batch = None

    async def _send(self) -> None:
        while True:
            batch = await self._outbox.get()
            told = Consignment(batch, self.accounts, self._lose)
            await self._delivery.deliver(batch.documents, told)
            await self._settle(batch.tickets)
            self._in_flight_bytes -= batch.size_bytes
            self._changed.set()

    async def _settle(self, tickets: list[tuple[str, Ticket]]) -> None:
        moved: dict[str, tuple[Log, Progress]] = {}
        for container_id, ticket in tickets:
            # It may have been left out, and its container removed, while this was on its way.
            log = self.logs.get(container_id)
            if log is not None and (progress := log.ledger.settle(ticket)) is not None:
                moved[container_id] = log, progress
        # A file of it may be on its way into the spool just now: that must not stop the loop. One
        # after the other, so that no checkpoint goes back.
        async with self._settling:
            for log, saved in await asyncio.to_thread(_saved, tuple(moved.values())):
                here = self.logs.get(log.container_id) is log
                if here and log.route is not None and (log.route.ship or log.parked):
                    self._keeper.put(log.container_id, saved)
                    self._forget_when_done(log)

    def _forget_when_done(self, log: Log) -> None:
        """A removed container whose every line is acknowledged leaves nothing behind."""
        # Another may stand in the place of one that was left out meanwhile.
        ours = self.logs.get(log.container_id) is log
        if ours and log.finished and log.tail.ended and log.ledger.idle:
            del self.logs[log.container_id]
            log.close()
            self._retention.spool.finish(log.container_id)
            if not log.tail.kept and self._keeper.forget(log.container_id):
                self._events.emit("log finished", sink=self.name, container=log.container_id)


def _stirred(logs: list[Log]) -> list[str]:
    """Looks at each, in a thread; gives the ids of those that have something to read."""
    return [log.container_id for log in logs if log.look()]


def _saved(moved: Sequence[tuple[Log, Progress]]) -> list[tuple[Log, SavedLog]]:
    """What the checkpoint shall hold of each; in a thread, too."""
    return [(log, log.saved_at(progress)) for log, progress in moved]
