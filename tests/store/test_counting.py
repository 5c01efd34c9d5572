"""Counting agrees with looking at every line, whatever answers: roll-up, index, columns, texts."""

from array import array
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logshipper.store.engine import day as day_module
from logshipper.store.engine.folder import Folder
from logshipper.store.engine.reader import DayReader
from logshipper.store.lines import times
from logshipper.store.model import STREAM_FIELDS, BadQuery, Document, Filters, Hit, Stream
from logshipper.store.query import counting, language, runs, tally
from logshipper.store.query.archive import Archive
from logshipper.store.query.language import Query
from logshipper.store.query.order import Order
from logshipper.store.query.runs import Runs
from logshipper.store.query.search import Effort
from logshipper.store.query.tally import Kind, Tally
from tests.store.test_search import BASE_NS, made, store
from wharfinger import levels

MINUTE = times.MINUTE_NS


def every(archive: Archive, query: Query) -> list[Hit]:
    with Effort() as effort:
        return archive.search("t", query, Order(limit=100_000), effort)


def spans(
    hits: list[Hit], bucket_ns: int, by: tuple[str, ...], origin_ns: int = 0
) -> dict[int, dict[Kind, int]]:
    """The same as a tally's, from lines."""
    found: dict[int, Counter[Kind]] = {}
    for hit in hits:
        start = (hit.line.time_ns - origin_ns) // bucket_ns * bucket_ns + origin_ns
        values = [getattr(hit.line.stream, name) for name in by]
        level = levels.NAMES[hit.line.level] or "unknown"
        found.setdefault(start, Counter())[*values, level] += 1
    return {start: dict(kinds) for start, kinds in found.items()}


def counted(
    archive: Archive,
    query: Query,
    bucket_ns: int = MINUTE,
    by: tuple[str, ...] = (),
    origin_ns: int = 0,
) -> Tally:
    with Effort() as effort:
        return archive.count("t", query, Tally(bucket_ns, by, origin_ns), effort)


def facets(archive: Archive, query: Query) -> Tally:
    with Effort() as effort:
        return archive.facets("t", query, effort)


WORDS = ("alpha", "beta", "Gamma", "delta", "ERROR", "WARN", "10.0.0.1")
QUERIES = (
    "",
    "alpha",
    "alpha beta",
    "-alpha",
    "alph*",
    '"alpha beta"',
    "/al.ha/",
    "alpha -/b.ta/",
    "10.0.0.1",
    "app:shop",
    "app:sh*",
    "-app:shop alpha",
    "host:h1",
    "-host:h1",
    "env:prod level:error",
    "-level:error",
    "level:unknown beta",
    "kind:a",
)

document = st.builds(
    made,
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join),
    # Around midnight and around a minute's border, some lines at the very border.
    st.sampled_from([0.0, 1.5, 59.9, 60.0, 60.1, 3600.0, 86_399.9, 86_400.0, 86_460.0, 90_000.0]),
    app=st.sampled_from(["shop", "web", ""]),
    env=st.sampled_from(["prod", "test"]),
    host=st.sampled_from(["h1", "h2", "h3"]),
    kind=st.sampled_from(["a", "b"]),
)
moment = st.none() | st.sampled_from([0.0, 1.5, 30.0, 60.0, 61.0, 86_400.0, 86_430.0, 90_000.5])


@given(
    sent=st.lists(document, max_size=40),
    text=st.sampled_from(QUERIES),
    bucket_ns=st.sampled_from([10**9, 7 * 10**9, MINUTE, 5 * MINUTE, 60 * MINUTE, times.DAY_NS]),
    by=st.sampled_from([(), ("app",), ("host", "app"), ("stream",)]),
    origin=st.sampled_from([0, 0, 1, 999_999_999]),
    since=moment,
    until=moment,
    block_lines=st.sampled_from([2, 3, 1000]),
)
@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_agrees_with_every_line(
    *,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    sent: list[Document],
    text: str,
    bucket_ns: int,
    by: tuple[str, ...],
    origin: int,
    since: float | None,
    until: float | None,
    block_lines: int,
) -> None:
    monkeypatch.setattr(day_module, "BLOCK_LINES", block_lines)
    monkeypatch.setattr(counting, "_BLOCKS", 3)
    folder = Folder(tmp_path_factory.mktemp("days"))
    store(folder, sent, at_once=3)
    archive = Archive(folder)
    from_ns, to_ns = (None if at is None else BASE_NS + int(at * 10**9) for at in (since, until))
    query = language.parse(text, Filters(from_ns=from_ns, to_ns=to_ns))
    hits = every(archive, query)
    tally = counted(archive, query, bucket_ns, by, origin)
    assert tally.spans() == spans(hits, bucket_ns, by, origin)
    assert tally.from_ns is None
    by_stream = facets(archive, query)
    assert by_stream.streams == Counter(hit.line.stream for hit in hits)
    assert sum(by_stream.kinds().values()) == len(hits)
    archive.close()


def test_spans_ascend_and_are_cut_at_their_borders(folder: Folder, archive: Archive) -> None:
    store(folder, [made("a", 60), made("b ERROR", 59.999999999), made("c", 0)])
    found = counted(archive, Query()).spans()
    assert found == {BASE_NS: {("unknown",): 1, ("error",): 1}, BASE_NS + MINUTE: {("unknown",): 1}}
    assert list(found) == sorted(found)


