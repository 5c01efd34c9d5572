"""Lines found in LogQL are those that Loki's rules name, whatever the index makes of them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logshipper.store.engine.folder import Folder
from logshipper.store.model import BadQuery, Document
from logshipper.store.query import identity
from logshipper.store.query.archive import Archive
from logshipper.store.query.logql import answers, entries, logfmt, parser, patterns
from logshipper.store.query.logql.entries import Entry
from logshipper.store.query.logql.translate import plain_count, translate
from logshipper.store.query.order import Order
from logshipper.store.query.search import Effort
from tests.store.test_search import made, store

LINES = [
    made("ERROR cannot reach 10.0.0.5:5432", 1, app="shop", env="prod", host="h1"),
    made("mytimeout Timeouts timeout=5", 2, app="shop", env="test", host="h2", job="cron"),
    made(json.dumps({"msg": "ok", "status": 404, "n": {"a": "x y"}}), 3, app="web", env="prod"),
    made('level=warn msg="slow query" took=1.5s size=3KiB status=200', 4, app="web", trace_id="t1"),
    made("\x1b[31mred\x1b[0m [31m] 连接超时", 5, app="shop*", host="h1", level="debug"),
    made("two\nlines", 6, host="h3", status=500, up=True, tags=["a"]),
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    folder = Folder(tmp_path_factory.mktemp("days"))
    store(folder, LINES)
    held = Archive(folder)
    yield held
    held.close()


def found(archive: Archive, text: str) -> list[Entry]:
    """The lines that fit, oldest first."""
    asked = translate(parser.parse_log(text))
    with Effort() as effort:
        hits = archive.search("t", asked.query, Order(newest_first=False), effort)
        return answers.passed([identity.found(hit) for hit in hits], asked)


def numbers(archive: Archive, text: str) -> list[int]:
    times = [document.line.time_ns for document in LINES]
    return [times.index(one.time_ns) for one in found(archive, text)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{}", [0, 1, 2, 3, 4, 5]),
        ('{app="shop"}', [0, 1]),
        ('{app="shop*"}', [4]),
        ('{app=~"shop.*"}', [0, 1, 4]),
        ('{app=~"shop|web"}', [0, 1, 2, 3]),
        ('{app=~"(shop|web)"}', [0, 1, 2, 3]),
        (r'{app=~"shop\\*"}', [4]),
        ('{app=~"s.op"}', [0, 1]),
        ('{app=~"(?i)SHOP"}', [0, 1]),
        ('{app=~"hop"}', []),
        ('{app!~"s.op"}', [2, 3, 4, 5]),
        ('{app!~"shop|web"}', [4, 5]),
        ('{app=~".+"}', [0, 1, 2, 3, 4]),
        ('{app!~".+"}', [5]),
        ('{app=~".*"}', [0, 1, 2, 3, 4, 5]),
        ('{app=""}', [5]),
        ('{app!=""}', [0, 1, 2, 3, 4]),
        ('{app="shop", env!="prod"}', [1]),
        ('{app="shop", app="web"}', []),
        ('{service_name="web"}', [2, 3]),
        ('{service_name="unknown_service"}', [5]),
        ('{service_name=~".+"}', [0, 1, 2, 3, 4, 5]),
        ('{service_name!~".+"}', []),
        ('{service_name=~"web|unknown_service"}', [2, 3, 5]),
        ('{job="cron"}', [1]),
        ('{job!="cron"}', [0, 2, 3, 4, 5]),
        ('{job=~"c.on"}', [1]),
        ('{job!~"c.on"}', [0, 2, 3, 4, 5]),
        ('{level="error"}', [0]),
        ('{} | level="error"', [0]),
        ('{} | detected_level=~"error|warn"', [0, 3]),
        ('{} | detected_level=~"e.*"', [0]),
        ('{} | detected_level="unknown"', [1, 2, 5]),
        ('{} | level=""', [1, 2, 5]),
        ('{} | detected_level!=""', [0, 1, 2, 3, 4, 5]),
        ('{} | level="error" | level="warn"', []),
        ('{} | level!="error" | level!~"warn|debug"', [1, 2, 5]),
        ('{} |= "timeout"', [1]),
        ('{} |= "imeout"', [1]),
        ('{} |= "TIMEOUT"', []),
        ('{} |= "reach 10.0"', [0]),
        ('{} |= "each 10.0.0.5:54"', [0]),
        ('{} |= "ERROR cannot reach 10.0.0.5:5432"', [0]),
        ('{} |= ""', [0, 1, 2, 3, 4, 5]),
        ('{} != "o"', [4]),
        ('{} |= "[31m] "', [4]),
        ('{} |= "m] 连接"', [4]),
        ('{} |= "接超"', [4]),
        ('{} |= "red" or "slow"', [3, 4]),
        ('{} != "red" or "slow"', [0, 1, 2, 5]),
        ('{} |~ "[Tt]imeouts?="', [1]),
        ('{} |~ "two.lines"', [5]),
        ('{} |~ "^lines"', []),
        ('{} !~ "o|r"', []),
        ('{} |~ "(?i)RED" or "sl.w"', [3, 4]),
        (r"{} |~ `\Q10.0.0.5:\E`", [0]),
        (r"{} |~ `^\pL+=[[:alpha:]]+ `", [3]),
        (r"{} |~ `reach \x{31}0`", [0]),
        ('{} | detected_level=~"(warn|err).*"', [0, 3]),
        ('{} | trace_id="t1"', [3]),
        ('{} | trace_id!=""', [3]),
        ("{} | status=500", [5]),
        ('{} | status="500"', [5]),
        ('{} | up="true"', [5]),
        ("{} | json | status>=400", [2, 5]),
        ('{} | json | n_a="x y"', [2]),
        ('{} | json | __error__=""', [2]),
        ("{} | logfmt | took>1s", [3]),
        ("{} | logfmt | took>2s", []),
        ("{} | logfmt | size<=3KiB and status<300", [3]),
        ("{} | json | logfmt | status<300 or status=404", [2, 3]),
        ('{} | logfmt | msg=~"slow.*"', [3]),
        ('{} | logfmt | msg=~"s.*y"', [3]),
        ("{} | json | logfmt | drop status | status=404", []),
        ('{} | decolorize |= "[31mred"', []),
        ('{} |= "[31mred"', [4]),
        ('{} | decolorize |~ "^red"', [4]),
        ('{} | logfmt | host="h1"', [0, 4]),
    ],
)
def test_found(archive: Archive, text: str, wanted: list[int]) -> None:
    assert numbers(archive, text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        '{app=~"("}',
        '{app=~"a) | (b"}',
        '{} |~ "[a"',
        '{} |~ "a" or "[b"',
        '{} | level=~"e(r"',
        r"{} |~ `(?=x)`",
        r"{} !~ `(a)\1`",
        '{} | json | status=~"("',
        "{} |~ `(((a{100}){100}){10})`",
        "{} |~ `" + "a" * 5000 + "`",
    ],
)
def test_expressions_that_are_none(archive: Archive, text: str) -> None:
    with pytest.raises(BadQuery) as caught:
        found(archive, text)
    assert caught.value.fix


@pytest.mark.parametrize("text", ['{app=~"(s+)+x"}', '{} |~ "(a+)+$"', '{job=~"(c+)+x"}'])
def test_expressions_that_elsewhere_never_end(tmp_path: Path, text: str) -> None:
    folder = Folder(tmp_path)
    store(folder, [made("a" * 60_000 + "!", app="s" * 250, job="c" * 60_000)])
    archive = Archive(folder)
    assert found(archive, text) == []
    archive.close()


def test_labels_of_a_line(archive: Archive) -> None:
    (one,) = found(archive, '{} |= "slow" | logfmt')
    assert one.stream == {"app": "web", "service_name": "web"}
    assert one.metadata == {"detected_level": "warn", "trace_id": "t1"}
    assert one.parsed == {
        "level": "warn",
        "msg": "slow query",
        "took": "1.5s",
        "size": "3KiB",
        "status": "200",
    }
    (other,) = found(archive, '{host="h3"}')
    assert other.stream == {"host": "h3", "service_name": "unknown_service"}
    assert other.metadata == {"detected_level": "unknown", "status": "500", "up": "true"}


def test_a_label_that_is_there_already_is_not_replaced() -> None:
    sent = made('{"app":"inner","x.y":1,"9":"z","x":{"y":2}}', app="outer")
    one = Entry(0, sent.line.message, entries.stream_labels(sent.line.stream), {})
    stages = parser.parse_log("{} | json").stages
    assert entries.passes(one, stages)
    assert one.stream["app"] == "outer"
    assert one.parsed == {"app_extracted": "inner", "x_y": "1", "_9": "z"}


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ('a=1 b="two words" c= d', {"a": "1", "b": "two words"}),
        (r'm="say \"x\"\n"', {"m": 'say "x"\n'}),
        ("x.y-z=1 9=2", {"x_y_z": "1", "_9": "2"}),
        ('"a"=1 =2 "b', {}),
        ("a=1 a=2", {"a": "1"}),
        ("", {}),
    ],
)
def test_logfmt(line: str, wanted: dict[str, str]) -> None:
    assert logfmt.parse(line) == wanted


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("a", (("a",), ())),
        ("a|b", (("a", "b"), ())),
        ("(a|b)", (("a", "b"), ())),
        (r"a\.b|c.*", (("a.b",), ("c",))),
        (".*", ((), ("",))),
        ("", (("",), ())),
        ("a.b", None),
        ("(a)(b)", None),
        (r"\d", None),
        ("a$", None),
        ("[ab]", None),
    ],
)
def test_expressions_that_are_plain(pattern: str, wanted: object) -> None:
    assert patterns.plain(pattern) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{} | json | logfmt | drop __error__", True),
        ('{} |= "x" | level="error"', True),
        ('{} | json | x="y"', False),
        ("{} | drop trace_id", True),
        ("{} | drop host", False),
        ("{} | keep app", False),
        ('{} | decolorize |= "x"', False),
        ("{} | status>5", False),
    ],
)
def test_whether_counting_needs_a_look_at_each_line(text: str, wanted: bool) -> None:
    assert plain_count(translate(parser.parse_log(text)).stages) is wanted


CHARACTERS = "ab1 .-_:[é连"
message = st.text(alphabet=CHARACTERS, max_size=12)


@given(
    sent=st.lists(message, min_size=1, max_size=8), part=st.text(alphabet=CHARACTERS, max_size=5)
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_part_of_a_line_is_found_wherever_it_stands(
    tmp_path_factory: pytest.TempPathFactory, sent: list[str], part: str
) -> None:
    folder = Folder(tmp_path_factory.mktemp("days"))
    documents: list[Document] = [made(text, n) for n, text in enumerate(sent)]
    store(folder, documents)
    archive = Archive(folder)
    for op, wanted in (("|=", True), ("!=", False)):
        asked = translate(parser.parse_log(f"{{}} {op} `{part}`"))
        with Effort() as effort:
            hits = archive.search("t", asked.query, Order(newest_first=False), effort)
        assert [hit.line.message for hit in hits] == [t for t in sent if (part in t) == wanted]
    archive.close()
