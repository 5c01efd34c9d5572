"""Requests as Grafana and logcli make them, and answers as Loki's documentation has them."""

import asyncio
import json
import threading
import time
from operator import itemgetter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from aiohttp import (
    ClientWebSocketResponse,
    WSMsgType,
    WSServerHandshakeError,
    encode_basic_auth,
)

from logshipper.store.http.loki import replies
from logshipper.store.query.logql import answers
from tests.store.running import ACTION, Make, Store
from wharfinger.operator.parts.process import until

SECOND = 10**9
PREFIX = "/loki/api/v1"
CATEGORIZED = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
# A whole minute, so that steps of one have whole windows.
START = time.time_ns() // (60 * SECOND) * 60 * SECOND - 600 * SECOND


WEB = [json.dumps({"msg": f"job {n}", "status": 200 + n % 2}) for n in range(60)]
WEB_BYTES = sum(map(len, WEB))


async def filled(make: Make) -> Store:
    """Two lines a second for a minute."""
    store = await make()
    await add(
        store,
        *(
            {
                "message": f"{'INFO' if n % 10 else 'ERROR'} request {n} done",
                "time": START + n * SECOND,
                "app": "shop",
                "env": "prod",
                "host": f"h{n % 2}",
                "trace_id": f"t{n}",
            }
            for n in range(60)
        ),
        *(
            {
                "message": line,
                "time": START + n * SECOND + 1,
                "app": "web",
                "env": "test",
                "host": "h3",
            }
            for n, line in enumerate(WEB)
        ),
    )
    return store


async def add(store: Store, *documents: dict[str, Any]) -> None:
    answer = await store.bulk(*(t for d in documents for t in (ACTION, json.dumps(d))))
    assert (await answer.json())["errors"] is False


async def asked(store: Store, path: str, **params: Any) -> Any:
    headers = params.pop("headers", {})
    span = {"start": str(START), "end": str(START + 60 * SECOND)}
    return await store.get(f"{PREFIX}/{path}", params={**span, **params}, headers=headers)


async def refused(store: Store, path: str, status: int = 400, **params: Any) -> str:
    answer = await store.client.get(f"{PREFIX}/{path}", params=params)
    assert answer.status == status
    assert answer.content_type == "text/plain"
    return await answer.text()


async def test_save_and_test_of_the_data_source(make: Make) -> None:
    store = await make()
    answer = await store.get(
        f"{PREFIX}/query?direction=backward&query=vector(1)%2Bvector(1)&time=4000000000"
    )
    assert answer["data"]["resultType"] == "vector"
    assert answer["data"]["result"] == [{"metric": {}, "value": [4_000_000_000, "2"]}]
    assert (await store.get(f"{PREFIX}/status/buildinfo"))["version"].startswith("3.")
    assert (await store.get(f"{PREFIX}/drilldown-limits"))["pattern_ingester_enabled"] is False
    assert await (await store.client.get("/ready")).text() == "ready\n"


async def test_lines_of_explore(make: Make) -> None:
    store = await filled(make)
    query = '{app="shop", env=~"p.*"} |= `request` != "1"'
    answer = await asked(
        store, "query_range", query=query, limit="3", direction="backward", step="500ms"
    )
    assert answer["status"] == "success"
    data = answer["data"]
    assert data["resultType"] == "streams"
    assert data["stats"]["summary"]["totalLinesProcessed"] == 3
    entries = [(v[0], v[1], s["stream"]) for s in data["result"] for v in s["values"]]
    assert max(entries, key=itemgetter(0)) == (
        str(START + 59 * SECOND),
        "INFO request 59 done",
        {
            "app": "shop",
            "env": "prod",
            "host": "h1",
            "service_name": "shop",
            "detected_level": "info",
            "trace_id": "t59",
        },
    )
    assert {entry[1] for entry in entries} == {f"INFO request {n} done" for n in (57, 58, 59)}


