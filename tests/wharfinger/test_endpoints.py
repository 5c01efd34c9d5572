"""What operations tail, over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from blockbuster import BlockBuster
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from wharfinger.endpoints import Endpoints, serving
from wharfinger.errors import ConfigError
from wharfinger.events import Events
from wharfinger.health import Health
from wharfinger.operator.parts.process import free_port, until


class Served:
    """Endpoints with what stands behind them."""

    def __init__(self) -> None:
        self.events = Events(kept=10)
        self.health = Health(self.events)
        self.metrics = CollectorRegistry()
        self.ready = self.started = True
        self.status: Callable[[], dict[str, Any]] = lambda: {"held": 3}
        self.address = f"127.0.0.1:{free_port()}"
        self.application = web.Application()
        endpoints = Endpoints(
            "registrar",
            health=self.health,
            events=self.events,
            metrics=self.metrics,
            status=self.current_status,
            ready=lambda: self.ready,
            started=lambda: self.started,
        )
        self.application.add_routes(endpoints.routes())

    def current_status(self) -> dict[str, Any]:
        return self.status()


@pytest.fixture
async def served(unblocked: BlockBuster) -> AsyncIterator[Served]:
    served = Served()
    async with serving(served.address, served.application):
        yield served


@pytest.fixture
async def client(served: Served) -> AsyncIterator[aiohttp.ClientSession]:
    limit = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(f"http://{served.address}", timeout=limit) as session:
        yield session


async def answer(client: aiohttp.ClientSession, path: str) -> tuple[int, dict[str, Any]]:
    async with client.get(path) as response:
        assert response.content_type == "application/json"
        assert response.headers["Cache-Control"] == "no-store"
        return response.status, json.loads(await response.read())


async def raw(served: Served, request: bytes) -> bytes:
    host, _, port = served.address.rpartition(":")
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request)
        found = await reader.read(65536)
        writer.close()
    return found


async def handlers_gone(count: int) -> None:
    async def gone() -> bool:
        return len(asyncio.all_tasks()) <= count

    await until(gone, timeout_seconds=10, what="the handler's task ends")


async def test_healthz_names_each_check_and_why(
    served: Served, client: aiohttp.ClientSession
) -> None:
    served.health.check("etcd").ok("3 members")
    served.health.check("docker").fail("refused \x1b[31m")
    status, body = await answer(client, "/healthz")
    assert status == 503
    assert body["healthy"] is False
    assert body["why"] == "docker: refused \x1b[31m"
    assert [(c["name"], c["healthy"], c["why"]) for c in body["checks"]] == [
        ("etcd", True, "3 members"),
        ("docker", False, "refused \x1b[31m"),
    ]
    served.health.check("docker").ok()
    status, body = await answer(client, "/healthz")
    assert (status, body["healthy"], body["daemon"]) == (200, True, "registrar")


async def test_healthz_is_red_while_starting_even_without_checks(
    served: Served, client: aiohttp.ClientSession
) -> None:
    served.started = False
    status, body = await answer(client, "/healthz")
    assert (status, body["healthy"]) == (503, False)
    assert body["why"].startswith("start-up is not complete")


async def test_readyz(served: Served, client: aiohttp.ClientSession) -> None:
    assert await answer(client, "/readyz") == (200, {"ready": True, "why": ""})
    served.health.check("etcd").fail("down")
    assert await answer(client, "/readyz") == (503, {"ready": False, "why": "etcd: down"})
    served.ready = False
    status, body = await answer(client, "/readyz")
    assert (status, body["ready"]) == (503, False)
    assert "start-up" in body["why"]


async def test_metrics_can_be_parsed(served: Served, client: aiohttp.ClientSession) -> None:
    counter = Counter("wharfinger_x", "X.", ["why"], registry=served.metrics)
    counter.labels('hostile "\n\\').inc(2)
    async with client.get("/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        families = list(text_string_to_metric_families(await response.text()))
    (sample,) = [s for f in families for s in f.samples if s.name == "wharfinger_x_total"]
    assert (sample.labels["why"], sample.value) == ('hostile "\n\\', 2.0)


async def test_status_of_hostile_text_is_json_on_harmless_lines(
    served: Served, client: aiohttp.ClientSession
) -> None:
    served.status = lambda: {"name": "\udcff\x9b\u202e", "set": {1}, "at": datetime.now(UTC)}
    async with client.get("/status") as response:
        text = await response.text()
    assert all(line.isprintable() for line in text.split("\n"))
    assert json.loads(text)["name"] == "\\udcff\x9b\u202e"


async def test_a_status_that_fails_is_an_error_and_the_rest_goes_on(
    served: Served, client: aiohttp.ClientSession
) -> None:
    served.status = dict[str, Any]().popitem  # type: ignore[assignment]
    async with client.get("/status") as response:
        assert response.status == 500
    assert (await answer(client, "/healthz"))[0] == 200


class TestEvents:
    async def lines(
        self, client: aiohttp.ClientSession, since: str, count: int
    ) -> list[dict[str, Any]]:
        async with client.get(f"/events{since}") as response:
            assert response.status == 200
            assert response.content_type == "application/x-ndjson"
            return [json.loads(await response.content.readline()) for _ in range(count)]

    async def test_stays_open_and_brings_what_comes(
        self, served: Served, client: aiohttp.ClientSession
    ) -> None:
        served.events.emit("one")
        async with client.get("/events") as response:
            assert json.loads(await response.content.readline())["event"] == "one"
            served.events.emit("two", why="line\nbreak\u2028\udcff")
            line = await response.content.readline()
            assert json.loads(line)["why"] == "line\nbreak\u2028\\udcff"

    async def test_since_a_number(self, served: Served, client: aiohttp.ClientSession) -> None:
        for _ in range(5):
            served.events.emit("x")
        assert [e["seq"] for e in await self.lines(client, "?since=3", 2)] == [4, 5]
        assert [e["seq"] for e in await self.lines(client, "?since=999", 1)] == [1]
        assert [e["seq"] for e in await self.lines(client, f"?since={'9' * 18}", 1)] == [1]

    @pytest.mark.parametrize(
        "form", ["{:%Y-%m-%dT%H:%M:%SZ}", "{:%Y-%m-%dt%H:%M:%Sz}", "{:%Y-%m-%dT%H:%M:%S+00:00}",
                 "{:%Y-%m-%dT%H:%M:%S%%2B00:00}", "{:%Y-%m-%dT%H:%M:%S.000001+00:00}"],
    )  # fmt: skip
    async def test_since_a_time(
        self, served: Served, client: aiohttp.ClientSession, form: str
    ) -> None:
        served.events.emit("old")
        past = datetime.now(UTC) - timedelta(hours=1)
        assert (await self.lines(client, f"?since={form.format(past)}", 1))[0]["event"] == "old"
        future = datetime.now(UTC) + timedelta(hours=1)
        async with client.get(f"/events?since={form.format(future)}") as response:
            assert response.status == 200
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await response.content.readline()

    async def test_since_a_time_that_the_ring_has_lost(
        self, served: Served, client: aiohttp.ClientSession
    ) -> None:
        for _ in range(30):
            served.events.emit("x")
        events = await self.lines(client, "?since=2020-01-01T00:00:00Z", 11)
        assert (events[0]["event"], events[0]["missed"]) == ("gap", 20)

    @pytest.mark.parametrize(
        "since", ["-1", "x", "1.5", "0x1", "%D9%A1", "2020-01-01T00:00:00", "2020-01-01",
                  "9" * 5000, "2020-13-01T00:00:00Z", "%00", "%0A1", "1%0A",
                  "99999-01-01T00:00:00Z"],
    )  # fmt: skip
    async def test_since_nonsense(self, client: aiohttp.ClientSession, since: str) -> None:
        status, body = await answer(client, f"/events?since={since}")
        assert status == 400
        assert "RFC 3339" in body["error"]

    @pytest.mark.parametrize("since", ["9999-12-31T23:59:59-23:00", "0001-01-01T00:00:00%2B23:00"])
    async def test_times_at_the_ends_of_the_calendar(
        self, served: Served, client: aiohttp.ClientSession, since: str
    ) -> None:
        served.events.emit("x")
        async with client.get(f"/events?since={since}") as response:
            assert response.status == 200
            if since.startswith("0"):
                assert await response.content.readline()

    async def test_a_reader_that_went_away_leaves_no_task(
        self, served: Served, client: aiohttp.ClientSession
    ) -> None:
        served.events.emit("x")
        before = len(asyncio.all_tasks())
        host, _, port = served.address.rpartition(":")
        for _ in range(5):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b'"seq"')
            writer.transport.abort()
        await handlers_gone(before)

    async def test_a_reader_that_does_not_read_slows_nobody(self, served: Served) -> None:
        host, _, port = served.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(20):
            for _ in range(5_000):
                served.events.emit("x", text="y" * 1_500)
                await asyncio.sleep(0)
        writer.transport.abort()

    async def test_head_ends(self, client: aiohttp.ClientSession) -> None:
        async with client.head("/events") as response:
            assert response.status == 405


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /../../etc/passwd HTTP/1.1",
        b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1",
        b"GET //healthz HTTP/1.1",
        b"GET /healthz/ HTTP/1.1",
        b"GET /\xff\xfe HTTP/1.1",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1",
        b"POST /healthz HTTP/1.1",
        b"DELETE /status HTTP/1.1",
        b"\x16\x03\x01 TLS",
    ],
)
async def test_hostile_requests_get_an_error_and_harm_nothing(
    served: Served, client: aiohttp.ClientSession, request_line: bytes
) -> None:
    found = await raw(served, request_line + b"\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    assert found.startswith(b"HTTP/1.")
    assert found.split(b" ")[1] in {b"400", b"404", b"405"}
    assert b"root:" not in found
    assert (await answer(client, "/healthz"))[0] == 200


@pytest.mark.parametrize("host", [b"", b"a b", b"x\x00", b"[::1", b"%0d%0a", b"evil.example:99999"])
async def test_hostile_host_headers(
    served: Served, client: aiohttp.ClientSession, host: bytes
) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
    assert (await raw(served, request)).split(b" ")[1] in {b"200", b"400"}
    assert (await answer(client, "/healthz"))[0] == 200


class TestServing:
    async def test_a_port_in_use_is_a_finding(self, served: Served) -> None:
        with pytest.raises(ConfigError) as refused:
            async with serving(served.address, web.Application()):
                pass
        told = str(refused.value)
        assert told.startswith(f"{served.address}: cannot listen there")
        assert "in use" in told
        assert "another process holds it" in told

    @pytest.mark.parametrize(
        "address",
        ["192.0.2.1:7201", "no.such.host.invalid:7201", f"{'a' * 64}.example:1", "7201", "x:0",
         "::1:80"],
    )  # fmt: skip
    async def test_addresses_that_cannot_be(self, address: str) -> None:
        with pytest.raises(ConfigError):
            async with serving(address, web.Application()):
                pass

    async def test_an_end_does_not_wait_for_streams(self) -> None:
        served = Served()
        host, _, port = served.address.rpartition(":")
        before = len(asyncio.all_tasks())
        async with asyncio.timeout(10):
            async with serving(served.address, served.application):
                _, writer = await asyncio.open_connection(host, int(port))
                writer.write(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
                served.events.emit("x")
                await asyncio.sleep(0)
            writer.close()
        await handlers_gone(before)
        async with serving(served.address, web.Application()):
            pass  # the port is free again at once
