"""TLS of a listener: what it takes, what it refuses, and another certificate on the way."""

import asyncio
import contextlib
import ssl
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from tests.stack.tls import Authority
from wharfinger import servertls
from wharfinger.errors import ConfigError
from wharfinger.servertls import Replaceable, TlsFiles


def files(folder: Path, authority: Authority, name: str = "server") -> TlsFiles:
    pair = authority.issue(name, "127.0.0.1")
    return TlsFiles(pair.cert_file, pair.key_file, None, "logstore")


@asynccontextmanager
async def echoing(context: ssl.SSLContext) -> AsyncIterator[int]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def name_shown(port: int, trusting: ssl.SSLContext) -> tuple[str, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
    writer.write(b"hello\n")
    try:
        assert await reader.readline() == b"hello\n"
    except BaseException:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        raise
    subject = dict(part[0] for part in writer.get_extra_info("peercert")["subject"])
    return subject["commonName"], writer


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_another_certificate_for_new_connections_only(
    run: Callable[[Coroutine[None, None, None]], None], tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    trusting = ssl.create_default_context(cafile=authority.ca_file)

    async def whole() -> None:
        context = Replaceable(servertls.load(files(tmp_path, authority, "first")))
        async with echoing(context) as port:
            name, old = await name_shown(port, trusting)
            assert name == "first"
            context.latest = servertls.load(files(tmp_path, authority, "second"))
            name, new = await name_shown(port, trusting)
            assert name == "second"
            old.write(b"still there\n")
            await old.drain()
            old.close()
            new.close()

    run(whole())


async def test_who_knows_the_certificate_needs_no_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ours, other = files(tmp_path, authority), files(tmp_path, authority, "other")
    with ours.cert_file.open("a") as chain:
        chain.write(authority.ca_file.read_text())
    async with echoing(servertls.load(ours)) as port:
        name, writer = await name_shown(port, servertls.trusting(ours))
        writer.close()
        assert name == "server"
    async with echoing(servertls.load(other)) as port:
        # Of the same authority, which the chain holds; and yet another one.
        with pytest.raises(ssl.SSLCertVerificationError):
            await name_shown(port, servertls.trusting(ours))
    with pytest.raises(ConfigError, match="cert_file"):
        servertls.trusting(TlsFiles(tmp_path / "none", ours.key_file, None, "logstore"))


async def test_nothing_below_tls_1_2(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    old = ssl.create_default_context(cafile=authority.ca_file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with echoing(Replaceable(servertls.load(files(tmp_path, authority)))) as port:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await name_shown(port, old)
        new = ssl.create_default_context(cafile=authority.ca_file)
        new.maximum_version = ssl.TLSVersion.TLSv1_2
        (await name_shown(port, new))[1].close()


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    good = files(tmp_path, authority)
    other = files(tmp_path, authority, "other")
    (tmp_path / "rubbish").write_text("no certificate\n")
    bad = (
        (TlsFiles(good.cert_file, other.key_file, None, "logstore"), "do not belong together"),
        (TlsFiles(tmp_path / "none", good.key_file, None, "logstore"), "No such file"),
        (TlsFiles(tmp_path / "rubbish", good.key_file, None, "logstore"), "cert_file"),
        (
            TlsFiles(good.cert_file, good.key_file, tmp_path / "rubbish", "logstore"),
            "client_ca_file",
        ),
    )
    for given, problem in bad:
        with pytest.raises(ConfigError, match=problem):
            servertls.load(given)


def test_half_a_certificate_is_refused(tmp_path: Path) -> None:
    good = files(tmp_path, Authority(tmp_path))
    half = good.cert_file.read_bytes()[:200]
    (tmp_path / "half").write_bytes(half)
    with pytest.raises(ConfigError, match="half"):
        servertls.load(TlsFiles(tmp_path / "half", good.key_file, None, "logstore"))


async def test_certificates_of_clients(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "a"), Authority(tmp_path / "b")
    pair = ours.issue("server", "127.0.0.1")
    context = servertls.load(TlsFiles(pair.cert_file, pair.key_file, ours.ca_file, "logstore"))
    async with echoing(context) as port:
        for authority, good in ((ours, True), (theirs, False)):
            client = authority.issue("client")
            trusting = ssl.create_default_context(cafile=ours.ca_file)
            trusting.load_cert_chain(client.cert_file, client.key_file)
            if good:
                (await name_shown(port, trusting))[1].close()
                continue
            with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
                await name_shown(port, trusting)