async def test_labels_of_lines_beside_them(make: Make) -> None:
    store = await filled(make)
    answer = await asked(
        store,
        "query_range",
        query='{app="shop"} | logfmt',
        limit="10",
        direction="FORWARD",
        headers=CATEGORIZED,
    )
    assert answer["data"]["encodingFlags"] == ["categorize-labels"]
    first, second = answer["data"]["result"]
    assert first["stream"] == {"app": "shop", "env": "prod", "host": "h0", "service_name": "shop"}
    assert second["stream"]["host"] == "h1"
    assert [value[0] for value in first["values"]] == [
        str(START + n * SECOND) for n in range(0, 10, 2)
    ]
    assert first["values"][0][1:] == [
        "ERROR request 0 done",
        {"structuredMetadata": {"detected_level": "error", "trace_id": "t0"}},
    ]
    web = await asked(
        store, "query_range", query='{app="web"} | json', limit="1", headers=CATEGORIZED
    )
    assert web["data"]["result"][0]["values"][0][2] == {
        "structuredMetadata": {"detected_level": "unknown"},
        "parsed": {"msg": "job 59", "status": "201"},
    }


async def test_the_end_is_not_in_it_and_the_start_is(make: Make) -> None:
    store = await filled(make)
    span = {"start": str(START), "end": str(START + 2 * SECOND)}
    answer = await asked(store, "query_range", query='{app="shop"}', **span)
    times = {value[0] for stream in answer["data"]["result"] for value in stream["values"]}
    assert times == {str(START), str(START + SECOND)}


@pytest.mark.parametrize(
    ("labels", "lines"),
    [
        ("level", '{app="shop"} |= ``'),
        ("level, detected_level", '{app="shop"} |= `request`'),
        ("detected_level", '{app="shop"} | json | logfmt | drop __error__, __error_details__'),
    ],
)
async def test_the_volume_above_the_lines(make: Make, labels: str, lines: str) -> None:
    query = f"sum by ({labels}) (count_over_time({lines} [1m]))"
    store = await filled(make)
    answer = await asked(
        store,
        "query_range",
        query=query,
        start=str(START + 60 * SECOND),
        end=str(START + 120 * SECOND),
        step="60000ms",
    )
    assert answer["data"]["resultType"] == "matrix"
    names = {name for series in answer["data"]["result"] for name in series["metric"]}
    assert names == set(labels.split(", "))
    at = (START + 60 * SECOND) // SECOND
    assert [(set(s["metric"].values()), s["values"]) for s in answer["data"]["result"]] == [
        ({"error"}, [[at, "6"]]),
        ({"info"}, [[at, "54"]]),
    ]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ('count_over_time({app="shop"}[1m])', {"h0": "30", "h1": "30"}),
        ('sum by (host) (rate({env=~"prod|test"}[1m]))', {"h0": "0.5", "h1": "0.5", "h3": "1"}),
        ("topk(1, sum by (host) (count_over_time({}[1m])))", {"h3": "60"}),
        ('sum by (host) (count_over_time({app="web"} |~ "[[:digit:]]+" [1m]))', {"h3": "60"}),
        ('count_over_time({app="web"} | keep host [1m])', {"h3": "60"}),
        ("sum by (host) (count_over_time({}[1m])) > 50", {"h3": "60"}),
        ('sum by (host) (bytes_over_time({app="web"}[1m]))', {"h3": f"{WEB_BYTES}"}),
        ('sum by (host) (count_over_time({app="web"} | json | status>200 [1m]))', {"h3": "30"}),
        ('sum by (host) (count_over_time({app="gone"}[1m]))', {}),
        (
            'avg_over_time({app="web"} | json | unwrap status | __error__="" [1m]) by (host)',
            {"h3": "200.5"},
        ),
        ('max_over_time({app="web"} | json | unwrap status [1m]) by (host)', {"h3": "201"}),
        ('sum_over_time({app="shop"} | logfmt | unwrap status [1m]) by (host)', {}),
    ],
)
async def test_numbers_at_one_moment(make: Make, query: str, wanted: dict[str, str]) -> None:
    store = await filled(make)
    answer = await asked(store, "query", query=query, time=str(START + 60 * SECOND))
    assert answer["data"]["resultType"] == "vector"
    found: dict[str, int] = {}
    for sample in answer["data"]["result"]:
        assert sample["value"][0] == START // SECOND + 60
        host = sample["metric"]["host"]
        found[host] = found.get(host, 0) + float(sample["value"][1])
    assert {host: f"{number:g}" for host, number in found.items()} == wanted


