"""What becomes of the fields that a sender gives."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.store.lines import documents, usual
from logshipper.store.lines.times import DAY_NS, Arrival
from logshipper.store.model import MAX_EXTRA_BYTES, MAX_MESSAGE_BYTES, Document, Stream
from wharfinger import levels
from wharfinger.errors import Rejected

NOW_NS = 1_795_417_140 * 10**9
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def read(raw: bytes, identity: str) -> Document:
    (found,) = usual.read([raw], [identity], Arrival.of(NOW_NS))
    if isinstance(found, Rejected):
        raise found
    return found


def made(identity: str = "", **fields: Any) -> Document:
    return documents.document(fields, identity, Arrival.of(NOW_NS))


def test_a_shippers_document() -> None:
    document = made(
        "0123456789abcdef.2.1f0",
        **{"@timestamp": "2026-11-23T06:59:00Z"},
        message="ERROR no route",
        app="shop",
        env="prod",
        host="h1",
        container="0123456789abcdef",
        stream="stderr",
        trace="t1",
    )
    assert document.line.stream == Stream("shop", "prod", "h1", "0123456789abcdef", "stderr")
    assert document.line.time_ns == NOW_NS
    assert levels.NAMES[document.line.level] == "error"
    assert json.loads(document.line.extra) == {"trace": "t1"}
    assert (document.source, document.offset) == ("0123456789abcdef.2", 0x1F0)
    assert document.text.split() == ["ERROR", "no", "route", "t1"]


def test_time_and_log_are_second_names() -> None:
    document = made(time=NOW_NS // 10**9 - 5, log="hello\n")
    assert document.line.time_ns == NOW_NS - 5 * 10**9
    assert document.line.message == "hello"
    both = made(**{"@timestamp": "2026-11-23T06:59:00Z"}, time="x", message="m", log={"file": 1})
    assert json.loads(both.line.extra) == {"time": "x", "log": {"file": 1}}


def test_no_time_is_now_and_a_time_far_ahead_too() -> None:
    assert made(message="x").line.time_ns == NOW_NS
    ahead = made(message="x", time="2999-01-01T00:00:00Z")
    assert ahead.line.time_ns == NOW_NS
    assert json.loads(ahead.line.extra) == {"original_time": "2999-01-01T00:00:00Z"}
    assert made(time=(NOW_NS + DAY_NS - 1)).line.time_ns == NOW_NS + DAY_NS - 1


def test_a_clock_that_is_behind_what_was_believed_judges_no_time() -> None:
    behind = Arrival.of(NOW_NS - 40 * DAY_NS, NOW_NS)
    for time_ns, kept in ((NOW_NS + DAY_NS, True), (NOW_NS + DAY_NS + 1, False)):
        fields = {"message": "x", "time": time_ns}
        one = documents.document(dict(fields), "", behind)
        other = documents.stated({}, "x", time_ns, "", behind)
        assert one.line.time_ns == other.line.time_ns == (time_ns if kept else behind.at_ns)
    # A line that names none came when the clock says that it came.
    assert documents.document({"message": "x"}, "", behind).line.time_ns == behind.at_ns
    assert Arrival.of(NOW_NS, NOW_NS - 1) == Arrival.of(NOW_NS) == Arrival(NOW_NS, NOW_NS + DAY_NS)


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(Rejected, match="yesterday"):
        made(message="x", time="yesterday")


def test_long_lines_are_cut_and_marked() -> None:
    document = made(message="é" * MAX_MESSAGE_BYTES)
    assert len(document.line.message.encode()) <= MAX_MESSAGE_BYTES + 10
    assert document.line.message.endswith("[cut]")
    assert json.loads(document.line.extra) == {"truncated_bytes": MAX_MESSAGE_BYTES}
    whole = made(message="x" * MAX_MESSAGE_BYTES)
    assert whole.line.extra == b""


def test_too_many_other_fields_are_left_out_and_marked() -> None:
    document = made(message="m", small=1, big="y" * MAX_EXTRA_BYTES, last="z")
    held = json.loads(document.line.extra)
    assert held.keys() == {"small", "last", "truncated_fields_bytes"}
    assert held["truncated_fields_bytes"] >= MAX_EXTRA_BYTES
    assert len(document.line.extra) <= MAX_EXTRA_BYTES


def test_objects_as_labels_give_their_name_and_stay() -> None:
    document = made(message="m", host={"name": "web1", "ip": ["10.0.0.1"]}, app=7)
    assert document.line.stream == Stream("7", "", "web1", "", "")
    assert json.loads(document.line.extra)["host"]["ip"] == ["10.0.0.1"]


def test_an_unknown_level_stays_a_field() -> None:
    document = made(message="x", level="audit")
    assert (document.line.level, json.loads(document.line.extra)) == (0, {"level": "audit"})
    assert made(message="x", level="Warning").line.extra == b""


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ("0123456789abcdef.0.0", ("0123456789abcdef.0", 0)),
        ("c.1.ff", ("c.1", 255)),
        ("0123456789abcdef.5d41402abc4b2a76-2.1f", ("0123456789abcdef.5d41402abc4b2a76-2", 31)),
        ("c.1.FF", None),
        ("c.1.0f", None),
        ("c.1.0x1", None),
        ("c.1.1_0", None),
        ("c.1.-1", None),
        ("c.1. 1", None),
        ("c.1.", None),
        (".1.1", None),
        ("ff", None),
        ("a b.1.1", None),
        ("c.1." + "f" * 16, None),
        ("", None),
        ("3f2c6e1a-1b1c-4c1e-9d3a-000000000000", None),
    ],
)
def test_splits_only_the_shippers_ids(identity: str, expected: tuple[str, int] | None) -> None:
    assert documents.split_id(identity) == (expected or (identity, -1))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"message":"a\xffb"}', "a\ufffdb"),
        (b'{"message":"a\\ud800b"}', "a\ufffdb"),
        (b'{"message":"a\x01b"}', "a\x01b"),
        (b'{"message":"\\ud83d\\ude00"}', "😀"),
        (b'{"message":"x","n":1e999}', "x"),
        (b'{"message":"x","n":NaN}', "x"),
        (b'{"message":"NaN is text","n":NaN}', "NaN is text"),
    ],
)
def test_mends_what_can_be_read(raw: bytes, message: str) -> None:
    assert documents.decode(raw)["message"] == message


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"1", b"null", b'"x"', b"{bad}", b"[" * 100_000, b'{"a":' * 100_000],
)
def test_refuses_what_is_no_object(raw: bytes) -> None:
    with pytest.raises(Rejected):
        documents.decode(raw)


@given(st.dictionaries(st.text(), JSON, max_size=6), st.text(max_size=20))
def test_any_fields_make_a_document_or_a_reason(fields: dict[str, Any], identity: str) -> None:
    raw = json.dumps(fields).encode()
    try:
        document = documents.document(documents.decode(raw), identity, Arrival.of(NOW_NS))
    except Rejected:
        return
    document.text.encode()  # no lone surrogate reaches SQLite
    document.line.message.encode()
    assert "\0" not in document.text
    assert document.line.extra == b"" or isinstance(json.loads(document.line.extra), dict)


USUAL = st.fixed_dictionaries(
    {},
    optional={
        "@timestamp": st.sampled_from(
            ["2026-11-23T06:59:00.5Z", "2026-11-23T06:59:00+01:00", "2099-01-01T00:00:00Z", 7, "no"]
        ),
        "time": st.just("2026-11-23T01:00:00Z"),
        "message": st.text() | st.sampled_from(["ERROR x", "\x1b[31mWARN\x1b[0m", "x" * 70_000, 5]),
        "log": st.just("WARN of Docker\n"),
        "level": st.sampled_from(["error", "odd"]),
        "other": JSON,
        **dict.fromkeys(Stream._fields, st.text(max_size=300) | st.none() | JSON),
    },
)


@given(USUAL)
def test_the_short_way_and_the_long_one_agree(fields: dict[str, Any]) -> None:
    raw = json.dumps(fields).encode()

    def of(read: Callable[[], Document]) -> Document | str:
        try:
            return read()
        except Rejected as error:
            return str(error)

    long = of(lambda: documents.document(documents.decode(raw), "c.1.0", Arrival.of(NOW_NS)))
    assert of(lambda: read(raw, "c.1.0")) == long


@given(st.lists(USUAL, max_size=5))
def test_many_lines_are_read_as_one_by_one(rows: list[dict[str, Any]]) -> None:
    raws = [json.dumps(fields).encode() for fields in rows]
    identities = [f"c.1.{at:x}" for at in range(len(raws))]
    together = usual.read(raws, identities, Arrival.of(NOW_NS))
    for raw, identity, found in zip(raws, identities, together, strict=True):
        (alone,) = usual.read([raw], [identity], Arrival.of(NOW_NS))
        assert str(found) == str(alone)


@given(
    st.lists(
        st.sampled_from(["c.1.a0", "c.1.0", "c.1.00", "c.1.A", "c.1.+1", "c.1.1_0", "c", "", "a.b"])
        | st.from_regex(r"[a-c.]{1,4}\.[0-9a-f]{1,17}", fullmatch=True)
    )
)
def test_many_ids_are_split_as_one_by_one(identities: list[str]) -> None:
    sources, offsets = usual.split_ids(identities)
    assert list(zip(sources, offsets, strict=True)) == list(map(documents.split_id, identities))


@given(st.binary())
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with contextlib.suppress(Rejected):
        assert read(raw, "").source == ""


def test_a_line_of_millions_of_lists_takes_no_memory() -> None:
    with pytest.raises(Rejected, match="lists and objects"):
        documents.decode(b'{"a":[' + b"[]," * 2_000_000 + b"1]}")
