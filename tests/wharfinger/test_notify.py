"""Messages to systemd: what they say, and that nothing they meet hurts the daemon."""

import contextlib
import os
import socket
import uuid

import pytest

from tests.wharfinger.conftest import Systemd
from wharfinger.notify import Notifier


def notifier(systemd: Systemd, **environment: str) -> Notifier:
    return Notifier(
        {"NOTIFY_SOCKET": systemd.address, **environment}, clock_monotonic_ns=lambda: 5_000_999
    )


def test_each_message(systemd: Systemd) -> None:
    told = notifier(systemd)
    told.starting("waiting for etcd", extend_seconds=30)
    told.ready("ready")
    told.status("healthy")
    told.watchdog()
    told.reloading()
    told.stopping("draining")
    assert systemd.messages() == [
        "STATUS=waiting for etcd\nEXTEND_TIMEOUT_USEC=30000000",
        "READY=1\nSTATUS=ready",
        "STATUS=healthy",
        "WATCHDOG=1",
        "RELOADING=1\nMONOTONIC_USEC=5000",
        "STOPPING=1\nSTATUS=draining",
    ]


def test_the_abstract_namespace() -> None:
    name = f"wharfinger-test-{uuid.uuid4()}"
    systemd = Systemd(f"@{name}", bound_to=f"\0{name}")
    notifier(systemd).ready("up")
    assert systemd.messages() == ["READY=1\nSTATUS=up"]
    systemd.socket.close()


@pytest.mark.parametrize(
    "text",
    ["x\nREADY=1", "x\r\nMAINPID=1", "x\u2028READY=1", "x\x85READY=1", "x\0READY=1", "\n\nREADY=1"],
)
def test_hostile_text_stays_in_its_assignment(systemd: Systemd, text: str) -> None:
    told = notifier(systemd)
    told.status(text)
    told.stopping(text)
    told.starting(text, extend_seconds=1)
    told.ready(text)
    for message, lines in zip(systemd.messages(), (1, 2, 2, 2), strict=True):
        assert len(message.splitlines()) == lines
        assert all(line.isprintable() for line in message.split("\n"))


def test_text_that_is_no_utf8_or_endless(systemd: Systemd) -> None:
    told = notifier(systemd)
    told.status("bad \udcff name")
    told.status("x" * 1_000_000)
    first, second = systemd.messages()
    assert first == "STATUS=bad \\udcff name"
    assert len(second) < 600


@pytest.mark.parametrize(
    "address", ["", "/no/such/socket", "relative", "/" + "x" * 200, "@" + "x" * 200, "@"]
)
def test_nobody_listening_hurts_nothing(address: str) -> None:
    told = Notifier({"NOTIFY_SOCKET": address})
    told.ready("x")
    told.watchdog()


def test_what_systemd_waits_for_is_sent_again_when_its_queue_was_full(systemd: Systemd) -> None:
    told = notifier(systemd)
    filling = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    filling.setblocking(False)
    filling.connect(systemd.address)
    with contextlib.suppress(BlockingIOError):
        while True:
            filling.send(b"x")
    filling.close()
    told.ready("up")
    assert set(systemd.messages()) == {"x"}
    told.watchdog()
    assert systemd.messages() == ["READY=1\nSTATUS=up", "WATCHDOG=1"]
    told.watchdog()
    assert systemd.messages() == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "x"}, None),
        ({"WATCHDOG_USEC": ""}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "1e6"}, None),
    ],
)
def test_watchdog_interval(environment: dict[str, str], seconds: float | None) -> None:
    assert Notifier(environment).watchdog_interval_seconds == seconds
