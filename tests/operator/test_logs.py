"""`wharfinger logs` against a log store: found, followed, refused, out of reach."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from logshipper.store.config import Config
from logshipper.store.daemon import Logstore
from wharfinger import notify
from wharfinger.config import load
from wharfinger.errors import ConfigError, Exit, Rejected, Unavailable
from wharfinger.lifecycle import Scope
from wharfinger.logtext import moment
from wharfinger.operator.logs import Question, line, logs
from wharfinger.operator.parts.process import free_port, until

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TOKEN = "a-token-that-may-read"


class Store:
    """A log store in this process."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def add(self, *messages: str, **fields: Any) -> None:
        documents = [json.dumps({"message": message, **fields}) for message in messages]
        body = "".join(f'{{"create":{{}}}}\n{document}\n' for document in documents)
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/_bulk", data=body) as response,
        ):
            assert response.status == 200, await response.text()

    async def ask(self, *words: str, token_file: Path | None = None, **more: Any) -> Exit:
        question = Question(words=words, **more)
        return await logs(question, path=None, url=self.url, token_file=token_file)


@pytest.fixture
async def store(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    (tmp_path / "tokens").write_text(f"# who may read\nsha256:{'0' * 64}\n{TOKEN}\n")
    flags = {"logstore.min_free_bytes": "0", "host.state_dir": str(tmp_path)}
    if getattr(request, "param", "") == "guarded":
        flags["logstore.read_token_file"] = str(tmp_path / "tokens")
    scope = Scope("logstore", notify.Notifier())
    daemon = Logstore(load(Config, environment={}, flags=flags).value, scope)
    server = TestServer(scope.application)
    await server.start_server(auto_decompress=False)
    await daemon.start()
    yield Store(f"http://127.0.0.1:{server.port}")
    scope.stopping.set()
    await daemon.drain()
    await server.close()
    await scope.close()


@contextlib.asynccontextmanager
async def served(handler: Any) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_get("/api/{what}", handler)
    server = TestServer(application)
    await server.start_server()
    yield f"http://127.0.0.1:{server.port}"
    await server.close()


async def test_finds_by_words_app_and_env_oldest_first(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    await store.add("order one", "order two", "cart", app="shop", env="prod", container="c" * 64)
    await store.add("order three", app="shop", env="test")
    assert await store.ask("order", app="shop", env="prod") is Exit.OK
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith(f"Z shop_prod {'c' * 12} order one")
    assert second.endswith("order two")
    await store.ask("order", "-two", "env:prod", as_json=True)
    (only,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (only["message"], only["container"]) == ("order one", "c" * 64)


async def test_only_what_is_new_enough_and_no_more_than_asked_for(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    await store.add("old", time=(datetime.now(UTC).timestamp() - 7_200))
    await store.add("new one", "new two", "new three")
    await store.ask(since="1h", limit=2)
    shown = capsys.readouterr()
    assert [row.split()[-1] for row in shown.out.splitlines()] == ["two", "three"]
    assert "these are the newest 2" in shown.err


async def test_follows_without_gap_or_repetition(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []

    async def has(word: str) -> bool:
        seen.extend(row.split()[-1] for row in capsys.readouterr().out.splitlines())
        return word in seen

    await store.add("before")
    following = asyncio.create_task(store.ask(follow=True))
    try:
        await until(lambda: has("before"), timeout_seconds=20, what="the past is shown")
        for number in range(50):
            await store.add(f"n{number}")
        await until(lambda: has("n49"), timeout_seconds=20, what="the last line is shown")
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
    assert seen == ["before", *(f"n{number}" for number in range(50))]


async def test_a_line_that_search_and_tail_both_give_is_shown_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hit = {"id": "1", "time": "t", "message": "once"}
    long = {"id": "2", "time": "t", "message": "x" * 2**20}

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.match_info["what"] == "search":
            return web.json_response({"hits": [hit], "more": False})
        response = web.StreamResponse()
        await response.prepare(request)
        events = b": following\n\n" + b"".join(
            b"data: " + json.dumps(each).encode() + b"\n\n" for each in (hit, long)
        )
        await response.write(events + b"event: dropped\ndata: 7\x1b[2J\n\n")
        return response

    async with served(answer) as url:
        with pytest.raises(Unavailable, match="ended the stream"):
            await Store(url).ask(follow=True)
    shown = capsys.readouterr()
    assert shown.out.count("once") == 1
    assert shown.out.splitlines()[1].endswith("x" * 2**20)
    assert "7\\u001b[2J lines left out" in shown.err


async def test_hostile_text_drives_no_terminal(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    await store.add("\x1b]0;evil\x07\x1b[2J\nforged", app="\x1b[31mshop", container_name="\x9b")
    for as_json in (False, True):
        await store.ask(as_json=as_json)
        (row,) = capsys.readouterr().out.splitlines()
        assert row.isprintable()
        assert "evil" in row


def test_a_terminal_gets_the_applications_colours() -> None:
    hit = {"time": "2026-11-23T08:00:00.123456789Z", "message": "\x1b[31mred\x1b[8mhidden"}
    assert line(hit, colours=False) == "2026-11-23T08:00:00.123Z  red\\u001b[8mhidden\n"
    assert "\x1b[31mred\\u001b[8mhidden\x1b[0m" in line(hit, colours=True)
    assert line({"message": 7, "time": None}, colours=False) == "None  7\n"


async def test_a_question_that_it_cannot_read_is_a_wrong_use(store: Store) -> None:
    with pytest.raises(Rejected, match=r'the " at character 1 is never closed; add a "'):
        await store.ask('"open')
    with pytest.raises(Rejected, match="write 30m, 1h, 2d"):
        await store.ask(since="yesterday")


@pytest.mark.parametrize("store", ["guarded"], indirect=True)
async def test_tokens(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="--token-file FILE"):
        await store.ask()
    (tmp_path / "wrong").write_text("some-other-token\n")
    with pytest.raises(ConfigError, match="missing or wrong"):
        await store.ask(token_file=tmp_path / "wrong")
    (tmp_path / "digest").write_text(f"sha256:{'0' * 64}\n")
    with pytest.raises(ConfigError, match="holds no token"):
        await store.ask(token_file=tmp_path / "digest")
    with pytest.raises(ConfigError, match="cannot be read"):
        await store.ask(token_file=tmp_path / "none")
    assert await store.ask(token_file=tmp_path / "tokens") is Exit.OK
    assert TOKEN not in str(capsys.readouterr())


async def test_the_address_and_the_token_come_from_the_configuration(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await store.add("hello")
    config = tmp_path / "w.toml"
    listen = store.url.removeprefix("http://")
    config.write_text(f'[logstore]\nlisten = "{listen}"\nread_token_file = "tokens"\n')
    assert await logs(Question(), path=config, url=None, token_file=None) is Exit.OK
    assert "hello" in capsys.readouterr().out


async def test_out_of_reach() -> None:
    for url in (f"http://127.0.0.1:{free_port()}", "http://no.such.host.invalid:1"):
        with pytest.raises(Unavailable, match=f"log store {url}"):
            await Store(url).ask()
    with pytest.raises(ConfigError, match="write http://HOST:PORT"):
        await Store("nonsense").ask()


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>"), (200, b'{"no":"hits"}'), (200, b"[]"), (500, b"\x1b[2J"), (302, b"")],
)
async def test_something_else_that_listens_there(status: int, body: bytes) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers={"Location": "http://elsewhere/"})

    async with served(answer) as url:
        with pytest.raises(Unavailable, match=url):
            await Store(url).ask()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("90s", "2026-11-23T11:58:30+00:00"),
        ("1h", "2026-11-23T11:00:00+00:00"),
        ("2d", "2026-11-21T12:00:00+00:00"),
        ("2026-11-23T08:00:00Z", "2026-11-23T08:00:00+00:00"),
        ("2026-11-23T08:00:00+01:00", "2026-11-23T08:00:00+01:00"),
    ],
)
def test_times(text: str, found: str) -> None:
    assert moment(text, NOW) == found


@pytest.mark.parametrize("text", ["1", "h", "-1h", "1 h", "999999w", "1y", "٣h", "x\x1b"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(Rejected, match="is no time"):
        moment(text, NOW)
