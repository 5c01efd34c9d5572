"""Requests that are none, that are two, or that nobody here answers; and readers that stall."""

import asyncio
import logging

import pytest
from aiohttp.http_exceptions import BadHttpMessage

from logshipper.store.http import guard
from tests.store.running import ACTION, Make, Store
from wharfinger.endpoints import _server_log

BODY = f'{ACTION}\n{{"message":"outer"}}\n'
INNER = "GET /api/whoami HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def raw(store: Store, data: str, *, ends: bool = False) -> bytes:
    """Everything that is answered to these bytes, until the store hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", store.client.port)
    writer.write(data.encode("latin-1"))
    if ends:
        writer.write_eof()
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.transport.abort()


def bulk(*headers: str, body: str = BODY) -> str:
    lines = ("POST /_bulk HTTP/1.1", "Host: localhost", "Connection: close", *headers)
    return "\r\n".join([*lines, "", body])


CHUNKED = f"{len(BODY):x}\r\n{BODY}\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        bulk("Content-Length: 5", f"Content-Length: {len(BODY)}"),
        bulk(f"Content-Length: {len(CHUNKED)}", "Transfer-Encoding: chunked", body=CHUNKED),
        bulk("Transfer-Encoding: chunked", "Content-Length: 0", body=CHUNKED + INNER),
        bulk("Transfer-Encoding: xchunked", body=CHUNKED),
        bulk("Transfer-Encoding: chunked, identity", body=CHUNKED),
        bulk("Transfer-Encoding : chunked", body=CHUNKED),
        bulk(f"Content-Length : {len(BODY)}"),
        bulk("Content-Length: -1"),
        bulk("Content-Length: +5"),
        bulk("Content-Length: 0x10"),
        bulk("Content-Length: 99999999999999999999999999"),
        bulk("Content-Length: ٣"[:-1] + "\xb3"),
        bulk("X: a\x00b", f"Content-Length: {len(BODY)}"),
        bulk("no colon", f"Content-Length: {len(BODY)}"),
        bulk(f"X: {'x' * 9_000}", f"Content-Length: {len(BODY)}"),
        bulk(*(f"X-{n}: x" for n in range(200)), f"Content-Length: {len(BODY)}"),
        bulk("Transfer-Encoding: chunked", body="zz\r\nnothing\r\n0\r\n\r\n"),
        bulk("Transfer-Encoding: chunked", body=f"{'f' * 40}\r\n{BODY}"),
        f"GET /{'x' * 9_000} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a client that speaks TLS
        "\x00" * 100,
    ],
)
async def test_what_is_no_request_is_answered_as_such_and_stores_nothing(
    make: Make, request_: str
) -> None:
    store = await make()
    answer = await raw(store, request_)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 ")), answer[:200]
    assert b"may" not in answer  # nothing of the inner one was answered
    assert await store.found() == []
    assert await store.add("still here") == [201]


async def test_a_body_that_ends_early_stores_nothing(make: Make) -> None:
    store = await make()
    answer = await raw(store, bulk(f"Content-Length: {len(BODY) + 10}"), ends=True)
    assert b" 200 " not in answer
    assert await store.found() == []


async def test_a_body_that_stops_in_the_middle_is_given_up(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logshipper.store.http.ingest._READ_SECONDS", 0.2)
    monkeypatch.setattr("logshipper.store.http.signin._READ_SECONDS", 0.2)
    store = await make()
    for path, kind in (("/_bulk", "text/plain"), ("/api/login", "application/json")):
        reader, writer = await asyncio.open_connection("127.0.0.1", store.client.port)
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
        writer.write(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        async with asyncio.timeout(10):
            assert b" 400 " in await reader.readline()
        writer.close()
        await writer.wait_closed()
    assert store.daemon._intake.held_bytes == 0


async def test_what_nobody_answers(make: Make) -> None:
    store = await make()
    await store.add("x")
    for method, path, status in (
        ("POST", "/api/search", 405),
        ("DELETE", "/api/search", 405),
        ("OPTIONS", "/api/search", 405),
        ("TRACE", "/api/search", 405),
        ("OPTIONS", "/_bulk", 405),
        ("GET", "/api/login", 405),
        ("HEAD", "/api/tail", 405),
        ("HEAD", "/api/export", 405),
        ("HEAD", "/api/search", 200),
        ("GET", "/api/nothing", 404),
        ("GET", "/api", 404),
    ):
        answer = await store.client.request(method, path)
        assert answer.status == status, (method, path)
        assert "Access-Control-Allow-Origin" not in answer.headers
        if status == 405:
            assert answer.headers["Allow"]
        if method == "HEAD":
            assert await answer.read() == b""


async def test_what_cannot_be_read_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    logger = _server_log()
    assert _server_log() is logger
    with caplog.at_level(logging.DEBUG):
        for error in (BadHttpMessage("rubbish"), ValueError("ours")):
            logger.error("Error handling request", exc_info=error)
    assert [record.exc_info[1].args for record in caplog.records if record.exc_info] == [("ours",)]  # type: ignore[union-attr]


@pytest.mark.parametrize("endpoint", ["tail", "export"])
async def test_who_takes_nothing_is_cut_off(
    make: Make,
    endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(guard, "_STALLED_SECONDS", 0.3)
    monkeypatch.setattr("logshipper.store.query.embedded._EXPORT_LINES", 10)
    store = await make()
    big = ["x" * 150_000] * 6
    if endpoint == "export":
        for _ in range(10):
            await store.add(*big)
    reader, writer = await asyncio.open_connection("127.0.0.1", store.client.port, limit=1024)
    writer.write(f"GET /api/{endpoint} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await reader.readline()

    def outcomes() -> list[object]:
        events = [event for _, event in store.scope.events.since(0)]
        return [e["outcome"] for e in events if e["event"] == f"{endpoint} answered"]

    try:
        async with asyncio.timeout(20):
            while not outcomes():
                if endpoint == "tail":
                    await store.add(*big)
                await asyncio.sleep(0.05)
    finally:
        writer.transport.abort()
    assert outcomes() == ["left"]
    assert await store.get("/api/whoami")
    # Nobody has to look at that.
    assert [r.message for r in caplog.records if r.levelno >= logging.ERROR] == []
