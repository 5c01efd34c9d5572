"""Search agrees with looking at every line, in any order of arrival."""

import re
import threading
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logshipper.store.engine import day as day_module
from logshipper.store.engine.day import DayWriter
from logshipper.store.engine.folder import Folder
from logshipper.store.engine.reader import DayReader
from logshipper.store.lines import documents, times
from logshipper.store.lines.times import DAY_NS, Arrival
from logshipper.store.model import BadQuery, Document, Filters, Hit, LabelMatcher
from logshipper.store.query import identity, language, plan
from logshipper.store.query.archive import Archive
from logshipper.store.query.language import Part, Pattern
from logshipper.store.query.order import Order, size
from logshipper.store.query.search import Effort

DAY = 20_780
BASE_NS = DAY * DAY_NS


def store(folder: Folder, sent: list[Document], *, at_once: int = 7) -> None:
    folder.prepare("t")
    for start in range(0, len(sent), at_once):
        for day in sorted({times.day_of(d.line.time_ns) for d in sent}):
            batch = [
                d for d in sent[start : start + at_once] if times.day_of(d.line.time_ns) == day
            ]
            writer = DayWriter(folder.path("t", day))
            writer.write(batch)
            writer.close()


def made(message: str, seconds: float = 0, **fields: object) -> Document:
    time_ns = BASE_NS + int(seconds * 10**9)
    return documents.document(
        {"message": message, "time": time_ns, **fields}, "", Arrival.of(time_ns)
    )


def found(archive: Archive, text: str, **order: object) -> list[str]:
    with Effort() as effort:
        answer = archive.search("t", language.parse(text), Order(**order), effort)  # type: ignore[arg-type]
    return [hit.line.message for hit in answer]


LINES = [
    made(
        "ERROR cannot reach 10.0.0.5:5432", 1, app="shop", env="prod", host="h1", container="a" * 64
    ),
    made("user logged in", 2, app="shop", trace_id="abc-def", n={"a": [1, 2], "ok": True}),
    made("数据库连接超时 in pool", 3, app="web", env="prod"),
    made("User LOGGED out\n\tat com.shop.Order", 4, app="web", level="warn"),
    made("Ünïcode straße foo_bar x=>y", 5, app="web", stream="stderr"),
]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", [4, 3, 2, 1, 0]),
        ("logged", [3, 1]),
        ("LoGGeD user", [3, 1]),
        ("logg", []),
        ("logg*", [3, 1]),
        ("10.0.0.5", [0]),
        ("10.0.0.5:5432", [0]),
        ("0.0.5:54", []),
        ("0.0.5:54*", [0]),
        ("10.0.5.0", []),
        ('"logged out"', [3]),
        ('"logged in"', [1]),
        ('"in logged"', []),
        ('"out at com.shop"', [3]),
        ("-logged", [4, 2, 0]),
        ("logged -out", [1]),
        ('-"logged out" app:web', [4, 2]),
        ("连接", [2]),
        ("数据库连接超时", [2]),
        ("库连", [2]),
        ("接连", []),
        ("连", [2]),
        ("时", [2]),
        ("连 pool", [2]),
        ("ünïcode", [4]),
        ("UNICODE", []),
        ("foo bar", [4]),
        ("foo_bar", [4]),
        ("foo-bar", []),
        ("=>", [4]),
        ("x=>y", [4]),
        ("/lo.ged (in|out)/", [1]),
        ("/(?i)LOGGED (in|out)/", [3, 1]),
        ("/logged/ -/in$/", []),
        ("app:shop", [1, 0]),
        ("app:sh*", [1, 0]),
        ("-app:shop", [4, 3, 2]),
        ("app:shop app:web", [4, 3, 2, 1, 0]),
        ("env:prod app:web", [2]),
        ("stream:stderr", [4]),
        ("container:" + "a" * 12, [0]),
        ("container:" + "a" * 16, [0]),
        ("container:" + "b" * 16, []),
        ("level:error", [0]),
        ("level:warn", [3]),
        ("-level:unknown", [3, 0]),
        ("trace_id:abc-def", [1]),
        ("trace_id:ABC-DEF", [1]),
        ("trace_id:abc", []),
        ("trace_id:abc*", [1]),
        ("-trace_id:abc-def logged", [3]),
        ("n.a:2", [1]),
        ("n.a:3", []),
        ("n.ok:true", [1]),
        ("abc-def", [1]),
        ('"message"', []),
    ],
)
def test_queries(archive: Archive, folder: Folder, text: str, numbers: list[int]) -> None:
    store(folder, LINES)
    assert found(archive, text) == [LINES[n].line.message for n in numbers]


