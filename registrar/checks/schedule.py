"""One schedule for all checks: who is probed when, how many at once, and what came of it."""

import asyncio
import contextlib
import heapq
import random
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final, Never

from registrar.checks.lanes import SLOW_AFTER_SECONDS, Lanes, Slots
from registrar.checks.model import Answer, CheckKind, Outcome, Target, shown
from registrar.checks.progress import Progress, advance, begin, on_beat, wait

NETWORK_SLOTS: Final = Slots(fast=64, slow=192)
# dockerd needs some 50 ms of a core to start a command in a container.
SCRIPT_SLOTS: Final = Slots(fast=4, slow=16)
# A script has its whole time to itself; Docker's answers before and after it come on top.
SCRIPT_MARGIN_SECONDS: Final = 15.0
# A body that tells the time gives a new reason each time: nobody plans anew for each.
WORDS_SECONDS: Final = 1.0
SPARE: Final = 64

Probe = Callable[[Target], Awaitable[Answer]]
Probed = Callable[[Target, Answer, float], None]


class _Entry:
    """A target and where it stands; compared by identity."""

    __slots__ = ("began", "linger", "preempted", "progress", "slow", "target", "task")

    def __init__(self, target: Target, progress: Progress) -> None:
        self.target = target
        self.progress = progress
        self.slow = False
        self.preempted = False
        self.began = 0.0
        self.task: asyncio.Task[Answer] | None = None
        self.linger: asyncio.TimerHandle | None = None


