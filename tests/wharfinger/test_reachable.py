"""Many addresses at once: who accepts, who refuses, each asked once."""

import asyncio
import errno
import socket

import pytest

from wharfinger.operator.parts.process import free_port
from wharfinger.reachable import reachable


async def test_who_accepts_is_told_from_who_does_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        alive, dead = ("127.0.0.1", server.getsockname()[1]), ("127.0.0.1", free_port())
        asked = [alive, dead, alive]
        found = await reachable(asked, timeout_seconds=1.0, at_once=2)
    assert found == {alive: True, dead: False}


async def test_who_cannot_be_asked_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(asyncio, "open_connection", refused)
    assert await reachable([("127.0.0.1", 1)], timeout_seconds=1.0, at_once=1) == {}


async def test_nobody_asked_is_nobody_told() -> None:
    assert await reachable([], timeout_seconds=1.0, at_once=1) == {}
