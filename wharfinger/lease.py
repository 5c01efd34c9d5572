"""The one lease of a host: taken up after a restart, kept on one stream, never lost unseen."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Never

import msgspec

from wharfinger.backoff import Backoff
from wharfinger.errors import WharfingerError
from wharfinger.etcd import Etcd
from wharfinger.etcd.streams import LeaseStream
from wharfinger.files import write_atomically
from wharfinger.keys import host_key

# etcd counts pings that come without any answer of its own in between as abuse; a lease of
# a minute would otherwise leave its stream without one for too long.
LONGEST_PAUSE_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 2.0


class SavedLease(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is on disk, so that a restart takes the lease up.

    Attributes:
        lease: its id in etcd, in hexadecimal.
        ttl_seconds: as it was asked for.
        owner: the host that it is of: a copied disk must not make two hosts share one lease.
    """

    lease: str
    ttl_seconds: int
    owner: str


@dataclass(frozen=True, slots=True)
class Term:
    """A lease as this host knows it.

    Attributes:
        lease_id: in etcd; 0 before the first.
        ends_at: when etcd may let it end, in seconds of the clock that it was made with.
    """

    lease_id: int = 0
    ends_at: float = 0.0

    def renewed(self, asked_at: float, ttl_seconds: float) -> "Term":
        """After a refresh; etcd began to count between the question and the answer."""
        return Term(self.lease_id, asked_at + ttl_seconds)

    def remaining_seconds(self, now: float) -> float:
        """How long it lives for certain; 0 when it may have ended."""
        return max(0.0, self.ends_at - now)


