"""What an undrain waits for before it says that all are back."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from registrar.drains.commands import Commands
from registrar.drains.requests import Requests
from registrar.model import Out

A = "a" * 64


async def undrained(why: str) -> list[dict[str, Any]]:
    """The steps that are told of a host whose one container is out for that reason."""

    async def undrain_host() -> bool:
        return True

    absences: Any = SimpleNamespace(undrain_host=undrain_host, out=dict)
    registry: Any = SimpleNamespace(instances=(), by_container={})
    departures: Any = None
    requests = Requests("box", absences, departures, registry, lambda: {A: (Out(why),)})
    asked = Commands(requests, absences)
    application = web.Application()
    application.add_routes(asked.routes())
    async with TestClient(TestServer(application)) as client:
        body = {"host": "box", "timeout_seconds": 0.2}
        answer = await client.post("/v1/undrain", json=body)
        return [json.loads(line) for line in (await answer.read()).splitlines()]


@pytest.mark.parametrize("why", ["drained by ann since now", "host drained by ann since now"])
async def test_one_that_is_not_judged_anew_yet_is_waited_for(why: str) -> None:
    assert "not all of them are back" in (await undrained(why))[-1]["error"]


async def test_what_a_container_says_does_not_make_an_undrain_wait() -> None:
    why = "its check fails: status 200, but no 'drained by' in the body"
    assert (await undrained(why))[-1] == {"step": "done", "not_registered": {A: why}}
