"""The certificates of a sink while it runs: renewed ones are used, both sides' ends are told."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp import web

from logshipper import sinkcertificates
from logshipper.sinkcertificates import Watch
from logshipper.sinkconfig import AnySink, BulkConfig, FileConfig, JsonlineConfig, SyslogConfig
from logshipper.sinks.catalogue import make
from logshipper.sinks.certificates import Certificates
from tests.logshipper.sending import Sending
from tests.stack.tls import Authority, KeyPair
from wharfinger.errors import ConfigError
from wharfinger.events import Events
from wharfinger.health import Health


class Server:
    """Takes JSON lines over TLS; knows which certificate came with each request."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._context = ssl.create_default_context(
            ssl.Purpose.CLIENT_AUTH, cafile=authority.ca_file
        )
        self._context.verify_mode = ssl.CERT_REQUIRED
        self.show()
        self.shown: list[str] = []
        self.connections: set[object] = set()

    def show(self, ends: datetime | None = None) -> None:
        """Another certificate, to whoever connects from now on."""
        pair = self._authority.issue("server", "127.0.0.1", ends=ends)
        self._context.load_cert_chain(pair.cert_file, pair.key_file)

    async def start(self) -> int:
        application = web.Application()
        application.router.add_post("/", self._take)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._context)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        self.connections.add(request.transport)
        self.shown.append(request.transport.get_extra_info("peercert")["serialNumber"])
        await request.read()
        return web.Response()


class Watched:
    """A sink of a server that asks for certificates, and the watch over its own."""

    def __init__(self, config: AnySink, folder: Path) -> None:
        self.now = 0.0
        self.events = Events()
        self.health = Health(self.events)
        self.sending = Sending(config, folder)
        assert self.sending.sink.certificates is not None
        self.watch = Watch(
            "main",
            self.sending.sink,
            self.sending.sink.certificates,
            check=self.health.check("files"),
            expiry=self.health.check("expiry"),
            events=self.events,
            clock=lambda: self.now,
        )

    async def look(self) -> None:
        """Often enough for what has changed to have settled."""
        for _ in range(2):
            await self.watch.look()

    def reported(self, name: str) -> tuple[bool, str]:
        (check,) = [each for each in self.health.report().checks if each.name == name]
        return check.healthy, check.why

    def told(self, event: str) -> int:
        return str(self.events.since(0)).count(event)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def server(authority: Authority) -> AsyncIterator[Server]:
    made = Server(authority)
    yield made
    await made.stop()


def sink(port: int, authority: Authority, pair: KeyPair) -> JsonlineConfig:
    return JsonlineConfig(
        url=f"https://127.0.0.1:{port}/",
        ca_file=authority.ca_file,
        cert_file=pair.cert_file,
        key_file=pair.key_file,
    )


async def test_a_connection_that_is_kept_alive_is_left_for_a_renewed_pair(
    authority: Authority, server: Server, tmp_path: Path
) -> None:
    pair = authority.issue("box")
    watched = Watched(sink(await server.start(), authority, pair), tmp_path)
    await watched.sending.deliver("one")
    await watched.look()
    await watched.sending.deliver("two")
    assert (len(server.connections), len(set(server.shown))) == (1, 1)
    assert authority.issue("box") == pair  # the same files
    await watched.look()
    await watched.sending.deliver("three")
    await watched.look()
    await watched.sending.deliver("four")
    assert (len(server.connections), len(set(server.shown))) == (2, 2)
    assert watched.told("certificates read again") == 1
    await watched.sending.delivery.close()


