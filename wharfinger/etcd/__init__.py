"""The etcd session of a daemon: every call with a deadline, on a member that can answer it."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from wharfinger import certificate
from wharfinger.errors import Rejected, Unavailable
from wharfinger.etcd.connection import Connection
from wharfinger.etcd.faults import LeaseNotFound, RevisionGone, UsersOff
from wharfinger.etcd.members import probe, status_of
from wharfinger.etcd.messages import (
    AUTHENTICATE,
    EVERYTHING,
    GRANT,
    KEEP_ALIVE,
    RANGE,
    REVOKE,
    TIME_TO_LIVE,
    TRANSACT,
    WATCH,
    Codec,
    describe,
    rpc,
)
from wharfinger.etcd.session import Session
from wharfinger.etcd.streams import LeaseStream, WatchStream
from wharfinger.etcd.users import Users
from wharfinger.kv import (
    Compare,
    Count,
    Delete,
    DeletePrefix,
    EndpointStatus,
    Get,
    KeyRange,
    KeyValue,
    Lease,
    LeaseLife,
    Operation,
    Put,
    Snapshot,
    Transacted,
)
from wharfinger.sections import EtcdConfig

# etcd drops a write that comes while it elects a leader; the next one goes through.
TIMEOUT_SECONDS: Final = 3.0
# A page of large values takes its time.
PAGE_TIMEOUT_SECONDS: Final = 10.0
PAGE_KEYS: Final = 5_000
LIST_ATTEMPTS: Final = 3


class Etcd:
    """A session with an etcd cluster; keys are given and returned without `config.prefix`.

    It connects by itself, stays with one member while that one serves, and goes on to another
    when not. A read that meets a dead member is repeated on another; a write is not, since it
    may have been done: its caller looks, and plans anew.

    Every method raises Unavailable (back off and try again), Conflict (look again) or Rejected
    (it can never work), and nothing else of etcd's or gRPC's.

    Args:
        config: endpoints, prefix, user, TLS files.
        timeout_seconds: how long one call may take; a page of a list may take 10 s.
        page_keys: how many keys are listed in one call.
    """

    def __init__(
        self,
        config: EtcdConfig,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        page_keys: int = PAGE_KEYS,
    ) -> None:
        self.config = config
        self._timeout_seconds = timeout_seconds
        self._page_keys = page_keys
        self._codec = Codec(config.prefix)
        self._session = Session(
            config, probe=probe, authenticate=self._authenticate, timeout_seconds=timeout_seconds
        )

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Connects now, to learn whether that works; every call would do it as well.

        Raises:
            Unavailable: no endpoint serves; the message says of each why not.
        """
        await self._session.connection()

    async def close(self) -> None:
        """Ends every call and stream."""
        await self._session.close()

    @property
    def endpoint(self) -> str:
        """The member that it is connected to; empty when it is not."""
        return self._session.endpoint

    async def get(self, key: str, *, revision: int = 0) -> KeyValue | None:
        """The key now, or as it stood at `revision`; None where it did not exist.

        Raises:
            RevisionGone: that revision is compacted or not yet reached.
        """
        request = rpc.RangeRequest(key=self._codec.key(key), revision=revision)
        answer = await self._session.call(RANGE, request, f"get {key}", repeatable=True)
        return self._codec.kv(answer.kvs[0]) if answer.kvs else None

    async def list(self, prefix: str, *, revision: int = 0) -> Snapshot:
        """All keys that begin with `prefix`, at one revision, however many there are.

        Raises:
            RevisionGone: the revision asked for is compacted or not yet reached.
        """
        return await self.list_ranges([KeyRange.of_prefix(prefix)], revision=revision)

    async def list_ranges(self, ranges: Sequence[KeyRange], *, revision: int = 0) -> Snapshot:
        """All keys of several ranges, at one revision.

        Raises:
            RevisionGone: the revision asked for is compacted or not yet reached.
        """
        for attempt in range(1, LIST_ATTEMPTS + 1):
            try:
                return await self._listed(ranges, revision)
            except RevisionGone:
                # Compacted between two pages: the list begins anew at a later revision.
                if revision or attempt == LIST_ATTEMPTS:
                    raise
        raise AssertionError

    async def put(self, key: str, value: bytes, *, lease: int = 0) -> int:
        """Sets a key; gives the revision of that.

        Raises:
            LeaseNotFound: the lease has ended.
        """
        return (await self.transact((), (Put(key, value, lease),))).revision

    async def delete(self, key: str) -> int:
        """Deletes a key, if it exists; gives the store's revision after it."""
        return (await self.transact((), (Delete(key),))).revision

    async def delete_prefix(self, prefix: str) -> int:
        """Deletes all keys that begin with `prefix`; gives the store's revision after it."""
        return (await self.transact((), (DeletePrefix(prefix),))).revision

    async def transact(
        self,
        compare: Sequence[Compare],
        success: Sequence[Operation],
        failure: Sequence[Operation] = (),
        *,
        on: Connection | None = None,
    ) -> Transacted:
        """Does `success` if all conditions hold, else `failure`, at one revision.

        Args:
            compare: the conditions; none always hold.
            success: at most 100 operations; see `wharfinger.kv.chunks`.
            failure: likewise.
            on: asks the member at the end of that connection and no other.

        Raises:
            Unavailable: with writes it may have been done or not: look before trying again.
            LeaseNotFound: a lease has ended; nothing was done.
            RevisionGone: a read's revision is compacted or not yet reached; nothing was done.
        """
        request = rpc.TxnRequest(
            compare=[self._codec.compare(condition) for condition in compare],
            success=[self._codec.operation(operation) for operation in success],
            failure=[self._codec.operation(operation) for operation in failure],
        )
        reads = all(isinstance(step, Get | Count) for step in (*success, *failure))
        about = describe([*success, *failure])
        answer = await self._session.call(TRANSACT, request, about, repeatable=reads, on=on)
        branch = success if answer.succeeded else failure
        results = tuple(map(self._codec.result, branch, answer.responses))
        return Transacted(answer.succeeded, answer.header.revision, results)

    async def grant(self, ttl_seconds: int, lease_id: int = 0) -> Lease:
        """Makes a lease; without an id, etcd chooses one.

        Raises:
            Conflict: a lease of that id exists.
        """
        request = rpc.LeaseGrantRequest(TTL=ttl_seconds, ID=lease_id)
        answer = await self._session.call(GRANT, request, f"grant of {ttl_seconds} s")
        return Lease(answer.ID, answer.TTL)

    async def revoke(self, lease_id: int) -> None:
        """Ends a lease, and with it its keys; one that has ended already is fine."""
        request = rpc.LeaseRevokeRequest(ID=lease_id)
        with contextlib.suppress(LeaseNotFound):
            await self._session.call(REVOKE, request, f"revoke lease {lease_id:x}")

    async def time_to_live(self, lease_id: int, *, with_keys: bool = False) -> LeaseLife | None:
        """What etcd knows of a lease; None when it has ended.

        Args:
            lease_id: the lease.
            with_keys: names its keys, too; later etcds want a user who may read each of them.
        """
        request = rpc.LeaseTimeToLiveRequest(ID=lease_id, keys=with_keys)
        answer = await self._session.call(
            TIME_TO_LIVE, request, f"lease {lease_id:x}", repeatable=True
        )
        if answer.TTL < 0:
            return None
        keys = tuple(self._codec.own_key(key) for key in answer.keys if self._codec.is_own(key))
        return LeaseLife(answer.TTL, answer.grantedTTL, keys)

    async def watch_stream(self) -> WatchStream:
        """A stream for watches on the member that the session is connected to.

        Raises:
            Unavailable: no endpoint serves.
        """
        if self.config.username:
            # etcd 3.4 tells a watch whose token has expired `permission denied`: a read before
            # it has the token renewed.
            with contextlib.suppress(Rejected):
                request = rpc.RangeRequest(key=EVERYTHING, serializable=True)
                await self._session.call(RANGE, request, "token", repeatable=True)
        return WatchStream(self._session, self._codec, await self._session.exchange(WATCH, "watch"))

    async def lease_stream(self) -> LeaseStream:
        """A stream that keeps leases alive on the member that the session is connected to.

        Raises:
            Unavailable: no endpoint serves.
        """
        return LeaseStream(self._session, await self._session.exchange(KEEP_ALIVE, "lease"))

    @property
    def users(self) -> Users:
        """Its users and roles, for who may change them."""
        return Users(self._session)

    async def status(self) -> tuple[EndpointStatus, ...]:
        """Each configured endpoint as seen from here, asked all at once; never raises."""
        return tuple(
            await asyncio.gather(*(status_of(name, self.config) for name in self.config.endpoints))
        )

    async def _listed(self, ranges: Sequence[KeyRange], revision: int) -> Snapshot:
        items: dict[str, KeyValue] = {}
        for keys in ranges:
            start, end = self._codec.bounds(keys)
            more = True
            while more:
                request = rpc.RangeRequest(
                    key=start, range_end=end, revision=revision, limit=self._page_keys
                )
                about = f"list {keys.start}"
                page = await self._session.call(
                    RANGE, request, about, repeatable=True, timeout_seconds=PAGE_TIMEOUT_SECONDS
                )
                # The first page chooses the revision for all that follow.
                revision = revision or page.header.revision
                items.update((kv.key, kv) for kv in map(self._codec.kv, page.kvs))
                more = page.more
                start = page.kvs[-1].key + b"\0" if page.kvs else start
        return Snapshot(revision, items)

    async def _authenticate(self, connection: Connection) -> None:
        if not self.config.username or self.config.password_file is None:
            if self.config.cert_file is not None:
                # etcd takes the common name for the user, where it asks for certificates.
                path = self.config.cert_file
                connection.user = await asyncio.to_thread(certificate.common_name_of, path)
            return
        password = await asyncio.to_thread(_password, self.config.password_file)
        connection.user = self.config.username
        request = rpc.AuthenticateRequest(name=self.config.username, password=password)
        with contextlib.suppress(UsersOff):
            answer = await connection.call(
                AUTHENTICATE, request, timeout_seconds=self._timeout_seconds, plain=True
            )
            connection.token = answer.token


def _password(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"etcd.password_file {path} cannot be read: {error}") from error
    return lines[0] if lines else ""
