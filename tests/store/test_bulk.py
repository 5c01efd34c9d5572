"""`_bulk` bodies: one answer for each action, in order, whatever stands beside it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.store.http.protocols import bulk
from logshipper.store.lines.times import Arrival

NOW_NS = 1_795_417_140 * 10**9
GOOD = '{"message":"m"}'


def parsed(*lines: str | bytes) -> bulk.Body:
    body = b"\n".join(line.encode() if isinstance(line, str) else line for line in lines)
    return bulk.parse(body + b"\n", Arrival.of(NOW_NS))


def statuses(body: bulk.Body) -> list[int]:
    answer = json.loads(bulk.answer(body, [True] * len(body.documents), 1))
    assert answer["errors"] == (body.bad > 0)
    return [next(iter(item.values()))["status"] for item in answer["items"]]


def test_a_whole_answer() -> None:
    body = parsed(
        '{"create":{"_id":"c.1.0"}}', GOOD, '{"index":{"_index":"x","_id":7}}', GOOD, "{", GOOD
    )
    answer = json.loads(bulk.answer(body, [True, False], 12))
    assert answer["took"] == 12
    assert answer["errors"] is True
    create, index, bad = answer["items"]
    assert create == {
        "create": {"_index": "logs", "_id": "c.1.0", "result": "created", "status": 201}
    }
    assert index == {"index": {"_index": "x", "_id": "7", "result": "noop", "status": 200}}
    assert bad["index"]["status"] == 400
    assert bad["index"]["error"]["type"] == "illegal_argument_exception"
    assert bad["index"]["error"]["reason"]


def test_duplicates_alone_are_no_error() -> None:
    body = parsed('{"create":{"_id":"a"}}', GOOD)
    assert json.loads(bulk.answer(body, [False], 0))["errors"] is False


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((), []),
        (("", " ", "\r"), []),
        (('{"create":{}}', GOOD), [201]),
        (('{"create":{}}\r', GOOD + "\r"), [201]),
        (("", '{"create":{}}', GOOD, "", '{"create":{}}', GOOD), [201, 201]),
        (('{"create":{}}', "{bad", '{"create":{}}', GOOD), [400, 201]),
        (('{"create":{}}', GOOD, '{"create":{}}', "{torn", '{"create":{}}', GOOD), [201, 400, 201]),
        # a blank line where a document belongs does not shift what follows
        (('{"create":{}}', "", '{"create":{}}', GOOD), [400, 201]),
        # a bad action takes its document with it, but never the next action
        (("nonsense", GOOD, '{"create":{}}', GOOD), [400, 201]),
        (("nonsense", '{"create":{}}', GOOD), [400, 201]),
        (('{"create":{}}',), [400]),
        (('{"delete":{"_id":"1"}}', '{"create":{}}', GOOD), [400, 201]),
        (('{"update":{"_id":"1"}}', '{"doc":{}}', '{"create":{}}', GOOD), [400, 201]),
        (('{"explode":{}}', GOOD, '{"create":{}}', GOOD), [400, 201]),
        (('{"create":{},"index":{}}', GOOD), [400]),
        (('{"create":[]}', GOOD), [400]),
        (('{"create":{"_id":{}}}', GOOD), [400]),
        (('{"create":{}}', "[1]"), [400]),
        (('{"create":{}}', "null"), [400]),
        (('{"create":{}}', '{"message":"m","time":"never"}'), [400]),
        (('{"create":{"_id":"%s"}}' % ("x" * 600), GOOD), [400]),
        (('{"create":{"_id":null}}', GOOD), [201]),
        (('{"create":{}}', "{}"), [201]),
        (('{"create":{"_routing":"r","dynamic_templates":{}}}', GOOD), [201]),
        # two values on a line are one bad line, not two documents
        (('{"create":{}}', GOOD + GOOD, '{"create":{}}', GOOD), [400, 201]),
        (("[" * 100_000, GOOD), [400]),
        (('{"create":{}}', '{"a":' * 100_000), [400]),
        (('{"create":{}}', b'{"message":"\xff\xfe"}'), [201]),
        ((b"\xff\xfe", GOOD), [400]),
    ],
)
def test_one_status_for_each_action(lines: tuple[str | bytes, ...], expected: list[int]) -> None:
    assert statuses(parsed(*lines)) == expected


@given(st.binary(max_size=400))
def test_garbage_never_fails(body: bytes) -> None:
    statuses(bulk.parse(body, Arrival.of(NOW_NS)))


LINE = st.one_of(
    st.sampled_from(
        ['{"create":{}}', '{"index":{"_id":"c.1.a"}}', '{"delete":{}}', GOOD, "", "{", "[]", "\0"]
    ),
    st.text(max_size=20),
)


@given(st.lists(LINE, max_size=12))
def test_mixed_lines_never_fail(lines: list[str]) -> None:
    body = bulk.parse("\n".join(lines).encode("utf-8", "surrogatepass"), Arrival.of(NOW_NS))
    assert len(statuses(body)) == len(body.items)


@given(st.lists(st.tuples(st.booleans(), st.text(max_size=10)), max_size=20))
def test_good_lines_are_kept_in_order_beside_bad_ones(lines: list[tuple[bool, str]]) -> None:
    rows: list[Any] = []
    for good, text in lines:
        rows += [
            '{"create":{}}',
            json.dumps({"message": text}) if good else "{!" + text.replace("\n", ""),
        ]
    body = bulk.parse("\n".join(rows).encode("utf-8", "surrogatepass"), Arrival.of(NOW_NS))
    wanted = [text for good, text in lines if good]
    assert [d.line.message for d in body.documents][: len(wanted)] == wanted


ACTION = st.one_of(
    st.sampled_from(
        [
            '{"create":{}}',
            '{"create":{"_id":"c.1.a"}}',
            '{"create":{"_id":"c.1.b","_index":"x"}}',
            '{"create":{"_id":null,"_routing":"r"}}',
            '{"create":{"_id":7}}',
            '{"index":{"_id":"7"}}',
            '{"create":{},"index":{}}',
            '{"create":null}',
            '{"create":{}',
            '"index":{}}',
            '{"create":{}},{"create":{}}',
            "{}",
            "",
        ]
    ),
    st.text(max_size=8).map(lambda text: json.dumps({"create": {"_id": text * 40}})),
)
DOCUMENT = st.one_of(
    st.sampled_from(
        [
            GOOD,
            '{"message":"ERROR \\u001b[1mx 数据","@timestamp":"2026-11-23T06:59:00.1Z","app":"a"}',
            '{"message":"m","@timestamp":"2026-11-23T06:59:00.123456789Z","other":1}',
            '{"message":"m","@timestamp":"2099-11-23T06:59:00Z"}',
            '{"message":"m","@timestamp":"no"}',
            GOOD + "," + GOOD,
            '{"message":"m"',
            "",
        ]
    ),
    st.text(max_size=20).map(lambda text: json.dumps({"message": text})),
)


@given(st.lists(st.tuples(ACTION, DOCUMENT), min_size=1, max_size=6), st.booleans())
def test_the_short_way_and_the_long_one_agree(pairs: list[tuple[str, str]], ends: bool) -> None:
    body = "\n".join(line for pair in pairs for line in pair).encode() + b"\n" * ends
    short = bulk._regular(body, Arrival.of(NOW_NS), "logs")
    assert short is None or short == bulk._irregular(body, Arrival.of(NOW_NS), "logs")


def test_what_senders_send_goes_the_short_way() -> None:
    for action in ('{"create":{"_id":"c.1.0"}}', '{"create": {}}', '{"index":{"_index":"x"}}'):
        assert (
            bulk._regular(f"{action}\n{GOOD}\n".encode() * 3, Arrival.of(NOW_NS), "logs")
            is not None
        )


@given(st.lists(st.text(max_size=6) | st.none(), min_size=1), st.text(max_size=6))
def test_the_short_answer_and_the_long_one_agree(ids: list[str | None], index: str) -> None:
    items = tuple(bulk.Item("create", index, identity) for identity in ids)
    documents = parsed('{"create":{}}', GOOD).documents * len(ids)
    answer = json.loads(bulk.answer(bulk.Body(items, documents), [True] * len(ids), 3))
    assert answer["took"] == 3
    assert answer["errors"] is False
    wanted = {"_index": index, "result": "created", "status": 201}
    assert [item["create"] for item in answer["items"]] == [
        wanted | ({} if identity is None else {"_id": identity}) for identity in ids
    ]