@pytest.mark.parametrize("torn", ["key", "certificate", "authority", "gone"])
async def test_what_cannot_be_used_is_told_once_and_the_old_serves_on(
    authority: Authority, server: Server, tmp_path: Path, torn: str
) -> None:
    pair = authority.issue("box")
    watched = Watched(sink(await server.start(), authority, pair), tmp_path)
    await watched.look()
    path = {"certificate": pair.cert_file, "authority": authority.ca_file}.get(torn, pair.key_file)
    whole = path.read_bytes()
    if torn == "gone":
        path.unlink()
    else:
        path.write_bytes(whole[: len(whole) // 2])
    for _ in range(3):
        await watched.look()
        await watched.sending.deliver("one")
    assert len(set(server.shown)) == 1
    healthy, why = watched.reported("files")
    assert not healthy
    assert why.startswith("refused, what was read before is kept: logshipper.sinks.main.")
    assert watched.told("check unhealthy") == 1
    status: Any = watched.sending.delivery.certificates
    assert status["trouble"] == why
    with pytest.raises(ConfigError):
        watched.sending.sink.refresh()
    path.write_bytes(whole)
    await watched.look()
    assert watched.reported("files") == (True, "")
    await watched.sending.deliver("two")
    assert len(set(server.shown)) == 1  # the same pair again
    await watched.sending.delivery.close()


async def test_a_reload_without_another_file_leaves_connections_alone(
    authority: Authority, server: Server, tmp_path: Path
) -> None:
    pair = authority.issue("box")
    watched = Watched(sink(await server.start(), authority, pair), tmp_path)
    await watched.sending.deliver("one")
    watched.sending.sink.refresh()
    await watched.sending.deliver("two")
    assert len(server.connections) == 1
    authority.issue("box")
    watched.sending.sink.refresh()
    await watched.sending.deliver("three")
    await watched.look()
    await watched.sending.deliver("four")
    assert len(server.connections) == 2
    await watched.sending.delivery.close()


@pytest.mark.parametrize("side", ["ours", "theirs"])
async def test_an_end_is_told_before_it_comes_and_green_with_another(
    authority: Authority, server: Server, tmp_path: Path, side: str
) -> None:
    pair = authority.issue("box")
    port = await server.start()
    watched = Watched(sink(port, authority, pair), tmp_path)
    whose = (
        f"cert_file {pair.cert_file}" if side == "ours" else f"the certificate of 127.0.0.1:{port}"
    )

    async def with_end_in(left: timedelta) -> tuple[bool, str]:
        ends = datetime.now(UTC) + left
        if side == "ours":
            authority.issue("box", ends=ends)
        else:
            server.show(ends)
        watched.now += sinkcertificates.ASK_SECONDS
        await watched.look()
        return watched.reported("expiry")

    assert await with_end_in(timedelta(hours=20)) == (True, "")
    healthy, why = await with_end_in(timedelta(minutes=12))
    assert healthy
    assert why.startswith(f"{whose} ends at ")
    healthy, why = await with_end_in(timedelta(minutes=5))
    assert not healthy
    assert why.startswith(f"{whose} ends at ")
    status: Any = watched.sending.delivery.certificates
    assert set(status["ends"]) == {
        f"cert_file {pair.cert_file}", f"the certificate of 127.0.0.1:{port}",
    }  # fmt: skip
    # Of one that ends soon it is asked again within a minute, not within an hour.
    (authority.issue if side == "ours" else lambda _name: server.show())("box")
    watched.now += sinkcertificates.ASK_AGAIN_SECONDS
    await watched.look()
    assert watched.reported("expiry") == (True, "")
    await watched.sending.delivery.close()


async def test_one_that_has_ended_on_a_connection_that_stands_is_red(
    authority: Authority, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(sink(await server.start(), authority, authority.issue("box")), tmp_path)
    await watched.sending.sink.reach()

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Later":
            return super().now(tz) + timedelta(days=2)

    monkeypatch.setattr(sinkcertificates, "datetime", Later)
    await watched.look()
    healthy, why = watched.reported("expiry")
    assert not healthy
    assert why.count(" ended at ") == 2
    await watched.sending.delivery.close()


async def test_the_authorities_of_the_host_are_read_again_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))

    def trusted() -> set[str]:
        return {str(each["serialNumber"]) for each in certificates.latest.get_ca_certs()}

    bundle.write_bytes(Authority(tmp_path / "a").ca_file.read_bytes())
    certificates = Certificates(SyslogConfig(transport="tls"))
    before = trusted()
    assert len(before) == 1
    bundle.write_bytes(Authority(tmp_path / "b", "another").ca_file.read_bytes())
    for _ in range(2):
        await certificates.look()
    assert len(trusted()) == 1
    assert trusted() != before


async def test_a_server_that_is_away_is_not_asked_in_a_hurry(
    authority: Authority, server: Server, tmp_path: Path
) -> None:
    port = await server.start()
    await server.stop()
    watched = Watched(sink(port, authority, authority.issue("box")), tmp_path)
    watched.now += sinkcertificates.ASK_SECONDS
    await watched.look()
    assert watched.reported("expiry") == (True, "")
    assert watched.reported("files") == (True, "")


async def test_what_a_server_shows_is_read_on_the_loop_that_the_daemon_has(
    authority: Authority,
) -> None:
    def whole() -> list[str]:
        async def reached() -> list[str]:
            server = Server(authority)
            config = sink(await server.start(), authority, authority.issue("box"))
            made = make(config)
            await made.reach()
            assert made.certificates is not None
            await made.close()
            await server.stop()
            return [end.whose for end in made.certificates.ends()]

        return uvloop.run(reached())

    ours, theirs = await asyncio.to_thread(whole)
    assert ours.startswith("cert_file ")
    assert theirs.startswith("the certificate of 127.0.0.1:")


@pytest.mark.parametrize(
    "config",
    [
        BulkConfig(),
        SyslogConfig(address="127.0.0.1:514", transport="tcp"),
        SyslogConfig(address="127.0.0.1:514", transport="udp"),
        FileConfig(path=Path("/nowhere/log")),
    ],
)
def test_there_are_none_without_tls(config: AnySink) -> None:
    assert make(config).certificates is None
