"""The store over HTTP, in this process: ways in, ways out, who may."""

import asyncio
import contextlib
import gzip
import io
import json
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest
import zstandard
from aiohttp import ClientPayloadError, encode_basic_auth

from logshipper.store.config import Config
from logshipper.store.engine import swap
from logshipper.store.http.protocols import understood
from tests.store import damage
from tests.store.running import ACTION, Make, Store
from wharfinger.config import load
from wharfinger.errors import ConfigError
from wharfinger.operator.parts.process import until


async def red(store: Store, name: str) -> bool:
    checks = store.scope.health.report().checks
    return any(check.name == name and not check.healthy for check in checks)


async def green(store: Store) -> bool:
    return store.scope.health.report().healthy


@pytest.mark.parametrize(
    "path",
    ["/_bulk", "/x/_bulk", "/insert/elasticsearch/_bulk", "/_bulk?refresh=wait_for&pipeline=p"],
)
async def test_bulk_on_every_path(make: Make, path: str) -> None:
    store = await make()
    answer = await store.bulk(ACTION, '{"message":"hello"}', path=path)
    assert answer.status == 200
    assert answer.headers["X-Elastic-Product"] == "Elasticsearch"
    assert answer.content_type == "application/json"
    body = await answer.json()
    assert body["errors"] is False
    assert body["items"][0]["create"]["status"] == 201
    assert await store.found(q="hello") == ["hello"]


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-ndjson",
        "application/x-www-form-urlencoded",  # curl's own
        "multipart/form-data; boundary=x",
        "text/plain; charset=utf-16",
        "nonsense",
        "",
    ],
)
async def test_any_content_type(make: Make, content_type: str) -> None:
    store = await make()
    headers = {"Content-Type": content_type}
    answer = await store.bulk(ACTION, '{"message":"a=b&c"}', headers=headers)
    assert (await answer.json())["items"][0]["create"]["status"] == 201
    assert await store.found() == ["a=b&c"]


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_packed(make: Make, encoding: str, announced: bool) -> None:
    store = await make()
    half = f'{ACTION}\n{{"message":"packed"}}\n'.encode()
    headers = {"Content-Encoding": encoding} if announced else {}
    pack = gzip.compress if encoding == "gzip" else zstandard.ZstdCompressor().compress
    packed = pack(half) + (b"" if announced else pack(half))
    answer = await store.client.post("/_bulk", data=packed, headers=headers)
    assert answer.status == 200
    assert (await store.found())[0] == "packed"


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"\x1f\x8bnonsense" * 20, {}, 400),
        (gzip.compress(b"{}" * 1000, mtime=0)[:-12], {}, 400),
        (b"\x28\xb5\x2f\xfdnonsense", {"Content-Encoding": "zstd"}, 400),
        (b"packed", {"Content-Encoding": "br"}, 415),
    ],
)
async def test_a_body_that_cannot_be_read(
    make: Make, body: bytes, headers: dict[str, str], status: int
) -> None:
    store = await make()
    answer = await store.client.post("/_bulk", data=body, headers=headers)
    assert answer.status == status
    assert (await answer.json())["error"]["reason"]
    assert await store.add("still here") == [201]


@pytest.mark.parametrize("announced", [True, False])
async def test_a_gzip_bomb_is_refused(
    make: Make, announced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(understood, "MAX_BODY_BYTES", 2**20)
    store = await make()
    bomb = gzip.compress(b"\n" * 50 * 2**20)
    headers = {"Content-Encoding": "gzip"} if announced else {}
    answer = await store.client.post("/_bulk", data=bomb, headers=headers)
    assert answer.status == 413
    plain = await store.client.post("/_bulk", data=io.BytesIO(b"x" * (2**20 + 1)))
    assert plain.status == 413
    assert await store.add("still here") == [201]


async def test_bad_lines_cost_only_themselves(make: Make) -> None:
    store = await make()
    answer = await store.bulk(ACTION, '{"message":"1"}', ACTION, "{bad", ACTION, '{"message":"3"}')
    body = await answer.json()
    assert answer.status == 200
    assert body["errors"] is True
    assert [item["create"]["status"] for item in body["items"]] == [201, 400, 201]
    assert sorted(await store.found()) == ["1", "3"]
    assert store.scope.metrics.get_sample_value("wharfinger_logstore_rejected_lines_total") == 1


async def test_the_same_id_again_is_done(make: Make) -> None:
    store = await make()
    lines = ('{"create":{"_id":"0123456789abcdef.0.1f"}}', '{"message":"once"}')
    first, second = [(await (await store.bulk(*lines)).json()) for _ in range(2)]
    assert first["items"][0]["create"]["status"] == 201
    assert second["errors"] is False
    assert second["items"][0]["create"] == {
        "_index": "logs",
        "_id": "0123456789abcdef.0.1f",
        "result": "noop",
        "status": 200,
    }
    assert await store.found() == ["once"]


async def test_a_large_body(make: Make) -> None:
    store = await make()
    lines = [t for n in range(12_000) for t in (ACTION, json.dumps({"message": f"line {n}"}))]
    body = await (await store.bulk(*lines)).json()
    assert len(body["items"]) == 12_000
    assert await store.found(q="11999") == ["line 11999"]


async def test_overload_refuses_the_whole_request(make: Make) -> None:
    store = await make(queue_bytes=2**20)
    with store.daemon._intake.reserve(2**20):
        answer = await store.bulk(ACTION, '{"message":"no"}')
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) >= 1
        assert (await answer.json())["status"] == 429
    assert await store.add("yes") == [201]
    assert await store.found() == ["yes"]
    refused = store.scope.metrics.get_sample_value(
        "wharfinger_logstore_refused_requests_total", {"reason": "queue"}
    )
    assert refused == 1


