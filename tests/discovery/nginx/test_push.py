"""The push socket's other side: hangs, lies, goes away in the middle."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from discovery.nginx.push import PushSocket, Told
from wharfinger.errors import Conflict, Rejected, Unavailable
from wharfinger.operator.parts.process import until

TOLD = b"5 0123456789abcdef 101 100\n"
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def reply(text: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(text), text)


@contextlib.asynccontextmanager
async def served(answer: Answer, timeout_seconds: float = 5.0) -> AsyncIterator[PushSocket]:
    with tempfile.TemporaryDirectory(prefix="wf-", dir="/tmp") as name:
        path = Path(name) / "push.sock"
        taken: list[asyncio.StreamWriter] = []

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            taken.append(writer)
            with contextlib.suppress(OSError, EOFError):
                await answer(reader, writer)

        server = await asyncio.start_unix_server(take, path)
        socket = PushSocket(path, timeout_seconds=timeout_seconds)
        yield socket
        socket.close()
        server.close()
        for writer in taken:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def test_it_keeps_its_connection_and_makes_another_when_that_is_gone() -> None:
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply(TOLD))
        await writer.drain()
        writer.close()

    async def all_taken() -> bool:
        return connections == 3

    async with served(answer) as socket:
        for _ in range(4):
            assert await socket.state() == Told(5, "0123456789abcdef", 101, 100)
        assert connections == 2
        assert await socket.closed(within_seconds=5)
        assert not await socket.refused()
        await until(all_taken, timeout_seconds=20, what="the third connection is taken")


@pytest.mark.parametrize(
    "text",
    [
        b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", reply(b"hello\n"), reply(b""),
        reply(b"x" * 80_000), reply(b"5 0123 1 1\n"), reply(b"-5 0123456789abcdef 1 1\n"),
        reply(b"nothing", b"500 Oh"), reply(TOLD, b"404 Gone"), b"x" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nshort",
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_no_confirmation(text: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text)
        writer.close()

    async with served(answer) as socket:
        with pytest.raises((Rejected, Unavailable)):
            await socket.state()
        with pytest.raises((Rejected, Unavailable)):
            await socket.send({"shop_prod": "x"}, stamp=1, full=True)


async def test_a_socket_that_says_nothing_is_given_up() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with served(answer, timeout_seconds=0.1) as socket:
        with pytest.raises(Unavailable, match="no answer within"):
            await socket.state()


async def test_a_later_push_is_a_conflict() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply(TOLD, b"409 Conflict"))
        writer.close()

    async with served(answer) as socket:
        with pytest.raises(Conflict, match="later push"):
            await socket.send({}, stamp=1, full=False)


async def test_nobody_there(tmp_path: Path) -> None:
    socket = PushSocket(tmp_path / "none.sock", timeout_seconds=5)
    with pytest.raises(Unavailable, match="No such file"):
        await socket.state()
    assert not await socket.refused()
