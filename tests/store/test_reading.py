"""The ways out: counts and pages of any query, exports in each form."""

import asyncio
import gzip
import json
from typing import Any

import pytest

from logshipper.store.query import embedded
from logshipper.store.query.archive import Archive
from logshipper.store.query.tally import Tally
from tests.store.running import ACTION, Make, Store

START = "2026-11-23T08:00:0"


async def filled(make: Make) -> Store:
    store = await make(retention_days=3650)
    lines = (
        {
            "message": f"{'' if n % 3 else 'ERROR '}line {n} odd{n % 2}",
            "time": f"{START}{n}Z",
            "app": "shop" if n < 4 else "web",
            "env": "prod",
            "host": f"h{n % 2}",
        }
        for n in range(6)
    )
    await store.bulk(*(text for line in lines for text in (ACTION, json.dumps(line))))
    return store


@pytest.mark.parametrize(
    ("params", "levels"),
    [
        ({}, {"error": 2, "unknown": 4}),
        ({"q": "odd1"}, {"error": 1, "unknown": 2}),
        ({"q": '"line 3"'}, {"error": 1}),
        ({"q": "/line [12]/"}, {"unknown": 2}),
        ({"host": "h0", "app": "shop"}, {"error": 1, "unknown": 1}),
        ({"q": "nothing"}, {}),
    ],
)
async def test_a_histogram_of_any_query(
    make: Make, params: dict[str, str], levels: dict[str, int]
) -> None:
    store = await filled(make)
    answer = await store.get("/api/histogram", params=params)
    assert (answer["bucket_seconds"], answer["bucket_minutes"]) == (60, 1)
    assert answer["exact"] is True
    assert "counted_from" not in answer
    assert [bucket["levels"] for bucket in answer["buckets"]] == ([levels] if levels else [])
    finer = await store.get("/api/histogram", params={**params, "bucket_seconds": "2"})
    assert finer["bucket_seconds"] == 2
    assert finer["bucket_minutes"] == pytest.approx(1 / 30)
    assert sum(sum(b["levels"].values()) for b in finer["buckets"]) == sum(levels.values())
    fields = await store.get("/api/fields", params=params)
    assert fields["level"] == levels


async def test_buckets_of_seconds(make: Make) -> None:
    store = await filled(make)
    answer = await store.get("/api/histogram?bucket_seconds=4&q=line")
    assert answer["buckets"] == [
        {"time": f"{START}0.000000000Z", "levels": {"unknown": 2, "error": 2}},
        {"time": f"{START}4.000000000Z", "levels": {"unknown": 2}},
    ]


@pytest.mark.parametrize(
    "bad",
    [
        "bucket_seconds=0",
        "bucket_seconds=1.5",
        "bucket_minutes=x",
        "bucket_seconds=1&from=2026-11-23T00:00:00Z&to=2026-11-24T00:00:00Z",
        "q=/(/",
    ],
)
async def test_histograms_that_cannot_be(make: Make, bad: str) -> None:
    store = await make()
    assert (await store.get(f"/api/histogram?{bad}", 400))["fix"]


async def test_values_under_a_query(make: Make) -> None:
    store = await filled(make)
    assert await store.get("/api/fields", params={"q": "odd1"}) == {
        "app": {"shop": 2, "web": 1},
        "env": {"prod": 3},
        "host": {"h1": 3},
        "container": {},
        "stream": {},
        "level": {"unknown": 2, "error": 1},
    }
    assert (await store.get("/api/fields?app=web"))["host"] == {"h0": 1, "h1": 1}


