"""The gRPC health protocol against real servers, with TLS and without, and against liars."""

import asyncio
import contextlib
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registrar.checks import grpcprobe
from registrar.checks.model import Answer, CheckKind
from registrar.checks.probes import Prober, unverified
from tests.checks.conftest import IP, serving, target
from tests.stack.tls import Authority
from wharfinger.errors import Rejected

GRPC = CheckKind.GRPC
PREFACE_BYTES = 24
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"


class Health:
    """A server whose health service answers from a table of bytes."""

    def __init__(self) -> None:
        self.answers = {"": b"\x08\x01", "shop.Cart": b"\x08\x02", "odd": b"\x08\x09"}
        self.asked: list[bytes] = []
        self.port = 0

    async def check(
        self, request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]"
    ) -> bytes:
        self.asked.append(request)
        service = request[2:].decode()
        if service not in self.answers:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return self.answers[service]


@contextlib.asynccontextmanager
async def serving_health(
    credentials: grpc.ServerCredentials | None = None, *, ip: str = IP
) -> AsyncIterator[Health]:
    health = Health()
    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(health.check)
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": method})]
    )
    address = f"[{ip}]:0" if ":" in ip else f"{ip}:0"
    if credentials is None:
        health.port = server.add_insecure_port(address)
    else:
        health.port = server.add_secure_port(address, credentials)
    await server.start()
    yield health
    await server.stop(None)


@pytest.fixture
async def health() -> AsyncIterator[Health]:
    async with serving_health() as each:
        yield each


@pytest.mark.parametrize(
    ("service", "answer"),
    [
        ("", Answer(good=True, why="gRPC health says SERVING")),
        ("shop.Cart", Answer(good=False, why="gRPC health says NOT_SERVING")),
        ("odd", Answer(good=False, why="gRPC health says 9")),
        ("x", Answer(good=False, why="gRPC health does not know the service 'x'")),
    ],
)
async def test_the_status_decides(
    prober: Prober, health: Health, service: str, answer: Answer
) -> None:
    assert await prober(target(health.port, kind=GRPC, service=service)) == answer


async def test_a_long_name_is_asked_for_as_it_is(prober: Prober, health: Health) -> None:
    name = "s" * 255
    await prober(target(health.port, kind=GRPC, service=name))
    assert health.asked == [b"\x0a\xff\x01" + name.encode()]


async def test_ipv6_is_asked(prober: Prober) -> None:
    async with serving_health(ip="::1") as health:
        assert (await prober(target(health.port, kind=GRPC, ip="::1"))).good


async def test_an_old_channel_leaves_nothing_behind(prober: Prober) -> None:
    async with serving_health() as health:
        port = health.port
        assert (await prober(target(port, kind=GRPC))).good
    assert (await prober(target(port, kind=GRPC))).good is False


async def test_a_certificate_that_nobody_signed_will_do(prober: Prober, tmp_path: Path) -> None:
    pair = Authority(tmp_path).issue("other", "other.example")
    chain = [(pair.key_file.read_bytes(), pair.cert_file.read_bytes())]
    async with serving_health(grpc.ssl_server_credentials(chain)) as health:
        for _ in range(3):
            answer = await prober(target(health.port, kind=GRPC, tls=True))
            assert answer == Answer(good=True, why="gRPC health says SERVING")
        answer = await prober(target(health.port, kind=GRPC, tls=True, service="shop.Cart"))
        assert answer == Answer(good=False, why="gRPC health says NOT_SERVING")
        assert (await prober(target(health.port, kind=GRPC))).good is False, "no TLS"


async def test_tls_with_a_server_that_has_none_has_failed(prober: Prober, health: Health) -> None:
    answer = await prober(target(health.port, kind=GRPC, tls=True))
    assert answer.good is False
    assert answer.why.isprintable()


