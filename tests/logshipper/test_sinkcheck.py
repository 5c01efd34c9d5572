"""What `check` says of sinks over TLS: certificates of both sides, their ends, who signed them."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from logshipper import cli, sinkcheck
from logshipper.config import Config, LogshipperConfig
from logshipper.sinkconfig import AnySink, BulkConfig, FileConfig, KafkaConfig, SyslogConfig
from logshipper.sinks.catalogue import make
from logshipper.sinks.reach import Untrusted
from logshipper.sinks.trust import distrust
from tests.stack.tls import Authority, KeyPair
from wharfinger.errors import Finding

NAME = "logshipper.sinks.main"


def showing(
    pair: KeyPair, clients: Authority | None, version: ssl.TLSVersion | None
) -> ssl.SSLContext:
    """What a server shows, and wants to see."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert_file, pair.key_file)
    if clients is not None:
        context.load_verify_locations(clients.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    if version is not None:
        context.maximum_version = version
    return context


@asynccontextmanager
async def saying_why(
    pair: KeyPair, *, clients: Authority, version: ssl.TLSVersion
) -> AsyncIterator[int]:
    """A server that says in an alert whom it does not want; gives its port."""
    context = showing(pair, clients, version)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):  # the listener is shut
            while True:
                taken, _ = listener.accept()
                with (
                    taken,
                    contextlib.suppress(OSError),
                    context.wrap_socket(taken, server_side=True) as spoken,
                ):
                    spoken.recv(1)

    serving = asyncio.create_task(asyncio.to_thread(serve))
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        await serving


@asynccontextmanager
async def listening(
    pair: KeyPair | None, *, clients: Authority | None = None, version: ssl.TLSVersion | None = None
) -> AsyncIterator[int]:
    """A server that takes connections and says nothing; gives its port."""
    context = None if pair is None else showing(pair, clients, version)

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if context is None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        try:
            await reader.read()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def sink(port: int, authority: Authority, pair: KeyPair | None = None) -> BulkConfig:
    return BulkConfig(
        url=f"https://127.0.0.1:{port}",
        ca_file=authority.ca_file,
        cert_file=pair.cert_file if pair else None,
        key_file=pair.key_file if pair else None,
    )


def told(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(each.where.removeprefix(NAME), each.problem) for each in findings]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.parametrize(
    ("left", "ended", "ending"),
    [
        (timedelta(hours=20), False, False),
        (timedelta(minutes=12), False, True),
        (timedelta(minutes=5), False, True),
        (timedelta(hours=-2), True, False),
    ],
    ids=["good", "soon", "near", "ended"],
)
async def test_a_certificate_that_has_ended_is_a_finding_and_before_that_a_remark(
    authority: Authority, left: timedelta, ended: bool, ending: bool
) -> None:
    pair = authority.issue("box", ends=datetime.now(UTC) + left)
    # The server asks for none: it lets it pass, until it asks.
    async with listening(authority.issue("server", "127.0.0.1")) as port:
        config = sink(port, authority, pair)
        found = told(await sinkcheck.findings(config))
    said = told(list(cli.remarks(Config(logshipper=LogshipperConfig(sinks=(config,))))))
    assert [where for where, _ in found] == [".cert_file"] * ended
    assert all(problem.startswith(f"{pair.cert_file} ended at 2") for _, problem in found)
    assert [where for where, _ in said] == [".cert_file"] * ending
    assert all(problem.startswith(f"{pair.cert_file} ends at 2") for _, problem in said)


async def test_one_that_lives_long_is_told_of_for_two_weeks(authority: Authority) -> None:
    for days, count in ((15, 0), (13, 1)):
        now = datetime.now(UTC)
        pair = authority.issue("box", begins=now - timedelta(days=80), ends=now + timedelta(days))
        assert len(sinkcheck.remarks(sink(1, authority, pair))) == count


async def test_a_server_whose_certificate_has_ended_is_told(authority: Authority) -> None:
    pair = authority.issue("server", "127.0.0.1", ends=datetime.now(UTC) - timedelta(hours=1))
    async with listening(pair) as port:
        (found,) = await sinkcheck.findings(sink(port, authority))
    assert (found.where, found.problem) == (
        NAME, f"https://127.0.0.1:{port}: its certificate has ended",
    )  # fmt: skip
    assert found.fix == "renew it there"


@pytest.mark.parametrize("kind", ["bulk", "syslog", "kafka"])
async def test_a_server_whose_certificate_ends_soon_is_a_remark(
    authority: Authority, kind: str
) -> None:
    for left, count in ((timedelta(hours=20), 0), (timedelta(minutes=12), 1)):
        pair = authority.issue("server", "127.0.0.1", ends=datetime.now(UTC) + left)
        async with listening(pair) as port:
            config: AnySink = sink(port, authority)
            address, ca = f"127.0.0.1:{port}", authority.ca_file
            if kind == "syslog":
                config = SyslogConfig(address=address, transport="tls", ca_file=ca)
            if kind == "kafka":
                config = KafkaConfig(servers=(address,), tls=True, ca_file=ca)
            assert await sinkcheck.findings(config) == []
            said = await cli.seen(Config(logshipper=LogshipperConfig(sinks=(config,))))
        assert [each.where for each in said] == [NAME] * count
        assert all(
            each.problem.startswith(f"the certificate of {address} ends at 2") for each in said
        )
    assert await sinkcheck.seen(config) == []  # nobody is there any more


