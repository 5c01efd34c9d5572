"""What a command said inside a container: Docker's frames taken apart, the beginning kept."""

from dataclasses import dataclass
from typing import Final

# Docker Engine API, ContainerAttach, "Stream format": stream, three zeros, length, payload.
HEADER_BYTES: Final = 8
LENGTH_AT: Final = 4


@dataclass(frozen=True, slots=True)
class Executed:
    """How a command in a container ended.

    Attributes:
        id: of the exec, for `Docker.executing`.
        code: its exit code; None when it still runs: nothing in Docker's API ends it.
        output: the beginning of what it said, stdout and stderr together.
    """

    id: str
    code: int | None
    output: str


class Output:
    """Takes the frames of an exec without a terminal, in any pieces, and keeps `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._header = b""
        self._left = 0
        self._kept = bytearray()

    @property
    def text(self) -> str:
        """What was kept."""
        return self._kept.decode(errors="replace")

    def feed(self, data: bytes) -> None:
        """Takes the next piece."""
        at = 0
        while at < len(data):
            if not self._left:
                taken = data[at : at + HEADER_BYTES - len(self._header)]
                self._header += taken
                at += len(taken)
                if len(self._header) == HEADER_BYTES:
                    self._left = int.from_bytes(self._header[LENGTH_AT:])
                    self._header = b""
                continue
            payload = data[at : at + self._left]
            self._left -= len(payload)
            at += len(payload)
            self._kept += payload[: self._limit - len(self._kept)]