async def test_labels_that_lines_alone_have(make: Make) -> None:
    store = await filled(make)
    query = 'sum by (status) (count_over_time({app="web"} | json [1m]))'
    answer = await asked(store, "query", query=query, time=str(START + 60 * SECOND))
    assert [(s["metric"], s["value"][1]) for s in answer["data"]["result"]] == [
        ({"status": "200"}, "30"),
        ({"status": "201"}, "30"),
    ]


async def test_labels_values_and_series(make: Make) -> None:
    store = await filled(make)
    names = await asked(store, "labels")
    assert names == {"status": "success", "data": ["app", "env", "host", "service_name"]}
    assert (await asked(store, "label"))["data"] == names["data"]
    assert (await asked(store, "label/host/values"))["data"] == ["h0", "h1", "h3"]
    shop = await asked(store, "label/host/values", query='{app="shop"}')
    assert shop["data"] == ["h0", "h1"]
    assert (await asked(store, "label/nothing/values"))["data"] == []
    series = await asked(store, "series", **{"match[]": '{app="web"}'})
    assert series["data"] == [{"app": "web", "env": "test", "host": "h3", "service_name": "web"}]
    form = {"match[]": '{host="h0"}', "start": str(START), "end": str(START + SECOND)}
    posted = await store.client.post(f"{PREFIX}/series", data=form)
    assert [labels["host"] for labels in (await posted.json())["data"]] == ["h0"]


async def test_volumes_and_what_was_detected(make: Make) -> None:
    store = await filled(make)
    stats = await asked(store, "index/stats", query='{app="web"}')
    assert stats == {"streams": 1, "chunks": 0, "entries": 60, "bytes": WEB_BYTES}
    query = '{service_name=~".+"}'
    volume = await asked(store, "index/volume", query=query, targetLabels="service_name", limit="1")
    assert volume["data"]["resultType"] == "vector"
    (sample,) = volume["data"]["result"]
    assert sample["metric"]["service_name"] in {"shop", "web"}
    over = await asked(store, "index/volume_range", query='{app="web"}', step="30")
    assert over["data"]["resultType"] == "matrix"
    by_label = await asked(store, "index/volume", query=query, aggregateBy="labels")
    assert by_label["data"]["result"][0]["metric"] == {"service_name": ""}
    labels = (await asked(store, "detected_labels", query=""))["detectedLabels"]
    assert {"label": "host", "cardinality": 3} in labels
    fields = (await asked(store, "detected_fields", query='{app="web"}', line_limit="50"))["fields"]
    assert fields == [
        {"label": "detected_level", "type": "string", "cardinality": 1, "parsers": None},
        {"label": "msg", "type": "string", "cardinality": 50, "parsers": ["json"]},
        {"label": "status", "type": "int", "cardinality": 2, "parsers": ["json"]},
    ]
    values = await asked(store, "detected_field/status/values", query='{app="web"}')
    assert values["values"] == ["200", "201"]
    assert (await asked(store, "patterns", query='{app="web"}'))["data"] == []


