"""What Docker's API answers for a log, taken apart into its entries; pure."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec

from wharfinger.errors import Unavailable

# Docker Engine API, ContainerAttach, "Stream format": stream, three zeros, length, payload.
HEADER_BYTES: Final = 8
LENGTH_AT: Final = 4
STREAMS: Final = {1: "stdout", 2: "stderr"}
# `2026-07-01T10:00:07.000000007Z`, always nine digits, and a space.
TIME_BYTES: Final = 30
SECOND_BYTES: Final = 19
# Docker's copier hands on 16 KiB at once; what is far beyond is no answer for a log.
FRAME_LIMIT_BYTES: Final = 16 * 2**20


class Line(msgspec.Struct, frozen=True, gc=False):
    """One entry as it came: a line, or a part of one.

    Attributes:
        stream: `stdout` or `stderr`.
        time_ns: Unix nanoseconds.
        time: RFC 3339, trailing zeros trimmed.
        text: with its newline, if Docker gave one.
    """

    stream: str
    time_ns: int
    time: str
    text: bytes


class Framer:
    """Cuts one answer into entries.

    With a terminal there are no frames, and the last part of a long line comes without newline,
    so that only the chunk of HTTP tells where it ends: Docker writes one for each entry.

    Args:
        terminal: the container has one.
    """

    def __init__(self, *, terminal: bool) -> None:
        self._terminal = terminal
        self._held = b""
        self._second = b""
        self._second_ns = 0

    def feed(self, data: bytes, *, boundary: bool) -> list[Line]:
        """The entries that `data` completes.

        Args:
            data: the next bytes.
            boundary: a chunk of HTTP ends behind them.

        Raises:
            Unavailable: it is no log: what Docker says there, mostly.
        """
        if not self._terminal:
            return [self._line(STREAMS.get(kind, ""), each) for kind, each in self._frames(data)]
        self._held += data
        if not boundary or not self._held:
            if len(self._held) > FRAME_LIMIT_BYTES:
                raise Unavailable("Docker's answer for a log has no end")
            return []
        whole, self._held = self._held, b""
        return [self._line("stdout", whole)]

    def _frames(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        data, at = self._held + data, 0
        while len(data) - at >= HEADER_BYTES:
            size = int.from_bytes(data[at + LENGTH_AT : at + HEADER_BYTES])
            if size > FRAME_LIMIT_BYTES:
                raise Unavailable("Docker's answer for a log has no frames")
            begin, end = at + HEADER_BYTES, at + HEADER_BYTES + size
            if end > len(data):
                break
            yield data[at], data[begin:end]
            at = end
        self._held = data[at:]

    def _line(self, stream: str, payload: bytes) -> Line:
        time, text = payload[:TIME_BYTES], payload[TIME_BYTES + 1 :]
        second = time[:SECOND_BYTES]
        try:
            if second != self._second:
                self._second_ns = _seconds(second) * 10**9
                self._second = second
            digits = time[SECOND_BYTES + 1 : -1]
            time_ns = self._second_ns + int(digits)
        except ValueError:
            stream = ""
        if not stream or payload[TIME_BYTES - 1 : TIME_BYTES + 1] != b"Z " or not digits.isdigit():
            # It writes its own troubles into the stream, without a time.
            said = payload.decode("utf-8", "replace").strip()
            raise Unavailable(f"Docker says in place of a line: {said:.200}")
        trimmed = digits.rstrip(b"0").decode()
        stamp = second.decode() + (f".{trimmed}Z" if trimmed else "Z")
        return Line(stream, time_ns, stamp, text)


def _seconds(text: bytes) -> int:
    moment = datetime.strptime(text.decode("ascii"), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    return int(moment.timestamp())
