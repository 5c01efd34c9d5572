"""Streams of a session: watches of several ranges, and a lease kept alive."""

import time

from wharfinger.etcd.connection import Exchange
from wharfinger.etcd.faults import Disconnected
from wharfinger.etcd.messages import Codec, rpc
from wharfinger.etcd.session import Session
from wharfinger.kv import KeyRange, WatchAnswer


class WatchStream:
    """Watches of several ranges on one stream; a range is known by the number it was given."""

    def __init__(self, session: Session, codec: Codec, exchange: Exchange) -> None:
        self.connection = exchange.connection
        self._session = session
        self._codec = codec
        self._exchange = exchange

    async def create(self, watch_id: int, keys: KeyRange, start_revision: int) -> None:
        """Asks for every change from `start_revision` on; `receive` brings the confirmation."""
        start, end = self._codec.bounds(keys)
        request = rpc.WatchCreateRequest(
            watch_id=watch_id, key=start, range_end=end, start_revision=start_revision
        )
        await self._exchange.send(rpc.WatchRequest(create_request=request))

    async def ask_progress(self) -> None:
        """Asks for a sign of life, which `receive` brings."""
        request = rpc.WatchRequest(progress_request=rpc.WatchProgressRequest())
        await self._exchange.send(request)

    async def receive(self, timeout_seconds: float) -> WatchAnswer | None:
        """The next message, or None when none came in time.

        Raises:
            Unavailable: the stream broke; the session goes on to another member.
        """
        try:
            message = await self._exchange.receive(timeout_seconds)
        except Disconnected:
            self.give_up()
            raise
        return None if message is None else self._codec.watch_answer(message)

    def give_up(self) -> None:
        """Lets the session go on to another member."""
        self._session.leave(self.connection)

    async def close(self) -> None:
        """Ends the watches; the connection stays."""
        await self._exchange.close()


class LeaseStream:
    """Keeps leases alive on one stream."""

    def __init__(self, session: Session, exchange: Exchange) -> None:
        self._session = session
        self._exchange = exchange

    async def refresh(self, lease_id: int, timeout_seconds: float) -> int:
        """Starts the lease's time anew; gives its time to live in seconds, 0 when it has ended.

        Args:
            lease_id: the lease.
            timeout_seconds: how long the answer may take; twice that where others are answered.

        Raises:
            Unavailable: the stream broke or no answer came in time; the session goes on to
                another member, on another stream.
        """
        try:
            await self._exchange.send(rpc.LeaseKeepAliveRequest(ID=lease_id))
            return await self._answer(lease_id, timeout_seconds)
        except Disconnected:
            self._session.leave(self._exchange.connection)
            raise

    async def close(self) -> None:
        """Ends the stream; the lease lives on for its time, and the connection stays."""
        await self._exchange.close()

    async def _answer(self, lease_id: int, timeout_seconds: float) -> int:
        asked_at = time.monotonic()
        for patience in (1, 2):
            deadline = asked_at + patience * timeout_seconds
            while (left := deadline - time.monotonic()) > 0:
                answer = await self._exchange.receive(left)
                if answer is not None and lease_id == answer.ID:
                    return int(answer.TTL)
            # One that answers others is slow, not gone: a thousand hosts that dialled anew, and
            # began anew with all that was under way, would make it slower still.
            if self._exchange.connection.heard_at < asked_at:
                break
        endpoint = self._exchange.connection.endpoint
        raise Disconnected(f"etcd {endpoint} (lease {lease_id:x}): it did not answer in time")