COLOURED = (
    "\x1b[1;31mERROR\x1b[0m \x1b[36mcolour\x1b[39mful \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\"
)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("error", True),
        ("level:error", True),
        ("colourful", True),
        ('"error colourful link"', True),
        ("/^ERROR colourful link$/", True),
        ("31merror", False),
        ("-error", False),
    ],
)
def test_colours_are_kept_but_not_searched(
    archive: Archive, folder: Folder, text: str, fits: bool
) -> None:
    store(folder, [made(COLOURED)])
    assert found(archive, text) == ([COLOURED] if fits else [])


def test_a_word_amid_chinese_is_one_for_the_index_and_for_the_eye(
    archive: Archive, folder: Folder
) -> None:
    store(folder, [made("用户login失败"), made("用户logins失败", 1), made("login now", 2)])
    assert found(archive, "login") == ["login now", "用户login失败"]
    assert found(archive, "-login") == ["用户logins失败"]
    assert found(archive, '"login 失败"') == []
    # A live tail has no index.
    seen = archive.plan(language.parse("login"), has_index=False)
    assert plan.accepts_text(seen, "用户login失败", b"")
    assert not plan.accepts_text(seen, "用户logins失败", b"")


@pytest.mark.parametrize(
    ("text", "fits"),
    [(";31m ERROR in", True), (";31mERROR in", False), ("1;31m ERROR", True), ("m ERROR in", True)],
)
def test_a_part_that_begins_amid_a_colour(
    archive: Archive, folder: Folder, text: str, fits: bool
) -> None:
    store(folder, [made("at\x1b[1;31m ERROR in x"), made("31m ERROR in", 1)])
    for term in (Part((text,)), Pattern(re.escape(text))):
        with Effort() as effort:
            hits = archive.search("t", language.Query((term,)), Order(), effort)
        assert ["1;31m" in hit.line.message for hit in hits][-1:] == ([True] if fits else [])


def test_a_label_whose_value_has_colours(archive: Archive, folder: Folder) -> None:
    store(folder, [made("x", tone="\x1b[1;31mred\x1b[0m"), made("y", 1, tone="red")])
    with Effort() as effort:
        query = language.Query((LabelMatcher("tone", ("\x1b[1;31mred\x1b[0m",)),))
        hits = archive.search("t", query, Order(), effort)
    assert [hit.line.message for hit in hits] == ["x"]


def test_time_limits_are_half_open(archive: Archive, folder: Folder) -> None:
    store(folder, LINES)
    second = 10**9
    filters = Filters(from_ns=BASE_NS + 2 * second, to_ns=BASE_NS + 4 * second)
    with Effort() as effort:
        answer = archive.search("t", language.parse("", filters), Order(), effort)
    assert [hit.line.message for hit in answer] == [LINES[n].line.message for n in (2, 1)]


def test_other_tenants_and_gone_days_hold_nothing(archive: Archive, folder: Folder) -> None:
    store(folder, LINES)
    with Effort() as effort:
        assert archive.search("other", language.parse(""), Order(), effort) == []
        hit = archive.search("t", language.parse("pool"), Order(), effort)[0]
        place = identity.parse(identity.found(hit).id)
        assert archive.line("t", *place) == hit
        with pytest.raises(BadQuery):
            archive.line("other", *place)
        with pytest.raises(BadQuery):
            archive.line("t", place[0], place[1], 999)
        folder.path("t", DAY).unlink()
        assert archive.search("t", language.parse(""), Order(), effort) == []


@pytest.mark.parametrize(
    "text", ["", "x", "1.2", "20261123", "20261399.0.0", "20261123.-1.0", "٢٠٢٦١١٢٣.0.0"]
)
def test_ids_that_are_none(text: str) -> None:
    with pytest.raises(BadQuery):
        identity.parse(text)


