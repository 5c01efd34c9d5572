"""Who gets a request: plain upstreams and pushed peers keep the same promises."""

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Self

import msgspec
import pytest

from discovery.builtin.config import NginxConfig
from discovery.model import Instance
from tests.stack.discovery import Backends
from tests.stack.nginx import workers
from tests.stack.pushed import PushedNginx, service
from wharfinger.operator.parts.process import free_port, freeze, until

pytestmark = pytest.mark.real

MODES = pytest.mark.parametrize("push", [True, False], ids=["push", "reload"])


@pytest.fixture
async def backends() -> AsyncIterator[Backends]:
    """Servers that answer with their address."""
    held = Backends()
    yield held
    for port in list(held.servers):
        await held.stop(f"127.0.0.1:{port}")


class Hasty:
    """Takes a request, and ends the connection without an answer."""

    def __init__(self) -> None:
        self.taken = 0
        self.port = free_port()
        self.server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self.server = await asyncio.start_server(self._take, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.server is not None
        self.server.close()
        await self.server.wait_closed()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            self.taken += 1
        writer.close()


def at(address: str, **more: object) -> Instance:
    ip, _, port = address.rpartition(":")
    return Instance(ip, int(port), **more)  # type: ignore[arg-type]


async def ask(
    pushed: PushedNginx, *, method: str = "GET", host: str = "shop.test", cookie: str = ""
) -> tuple[int, str, str]:
    """Status, body and the cookie that was set, of a request over a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", pushed.nginx.port)
    head = f"{method} / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n"
    head += f"Cookie: {cookie}\r\n" if cookie else ""
    writer.write((head + "\r\n").encode())
    told = (await reader.read()).decode()
    writer.close()
    headers, _, body = told.partition("\r\n\r\n")
    set_cookie = [
        line.partition(": ")[2].partition(";")[0]
        for line in headers.splitlines()
        if line.lower().startswith("set-cookie: ")
    ]
    return int(headers.split()[1]), body, (set_cookie or [""])[0]


@contextlib.asynccontextmanager
async def one_worker(pushed: PushedNginx, number: int) -> AsyncIterator[None]:
    """Has one of the two workers take all requests; else nobody knows which of them does."""
    other = sorted(await workers(pushed.nginx))[number]
    freeze(other)
    try:
        yield
    finally:
        os.kill(other, signal.SIGCONT)


async def counted(pushed: PushedNginx, number: int) -> Counter[str]:
    return Counter([(await ask(pushed))[1] for _ in range(number)])


@MODES
async def test_weights_are_honoured(
    pushed_nginx: PushedNginx, backends: Backends, push: bool
) -> None:
    first, second, none = [await backends.start() for _ in range(3)]
    instances = (at(first, weight=3), at(second), at(none, weight=0))
    await pushed_nginx.serve(service("shop_prod", *instances), push=push)
    found = await counted(pushed_nginx, 200)
    # Each worker keeps to the weights exactly, but may be within a round of its own.
    assert abs(found[first] - 150) <= 6
    assert found[first] + found[second] == 200


async def test_weights_too_many_to_be_worked_out_once_are_honoured(
    pushed_nginx: PushedNginx, backends: Backends
) -> None:
    addresses = [await backends.start() for _ in range(16)]
    weights = [997 - 61 * n for n in range(16)]  # 8632 steps until they repeat, 16 peers each
    instances = [at(a, weight=w) for a, w in zip(addresses, weights, strict=True)]
    more = (Instance("127.0.0.1", 9, weight=1, tags=("down",)), Instance("127.0.0.2", 9, weight=0))
    await pushed_nginx.serve(service("shop_prod", *instances, *more))
    found = await counted(pushed_nginx, 300)
    for address, weight in zip(addresses, weights, strict=True):
        assert abs(found[address] - 300 * weight / sum(weights)) <= 4


@MODES
async def test_backups_serve_when_the_others_fail(
    pushed_nginx: PushedNginx, backends: Backends, push: bool
) -> None:
    first, spare = await backends.start(), await backends.start()
    shop = service("shop_prod", at(first), at(spare, tags=("backup",)))
    await pushed_nginx.serve(shop, push=push)
    assert await counted(pushed_nginx, 20) == {first: 20}
    await backends.stop(first)
    assert await counted(pushed_nginx, 20) == {spare: 20}


@MODES
async def test_a_backup_alone_serves(
    pushed_nginx: PushedNginx, backends: Backends, push: bool
) -> None:
    spare, down = await backends.start(), await backends.start()
    shop = service("shop_prod", at(spare, tags=("backup",)), at(down, tags=("down",)))
    await pushed_nginx.serve(shop, push=push)
    assert await counted(pushed_nginx, 10) == {spare: 10}


@MODES
async def test_what_fails_is_left_alone_for_a_while(
    pushed_nginx: PushedNginx, backends: Backends, push: bool
) -> None:
    good = await backends.start()
    async with Hasty() as hasty:
        tags = ("max_fails=2", "fail_timeout=3600")
        shop = service("shop_prod", at(good, tags=tags), Instance("127.0.0.1", hasty.port))
        await pushed_nginx.serve(shop, push=push)
        assert await counted(pushed_nginx, 60) == {good: 60}
        # Two failures in each of two workers, and no more.
        assert 2 <= hasty.taken <= 4


@MODES
async def test_failures_are_forgotten_on_request(
    pushed_nginx: PushedNginx, backends: Backends, push: bool
) -> None:
    good, tags = await backends.start(), ("max_fails=1", "fail_timeout=3600")
    async with Hasty() as hasty:
        late = f"127.0.0.1:{hasty.port}"
        shop = service("shop_prod", at(good, tags=tags), at(late, tags=tags))
        await pushed_nginx.serve(shop, push=push)
        for number in range(2):
            async with one_worker(pushed_nginx, number):
                assert await counted(pushed_nginx, 4) == {good: 4}
        assert hasty.taken == 2
    await backends.start(late)
    assert await counted(pushed_nginx, 20) == {good: 20}
    if push:
        # A peer beside it comes and goes: that alone says nothing of the one that failed.
        await pushed_nginx.push(service("shop_prod", *shop.instances, Instance("127.0.0.1", 9)))
        await pushed_nginx.push(shop)
        assert await counted(pushed_nginx, 20) == {good: 20}
        await pushed_nginx.socket.forget_failures()
    else:
        await pushed_nginx.serve(shop, push=False)
    assert set(await counted(pushed_nginx, 20)) == {good, late}
    # What fails from then on is left alone as before.
    await backends.stop(late)
    assert await counted(pushed_nginx, 20) == {good: 20}


@MODES
async def test_who_fails_a_post_is_left_alone_as_well(
    pushed_nginx: PushedNginx, backends: Backends, push: bool
) -> None:
    good = await backends.start()
    async with Hasty() as hasty:
        # A POST that may have begun has one try only: no other peer is asked for after it.
        tags = ("max_fails=1", "fail_timeout=3600")
        shop = service("shop_prod", at(good, tags=tags), Instance("127.0.0.1", hasty.port))
        await pushed_nginx.serve(shop, push=push)
        statuses = Counter([(await ask(pushed_nginx, method="POST"))[0] for _ in range(40)])
        # One failure in each of two workers, and no more.
        assert 1 <= hasty.taken <= 2
        assert statuses == {200: 40 - hasty.taken, 502: hasty.taken}


@MODES
async def test_a_peer_that_answers_502_by_itself_has_not_failed(
    pushed_nginx: PushedNginx, push: bool
) -> None:
    asked = 0

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            asked += 1
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Hasty() as hasty:
        tags = ("max_fails=1", "fail_timeout=3600")
        shop = service(
            "shop_prod", Instance("127.0.0.1", port, tags=tags), at(f"127.0.0.1:{hasty.port}")
        )
        await pushed_nginx.serve(shop, push=push)
        for _ in range(20):
            assert (await ask(pushed_nginx, method="POST"))[0] == 502
        assert asked >= 18
        assert hasty.taken <= 2
    server.close()


async def test_when_all_have_failed_they_are_asked_again(
    pushed_nginx: PushedNginx, backends: Backends
) -> None:
    port = free_port()
    shop = service("shop_prod", Instance("127.0.0.1", port), Instance("127.0.0.1", free_port()))
    await pushed_nginx.serve(shop)
    for _ in range(6):
        assert (await ask(pushed_nginx))[0] == 502
    back = await backends.start()
    await pushed_nginx.push(service("shop_prod", *shop.instances, at(back)))
    assert await counted(pushed_nginx, 10) == {back: 10}


@MODES
async def test_a_post_that_may_have_begun_is_not_repeated(
    pushed_nginx: PushedNginx, backends: Backends, push: bool
) -> None:
    good = await backends.start()
    async with Hasty() as hasty:
        shop = service("shop_prod", at(good), Instance("127.0.0.1", hasty.port))
        await pushed_nginx.serve(shop, push=push)
        statuses = Counter([(await ask(pushed_nginx, method="POST"))[0] for _ in range(8)])
        assert statuses[502] == hasty.taken >= 1
        assert statuses[200] == 8 - hasty.taken


@MODES
async def test_a_post_that_was_refused_goes_to_the_next(
    pushed_nginx: PushedNginx, backends: Backends, push: bool
) -> None:
    good = await backends.start()
    shop = service("shop_prod", at(good), *(Instance("127.0.0.1", free_port()) for _ in range(3)))
    await pushed_nginx.serve(shop, push=push)
    assert {(await ask(pushed_nginx, method="POST"))[1] for _ in range(8)} == {good}


@MODES
async def test_tries_are_limited(pushed_nginx: PushedNginx, backends: Backends, push: bool) -> None:
    good = await backends.start()
    pushed_nginx.config = replace_config(pushed_nginx, next_upstream_tries=1, max_fails=0)
    shop = service("shop_prod", at(good), Instance("127.0.0.1", free_port()))
    await pushed_nginx.serve(shop, push=push)
    statuses = Counter([(await ask(pushed_nginx))[0] for _ in range(20)])
    # Each of the two workers takes turns for itself: after an odd count, one more of either.
    assert set(statuses) == {200, 502}
    assert abs(statuses[200] - statuses[502]) <= 2


def replace_config(pushed: PushedNginx, **changes: Any) -> NginxConfig:
    return msgspec.structs.replace(pushed.config, **changes)


@MODES
async def test_least_conn_avoids_who_is_busy(
    pushed_nginx: PushedNginx, backends: Backends, push: bool
) -> None:
    # Both workers count for themselves: one connection each to a server that never answers.
    good, held = await backends.start(), []

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    tags = ("balance=least_conn",)
    shop = service("shop_prod", at(good, tags=tags), Instance("127.0.0.1", port, tags=tags))
    await pushed_nginx.serve(shop, push=push)
    waiting = [asyncio.create_task(ask(pushed_nginx)) for _ in range(24)]

    async def settled() -> bool:
        return sum(task.done() for task in waiting) + len(held) == len(waiting)

    await until(settled, timeout_seconds=60, what="each is answered or hangs")
    # Whatever hangs is in hand there: a worker sends a second one only when the other has one.
    assert len(held) <= 12
    assert {task.result()[1] for task in waiting if task.done()} == {good}
    for writer in held:
        writer.close()
    await asyncio.gather(*waiting)
    server.close()
    await server.wait_closed()


@MODES
async def test_ip_hash_binds_an_address(
    pushed_nginx: PushedNginx, backends: Backends, push: bool
) -> None:
    addresses = [await backends.start() for _ in range(4)]
    instances = [at(address, tags=("balance=ip_hash",)) for address in addresses]
    await pushed_nginx.serve(service("shop_prod", *instances), push=push)
    assert len(await counted(pushed_nginx, 20)) == 1


async def test_a_ring_moves_only_the_clients_of_who_left(
    pushed_nginx: PushedNginx, backends: Backends
) -> None:
    addresses = [await backends.start() for _ in range(4)]
    instances = [at(address, tags=("balance=ip_hash",)) for address in addresses]
    await pushed_nginx.serve(service("shop_prod", *instances))
    [mine] = await counted(pushed_nginx, 5)
    for gone in addresses:
        if gone != mine:
            left = [i for i in instances if i.address != gone]
            await pushed_nginx.push(service("shop_prod", *left))
            assert list(await counted(pushed_nginx, 5)) == [mine]
    left = [i for i in instances if i.address != mine]
    await pushed_nginx.push(service("shop_prod", *left))
    [other] = await counted(pushed_nginx, 5)
    assert other != mine


@MODES
async def test_a_cookie_binds_a_client(
    pushed_nginx: PushedNginx, backends: Backends, push: bool
) -> None:
    addresses = [await backends.start() for _ in range(4)]
    instances = [at(address, tags=("balance=sticky",)) for address in addresses]
    await pushed_nginx.serve(service("shop_prod", *instances), push=push)
    seen = set()
    for _ in range(8):
        _, who, cookie = await ask(pushed_nginx)
        assert cookie.startswith("wharfinger_")
        if not push:  # there the first answer is drawn before the client has its name
            _, who, again = await ask(pushed_nginx, cookie=cookie)
        for _ in range(4):
            _, same, again = await ask(pushed_nginx, cookie=f"a=b; {cookie}; c=d")
            assert (same, again) == (who, "")
        seen.add(who)
    assert len(seen) >= 2


async def test_a_draining_peer_keeps_its_clients_and_gets_no_others(
    pushed_nginx: PushedNginx, backends: Backends
) -> None:
    first, second = await backends.start(), await backends.start()
    tags = ("balance=sticky",)
    await pushed_nginx.serve(service("shop_prod", at(first, tags=tags)))
    _, _, cookie = await ask(pushed_nginx)
    for draining in ({"weight": 0}, {"state": "draining"}):
        leaving = at(first, tags=tags, **draining)
        await pushed_nginx.push(service("shop_prod", leaving, at(second, tags=tags)))
        assert await counted(pushed_nginx, 10) == {second: 10}
        assert [(await ask(pushed_nginx, cookie=cookie))[1] for _ in range(5)] == [first] * 5
    # Gone, or a cookie that names nobody: somebody else, and another cookie.
    await pushed_nginx.push(service("shop_prod", at(second, tags=tags)))
    for sent in (cookie, cookie.partition("=")[0] + "=../../etc", "x" * 300 + "=1"):
        _, who, other = await ask(pushed_nginx, cookie=sent)
        assert who == second
        assert other not in {"", cookie}


@MODES
async def test_a_service_without_instances_answers_503(
    pushed_nginx: PushedNginx, push: bool
) -> None:
    empty = service("shop_prod")
    drained = service("blog_prod", Instance("127.0.0.1", 9, weight=0), host="blog.test")
    await pushed_nginx.serve(empty, drained, push=push)
    for host in ("shop.test", "blog.test"):
        status, body, _ = await ask(pushed_nginx, host=host, method="POST")
        assert status == 503
        assert "No instance of" in body


@MODES
async def test_idle_connections_to_instances_are_kept(
    pushed_nginx: PushedNginx, push: bool
) -> None:
    pushed_nginx.config = replace_config(pushed_nginx, keepalive_connections=8)
    opened = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await pushed_nginx.serve(service("shop_prod", Instance("127.0.0.1", port)), push=push)
    assert await counted(pushed_nginx, 40) == {"ok": 40}
    assert opened <= 2  # one for each worker
    server.close()


async def test_ipv6_peers_are_served(pushed_nginx: PushedNginx) -> None:
    server = await asyncio.start_server(_say_six, "::1", 0)
    port = server.sockets[0].getsockname()[1]
    await pushed_nginx.serve(service("shop_prod"))
    await pushed_nginx.push(service("shop_prod", Instance("::1", port)))
    assert (await ask(pushed_nginx))[1] == "six"
    server.close()


async def _say_six(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nsix")
    writer.close()
