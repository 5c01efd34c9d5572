"""The system's log, as far as the runtime writes to it: who starts without PORT, and why."""

import re
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from registrar.runtime.create import PATIENCE_SECONDS

TOLD: Final = re.compile(
    r"<28>wharfinger-runtime: ([0-9a-f]{12}) starts without PORT: (.*)", re.ASCII | re.DOTALL
)
TOO_SLOW: Final = f"no port within {PATIENCE_SECONDS} s"


class Complaints:
    """What was told so far; complete when the block of `complaints` has ended.

    Attributes:
        whys: all reasons, by the container's short id.
    """

    def __init__(self) -> None:
        self.whys: dict[str, list[str]] = {}

    def take(self, text: str) -> None:
        match = TOLD.fullmatch(text)
        assert match is not None, text
        self.whys.setdefault(match[1], []).append(match[2])

    def only_too_slow(self, container_ids: Iterable[str]) -> bool:
        """Whether it was told of each that the machine was too slow for it, and nothing else."""
        whys = [self.whys.get(each[:12]) for each in container_ids]
        return all(each is not None and set(each) == {TOO_SLOW} for each in whys)


@contextmanager
def complaints(path: Path) -> Iterator[Complaints]:
    """A log at `path` for as long as the block lasts."""
    found = Complaints()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(path))

        def listen() -> None:
            while text := log.recv(2_000):
                found.take(text.decode())

        listening = threading.Thread(target=listen)
        listening.start()
        try:
            yield found
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
                last.sendto(b"", str(path))  # behind all that was told before
            listening.join()
    path.unlink()