WORDS = ["alpha", "beta", "gamma", "连接", "rare"]
LINE = st.tuples(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=3),
    st.integers(0, 3 * 86_400 - 1),
    st.sampled_from(["shop", "web"]),
    st.sampled_from(["info", "error"]),
)
QUERY = st.lists(
    st.sampled_from(
        [
            "alpha",
            "beta",
            "-gamma",
            "-rare",
            "-al*",
            '-"beta gamma"',
            "连接",
            "rare",
            "app:shop",
            "-app:web",
            "level:error",
            '"alpha beta"',
            "al*",
        ]
    ),
    max_size=3,
    unique=True,
).map(" ".join)


def naive(lines: list[Hit], text: str) -> list[Hit]:
    """What fits, by reading every line."""
    kept = []
    for hit in lines:
        words = hit.line.message.split()
        tests = {
            "app:shop": hit.line.stream.app == "shop",
            "-app:web": hit.line.stream.app != "web",
            "level:error": hit.line.level == 5,
            '"alpha beta"': "alpha beta" in hit.line.message,
            "al*": "alpha" in words,
            "-gamma": "gamma" not in words,
            "-rare": "rare" not in words,
            "-al*": "alpha" not in words,
            '-"beta gamma"': "beta gamma" not in hit.line.message,
        }
        terms = re.findall(r'-?"[^"]*"|\S+', text)
        if all(tests.get(term, term in words) for term in terms):
            kept.append(hit)
    return kept


@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    lines=st.lists(LINE, max_size=60),
    text=QUERY,
    limit=st.integers(1, 12),
    limit_characters=st.none() | st.integers(1, 60),
    newest_first=st.booleans(),
    block_lines=st.integers(2, 9),
    at_once=st.integers(1, 25),
)
def test_agrees_with_reading_every_line(
    *,
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[tuple[list[str], int, str, str]],
    text: str,
    limit: int,
    limit_characters: int | None,
    newest_first: bool,
    block_lines: int,
    at_once: int,
) -> None:
    """Blocks of a few lines whose times overlap at will: late lines, clocks that differ."""
    folder = Folder(tmp_path_factory.mktemp("archive"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(day_module, "BLOCK_LINES", block_lines)
        sent = [
            made(" ".join(words), seconds, app=app, level=level)
            for words, seconds, app, level in lines
        ]
        store(folder, sent, at_once=at_once)
    archive = Archive(folder)
    with Effort() as effort:
        every = archive.search("t", language.parse(""), Order(limit=10_000), effort)
        assert len(every) == len(lines)
        wanted = naive(every, text)[:: 1 if newest_first else -1]
        # Page after page, each beginning where the last one ended, nothing twice or missed.
        order = Order(newest_first, None, limit, limit_characters)
        answer: list[Hit] = []
        while page := archive.search("t", language.parse(text), order, effort):
            answer += page
            assert len(page) <= limit
            assert limit_characters is None or sum(map(size, page[:-1])) < limit_characters
            is_last = page[-1].key == wanted[-1].key
            assert order.is_filled(page) or is_last
            order = replace(order, beyond=page[-1].key)
        assert answer == wanted
    archive.close()


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_page_costs_no_page_before_it(
    archive: Archive, folder: Folder, monkeypatch: pytest.MonkeyPatch, newest_first: bool
) -> None:
    monkeypatch.setattr(day_module, "BLOCK_LINES", 5)
    store(folder, [made(f"alpha {n}", n) for n in range(200)], at_once=50)
    looked_at: list[int] = []
    block = DayReader.block
    monkeypatch.setattr(
        DayReader, "block", lambda self, number: looked_at.append(number) or block(self, number)
    )
    order, lines = Order(newest_first=newest_first, limit=10), 0
    with Effort() as effort:
        while page := archive.search("t", language.parse("alpha"), order, effort):
            lines += len(page)
            order = replace(order, beyond=page[-1].key)
    assert lines == 200
    assert len(looked_at) <= 40 * 2  # forty blocks, each the end of one page at most


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("alpha -beta", '("alpha") NOT ("beta")'),
        ("alpha -al* -连接", '("alpha") NOT ("al"* OR "连接")'),
        ('alpha -"beta gamma"', '"alpha"'),
        ("-beta", ""),  # what lacks a word has no place in the index
    ],
)
def test_the_index_leaves_out_what_it_can_tell(archive: Archive, text: str, asked: str) -> None:
    prepared = archive.plan(language.parse(text))
    assert plan.match_expression(prepared, None) == asked
    assert prepared.checks_text == ("NOT" not in asked)