async def test_a_disk_without_room_refuses_and_turns_red(make: Make) -> None:
    store = await make(min_free_bytes=2**62)
    answer = await store.bulk(ACTION, '{"message":"no"}')
    assert answer.status == 429
    async with asyncio.timeout(10):
        while store.scope.health.report().healthy:  # noqa: ASYNC110 - told by no event
            await asyncio.sleep(0.01)
    assert "disk nearly full" in store.scope.health.report().why
    assert "disk nearly full" in store.daemon.status()["refusing"]
    assert await store.found() == []  # reading goes on


async def test_what_clients_ask_first(make: Make) -> None:
    store = await make()
    for prefix in ("/", "/insert/elasticsearch", "/insert/elasticsearch/"):
        answer = await store.client.get(prefix)
        assert answer.headers["X-Elastic-Product"] == "Elasticsearch"
        assert (await answer.json())["version"]["number"] == "8.9.0"
    head = await store.client.head("/")
    assert (head.status, await head.read()) == (200, b"")
    assert (await store.get("/_license"))["license"]["status"] == "active"
    template = await store.client.put("/_index_template/logs", json={"index_patterns": ["l"]})
    assert await template.json() == {"acknowledged": True}


SETTINGS = (
    "_index_template/x", "_component_template/x", "_template/x", "_ilm/policy/x",
    "_ingest/pipeline/x", "_data_stream/x",
)  # fmt: skip


@pytest.mark.parametrize("prefix", ["", "/insert/elasticsearch"])
async def test_what_clients_set_up_before_they_send(make: Make, prefix: str) -> None:
    store = await make()
    assert (await store.client.get(f"{prefix}/_cat/health")).status == 200
    assert (await store.client.get(f"{prefix}/_xpack")).status == 200
    for path in (f"{prefix}/{setting}" for setting in SETTINGS):
        # A sender that is told that it is there does not put it, and one that is told so must.
        for method, status in (("HEAD", 404), ("GET", 404), ("PUT", 200), ("POST", 200)):
            answer = await store.client.request(method, path)
            assert answer.status == status, (method, path)
            assert answer.headers["X-Elastic-Product"] == "Elasticsearch"
    for method, path, status in (
        ("HEAD", "/logs-x", 200), ("PUT", "/logs-x", 200), ("GET", "/logs-x", 404),
        ("HEAD", "/_unknown", 404), ("PUT", "/_unknown", 404), ("GET", "/_unknown", 404),
    ):  # fmt: skip
        assert (await store.client.request(method, prefix + path)).status == status, (method, path)
    for path in ("/healthz", "/metrics", "/status", "/readyz"):
        assert (await store.client.get(path)).status in {200, 404}


