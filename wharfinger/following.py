"""One open watch stream: it lives, its messages fit, and no revision is torn in two."""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from wharfinger.errors import Unavailable, WharfingerError
from wharfinger.etcd.streams import WatchStream
from wharfinger.history import (
    Alive,
    Confirmed,
    Deliver,
    Gathering,
    Holding,
    Relist,
    Retry,
    decide,
)
from wharfinger.kv import Changed, Event, WatchAnswer

# How many progress answers, and how long nothing after them, until a revision counts as whole.
# One would do from etcd 3.4.25 on; before, it comes by another way, on which it overtakes what
# is waiting with it in every other case.
JOIN_ROUNDS: Final = 2
JOIN_SECONDS: Final = 0.002
# In one range a revision comes whole (etcd's eventBatch). What a registrar writes touches two
# ranges at once, and comes from both right after one another: then nothing need be asked.
JOIN_FIRST_SECONDS: Final = 0.001
# A range that is behind is brought up to date by a loop that etcd runs every 100 ms.
CATCH_UP_SECONDS: Final = 0.5
CATCH_UP_LIMIT_SECONDS: Final = 5.0
# One that is stopped again and again must not be deaf for ever.
CATCH_UP_ROUNDS: Final = 5
# Whoever takes nothing from the stream for so long finds a past in it when it goes on.
STOOD_STILL_SECONDS: Final = 2.0


class HistoryLost(WharfingerError):
    """What we hold is no longer the past of what the server has: list anew."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How soon a silent server is asked, and how soon given up, all in seconds."""

    ask_after_seconds: float = 1.5
    ask_again_seconds: float = 0.5
    answer_seconds: float = 2.5


