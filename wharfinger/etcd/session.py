"""A session with whichever member serves: connects, renews its token, moves on, tries again."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from wharfinger.errors import Unavailable
from wharfinger.etcd.connection import Connection, Exchange, Method
from wharfinger.etcd.dial import Dialer
from wharfinger.etcd.faults import Disconnected, TokenRefused
from wharfinger.sections import EtcdConfig

READ_ATTEMPTS: Final = 2

Step = Callable[[Connection], Awaitable[None]]


class Session:
    """Holds one connection and replaces it when it breaks, freezes or loses its leader.

    Args:
        config: where and as whom.
        probe: raises Unavailable if a connection's peer cannot serve.
        authenticate: sets the connection's user and token, where a user is configured.
        timeout_seconds: how long one call may take.
    """

    def __init__(
        self, config: EtcdConfig, *, probe: Step, authenticate: Step, timeout_seconds: float
    ) -> None:
        self._dialer = Dialer(config, probe)
        self._authenticate = authenticate
        self._timeout_seconds = timeout_seconds
        self._connection: Connection | None = None
        self._dialing: asyncio.Task[Connection] | None = None
        self._renewing = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def endpoint(self) -> str:
        """The member that it is connected to; empty when it is not."""
        return self._connection.endpoint if self._connection else ""

    async def connection(self) -> Connection:
        """The connection in use; made where there is none.

        Raises:
            Unavailable: no endpoint serves; the message says of each why not.
        """
        if self._connection is not None:
            if not self._connection.lost:
                return self._connection
            self.leave(self._connection)
        if self._dialing is None or self._dialing.done():
            self._dialing = asyncio.create_task(self._dial(), name="etcd dial")
            # Whoever waits hears of its failure; where nobody waits any more, nobody need.
            self._dialing.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            # All who wait share one attempt; one that is cancelled does not end it for the rest.
            return await asyncio.shield(self._dialing)
        except Unavailable as error:
            raise Unavailable(str(error)) from error

    def leave(self, connection: Connection) -> None:
        """Gives a connection up: its calls and streams end, the other members come first now."""
        if connection is self._connection:
            self._connection = None
        if not connection.retired:
            connection.retired = True
            self._dialer.avoid(connection.endpoint)
            task = asyncio.create_task(connection.close(), name="etcd close")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def call(
        self,
        method: Method,
        request: Any,
        about: str,
        *,
        repeatable: bool = False,
        on: Connection | None = None,
        timeout_seconds: float | None = None,
    ) -> Any:
        """One question, one answer.

        Args:
            method: makes the stub's method.
            request: its message.
            about: what it is about, for the error's message.
            repeatable: it only reads, so a broken connection means to ask another member.
            on: asks over that connection and no other.
            timeout_seconds: how long the answer may take; the session's own unless given.

        Raises:
            WharfingerError: what the caller can do about it (see `wharfinger.etcd.faults`).
        """
        attempts = READ_ATTEMPTS if repeatable and on is None else 1
        renewed = False
        timeout_seconds = timeout_seconds or self._timeout_seconds
        while True:
            connection = on or await self.connection()
            token = connection.token
            try:
                return await self._ask(connection, method, request, about, timeout_seconds)
            except TokenRefused:
                # etcd looks at the token before it does anything: even a write is safe to repeat.
                if renewed:
                    raise
                renewed = True
                await self._renew(connection, token)
            except Disconnected:
                attempts -= 1
                if not attempts:
                    raise

    async def exchange(self, method: Method, about: str) -> Exchange:
        """A stream over the connection in use.

        Raises:
            Unavailable: no endpoint serves.
        """
        connection = await self.connection()
        return Exchange(connection, method, about=about, timeout_seconds=self._timeout_seconds)

    async def close(self) -> None:
        """Ends every call and stream."""
        if self._dialing is not None:
            self._dialing.cancel()
            await asyncio.gather(self._dialing, return_exceptions=True)
        if self._connection is not None:
            self.leave(self._connection)
        await asyncio.gather(*self._closing)

    async def _ask(
        self,
        connection: Connection,
        method: Method,
        request: Any,
        about: str,
        timeout_seconds: float,
    ) -> Any:
        asked_at = time.monotonic()
        try:
            return await connection.call(
                method, request, timeout_seconds=timeout_seconds, about=about
            )
        except Disconnected:
            self.leave(connection)
            raise
        except Unavailable as error:
            # A slow answer to one call is no reason to break the streams beside it, unless
            # nothing else was heard either: then the member is frozen or cut off.
            if connection.heard_at >= asked_at:
                raise
            self.leave(connection)
            raise Disconnected(str(error)) from error

    async def _renew(self, connection: Connection, refused: str) -> None:
        async with self._renewing:
            # etcd hashes the password slowly on purpose: of many calls that find the token
            # refused at once, the first renews it for all.
            if connection.token == refused:
                await self._authenticate(connection)

    async def _dial(self) -> Connection:
        connection = await self._dialer.dial()
        try:
            await self._authenticate(connection)
        except BaseException:
            self._dialer.avoid(connection.endpoint)
            await connection.close()
            raise
        self._connection = connection
        return connection
