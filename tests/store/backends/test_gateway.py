"""A store above another engine: faults of that engine, who may see what, what is refused."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from logshipper.store.config import Config
from logshipper.store.query.backends import victorialogs as victorialogs_module
from tests.stack.strict_search import StrictSearch
from tests.stack.victorialogs import VictoriaLogs
from tests.store.backends import corpus
from tests.store.backends.conftest import Above, Start, remote, saying
from wharfinger.config import load
from wharfinger.errors import ConfigError
from wharfinger.operator.parts.process import free_port, until

KINDS = ["victorialogs", "elastic"]


async def hanging(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


async def cutting(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest) -> Any:
    return request.param, request.getfixturevalue(request.param)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_engine_that_is_not_there(start: Start, kind: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    above = await start(kind, **remote(kind, url))
    for path in ("search", "histogram", "fields", "export", "tail"):
        told = await above.get(f"/api/{path}", 503)
        assert "cannot be reached" in told["error"]
        assert url in told["error"]
        assert told["fix"]

    async def red() -> bool:
        return "cannot be reached" in above.scope.health.report().why

    await until(red, timeout_seconds=10, what="the check is red")
    page = await above.client.get("/", headers={"Accept": "text/html"})
    assert page.status == 200


@pytest.mark.parametrize(
    ("mood", "status", "says"),
    [
        (saying(500, "on fire"), 503, "answered 500: on fire"),
        (saying(401, "who?"), 503, "answered 401: who?"),
        (saying(302, ""), 503, "answered 302"),
        (saying(200, "{ half"), 503, ""),
        (saying(400, {"error": "bad thing"}), 400, "bad thing"),
        (cutting, 503, "cut the connection"),
        (hanging, 400, "took longer than 0.2 s"),
    ],
)
async def test_an_engine_in_a_mood(
    start: Start, engine: Any, mood: Any, status: int, says: str
) -> None:
    kind, server = engine
    own = remote(kind, server.url, request_timeout_seconds="0.2")
    above = await start(kind, **own)
    await _healthy(above)
    # A question that may be asked twice is, where a connection was cut.
    server.moods += [mood] * 2
    told = await above.get("/api/search", status)
    assert says in told["error"]
    assert told["fix"]
    assert ("/healthz is red" in told["fix"]) == (mood is hanging)
    server.moods.clear()


async def _healthy(above: Above) -> None:
    async def green() -> bool:
        report = above.scope.health.report()
        return bool(report.checks) and report.healthy

    await until(green, timeout_seconds=10, what="the back end was reached")


@pytest.mark.parametrize(
    "answer",
    [
        {"timed_out": True, "_shards": {"failed": 0}, "hits": {"hits": []}},
        {"timed_out": False, "_shards": {"failed": 1}, "hits": {"hits": []}},
        {"_shards": {"failed": 0}, "_clusters": {"skipped": 1}, "hits": {"hits": []}},
    ],
)
async def test_half_an_answer_is_none(
    above_elastic: Above, elastic: StrictSearch, answer: Any
) -> None:
    await above_elastic.page()
    elastic.moods += [saying(200, answer)]
    told = await above_elastic.get("/api/search", 503)
    assert "a part of its shards" in told["error"]


@pytest.mark.parametrize("path", ["search", "histogram", "fields", "export"])
async def test_an_error_under_a_200_is_no_answer(start: Start, engine: Any, path: str) -> None:
    kind, server = engine
    above = await start(kind, **remote(kind, server.url))
    await _healthy(above)
    if kind == "elastic":
        await above.page()  # its mapping is known
    server.moods += [saying(200, {"error": "no backend is left"})] * 3
    told = await above.get(f"/api/{path}", 503)
    server.moods.clear()
    assert "no backend is left" in told["error"]


async def test_an_answer_of_victorialogs_that_breaks_off(
    start: Start, victorialogs: VictoriaLogs
) -> None:
    above = await start("victorialogs", **remote("victorialogs", victorialogs.url))
    await _healthy(above)
    whole = '{"_time":"2025-11-20T10:00:00Z","_msg":"x"}\ncannot read block 7\n'
    victorialogs.moods += [saying(200, whole)]
    told = await above.get("/api/search", 503)
    assert "cannot read block 7" in told["error"]
    slow = "the request couldn't be executed in 15.000 seconds; possible solutions: ..."
    victorialogs.moods += [saying(503, slow)]
    told = await above.get("/api/search", 400)
    assert "took longer" in told["error"]


async def test_a_line_of_a_tail_that_never_ends(
    start: Start, victorialogs: VictoriaLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(victorialogs_module, "_MAX_LINE_BYTES", 1_000)

    async def endless(request: web.Request) -> web.StreamResponse:
        if not request.path.endswith("/tail"):
            return web.Response()
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"x" * 100)
                await asyncio.sleep(0)
        return response

    above = await start("victorialogs", **remote("victorialogs", victorialogs.url))
    await _healthy(above)
    victorialogs.moods += [endless] * 9
    async with above.client.get("/api/tail") as answer:
        with pytest.raises(Exception, match=r"not completed|closed|payload"):
            await asyncio.wait_for(answer.read(), 10)


async def facets_or_count(request: web.Request) -> web.StreamResponse:
    value = {"field_name": "app", "field_value": "shop", "hits": "7"}
    asks_facets = "facets" in str((await request.post())["query"])
    return web.Response(text=json.dumps(value if asks_facets else {"lines": "7"}))


async def test_what_there_was_time_for_is_counted(start: Start, engine: Any) -> None:
    kind, server = engine
    own = remote(kind, server.url, request_timeout_seconds="0.5")
    above = await start(kind, **own)
    await _healthy(above)
    told = await above.get("/api/fields")
    hit = {"timestamps": ["2025-11-20T11:30:00Z"], "values": [7], "fields": {"level": "info"}}
    answers: dict[tuple[str, str], Any] = {
        ("victorialogs", "histogram"): [saying(200, {"hits": [hit]})],
        ("victorialogs", "fields"): [facets_or_count] * 2,
        ("elastic", "histogram"): [saying(200, _aggregated("time", 1_763_638_200_000))],
        ("elastic", "fields"): [saying(200, _aggregated("app", "shop"))],
    }
    for path in ("histogram", "fields"):
        server.moods += [*answers[kind, path], *[hanging] * 2]
        told = await above.get(f"/api/{path}", params={"bucket_minutes": 60})
        server.moods.clear()
        if path == "fields":
            assert told["app"] == {"shop": None}
        else:
            assert (told["exact"], len(told["buckets"])) == (False, 1)
            assert told["counted_from"] > "2025-11-20T10"
    server.moods += [hanging] * 2
    assert "took longer" in (await above.get("/api/histogram", 400))["error"]
    server.moods.clear()


def _aggregated(name: str, key: object) -> dict[str, Any]:
    return {
        "timed_out": False,
        "_shards": {"failed": 0},
        "hits": {"hits": [], "total": {"value": 7}},
        "aggregations": {name: {"buckets": [{"key": key, "doc_count": 7}]}},
    }


async def test_a_tail_that_ends_is_cut_off(start: Start, victorialogs: VictoriaLogs) -> None:
    above = await start("victorialogs", **remote("victorialogs", victorialogs.url))
    await _healthy(above)
    victorialogs.moods += [saying(200, "")] * 9
    async with above.client.get("/api/tail") as answer:
        with pytest.raises(Exception, match=r"not completed|closed|payload"):
            await answer.read()


@pytest.mark.parametrize(
    "path",
    [
        "/_bulk",
        "/logs/_bulk",
        "/insert/elasticsearch/_bulk",
        "/loki/api/v1/push",
        "/v1/logs",
        "/insert/jsonline",
    ],
)
async def test_lines_are_refused_so_that_nobody_drops_them(
    above_elastic: Above, elastic: StrictSearch, path: str
) -> None:
    answer = await above_elastic.client.post(path, data="{}\n")
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "60"
    told = await answer.json()
    assert "takes no lines" in told["error"]
    assert elastic.url in told["fix"]


async def test_each_tenant_sees_its_own(start: Start, engine: Any, tmp_path: Path) -> None:
    kind, server = engine
    places = {"elastic": ("logs-*", "other-*"), "victorialogs": ("0:0", "12:34")}[kind]
    tokens = tmp_path / "tokens"
    tokens.write_text("first-token default\nsecond-token ops\n")
    config = tmp_path / "w.toml"
    if kind == "victorialogs":
        await server.add(corpus.lines(corpus.LINES))
        await server.add(corpus.lines(corpus.OTHER), "12:34")
    config.write_text(
        f'[logstore.backend]\ntype = "{kind}"\nurl = "{server.url}"\n'
        f'word_fields = ["trace_id", "user.name"]\n'
        f'tenants = {{ default = "{places[0]}", ops = "{places[1]}" }}\n'
    )
    above = await start(kind, read_token_file=tokens, config_file=config)
    found = {}
    for token in ("first-token", "second-token"):
        headers = {"Authorization": f"Bearer {token}"}
        told = await above.get("/api/search", params={"q": "line"}, headers=headers)
        found[token] = [hit["message"] for hit in told["hits"]]
    assert found == {"first-token": [], "second-token": ["another tenant's line"]}
    assert (await above.client.get("/api/search")).status == 401


@pytest.mark.parametrize("table", ['tenants = { default = "logs-*" }', ""])
async def test_a_tenant_without_a_place_is_refused(
    start: Start, tmp_path: Path, table: str
) -> None:
    tokens, config = tmp_path / "tokens", tmp_path / "w.toml"
    tokens.write_text("first-token default\nsecond-token ops\n")
    config.write_text(
        f'[logstore.backend]\ntype = "elastic"\nurl = "http://127.0.0.1:1"\n{table}\n'
    )
    with pytest.raises(ConfigError, match=r"has nothing for .*ops"):
        await start("elastic", read_token_file=tokens, config_file=config)


@pytest.mark.parametrize(
    ("key", "scheme"),
    [
        ("token_file", "Bearer s3cret"),
        ("api_key_file", "ApiKey s3cret"),
        ("password_file", "Basic bWU6czNjcmV0"),
    ],
)
async def test_secrets(
    start: Start, elastic: StrictSearch, tmp_path: Path, key: str, scheme: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    own = {key: str(secret)} | ({"user": "me"} if key == "password_file" else {})
    above = await start("elastic", **remote("elastic", elastic.url, **own))
    elastic.authorization = scheme
    assert (await above.page(q="app:web"))[1] is False
    elastic.authorization = "Bearer another"
    told = await above.get("/api/search", 503)
    assert "answered 401" in told["error"]
    assert "s3cret" not in json.dumps(told)


async def test_status_and_reload(start: Start, elastic: StrictSearch, tmp_path: Path) -> None:
    above = await start("elastic", **remote("elastic", elastic.url))
    assert above.daemon.status() == {"backend": "elastic", "url": elastic.url, "tenants": {}}
    tokens = tmp_path / "tokens"
    tokens.write_text("some-token\n")
    flags = {"logstore.read_token_file": str(tokens)}
    flags |= {f"logstore.{k}": v for k, v in remote("elastic", elastic.url).items()}
    await above.daemon.reload(load(Config, environment={}, flags=flags).value)
    assert (await above.client.get("/api/search")).status == 401


async def test_a_tenant_that_comes_later_sees_nothing(
    start: Start, elastic: StrictSearch, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("first-token default\n")
    above = await start("elastic", read_token_file=tokens, **remote("elastic", elastic.url))
    tokens.write_text("first-token default\nsecond-token ops\n")

    async def known() -> bool:
        return "ops" in above.daemon._who.door.rules.reading.tenants

    await until(known, timeout_seconds=10, what="the token counts")
    headers = {"Authorization": "Bearer second-token"}
    told = await above.get("/api/search", 400, headers=headers)
    assert told["error"] == "the tenant ops has no place in the back end"


async def test_who_one_is(above_elastic: Above) -> None:
    told = await above_elastic.get("/api/whoami")
    assert told["tenant"] == "default"
    page = await above_elastic.client.get("/", headers={"Accept": "text/html"})
    assert page.status == 200
