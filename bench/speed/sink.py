"""A `_bulk` endpoint that counts: as little work as an honest answer takes.

    python bench/speed/sink.py PORT

`GET /` tells how many documents came, when the last did (monotonic seconds), how large the bodies
were, and for each text with `sent=NS` how many milliseconds later its body was there.
"""

import asyncio
import json
import re
import sys
import time
import zlib

SENT = re.compile(rb"sent=([0-9]{19})")
ITEM = b'{"create":{"status":201}}'


class Sink:
    """What came, and what is answered."""

    def __init__(self) -> None:
        self.documents = self.body_bytes = 0
        self.last_at = 0.0
        self.late_ms: list[float] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).lower():
                length = re.search(rb"content-length: *([0-9]+)", head)
                body = await reader.readexactly(int(length[1])) if length else b""
                writer.write(self.answer(head, body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def answer(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"post"):
            said = self.take(
                zlib.decompress(body, 31) if b"content-encoding: gzip" in head else body
            )
        else:
            known = {"documents": self.documents, "last_at": self.last_at}
            known["body_bytes"] = self.body_bytes
            said = json.dumps({**known, "late_ms": self.late_ms}).encode()
        kind = b"Content-Type: application/json\r\n"
        return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (kind, len(said), said)

    def take(self, body: bytes) -> bytes:
        now = time.time_ns()
        count = body.count(b"\n") // 2
        self.documents += count
        self.last_at = time.monotonic()
        self.body_bytes += len(body)
        if len(body) < 2**18:
            self.late_ms += [(now - int(sent)) / 1e6 for sent in SENT.findall(body)]
        return b'{"took":1,"errors":false,"items":[%b]}' % b",".join([ITEM] * count)


async def main() -> None:
    sink = Sink()
    server = await asyncio.start_server(sink.serve, "127.0.0.1", int(sys.argv[1]), limit=2**22)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