class Following:
    """The watches of some ranges on one stream.

    Args:
        stream: where they were asked for.
        holdings: the ranges; each is brought up to date as its events come.
        gathering: where events wait for the rest of their revision; outlives the stream.
        patience: with a silent server.
        clock: monotonic seconds.
        complete: whether these events of one revision are all that it brings.

    Attributes:
        on_alive: called at each message.
        is_behind: what comes is a past, and the rest of it is still to come.
    """

    def __init__(
        self,
        stream: WatchStream,
        holdings: Sequence[Holding],
        gathering: Gathering,
        patience: Patience,
        clock: Callable[[], float],
        *,
        complete: Callable[[Sequence[Event]], bool],
    ) -> None:
        self.on_alive: Callable[[], None] = lambda: None
        self._stream = stream
        self._holdings = holdings
        self._gathering = gathering
        self._patience = patience
        self._clock = clock
        self._complete = complete
        self._early: deque[WatchAnswer] = deque()
        self._told = [0] * len(holdings)
        self._opened_revision = max((holding.revision for holding in holdings), default=0)
        self.is_behind = False
        self._progressed = False
        self._heard_at = clock()
        self._awake_at = clock()
        self._stood_still = 0
        self._asked_at: float | None = None

    async def confirmed(self) -> None:
        """Waits until the watch of every range stands.

        Raises:
            WharfingerError: one does not.
        """
        waiting = set(range(len(self._holdings)))
        while waiting:
            answer = await self._answer()
            match self._decided(answer) if answer else None:
                case Confirmed(number, behind):
                    waiting.discard(number)
                    # Of one range each revision comes whole, and in order; but half a past that
                    # a stream before has brought waits for the other half.
                    waits = len(self._holdings) > 1 or bool(self._gathering)
                    self.is_behind |= behind and waits
                case Deliver() if answer:
                    self._early.append(answer)

    def catches_up(self) -> bool:
        """Whether it is behind, or finds at this moment that it stood still."""
        self._tick()
        return self.is_behind

    async def next(self) -> Changed:
        """The next change; with several ranges, whole revisions in order.

        After a time in which this process stood still it is all that has happened meanwhile:
        revision by revision, what came and went again would be taken for what is.

        Raises:
            WharfingerError: the stream has ended, is silent, or what comes does not fit.
        """
        while True:
            if changed := await self._whole():
                return changed

    async def _whole(self) -> Changed | None:
        if not self._gathering and not self.is_behind:
            await self._take(math.inf)
        whole = self._gathering.newest_revision
        alone = len(self._holdings) == 1
        if whole and not self.is_behind and not alone and not await self._told_by_all(whole):
            for _ in range(JOIN_ROUNDS):
                await self._until_progress()
            await self._until_quiet(JOIN_SECONDS, lambda: self._gathering.newest_revision > whole)
        if self.is_behind:
            await self._catch_up()
            return self._gathering.release()
        return self._gathering.release(whole)

    async def _told_by_all(self, revision: int) -> bool:
        """Whether every range has told of that revision, or does so at once, or need not."""

        def told() -> bool:
            return min(self._told) >= revision or self._complete(self._gathering.newest)

        if not told():
            await self._until_quiet(JOIN_FIRST_SECONDS, told)
        return told()

    async def _catch_up(self) -> None:
        """Waits until every range is up to date; etcd brings them there one after another.

        A time in which this process stood still meanwhile looks like quiet, and is none.
        """
        for _ in range(CATCH_UP_ROUNDS):
            stood_still = self._stood_still
            await self._until_up_to_date()
            if stood_still == self._stood_still:
                break
        self.is_behind = False

    async def _until_up_to_date(self) -> None:
        limit = self._clock() + CATCH_UP_LIMIT_SECONDS
        await self._until_progress()
        await self._until_quiet(CATCH_UP_SECONDS, lambda: self._clock() > limit)

    async def _until_progress(self) -> None:
        """Waits for a progress answer: what etcd sent before the question has come then."""
        limit = self._clock() + CATCH_UP_LIMIT_SECONDS
        self._progressed = False
        while not self._progressed and self._clock() < limit:
            # From 3.4.25 on etcd drops the question while older events are on their way.
            await self._stream.ask_progress()
            again = self._clock() + self._patience.ask_again_seconds
            while not self._progressed and self._clock() < again:
                await self._take(again - self._clock())

    async def _until_quiet(self, quiet_seconds: float, enough: Callable[[], bool]) -> None:
        while await self._take(quiet_seconds) and not enough():
            pass

    async def _take(self, within_seconds: float) -> bool:
        """Takes the next message in, if one comes in time; says whether one did."""
        answer = self._early.popleft() if self._early else await self._answer(within_seconds)
        match self._decided(answer) if answer else None:
            case Deliver(number, events):
                self._holdings[number].take(events)
                self._gathering.add(events)
                self._told[number] = max(event.revision for event in events)
            case Alive():
                self._progressed = True
        return answer is not None

    def _decided(self, answer: WatchAnswer) -> Alive | Confirmed | Deliver:
        match decide(answer, self._holdings, self._opened_revision):
            case Relist(why):
                raise HistoryLost(f"etcd {self._stream.connection.endpoint}: {why}")
            case Retry(why):
                connection = self._stream.connection
                denied = connection.user and "permission denied" in why
                who = f" as user {connection.user}" if denied else ""
                raise Unavailable(f"etcd {connection.endpoint}{who}: {why}")
            case Alive() | Confirmed() | Deliver() as action:
                return action
            case action:
                assert_never(action)

    async def _answer(self, within_seconds: float = math.inf) -> WatchAnswer | None:
        """The next message; None when none came in time."""
        deadline = self._clock() + within_seconds
        while (left := deadline - self._clock()) >= 0:
            await self._ask_if_silent()
            wait = min(self._patience.ask_again_seconds, left)
            self._tick()
            answer = await self._stream.receive(wait)
            self._tick()
            if answer is not None:
                self._heard_at, self._asked_at = self._clock(), None
                self.on_alive()
                return answer
            if wait == left:
                break
        return None

    def _tick(self) -> None:
        now = self._clock()
        if now - self._awake_at >= STOOD_STILL_SECONDS:
            self.is_behind = True
            self._stood_still += 1
        self._awake_at = now

    async def _ask_if_silent(self) -> None:
        now, patience = self._clock(), self._patience
        if self._asked_at is None:
            if now - self._heard_at >= patience.ask_after_seconds:
                self._asked_at = now
                await self._stream.ask_progress()
        elif now - self._asked_at >= patience.answer_seconds:
            self._stream.give_up()
            silent = now - self._heard_at
            raise Unavailable(f"etcd {self._stream.connection.endpoint}: silent for {silent:.1f} s")
        else:
            # From 3.4.25 on etcd drops the question while older events are on their way.
            await self._stream.ask_progress()