async def test_who_may_set_up_what_clients_set_up(make: Make, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("token-of-a-writer\n")
    store = await make(ingest_token_file=tokens)
    for path in ("/logs-x", *(f"/{setting}" for setting in SETTINGS)):
        assert (await store.client.put(path)).status == 401
        headers = {"Authorization": "ApiKey token-of-a-writer"}
        assert (await store.client.put(path, headers=headers)).status == 200


async def test_search_parameters(make: Make) -> None:
    store = await make()
    lines: list[str] = []
    for n in range(5):
        fields = {"message": f"line {n}", "app": f"app{n % 2}", "host": "h", "level": "warn"}
        lines += [ACTION, json.dumps(fields)]
    await store.bulk(*lines)
    answer = await store.get("/api/search", params={"limit": 2})
    assert (len(answer["hits"]), answer["more"]) == (2, True)
    hit = answer["hits"][0]
    assert list(hit) == ["id", "time", "message", "app", "host", "level"]
    rest = await store.get("/api/search", params={"limit": 3, "before": answer["hits"][1]["id"]})
    assert (len(rest["hits"]), rest["more"]) == (3, False)
    assert sorted(await store.found(app="app1")) == ["line 1", "line 3"]
    assert len(await store.get("/api/search?app=app0&app=app1")) == 2
    assert await store.found(level="error") == []
    assert len(await store.found(level="warning", host="h", q="line")) == 5
    assert await store.found(**{"from": "2999-01-01T00:00:00Z"}) == []
    assert await store.found(to="2020-01-01T00:00:00+08:00") == []
    assert len(await store.found(**{"from": "2020-01-01T00:00:00+08:00"})) == 5


@pytest.mark.parametrize(
    "params",
    [
        {"q": '"open'},
        {"q": "/(/"},
        {"from": "yesterday"},
        {"limit": "0"},
        {"limit": "-1"},
        {"limit": "many"},
        {"level": "loud"},
        {"before": "nothing"},
        {"before": "20200101.0.0"},
    ],
)
async def test_a_bad_query_names_the_fix(make: Make, params: dict[str, str]) -> None:
    store = await make()
    answer = await store.get("/api/search", 400, params=params)
    assert answer["error"]
    assert answer["fix"]


@pytest.mark.parametrize("name", ["from", "to"])
@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "99999999999"])
async def test_times_beyond_what_a_file_can_hold(make: Make, name: str, text: str) -> None:
    store = await make()
    await store.add("x")
    fits = text.startswith("0") == (name == "from")
    for question in ({}, {"q": "x"}):
        assert await store.found(**{name: text}, **question) == (["x"] if fits else [])


async def test_fields_of_the_sender_never_hide_ours(make: Make) -> None:
    store = await make()
    await store.bulk(ACTION, '{"message":"m","id":"42","n":{"deep":1},"level":"odd"}')
    (hit,) = (await store.get("/api/search"))["hits"]
    assert hit["fields.id"] == "42"
    assert hit["id"].count(".") == 2
    assert (hit["n"], hit["level"]) == ({"deep": 1}, "odd")


async def test_context_export_fields_histogram(make: Make) -> None:
    store = await make()
    await store.add(*[f"line {n}" for n in range(7)], app="shop", container="c1")
    await store.add("elsewhere", app="web")
    hit = (await store.get("/api/search", params={"q": '"line 3"'}))["hits"][0]
    context = await store.get("/api/context", params={"id": hit["id"], "before": 2, "after": 10})
    assert [h["message"] for h in context["before"]] == ["line 1", "line 2"]
    assert context["hit"] == hit
    assert [h["message"] for h in context["after"]] == ["line 4", "line 5", "line 6"]
    export = await store.client.get("/api/export", params={"q": "line"})
    assert export.content_type == "application/x-ndjson"
    lines = [json.loads(line) for line in (await export.text()).splitlines()]
    assert [line["message"] for line in lines] == [f"line {n}" for n in range(6, -1, -1)]
    assert (await store.get("/api/fields"))["app"] == {"shop": 7, "web": 1}
    buckets = (await store.get("/api/histogram"))["buckets"]
    assert sum(n for bucket in buckets for n in bucket["levels"].values()) == 8
    await store.get("/api/context?id=20260101.0.0", 400)


