"""One gRPC channel to one etcd member: its options, its calls and streams, its failures."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

# grpc-core reads both once, when it is loaded. Handshakes it writes on stderr in lines of its own;
# our errors say the same in words.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
# Its fork handlers run in the child of every fork, uvloop's subprocesses included, and crash one
# in ten of those before they become the command. Nothing here uses gRPC in a forked child.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import grpc

from wharfinger.errors import WharfingerError
from wharfinger.etcd.faults import Circumstances, Disconnected, connection_problem, fault, is_answer

CHANNEL_OPTIONS: Final = (
    # A silent peer is asked after 2.5 s and given up 2 s later. grpc-core obeys the second only
    # through ping_timeout_ms. etcd answers pings closer than 5 s apart with GOAWAY
    # (--grpc-keepalive-min-time), except after data of its own: every stream that is kept open
    # here brings an answer within 5 s.
    ("grpc.keepalive_time_ms", 2_500),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.http2.ping_timeout_ms", 2_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 500),
    # 60,000 small keys are more than the default of 4 MB.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Without it a new channel inherits the back-off, or the frozen socket, of the one given up.
    ("grpc.use_local_subchannel_pool", 1),
    # etcd is in the same site; a proxy in the environment is for elsewhere.
    ("grpc.enable_http_proxy", 0),
    ("grpc.service_config_disable_resolution", 1),
)


# Makes one method of a stub over a channel.
Method = Callable[[grpc.aio.Channel], Any]


class Connection:
    """One channel; every failure on it comes as an error of `wharfinger.errors`.

    Attributes:
        endpoint: HOST:PORT.
        channel: what stubs are made over.
        user: that `token` is of; empty for none.
        token: sent with every call; empty for none.
        heard_at: when anything last came over it, in monotonic seconds.
        retired: whether it was given up; its calls and streams end with Disconnected.
    """

    def __init__(self, endpoint: str, channel: grpc.aio.Channel) -> None:
        self.endpoint = endpoint
        self.channel = channel
        self.user = ""
        self.token = ""
        self.heard_at = time.monotonic()
        self.retired = False
        self._methods: dict[Method, Any] = {}

    @property
    def lost(self) -> bool:
        """Whether it was given up, or its socket has broken since it was made."""
        return self.retired or self.channel.get_state() is not grpc.ChannelConnectivity.READY

    async def call(
        self,
        method: Method,
        request: Any,
        *,
        timeout_seconds: float,
        about: str = "",
        plain: bool = False,
    ) -> Any:
        """One question, one answer.

        Args:
            method: makes the stub's method.
            request: its message.
            timeout_seconds: how long the answer may take.
            about: what it is about, for the error's message.
            plain: sends neither the token nor the wish that a member without a leader shall say
                so at once instead of waiting.

        Raises:
            WharfingerError: what the caller can do about it (see `wharfinger.etcd.faults`).
        """
        with self.translating(about):
            answer = await self.stub(method)(
                request, timeout=timeout_seconds, metadata=() if plain else self.metadata()
            )
        self.heard_at = time.monotonic()
        return answer

    def stub(self, method: Method) -> Any:
        """The method over this channel; made once."""
        if method not in self._methods:
            self._methods[method] = method(self.channel)
        return self._methods[method]

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call (etcd: api/v3rpc/rpctypes/metadatafields.go)."""
        leader = ("hasleader", "true")
        return (leader, ("token", self.token)) if self.token else (leader,)

    @contextlib.contextmanager
    def translating(self, about: str = "") -> Iterator[None]:
        """Turns gRPC's errors inside the block into ours."""
        where = Circumstances(self.endpoint, self.user, about)
        try:
            yield
        except grpc.aio.AioRpcError as error:
            if is_answer(error.details() or ""):
                self.heard_at = time.monotonic()
            raise fault(error.code(), error.details() or "", where) from error
        except (grpc.aio.BaseError, asyncio.InvalidStateError) as error:
            raise Disconnected(f"etcd {self.endpoint}: {connection_problem(str(error))}") from error
        except asyncio.CancelledError:
            # Closing a channel cancels its calls, which looks like a cancellation of ourselves.
            task = asyncio.current_task()
            if self.retired and task is not None and not task.cancelling():
                raise Disconnected(f"etcd {self.endpoint}: was given up") from None
            raise

    async def close(self) -> None:
        """Ends every call and stream on it."""
        self.retired = True
        await self.channel.close()


class Exchange:
    """A stream in both directions, read with a time limit that does not break it.

    Args:
        connection: that it lives on.
        method: makes the stub's method.
        about: what it is about, for messages.
        timeout_seconds: how long a message may take to be sent.
    """

    def __init__(
        self, connection: Connection, method: Method, *, about: str, timeout_seconds: float
    ) -> None:
        self.connection = connection
        self._about = about
        self._timeout_seconds = timeout_seconds
        self._call = connection.stub(method)(metadata=connection.metadata())
        self._reading: asyncio.Task[Any] | None = None

    async def send(self, request: Any) -> None:
        """Sends one message.

        Raises:
            WharfingerError: the stream has ended, or the peer takes nothing more.
        """
        if self._call.done():
            # It broke while nobody read; writing would only say that it has ended, not why.
            raise await self._ending()
        with self.connection.translating(self._about):
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    await self._call.write(request)
            except TimeoutError:
                endpoint = self.connection.endpoint
                raise Disconnected(f"etcd {endpoint}: it takes no more messages") from None

    async def receive(self, timeout_seconds: float) -> Any | None:
        """The next message, or None when none came in time; the stream stays good then.

        Raises:
            WharfingerError: the stream has ended.
        """
        if self._reading is None:
            self._reading = asyncio.create_task(self._call.read())
        await asyncio.wait({self._reading}, timeout=timeout_seconds)
        if not self._reading.done():
            return None
        reading, self._reading = self._reading, None
        with self.connection.translating(self._about):
            message = reading.result()
            if message is grpc.aio.EOF:
                raise await self._ending()
        self.connection.heard_at = time.monotonic()
        return message

    async def close(self) -> None:
        """Ends the stream; the connection stays."""
        self._call.cancel()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _ending(self) -> WharfingerError:
        code, details = await self._call.code(), await self._call.details()
        where = Circumstances(self.connection.endpoint, self.connection.user, self._about)
        if code is grpc.StatusCode.OK:
            return Disconnected(f"etcd {where.endpoint}: it ended the stream")
        return fault(code, details or "", where)


def channel_to(endpoint: str, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    """A channel that connects at its first call; without credentials, in plain text."""
    # The scheme is written out: grpc would take the host name in `etcd1:2379` for one. One
    # channel an endpoint keeps each server's own name in the TLS check.
    target, options = f"dns:///{endpoint}", list[tuple[str, Any]](CHANNEL_OPTIONS)
    if credentials is None:
        return grpc.aio.insecure_channel(target, options)
    return grpc.aio.secure_channel(target, credentials, options)
