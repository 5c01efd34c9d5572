"""LogQL is understood as Loki's documentation has it; what is not is refused by its name."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.store.model import BadQuery
from logshipper.store.query.logql import lexer, parser
from logshipper.store.query.logql.nodes import (
    Aggregate,
    All,
    Any,
    Binary,
    Comparison,
    Constant,
    Decolorize,
    Labels,
    LineFilter,
    Log,
    Matcher,
    Parse,
    Range,
    Unwrap,
)

SHOP = Log((Matcher("app", "=", "shop"),))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{app="shop"}', SHOP),
        ("{ app = `shop` , }", SHOP),
        ('({app="shop"})', SHOP),
        ("{}", Log(())),
        (
            r'{app="a\"b\\",env!="x",host=~"h.+",job!~`\d`}',
            Log(
                (
                    Matcher("app", "=", 'a"b\\'),
                    Matcher("env", "!=", "x"),
                    Matcher("host", "=~", "h.+"),
                    Matcher("job", "!~", r"\d"),
                )
            ),
        ),
        (
            '{app="shop"} |= "a" != `b` |~ "c|d" !~ "e" # and no more\n|= "f" or "g"',
            Log(
                SHOP.matchers,
                (
                    LineFilter("|=", ("a",)),
                    LineFilter("!=", ("b",)),
                    LineFilter("|~", ("c|d",)),
                    LineFilter("!~", ("e",)),
                    LineFilter("|=", ("f", "g")),
                ),
            ),
        ),
        (
            '{app="shop"} | json | logfmt --strict | drop __error__, x | keep y | decolorize',
            Log(
                SHOP.matchers,
                (
                    Parse("json"),
                    Parse("logfmt"),
                    Labels(("__error__", "x"), keep=False),
                    Labels(("y",), keep=True),
                    Decolorize(),
                ),
            ),
        ),
        (
            '{app="shop"} | level="error" or status >= 400 and took > 1m30s, size<=2KiB',
            Log(
                SHOP.matchers,
                (
                    Any(
                        (
                            Matcher("level", "=", "error"),
                            All(
                                (
                                    Comparison("status", ">=", 400, "number"),
                                    Comparison("took", ">", 90, "duration"),
                                    Comparison("size", "<=", 2048, "bytes"),
                                )
                            ),
                        )
                    ),
                ),
            ),
        ),
        (
            '{app="shop"} | (a="1" or b="2") c!~"3"',
            Log(
                SHOP.matchers,
                (
                    All(
                        (
                            Any((Matcher("a", "=", "1"), Matcher("b", "=", "2"))),
                            Matcher("c", "!~", "3"),
                        )
                    ),
                ),
            ),
        ),
        ('count_over_time({app="shop"}[5m])', Range("count_over_time", SHOP, 300 * 10**9)),
        ('rate(({app="shop"})[1h30m])', Range("rate", SHOP, 5400 * 10**9)),
        (
            'bytes_rate({app="shop"}[5m] |= "x" offset 1d)',
            Range(
                "bytes_rate",
                Log(SHOP.matchers, (LineFilter("|=", ("x",)),)),
                300 * 10**9,
                86_400 * 10**9,
            ),
        ),
        (
            'sum by (level, detected_level) (count_over_time({app="shop"} | drop __error__ [5s]))',
            Aggregate(
                "sum",
                Range(
                    "count_over_time",
                    Log(SHOP.matchers, (Labels(("__error__",), keep=False),)),
                    5 * 10**9,
                ),
                ("level", "detected_level"),
            ),
        ),
        (
            'topk(3, sum(rate({app="shop"}[1s])) without (host))',
            Aggregate(
                "topk",
                Aggregate("sum", Range("rate", SHOP, 10**9), ("host",), without=True),
                parameter=3,
            ),
        ),
        (
            'quantile_over_time(0.9, {app="shop"} | unwrap duration(took) | a="" [1m]) by ()',
            Range(
                "quantile_over_time",
                Log(SHOP.matchers, (Unwrap("took", "duration"), Matcher("a", "=", ""))),
                60 * 10**9,
                labels=(),
                parameter=0.9,
            ),
        ),
        (
            "vector(1)+vector(1)",
            Binary("+", Constant(1, vector=True), Constant(1, vector=True)),
        ),
        (
            "1 - 2 - 3 * 4 > bool -5",
            Binary(
                ">",
                Binary(
                    "-",
                    Binary("-", Constant(1), Constant(2)),
                    Binary("*", Constant(3), Constant(4)),
                ),
                Constant(-5),
                as_bool=True,
            ),
        ),
    ],
)
def test_understood(text: str, wanted: object) -> None:
    assert parser.parse(text) == wanted


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "the end at character 1"),
        ("{", "the end at character 2"),
        ('{app="shop"', "the end"),
        ("{app=shop}", "'shop' at character 6"),
        ('{app="shop}', "character 6"),
        ('{app=="shop"}', "'==' at character 5"),
        ('{app="shop" env="x"}', "'env' at character 13"),
        (r'{app="\q"}', r"unknown escape \q"),
        ('{app="shop"} |= x', "'x' at character 17"),
        ('{app="shop"} | level', "| level"),
        ('{app="shop"} | status > "400"', "'400' at character 25"),
        ('{app="shop"} extra', "'extra' at character 14"),
        ('rate({app="shop"})', "')' at character 18"),
        ('rate({app="shop"}[5])', "'5' at character 19"),
        ('rate({app="shop"}[0s])', "[0s]"),
        ("rate(5)", "'5' at character 6"),
        ("topk(0, vector(1))", "topk(0, ...)"),
        ("sum(", "the end"),
        ("(" * 50 + "1" + ")" * 50, "too many parentheses"),
        ("(" * 50 + '{app="shop"}' + ")" * 50, "too many parentheses"),
        ('{app="shop"} |> "<_>"', "a pattern filter at character 14 is not supported"),
        ('{app="shop"} | line_format "x"', "| line_format at character 16 is not supported"),
        ('{app="shop"} | label_format a=b', "| label_format"),
        ('{app="shop"} | pattern "<a>"', "| pattern"),
        ('{app="shop"} | regexp "x"', "| regexp"),
        ('{app="shop"} | unpack', "| unpack"),
        ('{app="shop"} | json a="b"', "json with the names of fields"),
        ('{app="shop"} | drop a="b"', "a condition in drop or keep"),
        ('{app="shop"} |= ip("10.0.0.0/8")', "ip()"),
        ('stddev_over_time({app="shop"} | unwrap x [5m])', "stddev_over_time"),
        ('quantile_over_time(0.9, {app="shop"} [5m])', "needs an unwrap"),
        ('rate({app="shop"} | unwrap x [5m])', "no use for an unwrap"),
        ('{app="shop"} | unwrap x', "unwrap makes numbers"),
        ('sum_over_time({app="shop"} | unwrap date(x) [5m])', "unwrap date()"),
        ('sum_over_time({app="shop"} | unwrap x [5m]) without (y)', "without"),
        ('absent_over_time({app="shop"}[5m])', "absent_over_time"),
        ('stddev(rate({app="shop"}[5m]))', "stddev"),
        ("vector(1) + on(app) vector(1)", "on at character"),
        ("{" + " " * lexer.MAX_CHARACTERS + "}", "longer than"),
    ],
)
def test_refused(text: str, named: str) -> None:
    with pytest.raises(BadQuery) as caught:
        parser.parse(text)
    assert named in str(caught.value)
    assert caught.value.fix


LONG = "9" * 5_000


@pytest.mark.parametrize(
    "text",
    [
        "topk(1e999, rate({}[1m]))",
        "topk(0.5, rate({}[1m]))",
        f"rate({{}}[{LONG}s])",
        f"rate({{}}[{LONG[:400]}.5s])",
        f"rate({{}}[1m] offset {LONG}s)",
        f"rate({{}}[1m] offset {LONG[:400]}.5s)",
        "rate({}[1m] offset 300y)",
        "1" + "+1" * 5_000,
        "1" + "*(1" * 5_000,
        "sum(" * 2_000,
    ],
)
def test_what_is_too_large_or_too_deep_is_refused(text: str) -> None:
    with pytest.raises(BadQuery):
        parser.parse(text)


def test_numbers_where_lines_are_wanted() -> None:
    with pytest.raises(BadQuery, match="numbers, not"):
        parser.parse_log('rate({app="shop"}[5m])')


@given(st.text(alphabet='{}()[]|=!~"`,.<>+-*/abcrate sum5ms\\#\n', max_size=40) | st.text())
def test_any_text_is_understood_or_refused(text: str) -> None:
    # Whatever else it raises is a failure.
    with contextlib.suppress(BadQuery):
        parser.parse(text)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("1ns", 1), ("1h30m", 5_400 * 10**9), ("1.5s", 1_500_000_000), ("2d", 172_800 * 10**9)],
)
def test_durations(text: str, nanoseconds: int) -> None:
    assert lexer.nanoseconds(text) == nanoseconds
    assert lexer.seconds(text) == pytest.approx(nanoseconds / 1e9)


@pytest.mark.parametrize("text", ["", "5", "m", "1h 2m", "1x", "-1s"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        lexer.nanoseconds(text)


@pytest.mark.parametrize(
    ("text", "size"), [("5B", 5), ("1.5KiB", 1536), ("2 MB", 2_000_000), ("1kB", 1000)]
)
def test_sizes(text: str, size: float) -> None:
    assert lexer.size(text) == size