async def test_export_goes_on_page_after_page(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logshipper.store.query.embedded._EXPORT_LINES", 10)
    store = await make()
    await store.add(*[f"line {n}" for n in range(35)])
    export = await store.client.get("/api/export")
    assert len((await export.text()).splitlines()) == 35
    bad = await store.client.get("/api/export", params={"q": "/(/"})
    assert bad.status == 400


async def test_long_lines_make_short_pages(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("embedded", "archive"):
        monkeypatch.setattr(f"logshipper.store.query.{module}.PAGE_CHARACTERS", 2_500)
    store = await make()
    sent = [f"{n} {'x' * 1_000}" for n in range(7)]
    await store.add(*sent)
    found: list[str] = []
    before, more = "", True
    while more:
        page = await store.get("/api/search", params={"before": before} if before else {})
        assert len(page["hits"]) <= 3
        found += [hit["message"] for hit in page["hits"]]
        before, more = (found and page["hits"] and page["hits"][-1]["id"]) or before, page["more"]
    assert found == sent[::-1]
    export = await store.client.get("/api/export", params={"order": "oldest"})
    assert [json.loads(line)["message"] for line in (await export.text()).splitlines()] == sent
    context = await store.get("/api/context", params={"id": before, "after": "6"})
    assert [hit["message"] for hit in context["after"]] == sent[1:4]


@pytest.mark.parametrize("text", ["wanted app:shop", '"is wanted"', "/want.d/ -unwanted"])
async def test_live_tail(make: Make, text: str) -> None:
    store = await make()
    await store.add("wanted before")
    async with store.client.get("/api/tail", params={"q": text}) as tail:
        assert tail.headers["X-Accel-Buffering"] == "no"
        assert await tail.content.readline() == b": following\n"
        await store.add("other", "this is wanted", "unwanted", app="shop")
        async with asyncio.timeout(20):
            while not (line := await tail.content.readline()).startswith(b"data:"):
                pass
        hit = json.loads(line.removeprefix(b"data:"))
    assert hit["message"] == "this is wanted"
    (same,) = (await store.get("/api/search", params={"q": '"is wanted"'}))["hits"]
    assert same == hit
    async with asyncio.timeout(20):
        while store.daemon._tails._followers:  # noqa: ASYNC110 - told by no event
            await asyncio.sleep(0.01)


async def test_who_may(make: Make, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("ingest-a team-a\ningest-b team-b\n")
    (tmp_path / "out").write_text("reader-a team-a\nreader-b team-b\n")
    store = await make(ingest_token_file=tmp_path / "in", read_token_file=tmp_path / "out")
    lines = (ACTION, '{"message":"secret of a"}')
    for header in ({}, {"Authorization": "Bearer reader-a"}, {"Authorization": "Bearer x"}):
        refused = await store.bulk(*lines, headers=header)
        assert refused.status == 401
        assert refused.headers["WWW-Authenticate"].startswith("Basic")
    taken = await store.bulk(
        *lines, headers={"Authorization": encode_basic_auth("elastic", "ingest-a")}
    )
    assert taken.status == 200
    for path in ("search", "context?id=1", "fields", "histogram", "export", "tail"):
        await store.get(f"/api/{path}", 401)
    await store.get("/api/search", 401, headers={"Authorization": "Bearer ingest-a"})
    # The page holds no line: it is what asks for the token.
    page = await store.client.get("/", headers={"Accept": "text/html"})
    assert page.status == 200
    a = await store.get("/api/search", headers={"Authorization": "Bearer reader-a"})
    b = await store.get("/api/search", headers={"Authorization": "ApiKey reader-b"})
    assert ([h["message"] for h in a["hits"]], b["hits"]) == (["secret of a"], [])
    # Another tenant's header or id opens nothing.
    await store.get(
        f"/api/context?id={a['hits'][0]['id']}",
        400,
        headers={"Authorization": "Bearer reader-b", "X-Scope-OrgID": "team-a"},
    )


async def test_reload_takes_new_tokens_and_limits_or_keeps_the_old(
    make: Make, tmp_path: Path
) -> None:
    store = await make()
    await store.add("open")
    (tmp_path / "out").write_text("reader-token\n")
    flags = {"logstore.read_token_file": str(tmp_path / "out"), "logstore.retention_days": "2"}
    changed = load(Config, environment={}, flags=flags).value
    await store.daemon.reload(changed)
    await store.get("/api/search", 401)
    assert store.daemon._writer.limits.retention_days == 2
    (tmp_path / "out").write_text("")
    with pytest.raises(ConfigError):
        await store.daemon.reload(changed)
    assert await store.get("/api/search", headers={"Authorization": "Bearer reader-token"})


async def test_a_day_that_cannot_be_read_is_said_not_hidden(make: Make, tmp_path: Path) -> None:
    store = await make()
    await store.add("x")
    day = tmp_path / "logstore" / "default" / "2020-01-01.db"
    day.write_bytes(b"rubbish " * 1000)
    answer = await store.get("/api/search", 500)
    assert f"{day} cannot be read" in answer["error"]
    assert "from, to" in answer["fix"]
    await until(lambda: red(store, "day files"), timeout_seconds=10, what="health is red")
    day.unlink()
    assert await store.found() == ["x"]
    await until(lambda: green(store), timeout_seconds=10, what="health is green again")


async def test_lines_that_rotted_on_disk_are_said_and_take_no_more(
    make: Make, tmp_path: Path
) -> None:
    store = await make()
    await store.add("x")
    await store.daemon.drain()
    (day,) = (tmp_path / "logstore" / "default").glob("*.db")
    with contextlib.closing(sqlite3.connect(day)) as connection, connection:
        connection.execute("UPDATE part SET body = x'00ff00ff'")
    again = await make(data_dir=tmp_path / "copy")
    (tmp_path / "copy" / "default").mkdir()
    shutil.copy(day, tmp_path / "copy" / "default")
    assert "damaged" in (await again.get("/api/search", 500))["error"]
    assert (await again.bulk(ACTION, '{"message":"y"}')).status == 429
    await until(lambda: red(again, "day files"), timeout_seconds=10, what="health is red")


async def test_an_export_that_fails_on_the_way_never_looks_whole(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("logshipper.store.query.embedded._EXPORT_LINES", 2)
    store = await make()
    await store.add("a", "b", "c")
    (tmp_path / "logstore" / "default" / "2020-01-01.db").write_bytes(b"rubbish " * 1000)
    answer = await store.client.get("/api/export")
    assert answer.status == 200
    with pytest.raises(ClientPayloadError):
        await answer.read()


async def test_a_writer_that_hangs_turns_health_red(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logshipper.store.daemon._STUCK_SECONDS", 3.0)
    entered, go_on = threading.Event(), threading.Event()

    def hang(*_: object) -> list[int | None]:
        entered.set()
        go_on.wait(60)
        return [1]

    store = await make()
    await until(lambda: green(store), timeout_seconds=10, what="health is green")
    monkeypatch.setattr("logshipper.store.engine.day.DayWriter.write", hang)
    sending = asyncio.create_task(store.add("x"))
    try:
        await until(lambda: red(store, "writer"), timeout_seconds=20, what="health is red")
        assert entered.is_set()
    finally:
        go_on.set()
    assert await sending == [201]
    await until(lambda: green(store), timeout_seconds=10, what="health is green again")


async def test_a_body_of_many_tiny_lines_is_refused_before_it_takes_memory(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(understood, "MAX_BODY_ROWS", 100)
    store = await make()
    assert (await store.bulk(*[ACTION, "{}"] * 50)).status == 200
    answer = await store.client.post("/_bulk", data=gzip.compress(b"{}\n" * 100_000))
    assert answer.status == 413
    assert "100 lines" in (await answer.json())["error"]["reason"]
    assert store.daemon._intake.held_bytes == 0


async def test_drain_finishes_what_was_begun(make: Make) -> None:
    store = await make()
    sending = [asyncio.create_task(store.add(f"line {n}")) for n in range(20)]
    async with asyncio.timeout(10):
        while store.daemon._intake.held_bytes == 0:  # noqa: ASYNC110 - told by no event
            await asyncio.sleep(0)
    await store.daemon.drain()
    acknowledged = 0
    for task in sending:
        try:
            acknowledged += await task == [201]
        except KeyError:  # a refusal has no items
            continue
    assert len(await store.found()) == acknowledged
    assert (await store.bulk(ACTION, "{}")).status == 429


async def test_a_day_whose_repair_was_interrupted_is_there_when_the_store_starts(
    make: Make, tmp_path: Path
) -> None:
    path = tmp_path / "logs" / "default" / damage.NAME
    for lines, name in ((5, swap.kept(path, "T")), (4, swap.staged(path, "T"))):
        damage.write(path, lines)
        path.rename(name)
    store = await make(retention_days=3650, data_dir=tmp_path / "logs")
    assert len(await store.found(**{"from": "2026-11-23T00:00:00Z"})) == 4


async def test_health_is_green_again_when_a_damaged_day_was_repaired(make: Make) -> None:
    store = await make(retention_days=3650)
    await store.add(*(f"line {n}" for n in range(50)))
    (path,) = store.daemon._folder.root.glob("*/*.db")
    await asyncio.to_thread(
        damage.sql("UPDATE part SET body = zeroblob(9)", "UPDATE roll SET count = 0"), path
    )
    await store.get("/api/search", 500)
    assert list(store.daemon.status()["broken"]) == [str(path)]
    new = path.parent.parent.parent / "new" / path.name
    damage.write(new, 5)
    new.rename(path)
    assert store.daemon.status()["broken"] == {}
