"""What etcd says, typed and guarded: the watch, the tree, what is kept when etcd forgets."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from prometheus_client import Counter, Gauge

from discovery import guard
from discovery.guard import Kept, KeptByKey, Known
from discovery.memory import Memory
from discovery.model import Rejection, Service, Snapshot
from discovery.services.instances import paired
from discovery.services.tree import UNHEARD, Lost, Tree
from wharfinger import keys
from wharfinger.errors import WharfingerError
from wharfinger.etcd import Etcd
from wharfinger.kv import Listed, Update
from wharfinger.lifecycle import Scope
from wharfinger.reachable import reachable
from wharfinger.watch import Watch

STALE_AFTER_SECONDS: Final = 15.0
PROBE_INTERVAL_SECONDS: Final = 1.0
PROBE_TIMEOUT_SECONDS: Final = 1.0
PROBES_AT_ONCE: Final = 100
MEMORY_INTERVAL_SECONDS: Final = 2.0


class Observer:
    """Keeps the tree true to etcd, and decides with the guard what of it is served.

    Args:
        etcd: the session.
        prefixes: what to watch.
        scope: of the daemon.
        state_dir: where what was seen survives a restart.
        on_change: called when there may be something to render.
    """

    def __init__(
        self,
        etcd: Etcd,
        prefixes: Iterable[str],
        *,
        scope: Scope,
        state_dir: Path,
        on_change: Callable[[], None],
    ) -> None:
        self._etcd = etcd
        self._prefixes = tuple(prefixes)
        self._scope = scope
        self._memory = Memory(state_dir)
        self._on_change = on_change
        self._tree = Tree()
        # The first list is compared with what stood there in the life before, so that a store
        # that was wiped meanwhile empties nothing either.
        self._tree.hear(Listed(self._memory.instances()))
        self._unsaved = False
        self._saved_at = float("-inf")
        self._news = asyncio.Event()
        self._forgetful = False
        self._hearing = asyncio.Lock()
        self._saving = asyncio.Lock()  # the latest is to be written last
        # What etcd had lost before that was not in its list any more.
        self._kept = guard.keep({}, self._memory.kept(), time.monotonic())
        self._known: Mapping[str, Known] = self._memory.known()
        self._written: Mapping[str, Known] = self._known
        self._looked: tuple[Service, ...] = ()
        self._looked_at = float("-inf")
        self._whole: tuple[Service, ...] = ()
        self._reported: frozenset[Rejection] = frozenset()
        self._restart = asyncio.Event()
        self._heard: Watch | None = None
        self._check = scope.health.check("etcd watch", stale_after_seconds=STALE_AFTER_SECONDS)
        self._rejected_total = Counter(
            "wharfinger_discovery_rejected_values",
            "Values that were left out alone.",
            registry=scope.metrics,
        )
        self._kept_gauge = Gauge(
            "wharfinger_discovery_kept_instances",
            "Instances that etcd lost with their lease and that still answer.",
            registry=scope.metrics,
        )
        self._kept_gauge.set(len(self._kept))
        self.listed = asyncio.Event()

    def watch_prefixes(self, prefixes: Iterable[str]) -> None:
        """Watches these from now on; a change means a new list."""
        if (wanted := tuple(prefixes)) != self._prefixes:
            self._prefixes = wanted
            self._restart.set()

    @property
    def hears(self) -> bool:
        """Whether etcd is heard."""
        return self._check.report().healthy

    def relist(self) -> None:
        """Lists everything anew, whatever the watch believes."""
        self._restart.set()

    async def run(self) -> None:
        """Watches for ever."""
        while True:
            self._restart.clear()
            watching = asyncio.create_task(self._watch(), name="etcd watch")
            restarting = asyncio.create_task(self._restart.wait())
            try:
                await asyncio.wait({watching, restarting}, return_when=asyncio.FIRST_COMPLETED)
                if watching.done():
                    await watching
            finally:
                for task in (watching, restarting):
                    task.cancel()
                await asyncio.gather(watching, restarting, return_exceptions=True)

    async def run_guard(self) -> None:
        """Probes what is kept, for ever; lets go of what no longer answers."""
        while True:
            # Of a host whose registrar is back the time runs out without news from etcd.
            if self._kept:
                await self._release()
            await self.probe()
            await asyncio.sleep(PROBE_INTERVAL_SECONDS)

    async def probe(self) -> None:
        """Asks each instance that is kept, once."""
        if not self._kept:
            return
        answers = await reachable(
            {(one.lost.instance.ip, one.lost.instance.port) for one in self._kept.values()},
            timeout_seconds=PROBE_TIMEOUT_SECONDS,
            at_once=PROBES_AT_ONCE,
        )
        self._let(guard.probed(self._kept, answers))

    async def run_memory(self) -> None:
        """Writes down, for ever, what a next life compares its first list with."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(MEMORY_INTERVAL_SECONDS):
                    await self._news.wait()
            self._news.clear()
            await self._write_known()
            if self._unsaved and time.monotonic() - self._saved_at >= MEMORY_INTERVAL_SECONDS:
                self._saved_at = time.monotonic()
                await self.save()

    async def _write_known(self) -> None:
        async with self._saving:
            known = self._known
            if guard.is_news(self._written, known):
                write = partial(self._memory.keep_known, known)
                saved = await asyncio.to_thread(self._saved, write)
                self._written = known if saved else self._written

    async def take(self, update: Update) -> None:
        """Takes in one update of the watch, and judges what it lost."""
        async with self._hearing:
            await self._hear(update)

    async def served(self) -> Snapshot:
        """What templates see now; not while it is being judged what was lost, nor from a past."""
        await self.caught_up()
        async with self._hearing:
            return await self._served()

    async def caught_up(self) -> None:
        """Waits, not for long, while etcd has yet to tell of a time in which we stood still.

        A change that waited for quiet then is due at once when we go on, and may be over.
        """
        if self._heard is not None:
            await self._heard.caught_up()

    async def _served(self) -> Snapshot:
        snapshot = self._tree.snapshot()
        self._let(guard.release(self._kept, snapshot, time.monotonic()), tell=False)
        self._report(snapshot.rejected)
        now = time.time()
        if not 0 <= now - self._looked_at < guard.NOTE_SECONDS:
            self._looked_at, self._looked = now, ()
        known = guard.remember(self._known, snapshot, now, self._looked)
        self._looked = snapshot.services
        is_same, self._known = known is self._known, known
        if not is_same and guard.is_news(self._written, known):
            # What is served now must not wait for a disk.
            self._news.set()
        served = guard.served(snapshot, self._kept, known, self._whole)
        if served is snapshot:
            self._whole = snapshot.services
        return served

    async def save(self) -> None:
        """Writes down what a next life compares its first list with."""
        await self._write_known()
        async with self._saving:
            self._unsaved = False
            held, kept = self._tree.instances(), [one.lost for one in self._kept.values()]
            write = partial(self._memory.keep, held, kept)
            saved = await asyncio.to_thread(self._saved, write)
            # As it is by now: what came meanwhile is not written yet.
            self._unsaved = self._unsaved or not saved

    async def _release(self) -> None:
        async with self._hearing:
            snapshot = self._tree.snapshot()
            self._let(guard.release(self._kept, snapshot, time.monotonic()))

    def status(self) -> dict[str, Any]:
        """What it keeps although etcd lost it."""
        now = time.monotonic()
        return {
            "etcd": self._etcd.endpoint,
            "kept": [_kept_status(key, one, now) for key, one in sorted(self._kept.items())],
        }

    async def _watch(self) -> None:
        watch = Watch(
            self._etcd,
            self._prefixes,
            without=UNHEARD,
            complete=paired,
            on_alive=self._check.beat,
            on_trouble=self._trouble,
        )
        self._heard = watch
        async for update in watch:
            await self.take(update)

    async def _hear(self, update: Update) -> None:
        before = self._tree.revision
        heard = self._tree.hear(update)
        if heard.backwards:
            self._scope.events.emit("etcd went back", "warning", revision=self._tree.revision)
        lost = heard.lost if heard.backwards else await self._really_lost(heard.lost)
        await self._forget(heard.put)
        if lost:
            self._kept = guard.keep(self._kept, lost, time.monotonic())
            self._kept_gauge.set(len(self._kept))
            services = sorted({one.key.service.name for one in lost})
            self._scope.events.emit(
                "instances kept",
                "warning",
                count=len(lost),
                services=services,
                why="they are gone from etcd with their lease; probing whether they answer",
            )
            # At once: what etcd has lost it will not tell the next life.
            await self.save()
        self._unsaved |= heard.changed
        self.listed.set()
        # Whoever renders at each list hears of what is not in etcd (DNS, files, the time), too.
        if heard.changed or self._tree.revision != before or isinstance(update, Listed):
            self._on_change()

    async def _forget(self, put: Mapping[str, int]) -> None:
        """Lets go of what was registered again, be it for a moment: then somebody took it out.

        Of one that leaves just when its lease was lost, its registrar puts and deletes the metadata
        alone: nobody is to be sent there again for that.
        """
        leases = {
            key: put.get(key.address, put.get(key.metadata))
            for key in self._kept
            if key.address in put or key.metadata in put
        }
        if not leases:
            return
        suspects = tuple(
            replace(self._kept[key].lost, lease=lease or 0) for key, lease in leases.items()
        )
        lost_again = {one.key for one in await self._really_lost(suspects)}
        gone = leases.keys() - lost_again
        self._let({key: one for key, one in self._kept.items() if key not in gone}, tell=False)

    async def _really_lost(self, suspects: tuple[Lost, ...]) -> tuple[Lost, ...]:
        """Of what went with all of its lease's keys, what nobody deleted.

        A host that is drained deletes all its keys at once, too; but its lease lives on.
        """
        ended: dict[int, bool] = {}
        for lease in {one.lease for one in suspects}:
            try:
                ended[lease] = await self._etcd.time_to_live(lease) is None
            except WharfingerError:
                ended[lease] = True  # nobody to ask: the probes decide
        return tuple(one for one in suspects if ended[one.lease])

    def _trouble(self, why: str) -> None:
        self._check.fail(why)

    def _let(self, still: KeptByKey, *, tell: bool = True) -> None:
        gone = self._kept.keys() - still.keys()
        self._kept = still
        self._unsaved |= bool(gone)
        self._kept_gauge.set(len(still))
        if gone:
            addresses = sorted(key.address for key in gone)
            self._scope.events.emit("kept instances let go", count=len(gone), keys=addresses[:20])
            if tell:
                self._on_change()

    def _saved(self, write: Callable[[], None]) -> bool:
        """Whether it was written; a full disk costs the next life its memory, this one nothing."""
        try:
            write()
        except OSError as error:
            if not self._forgetful:
                why = error.strerror or str(error)
                self._scope.events.emit("memory not written", "error", why=why)
            self._forgetful = True
            return False
        self._forgetful = False
        return True

    def _report(self, rejected: tuple[Rejection, ...]) -> None:
        now = frozenset(rejected)
        for one in sorted(now - self._reported):
            self._rejected_total.inc()
            self._scope.events.emit("value rejected", "warning", key=one.key, why=one.reason)
        self._reported = now


def _kept_status(key: keys.InstanceKey, one: Kept, now: float) -> dict[str, Any]:
    return {"key": key.address, "since_seconds": now - one.since, "failures": one.failures}