async def test_files_that_cannot_be_used_are_told_once(authority: Authority) -> None:
    box, other = authority.issue("box"), authority.issue("other")
    config = sink(1, authority, KeyPair(box.cert_file, other.key_file))
    assert len(await sinkcheck.findings(config)) == 1
    assert await sinkcheck.seen(config) == []


@pytest.mark.parametrize("kind", ["bulk", "syslog"])
async def test_a_ca_that_has_not_signed_the_server_s_certificate_is_told(
    authority: Authority, tmp_path: Path, kind: str
) -> None:
    other = Authority(tmp_path / "other", "other")
    async with listening(authority.issue("server", "127.0.0.1")) as port:
        config: AnySink = sink(port, other)
        if kind == "syslog":
            address = f"127.0.0.1:{port}"
            config = SyslogConfig(address=address, transport="tls", ca_file=other.ca_file)
        ((where, problem),) = told(await sinkcheck.findings(config))
        assert await sinkcheck.findings(sink(port, authority)) == []
    assert where == ".ca_file"
    assert problem.endswith(": its certificate is not signed by the CA that is trusted")


async def test_a_server_with_another_name_is_told(authority: Authority) -> None:
    async with listening(authority.issue("server", "logs.example.org")) as port:
        ((where, problem),) = told(await sinkcheck.findings(sink(port, authority)))
    assert (where, problem.endswith("its certificate is for other names")) == ("", True)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("alerts", [True, False])
async def test_a_server_that_wants_a_certificate_is_heard(
    authority: Authority, tmp_path: Path, version: ssl.TLSVersion, alerts: bool
) -> None:
    other = Authority(tmp_path / "other", "other")
    server = authority.issue("server", "127.0.0.1")
    # asyncio's own servers end a connection without the alert that says why.
    serving = saying_why if alerts else listening
    async with serving(server, clients=authority, version=version) as port:
        ended = authority.issue("ended", ends=datetime.now(UTC) - timedelta(hours=2))
        for pair in (None, other.issue("box"), ended):
            ((where, problem),) = told(await sinkcheck.findings(sink(port, authority, pair)))
            assert where == ".cert_file"
            assert ("ends the connection" in problem) == (not alerts and pair is not ended)
        assert await sinkcheck.findings(sink(port, authority, authority.issue("box"))) == []


async def test_a_renewed_certificate_is_taken_up_by_a_probe(authority: Authority) -> None:
    server = authority.issue("server", "127.0.0.1")
    pair = authority.issue("box", ends=datetime.now(UTC) - timedelta(hours=2))
    async with listening(server, clients=authority, version=ssl.TLSVersion.TLSv1_3) as port:
        idle = make(sink(port, authority, pair))
        with pytest.raises(Untrusted):
            await idle.reach()
        assert authority.issue("box") == pair  # the same files
        await idle.reach()
        await idle.close()


@pytest.mark.parametrize(
    ("reason", "key"),
    [
        ("SSLV3_ALERT_CERTIFICATE_UNKNOWN", "cert_file"),
        ("SSLV3_ALERT_UNSUPPORTED_CERTIFICATE", "cert_file"),
        ("TLSV1_ALERT_UNKNOWN_CA", "cert_file"),
        ("WRONG_VERSION_NUMBER", ""),
        ("TLSV1_ALERT_INTERNAL_ERROR", None),
    ],
)
def test_an_alert_tells_whose_fault_it_is(reason: str, key: str | None) -> None:
    error = ssl.SSLError(1, reason)
    error.reason = reason
    found = distrust(error)
    assert (found and found.key) == key


async def test_a_key_that_is_another_s_or_not_there_is_named(
    authority: Authority, tmp_path: Path
) -> None:
    box, other = authority.issue("box"), authority.issue("other")
    ((where, problem),) = told(
        await sinkcheck.findings(sink(1, authority, KeyPair(box.cert_file, other.key_file)))
    )
    assert where == ".key_file"
    assert problem == f"{other.key_file} is not the key of {box.cert_file}"
    for pair, key in (
        (KeyPair(box.cert_file, tmp_path / "none"), ".key_file"),
        (KeyPair(tmp_path / "none", box.key_file), ".cert_file"),
    ):
        ((where, problem),) = told(await sinkcheck.findings(sink(1, authority, pair)))
        assert (where, problem) == (key, f"{tmp_path}/none cannot be read")
    ((where, problem),) = told(
        await sinkcheck.findings(sink(1, authority, KeyPair(box.key_file, box.key_file)))
    )
    assert where == ".cert_file"


def test_a_certificate_without_its_key_is_no_configuration(authority: Authority) -> None:
    config = BulkConfig(cert_file=authority.issue("box").cert_file)
    (found,) = config.problems()
    assert (found.where, found.problem) == ("cert_file", "stands without key_file")


async def test_a_server_without_tls_is_told(authority: Authority) -> None:
    async with listening(None) as port:
        ((where, problem),) = told(await sinkcheck.findings(sink(port, authority)))
    assert (where, problem.endswith("it does not speak TLS")) == ("", True)


async def test_nothing_is_said_where_there_is_no_tls(tmp_path: Path) -> None:
    config = FileConfig(path=tmp_path / "out")
    assert (await sinkcheck.findings(config), sinkcheck.remarks(config)) == ([], [])
