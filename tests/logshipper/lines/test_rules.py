"""Messages through all the rules: what is dropped is counted, what does not parse stays whole."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.lines.charset import CHARSETS, compile_charset
from logshipper.lines.levels import normalised, of_text
from logshipper.lines.pattern import compile_pattern
from logshipper.lines.redaction import KEY_LINES, RULES
from logshipper.lines.rules import Rules, _docker_ns
from logshipper.lines.thinning import Bucket, sampled
from logshipper.linesettings import LineSettings
from logshipper.model import Message, Tally
from wharfinger.container import time_ns
from wharfinger.errors import Rejected

TIME = "2026-07-01T10:00:05.000000000Z"


def message(text: str, *, number: int = 0, time: str = TIME, piece: int = 0) -> Message:
    return Message(f"c.g.{number:x}", text, "stdout", time, piece=piece)


def apply(text: str, **settings: Any) -> tuple[Message | None, Tally]:
    rules = Rules(LineSettings(**settings))
    given_message = message(text)
    shipped = rules.apply(given_message)
    return given_message if shipped else None, rules.tally()


def test_without_settings_nothing_is_done() -> None:
    assert not Rules(LineSettings())
    assert apply("x")[0] == message("x")


def test_json_gives_text_time_level_and_fields() -> None:
    found, _ = apply(
        '{"msg":"paid","ts":1782900000.5,"level":"WARNING","app":"evil","_id":"1","n":{"a":1}}',
        parse="json",
        time="auto",
    )
    assert found is not None
    assert found.text == "paid"
    assert found.time == "2026-07-01T10:00:00.500000000Z"
    assert found.level == "warn"
    assert found.fields == {"n": {"a": 1}, "parsed_app": "evil", "parsed__id": "1"}


def test_what_does_not_parse_keeps_its_text_and_is_counted() -> None:
    found, tally = apply("plain", parse="json", time="iso")
    assert found == message("plain")
    assert tally.unread == {"parse": 1, "time": 1}


def test_a_bad_time_keeps_dockers_and_its_field() -> None:
    found, tally = apply('{"msg":"x","time":"soon"}', parse="json", time="auto")
    assert found is not None
    assert (found.time, found.fields) == (TIME, {"parsed_time": "soon"})
    assert tally.unread == {"time": 1}


def test_a_time_field_by_name() -> None:
    text = '{"msg":"x","when":"2026-07-01 18:00:00","time":"2026-07-01T09:00:00Z"}'
    found, _ = apply(text, parse="json", time="auto", zone="Asia/Shanghai", time_field="when")
    assert found is not None
    assert found.time == "2026-07-01T10:00:00.000000000Z"


def test_the_level_of_a_field_by_name_or_none() -> None:
    text = '{"msg":"x","level":"info","grade":40}'
    levels = {how: apply(text, parse="json", level=how)[0] for how in ("", "grade", "off", "auto")}
    assert {how: m.level for how, m in levels.items() if m} == {
        "": "info",
        "grade": "warn",
        "off": "",
        "auto": "info",
    }


@pytest.mark.parametrize(
    ("value", "level"),
    [
        ("WARNING", "warn"),
        (" err ", "error"),
        ("E", "error"),
        ("critical", "fatal"),
        ("notice", "info"),
        (30, "info"),
        ("50", "error"),
        (3, "error"),
        (7, "debug"),
        (99, ""),
        (-1, ""),
        (True, ""),
        (None, ""),
        ({"a": 1}, ""),
        ("loud", ""),
        ("9" * 5000, ""),
    ],
)
def test_levels_have_one_spelling(value: object, level: str) -> None:
    assert normalised(value) == level


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("2026-07-01 10:00:00 ERROR [main] x", "error"),
        ("[warning] x", "warn"),
        ("level=debug x", "debug"),
        ("E0701 10:00:00.000000 1 file.go:12] x", "error"),
        ("<4>low battery", "warn"),
        ("\x1b[2m10:00\x1b[0m \x1b[1;32mINFO\x1b[0m x", "info"),
        ("INFORMATIVE x", ""),
        ("an error happened", ""),
        ("", ""),
    ],
)
def test_levels_in_text(text: str, level: str) -> None:
    assert of_text(text) == level


def test_include_and_exclude() -> None:
    assert apply("GET /healthz", exclude=("healthz", "x{9}"))[0] is None
    assert apply("GET /healthz", exclude=("healthz",))[1].dropped == {"exclude": 1}
    assert apply("GET /", include=("^POST",))[1].dropped == {"include": 1}
    assert apply("POST /", include=("^POST", "^PUT"))[0] is not None


def test_pieces_of_a_long_message_are_neither_parsed_nor_filtered_but_redacted() -> None:
    rules = Rules(LineSettings(parse="json", exclude=("a",), include=("b",), redact=("card",)))
    piece = message('{"a":4111111111111111}', piece=2)
    assert rules.apply(piece)
    assert piece.text == '{"a":[redacted:card]}'


def test_secrets_go_after_parsing_so_that_escapes_hide_none() -> None:
    found, tally = apply(
        r'{"msg":"x","url":"http:\/\/u:p\u0061ss@h","n":4111111111111111}',
        parse="json",
        redact=("url", "card"),
    )
    assert found is not None
    assert found.fields == {"url": "http://u:[redacted:url]@h", "n": "[redacted:card]"}
    assert tally.redacted == {"url": 1, "card": 1}


@pytest.mark.parametrize(
    ("parse", "text", "settings"),
    [
        ("json", '{"msg":"x","authorization":"Token s3cr3t-s3cr3t"}', {"redact": ("auth",)}),
        ("json", '{"h":{"Authorization": "Bearer s3cr3t"}}', {"redact": ("auth",)}),
        ("json", '{"aws_secret_access_key":"' + "s3cr3t+" * 5 + '12345"}', {"redact": ("aws",)}),
        ("logfmt", "user=bob password=s3cr3t", {"redact_patterns": (r"password=\S+",)}),
        ("logfmt", 'password="s3cr3t"', {"redact_patterns": ('password="(?P<secret>[^"]+)"',)}),
        ("json", '{"pin":5345617}', {"redact_patterns": (r'"pin":(?P<secret>\d+)',)}),
        ("json", '{"pw": "s3cr3t"}', {"redact_patterns": ('"pw": "(?P<secret>[^"]+)"',)}),
        # Across fields, and in the name of one: what is left is the line as it would be unparsed.
        ("logfmt", "user=bob pw=s3cr3t", {"redact_patterns": (r"user=\w+ pw=(?P<secret>\S+)",)}),
        ("json", '{"bob@s3cr3t.example":1}', {"redact": ("email",)}),
        ("json", '{"pw":"s3cr3t","pw":"s3cr3t2"}', {"redact_patterns": ('"pw":"[^"]+"',)}),
        ("json", '{"msg":"pw=s3cr3t"}', {"redact_patterns": ('msg":"pw=(?P<secret>[^"]+)',)}),
        ("json", '{"_pw":"s3cr3t"}', {"redact_patterns": ('"_pw":"(?P<secret>[^"]+)',)}),
    ],
)
def test_what_is_taken_out_of_a_line_does_not_leave_in_a_field_of_it(
    parse: str, text: str, settings: dict[str, tuple[str, ...]]
) -> None:
    found, tally = apply(text, parse=parse, **settings)
    assert found is not None
    said = f"{found.text} {found.fields}"
    assert "[redacted" in said
    assert "s3cr3t" not in said
    assert "5345617" not in said
    assert tally.redacted.total() >= 1


def test_more_names_than_a_log_may_have_are_counted() -> None:
    rules = Rules(LineSettings(parse="json", field_names=2, redact=("jwt",)))
    found = [message(f'{{"msg":"x","f{n}":"eyJhbGciOi.eyJhbGciOi.x"}}') for n in range(3)]
    assert all(map(rules.apply, found))
    assert found[2].fields == {"parsed_more": '{"f2":"[redacted:jwt]"}'}
    assert rules.tally().unread == {"names": 1}


def test_sampling_keeps_the_same_lines_in_every_life() -> None:
    ids = [f"c.g.{n:x}" for n in range(4000)]
    kept = [each for each in ids if sampled(each, 0.25)]
    assert 800 < len(kept) < 1200
    assert set(kept) <= {each for each in ids if sampled(each, 0.5)}
    assert not any(sampled(each, 0.0) for each in ids)
    assert all(sampled(each, 1.0) for each in ids)
    rules = Rules(LineSettings(sample=0.25))
    assert [i for n, i in enumerate(ids) if rules.apply(message("x", number=n))] == kept
    assert rules.tally().dropped == {"sample": 4000 - len(kept)}


KEY = (
    "-----BEGIN RSA PRIVATE KEY-----",
    "Proc-Type: 4,ENCRYPTED",
    "DEK-Info: AES-128-CBC,0123456789ABCDEF",
    "",
    "MIIEpAIBAAKCAQEA75+qv/sCIWK",
    "q3oCgYEAzKqm",
    "bA==",
    "-----END RSA PRIVATE KEY----- loaded",
)


def test_a_key_that_is_printed_line_by_line_goes_whole() -> None:
    rules = Rules(LineSettings(redact=("private-key",), exclude=("BEGIN",)))

    def through(text: str, stream: str = "stdout") -> str:
        given = Message("c.g.0", text, stream, TIME)
        return given.text if rules.apply(given) else "-"

    assert through("MIIEpAIBAAKCAQEA75") == "MIIEpAIBAAKCAQEA75"
    mark = "[redacted:private-key]"
    found = [through(text) for text in KEY[:5]]
    assert found == ["-", mark, mark, "", mark]
    # Of another thread, and of the other stream.
    assert through("GET / 200") == "GET / 200"
    assert through("MIIEpAIBAAKCAQEA75", "stderr") == "MIIEpAIBAAKCAQEA75"
    assert [through(text) for text in KEY[5:]] == [mark, mark, f"{mark} loaded"]
    assert through("MIIEpAIBAAKCAQEA75") == "MIIEpAIBAAKCAQEA75"
    assert rules.tally().redacted == {"private-key": 6}


def test_a_key_without_an_end_does_not_take_the_rest_of_the_log() -> None:
    rules = Rules(LineSettings(redact=("private-key",)))
    assert rules.apply(message(KEY[0]))
    lines = [message("x" * 20) for _ in range(KEY_LINES + 1)]
    assert all(map(rules.apply, lines))
    assert {each.text for each in lines[:-1]} == {"[redacted:private-key]"}
    assert lines[-1].text == "x" * 20
    whole = message(f"{KEY[0]} x {KEY[-1]}")
    assert rules.apply(whole)
    assert whole.text == "[redacted:private-key] loaded"
    after = message("x" * 20)
    assert rules.apply(after)
    assert after.text == "x" * 20


def test_the_pieces_of_a_message_are_sampled_as_one() -> None:
    rules = Rules(LineSettings(sample=0.5))
    for base in range(50):
        pieces = [
            Message(f"c.{base}.{n}", "x", "stdout", TIME, base=f"c.{base}", piece=n)
            for n in range(1, 9)
        ]
        assert len({rules.apply(piece) for piece in pieces}) == 1


def test_a_rate_limits_by_the_times_of_the_lines() -> None:
    rules = Rules(LineSettings(rate=10, burst=5))
    at = [f"2026-07-01T10:00:{second:02d}.000000000Z" for second in (0, 1, 2)]
    shipped = [sum(rules.apply(message("x", time=time)) for _ in range(50)) for time in at]
    assert shipped == [5, 5, 5]
    assert rules.tally().dropped == {"rate": 135}


def test_a_message_in_pieces_is_one_to_a_limit() -> None:
    rules = Rules(LineSettings(rate=0.001, burst=1.0))
    shipped = []
    for base in ("a", "b"):
        for n in range(1, 4):
            piece = Message(f"{base}.{n}", "x", "stdout", TIME, base=base, piece=n, last=n == 3)
            if rules.apply(piece):
                shipped.append(piece.id)
    assert shipped == ["a.1", "a.2", "a.3"]
    assert rules.tally().dropped == {"rate": 3}
    assert rules._pieces == {}


def test_a_clock_that_was_set_back_starves_nobody() -> None:
    bucket = Bucket(1, 1)
    assert bucket.take(10**18)
    assert not bucket.take(5)
    assert bucket.take(5 + 10**9)


@given(st.lists(st.integers(0, 10**10), max_size=200).map(sorted))
def test_a_bucket_never_gives_more_than_its_rate(times: list[int]) -> None:
    bucket = Bucket(3, 7)
    taken = [now for now in times if bucket.take(now)]
    for i, begin in enumerate(taken):
        for j in range(i, len(taken)):
            assert j - i + 1 <= 7 + 3 * (taken[j] - begin) / 10**9 + 1e-6


def test_charsets() -> None:
    assert compile_charset("GBK")("中文".encode("gbk")) == ("中文", True)
    assert compile_charset("latin1")(b"\xe9") == ("é", True)
    text, whole = compile_charset("gbk")(b"ok \xff")
    assert (text[:3], whole) == ("ok ", False)


@pytest.mark.parametrize("bad", ["", "utf-16", "utf-7", "hz", "rot13", "zlib", "idna", "é", "a\0b"])
def test_what_is_no_charset_of_lines_is_refused(bad: str) -> None:
    with pytest.raises(Rejected):
        compile_charset(bad)


def cuts() -> Iterator[tuple[str, bytes]]:
    for name in sorted(CHARSETS):
        for first in range(0x80, 0x100):
            yield name, bytes([first, 0x0A])


def test_no_character_of_a_charset_has_a_newline_in_it() -> None:
    for name, data in cuts():
        text, whole = compile_charset(name)(data)
        assert text.endswith("\n") or not whole, (name, data)


texts = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ['{"msg":"x","level":30}', '{"time":1e300}', "a=1 time=x", "[]", '{"level":{"a":1}}']
    ),
)


@given(
    texts,
    st.sampled_from(["", "json", "logfmt", "nginx", "cri", r"(?P<time>\d+)(?P<app>.*)"]),
    st.sampled_from(["", "auto", "epoch", "%H:%M %d"]),
    st.sampled_from(["", "auto", "off", "app"]),
)
def test_any_text_passes_any_rules_and_keeps_who_it_is(
    text: str, parse: str, time: str, level: str
) -> None:
    rules = Rules(LineSettings(parse=parse, time=time, level=level, redact=("card", "email")))
    given_message = message(text)
    assert rules.apply(given_message)
    assert (given_message.id, given_message.stream) == ("c.g.0", "stdout")
    assert not (given_message.fields or {}).keys() & {"app", "env", "host", "container", "_id"}


def test_a_setting_that_is_none_is_refused() -> None:
    with pytest.raises(Rejected):
        Rules(LineSettings(parse="yaml"))


@given(st.datetimes(), st.integers(0, 999_999_999), st.integers(0, 9))
def test_dockers_times_are_read_to_the_nanosecond(
    moment: datetime, fraction: int, digits: int
) -> None:
    tail = f".{fraction:09d}"[: digits + 1] if digits else ""
    text = f"{moment.isoformat()[:19]}{tail}Z"
    assert _docker_ns(text) == time_ns(text) or time_ns(text) == 0
    assert _docker_ns("soon") == 0


@given(st.text("ab .^", max_size=4), st.text("ab .^", max_size=12))
def test_a_pattern_that_is_a_word_is_found_as_any_other(word: str, text: str) -> None:
    assert compile_pattern(re.escape(word)).found(text) == (word in text)
    if not set(word) & set(".^"):
        assert compile_pattern(word).found(text) == (word in text)


FRAGMENTS = [
    *("4111", " ", "-", "1111", "4111111111111111", "0", "eyJhbGciOiJI", ".", "eyJzdWIiOi", "AKIA"),
    *(
        "IOSFODNN7EXAMPLE",
        "authorization",
        ": ",
        "=",
        "bearer ",
        "basic ",
        "token ",
        "dXNlcjpwYXNz",
    ),
    *(
        "dXNlcjpwYXNzd29yZA==",
        "http",
        "://",
        "bob",
        ":",
        "pass",
        "@",
        "example.org",
        "aws secret key",
    ),
    *(
        "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYabcd",
        "/",
        "-----BEGIN RSA ",
        "PRIVATE KEY-----",
        "x",
    ),
]
WORDS = st.lists(st.sampled_from(FRAGMENTS), max_size=6).map("".join)


@given(
    st.dictionaries(
        WORDS, WORDS | st.integers(0, 10**20) | st.lists(WORDS, max_size=2), max_size=4
    ),
    st.sampled_from(["json", "logfmt"]),
)
def test_values_need_no_search_of_their_own_where_the_line_is_clean(
    fields: dict[str, Any], parse: str
) -> None:
    text = json.dumps(fields)
    if parse == "logfmt":
        text = " ".join(f'{name}="{value}"' for name, value in fields.items())
    rules = Rules(LineSettings(parse=parse, redact=tuple(RULES)))
    thorough = Rules(LineSettings(parse=parse, redact=tuple(RULES)))
    thorough._bare = False
    shipped, expected = message(text), message(text)
    assert rules.apply(shipped) == thorough.apply(expected)
    assert shipped == expected
    assert rules.tally() == thorough.tally()


def test_what_an_escape_hides_is_searched_for() -> None:
    found, tally = apply('{"to":"bob\\u0040example.org","a":"x"}', parse="json", redact=("email",))
    assert found is not None
    assert found.fields == {"to": "[redacted:email]", "a": "x"}
    assert tally.redacted == {"email": 1}
