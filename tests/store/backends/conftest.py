"""The page above each back end, in this process, all with the same lines."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from logshipper.store.cli import COMMAND
from logshipper.store.config import Config
from tests.stack.strict_search import StrictSearch
from tests.stack.victorialogs import VictoriaLogs
from tests.store.backends import corpus
from tests.store.running import ended, started
from wharfinger import notify
from wharfinger.config import load
from wharfinger.lifecycle import Scope

Start = Callable[..., Awaitable["Above"]]
NOW_NS = 1_763_640_000 * 10**9  # the noon of the corpus
WORD_FIELDS = "trace_id,user.name"
# As the template in the README has it.
TYPES = {
    "@timestamp": "date",
    "message": "text",
    **dict.fromkeys(("app", "env", "host", "container", "stream", "level"), "keyword"),
    "trace_id": "keyword",
    "user.name": "keyword",
    "code": "long",
    "ok": "boolean",
}


class Above:
    """A log store above some back end, and a client of it."""

    def __init__(
        self, name: str, daemon: Any, scope: Scope, client: "TestClient[Any, Any]"
    ) -> None:
        self.name = name
        self.daemon = daemon
        self.scope = scope
        self.client = client

    async def get(self, path: str, status: int = 200, **options: Any) -> Any:
        answer = await self.client.get(path, **options)
        assert answer.status == status, await answer.text()
        return await answer.json()

    async def page(self, **params: Any) -> tuple[list[str], bool]:
        # As the page asks: with a beginning.
        told = await self.get("/api/search", params={"from": corpus.FROM, **params})
        return [hit["message"] for hit in told["hits"]], told["more"]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    running: list[Above] = []

    async def begin(name: str, *, config_file: Path | None = None, **settings: Any) -> Above:
        flags = {
            "logstore.min_free_bytes": "0",
            "logstore.retention_days": "3650",
            "host.state_dir": str(tmp_path / name),
        }
        flags |= {f"logstore.{key}": str(value) for key, value in settings.items()}
        config = load(Config, path=config_file, environment={}, flags=flags).value
        scope = Scope("logstore", notify.Notifier())
        daemon: Any = COMMAND.make(config, scope)
        if name == "victorialogs":
            # Else its questions would be others each time.
            daemon.backend.now_ns = lambda: NOW_NS
        running.append(Above(name, daemon, scope, await started(daemon, scope)))
        return running[-1]

    yield begin
    for each in running:
        await ended(each.daemon, each.scope, each.client)


def remote(kind: str, url: str, **settings: str) -> dict[str, str]:
    """Settings for a store above another engine."""
    own = {"type": kind, "url": url, "word_fields": WORD_FIELDS, **settings}
    return {f"backend.{key}": value for key, value in own.items()}


def saying(status: int, body: Any) -> Any:
    """A mood: answers so."""

    async def answer(_: web.Request) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text)

    return answer


@pytest.fixture
async def embedded(start: Start) -> Above:
    above = await start("embedded")
    for lines in (corpus.LINES,):
        answer = await above.client.post("/_bulk", data=corpus.body(lines))
        assert (await answer.json())["errors"] is False
    return above


@pytest.fixture
async def elastic() -> AsyncIterator[StrictSearch]:
    async with StrictSearch(dict(TYPES)) as server:
        server.add("logs-main", corpus.body(corpus.LINES))
        server.add("other-main", corpus.body(corpus.OTHER))
        yield server


@pytest.fixture
async def above_elastic(start: Start, elastic: StrictSearch) -> Above:
    return await start("elastic", **remote("elastic", elastic.url))


@pytest.fixture
async def above_victorialogs(start: Start, victorialogs: VictoriaLogs) -> Above:
    await victorialogs.add(corpus.lines(corpus.LINES))
    await victorialogs.add(corpus.lines(corpus.OTHER), "12:34")
    return await start("victorialogs", **remote("victorialogs", victorialogs.url))
