"""JSON lines: ids, names, and lines that are bad."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.store.http.protocols import jsonline, understood
from logshipper.store.http.protocols.jsonline import Names
from logshipper.store.http.protocols.understood import Lines
from logshipper.store.lines.times import Arrival
from logshipper.store.model import Document, TooLarge
from wharfinger.errors import Rejected

NOW_NS = 1_795_417_140 * 10**9


def parsed(*lines: str | bytes, called: Names | None = None) -> Lines:
    body = b"\n".join(line.encode() if isinstance(line, str) else line for line in lines)
    return jsonline.parse(body, Arrival.of(NOW_NS), called or Names())


def one(line: str, called: Names | None = None) -> Document:
    [document] = parsed(line, called=called).documents
    return document


@pytest.mark.parametrize(
    ("identity", "source", "offset"),
    [
        ('"c0ffee.abc.1f"', "c0ffee.abc", 0x1F), ('"any"', "any", -1), ("7", "7", -1),
        ("null", "", -1), ('""', "", -1), ("1.5", "", -1), ("{}", "", -1), ("true", "", -1),
    ],
)  # fmt: skip
def test_the_id_is_in_the_line(identity: str, source: str, offset: int) -> None:
    document = one(f'{{"message":"x","_id":{identity}}}')
    assert (document.source, document.offset) == (source, offset)
    assert document.line.extra == b""


@pytest.mark.parametrize(
    ("line", "called"),
    [
        ('{"message":"x","@timestamp":"5"}', Names()),
        ('{"message":"x","time":"5"}', Names()),
        ('{"log":"x\\n","time":"5"}', Names()),
        ('{"_msg":"x","_time":"5"}', Names()),
        ('{"text":"x","ts":5}', Names(("text",), ("ts",))),
        ('{"text":"x","ts":5}', Names(("body", "text"), ("when", "ts"))),
    ],
)
def test_names(line: str, called: Names) -> None:
    document = one(line, called)
    assert (document.line.message, document.line.time_ns) == ("x", 5 * 10**9)
    assert document.line.extra == b""


def test_names_never_take_a_place_that_is_taken() -> None:
    document = one('{"message":"x","_msg":"y"}')
    assert document.line.message == "x"
    assert json.loads(document.line.extra) == {"_msg": "y"}


def test_names_of_a_request() -> None:
    assert jsonline.names({"_msg_field": "a, b", "_time_field": "t"}, {}) == Names(
        ("a", "b"), ("t",)
    )
    assert jsonline.names({}, {"VL-Msg-Field": "m"}) == Names(("m",))
    assert jsonline.names({}, {}) == Names()


def test_bad_lines_cost_only_themselves() -> None:
    found = parsed(
        "", '{"message":"1"}', "{bad", " ", '{"message":"2","time":"never"}', "[]",
        '{"message":"3","_id":"%s"}' % ("x" * 600), '{"message":"4"}\r', b'{"message":"\xff"}',
    )  # fmt: skip
    assert [document.line.message for document in found.documents] == ["1", "4", "\ufffd"]
    assert [place for place, _ in found.reasons] == [2, 3, 4, 5]
    told = json.loads(jsonline.answer(found, [True, False, True]))
    assert (told["stored"], told["skipped"], told["rejected"]) == (2, 1, 4)
    assert told["errors"][1] == {
        "line": 3,
        "reason": "time 'never' is neither RFC 3339 nor an epoch number",
    }
    assert json.loads(jsonline.answer(parsed('{"message":"x"}'), [True])) == {
        "stored": 1,
        "skipped": 0,
        "rejected": 0,
    }


def test_the_answer_to_many_bad_lines_is_short() -> None:
    found = parsed(*["{bad" + "x" * 1000] * 5_000)
    assert found.useless
    assert len(jsonline.answer(found, [])) < 10_000


def test_more_lines_than_memory_are_refused() -> None:
    with pytest.raises(TooLarge):
        understood.weigh_lines(b"{}\n" * (understood.MAX_BODY_ROWS + 1))


@given(st.binary(max_size=200))
def test_garbage_never_fails(body: bytes) -> None:
    parsed(body)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"message": st.text()},
            optional={
                "_id": st.sampled_from(["c0ffee.abc.1f", "any", "x" * 200, "x" * 600, "", 7, None]),
                "@timestamp": st.sampled_from(["2026-11-23T06:59:00.5Z", "1", "no", 5]),
                "app": st.text(max_size=5),
                "_msg": st.just("y"),
                "other": st.just(1),
            },
        ),
        max_size=6,
    )
)
def test_the_short_way_and_the_long_one_agree(rows: list[dict[str, Any]]) -> None:
    found = parsed(*map(json.dumps, rows), called=Names(("app",)))
    called = Names(("app", "_msg"), ("_time",))
    good, bad = [], []
    for row in rows:
        try:
            good.append(jsonline._document(json.dumps(row).encode(), called, Arrival.of(NOW_NS)))
        except Rejected as error:
            bad.append(str(error))
    assert found.documents == good
    assert [reason for _, reason in found.reasons] == bad
