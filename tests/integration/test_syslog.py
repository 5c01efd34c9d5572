"""The syslog sink into a real rsyslog: over TCP, TLS with certificates on both sides, and UDP."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from logshipper.sinkconfig import SyslogConfig
from tests.logshipper.sending import CONTAINER, PREFIX, Sending
from tests.stack.rsyslog import Rsyslog
from tests.stack.tls import Authority, KeyPair
from wharfinger.errors import Unavailable

pytestmark = pytest.mark.real

TEXTS = ["plain", 'say "hi" [x] \\', "two\nlines", "\N{SNOWMAN} 数据库", "x" * 100_000]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - of a file that another process writes
            await asyncio.sleep(0.02)


async def test_rsyslog_reads_every_field(rsyslog: Rsyslog, tmp_path: Path) -> None:
    sending = Sending(SyslogConfig(address=f"127.0.0.1:{rsyslog.port}", facility=16), tmp_path)
    await sending.deliver(*TEXTS)
    await until(lambda: len(rsyslog.received) >= len(TEXTS))
    assert rsyslog.messages == TEXTS
    first = rsyslog.received[0]
    assert first == {
        "app": "shop",
        "host": "h1",
        "procid": CONTAINER[:12],
        "msgid": "stdout",
        "pri": str(16 * 8 + 6),
        "version": "1",
        "time": "2026-07-01T10:00:07.000000Z",
        "data": f'[wharfinger@32473 id="{PREFIX}0" env="prod" container="{CONTAINER}" '
        'container_name="web" image="shop:1"]',
        "message": "plain",
    }
    await sending.delivery.close()


async def test_what_a_dying_server_did_not_confirm_is_sent_again(
    rsyslog: Rsyslog, tmp_path: Path
) -> None:
    config = SyslogConfig(address=f"127.0.0.1:{rsyslog.port}", request_timeout_seconds=2.0)
    sending = Sending(config, tmp_path)
    await sending.deliver("before")
    await until(lambda: "before" in rsyslog.messages)
    await rsyslog.process.kill()
    delivering = asyncio.create_task(sending.deliver("after"))
    await until(lambda: bool(sending.delivery.trouble))
    assert not delivering.done()
    await rsyslog.start()
    await delivering
    await until(lambda: "after" in rsyslog.messages)
    await sending.delivery.close()


@pytest.mark.parametrize("lines", [200, 4], ids=["beyond our buffers", "within the kernel's"])
async def test_a_server_that_stops_reading_is_not_taken_for_one_that_has_it(
    tmp_path: Path, lines: int
) -> None:
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        config = SyslogConfig(address=address, request_timeout_seconds=0.5)
        sending = Sending(config, tmp_path)
        documents = sending.documents(*["x" * 100_000] * lines)
        delivering = asyncio.create_task(sending.delivery.deliver(documents))
        await until(lambda: "took nothing for 0.5 s" in sending.delivery.trouble)
        delivering.cancel()
        await asyncio.gather(delivering, return_exceptions=True)
        await sending.delivery.close()


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[tuple[Rsyslog, Authority]]:
    authority = Authority(tmp_path / "ca")
    made = Rsyslog(tmp_path / "rsyslog", authority)
    await made.start()
    yield made, authority
    await made.process.terminate()


async def test_tls_with_certificates_on_both_sides(
    guarded: tuple[Rsyslog, Authority], tmp_path: Path
) -> None:
    rsyslog, authority = guarded
    pair = authority.issue("shipper", "shipper")
    config = SyslogConfig(
        address=f"127.0.0.1:{rsyslog.port}",
        transport="tls",
        ca_file=authority.ca_file,
        cert_file=pair.cert_file,
        key_file=pair.key_file,
    )
    sending = Sending(config, tmp_path)
    await sending.deliver(*TEXTS)
    await until(lambda: len(rsyslog.received) >= len(TEXTS))
    assert rsyslog.messages == TEXTS
    await sending.delivery.close()


async def test_a_server_of_another_authority_gets_nothing(
    guarded: tuple[Rsyslog, Authority], tmp_path: Path
) -> None:
    rsyslog, _ = guarded
    stranger = Authority(tmp_path / "stranger", "stranger")
    config = SyslogConfig(
        address=f"127.0.0.1:{rsyslog.port}", transport="tls", ca_file=stranger.ca_file
    )
    sending = Sending(config, tmp_path)
    delivering = asyncio.create_task(sending.deliver("secret"))
    await until(lambda: "certificate verify failed" in sending.delivery.trouble)
    delivering.cancel()
    await asyncio.gather(delivering, return_exceptions=True)
    assert rsyslog.received == []
    await sending.delivery.close()


@contextlib.asynccontextmanager
async def far_away(port: int, delay_seconds: float) -> AsyncIterator[int]:
    """A way to a port of this host that takes so long in either direction; gives its own port."""
    pumping: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(65536):
                    await asyncio.sleep(delay_seconds)
                    writer.write(data)
            await asyncio.sleep(delay_seconds)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_connection("127.0.0.1", port)
        for each in (pump(reader, to_there), pump(there, writer)):
            pumping.add(asyncio.create_task(each))

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for each in pumping:
            each.cancel()
        await asyncio.gather(*pumping, return_exceptions=True)


@pytest.mark.parametrize("delay_seconds", [0.0, 0.4])
@pytest.mark.parametrize("shown", ["nothing", "another authority's"])
async def test_a_server_that_refuses_our_certificate_is_not_taken_for_one_that_has_it(
    guarded: tuple[Rsyslog, Authority], tmp_path: Path, shown: str, delay_seconds: float
) -> None:
    rsyslog, authority = guarded
    pair = Authority(tmp_path / "stranger", "stranger").issue("shipper", "shipper")
    async with far_away(rsyslog.port, delay_seconds) as port:
        config = SyslogConfig(
            address=f"127.0.0.1:{port}",
            transport="tls",
            ca_file=authority.ca_file,
            cert_file=None if shown == "nothing" else pair.cert_file,
            key_file=None if shown == "nothing" else pair.key_file,
        )
        sending = Sending(config, tmp_path)
        for text in TEXTS[:3]:
            with pytest.raises(Unavailable):
                await sending.sink.send(sending.documents(text))
        await sending.delivery.close()
    assert rsyslog.received == []


def guarded_sink(rsyslog: Rsyslog, authority: Authority, *, requests: int = 1) -> SyslogConfig:
    pair = authority.issue("shipper", "shipper")
    return SyslogConfig(
        address=f"127.0.0.1:{rsyslog.port}",
        transport="tls",
        ca_file=authority.ca_file,
        cert_file=pair.cert_file,
        key_file=pair.key_file,
        requests=requests,
    )


def local_ports(port: int) -> set[str]:
    """Of the connections that stand to this port of the host's (proc(5), /proc/net/tcp)."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {each[1] for each in lines if each[2].endswith(f":{port:04X}") and each[3] == "01"}