async def test_where_nobody_listens_it_says_so(prober: Prober) -> None:
    async def end(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        pass

    async with serving(end) as port:
        pass
    assert await prober(target(port, kind=GRPC)) == Answer(good=False, why="takes no gRPC calls")
    answer = await prober(target(port, kind=GRPC, tls=True))
    assert answer == Answer(good=False, why="nobody listens")


async def test_a_server_without_the_service_says_so(prober: Prober) -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port(f"{IP}:0")
    await server.start()
    answer = await prober(target(port, kind=GRPC))
    await server.stop(None)
    assert answer == Answer(good=False, why="the server has no grpc.health.v1 service")


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n\r\n", SETTINGS, b"\xff" * 100_000])
async def test_what_is_no_grpc_has_failed(prober: Prober, said: bytes) -> None:
    async def lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await reader.readexactly(PREFACE_BYTES)

    async with serving(lie) as port:
        answer = await prober(target(port, kind=GRPC, timeout_seconds=2))
    assert answer.good is False
    assert answer.why.isprintable()
    assert len(answer.why) < 250


@pytest.mark.parametrize("tls", [False, True])
async def test_one_that_hangs_can_be_given_up(prober: Prober, tmp_path: Path, tls: bool) -> None:
    asked, ended = asyncio.Event(), asyncio.Event()

    async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(PREFACE_BYTES)
        asked.set()
        with contextlib.suppress(ConnectionError):
            while await reader.read(1_000):
                pass
        ended.set()

    context = None
    if tls:
        pair = Authority(tmp_path).issue("other", "other.example")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair.cert_file, pair.key_file)
        context.set_alpn_protocols(["h2"])
    async with serving(hang, ssl=context) as port, asyncio.timeout(60):
        asking = target(port, kind=GRPC, tls=tls, timeout_seconds=5)
        task = asyncio.create_task(prober(asking))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await ended.wait()


async def test_too_long_an_answer_has_failed(prober: Prober, health: Health) -> None:
    health.answers[""] = b"\x08\x01" * 5_000
    answer = await prober(target(health.port, kind=GRPC))
    assert answer.good is False
    assert "RESOURCE_EXHAUSTED" in answer.why


@given(st.binary(max_size=12))
def test_no_answer_does_worse_than_a_refusal(response: bytes) -> None:
    with contextlib.suppress(Rejected):
        assert grpcprobe.status_of(response) >= 0


@given(st.integers(0, 2**31 - 1))
def test_each_status_is_read(status: int) -> None:
    encoded, left = bytearray(b"\x08"), status
    while left >= 0x80:
        encoded.append(left & 0x7F | 0x80)
        left >>= 7
    encoded.append(left)
    assert grpcprobe.status_of(bytes(encoded)) == status
    assert grpcprobe.status_of(b"") == 0
    for wrong in (encoded[:-1], encoded + b"\0", b"\x10" + encoded[1:]):
        with pytest.raises(Rejected):
            grpcprobe.status_of(bytes(wrong))


def test_grpcs_fork_handlers_stay_off_whatever_is_imported_first() -> None:
    program = (
        "import os, sys\n"
        "class Look:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'grpc':\n"
        "            print(os.environ['GRPC_ENABLE_FORK_SUPPORT'])\n"
        "sys.meta_path.insert(0, Look())\n"
        "import registrar.checks.probes\n"
    )
    environment = {**os.environ, "GRPC_ENABLE_FORK_SUPPORT": "1"}
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


CONNECT = """
import socket, sys
with socket.socket(socket.AF_UNIX) as other:
    other.connect("\\0" + sys.argv[1])
    other.settimeout(20)
    try:
        other.sendall(b"PRI * HTTP/1.1")
        print(other.recv(1))
    except ConnectionError:
        print(b"")
"""


async def test_nobody_else_is_let_through_to_what_is_asked(tmp_path: Path) -> None:
    pair = Authority(tmp_path).issue("other", "other.example")
    chain = [(pair.key_file.read_bytes(), pair.cert_file.read_bytes())]
    async with serving_health(grpc.ssl_server_credentials(chain)) as health:
        asked = target(health.port, kind=GRPC, tls=True)
        async with grpcprobe._tunnel(asked, unverified(("h2",))) as address:
            other = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                CONNECT,
                address.removeprefix("unix-abstract:"),
                stdout=asyncio.subprocess.PIPE,
            )
            said, _ = await other.communicate()
            assert said == b"b''\n"
