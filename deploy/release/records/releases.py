"""An environment's records in etcd: begun and ended under the lock, never changed after, kept."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from deploy.release.records.lock import Held, LockLost
from deploy.release.records.record import Numbered, Record, encode, folder, number_of, parse
from wharfinger.backoff import Backoff
from wharfinger.errors import Rejected, Unavailable
from wharfinger.etcd import Etcd
from wharfinger.keys import Service
from wharfinger.kv import Compare, Put, absent

_GONE: Final = "the lock was lost: the record is not ours to write any more"


class Releases:
    """Of one environment.

    Args:
        etcd: the session.
        service: application and environment.
        on_remark: told of what stands there and is no record.
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
        self._on_remark = on_remark

    async def history(self) -> tuple[Numbered, ...]:
        """All records, oldest first; what is none is left out, and remarked.

        Raises:
            Unavailable: etcd does not answer.
        """
        found = []
        for key, kv in (await self._etcd.list(self._folder)).items.items():
            try:
                found.append(Numbered(number_of(key), parse(kv.value)))
            except Rejected as error:
                self._on_remark(f"{key!a}: {error}")
        return tuple(sorted(found, key=lambda each: each.number))

    async def begin(self, held: Held, record: Record) -> Numbered:
        """Writes the record of what begins now.

        Raises:
            LockLost: the lock is another's.
            Unavailable: etcd does not answer; it may stand there as begun.
        """
        taken = [0]
        for key in (await self._etcd.list(self._folder)).items:
            with contextlib.suppress(Rejected):
                taken.append(number_of(key))
        numbered = Numbered(max(taken) + 1, record)
        await self._write(held, absent(self._key(numbered)), numbered)
        return numbered

    async def end(self, held: Held, begun: Numbered, ended: Record) -> None:
        """Writes how it ended, for as long as it takes etcd to answer; only a running one ends.

        Raises:
            LockLost: the lock is another's, or the record has ended already.
        """
        backoff = Backoff()
        key = self._key(begun)
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
            else:
                return
            await asyncio.sleep(backoff.next_delay_seconds())

    async def _write(self, held: Held, condition: Compare, numbered: Numbered) -> None:
        put = Put(self._key(numbered), encode(numbered.record))
        if not (await self._etcd.transact((held.condition, condition), (put,))).succeeded:
            raise LockLost(_GONE)

    def _key(self, numbered: Numbered) -> str:
        return f"{self._folder}{numbered.number}"