async def looked(sending: Sending) -> None:
    """As it is looked again and again."""
    assert sending.sink.certificates is not None
    for _ in range(2):
        await sending.sink.certificates.look()


async def test_a_renewed_pair_is_shown_though_the_connection_stands(
    guarded: tuple[Rsyslog, Authority], tmp_path: Path
) -> None:
    rsyslog, authority = guarded
    sending = Sending(guarded_sink(rsyslog, authority), tmp_path)
    await sending.deliver("one")
    before = local_ports(rsyslog.port)
    await looked(sending)
    await sending.deliver("two")
    assert local_ports(rsyslog.port) == before
    authority.issue("shipper", "shipper")
    await looked(sending)
    await sending.deliver("three")
    after = local_ports(rsyslog.port)
    assert len(before) == len(after) == 1
    assert before != after
    await until(lambda: len(rsyslog.received) >= 3)
    assert rsyslog.messages == ["one", "two", "three"]
    await sending.delivery.close()


async def test_a_short_limit_of_a_request_leaves_a_connection_its_time(
    guarded: tuple[Rsyslog, Authority], tmp_path: Path
) -> None:
    rsyslog, authority = guarded
    config = msgspec.structs.replace(guarded_sink(rsyslog, authority), request_timeout_seconds=0.4)
    sending = Sending(config, tmp_path)
    assert (await sending.sink.send(sending.documents("one"))).accepted == 1
    await until(lambda: rsyslog.messages == ["one"])
    await sending.delivery.close()