class HostLease:
    """Keeps a lease; its owner puts keys on `id`, and again whenever that changes.

    Args:
        etcd: the session.
        ttl_seconds: how long the keys shall outlive this host.
        path: file that the lease's id is kept in.
        owner: this host's name.
        on_lost: called by `keep` once for each lease that was lost, when there is another to be had
            and before anything can be put on it.
        on_change: called by `keep` with the new id after a lease was lost: its keys are gone,
            put everything again.
        on_alive: called at each refresh; feed a health check.
        on_trouble: called with the reason when the lease cannot be refreshed or was lost.
        clock: monotonic seconds.
        backoff: of the attempts.
    """

    def __init__(
        self,
        etcd: Etcd,
        *,
        ttl_seconds: int,
        path: Path,
        owner: str,
        on_lost: Callable[[], None] = lambda: None,
        on_change: Callable[[int], None] = lambda _lease_id: None,
        on_alive: Callable[[], None] = lambda: None,
        on_trouble: Callable[[str], None] = lambda _why: None,
        clock: Callable[[], float] = time.monotonic,
        backoff: Backoff | None = None,
    ) -> None:
        self._etcd = etcd
        self._ttl_seconds = ttl_seconds
        self._path = path
        self._owner = owner
        self._on_lost = on_lost
        self._on_change = on_change
        self._on_alive = on_alive
        self._on_trouble = on_trouble
        self._clock = clock
        self._backoff = backoff or Backoff(first_seconds=0.1, cap_seconds=1.0)
        self._term = Term()
        self._doubted = asyncio.Event()
        self._unsaved = ""

    @property
    def id(self) -> int:
        """The lease's id in etcd; 0 before `ensure`."""
        return self._term.lease_id

    def remaining_seconds(self) -> float:
        """How long the lease lives for certain, by this host's own clock; 0: perhaps lost."""
        return self._term.remaining_seconds(self._clock())

    async def ensure(self) -> int:
        """Takes up the lease of the life before if it still lives, else makes one; gives its id.

        Raises:
            Unavailable: etcd cannot be asked; what lives there goes on living.
        """
        saved = await asyncio.to_thread(load, self._path)
        if saved is not None and (saved.ttl_seconds, saved.owner) == (
            self._ttl_seconds,
            self._owner,
        ):
            self._term = Term(int(saved.lease, 16))
            async with self._stream() as stream:
                # Asking for its remaining time would leave it to end right after the answer.
                if await self._refresh(stream):
                    return self.id
        await self._grant()
        return self.id

    async def keep(self) -> Never:
        """Refreshes the lease for ever; call `ensure` before."""
        while True:
            try:
                async with self._stream() as stream:
                    while True:
                        await self._keep_once(stream)
                        await self._pause()
            except WharfingerError as error:
                self._on_trouble(self._describe(error))
            await asyncio.sleep(self._backoff.next_delay_seconds())

    def doubt(self) -> None:
        """Has the lease looked at now: etcd refused a put because it did not find the lease."""
        self._doubted.set()

    async def revoke(self) -> None:
        """Ends the lease, and with it all keys on it; `keep` must have been cancelled.

        Raises:
            Unavailable: etcd cannot be asked; the lease ends by itself after its time.
        """
        lease_id, self._term = self._term.lease_id, Term()
        with contextlib.suppress(FileNotFoundError):
            await asyncio.to_thread(self._path.unlink)
        if lease_id:
            await self._etcd.revoke(lease_id)

    async def _keep_once(self, stream: LeaseStream) -> None:
        if not await self._refresh(stream) and not await self._still_lives(stream):
            lost = self.id
            self._on_trouble(f"lease {lost:x} was lost: its keys are gone, putting them again")
            await self._grant(self._on_lost)
            self._on_change(self.id)
        self._backoff.reset()
        if self._unsaved:
            await self._save()
        if self._unsaved:
            self._on_trouble(self._unsaved)
        else:
            self._on_alive()

    async def _still_lives(self, stream: LeaseStream) -> bool:
        # A member that has just become leader may not have applied all that it holds, and then
        # denies a lease that lives. A read waits until it has (etcd: ReadIndex).
        await self._etcd.get(host_key(self._owner, "lease"))
        return await self._refresh(stream)

    async def _refresh(self, stream: LeaseStream) -> bool:
        asked_at = self._clock()
        ttl_seconds = await stream.refresh(self.id, min(ANSWER_SECONDS, self._ttl_seconds / 5))
        if ttl_seconds > 0:
            self._term = self._term.renewed(asked_at, ttl_seconds)
        return ttl_seconds > 0

    async def _grant(self, granted: Callable[[], None] = lambda: None) -> None:
        asked_at = self._clock()
        lease = await self._etcd.grant(self._ttl_seconds, secrets.randbits(62) + 1)
        # Not before: an etcd that is full grants none, and is asked again each second.
        granted()
        self._term = Term(lease.id).renewed(asked_at, lease.ttl_seconds)
        await self._save()

    async def _save(self) -> None:
        saved = SavedLease(f"{self.id:x}", self._ttl_seconds, self._owner)
        try:
            await asyncio.to_thread(save, self._path, saved)
        except OSError as error:
            # A full disk must not take this host's instances out of etcd.
            self._unsaved = f"{self._path}: {error.strerror}: a restart will make a new lease"
        else:
            self._unsaved = ""

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(self._ttl_seconds / 3, LONGEST_PAUSE_SECONDS)):
                await self._doubted.wait()
        self._doubted.clear()

    @contextlib.asynccontextmanager
    async def _stream(self) -> AsyncIterator[LeaseStream]:
        stream = await self._etcd.lease_stream()
        try:
            yield stream
        finally:
            await stream.close()

    def _describe(self, error: Exception) -> str:
        left = self.remaining_seconds()
        state = f"ends in {left:.0f} s" if left else "may have ended"
        return f"lease {self.id:x} {state}: {error}"


def load(path: Path) -> SavedLease | None:
    """The lease of the life before; None where there is none that makes sense."""
    try:
        saved = msgspec.json.decode(path.read_bytes(), type=SavedLease)
        return saved if 0 < int(saved.lease, 16) < 2**63 else None
    except (OSError, ValueError):
        return None


def save(path: Path, saved: SavedLease) -> None:
    """Keeps it over a crash.

    Raises:
        OSError: it is not on disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, msgspec.json.encode(saved))