@pytest.mark.parametrize("text", ["", "host:h1", "word", '"word up"'])
def test_a_count_without_time_says_from_when_on(
    folder: Folder, archive: Archive, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(day_module, "BLOCK_LINES", 2)
    sent = [made(f"word up {n}", n * 60, host="h1") for n in range(20)]
    store(folder, sent, at_once=2)
    moments = iter([0.0, *[1.0] * 4, *[99.0] * 100])
    with Effort(10, clock=lambda: next(moments)) as effort:
        tally = archive.count("t", language.parse(text), Tally(1000, ("host",)), effort)
    whole = spans(every(archive, language.parse(text)), 1000, ("host",))
    assert tally.from_ns is not None
    part = {start: kinds for start, kinds in whole.items() if start >= tally.from_ns}
    assert 0 < len(part) < len(whole)
    found = tally.spans()
    assert {start: found[start] for start in part} == part
    assert set(found) <= set(whole)
    assert len(found) <= len(part) + 1


def test_nobody_waits_any_more(folder: Folder, archive: Archive) -> None:
    store(folder, [made("word", 1)])
    with Effort() as effort:
        effort.cancelled = True
        with pytest.raises(BadQuery, match="longer"):
            archive.count("t", language.parse("word"), Tally(MINUTE), effort)


def test_more_spans_than_can_be_held(
    folder: Folder, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(folder, [made(f"a {n}", n) for n in range(20)])
    monkeypatch.setattr(tally, "MAX_CELLS", 20)
    assert len(counted(archive, language.parse(""), times.SECOND_NS).spans()) == 20
    monkeypatch.setattr(tally, "MAX_CELLS", 19)
    with pytest.raises(BadQuery, match="spans of time"):
        counted(archive, language.parse(""), times.SECOND_NS)


def test_an_expression_that_never_ends(folder: Folder, archive: Archive) -> None:
    store(folder, [made("a" * 40 + "b", 1)])
    with Effort() as effort:
        effort.matcher(language.Regex("(a+)+$"))._batch_seconds = 0.2
        with pytest.raises(BadQuery, match="takes too long"):
            archive.count("t", language.parse("/(a+)+$/"), Tally(MINUTE), effort)


def test_a_stream_that_a_message_pretends(folder: Folder, archive: Archive) -> None:
    # What the index holds for the first stream stands in a message of the second.
    store(folder, [made("one", 1, host="h1"), made("two \ue0001", 2, host="h2")], at_once=1)
    tally = facets(archive, language.parse("host:h1"))
    assert [(stream.host, lines) for stream, lines in tally.streams.items()] == [("h1", 1)]


def test_many_streams_are_not_asked_of_the_index(folder: Folder, archive: Archive) -> None:
    store(folder, [made("x", n, host=f"h{n}") for n in range(100)], at_once=100)
    query = language.parse("-host:h7")
    assert counted(archive, query).spans() == spans(every(archive, query), MINUTE, ())
    assert len(facets(archive, query).streams) == 99


def test_an_open_block_counts_too(folder: Folder, archive: Archive) -> None:
    store(folder, [made(f"x {n}", n, host="h1") for n in range(10)], at_once=3)
    assert facets(archive, Query()).streams == {Stream("", "", "h1", "", ""): 10}
    named = replace(Query(), filters=Filters(streams={STREAM_FIELDS[2]: ("h1",)}))
    assert sum(counted(archive, named).kinds().values()) == 10


@pytest.mark.parametrize("text", ["", "host:h1", "-host:h1", "level:error", "-level:error app:web"])
@pytest.mark.parametrize("since", [None, 0, 33.5, 70])
def test_what_is_sealed_is_counted_once(
    folder: Folder,
    archive: Archive,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    since: float | None,
) -> None:
    monkeypatch.setattr(day_module, "BLOCK_LINES", 2)
    monkeypatch.setattr(counting, "RUN_BLOCKS", 3)
    reads: list[int] = []
    read = DayReader._columnar
    monkeypatch.setattr(DayReader, "_columnar", lambda *a: reads.append(1) or read(*a))
    sent = [
        made("ERROR x" if n % 3 else "x", n, host=f"h{n % 4}", app=("shop", "web")[n % 2])
        for n in range(80)
    ]
    store(folder, sent[:-1], at_once=5)
    filters = Filters(from_ns=None if since is None else BASE_NS + int(since * 10**9))
    query = language.parse(text, filters)
    for _ in range(2):
        hits = every(archive, query)
        reads.clear()
        tally = facets(archive, query)
        assert tally.streams == Counter(hit.line.stream for hit in hits)
        levels_ = Counter(levels.NAMES[hit.line.level] or "unknown" for hit in hits)
        assert tally.kinds() == {(level,): lines for level, lines in levels_.items()}
    # Of the whole day only its last run is read again.
    assert len(reads) <= 4
    store(folder, sent[-1:])
    assert sum(facets(archive, query).streams.values()) == len(every(archive, query))


def test_a_day_brought_back_is_another(
    folder: Folder, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(day_module, "BLOCK_LINES", 1)
    monkeypatch.setattr(counting, "RUN_BLOCKS", 2)
    store(folder, [made("x", n, host="old") for n in range(8)])
    assert [stream.host for stream in facets(archive, Query()).streams] == ["old"]
    (path,) = folder.root.glob("t/*.db")
    path.rename(path.with_suffix(".away"))
    store(folder, [made("x", n, host="new") for n in range(8)])
    assert [stream.host for stream in facets(archive, Query()).streams] == ["new"]


def test_no_more_is_kept_than_may_be() -> None:
    held = Runs(most=5)
    kinds = runs.Kinds(array("Q", [1, 2]), array("Q", [1, 1]))
    for name in "abc":
        held.put((name,), kinds)
        assert held.get(("a",)) is kinds
    assert held.get(("b",)) is None
    assert held.get(("c",)) is kinds
    held.put(("c",), kinds)
    assert held.get(("a",)) is kinds