@pytest.mark.parametrize(
    ("path", "params", "named"),
    [
        ("query_range", {}, "no query"),
        ("query_range", {"query": '{app="shop"} | line_format "x"'}, "line_format"),
        ("query_range", {"query": '{app=~"("}'}, "no regular expression"),
        ("query_range", {"query": "{}", "limit": "0"}, "limit"),
        ("query_range", {"query": "{}", "limit": "x"}, "limit"),
        ("query_range", {"query": "{}", "direction": "up"}, "direction"),
        ("query_range", {"query": "{}", "start": "yesterday"}, "start"),
        ("query_range", {"query": "{}", "end": "9" * 40}, "end"),
        ("query_range", {"query": "rate({}[1m])", "step": "-5"}, "step"),
        ("query_range", {"query": "rate({}[1m])", "step": "1ms"}, "points"),
        ("query_range", {"query": "rate({}[1m])", "start": "2000000000", "end": "1"}, "before"),
        ("series", {"match[]": "rate({}[1m])"}, "numbers"),
        ("index/stats", {"query": "{"}, "the end"),
        ("labels", {"since": "x"}, "since"),
        ("tail", {"query": "{}"}, "no WebSocket"),
    ],
)
async def test_requests_that_cannot_be_answered(
    make: Make, path: str, params: dict[str, str], named: str
) -> None:
    store = await make()
    assert named in await refused(store, path, **params)


