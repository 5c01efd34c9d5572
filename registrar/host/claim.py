"""Makes sure, by the host's record in etcd, that no other machine's registrar has this host."""

import asyncio
import hashlib
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Never

from registrar.host.tenure import PROOF_SECONDS, Outcome, Standing, Vigil, foreign, holder, standing
from wharfinger.errors import Unavailable, WharfingerError
from wharfinger.etcd import Etcd
from wharfinger.kv import KeyValue
from wharfinger.lease import SavedLease

LOOK_SECONDS: Final = 0.5
SILENCE_SECONDS: Final = 2.0
MARK_CHARACTERS: Final = 8
FIX: Final = "stop one of the two, or give one another host.name"


class Held(Unavailable):
    """Another registrar, which lives, has this host."""


class Doubtful(Unavailable):
    """Another registrar may have this host: its lease has not yet ended."""


class Claim:
    """Looks whose the host is, without writing anything.

    Args:
        etcd: the session.
        host: this host's name.
        key: where the record stands.
        saved: the lease of the life before; None where there is none.
        clock: monotonic seconds.
        machine: the mark of this machine since its boot.

    Attributes:
        key: where the record stands.
        machine: as given.
    """

    def __init__(
        self,
        etcd: Etcd,
        *,
        host: str,
        key: str,
        saved: SavedLease | None,
        clock: Callable[[], float] = time.monotonic,
        machine: str | None = None,
    ) -> None:
        self.key = key
        self.machine = machine_mark() if machine is None else machine
        self._etcd = etcd
        self._host = host
        self._clock = clock
        of_this_host = saved is not None and saved.owner == host
        self._leases = {int(saved.lease, 16)} if saved is not None and of_this_host else set[int]()
        self._vigil: Vigil | None = None

    async def settle(self, tell: Callable[[str], None]) -> None:
        """Waits until nobody else has this host, or etcd is too silent to ask.

        Args:
            tell: is told why it waits.

        Raises:
            Held: another registrar has it.
        """
        silent_at = self._clock() + SILENCE_SECONDS
        while True:
            try:
                async with asyncio.timeout(max(LOOK_SECONDS, silent_at - self._clock())):
                    return await self.look()
            except Held:
                raise
            except Doubtful as doubt:
                tell(str(doubt))
                remaining = self._vigil.remaining_seconds if self._vigil else None
                silent_at = self._clock() + (remaining or 0) + SILENCE_SECONDS
            except (WharfingerError, TimeoutError) as error:
                # Containers are given their ports with etcd away; before anything is written
                # there, `look` is asked again.
                if self._clock() >= silent_at:
                    return tell(str(error) or "etcd is silent")
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """One look; returns when the host is ours or nobody's.

        Raises:
            Doubtful: that is not sure yet; look again.
            Held: it is another one's.
            Unavailable: etcd does not answer.
        """
        record = await self._etcd.get(self.key)
        match standing(record, self._leases, self.machine):
            case Standing.OURS:
                return
            case Standing.CLONED:
                patience = PROOF_SECONDS
            case Standing.FOREIGN:
                patience = math.inf
        assert record is not None  # noqa: S101 - what does not exist is nobody's
        if self._vigil is None or self._vigil.lease != record.lease:
            self._vigil = Vigil(record.lease, self._clock() + patience)
        life = await self._etcd.time_to_live(record.lease)
        remaining = None if life is None else life.remaining_seconds
        outcome = self._vigil.look(remaining, self._clock())
        if outcome is Outcome.KEPT:
            self._refuse(record)
        if outcome is Outcome.WAIT:
            left = f"{remaining} s" if remaining else "no time"
            raise Doubtful(
                f"{holder(self._host, record)}: waiting whether it lives, its lease has {left} left"
            )

    def require(self, record: KeyValue | None, lease: int) -> None:
        """Makes sure that the record is still not another one's.

        Args:
            record: as it was last read.
            lease: that of this host.

        Raises:
            Held: it is another one's: that one got in first, and keeps the host.
        """
        # One that was given up for lost, and lives after all, is no other registrar's.
        self._leases.add(lease)
        if record is not None and foreign(record, self._leases):
            self._refuse(record)

    def _refuse(self, record: KeyValue) -> Never:
        raise Held(f"{holder(self._host, record)}: {FIX}")


def machine_mark(
    machine_id: Path = Path("/etc/machine-id"),
    boot_id: Path = Path("/proc/sys/kernel/random/boot_id"),
) -> str:
    """Tells machines, and boots of one machine, apart; a copy of a disk may share the first half.

    machine-id(5) asks that the id itself be kept to the machine.
    """
    return ".".join(map(_digest, (machine_id, boot_id)))


def _digest(path: Path) -> str:
    try:
        content = path.read_bytes().strip()
    except OSError:
        content = b""
    return hashlib.sha256(b"wharfinger\0" + content).hexdigest()[:MARK_CHARACTERS]
