"""Whose host this is, by its record in etcd: ours, nobody's, or perhaps another registrar's."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgspec

from wharfinger.kv import KeyValue
from wharfinger.metadata import HostRecord
from wharfinger.text import printable, shortened

# etcd, when it restarts or elects a leader, gives every lease its whole time again, once.
RENEWALS: Final = 2
# Who keeps a lease renews it every 5 s at the latest, and waits 2 s for an answer.
PROOF_SECONDS: Final = 15.0


class Standing(Enum):
    """What a host's record means for the registrar that reads it."""

    OURS = "ours"
    CLONED = "cloned"
    FOREIGN = "foreign"


def standing(record: KeyValue | None, leases: Collection[int], machine: str) -> Standing:
    """Judges the record of our host.

    Args:
        record: as it stands in etcd. One that hangs on no lease holds nothing.
        leases: the one that is kept, or was in the life before.
        machine: the mark of this machine since its boot.
    """
    if not foreign(record, leases):
        told = _read(record)
        if record is None or not record.lease or told is None or told.machine in ("", machine):
            return Standing.OURS
        # Our lease, put by another machine: before the reboot it was this one, or a copy of its
        # disk runs beside it.
        return Standing.CLONED
    return Standing.FOREIGN


def foreign(record: KeyValue | None, leases: Collection[int]) -> bool:
    """Whether another one's lease holds the record: it lives, or the record would be gone."""
    return record is not None and bool(record.lease) and record.lease not in leases


def holder(host: str, record: KeyValue | None) -> str:
    """Says who holds the host, for whoever has to stop one of the two."""
    told = _read(record)
    parts = [f"host {host} is held by another registrar"]
    if told is not None:
        parts += [f"address {told.ip}"] if told.ip else []
        parts += [f"machine {told.machine}"] if told.machine else []
        parts += [f"since {told.since}", f"version {told.version}"]
    parts += [f"lease {record.lease:x}"] if record is not None else []
    return printable(shortened(", ".join(parts), 500))


class Outcome(Enum):
    """What watching a lease has shown so far."""

    WAIT = "wait"
    FREE = "free"
    KEPT = "kept"


@dataclass(slots=True)
class Vigil:
    """Watches what is left of a lease: who keeps it renews it, and one left alone runs out.

    Attributes:
        lease: its id.
        until: when it counts as left alone although it still lives, in seconds of the clock.
        remaining_seconds: at the last look.
        renewals: how many were seen.
    """

    lease: int
    until: float = math.inf
    remaining_seconds: int | None = None
    renewals: int = 0

    def look(self, remaining_seconds: int | None, now: float) -> Outcome:
        """Takes one look in.

        Args:
            remaining_seconds: that etcd gives the lease; None when it has ended.
            now: seconds of the clock.
        """
        if remaining_seconds is None:
            return Outcome.FREE
        before, self.remaining_seconds = self.remaining_seconds, remaining_seconds
        if before is not None and remaining_seconds > before:
            self.renewals += 1
        if self.renewals >= RENEWALS:
            return Outcome.KEPT
        return Outcome.FREE if now >= self.until and not self.renewals else Outcome.WAIT


def _read(record: KeyValue | None) -> HostRecord | None:
    if record is None:
        return None
    try:
        return msgspec.json.decode(record.value, type=HostRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
