"""What a back end does in its own way, as the README says: words, expressions, counts, tails."""

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from tests.stack.strict_search import StrictSearch
from tests.stack.victorialogs import VictoriaLogs
from tests.store.backends import corpus
from tests.store.backends.conftest import Above, Start, remote


@pytest.mark.parametrize(
    ("question", "messages"),
    [
        # An underscore is a letter, blanks stand for themselves.
        ("tabs and", ["tabs\tand \x1b[31mcolours\x1b[0m"]),
        ('"tabs and"', []),
        # RE2, in the message and the fields that were named.
        ("/(?i)ORDER\\s+4[23]$/", ["payment refused order 43", "payment accepted order 42"]),
        # A level that only the text names is shown, not asked for.
        ("level:unknown level", ["odd level here", "no level here"]),
        # Words are looked for in the message and the fields that were named alone.
        ("200", ["GET /api/orders?page=2 200"]),
    ],
)
async def test_victorialogs(above_victorialogs: Above, question: str, messages: list[str]) -> None:
    assert (await above_victorialogs.page(q=question))[0] == messages


@pytest.mark.parametrize(
    ("question", "messages"),
    [
        # Punctuation is nothing to a phrase, and a point between letters no border.
        ('"refused by: upstream"', ["Connection refused by upstream 10.0.0.7"]),
        ("0.7", []),
        # Expressions are Python's, held against what the other words find.
        ("order /(?<!7)4[23]$/", ["payment refused order 43", "payment accepted order 42"]),
    ],
)
async def test_elastic(above_elastic: Above, question: str, messages: list[str]) -> None:
    assert (await above_elastic.page(q=question))[0] == messages


@pytest.mark.parametrize(
    ("question", "says", "fix"),
    [("/(?=x)/", "unsupported Perl syntax", "RE2"), ("_stream:x", "_stream filter", "another way")],
)
async def test_victorialogs_says_what_it_cannot(
    above_victorialogs: Above, question: str, says: str, fix: str
) -> None:
    for path in ("search", "histogram", "fields", "export", "tail"):
        told = await above_victorialogs.get(f"/api/{path}", 400, params={"q": question})
        assert says in told["error"]
        assert fix in told["fix"]


async def test_elastic_says_what_it_cannot(above_elastic: Above) -> None:
    for path in ("histogram", "fields"):
        told = await above_elastic.get(f"/api/{path}", 400, params={"q": "/x/"})
        assert "cannot count" in told["error"]
    told = await above_elastic.get("/api/search", 400, params={"q": "==="})
    assert "holds no word" in told["error"]


async def tailed(above: Above, question: str, following: asyncio.Event) -> list[dict[str, Any]]:
    """The first hits of a tail, until one says that it is the last."""
    hits: list[dict[str, Any]] = []
    async with above.client.get("/api/tail", params={"q": question}) as answer:
        assert answer.status == 200
        async for row in answer.content:
            following.set()
            if row.startswith(b"data: {"):
                hits.append(json.loads(row[6:]))
                if "last" in hits[-1]["message"]:
                    break
    return hits


def fresh(*messages: str) -> list[dict[str, Any]]:
    now = datetime.now(UTC).isoformat(timespec="microseconds").removesuffix("+00:00")
    return [
        {**corpus.line("10:00:00", message), "@timestamp": f"{now}{n:03d}Z"}
        for n, message in enumerate(messages)
    ]


async def test_tail_of_victorialogs(start: Start, victorialogs: VictoriaLogs) -> None:
    above = await start("victorialogs", **remote("victorialogs", victorialogs.url))
    following = asyncio.Event()
    tail = asyncio.create_task(tailed(above, "line -second", following))
    async with asyncio.timeout(30):
        await following.wait()
        await victorialogs.add(
            corpus.lines(fresh("a first line", "a second line", "no such", "the last line"))
        )
        hits = await tail
    assert [hit["message"] for hit in hits] == ["a first line", "the last line"]
    assert {hit["app"] for hit in hits} == {"shop"}


async def test_a_tail_of_victorialogs_begins_with_what_is_new(
    start: Start, victorialogs: VictoriaLogs
) -> None:
    row = '{"_time":"2025-11-20T11:59:58Z","_stream_id":"x","_msg":"%s","app":"shop"}\n'

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write((row % "a line that was there").encode())
        if request.path == "/select/logsql/tail":
            await response.write((row % "the last line").encode())
            await asyncio.Event().wait()
        return response

    above = await start("victorialogs", **remote("victorialogs", victorialogs.url))
    victorialogs.moods += [answer] * 9
    async with asyncio.timeout(30):
        hits = await tailed(above, "line", asyncio.Event())
    assert [hit["message"] for hit in hits] == ["the last line"]


async def test_tail_of_elastic(
    start: Start, elastic: StrictSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logshipper.store.query.backends.elastic._POLL_SECONDS", 0.02)
    elastic.add("logs-main", _numbered(fresh("a line that was there"), 1000))
    above = await start("elastic", **remote("elastic", elastic.url))
    following = asyncio.Event()
    tail = asyncio.create_task(tailed(above, "/line/ -second", following))
    async with asyncio.timeout(30):
        await following.wait()
        elastic.add("logs-main", _numbered(fresh("a first line", "a second line"), 2000))
        # A line on whose way there time went by is older than what was shown already.
        late = fresh("a late line")[0]
        at = datetime.fromtimestamp(time.time() - 5, UTC).isoformat().removesuffix("+00:00")
        elastic.add("logs-main", _numbered([{**late, "@timestamp": f"{at}Z"}], 3000))
        await asyncio.sleep(0.1)
        elastic.add("logs-main", _numbered(fresh("the last line"), 4000))
        hits = await tail
    assert sorted(hit["message"] for hit in hits) == [
        "a first line",
        "a late line",
        "the last line",
    ]
    assert hits[-1]["message"] == "the last line"


async def test_a_tail_that_cannot_keep_up_says_so(
    start: Start, elastic: StrictSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "logshipper.store.query.backends.elastic"
    monkeypatch.setattr(f"{module}._POLL_SECONDS", 0.02)
    monkeypatch.setattr(f"{module}._NEWEST_LINES", 3)
    above = await start("elastic", **remote("elastic", elastic.url))
    async with (
        asyncio.timeout(30),
        above.client.get("/api/tail", params={"q": "line"}) as answer,
    ):
        assert (await answer.content.readline()).startswith(b":")
        elastic.add("logs-main", _numbered(fresh(*(f"line {n}" for n in range(5))), 1000))
        told = b""
        while told.count(b"data: {") < 3:
            told += await answer.content.readline()
    assert b"event: dropped" in told
    assert told.count(b"data: {") == 3


def _numbered(documents: list[dict[str, Any]], first: int) -> str:
    rows = []
    for number, document in enumerate(documents, first):
        rows += [json.dumps({"create": {"_id": f"new.0.{number:x}"}}), json.dumps(document)]
    return "\n".join(rows)
