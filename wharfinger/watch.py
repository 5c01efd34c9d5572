"""List, then watch for ever: nothing missed, nothing twice, and never deaf without saying so."""

import asyncio
import contextlib
import math
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from typing import Final

from wharfinger.backoff import Backoff
from wharfinger.errors import WharfingerError
from wharfinger.etcd import Etcd
from wharfinger.etcd.faults import RevisionGone
from wharfinger.etcd.streams import WatchStream
from wharfinger.following import CATCH_UP_LIMIT_SECONDS, Following, HistoryLost, Patience
from wharfinger.history import Gathering, Holding, agrees, questions, watch_id
from wharfinger.kv import Event, KeyValue, Listed, Snapshot, Update, ranges_of

# A stream that ends before that has proven nothing; the next attempt waits longer.
STEADY_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.02


class Watch:
    """All keys below some prefixes, and then each change of them, for ever.

    Iterate over it: first comes `Listed` with everything, then a `Changed` for what happens, in
    order. Another `Listed` replaces all that was known, wherever going on could have missed
    something: history compacted, the cluster wiped or restored. It never ends by itself;
    closing the iterator or cancelling the task ends its stream.

    Args:
        etcd: the session.
        prefixes: what to watch; several share one stream and one revision.
        without: prefixes to leave out of these.
        complete: whether these events of one revision are all that it brings. Where they leave
            that open, the ranges that have said nothing yet are waited for and asked, which takes
            some milliseconds.
        on_alive: called at each sign of life of an open, proven watch; feed a health check
            with `stale_after_seconds` about 15.
        on_trouble: called with the reason when it cannot watch, before it tries again.
        backoff: of the attempts.
        patience: with a silent server.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        etcd: Etcd,
        prefixes: Iterable[str] = ("",),
        *,
        without: Iterable[str] = (),
        complete: Callable[[Sequence[Event]], bool] = lambda _events: False,
        on_alive: Callable[[], None] = lambda: None,
        on_trouble: Callable[[str], None] = lambda _why: None,
        backoff: Backoff | None = None,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._etcd = etcd
        self._ranges = ranges_of(prefixes, without)
        self._complete = complete
        self._on_alive = on_alive
        self._on_trouble = on_trouble
        self._backoff = backoff or Backoff(first_seconds=0.1, cap_seconds=1.0)
        self._patience = patience or Patience()
        self._clock = clock
        self._holdings: list[Holding] = []
        self._gathering = Gathering()
        self._following: Following | None = None

    def __aiter__(self) -> AsyncIterator[Update]:
        return self.updates()

    async def updates(self) -> AsyncGenerator[Update, None]:
        """The same as iterating, for who must close it early (`contextlib.aclosing`)."""
        opened_at = math.inf
        while True:
            try:
                if not self._holdings:
                    yield await self._list()
                async with self._opened() as self._following:
                    opened_at = self._clock()
                    while True:
                        yield await self._following.next()
            except WharfingerError as error:
                trouble = error
            # Taken from the stream while it was good; a new one begins after them. Half a past
            # waits for the other half, which that one brings, if it comes about.
            following, self._following = self._following, None
            is_half = following is not None and following.is_behind
            waits = is_half and not isinstance(trouble, HistoryLost)
            if not waits and (left := self._gathering.release()):
                yield left
            if isinstance(trouble, HistoryLost):
                self._holdings = []
            self._on_trouble(str(trouble))
            if self._clock() - opened_at >= STEADY_SECONDS:
                self._backoff.reset()
            opened_at = math.inf
            await asyncio.sleep(self._backoff.next_delay_seconds())

    async def caught_up(self) -> None:
        """Waits while it has yet to hear of a time in which this process stood still.

        For some seconds at most, and not where no stream stands: etcd may be away for long.
        """
        # By looks and not by the clock: it may stand still again meanwhile.
        for _ in range(round(CATCH_UP_LIMIT_SECONDS / LOOK_SECONDS)):
            if self._following is None or not self._following.catches_up():
                break
            await asyncio.sleep(LOOK_SECONDS)

    async def _list(self) -> Listed:
        # One range after another at the same revision, so that each knows its own keys.
        revision, everything = 0, dict[str, KeyValue]()
        holdings = []
        for keys in self._ranges:
            snapshot = await self._etcd.list_ranges([keys], revision=revision)
            revision = snapshot.revision
            holdings.append(Holding(keys, revision, dict(snapshot.items)))
            everything.update(snapshot.items)
        self._holdings = holdings
        return Listed(Snapshot(revision, everything))

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[Following]:
        stream = await self._etcd.watch_stream()
        following = Following(
            stream,
            self._holdings,
            self._gathering,
            self._patience,
            self._clock,
            complete=self._complete,
        )
        try:
            for number, holding in enumerate(self._holdings):
                await stream.create(watch_id(number), holding.keys, holding.revision + 1)
            await following.confirmed()
            # Asked after the stream stands: a server that is wiped and restarted in between
            # breaks the stream, and one that did before gives itself away in its answers.
            await self._prove(stream)
            self._on_alive()
            following.on_alive = self._on_alive
            yield following
        finally:
            await stream.close()

    async def _prove(self, stream: WatchStream) -> None:
        for holding in self._holdings:
            asked = questions(holding, random.sample)
            try:
                transacted = await self._etcd.transact((), asked, on=stream.connection)
            except RevisionGone as error:
                raise HistoryLost(str(error)) from error
            if not agrees(holding, asked, transacted.results):
                raise HistoryLost(
                    f"etcd {stream.connection.endpoint} has another past than we know of: "
                    "it was wiped or restored"
                )
