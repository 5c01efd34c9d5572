"""What this host tells of itself in etcd: written anew only when there is something to tell."""

import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from wharfinger import __version__
from wharfinger.health import Health
from wharfinger.metadata import HostRecord

# A check that is red for moments is no news to the whole cluster.
UNHEALTHY_TOLD_AFTER_SECONDS: Final = 10.0


class OwnRecord:
    """The record of this host's registrar; called with the value that stands in etcd.

    Args:
        health: whether all is well.
        ip: gives the host's address.
        machine: the mark of this machine since its boot.
        started_at: when this life began, Unix time in seconds.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        health: Health,
        *,
        ip: Callable[[], str],
        machine: str,
        started_at: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._health = health
        self._ip = ip
        self._machine = machine
        self._began = datetime.fromtimestamp(started_at, UTC).isoformat(timespec="seconds")
        self._clock = clock
        self._unhealthy_since: float | None = clock()

    def __call__(self, before: bytes | None) -> bytes:
        """What is to stand there.

        Args:
            before: what stands there; None for nothing.
        """
        healthy = self._health.report().healthy
        if healthy:
            self._unhealthy_since = None
        elif self._unhealthy_since is None:
            self._unhealthy_since = self._clock()
        if before and not healthy and not self._lasts():
            return before
        health: Literal["healthy", "unhealthy"] = "healthy" if healthy else "unhealthy"
        return msgspec.json.encode(
            HostRecord(
                version=__version__,
                since=self._since(before),
                health=health,
                ip=self._ip(),
                machine=self._machine,
            )
        )

    def _lasts(self) -> bool:
        since = self._unhealthy_since
        return since is not None and self._clock() - since >= UNHEALTHY_TOLD_AFTER_SECONDS

    def _since(self, before: bytes | None) -> str:
        """After a restart what stands there: it is not put again, and no watcher hears of it."""
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            held = msgspec.json.decode(before or b"", type=HostRecord)
            if held.version == __version__:
                return held.since
        return self._began
