"""The same questions, asked of each back end, find the same lines in the same order."""

import json
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from logshipper.store.model import STREAM_FIELDS
from logshipper.store.query.backend import Paging
from logshipper.store.query.language import parse
from tests.store.backends import corpus
from tests.store.backends.conftest import Above
from wharfinger import levels

BACKENDS = ["victorialogs", "elastic"]


@pytest.fixture(params=BACKENDS)
def other(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(f"above_{request.param}")


def moment(clock: str) -> str:
    return clock and f"{corpus.DAY}T{clock}Z"


def between(first: str, last: str) -> dict[str, str]:
    given = {"from": moment(first), "to": moment(last)}
    return {name: value for name, value in given.items() if value}


def unordered(page: tuple[list[str], bool]) -> tuple[list[str], bool]:
    # Lines of one nanosecond stand in the order of their arrival, or in none that is known.
    return sorted(page[0]), page[1]


async def test_searches(embedded: Above, other: Above) -> None:
    differing = []
    for question in corpus.QUESTIONS:
        wanted = await embedded.page(q=question, limit=200)
        found = await other.page(q=question, limit=200)
        if unordered(found) != unordered(wanted):
            differing.append((question, wanted, found))
    assert differing == []


async def test_times(embedded: Above, other: Above) -> None:
    for first, last in corpus.SPANS:
        wanted = await embedded.page(limit=200, **between(first, last))
        found = await other.page(limit=200, **between(first, last))
        assert unordered(found) == unordered(wanted), (first, last)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 58])
async def test_pages_hold_each_line_once_newest_first(other: Above, limit: int) -> None:
    seen: list[dict[str, Any]] = []
    asked: dict[str, Any] = {"limit": limit, "from": corpus.FROM}
    asked["q"] = "" if limit > 3 else "-app:clock"
    while True:
        told = await other.get("/api/search", params=asked)
        seen += told["hits"]
        if not told["more"]:
            break
        assert len(told["hits"]) == limit
        asked["before"] = seen[-1]["id"]
    wanted = [d["message"] for d in corpus.LINES if limit > 3 or d["app"] != "clock"]
    assert sorted(hit["message"] for hit in seen) == sorted(wanted)
    assert len({hit["id"] for hit in seen}) == len(seen)
    assert all(after["time"] <= before["time"] for before, after in pairwise(seen))


async def test_hits_look_alike(embedded: Above, other: Above) -> None:
    params = {"q": "-app:clock -level:debug", "limit": 100}
    for hits in zip(
        *[
            sorted((await b.get("/api/search", params=params))["hits"], key=lambda h: h["message"])
            for b in (embedded, other)
        ],
        strict=True,
    ):
        wanted, found = ({**hit, "id": ""} for hit in hits)
        if other.name == "victorialogs":
            # It keeps text alone, and objects as fields with a dot.
            wanted = {k: v if isinstance(v, str) else json.dumps(v) for k, v in wanted.items()}
            if "user" in wanted:
                wanted |= {"user.name": json.loads(wanted.pop("user"))["name"]}
        assert found == wanted


async def test_context(embedded: Above, other: Above) -> None:
    for question in ("accepted", '"no level"', '"tick 17"', '"retrying once"', '"of its own"'):
        answers = []
        for above in (embedded, other):
            [hit] = (await above.get("/api/search", params={"q": question}))["hits"]
            asked = {"id": hit["id"], "before": 3, "after": 4}
            told = await above.get("/api/context", params=asked)
            assert told["hit"] == hit
            answers.append(
                [[line["message"] for line in told[part]] for part in ("before", "after")]
            )
        assert answers[0] == answers[1], question


async def test_context_of_each_of_those_that_are_the_same(other: Above) -> None:
    hits = (await other.get("/api/search", params={"q": "retrying -once"}))["hits"]
    assert len({hit["id"] for hit in hits}) == 3
    for number, hit in enumerate(hits):
        told = await other.get("/api/context", params={"id": hit["id"], "before": 5, "after": 5})
        assert told["hit"] == hit
        around = [line["message"] for part in ("before", "after") for line in told[part]]
        assert around.count("retrying") == 2
        assert [line["message"] for line in told["after"]].count("retrying") == number


