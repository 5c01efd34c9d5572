"""Talks to systemd over NOTIFY_SOCKET (sd_notify(3)); silent where nobody listens."""

import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Final

from wharfinger.text import printable

MAX_STATUS_LENGTH: Final = 500


class Notifier:
    """Sends READY, STATUS, RELOADING, STOPPING and WATCHDOG messages.

    Args:
        environment: where NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are looked up.
        clock_monotonic_ns: for RELOADING, which must carry the time it was sent.
    """

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        clock_monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # A leading @ is systemd's spelling of the abstract namespace (sd_notify(3)).
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._clock_monotonic_ns = clock_monotonic_ns
        self._owed = ""
        self.watchdog_interval_seconds = _watchdog_interval_seconds(environment)

    def ready(self, text: str) -> None:
        """Start-up, or a reload, is complete."""
        self._change(f"READY=1\nSTATUS={_one_line(text)}")

    def status(self, text: str) -> None:
        """Says in a line what is going on; `systemctl status` shows it."""
        self._send(f"STATUS={_one_line(text)}")

    def starting(self, text: str, *, extend_seconds: float) -> None:
        """Says what start-up waits for, and asks not to be killed for waiting so long."""
        self._send(f"STATUS={_one_line(text)}\nEXTEND_TIMEOUT_USEC={int(extend_seconds * 1e6)}")

    def reloading(self) -> None:
        """A reload has begun; `ready` ends it."""
        self._change(f"RELOADING=1\nMONOTONIC_USEC={self._clock_monotonic_ns() // 1000}")

    def stopping(self, text: str) -> None:
        """The stop has begun."""
        self._change(f"STOPPING=1\nSTATUS={_one_line(text)}")

    def watchdog(self) -> None:
        """The event loop is alive; whoever calls this must run in it."""
        self._send("WATCHDOG=1")

    def _change(self, message: str) -> None:
        """Sends what systemd waits for: kept, and sent before anything later, when it failed."""
        self._owed = message
        self._send("")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)  # noqa: FBT003 - socket has no keyword for it
                if self._owed:
                    sender.sendto(self._owed.encode(errors="replace"), self._address)
                    self._owed = ""
                if message:
                    sender.sendto(message.encode(errors="replace"), self._address)
        except OSError:
            # systemd restarting or its queue of ten full must not hurt the daemon; the next
            # beat of the watchdog comes anyway, and brings what is owed.
            return


def _watchdog_interval_seconds(environment: Mapping[str, str]) -> float | None:
    """Half of the time systemd allows, as sd_watchdog_enabled(3) advises; None when off."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    pid = environment.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or (pid and pid != str(os.getpid())):
        return None
    return int(microseconds) / 1e6 / 2 or None


def _one_line(text: str) -> str:
    # A newline would begin a second assignment: a hostile error text could say READY=1.
    return printable(" ".join(text[:MAX_STATUS_LENGTH].split()))