async def test_a_server_that_begins_no_tls_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logshipper.sinks.syslog.CONNECT_TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        sending = Sending(SyslogConfig(address=address, transport="tls"), tmp_path)
        with pytest.raises(Unavailable, match=r"cannot be reached: no connection within 0.2 s"):
            await sending.sink.send(sending.documents("one"))
        await sending.delivery.close()


async def test_no_line_is_lost_or_doubled_while_pairs_are_renewed(
    guarded: tuple[Rsyslog, Authority], tmp_path: Path
) -> None:
    rsyslog, authority = guarded
    sending = Sending(guarded_sink(rsyslog, authority, requests=3), tmp_path)
    texts = [f"{sender}-{number}" for sender in range(3) for number in range(300)]
    batches = 0

    async def send(sender: int) -> None:
        nonlocal batches
        for begin in range(sender * 300, (sender + 1) * 300, 5):
            documents = sending.documents(*texts[begin : begin + 5], begin=begin)
            assert (await sending.sink.send(documents)).accepted == 5
            batches += 1

    async def renew() -> None:
        for count in (20, 60, 100, 140):
            await until(lambda count=count: batches >= count)
            authority.issue("shipper", "shipper")
            await looked(sending)

    await asyncio.gather(renew(), *(send(sender) for sender in range(3)))
    await until(lambda: len(rsyslog.received) >= len(texts))
    assert sorted(rsyslog.messages) == sorted(texts)
    assert len(local_ports(rsyslog.port)) <= 3
    await sending.delivery.close()


async def test_an_authority_that_is_replaced_on_both_sides_needs_no_signal(
    guarded: tuple[Rsyslog, Authority], tmp_path: Path
) -> None:
    rsyslog, authority = guarded
    config = guarded_sink(rsyslog, authority)
    mine = tmp_path / "mine"
    mine.mkdir()
    files = {key: mine / key for key in ("ca_file", "cert_file", "key_file")}

    def put(ca_file: Path, pair: KeyPair) -> None:
        for path, content in zip(
            files.values(), (ca_file, pair.cert_file, pair.key_file), strict=True
        ):
            path.write_bytes(content.read_bytes())

    put(authority.ca_file, authority.issue("shipper"))
    sending = Sending(replace(config, **files), tmp_path)
    await sending.deliver("before")
    other = Authority(tmp_path / "other", "other")
    theirs = other.issue("syslog", "127.0.0.1")
    for name, content in (
        ("ca.pem", other.ca_file),
        ("syslog.pem", theirs.cert_file),
        ("syslog.key", theirs.key_file),
    ):
        (authority.ca_file.parent / name).write_bytes(content.read_bytes())
    await rsyslog.process.terminate()
    await rsyslog.start()
    delivering = asyncio.create_task(sending.deliver("after"))
    await until(lambda: "certificate verify failed" in sending.delivery.trouble)
    put(other.ca_file, other.issue("shipper"))
    await delivering
    await until(lambda: len(rsyslog.received) >= 2)
    assert rsyslog.messages == ["before", "after"]
    await sending.delivery.close()


async def test_datagrams_carry_what_fits(rsyslog: Rsyslog, tmp_path: Path) -> None:
    config = SyslogConfig(
        address=f"127.0.0.1:{rsyslog.port}", transport="udp", max_datagram_bytes=2000
    )
    sending = Sending(config, tmp_path)
    await sending.deliver("one", "x" * 5000, "two")
    await until(lambda: len(rsyslog.received) == 2)
    assert sorted(rsyslog.messages) == ["one", "two"]
    [letter] = sending.buried
    assert letter["status"] == 413
    assert str(letter["document"]).endswith("x" * 5000)
    await sending.delivery.close()


async def test_nobody_listening_to_datagrams_is_noticed(tmp_path: Path) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    sending = Sending(SyslogConfig(address=address, transport="udp"), tmp_path)
    # The first is answered by ICMP alone; the one behind it fails.
    delivering = asyncio.create_task(sending.deliver(*map(str, range(50))))
    await until(lambda: "refused" in sending.delivery.trouble or delivering.done())
    assert "refused" in sending.delivery.trouble or "sink failing" in str(sending.events.since(0))
    delivering.cancel()
    await asyncio.gather(delivering, return_exceptions=True)
    await sending.delivery.close()
