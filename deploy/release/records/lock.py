"""One rollout at a time in an environment: a lock in etcd that ends with whoever has it."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from deploy.release import warrant
from deploy.release.progress import Progress
from deploy.release.records.holder import Holder, read
from deploy.release.records.record import lock_key
from wharfinger.errors import Conflict, Unavailable, WharfingerError
from wharfinger.etcd import Etcd
from wharfinger.keys import Service
from wharfinger.kv import Compare, Delete, Put, absent, held_by, unchanged

TTL_SECONDS: Final = 15
PAUSE_SECONDS: Final = 3.0
POLL_SECONDS: Final = 0.5
# Whoever is told to stop needs a moment before another may begin.
MARGIN_SECONDS: Final = 1.0
LAST_WORDS_SECONDS: Final = 5.0
# Longer than whoever had it can keep it, an election of etcd's included: see `seize`.
SEIZED_SECONDS: Final = 4 * TTL_SECONDS

T = TypeVar("T")


class LockHeld(Conflict):
    """Another command changes this environment now."""


class LockLost(Unavailable):
    """The lock is another's, or may be by now: the work was stopped where it was."""


@dataclass(frozen=True, slots=True)
class Held:
    """The lock in hand.

    Attributes:
        key: where it stands.
        lease: that it hangs on, and no other lock ever did. An etcd that was set up anew counts
            revisions from 1, so the same may be another's.
    """

    key: str
    lease: int

    @property
    def condition(self) -> Compare:
        """Holds as long as nobody took or ended the lock: for whatever its holder writes."""
        return held_by(self.key, self.lease)


