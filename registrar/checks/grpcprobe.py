"""The gRPC health protocol: one call of grpc.health.v1.Health/Check on a channel of its own."""

import asyncio
import contextlib
import os
import secrets
import ssl
from collections.abc import AsyncIterator
from typing import Final

import wharfinger.etcd  # noqa: F401  before grpc: it turns gRPC's fork handlers off for good

# isort: split
import grpc

from registrar.checks.model import Answer, Check, Target, shown
from wharfinger.errors import Rejected
from wharfinger.peercred import of_peer

METHOD: Final = "/grpc.health.v1.Health/Check"
OPTIONS: Final = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
    # Without it a channel would inherit the back-off of an earlier one.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 4_096),
    ("grpc.max_metadata_size", 8_192),
    ("grpc.primary_user_agent", "wharfinger-check"),
)
CHUNK_BYTES: Final = 16_384
SERVING: Final = 1
# grpc/health/v1/health.proto, HealthCheckResponse.ServingStatus.
STATUSES: Final = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
FIELD_SERVICE: Final = b"\x0a"
FIELD_STATUS: Final = 0x08
VARINT_BYTES: Final = 5


async def ask(target: Target, tls: ssl.SSLContext | None) -> Answer:
    """Asks the health service of the target.

    Args:
        target: whose `check.service` is asked for.
        tls: how to speak TLS; None for plain text.

    Raises:
        OSError: nobody listens, or TLS failed.
    """
    host = f"[{target.ip}]" if ":" in target.ip else target.ip
    async with contextlib.AsyncExitStack() as stack:
        # gRPC verifies every certificate, and a check none: TLS is ours, gRPC speaks through it.
        address = (
            f"{'ipv6' if ':' in target.ip else 'ipv4'}:{host}:{target.port}"
            if tls is None
            else await stack.enter_async_context(_tunnel(target, tls))
        )
        options = (
            *OPTIONS,
            ("grpc.default_authority", f"{host}:{target.port}"),
            # Else it holds a connection whose peer says nothing for 20 s, closed channel or not.
            ("grpc.min_reconnect_backoff_ms", int(1_000 * target.check.timeout_seconds)),
        )
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(address, options))
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        sent = request(target.check.service)
        try:
            # gRPC would log what its own call of a deserializer raises.
            status = status_of(await call(sent, timeout=target.check.timeout_seconds))
        except grpc.aio.AioRpcError as error:
            return Answer(good=False, why=_problem(error, target.check))
        except Rejected as error:
            return Answer(good=False, why=str(error))
    name = STATUSES.get(status, str(status))
    return Answer(good=status == SERVING, why=f"gRPC health says {name}")


def request(service: str) -> bytes:
    """A HealthCheckRequest; its one field is a string (length below 2**14)."""
    data = service.encode()
    if not data:
        return b""
    low, high = len(data) & 0x7F, len(data) >> 7
    length = bytes([low | 0x80, high]) if high else bytes([low])
    return FIELD_SERVICE + length + data


def status_of(response: bytes) -> int:
    """The status of a HealthCheckResponse, 0 where it is left out.

    Raises:
        Rejected: it holds anything but that one number.
    """
    if not response:
        return 0
    value = 0
    for index, byte in enumerate(response[1 : VARINT_BYTES + 1]):
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            if response[0] == FIELD_STATUS and len(response) == index + 2:
                return value
            break
    raise Rejected("answers nothing that grpc.health.v1 knows")


def _problem(error: grpc.aio.AioRpcError, check: Check) -> str:
    match error.code():
        case grpc.StatusCode.UNIMPLEMENTED:
            return "the server has no grpc.health.v1 service"
        case grpc.StatusCode.NOT_FOUND:
            return shown(f"gRPC health does not know the service {check.service!r}")
        case grpc.StatusCode.UNAVAILABLE:
            return "takes no gRPC calls"
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"no answer within {check.timeout_seconds:g} s"
        case code:
            return shown(f"gRPC answers {code.name}: {error.details() or ''}")


@contextlib.asynccontextmanager
async def _tunnel(target: Target, tls: ssl.SSLContext) -> AsyncIterator[str]:
    """A socket of this machine's own that leads through TLS to the target; gives its address.

    Raises:
        OSError: nobody listens there, or it speaks no TLS.
    """
    reader, writer = await asyncio.open_connection(target.ip, target.port, ssl=tls)
    inner: list[asyncio.StreamWriter] = []

    async def serve(from_grpc: asyncio.StreamReader, to_grpc: asyncio.StreamWriter) -> None:
        if not _is_ours(to_grpc):
            to_grpc.transport.abort()
            return
        inner.append(to_grpc)
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(from_grpc, writer))
            group.create_task(_copy(reader, to_grpc))

    # In the abstract namespace: there is no file that could be left behind (unix(7)).
    name = f"wharfinger-check-{secrets.token_hex(16)}"
    server = await asyncio.start_unix_server(serve, path=f"\0{name}")
    try:
        yield f"unix-abstract:{name}"
    finally:
        server.close()
        for each in (writer, *inner):
            each.transport.abort()


def _is_ours(connection: asyncio.StreamWriter) -> bool:
    """Whether this process has made it: a container on the host's network finds the name, too."""
    return of_peer(connection.get_extra_info("socket")).pid == os.getpid()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(CHUNK_BYTES):
            sink.write(data)
            await sink.drain()
    sink.close()
