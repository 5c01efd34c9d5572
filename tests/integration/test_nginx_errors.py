"""Error pages of a user's own http block, in locations that have one of theirs."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from discovery.model import Instance, Route, Service
from tests.stack.discovery import Backends
from tests.stack.pushed import PushedNginx, service
from wharfinger.operator.parts.process import free_port

pytestmark = pytest.mark.real

MODES = pytest.mark.parametrize("push", [True, False], ids=["push", "reload"])


@pytest.fixture
async def backends() -> AsyncIterator[Backends]:
    """Servers that answer with their address."""
    held = Backends()
    yield held
    for port in list(held.servers):
        await held.stop(f"127.0.0.1:{port}")


async def ask(pushed: PushedNginx, path: str = "/", method: str = "GET") -> tuple[int, str]:
    """The status, and where it leads or what it says."""
    reader, writer = await asyncio.open_connection("127.0.0.1", pushed.nginx.port)
    request = f"{method} {path} HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n"
    writer.write(f"{request}Content-Length: 0\r\n\r\n".encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    status, *lines = head.split("\r\n")
    places = [line.partition(": ")[2] for line in lines if line.startswith("Location: ")]
    return int(status.split(" ")[1]), (places or [body])[0]


def write(pushed: PushedNginx, directives: str) -> None:
    pushed.nginx.include.with_name("own.conf").write_text(directives)


@MODES
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_who_cannot_be_served_is_sent_where_the_user_says(
    pushed_nginx: PushedNginx, push: bool, method: str
) -> None:
    write(pushed_nginx, "error_page 502 504 =302 https://status.test/;\n")
    await pushed_nginx.serve(service("shop_prod", Instance("127.0.0.1", free_port())), push=push)
    answers = Counter([await ask(pushed_nginx, method=method) for _ in range(10)])
    assert answers == {(302, "https://status.test/"): 10}


@MODES
@pytest.mark.parametrize("recursive", ["", "recursive_error_pages on;\n"])
async def test_a_page_may_be_served_by_a_location_of_ours(
    pushed_nginx: PushedNginx, backends: Backends, push: bool, recursive: str
) -> None:
    good = await backends.start()
    ip, _, port = good.rpartition(":")
    write(pushed_nginx, f"error_page 502 /sorry;\n{recursive}")
    up = service("shop_prod", Instance(ip, int(port)))
    down = Instance("127.0.0.1", free_port())
    api = Service("api_prod", "api", "prod", (down,), (Route("shop.test", "/api"),))
    await pushed_nginx.serve(up, api, push=push)
    assert await ask(pushed_nginx, "/api") == (502, good)
    assert await ask(pushed_nginx, "/") == (200, good)


@MODES
async def test_a_page_that_cannot_be_served_either_ends_it(
    pushed_nginx: PushedNginx, push: bool
) -> None:
    write(pushed_nginx, "error_page 502 504 /sorry;\n")
    await pushed_nginx.serve(service("shop_prod", Instance("127.0.0.1", free_port())), push=push)
    status, body = await ask(pushed_nginx)
    assert (status, "502 Bad Gateway" in body) == (502, True)