@pytest.mark.parametrize(
    ("id_", "says"), [("nonsense", "no line's id"), ("1-0123456789abcdef", "no line with this id")]
)
async def test_ids_that_are_none(other: Above, id_: str, says: str) -> None:
    for path, name in (("/api/context", "id"), ("/api/search", "before")):
        if path == "/api/search" and says != "no line's id":
            continue
        told = await other.get(path, 400, params={name: id_})
        assert says in told["error"]
        assert told["fix"]


def level(document: dict[str, Any]) -> str:
    return levels.NAMES[levels.level_of(document.get("level", ""))] or "unknown"


@pytest.mark.parametrize(
    ("question", "fits"),
    [
        ("", lambda _: True),
        ("app:pay", lambda d: d["app"] == "pay"),
        ("tick host:h2", lambda d: "tick" in d["message"]),
        ("-level:error stream:stdout", lambda d: level(d) != "error" and d["stream"] == "stdout"),
        ("nosuchword", lambda _: False),
    ],
)
@pytest.mark.parametrize("minutes", [1, 60])
async def test_histogram(other: Above, question: str, fits: Any, minutes: int) -> None:
    asked = {"q": question, "bucket_minutes": minutes}
    told = await other.get("/api/histogram", params=asked)
    size = 16 if minutes == 1 else 13
    wanted: dict[str, Counter[str]] = {}
    for document in filter(fits, corpus.LINES):
        start = f"{document['@timestamp'][:size]}:00:00"[:19]
        wanted.setdefault(f"{start}.000000000Z", Counter())[level(document)] += 1
    assert {b["time"]: b["levels"] for b in told["buckets"]} == wanted
    assert [b["time"] for b in told["buckets"]] == sorted(wanted)


@pytest.mark.parametrize("app", ["", "pay"])
async def test_fields(other: Above, app: str) -> None:
    told = await other.get("/api/fields", params={"q": f"app:{app}" if app else ""})
    documents = [d for d in corpus.LINES if d["app"] == app or not app]
    for name in STREAM_FIELDS:
        assert told[name] == Counter(d[name] for d in documents if d.get(name))
    assert told["level"] == Counter(map(level, documents))


@pytest.mark.parametrize("order", ["newest", "oldest"])
async def test_export(embedded: Above, other: Above, order: str) -> None:
    answers = []
    for above in (embedded, other):
        asked = {"q": "-app:clock", "order": order}
        export = await above.client.get("/api/export", params=asked)
        assert export.status == 200
        answers.append([json.loads(row)["message"] for row in (await export.text()).splitlines()])
    assert unordered((answers[0], True)) == unordered((answers[1], True))


async def test_export_goes_on_piece_by_piece(other: Above, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logshipper.store.query.backends.remote._EXPORT_LINES", 10)
    export = await other.client.get("/api/export")
    rows = [json.loads(row) for row in (await export.text()).splitlines()]
    assert sorted(row["message"] for row in rows) == sorted(d["message"] for d in corpus.LINES)
    assert all(after["time"] <= before["time"] for before, after in pairwise(rows))


async def test_forward_from_a_line(embedded: Above, other: Above) -> None:
    answers = []
    for above in (embedded, other):
        [hit] = (await above.get("/api/search", params={"q": '"tick 3"'}))["hits"]
        asked = {"q": "tick", "after": hit["id"], "order": "oldest", "limit": 30}
        told = await above.get("/api/search", params=asked)
        answers.append(([each["message"] for each in told["hits"]], told["more"]))
    assert answers[0] == answers[1] == ([f"tick {n}" for n in range(4, 34)], True)


async def test_nothing_is_between_a_moment_and_itself(other: Above) -> None:
    asked = {"from": corpus.FROM, "to": corpus.FROM}
    assert (await other.get("/api/search", params=asked))["hits"] == []
    assert (await other.get("/api/histogram", params=asked))["buckets"] == []
    export = await other.client.get("/api/export", params=asked)
    assert (export.status, await export.text()) == (200, "")


async def test_oldest_first(other: Above) -> None:
    backend = other.daemon.backend
    seen, beyond = [], ""
    while True:
        paging = Paging(20, newest_first=False, beyond=beyond)
        page = await backend.search("default", parse(""), paging)
        seen += page.lines
        if not page.more:
            break
        beyond = seen[-1].id
    assert sorted(f.line.message for f in seen) == sorted(d["message"] for d in corpus.LINES)
    assert all(a.line.time_ns <= b.line.time_ns for a, b in pairwise(seen))
    backwards = await backend.search("default", parse(""), Paging(200))
    assert [f.id for f in backwards.lines] == [f.id for f in seen][::-1]
