"""What this host tells of itself in etcd: written anew only when there is something to tell."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from registrar.ofhost import OfHost
from wharfinger import __version__, hostrecord
from wharfinger.health import Health, HealthReport
from wharfinger.hostrecord import RegistrarRecord

# A check that is red for moments is no news to the whole cluster.
UNHEALTHY_TOLD_AFTER_SECONDS: Final = 10.0
# Who is left out, and which checks are red, changes with every container that comes or goes.
NEWS_SECONDS: Final = 5.0
# Reasons count seconds and bytes: that they say something else is hardly news.
WORDS_SECONDS: Final = 60.0


class OwnRecord:
    """The record of this host's registrar; called with the value that stands in etcd.

    Args:
        health: whether all is well.
        ip: gives the host's address.
        machine: the mark of this machine since its boot.
        started_at: when this life began, Unix time in seconds.
        of_host: gives what there is to tell of the host.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        health: Health,
        *,
        ip: Callable[[], str],
        machine: str,
        started_at: float,
        of_host: Callable[[], OfHost] = OfHost,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._health = health
        self._ip = ip
        self._machine = machine
        self._began = datetime.fromtimestamp(started_at, UTC).isoformat(timespec="seconds")
        self._of_host = of_host
        self._clock = clock
        self._unhealthy_since: float | None = clock()
        self._written_at = float("-inf")

    def __call__(self, before: bytes | None) -> bytes:
        """What is to stand there.

        Args:
            before: what stands there; None for nothing.
        """
        report = self._health.report()
        if report.healthy:
            self._unhealthy_since = None
        elif self._unhealthy_since is None:
            self._unhealthy_since = self._clock()
        held = _read(before)
        record = self._record(report, held)
        if before is not None and not self._is_news(record, held):
            return before
        value = hostrecord.encode(record)
        if value != before:
            self._written_at = self._clock()
        return value

    def _record(self, report: HealthReport, held: RegistrarRecord | None) -> RegistrarRecord:
        of_host = self._of_host()
        record = RegistrarRecord(
            version=__version__,
            # After a restart what stands there: it is not put again, and no watcher hears of it.
            since=held.since if held and held.version == __version__ else self._began,
            health="healthy" if report.healthy else "unhealthy",
            ip=self._ip(),
            machine=self._machine,
            troubles=hostrecord.troubles((c.name, c.why) for c in report.checks if not c.healthy),
            drained=of_host.drained,
            drains=of_host.drains,
            unregistered=of_host.unregistered,
            beside=dict(of_host.beside),
        )
        if held is not None and not report.healthy and not self._lasts():
            return msgspec.structs.replace(record, health=held.health, troubles=held.troubles)
        return record

    def _is_news(self, record: RegistrarRecord, held: RegistrarRecord | None) -> bool:
        if held is None or _at_once(record) != _at_once(held):
            return True
        age = self._clock() - self._written_at
        return age >= WORDS_SECONDS or (age >= NEWS_SECONDS and _soon(record) != _soon(held))

    def _lasts(self) -> bool:
        since = self._unhealthy_since
        return since is not None and self._clock() - since >= UNHEALTHY_TOLD_AFTER_SECONDS


def _read(value: bytes | None) -> RegistrarRecord | None:
    try:
        return msgspec.json.decode(value or b"", type=RegistrarRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _at_once(record: RegistrarRecord) -> tuple[Any, ...]:
    """What others act by; drains as far as they fit into a record."""
    told = _read(hostrecord.encode(record)) or record
    drains = [(each.key, each.name) for each in told.drains]
    return told.version, told.health, told.ip, told.machine, told.drained, drains


def _soon(record: RegistrarRecord) -> tuple[Any, ...]:
    """What is told in a while: what it is about, not in which words."""
    told = _read(hostrecord.encode(record)) or record
    beside = {name: (b.health, b.version, _about(b.troubles)) for name, b in told.beside.items()}
    return _about(told.troubles), {each.name for each in told.unregistered}, beside


def _about(troubles: tuple[str, ...]) -> set[str]:
    return {each.partition(":")[0] for each in troubles}
