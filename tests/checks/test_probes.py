"""Probes of real servers, good and hostile ones; what is asked is only ever the target itself."""

import asyncio
import os
import resource
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from registrar.checks.model import Answer, CheckKind
from registrar.checks.probes import Prober
from tests.checks.conftest import IP, serving, target
from tests.stack.tls import Authority

HTTP, HTTPS, TCP = CheckKind.HTTP, CheckKind.HTTPS, CheckKind.TCP
OK = b"HTTP/1.1 200 OK\r\n"


def bad(why: str) -> Answer:
    return Answer(good=False, why=why)


def good(why: str) -> Answer:
    return Answer(good=True, why=why)


class Site:
    """An HTTP server that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[web.Request] = []
        self.port = 0
        self.elsewhere = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        match request.path:
            case "/status":
                return web.Response(status=int(request.query["code"]))
            case "/away":
                raise web.HTTPFound(f"http://{IP}:{self.elsewhere}/")
            case "/big":
                return web.Response(body=b"x" * 60_000 + b"all is well" + b"x" * 100_000)
            case "/far":
                return web.Response(body=b"x" * 65_530 + b"all is well")
            case "/zipped":
                response = web.Response(body=b"all is well" * 100)
                response.enable_compression(web.ContentCoding.gzip)
                return response
        return web.Response(text="all is well, \u00fc")


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async for each in started():
        yield each


async def started(tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    site = Site()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", site.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, IP, 0, ssl_context=tls).start()
    site.port = runner.addresses[0][1]
    yield site
    await runner.cleanup()


async def test_a_listener_takes_connections(prober: Prober, site: Site) -> None:
    assert await prober(target(site.port, kind=TCP)) == good("takes connections")


async def test_where_nobody_listens_every_kind_says_so(prober: Prober) -> None:
    with socket.socket() as held:
        held.bind((IP, 0))
        port = held.getsockname()[1]
        for kind in (TCP, HTTP, HTTPS):
            assert await prober(target(port, kind=kind)) == bad("nobody listens")


@pytest.mark.parametrize(
    ("code", "statuses", "answer"),
    [
        (200, ((200, 399),), good("status 200")),
        (302, ((200, 399),), good("status 302")),
        (404, ((200, 399),), bad("status 404, not 200-399")),
        (503, ((200, 299), (404, 404)), bad("status 503, not 200-299, 404")),
        (503, ((500, 599),), good("status 503")),
    ],
)
async def test_the_status_decides(
    prober: Prober, site: Site, code: int, statuses: tuple[tuple[int, int], ...], answer: Answer
) -> None:
    asked = target(site.port, kind=HTTP, path=f"/status?code={code}", statuses=statuses)
    assert await prober(asked) == answer


async def test_the_request_is_what_was_asked_for(prober: Prober, site: Site) -> None:
    await prober(target(site.port, kind=HTTP, path="/a%20b//c?x=%2F", method="POST", host="shop:1"))
    (request,) = site.asked
    assert (request.method, request.raw_path, request.host) == ("POST", "/a%20b//c?x=%2F", "shop:1")
    assert request.headers["User-Agent"] == "wharfinger-check"


async def test_a_path_that_looks_like_a_host_is_a_path(prober: Prober, site: Site) -> None:
    await prober(target(site.port, kind=HTTP, path="//elsewhere.example/@x"))
    assert site.asked[0].raw_path == "//elsewhere.example/@x"


async def test_a_redirect_is_an_answer_and_leads_nowhere(prober: Prober, site: Site) -> None:
    came: list[int] = []

    async def elsewhere(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        came.append(1)

    async with serving(elsewhere) as site.elsewhere:
        assert await prober(target(site.port, kind=HTTP, path="/away")) == good("status 302")
    assert not came


async def test_no_proxy_of_the_environment_is_used(
    prober: Prober, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://{IP}:1")
    assert await prober(target(site.port, kind=HTTP)) == good("status 200")


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("/", "well, \u00fc", good("status 200")),
        ("/big", "all is well", good("status 200")),
        ("/", "ill", bad("status 200, but no 'ill' in the body")),
        ("/far", "all is well", bad("status 200, but no 'all is well' in the body")),
    ],
)
async def test_the_body_is_searched_in_its_beginning(
    prober: Prober, site: Site, path: str, body: str, answer: Answer
) -> None:
    assert await prober(target(site.port, kind=HTTP, path=path, body=body)) == answer


async def test_nothing_is_unpacked(prober: Prober, site: Site) -> None:
    asked = target(site.port, kind=HTTP, path="/zipped", body="all is well")
    assert await prober(asked) == bad("status 200, but no 'all is well' in the body")
    assert site.asked[0].headers["Accept-Encoding"] == "identity"


async def test_a_certificate_that_nobody_signed_will_do(prober: Prober, tmp_path: Path) -> None:
    pair = Authority(tmp_path).issue("other", "other.example")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.cert_file, pair.key_file)
    names: list[str | None] = []
    tls.sni_callback = lambda _socket, name, _context: names.append(name)
    async for site in started(tls):
        assert await prober(target(site.port, kind=HTTPS)) == good("status 200")
        assert (await prober(target(site.port, kind=HTTPS, host="shop.example:8443"))).good
        assert [request.host for request in site.asked] == [
            f"{IP}:{site.port}",
            "shop.example:8443",
        ]
        assert names == [None, "shop.example"]
        answer = await prober(target(site.port, kind=HTTP))
        assert not answer.good, "plain HTTP to a TLS port"


async def test_plain_text_is_no_tls(prober: Prober, site: Site) -> None:
    answer = await prober(target(site.port, kind=HTTPS))
    assert answer.good is False
    assert answer.why.isprintable()


async def flood(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes, piece: bytes
) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(head)
    while True:
        writer.write(piece)
        await writer.drain()


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (OK, b"X-More: " + b"x" * 1_000 + b"\r\n"),
        (OK + b"X-Long: ", b"x" * 4_096),
        (b"HTTP/1.1 200 ", b"OK" * 2_048),
        (b"", b"\0" * 4_096),
        (b"", b"SSH-2.0-OpenSSH\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 200),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"ffffffffffffffff\r\n" + b"x" * 4_096),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"zz\r\n"),
        (OK + b"\r\n", b"y" * 65_536),
    ],
    ids=["headers", "header", "reason", "zeros", "ssh", "continue", "chunk", "hex", "body"],
)
async def test_a_flood_ends_bounded(prober: Prober, head: bytes, piece: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await flood(reader, writer, head, piece)

    async with serving(serve) as port:
        # There is no limit of time: each of them is left by its size.
        answer = await prober(target(port, kind=HTTP, body="all is well"))
    assert answer.good is False
    assert answer.why.isprintable()
    assert len(answer.why) < 250
    grown_kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kilobytes < 100_000


async def test_a_reset_is_told(prober: Prober) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with serving(reset) as port:
        for body in ("", "well"):
            answer = await prober(target(port, kind=HTTP, body=body))
            assert answer == bad("cut the connection")


async def test_an_end_without_an_answer_is_told(prober: Prober) -> None:
    async def end(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with serving(end) as port:
        answer = await prober(target(port, kind=HTTP))
        assert answer.good is False
        assert "isconnected" in answer.why or "cut" in answer.why


async def test_no_connection_is_kept(prober: Prober) -> None:
    ended = asyncio.Event()

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Content-Length: 100000\r\nConnection: keep-alive\r\n\r\n" + b"x" * 100)
        assert await reader.read() == b""
        ended.set()

    async with serving(keep) as port:
        assert (await prober(target(port, kind=HTTP))).good
        async with asyncio.timeout(30):
            await ended.wait()


def highest_descriptor() -> int:
    return max(int(each.name) for each in Path("/proc/self/fd").iterdir())


async def test_without_descriptors_nothing_is_decided(prober: Prober, site: Site) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest_descriptor() + 1, hard))
    held: list[int] = []
    try:
        while True:
            try:
                held.append(os.dup(0))
            except OSError:
                break
        answers = [await prober(target(site.port, kind=kind)) for kind in (TCP, HTTP)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in held:
            os.close(each)
    assert answers == [Answer(good=None, why="cannot be asked: Too many open files")] * 2
    assert (await prober(target(site.port, kind=HTTP))).good