@pytest.mark.parametrize(
    "moment",
    [str(START), f"{START // SECOND}", f"{START // SECOND}.000", "{rfc}"],
)
async def test_spellings_of_time(make: Make, moment: str) -> None:
    store = await filled(make)
    rfc = time.strftime("%Y-%m-%dT%H:%M:%S.0Z", time.gmtime(START // SECOND))
    span = {"start": moment.format(rfc=rfc), "end": str(START + SECOND)}
    answer = await asked(store, "query_range", query='{app="shop"}', **span)
    assert sum(len(stream["values"]) for stream in answer["data"]["result"]) == 1


async def test_since_the_last_hour_when_nothing_is_said(make: Make) -> None:
    store = await filled(make)
    await store.add("old", time=time.time_ns() - 7200 * SECOND, app="shop")
    answer = await store.get(
        f"{PREFIX}/query_range", params={"query": '{app="shop"}', "limit": "9999"}
    )
    assert sum(len(stream["values"]) for stream in answer["data"]["result"]) == 60
    longer = {"query": '{app="shop"}', "limit": "9999", "since": "3h"}
    answer = await store.get(f"{PREFIX}/query_range", params=longer)
    assert sum(len(stream["values"]) for stream in answer["data"]["result"]) == 61


async def test_too_many_series(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await filled(make)
    monkeypatch.setattr(answers, "MAX_SERIES", 1)
    assert "3 series" in await refused(store, "query", query='count_over_time({app="shop"}[1h])')


async def test_numbers_are_computed_beside_the_loop(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, threads = await filled(make), set[threading.Thread]()

    def spied(name: str, module: ModuleType) -> None:
        compute = getattr(module, name)

        def noted(*given: Any) -> Any:
            threads.add(threading.current_thread())
            return compute(*given)

        monkeypatch.setattr(module, name, noted)

    for name in ("windows", "reduced", "evaluate", "_labelled"):
        spied(name, answers)
    spied("matrix", replies)
    for query in (
        "sum by (host) (count_over_time({}[1m]))",
        'max_over_time({app="web"} | json | unwrap status [1m]) by (host)',
    ):
        assert (await asked(store, "query_range", query=query))["data"]["result"]
    assert threads
    assert threading.current_thread() not in threads


@pytest.mark.parametrize("query", ['{app="shop"}', '{app="web"} | json'])
async def test_lines_too_long_for_one_answer(
    make: Make, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    """Fewer than were asked for would look like all that there are."""
    for module in ("embedded", "logql.answers"):
        monkeypatch.setattr(f"logshipper.store.query.{module}.PAGE_CHARACTERS", 500)
    store = await filled(make)
    assert "too much" in await refused(store, "query_range", query=query)
    answer = await asked(store, "query_range", query=query, limit="3")
    assert sum(len(stream["values"]) for stream in answer["data"]["result"]) == 3


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("; charset=none", b"other=x"),
        ("", b"query=\xff"),
        ("", b"a=1&" * 1_001),
        ("", b"query=" + b"x" * 70_000),
    ],
)
async def test_forms_that_are_none(make: Make, kind: str, body: bytes) -> None:
    store = await make()
    kind = f"application/x-www-form-urlencoded{kind}"
    answer = await store.client.post(
        f"{PREFIX}/query_range", data=body, headers={"Content-Type": kind}
    )
    assert answer.status == 400
    assert ("no query" if b"other" in body else "no form") in await answer.text()


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=a"])
async def test_parts_of_files_are_no_parameters(make: Make, kind: str) -> None:
    store = await make()
    params = {"query": '{app="shop"}'}
    answer = await store.client.post(
        f"{PREFIX}/query_range", params=params, data=b"x", headers={"Content-Type": kind}
    )
    assert answer.status == 200


async def test_a_form_that_does_not_end(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logshipper.store.http.loki.asking._READ_SECONDS", 0.2)
    store = await make()
    reader, writer = await asyncio.open_connection("127.0.0.1", store.client.port)
    writer.write(
        f"POST {PREFIX}/labels HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n\r\nquery".encode()
    )
    async with asyncio.timeout(10):
        assert b" 400 " in await reader.readline()
    writer.close()


async def test_no_time_to_look_at_all_lines(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await filled(make)
    monkeypatch.setattr(answers, "LOOKING_SECONDS", -1.0)
    query = 'sum by (trace_id) (count_over_time({app="shop"}[1h]))'
    assert "longer" in await refused(store, "query", query=query)
    assert "longer" in await refused(store, "query_range", query='{app="web"} | json | status>200')


async def test_tokens_count_and_a_tenant_s_header_does_not(make: Make, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("first-token one\nsecond-token two\n")
    store = await make(read_token_file=tokens)
    bare = await store.client.get(f"{PREFIX}/labels")
    assert bare.status == 401
    assert bare.headers["WWW-Authenticate"].startswith("Basic")
    await store.add("line", app="shop")  # goes to a tenant that neither of them is
    for token, status in (("wrong-token", 401), ("first-token", 200), ("second-token", 200)):
        headers = {
            "Authorization": encode_basic_auth("grafana", token),
            "X-Scope-OrgID": "default",
        }
        answer = await store.client.get(f"{PREFIX}/label/app/values", headers=headers)
        assert answer.status == status
        if status == 200:
            assert (await answer.json())["data"] == []
    with pytest.raises(WSServerHandshakeError, match="401"):
        await store.client.ws_connect(f"{PREFIX}/tail?query=%7B%7D")


async def no_tail_is_open(store: Store) -> bool:
    return not store.scope.metrics.get_sample_value("wharfinger_logstore_tails")


async def received(socket: ClientWebSocketResponse) -> dict[str, Any]:
    async with asyncio.timeout(10):
        message = await socket.receive()
    assert message.type is WSMsgType.TEXT
    found: dict[str, Any] = json.loads(message.data)
    return found


async def test_a_live_tail(make: Make) -> None:
    store = await filled(make)
    query = '{app="shop"} | logfmt | trace_id!="t58" |= "done"'
    params = {"query": query, "limit": "2", "start": str(START)}
    async with store.client.ws_connect(f"{PREFIX}/tail", params=params) as socket:
        before = await received(socket)
        lines = [v for stream in before["streams"] for v in stream["values"]]
        assert sorted(line for _, line in lines) == ["INFO request 57 done", "INFO request 59 done"]
        await store.add("INFO new done", "INFO other", app="shop", host="h9")
        coming = await received(socket)
        (stream,) = coming["streams"]
        assert stream["stream"]["host"] == "h9"
        assert stream["values"][0][1] == "INFO new done"
        assert "dropped_entries" not in coming
    await until(lambda: no_tail_is_open(store), timeout_seconds=10, what="the tail has ended")


async def test_a_tail_ends_with_its_reader(make: Make) -> None:
    store = await make()
    socket = await store.client.ws_connect(f"{PREFIX}/tail", params={"query": "{}"})
    assert store.scope.metrics.get_sample_value("wharfinger_logstore_tails") == 1
    await socket.close()
    await until(lambda: no_tail_is_open(store), timeout_seconds=10, what="the tail has ended")
