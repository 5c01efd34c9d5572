"""An environment's records in etcd: begun and ended under the lock, never changed after, kept."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from deploy.release.records.holder import Holder, read
from deploy.release.records.lock import Held, LockLost
from deploy.release.records.record import (
    MAX_NUMBER,
    Numbered,
    Record,
    encode,
    folder,
    lock_key,
    number_of,
    parse,
)
from wharfinger.backoff import Backoff
from wharfinger.errors import Rejected, Unavailable
from wharfinger.etcd import Etcd
from wharfinger.keys import Service
from wharfinger.kv import Compare, KeyRange, KeyValue, Put, absent

_GONE: Final = "the lock was lost: the record is not ours to write any more"


@dataclass(frozen=True, slots=True)
class Seen:
    """What etcd holds of an environment at one moment.

    Attributes:
        history: all records, oldest first.
        holder: who changes it; None for nobody.
    """

    history: tuple[Numbered, ...]
    holder: Holder | None


class Releases:
    """Of one environment.

    Args:
        etcd: the session.
        service: application and environment.
        on_remark: told of what stands there and is no record, and for what etcd is waited for.
    """

    def __init__(
        self,
        etcd: Etcd,
        service: Service,
        *,
        on_remark: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._etcd = etcd
        self._folder = folder(service)
        self._lock_key = lock_key(service)
        self._on_remark = on_remark

    async def history(self) -> tuple[Numbered, ...]:
        """All records, oldest first; what is none is left out, and remarked.

        Raises:
            Unavailable: etcd does not answer.
        """
        return self._read((await self._etcd.list(self._folder)).items)

    async def seen(self) -> Seen:
        """All records, as of `history`, and who has the lock.

        Asked for one after the other, a rollout that ends between them would look cut off: its
        record as it was before, its lock as it is after.

        Raises:
            Unavailable: etcd does not answer.
        """
        records, lock = KeyRange.of_prefix(self._folder), self._lock_key
        items = dict((await self._etcd.list_ranges([records, KeyRange(lock, f"{lock}\0")])).items)
        held = items.pop(lock, None)
        return Seen(self._read(items), None if held is None else read(held))

    async def begin(self, held: Held, record: Record) -> Numbered:
        """Writes the record of what begins now.

        Raises:
            LockLost: the lock is another's.
            Unavailable: etcd does not answer; it may stand there as begun.
            Rejected: somebody has put a record of the last number.
        """
        taken = [0]
        for key in (await self._etcd.list(self._folder)).items:
            with contextlib.suppress(Rejected):
                taken.append(number_of(key, self._folder))
        numbered = Numbered(max(taken) + 1, record)
        if numbered.number > MAX_NUMBER:
            raise Rejected(f"{self._folder}{max(taken)} leaves no further number: delete it")
        await self._write(held, absent(self._key(numbered)), numbered)
        return numbered

    async def end(self, held: Held, begun: Numbered, ended: Record) -> None:
        """Writes how it ended, for as long as it takes etcd to answer; only a running one ends.

        Raises:
            LockLost: the lock is another's, or the record has ended already.
        """
        backoff = Backoff()
        key = self._key(begun)
        told = False
        while True:
            try:
                kv = await self._etcd.get(key)
                if kv is None or parse(kv.value).state != "running":
                    if kv is not None and kv.value == encode(ended):
                        return  # no answer came to the write that did it
                    raise LockLost(_GONE)
                same = Compare(key, "mod_revision", "==", kv.mod_revision)
                await self._write(held, same, Numbered(begun.number, ended))
            except Unavailable as error:
                if isinstance(error, LockLost):
                    raise
                if not told:
                    self._on_remark(f"how it ended is not on record yet: {error}: tried again")
                told = True
            else:
                return
            await asyncio.sleep(backoff.next_delay_seconds())

    def _read(self, items: Mapping[str, KeyValue]) -> tuple[Numbered, ...]:
        found = []
        for key, kv in items.items():
            try:
                found.append(Numbered(number_of(key, self._folder), parse(kv.value)))
            except Rejected as error:
                self._on_remark(f"{key!a}: {error}")
        return tuple(sorted(found, key=lambda each: each.number))

    async def _write(self, held: Held, condition: Compare, numbered: Numbered) -> None:
        put = Put(self._key(numbered), encode(numbered.record))
        if not (await self._etcd.transact((held.condition, condition), (put,))).succeeded:
            raise LockLost(_GONE)

    def _key(self, numbered: Numbered) -> str:
        return f"{self._folder}{numbered.number}"
