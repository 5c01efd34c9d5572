"""Fields out of lines; a line of another form gives none, however it is made."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.lines.names import MORE, TAKEN, Vocabulary, clear
from logshipper.lines.parsing import PARSERS, compile_parse
from wharfinger.errors import Rejected


def parsed(how: str, text: str, **more: Any) -> dict[str, Any] | None:
    return compile_parse(how, **more)(text)


def test_json() -> None:
    assert parsed("json", ' {"a": 1, "b": {"c": [true, null]}}') == {
        "a": 1,
        "b": {"c": [True, None]},
    }


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "text",
        "[1]",
        '{"a": 1} and more',
        '{"a": ',
        '{"a": 1e999}',
        '{"a": "\\ud800"}',
        '{"a": NaN}',
        '{"a":' * 50 + "1" + "}" * 50,
        '{"a":' * 100_000,
        json.dumps({str(n): n for n in range(201)}),
        json.dumps({"n" * 257: 1}),
        json.dumps({"a": [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}),
    ],
)
def test_what_is_no_json_object_or_too_much_of_one(bad: str) -> None:
    assert parsed("json", bad) is None


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("level=info n=3", {"level": "info", "n": "3"}),
        ('msg="a \\"b\\"\\n c" x=', {"msg": 'a "b"\n c', "x": ""}),
        ("a=b=c flag", {"a": "b=c", "flag": True}),
        ('  a=1\tb="=" ', {"a": "1", "b": "="}),
        ("hello a=b", None),
        ("plain", None),
        ("", None),
        ('a="open', None),
        ('a=b"c', None),
        ('a="b"c=d', {"a": "b", "c": "d"}),
        ("=x", None),
    ],
)
def test_logfmt(text: str, fields: dict[str, Any] | None) -> None:
    assert parsed("logfmt", text) == fields


def test_nginx_access() -> None:
    line = (
        '1.2.3.4 - bob [01/Jul/2026:10:00:00 +0000] "GET /x?y HTTP/1.1" 200 12 '
        '"https://a/" "curl \\"7\\"" rt=0.1'
    )
    assert parsed("nginx", line) == {
        "remote_addr": "1.2.3.4",
        "remote_user": "bob",
        "time_local": "01/Jul/2026:10:00:00 +0000",
        "request": "GET /x?y HTTP/1.1",
        "request_method": "GET",
        "request_uri": "/x?y",
        "server_protocol": "HTTP/1.1",
        "status": 200,
        "body_bytes_sent": 12,
        "http_referer": "https://a/",
        "http_user_agent": 'curl "7"',
    }
    # What a scanner sends is no request, and is a line all the same.
    found = parsed("nginx", '::1 - - [x] "\\x16\\x03" 400 0')
    assert found is not None
    assert found["status"] == 400
    assert "request_method" not in found


def test_nginx_error() -> None:
    line = (
        "2026/07/01 10:00:00 [error] 29#30: *1 open() failed (2: No such file), "
        'client: 1.1.1.1, server: shop, request: "GET /a, b HTTP/1.1", host: "h"'
    )
    found = parsed("nginx", line)
    assert found is not None
    assert found["level"] == "error"
    assert found["message"].startswith("open() failed")
    assert found["request"] == "GET /a, b HTTP/1.1"
    assert (found["pid"], found["connection"], found["host"]) == (29, 1, "h")
    assert parsed("nginx", "plain") is None


def test_cri() -> None:
    assert parsed("cri", "2026-07-01T10:00:00.1Z stderr F oh  no") == {
        "time": "2026-07-01T10:00:00.1Z",
        "cri_stream": "stderr",
        "cri_tag": "F",
        "message": "oh  no",
    }
    assert parsed("cri", "2026-07-01T10:00:00.1Z stdin F x") is None


def test_a_delimiter() -> None:
    more = {"delimiter": "|", "columns": ("a", "b")}
    assert parsed("delimiter", "1|2|3", **more) == {"a": "1", "b": "2|3"}
    assert parsed("delimiter", "1", **more) is None


def test_a_pattern() -> None:
    assert parsed(r"^(?P<who>\w+) (?:did (?P<what>\w+))?", "bob ") == {"who": "bob"}
    assert parsed(r"(?P<n>\d+)", "none") is None
    assert parsed(r"(?P<w>\S+)$", "a é") == {"w": "é"}


@pytest.mark.parametrize(
    "bad", ["yaml", "(?P<a", "(a)", "(?P<a>x)(?=y)", "", r"(?P<a>(?:\pL{900}){900})"]
)
def test_what_is_no_parser_is_refused(bad: str) -> None:
    with pytest.raises(Rejected):
        compile_parse(bad)


@pytest.mark.parametrize("columns", [(), ("a", "a"), ("a", ""), tuple(map(str, range(201)))])
def test_columns_need_names(columns: tuple[str, ...]) -> None:
    with pytest.raises(Rejected):
        compile_parse("delimiter", delimiter=",", columns=columns)


HOSTILE = [
    'a="\\"' * 60_000,
    "a=" * 150_000,
    '="' * 150_000,
    'x="' + '\\"' * 150_000,
    " " * 300_000,
    "a" * 300_000,
    '1 - - [x] "' + "\\a" * 150_000,
    "2026/07/01 10:00:00 [error] 1#1: " + ', host: "\\' * 30_000,
    '{"a":[' * 50_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("how", [*PARSERS, r"^(?P<a>(?:a+)+)b$"])
def test_no_text_makes_a_parser_slow(how: str, text: str) -> None:
    parse = compile_parse(how)
    begun = time.thread_time()
    parse(text)
    # Quadratic, this would be minutes.
    assert time.thread_time() - begun < 5


values = st.one_of(st.text(max_size=5), st.integers(), st.none(), st.booleans())
names = st.one_of(st.sampled_from([*TAKEN, "parsed_app", "_id", "", ".", "a..b"]), st.text())


@given(st.dictionaries(names, values, max_size=12), st.sets(names, max_size=3))
def test_every_value_keeps_a_name_of_its_own(fields: dict[str, Any], also: set[str]) -> None:
    found = clear(fields, also)
    assert sorted(map(repr, found.values())) == sorted(map(repr, fields.values()))
    assert not found.keys() & (TAKEN | also)
    assert not any(name.startswith("_") for name in found)


def test_a_name_that_is_taken_gets_a_prefix() -> None:
    assert clear({"app": 1, "parsed_app": 2, "user": 3, "_id": 4}) == {
        "user": 3,
        "parsed_app": 2,
        "parsed_parsed_app": 1,
        "parsed__id": 4,
    }


def test_a_path_through_a_name_that_is_taken_is_made_flat() -> None:
    # To Elasticsearch `host.name` is an object `host`, and documents carry a text of that name.
    fields = {"host.name": "h", "host": "x", "log.logger": "l", "team.name": "t", "a": {"": 1}}
    assert clear(fields, {"team"}) == {
        "parsed_host": "x",
        "parsed_host_name": "h",
        "parsed_log_logger": "l",
        "parsed_team_name": "t",
        "a": {"parsed_": 1},
    }


def test_names_within_fields_are_such_as_no_store_refuses() -> None:
    fields = {"a": [{"_id": 1, "b..c": {"d.": [2]}, "parsed__id": 3}]}
    assert clear(fields) == {
        "a": [{"parsed__id": 3, "parsed_parsed__id": 1, "parsed_b__c": {"parsed_d_": [2]}}]
    }


def test_a_log_has_so_many_names_and_no_value_is_lost() -> None:
    names = Vocabulary(4)
    assert names.admit({"a": 1, "b": 2}) == {"a": 1, "b": 2}
    assert names.admit({"a": 1, "c": {"d": 1}}) == {"a": 1, "c": {"d": 1}}
    found = names.admit({"a": 3, "e": 4, "c": {"d": 1, "f": 5}, "g": [[{"h": 6}]]})
    assert json.loads(found.pop(MORE)) == {"e": 4, "c": {"d": 1, "f": 5}, "g": [[{"h": 6}]]}
    assert found == {"a": 3}
    assert names.admit({"b": 1, "c": [{"d": 2}]}) == {"b": 1, "c": [{"d": 2}]}


@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.text(), min_size=1))
def test_logfmt_reads_what_a_logger_wrote(fields: dict[str, str]) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    line = " ".join(f"{name}={quoted(value)}" for name, value in fields.items())
    assert parsed("logfmt", line) == fields
