"""Virtual hosts on a real Nginx: TLS by name, redirects, WebSockets, gRPC, hostile values."""

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import msgspec
import pytest

from discovery.builtin.certificates import Certificates
from discovery.builtin.nginxfile import Certificate
from discovery.model import Instance
from tests.stack.pushed import PushedNginx, service
from tests.stack.tls import Authority
from wharfinger.errors import Conflict, Rejected
from wharfinger.operator.parts.process import free_port

pytestmark = pytest.mark.real

MODES = pytest.mark.parametrize("push", [True, False], ids=["push", "reload"])


async def backend(text: str) -> tuple[asyncio.Server, Instance]:
    """A server that answers with what it was sent, after a word of its own."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"Upgrade: websocket" in head:
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n")
            writer.write(b"Connection: upgrade\r\n\r\n")
            while line := await reader.readline():
                writer.write(b"echo " + line)
        else:
            body = text.encode() + b"\n" + head
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    return server, Instance("127.0.0.1", server.sockets[0].getsockname()[1])


@pytest.fixture
async def shop() -> AsyncIterator[Instance]:
    """Answers `shop`."""
    server, instance = await backend("shop")
    yield instance
    server.close()


async def ask(port: int, host: str, *, tls: ssl.SSLContext | None = None, path: str = "/") -> str:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls, server_hostname=host if tls else None
    )
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    told = (await reader.read()).decode()
    writer.close()
    return told


def with_tls(pushed: PushedNginx, folder: Path, **more: Any) -> None:
    folder.mkdir(exist_ok=True)
    pushed.config = msgspec.structs.replace(
        pushed.config, listen_tls=f"127.0.0.1:{free_port()}", tls_dir=folder, **more
    )


def pair_for(authority: Authority, folder: Path, *hosts: str, name: str = "") -> None:
    pair = authority.issue(f"pair-{hosts[0].replace('*', 'any')}", *hosts)
    folder.mkdir(exist_ok=True)
    shutil.copy(pair.cert_file, folder / f"{name or hosts[0]}.crt")
    shutil.copy(pair.key_file, folder / f"{name or hosts[0]}.key")


def found(folder: Path, *hosts: str) -> dict[str, Certificate]:
    return dict(Certificates(folder).of(hosts))


@MODES
async def test_tls_is_by_name_and_http_redirects(
    pushed_nginx: PushedNginx, authority: Authority, tmp_path: Path, shop: Instance, push: bool
) -> None:
    pushed, folder = pushed_nginx, tmp_path / "tls"
    pair_for(authority, folder, "shop.test")
    pair_for(authority, folder, "*.wide.test", name="_.wide.test")
    with_tls(pushed, folder)
    services = [
        service("shop_prod", shop),
        service("wide_prod", shop, host="a.wide.test"),
        service("plain_prod", shop, host="plain.test"),
    ]
    hosts = ("shop.test", "a.wide.test", "plain.test")
    certificates = found(folder, *hosts)
    assert set(certificates) == {"shop.test", "a.wide.test"}
    await pushed.serve(*services, push=push, certificates=certificates)
    port = int(str(pushed.config.listen_tls).rpartition(":")[2])
    context = ssl.create_default_context(cafile=authority.ca_file)
    for host in ("shop.test", "a.wide.test"):  # each with a certificate that names it
        told = await ask(port, host, tls=context)
        assert "X-Forwarded-Proto: https" in told
        redirect = await ask(pushed.nginx.port, host, path="/a?b=c")
        assert " 308 " in redirect.splitlines()[0]
        assert f"Location: https://{host}:{port}/a?b=c" in redirect
    assert "X-Forwarded-Proto: http\r\n" in await ask(pushed.nginx.port, "plain.test")
    # A name without a certificate gets no other's.
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await ask(port, "plain.test", tls=context)
    # Without the redirect both are served.
    with_tls(pushed, folder, https_redirect=False)
    await pushed.serve(*services, push=push, certificates=certificates)
    assert "shop\n" in await ask(pushed.nginx.port, "shop.test")


@MODES
@pytest.mark.parametrize("webroot", [True, False], ids=["webroot", "by the service"])
async def test_a_renewal_is_answered_over_http_beside_the_redirect(
    pushed_nginx: PushedNginx,
    authority: Authority,
    tmp_path: Path,
    shop: Instance,
    *,
    push: bool,
    webroot: bool,
) -> None:
    pushed, folder, root = pushed_nginx, tmp_path / "tls", tmp_path / "webroot"
    pair_for(authority, folder, "shop.test")
    challenges = root / ".well-known" / "acme-challenge"
    challenges.mkdir(parents=True)
    (challenges / "token").write_text("token.key")
    for path in (tmp_path, root, root / ".well-known", challenges):
        path.chmod(0o755)
    with_tls(pushed, folder, acme_dir=root if webroot else None)
    services = [service("shop_prod", shop), service("plain_prod", shop, host="plain.test")]
    await pushed.serve(*services, push=push, certificates=found(folder, "shop.test"))
    port, path = pushed.nginx.port, "/.well-known/acme-challenge/token"
    for host in ("shop.test", "plain.test"):
        told = await ask(port, host, path=path)
        assert told.splitlines()[0].endswith(" 200 OK")
        assert told.endswith("token.key") == webroot
        assert (f"GET {path} HTTP" in told) != webroot
    assert " 308 " in (await ask(port, "shop.test")).splitlines()[0]
    assert "shop\n" in await ask(port, "plain.test")


@MODES
async def test_a_websocket_passes(pushed_nginx: PushedNginx, shop: Instance, push: bool) -> None:
    await pushed_nginx.serve(service("shop_prod", shop), push=push)
    reader, writer = await asyncio.open_connection("127.0.0.1", pushed_nginx.nginx.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: shop.test\r\nUpgrade: websocket\r\n")
    writer.write(b"Connection: Upgrade\r\n\r\n")
    assert b" 101 " in await reader.readline()
    await reader.readuntil(b"\r\n\r\n")
    for word in (b"one\n", b"two\n"):
        writer.write(word)
        assert await reader.readline() == b"echo " + word
        if push:  # it outlives its own instance's leaving
            await pushed_nginx.push(service("shop_prod"))
    writer.close()


class _Echo(grpc.GenericRpcHandler):
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        async def echo(request: bytes, _: object) -> bytes:
            return b"echo " + request

        return grpc.unary_unary_rpc_method_handler(echo)


@MODES
async def test_grpc_passes_and_an_empty_service_is_unavailable(
    pushed_nginx: PushedNginx, push: bool
) -> None:
    port = free_port()
    pushed_nginx.config = msgspec.structs.replace(
        pushed_nginx.config, listen_grpc=f"127.0.0.1:{port}"
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Echo(),))
    behind = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    tags = ("grpc",)
    there = service("rpc_prod", Instance("127.0.0.1", behind, tags=tags), host="rpc.test")
    gone = service("gone_prod", Instance("127.0.0.1", 9, weight=0, tags=tags), host="gone.test")
    await pushed_nginx.serve(there, gone, push=push)

    async def call(host: str) -> bytes:
        options = (("grpc.default_authority", host), ("grpc.enable_http_proxy", 0))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            method = channel.unary_unary("/a.B/C")
            return bytes(await method(b"hello", timeout=20))

    assert await call("rpc.test") == b"echo hello"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call("gone.test")
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    await server.stop(None)


HOSTILE = [
    b"", b"full", b"full x\n", b"part", b"none 99\nshop_prod round_robin 1 10 http\n",
    b"full 99\nshop_prod", b"full 99\nshop_prod ", b"full 99\nshop_prod round_robin 1 10\n",
    b"full 99\nshop_prod random 1 10 http\n", b"full 99\nshop_prod round_robin x 10 http\n",
    b"full 99\nshop_prod round_robin 1 10 http|1.2.3.4:80\n",
    b"full 99\nshop_prod round_robin 1 10 http|1.2.3.4:80/1\n",
    b"full 99\nshop_prod round_robin 1 10 http|1.2.3.4:80/0/p\n",
    b"full 99\nshop_prod round_robin 1 10 http|1.2.3.4:80/1/z\n",
    b"full 99\nshop_prod round_robin 1 10 http|1.2.3.4:80/-1/p\n",
    b"full 99\nshop_prod round_robin 1 10 http|1.2.3.4/1/p\n",
    b"full 99\nshop_prod round_robin 1 10 http|1.2.3.4:80x/1/p\n",
    b"full 99\nshop_prod round_robin 1 10 http|1.2.3.4:800000/1/p\n",
    b"full 99\nshop_prod round_robin 1 10 http|host.test:80/1/p\n",
    b"full 99\nshop_prod round_robin 1 10 http|unix:/etc/passwd/1/p\n",
    b"full 99\nshop_prod round_robin 1 10 http|[::1:80/1/p\n",
    b"full 99\nshop_prod round_robin 1 10 http|[fe80::1%25eth0]:80/1/p\n",
    b"full 99\nshop_prod round_robin 1 10 http|1.2.3.4:80/1/p;os.execute()\n",
    b'full 99\nshop_prod round_robin 1 10 http|1.2.3.4:80/1/p"]]..os.exit()\n',
    b"full 99\nshop_prod round_robin 1 10 http|\x00/1/p\n",
    b"full 99\nshop_prod round_robin 1 10 http|1.2.3.4:80/1/p\xff\n",
    b"full 99\n../x round_robin 1 10 http\n", b"full 99\na b round_robin 1 10 http\n",
    b"full 99\n\xc3\xa9_prod round_robin 1 10 http\n", b"\n\n\n", b"full 99 " + b"9" * 400,
    b"full 99\n" + b"x" * 70_000, b"full 1e9\nshop_prod round_robin 1 10 http|a/1/p\n",
    b"return os.exit()", b"\x1bLJ\x02\x00", b"full 99\nshop_prod round_robin 1 10 http||/1/p\n",
]  # fmt: skip


async def test_the_push_socket_takes_nothing_but_peers(
    pushed_nginx: PushedNginx, shop: Instance
) -> None:
    await pushed_nginx.serve(service("shop_prod", shop))
    told = await pushed_nginx.push(service("shop_prod", shop), full=True)
    for body in HOSTILE:
        reader, writer = await asyncio.open_unix_connection(pushed_nginx.socket.path)
        head = f"POST /peers HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        status = await reader.readline()
        writer.close()
        assert b" 400 " in status, body
    assert (await pushed_nginx.socket.state()).stamp == told.stamp
    assert "shop\n" in await ask(pushed_nginx.nginx.port, "shop.test")
    with pytest.raises(Conflict, match="later push"):
        await pushed_nginx.socket.send({}, stamp=told.stamp, full=False)


async def test_ten_thousand_peers_go_through_file_and_socket(pushed_nginx: PushedNginx) -> None:
    many = [
        Instance(f"10.{n // 62500}.{n // 250 % 250}.{n % 250 + 1}", 80, weight=n % 7 + 1)
        for n in range(10_000)
    ]
    server, last = await backend("last")
    await pushed_nginx.serve(service("shop_prod", *many))
    await pushed_nginx.push(service("shop_prod", *many, last))
    await pushed_nginx.push(service("shop_prod", last))
    assert "last\n" in await ask(pushed_nginx.nginx.port, "shop.test")
    server.close()


async def test_memory_that_does_not_do_is_told(pushed_nginx: PushedNginx) -> None:
    pushed_nginx.config = msgspec.structs.replace(pushed_nginx.config, push_memory_mib=1)
    await pushed_nginx.serve(service("shop_prod"))
    many = [Instance(f"10.{n // 62500}.{n // 250 % 250}.{n % 250 + 1}", 80) for n in range(65_000)]
    half = [service("a_prod", *many[:32_500]), service("b_prod", *many[32_500:])]
    with pytest.raises(Rejected, match="413"):
        await pushed_nginx.push(service("shop_prod", *many))
    await pushed_nginx.push(half[0])
    with pytest.raises(Rejected, match="no memory"):
        await pushed_nginx.push(half[1])