class Lock:
    """Of one environment.

    Args:
        etcd: the session.
        service: application and environment.
        holder: who we are.
        wait_seconds: how long another may have it before we give up.
        progress: told whom we wait for.
        ttl_seconds: how long it outlives us.
        clock: monotonic seconds, those that the machine slept included.
    """

    def __init__(
        self,
        etcd: Etcd,
        service: Service,
        holder: Holder,
        *,
        progress: Progress,
        wait_seconds: float = 0.0,
        ttl_seconds: int = TTL_SECONDS,
        clock: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    ) -> None:
        self._etcd = etcd
        self._key = lock_key(service)
        self._environment = service.env
        self._holder = holder
        self._progress = progress
        self._wait_seconds = wait_seconds
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._certain_until = 0.0

    async def hold(self, work: Callable[[Held], Awaitable[T]]) -> T:
        """Does the work while the lock is ours; cancels it as soon as that is no longer certain.

        A cancellation from outside reaches the work while the lock is still held, so that it can
        say how it ended.

        Raises:
            LockHeld: somebody else has it, and kept it for as long as we wait.
            LockLost: it was lost meanwhile.
            Unavailable: etcd does not answer.
        """
        held, ends_at = await self._take()
        self._certain_until = ends_at - MARGIN_SECONDS
        with warrant.given(self._require):
            working = asyncio.ensure_future(work(held))
        keeping = asyncio.create_task(self._keep(held))
        try:
            await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            why = keeping.result()
            await _cancelled(working, f"the lock was lost: {why}")
            if working.done() and not working.cancelled() and working.exception() is None:
                return working.result()
            raise LockLost(
                f"the lock was lost, and the work was stopped where it was: {why}\n  "
                f"what is up stays so: `deploy status {self._environment}` tells what runs; "
                "the same command again goes on"
            )
        except asyncio.CancelledError as stop:
            await _cancelled(working, *stop.args)
            raise
        finally:
            try:
                # Whatever ended the keeping of it, the work ends before it is freed.
                await _cancelled(working)
                await _cancelled(keeping)
            finally:
                await self._release(held)

    async def _take(self) -> tuple[Held, float]:
        give_up_at = self._clock() + self._wait_seconds
        told = False
        while True:
            asked_at = self._clock()
            try:
                kv = await self._etcd.get(self._key)
                held = await self._try() if kv is None else None
            except Unavailable:
                # Who waits for minutes does not give up for an etcd that elects a leader.
                if asked_at >= give_up_at:
                    raise
                await asyncio.sleep(POLL_SECONDS)
                continue
            if held is not None:
                return held, asked_at + self._ttl_seconds
            if kv is None:
                continue  # somebody else had it for a moment
            if self._clock() >= give_up_at:
                raise LockHeld(
                    f"{self._environment} is locked by {read(kv)}: --wait SECONDS waits for them "
                    f"(one that was killed leaves it within {self._ttl_seconds:g} s); "
                    f"if they hang: deploy unlock {self._environment}"
                )
            if not told:
                told = True
                self._progress.step(f"waiting for {read(kv)}")
            await asyncio.sleep(POLL_SECONDS)

    async def _try(self) -> Held | None:
        lease = await self._etcd.grant(self._ttl_seconds)
        put = Put(self._key, msgspec.json.encode(self._holder), lease.id)
        unanswered: Unavailable | None = None
        try:
            await self._etcd.transact((absent(self._key),), (put,))
        except Unavailable as error:
            unanswered = error
        # Whether it was done although no answer came, only a look can tell.
        kv = await self._etcd.get(self._key)
        if kv is not None and kv.lease == lease.id:
            return Held(self._key, lease.id)
        await self._etcd.revoke(lease.id)
        if kv is None and unanswered is not None:
            raise unanswered
        return None

    def _require(self) -> None:
        if self._clock() >= self._certain_until:
            raise LockLost("the lock may be another's by now: no further step is taken")

    async def _keep(self, held: Held) -> str:
        """Gives why the lock is not, or not for certain, ours any more."""
        trouble = ""
        while True:
            await asyncio.sleep(0.5 if trouble else PAUSE_SECONDS * self._ttl_seconds / TTL_SECONDS)
            asked_at = self._clock()
            left = self._certain_until - asked_at
            if left <= 0:
                return trouble or "this machine stood still for too long"
            try:
                async with asyncio.timeout(left):
                    ttl_seconds = await self._refresh(held)
            except (WharfingerError, TimeoutError) as error:
                if not trouble:
                    self._progress.step(f"etcd is away: the lock holds for {left:.0f} s more")
                trouble = str(error) or f"etcd did not answer for {self._ttl_seconds} s"
                continue
            if isinstance(ttl_seconds, str):
                return ttl_seconds
            if trouble:
                self._progress.step("etcd is back, and the lock is still ours")
            trouble, self._certain_until = "", asked_at + ttl_seconds - MARGIN_SECONDS

    async def _refresh(self, held: Held) -> int | str:
        stream = await self._etcd.lease_stream()
        try:
            left = await stream.refresh(held.lease, self._ttl_seconds / 5)
            kv = await self._etcd.get(self._key)
            if kv is not None and kv.lease != held.lease:
                return f"taken by {read(kv)}"
            if left <= 0:
                # A member that has just become leader may deny a lease that lives, until it has
                # answered a read.
                left = await stream.refresh(held.lease, self._ttl_seconds / 5)
            return left if left > 0 and kv is not None else "it has ended in etcd"
        finally:
            await stream.close()

    async def _release(self, held: Held) -> None:
        # A second interrupt must not leave it for its whole time.
        with contextlib.suppress(WharfingerError, TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await self._etcd.transact((held.condition,), (Delete(self._key),))
                await self._etcd.revoke(held.lease)


async def holder_of(etcd: Etcd, service: Service) -> Holder | None:
    """Who has the lock; nobody: None.

    Raises:
        Unavailable: etcd does not answer.
    """
    kv = await etcd.get(lock_key(service))
    return None if kv is None else read(kv)


async def seize(etcd: Etcd, service: Service, holder: Holder) -> Holder | None:
    """Takes the lock away from whoever has it, and ends it once that one must have stopped.

    Returns:
        Who had it; None where nobody did.

    Raises:
        Conflict: it changed hands meanwhile.
        Unavailable: etcd does not answer.
    """
    kv = await etcd.get(lock_key(service))
    if kv is None:
        return None
    lease = await etcd.grant(SEIZED_SECONDS)
    put = Put(kv.key, msgspec.json.encode(holder), lease.id)
    if not (await etcd.transact((unchanged(kv),), (put,))).succeeded:
        raise Conflict("the lock has just changed hands: look again")
    await _until_over(etcd, kv.lease)
    await etcd.revoke(lease.id)
    return read(kv)


async def _until_over(etcd: Etcd, lease_id: int) -> None:
    """Waits until the lease of a lock is over.

    Whoever had it ends it when the work has stopped. One whom etcd does not reach cannot, and
    works on until it must take the lease for over, which etcd lets end a little later.
    """
    give_up_at = time.monotonic() + SEIZED_SECONDS - TTL_SECONDS
    while lease_id and time.monotonic() < give_up_at:
        if await etcd.time_to_live(lease_id) is None:
            return
        await asyncio.sleep(POLL_SECONDS)


async def _cancelled(task: asyncio.Future[T], *why: object) -> None:
    """Cancels a task and waits until it has ended; how is its own matter.

    Whoever is interrupted meanwhile hurries it, and does not leave it alone: nobody may have the
    lock before it has ended.
    """
    hurried: asyncio.CancelledError | None = None
    while not task.done():
        task.cancel(*why)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as stop:
            hurried = stop
    if not task.cancelled():
        task.exception()
    if hurried is not None:
        raise hurried
