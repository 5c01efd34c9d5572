"""The sinks that touch sockets and descriptors themselves, on the loop that the daemon has."""

import asyncio
import os
import ssl
from pathlib import Path

import uvloop

from logshipper.sinkconfig import StdoutConfig, SyslogConfig
from logshipper.sinks.stdout import Stdout
from tests.logshipper.sending import FIELDS, Sending, encoded
from tests.stack.tls import Authority


def test_stdout() -> None:
    async def whole() -> None:
        reader, writer = os.pipe()
        sink = Stdout(StdoutConfig(request_timeout_seconds=60), writer)
        documents = encoded(sink.encoding.compile(FIELDS), ["x" * 1000] * 500)
        sending = asyncio.create_task(sink.send(documents))
        wanted, got = len(b"".join(documents)), 0
        while got < wanted:
            got += len(await asyncio.to_thread(os.read, reader, 65536))
        assert (await sending).accepted == 500
        await sink.close()
        os.close(reader)
        os.close(writer)

    uvloop.run(whole())


def test_syslog_over_tcp_and_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    pair = authority.issue("server", "127.0.0.1")
    guarded = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    guarded.load_cert_chain(pair.cert_file, pair.key_file)

    async def whole(transport: str) -> None:
        got = bytearray()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(65536):
                got.extend(data)
            writer.close()

        context = guarded if transport == "tls" else None
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        config = SyslogConfig(
            address=f"127.0.0.1:{port}",
            transport=transport,  # type: ignore[arg-type]
            ca_file=authority.ca_file,
        )
        sending = Sending(config, tmp_path)
        await sending.deliver(*("x" * 10_000 for _ in range(200)))
        await sending.delivery.deliver(sending.documents("last", begin=9999))
        async with asyncio.timeout(60):
            while not got.endswith(b"last"):  # noqa: ASYNC110 - of a connection in this loop
                await asyncio.sleep(0.01)
        assert got.count(b"x" * 10_000) == 200
        await sending.delivery.close()
        server.close()
        await server.wait_closed()

    for transport in ("tcp", "tls"):
        uvloop.run(whole(transport))
