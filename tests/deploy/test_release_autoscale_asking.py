"""What hosts' daemons are asked of a service's instances, and what becomes of strange answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from deploy.release.autoscale.asking import MAX_BYTES, Whom, address, look
from deploy.release.autoscale.rates import Counter, Look, figures
from wharfinger.operator.parts.process import free_port


@asynccontextmanager
async def answering(body: Any, status: int = 200) -> AsyncIterator[str]:
    """A daemon that answers so; gives its address."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        if body is None:
            await asyncio.sleep(10)
        if isinstance(body, bytes):
            return web.Response(body=body, status=status)
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_get("/usage", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("ip", "expected"),
    [
        ("10.0.0.1", "10.0.0.1:7201"),
        ("fd00::1", "[fd00::1]:7201"),
        ("", "box:7201"),
        ("x@y", "box:7201"),
    ],
)
def test_hosts_are_asked_at_their_address_or_by_name(ip: str, expected: str) -> None:
    assert address(ip, "box", 7201) == expected


async def test_all_are_asked_and_told_apart() -> None:
    used = {"address": "10.0.0.1:20000", "service": "shop_prod", "cpu_seconds": 2.5, "at": 10.0}
    other = used | {"address": "10.0.0.1:20001", "service": "till_prod"}
    mute = used | {"address": "10.0.0.1:20002", "cpu_seconds": None, "why": "gone"}
    async with (
        answering({"instances": [used, other, mute], "new": 1}) as registrar,
        answering({"service": "shop_prod", "requests": 7, "at": 3.0}) as edge,
        answering({"service": "shop_prod", "requests": None, "why": "by \x1b[31mreload"}) as plain,
    ):
        whom = Whom(registrars={"one": registrar}, edges={"east": edge, "west": plain})
        told = await look("shop_prod", whom)
    assert told.cpu == {"10.0.0.1:20000": Counter(2.5, 10.0)}
    assert told.requests == {"east": Counter(7.0, 3.0)}
    assert told.edges == ("east", "west")
    (trouble,) = told.troubles
    assert "west" in trouble
    assert trouble.isprintable()


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"<html>", 200, "something else"),
        ({"instances": 1}, 200, "something else"),
        (b"[" * 100_000, 200, "something else"),
        (b" " * (MAX_BYTES + 1), 200, "more than"),
        ({}, 404, "404"),
        ({}, 302, "302"),
    ],
)
async def test_a_strange_answer_is_told_and_counts_for_nothing(
    body: Any, status: int, said: str
) -> None:
    async with answering(body, status) as registrar:
        told = await look("shop_prod", Whom(registrars={"one": registrar}, edges={}))
    (trouble,) = told.troubles
    assert said in trouble
    assert "one" in trouble
    assert not told.cpu


async def test_who_is_away_or_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.release.autoscale.asking.TIMEOUT_SECONDS", 0.3)
    async with answering(None) as hanging:
        whom = Whom(registrars={"one": f"127.0.0.1:{free_port()}", "two": hanging}, edges={})
        told = await look("shop_prod", whom)
    away, slow = told.troubles
    assert "one" in away
    assert "two" in slow
    assert "no answer within 0.3 s" in slow
    assert "[registrar] listen" in slow


def test_two_looks_make_figures() -> None:
    before = Look(
        cpu={"a": Counter(1.0, 100.0), "b": Counter(5.0, 50.0), "c": Counter(1.0, 1.0)},
        requests={"east": Counter(100, 0.0), "west": Counter(10, 1000.0)},
        edges=("east", "west"),
    )
    after = Look(
        cpu={"a": Counter(6.0, 110.0), "b": Counter(0.5, 60.0), "c": Counter(2.0, 1.0)},
        requests={"east": Counter(150, 10.0), "west": Counter(40, 1010.0)},
        edges=("east", "west"),
    )
    found = figures(before, after, ["a", "b", "c", "d"])
    # b was started anew, c's clock stands still, d is new.
    assert found.cpu_percent == {"a": 50.0, "b": None, "c": None, "d": None}
    assert found.requests_per_second == 8.0
    assert found.whole


def test_an_edge_that_is_away_leaves_them_in_part() -> None:
    before = Look(requests={"east": Counter(0, 0.0)}, edges=("east",))
    after = Look(requests={"east": Counter(10, 10.0)}, edges=("east", "west"))
    found = figures(before, after, [])
    assert found.requests_per_second == 1.0
    assert not found.whole
    assert figures(Look(), Look(), []).requests_per_second is None


def test_an_edge_that_etcd_has_just_lost_leaves_them_in_part() -> None:
    before = Look(requests={"east": Counter(0, 0.0)}, edges=("east", "west"))
    after = Look(requests={"east": Counter(10, 10.0)}, edges=("east",))
    assert not figures(before, after, []).whole
    later = Look(requests={"east": Counter(20, 20.0)}, edges=("east",))
    assert figures(after, later, []).whole
