"""Fixtures for the shared package: a systemd that listens, and a loop that must not be blocked."""

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster, blockbuster_ctx


class Systemd:
    """The other end of NOTIFY_SOCKET, which keeps every message.

    Attributes:
        address: what the environment says.
    """

    def __init__(self, address: str, *, bound_to: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(bound_to)
        self.socket.setblocking(False)

    def messages(self) -> list[str]:
        """What came since the last call."""
        found = []
        while True:
            try:
                found.append(self.socket.recv(65536).decode())
            except BlockingIOError:
                return found


@pytest.fixture
def systemd() -> Iterator[Systemd]:
    # Not below tmp_path, whose name may be longer than the 107 bytes of a socket's.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        address = str(Path(folder) / "notify")
        listening = Systemd(address, bound_to=address)
        yield listening
        listening.socket.close()


@pytest.fixture
def unblocked() -> Iterator[BlockBuster]:
    """Whatever blocks the event loop from our code raises."""
    # The operator's command starts programs and has no loop to keep free.
    with blockbuster_ctx("wharfinger", excluded_modules=["wharfinger.operator"]) as blockbuster:
        yield blockbuster