async def test_one_walk_counts_for_both(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await filled(make)
    walks = []
    count, facets = Archive.count, Archive.facets
    monkeypatch.setattr(Archive, "count", lambda *a, **k: walks.append(1) or count(*a, **k))
    monkeypatch.setattr(Archive, "facets", lambda *a, **k: walks.append(1) or facets(*a, **k))
    asked = (store.get("/api/histogram?q=line"), store.get("/api/fields?q=line"))
    histogram, fields = await asyncio.gather(*asked)
    assert len(walks) == 1
    assert histogram["buckets"][0]["levels"] == fields["level"]
    await store.add("another line", time=f"{START}9Z", app="new")
    assert (await store.get("/api/fields?q=line"))["app"]["new"] == 1
    assert len(walks) == 2


async def test_what_there_was_no_time_to_count(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await filled(make)
    monkeypatch.setattr(embedded, "COUNT_SECONDS", -1.0)
    answer = await store.get("/api/histogram?q=line")
    assert answer["exact"] is False
    assert answer["counted_from"] == f"{START}5.000000001Z"
    assert answer["buckets"] == []
    fields = await store.get("/api/fields")
    # The roll-up knows these two at once.
    assert fields["app"] == {"shop": 4, "web": 2}
    assert fields["level"] == {"unknown": 4, "error": 2}
    assert fields["host"] == {}
    assert all(n is None for n in (await store.get("/api/fields?q=line"))["app"].values())


async def test_a_count_ends_with_its_asker(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await filled(make)
    begun, ended = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def count(*asked: Any) -> Tally:
        effort = asked[-1]
        loop.call_soon_threadsafe(begun.set)
        while not effort.cancelled:
            pass
        loop.call_soon_threadsafe(ended.set)
        return Tally(1)

    monkeypatch.setattr(Archive, "count", count)
    asking = asyncio.create_task(store.client.get("/api/histogram?q=line"))
    await begun.wait()
    asking.cancel()
    async with asyncio.timeout(10):
        await ended.wait()


async def test_pages_forward(make: Make) -> None:
    store = await filled(make)
    first = await store.get("/api/search?order=oldest&limit=2")
    assert [hit["message"] for hit in first["hits"]] == ["ERROR line 0 odd0", "line 1 odd1"]
    assert first["more"] is True
    mark = first["hits"][-1]["id"]
    rest = await store.get("/api/search", params={"after": mark, "order": "oldest"})
    assert [hit["message"][-6:] for hit in rest["hits"]] == ["2 odd0", "3 odd1", "4 odd0", "5 odd1"]
    assert rest["more"] is False
    assert await store.get("/api/search", params={"after": mark}) == rest
    older = await store.get("/api/search", params={"before": mark})
    assert [hit["message"] for hit in older["hits"]] == ["ERROR line 0 odd0"]


@pytest.mark.parametrize(
    "bad",
    ["order=up", "before=1&after=2", "after=1&order=newest", "before=1&order=oldest", "after=x"],
)
async def test_pages_that_cannot_be(make: Make, bad: str) -> None:
    store = await make()
    assert (await store.get(f"/api/search?{bad}", 400))["fix"]


async def test_export_as_text(make: Make) -> None:
    store = await filled(make)
    await store.add("\x1b[31mred\x1b[0m <b>", time=f"{START}7Z")
    answer = await store.client.get("/api/export?format=text&order=oldest")
    assert answer.content_type == "text/plain"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "logs.txt" in answer.headers["Content-Disposition"]
    lines = (await answer.text()).splitlines()
    assert lines[0] == f"{START}0.000000000Z ERROR shop_prod h0 ERROR line 0 odd0"
    assert lines[1] == f"{START}1.000000000Z - shop_prod h1 line 1 odd1"
    assert lines[-1] == f"{START}7.000000000Z - - - red <b>"


@pytest.mark.parametrize(("limit", "got"), [("1", 1), ("4", 4), ("100", 6)])
async def test_export_of_so_many(
    make: Make, monkeypatch: pytest.MonkeyPatch, limit: str, got: int
) -> None:
    monkeypatch.setattr(embedded, "_EXPORT_LINES", 3)
    store = await filled(make)
    answer = await store.client.get("/api/export", params={"limit": limit, "order": "oldest"})
    lines = [json.loads(line)["message"] for line in (await answer.text()).splitlines()]
    assert lines == [hit["message"] for hit in await oldest(store)][:got]


async def oldest(store: Store) -> list[dict[str, Any]]:
    hits: list[dict[str, Any]] = (await store.get("/api/search?order=oldest"))["hits"]
    return hits


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("identity", False), ("gzip;q=0.0", False)],
)
async def test_export_packed_for_who_takes_it(make: Make, accepted: str, packed: bool) -> None:
    store = await filled(make)
    headers = {"Accept-Encoding": accepted}
    async with store.client.get(
        "/api/export?q=line", headers=headers, auto_decompress=False
    ) as answer:
        body = await answer.read()
        assert (answer.headers.get("Content-Encoding") == "gzip") is packed
    lines = (gzip.decompress(body) if packed else body).splitlines()
    assert len(lines) == 6


@pytest.mark.parametrize("bad", ["format=csv", "order=up", "limit=0", "q=/(/"])
async def test_exports_that_cannot_be(make: Make, bad: str) -> None:
    store = await make()
    assert (await store.get(f"/api/export?{bad}", 400))["fix"]
