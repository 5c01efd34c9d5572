"""Who listens where a neighbour would: any process of the host may, and must end nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from registrar.beside import MAX_BYTES, Neighbours

HEALTHZ = {"daemon": "logshipper", "healthy": True, "checks": []}
NESTED = b"[" * 200_000


class Impostor:
    """Answers as it is told; a body that is None never ends."""

    def __init__(self, bodies: dict[str, bytes | None], head: str = "HTTP/1.1 200 OK") -> None:
        self._bodies = bodies
        self._head = head
        self.sent = 0
        self.asked: list[str] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            self.asked.append(path)
            writer.write(f"{self._head}\r\nConnection: close\r\n\r\n".encode())
            body = self._bodies.get(path, b"")
            while body is None:
                writer.write(b" " * 2**16)
                await writer.drain()
                self.sent += 2**16
            writer.write(body)
            await writer.drain()
        writer.close()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def asked_once(url: str) -> Neighbours:
    """Neighbours that have asked, and are still there to ask again."""
    neighbours = Neighbours({"logshipper": url})
    task = asyncio.create_task(neighbours.run())
    done, _ = await asyncio.wait([task], timeout=0.4)
    task.cancel()
    for each in done:
        each.result()  # it asks for ever
    with suppress(asyncio.CancelledError):
        await task
    return neighbours


@pytest.mark.parametrize(
    ("healthz", "status"),
    [
        (json.dumps(HEALTHZ).encode(), b'{"version":"1","since_seconds":1e30}'),
        (json.dumps(HEALTHZ).encode(), b'{"version":"1","since_seconds":-1e30}'),
        (json.dumps(HEALTHZ).encode(), b'{"version":"1","since_seconds":63e9}'),
        (b'{"more":' + NESTED, b""),
        (json.dumps(HEALTHZ).encode(), b'{"more":' + NESTED),
        (b"\xff", b""),
        (b'{"daemon":"logshipper","healthy":1,"checks":[]}', b""),
    ],
)
async def test_whoever_answers_in_its_place_ends_nothing(healthz: bytes, status: bytes) -> None:
    async with Impostor({"/healthz": healthz, "/status": status}).listening() as url:
        assert (await asked_once(url)).told == {}


async def test_an_answer_without_an_end_is_not_held() -> None:
    impostor = Impostor({"/healthz": None})
    async with impostor.listening() as url:
        assert (await asked_once(url)).told == {}
    # What the kernel held on the way, beside what was read.
    assert 0 < impostor.sent < MAX_BYTES + 2**24


async def test_nobody_is_followed_elsewhere() -> None:
    other = Impostor({"/healthz": json.dumps(HEALTHZ).encode()})
    async with other.listening() as there:
        head = f"HTTP/1.1 302 Found\r\nLocation: {there}/healthz"
        async with Impostor({}, head).listening() as url:
            await asked_once(url)
    assert other.asked == []
