"""Keeps what etcd holds of this host equal to what is desired, and writes nothing else."""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from registrar.host.claim import Claim
from registrar.model import Contested, Deregister, Holder, Instance
from registrar.registry import records
from registrar.registry.denials import Denials, service_of
from registrar.registry.holdings import Holdings, Wish
from registrar.registry.ledger import Ledger
from wharfinger.errors import Conflict, Rejected
from wharfinger.etcd import Etcd
from wharfinger.events import Events
from wharfinger.keys import InstanceKey
from wharfinger.kv import (
    TRANSACTION_OPERATIONS,
    Delete,
    Get,
    KeyValue,
    Put,
    Result,
    absent,
    chunks,
    held_by,
    unchanged,
)

CHANGES_PER_TRANSACTION: Final = TRANSACTION_OPERATIONS // 2
READ_ALL_SECONDS: Final = 60.0

T = TypeVar("T")


class Registry:
    """The keys of this host in etcd, as they were last read or written.

    Every write names the state of the keys that it was planned from, so that it cannot destroy
    what someone else has put there meanwhile, and may be tried again after any failure. Each
    names the host's record, too: of two registrars of one host, only that whose lease it hangs
    on can write.

    Args:
        etcd: the session.
        host: this host's name.
        events: where it is told what was written, and what could not be.
        claim: whose the host is.
        clock: monotonic seconds.

    Attributes:
        denials: services that etcd's users do not let this host write.
        ledger: what became of the keys.
    """

    def __init__(
        self,
        etcd: Etcd,
        host: str,
        events: Events,
        claim: Claim,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._etcd = etcd
        self._host = host
        self._events = events
        self.ledger = Ledger(events)
        self._claim = claim
        self._clock = clock
        self.denials = Denials()
        self._held = Holdings()
        self._written: set[str] = set()
        self._read_all_at = 0.0

    @property
    def instances(self) -> tuple[InstanceKey, ...]:
        """What it holds."""
        return self._held.instances

    @property
    def holders(self) -> dict[InstanceKey, Holder]:
        """Whose each instance that it holds is, by its metadata."""
        return dict(self._held.holders)

    @property
    def by_container(self) -> dict[str, tuple[InstanceKey, ...]]:
        """What it holds of each container, by its id."""
        found: dict[str, tuple[InstanceKey, ...]] = {}
        for key, holder in self._held.holders.items():
            found[holder.container_id] = (*found.get(holder.container_id, ()), key)
        return found

    def holder(self, key: InstanceKey) -> str | None:
        """The id of the container that has a key, empty where nobody can tell; None for no key."""
        address, metadata = self._held.keys.get(key.address), self._held.keys.get(key.metadata)
        if address is None and metadata is None:
            return None
        return records.holder(metadata).container_id

    def value(self, key: str) -> bytes | None:
        """The value of a key as it was last read or written; None where there is none."""
        kv = self._held.keys.get(key)
        return None if kv is None else kv.value

    def revision(self, key: InstanceKey) -> int:
        """The revision at which the instance stood there as it is; 0 for none."""
        held = (self._held.keys.get(each) for each in records.both(key))
        return max((kv.mod_revision for kv in held if kv is not None), default=0)

    def is_stale(self, metadata: KeyValue, lease: int) -> bool:
        """Whether an instance of this host hangs on a lease that it has lost."""
        return records.is_stale(metadata, lease, self._host)

    async def load(self, lease: int) -> None:
        """Reads what hangs on a lease that was taken up again.

        Raises:
            Unavailable: etcd does not answer.
        """
        life = await self._etcd.time_to_live(lease, with_keys=True)
        self._held.keep(lambda _kv: False)
        await self._read(life.keys if life is not None else ())

    async def audit(self, desired: Iterable[InstanceKey], lease: int, *more: str) -> None:
        """Looks again at all that is or should be held: someone may have changed it by hand.

        What is deleted or put by hand hangs on our lease no more, and the lease knows its keys:
        a thousand hosts that read theirs every few seconds cost etcd half a core, this some
        percent. What is not on the lease is read each time, and now and then everything.

        Raises:
            Unavailable: etcd does not answer.
        """
        wanted = [name for key in desired for name in records.both(key)]
        self._held.keep()
        keys = dict.fromkeys([*more, *self._held.keys, *wanted])
        if self._clock() < self._read_all_at:
            sound = await self._sound(lease)
            keys = {key: None for key in keys if key not in sound}
        else:
            self._read_all_at = self._clock() + READ_ALL_SECONDS * random.uniform(0.5, 1)  # noqa: S311
        await self._read(keys)

    def forget_all_but(self, lease: int) -> None:
        """Takes for gone what hung on another lease, as when that was lost.

        Where that is wrong, the next write does not find what it names, and it is read again.
        """
        self._held.keep(lambda kv: kv.lease in (0, lease))

    async def converge(
        self,
        desired: Mapping[InstanceKey, Instance],
        lease: int,
        *,
        spare: frozenset[str] = frozenset(),
        withheld: frozenset[str] = frozenset(),
        why: Callable[[str], str] = lambda _container_id: "",
    ) -> int:
        """Makes etcd hold what is desired, in transactions of at most 100 keys.

        The host must have been declared. A service that etcd denies is noted and left out.

        Args:
            desired: every instance of this host.
            lease: that they hang on.
            spare: ids of containers of which nothing is known now: theirs stays as it is.
            withheld: ids of containers that may have ended: nothing is put of theirs.
            why: tells the reason of a deregistration by the container's id.

        Returns:
            How many instances would have been put but for that.

        Raises:
            Conflict: something was not as it was last read; it has been read again.
            LeaseNotFound: the lease has ended.
            Unavailable: etcd does not answer; what was written is found out by the next call.
        """
        wish = Wish(desired, lease, spare)
        wanted, held = self._held.to_compare(wish)
        changes = records.difference(wanted, held, lease=lease, host=self._host, spare=spare)
        self.ledger.contest(change for change in changes if isinstance(change, Contested))
        wanting = [change for change in changes if not isinstance(change, Contested)]
        doable = [change for change in wanting if not records.puts_of(change, withheld)]
        now, self._written = self._clock(), set()
        allowed = [each for each in doable if not self.denials.bars(records.name(each), now)]
        for batch in chunks(allowed, CHANGES_PER_TRANSACTION):
            await self._write(batch, lease, why)
        # Of what is withheld as well: that nobody asks now is no permission.
        pending = {service_of(records.name(change)) for change in wanting}
        for service in self.denials.keep(pending - self._written):
            self._events.emit("service allowed", service=service)
        self._held.met(wish, changes)
        return len(wanting) - len(doable)

    async def declare(self, key: str, value: bytes, lease: int, *, anew: bool = False) -> None:
        """Puts this host's record, unless it stands there as it should.

        Args:
            key: of the record.
            value: what shall stand there.
            lease: that it hangs on.
            anew: puts it in any case, to learn whether we may.

        Raises:
            Held: another registrar's stands there.
            Conflict: it was not as it was last read; it has been read again.
            LeaseNotFound: the lease has ended.
            Unavailable: etcd does not answer.
        """
        kv = self._held.keys.get(key)
        self._claim.require(kv, lease)
        if not anew and kv is not None and kv.value == value and kv.lease == lease:
            return
        condition = absent(key) if kv is None else unchanged(kv)
        done = await self._etcd.transact([condition], [Put(key, value, lease)], [Get(key)])
        if not done.succeeded:
            self._note([key], done.results)
            raise Conflict(f"{key} was changed by someone else")
        self._held.note(key, _put(key, value, lease, done.revision))

    async def withdraw(self, lease: int) -> None:
        """Takes all that hangs on the lease out of etcd, so that nobody thinks it was lost.

        When a lease ends, etcd deletes its keys in one revision, and discovery goes on serving
        what went so and still answers. Addresses that go before their metadata went on purpose.

        Raises:
            Conflict: a key was changed by someone else meanwhile.
            Unavailable: etcd does not answer.
        """
        await self.load(lease)
        held = [kv for kv in self._held.keys.values() if kv is not None and kv.lease == lease]
        addresses = {key.address for key in self.instances}
        for of_addresses in (True, False):
            these = [kv for kv in held if (kv.key in addresses) is of_addresses]
            for some in chunks(these):
                conditions = [unchanged(kv) for kv in some]
                done = await self._etcd.transact(conditions, [Delete(kv.key) for kv in some])
                if not done.succeeded:
                    raise Conflict("keys of this host were changed by someone else")
        self.ledger.withdrawn(len(addresses))
        self._held.keep(lambda _kv: False)

    async def _sound(self, lease: int) -> set[str]:
        """Keys that stand as they were last put: all of the lease's, or none where that differs."""
        expected = {
            key for key, kv in self._held.keys.items() if kv is not None and kv.lease == lease
        }
        try:
            life = await self._etcd.time_to_live(lease, with_keys=True)
        except Rejected:
            # One of them may not be read any more: the reading finds out which.
            return set()
        return expected if life is not None and set(life.keys) == expected else set()

    async def _write(
        self, batch: Sequence[records.Write], lease: int, why: Callable[[str], str]
    ) -> None:
        names = map(records.name, batch)
        known = {name for name in names if self._held.keys.get(name) is not None}
        try:
            revision = await self._transact(batch, lease)
        except Rejected as error:
            by_service = _by_service(batch, records.name)
            if len(by_service) == 1:
                self._deny(next(iter(by_service)), error)
                return
            # etcd says only that something in the whole is denied.
            for some in by_service.values():
                await self._write(some, lease, why)
            return
        self._written |= {service_of(records.name(change)) for change in batch}
        for change in batch:
            self.ledger.written(change, revision, known, why)

    async def _transact(self, batch: Sequence[records.Write], lease: int) -> int:
        """Carries changes out in one transaction; gives its revision."""
        asked = [Get(self._claim.key)]
        asked += [get for change in batch for get in records.questions(change)]
        wanted = [
            step for change in batch for step in records.operations(change, self._held.keys, lease)
        ]
        conditions = [held_by(self._claim.key, lease)]
        conditions += [
            each for change in batch for each in records.conditions(change, self._held.keys)
        ]
        done = await self._etcd.transact(conditions, wanted, asked)
        if not done.succeeded:
            before = dict(self._held.keys)
            self._note([get.key for get in asked], done.results)
            changed = [get.key for get in asked if before.get(get.key) != self._held.keys[get.key]]
            raise Conflict(f"{', '.join(changed[:1]) or 'a key'} was changed by someone else")
        for step in wanted:
            if isinstance(step, Put):
                self._held.note(step.key, _put(step.key, step.value, lease, done.revision))
        for change in batch:
            if isinstance(change, Deregister):
                for name in records.both(change.key):
                    self._held.drop(name)
        return done.revision

    async def _read(self, keys: Iterable[str]) -> None:
        now = self._clock()
        for some in chunks([key for key in keys if not self.denials.bars(key, now)]):
            try:
                await self._read_some(some)
            except Rejected:
                for service, theirs in _by_service(some, str).items():
                    try:
                        await self._read_some(theirs)
                    except Rejected as error:
                        if not service:
                            raise
                        self._deny(service, error)

    async def _read_some(self, keys: Sequence[str]) -> None:
        done = await self._etcd.transact((), [Get(key) for key in keys])
        self._note(keys, done.results)

    def _deny(self, service: str, error: Rejected) -> None:
        if self.denials.note(service, str(error), self._clock()):
            self._events.emit("service denied", "error", service=service, why=str(error))

    def _note(self, keys: Iterable[str], results: Iterable[Result]) -> None:
        for key, found in zip(keys, results, strict=True):
            self._held.note(key, found if isinstance(found, KeyValue) else None)


def _by_service(items: Sequence[T], key: Callable[[T], str]) -> dict[str, list[T]]:
    found: defaultdict[str, list[T]] = defaultdict(list)
    for item in items:
        found[service_of(key(item))].append(item)
    return found


def _put(key: str, value: bytes, lease: int, revision: int) -> KeyValue:
    return KeyValue(
        key, value, create_revision=revision, mod_revision=revision, version=1, lease=lease
    )