def test_context_stays_with_its_container_across_days(archive: Archive, folder: Folder) -> None:
    def line(n: int, container: str) -> Document:
        return made(f"{container} {n}", 86_400 - 3 + n, app="shop", container=container)

    store(folder, [line(n, c) for n in range(6) for c in ("a", "b")])
    with Effort() as effort:
        (hit,) = archive.search("t", language.parse('"a 3"'), Order(), effort)
        before, after = archive.context("t", hit, 2, 5, effort)
    assert [h.line.message for h in before] == ["a 1", "a 2"]
    assert [h.line.message for h in after] == ["a 4", "a 5"]


@pytest.mark.parametrize("name", ["shop-checkout-1", "shop*", "sh"])
def test_context_has_no_container_whose_name_begins_so(
    archive: Archive, folder: Folder, name: str
) -> None:
    names = (name, "shop-checkout-12", "shop")
    store(folder, [made(f"{c} {n}", n, container=c) for n in range(3) for c in names])
    with Effort() as effort:
        (hit,) = archive.search("t", language.parse(f'"{name} 1"'), Order(), effort)
        before, after = archive.context("t", hit, 9, 9, effort)
    assert [h.line.message for h in (*before, *after)] == [f"{name} 0", f"{name} 2"]


def test_a_container_s_name_is_no_prefix_as_its_id_is(archive: Archive, folder: Folder) -> None:
    names = (
        "shop-checkout-1",
        "shop-checkout-12",
        "0123456789ab",
        "0123456789abcdef",
        "0123456789a",
    )
    store(folder, [made(c, n, container=c) for n, c in enumerate(names)])

    def found(container: str) -> list[str]:
        with Effort() as effort:
            query = language.parse(f"container:{container}")
            return [hit.line.message for hit in archive.search("t", query, Order(), effort)]

    assert found(names[0]) == [names[0]]
    assert found(names[2]) == found(names[3]) == [names[3], names[2]]
    assert found(names[4]) == [names[4]]


def test_an_expression_without_end_is_stopped(archive: Archive, folder: Folder) -> None:
    store(folder, [made("a" * 40 + "!")])
    with Effort() as effort:
        parsed = language.parse("/(a+)+$/")
        effort.matcher(parsed.terms[0])._batch_seconds = 0.2  # type: ignore[arg-type]
        with pytest.raises(BadQuery, match="too long") as caught:
            archive.search("t", parsed, Order(), effort)
    assert "(a+)+$" in str(caught.value)


def test_a_search_has_a_limit_of_time(archive: Archive, folder: Folder) -> None:
    store(folder, LINES)
    clock = iter([0.0, *([100.0] * 100)])
    with Effort(seconds=5, clock=lambda: next(clock)) as effort, pytest.raises(BadQuery) as caught:
        archive.search("t", language.parse("-nothing"), Order(), effort)
    assert caught.value.fix


def test_readers_never_see_half_a_commit(archive: Archive, folder: Folder) -> None:
    """A writer commits in threes, through parts and sealed blocks, while a reader counts."""
    folder.prepare("t")
    writer = DayWriter(folder.path("t", DAY))
    done = threading.Event()

    def write() -> None:
        try:
            for n in range(700):
                writer.write([made(f"word {n}", n) for _ in range(3)])
        finally:
            done.set()

    thread = threading.Thread(target=write)
    thread.start()
    counts = [0]
    while not done.is_set():
        counts.append(len(found(archive, "word", limit=5000)))
        assert counts[-1] % 3 == 0
        assert counts[-1] >= counts[-2]
    thread.join()
    assert len(found(archive, "word", limit=5000)) == 2100
    writer.close()
