"""Whoever else answers where a daemon would: what comes of it is no harm."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from logshipper.daemonevents.follower import Follower
from logshipper.daemonevents.places import Places
from logshipper.metrics import Metrics
from logshipper.sinks.encoding.bulk import BulkEncoding
from wharfinger.endpoints import DAEMON_HEADER, START_HEADER, serving
from wharfinger.operator.parts.process import free_port, until

HOSTILE = {
    "a start of many digits": ("9" * 5_000, b'{"seq":1,"event":"a"}'),
    "fewer than none are missed": ("5", b'{"seq":1,"event":"gap","missed":-1}'),
    "more than can be are missed": ("5", b'{"seq":1,"event":"gap","missed":1%s}' % (b"0" * 400)),
    "a number that no ring has": ("5", b'{"seq":1%s,"event":"a"}' % (b"0" * 400)),
}


class Taking:
    """A delivery whose sink takes all."""

    name = "store"

    async def deliver(self, documents: list[bytes]) -> None:
        """Takes them."""


@pytest.mark.parametrize("kind", HOSTILE)
async def test_whoever_answers_for_a_daemon_does_no_harm(kind: str, tmp_path: Path) -> None:
    start, line = HOSTILE[kind]
    asked = 0

    async def answer(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        headers = {DAEMON_HEADER: "registrar", START_HEADER: start}
        return web.Response(body=line + b"\n", headers=headers)

    async def again() -> bool:
        return asked >= 2 or task.done()

    application = web.Application()
    application.add_routes([web.get("/events", answer)])
    port = free_port()
    follower = Follower(
        "registrar", f"http://127.0.0.1:{port}", "box1",
        delivery=Taking(),  # type: ignore[arg-type]
        encoding=BulkEncoding(), places=Places(tmp_path), metrics=Metrics(CollectorRegistry()),
    )  # fmt: skip
    async with serving(f"127.0.0.1:{port}", application):
        task = asyncio.create_task(follower.run())
        await until(again, timeout_seconds=20, what="it is asked again")
        assert not task.done()
        task.cancel()
        await asyncio.wait([task])