class Schedule:
    """Probes each target that is wanted, at most once at a time, for ever.

    A target whose probe takes longer than half a second competes only with its like from then
    on, so that hundreds that hang keep none waiting that answers: if no slow slot is free, its
    probe is given up undecided and begun again when one is.

    Args:
        probe: asks one target; cancelled when its time is over, which counts as a failure.
        on_change: called when a target was decided, or after a moment, when only its reason
            changed.
        on_probed: told each answer and how many seconds it took.

    Attributes:
        outcomes: where each target stands, the undecided included.
    """

    def __init__(
        self,
        probe: Probe,
        *,
        on_change: Callable[[], None],
        on_probed: Probed = lambda _target, _answer, _seconds: None,
    ) -> None:
        self._probe = probe
        self._on_change = on_change
        self._on_probed = on_probed
        self._wanted: tuple[Target, ...] = ()
        self._entries: dict[Target, _Entry] = {}
        self._outcomes: dict[Target, Outcome] = {}
        self.outcomes: Mapping[Target, Outcome] = MappingProxyType(self._outcomes)
        self._due: list[tuple[float, int, _Entry]] = []
        self._count = 0
        self._network = Lanes[_Entry](NETWORK_SLOTS)
        self._scripts = Lanes[_Entry](SCRIPT_SLOTS)
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[Answer]] = set()
        self._telling: asyncio.TimerHandle | None = None

    @property
    def running(self) -> int:
        """How many probes are under way."""
        return self._network.running + self._scripts.running

    def want(self, targets: Iterable[Target], *, standing: Collection[Target] = ()) -> None:
        """Takes the complete set of what is to be probed; what is not in it is forgotten at once.

        Args:
            targets: in any order; those whose check is not ours to run are passed over.
            standing: those that were registered in an earlier life of the registrar. They begin
                as passing, and are out only when they fail; it counts for new targets alone.
        """
        wanted = tuple(targets)
        # The plan asks each tick. The same targets again cost one look at each.
        if wanted == self._wanted:
            return
        self._wanted = wanted
        complete = {target for target in wanted if target.check.probed}
        for target in self._entries.keys() - complete:
            self._forget(target)
        for target in wanted:
            if target in complete and target not in self._entries:
                self._add(target, stands=target in standing)
        # What was forgotten would stay until its time comes, which may be tomorrow.
        if len(self._due) > 2 * len(self._entries) + SPARE:
            self._due = [each for each in self._due if not self._stale(each[2])]
            heapq.heapify(self._due)
        self._wake.set()

    async def run(self) -> Never:
        """Probes for ever; nothing that a target answers ends it."""
        try:
            while True:
                self._wake.clear()
                now = time.monotonic()
                while self._due and self._due[0][0] <= now:
                    entry = heapq.heappop(self._due)[2]
                    self._lanes(entry).enter(entry, slow=entry.slow)
                for lanes in (self._network, self._scripts):
                    while (next_one := lanes.start()) is not None:
                        self._start(next_one, lanes)
                await self._until(self._due[0][0] if self._due else None)
        finally:
            if self._telling is not None:
                self._telling.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _until(self, due: float | None) -> None:
        delay = None if due is None else max(0.0, due - time.monotonic())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._wake.wait()

    def _add(self, target: Target, *, stands: bool) -> None:
        now, age = time.monotonic(), (time.time_ns() - target.started_at_ns) / 10**9
        entry = _Entry(target, begin(target.check, now=now, age_seconds=age, stands=stands))
        self._entries[target] = entry
        self._outcomes[target] = entry.progress.outcome
        self._push(entry, now)

    def _forget(self, target: Target) -> None:
        entry = self._entries.pop(target)
        del self._outcomes[target]
        if entry.task is not None:
            entry.task.cancel()

    def _push(self, entry: _Entry, due: float) -> None:
        self._count += 1  # parts those that are due at the same time
        heapq.heappush(self._due, (due, self._count, entry))

    def _lanes(self, entry: _Entry) -> Lanes[_Entry]:
        return self._scripts if entry.target.check.kind is CheckKind.SCRIPT else self._network

    def _stale(self, entry: _Entry) -> bool:
        return self._entries.get(entry.target) is not entry

    def _start(self, entry: _Entry, lanes: Lanes[_Entry]) -> None:
        if self._stale(entry):
            lanes.end(entry)
            return
        entry.began, entry.preempted = time.monotonic(), False
        task = asyncio.create_task(self._ask(entry.target))
        entry.task = task
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(entry, done))
        loop = asyncio.get_running_loop()
        entry.linger = loop.call_later(SLOW_AFTER_SECONDS, self._lingers, entry)

    async def _ask(self, target: Target) -> Answer:
        seconds = target.check.timeout_seconds
        margin = SCRIPT_MARGIN_SECONDS if target.check.kind is CheckKind.SCRIPT else 0.0
        try:
            async with asyncio.timeout(seconds + margin):
                return await self._probe(target)
        except TimeoutError:
            return Answer(good=False, why=f"no answer within {seconds:g} s")
        except Exception as error:  # noqa: BLE001  what a container sends must not end the registrar
            return Answer(good=False, why=shown(f"cannot be understood: {error!r}"))

    def _lingers(self, entry: _Entry) -> None:
        entry.slow = True
        moved = self._lanes(entry).slows(entry)
        # A script that was begun cannot be taken back.
        if not moved and entry.task is not None and self._lanes(entry) is self._network:
            entry.preempted = True
            entry.task.cancel()
        self._wake.set()

    def _ended(self, entry: _Entry, task: asyncio.Task[Answer]) -> None:
        self._tasks.discard(task)
        self._lanes(entry).end(entry)
        self._wake.set()
        entry.task = None
        if entry.linger is not None:
            entry.linger.cancel()
        if self._stale(entry):
            return
        now = time.monotonic()
        if not task.cancelled():
            seconds = now - entry.began
            entry.slow = seconds >= SLOW_AFTER_SECONDS
            self._on_probed(entry.target, task.result(), seconds)
            self._take(entry, task.result(), now)
        elif entry.preempted:
            self._push(entry, now)

    def _take(self, entry: _Entry, answer: Answer, now: float) -> None:
        target = entry.target
        progress = advance(entry.progress, target.check, answer, now)
        entry.progress, delay = wait(progress, target.check, now, random.random())  # noqa: S311
        self._push(entry, on_beat(now + delay, delay))
        before, after = self._outcomes[target], progress.outcome
        self._outcomes[target] = after
        if before.passing is not after.passing:
            self._on_change()
        elif before.why != after.why and self._telling is None:
            loop = asyncio.get_running_loop()
            self._telling = loop.call_later(WORDS_SECONDS, self._tell)

    def _tell(self) -> None:
        self._telling = None
        self._on_change()
