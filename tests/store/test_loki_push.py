"""Loki's push: both forms, labels, times, and entries that stand for the same line."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.store.http.protocols import loki, lokilabels, understood
from logshipper.store.http.protocols.understood import Lines
from logshipper.store.lines.times import Arrival
from logshipper.store.model import Stream, TooLarge
from tests.store.pushes import loki_entry, loki_stream
from wharfinger import wire
from wharfinger.errors import Rejected

NOW_NS = 1_795_417_140 * 10**9
AT_NS = NOW_NS - 60 * 10**9


def body(*streams: Any) -> bytes:
    return json.dumps({"streams": list(streams)}).encode()


def one(stream: Any, *values: Any) -> Lines:
    return loki.parse_json(body({"stream": stream, "values": list(values)}), Arrival.of(NOW_NS))


def test_labels_are_fields_and_all_else_is_kept() -> None:
    labels = {"app": "shop", "env": "prod", "host": "h1", "stream": "stderr", "job": "x"}
    metadata = {"container": "c0ffee", "level": "warning", "user": "7"}
    [document] = one(labels, [str(AT_NS), "hello", metadata]).documents
    assert document.line.stream == Stream("shop", "prod", "h1", "c0ffee", "stderr")
    assert (document.line.time_ns, document.line.message) == (AT_NS, "hello")
    assert document.line.level == 4
    assert json.loads(document.line.extra) == {"job": "x", "user": "7"}


def test_both_forms_make_the_same_documents() -> None:
    labels = {"app": "shop", "q": 'say "hi"\n\\'}
    entries: list[tuple[int, str, dict[str, str]]] = [
        (AT_NS, "one", {}), (AT_NS + 1, "zwei \N{SNOWMAN}", {"b": "2", "a": "1"}), (0, "", {})
    ]  # fmt: skip
    as_json = one(labels, *([str(at), line, more] for at, line, more in entries))
    text = r'{app="shop", q="say \"hi\"\n\\"}'
    as_protobuf = loki.parse_protobuf(
        loki_stream(text, *(loki_entry(*entry) for entry in entries)), Arrival.of(NOW_NS)
    )
    assert as_json.documents == as_protobuf.documents
    assert len({document.source for document in as_json.documents}) == 3


def test_the_id_is_all_that_loki_tells_entries_apart_by() -> None:
    def source(stream: Any, *value: Any) -> str:
        return one(stream, list(value)).documents[0].source

    told = [
        source({"app": "a", "b": "c"}, "5", "line"),
        source({"app": "a", "b": "d"}, "5", "line"),
        source({"app": "a", "b": "c"}, "6", "line"),
        source({"app": "a", "b": "c"}, "5", "line2"),
        source({"app": "a", "b": "c"}, "5", "line", {"x": "1"}),
        source({"app": "a", "b": "c"}, "5", "line", {"x": "2"}),
    ]
    assert len(set(told)) == len(told)
    assert source({"b": "c", "app": "a"}, "5", "line", {}) == told[0]


def test_an_id_of_the_shippers_is_the_lines() -> None:
    own = f"{'c0ffee' * 3}.abcdef012345.1f"
    [document] = one({"app": "a"}, [str(AT_NS), "line", {"id": own}]).documents
    assert (document.source, document.offset) == (own[:-3], 0x1F)
    assert document.line.extra == b""
    piece = f"{own}.0-4000"
    [document] = one({"app": "a"}, [str(AT_NS), "line", {"id": piece}]).documents
    assert (document.source, document.offset) == (piece, -1)


@pytest.mark.parametrize("identity", ["order.item.1", "7", "abc.def.1f", 7, None, "", "a" * 900])
def test_an_id_of_somebody_elses_is_a_field(identity: Any) -> None:
    found = one({}, [str(AT_NS), "a", {"id": identity}], [str(AT_NS), "b", {"id": identity}])
    first, second = found.documents
    assert first.source != second.source
    assert json.loads(first.line.extra) == {"id": identity}


@pytest.mark.parametrize(
    ("labels", "stream", "extra"),
    [
        ({"service_name": "shop"}, Stream("shop", "", "", "", ""), {}),
        (
            {"service_name": "x", "app": "shop"},
            Stream("shop", "", "", "", ""),
            {"service_name": "x"},
        ),
        ({"container_id": "c", "log_iostream": "stdout"}, Stream("", "", "", "c", "stdout"), {}),
        ({"message": "m", "time": "t", "id": "i"}, Stream("", "", "", "", ""),
         {"message": "m", "time": "t", "id": "i"}),
        ('{app="shop"}', Stream("shop", "", "", "", ""), {}),
        ({}, Stream("", "", "", "", ""), {}),
        (None, Stream("", "", "", "", ""), {}),
    ],
)  # fmt: skip
def test_names_of_others(labels: Any, stream: Stream, extra: dict[str, str]) -> None:
    [document] = one(labels, [str(AT_NS), "text"]).documents
    assert document.line.stream == stream
    assert json.loads(document.line.extra or b"{}") == extra
    assert document.line.message == "text"


def test_levels_of_others() -> None:
    for name, text, level, kept in (
        ("detected_level", "error", 5, {}),
        ("severity", "WARN", 4, {}),
        ("severity", "17", 0, {"severity": "17"}),
        ("level", "odd", 0, {"level": "odd"}),
    ):
        [document] = one({name: text}, [str(AT_NS), "text"]).documents
        assert document.line.level == level
        assert json.loads(document.line.extra or b"{}") == kept


def test_metadata_never_hide_labels() -> None:
    [document] = one(
        {"app": "shop", "x": "1"}, [str(AT_NS), "t", {"app": "evil", "x": "1"}]
    ).documents
    assert document.line.stream.app == "shop"
    assert json.loads(document.line.extra) == {"x": "1", "app_extracted": "evil"}


@pytest.mark.parametrize(
    "value",
    [
        ["never", "x"], ["1.5", "x"], ["", "x"], [1.5, "x"], [None, "x"], ["9" * 25, "x"],
        [str(2**63), "x"], ["\u0665", "x"], ["5"], [], "5", 5, {}, ["5", 5], ["5", None],
        ["5", "x", "y"], ["5", "x", []],
    ],
)  # fmt: skip
def test_a_bad_entry_costs_only_itself(value: Any) -> None:
    found = one({"app": "a"}, [str(AT_NS), "before"], value, [str(AT_NS), "after"])
    assert [document.line.message for document in found.documents] == ["before", "after"]
    assert found.bad == 1
    [(place, reason)] = found.reasons
    assert place == 2
    assert reason
    assert not found.useless
    assert one({"app": "a"}, value).useless


@pytest.mark.parametrize("value", [[5, "x"], [-5, "x"], ["-5", "x"], ["0", "x"], ["5", "x", None]])
def test_what_loki_would_not_take_and_can_be_kept(value: Any) -> None:
    assert one({"app": "a"}, value).bad == 0


@pytest.mark.parametrize(
    "stream",
    [
        5, {"values": []}, {"stream": {}}, {"stream": "{", "values": [1]},
        {"stream": [], "values": []}, None,
    ],
)  # fmt: skip
def test_a_bad_stream_costs_only_itself(stream: Any) -> None:
    good = {"stream": {"app": "a"}, "values": [[str(AT_NS), "good"]]}
    found = loki.parse_json(body(stream, good), Arrival.of(NOW_NS))
    assert [document.line.message for document in found.documents] == ["good"]
    assert found.bad == 1


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"5", b'{"streams":5}', b"{}", b"\xff", b"[" * 10**6]
)
def test_what_is_no_request(text: bytes) -> None:
    with pytest.raises(Rejected):
        loki.parse_json(text, Arrival.of(NOW_NS))


def test_text_that_is_no_unicode_is_mended() -> None:
    broken = b'{"streams":[{"stream":{"app":"a"},"values":[["1","\xff x"],["2","\\ud800 y"]]}]}'
    found = loki.parse_json(broken, Arrival.of(NOW_NS))
    assert [document.line.message for document in found.documents] == ["\ufffd x", "\ufffd y"]


def test_a_time_in_the_future_is_now() -> None:
    [document] = one({}, [str(NOW_NS + 2 * 86_400 * 10**9), "x"]).documents
    assert document.line.time_ns == NOW_NS
    assert json.loads(document.line.extra)["original_time"].startswith("2026-11-2")


def test_protobuf_streams_with_bad_labels_cost_only_themselves() -> None:
    entry = loki_entry(AT_NS, "x")
    bad = loki_stream("{app=", entry, entry)
    found = loki.parse_protobuf(bad + loki_stream('{app="a"}', entry) + bad, Arrival.of(NOW_NS))
    assert (len(found.documents), found.bad) == (1, 4)


@pytest.mark.parametrize(
    "entry", [b"\x0a\xff", b"\x12\x05abc", b"\x0b", wire.block(1, wire.number(1, 2**62))]
)
def test_a_protobuf_entry_that_cannot_be_read_costs_only_itself(entry: bytes) -> None:
    good = loki_entry(AT_NS, "good")
    found = loki.parse_protobuf(loki_stream("{}", good, entry, good), Arrival.of(NOW_NS))
    assert (len(found.documents), found.bad) == (2, 1)


@pytest.mark.parametrize(
    "text", [b"\x0a", b"\x0b", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"{}"]
)
def test_what_is_no_protobuf_request(text: bytes) -> None:
    for read in (loki.weigh_protobuf, lambda data: loki.parse_protobuf(data, Arrival.of(NOW_NS))):
        with pytest.raises(Rejected):
            read(text)


def test_more_lines_than_memory_are_refused_before_they_take_it() -> None:
    most = understood.MAX_BODY_ROWS
    with pytest.raises(TooLarge):
        loki.weigh_protobuf(wire.block(1, b"\x12\x00" * (most + 1)))
    with pytest.raises(TooLarge):
        loki.weigh_protobuf(wire.block(1, b"\x18\x00" * (most + 1)))
    with pytest.raises(TooLarge):
        loki.weigh_protobuf(wire.block(1, b"") * (most + 1))
    with pytest.raises(TooLarge):
        understood.weigh_json(b'{"streams":[{"stream":{},"values":[' + b"[]," * 1_000_001)
    with pytest.raises(TooLarge):
        loki.parse_json(
            b'{"streams":[{"stream":{},"values":[' + b'["1",""],' * most + b'["1",""]]}]}',
            Arrival.of(NOW_NS),
        )


def test_what_costs_time_or_memory_and_is_no_line_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A few hundred kilobytes, packed, of what is looked at one by one."""
    monkeypatch.setattr(understood, "_MAX_FIELDS", 10_000)
    monkeypatch.setattr(understood, "_MAX_VALUES", 10_000)
    metadata = wire.block(1, wire.block(2, b"\x1a\x00" * 10_001))
    with pytest.raises(TooLarge):
        loki.parse_protobuf(metadata, Arrival.of(NOW_NS))
    for text in (b'{"streams":[', b'{"streams":[{"stream":{},"values":[', b'{"streams":["\xff",'):
        with pytest.raises(TooLarge):
            loki.parse_json(text + b"1," * 10_001, Arrival.of(NOW_NS))


@given(st.binary(max_size=200))
def test_garbage_never_fails(data: bytes) -> None:
    for read in (
        lambda data: loki.parse_json(data, Arrival.of(NOW_NS)),
        lambda data: loki.parse_protobuf(data, Arrival.of(NOW_NS)),
        lambda data: loki.parse_protobuf(wire.block(1, data), Arrival.of(NOW_NS)),
        lambda data: loki.parse_protobuf(wire.block(1, wire.block(2, data)), Arrival.of(NOW_NS)),
    ):
        try:
            read(data)
        except Rejected:
            continue


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["5", "line", "streams", "stream", "values"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["stream", "values", "id", "app"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.lists(JSON, max_size=4))
def test_any_json_is_read_or_refused(streams: list[Any]) -> None:
    text = json.dumps({"streams": streams}).encode("utf-8", "surrogatepass")
    loki.parse_json(text, Arrival.of(NOW_NS))


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("{}", {}),
        (" { } ", {}),
        ('{a="b"}', {"a": "b"}),
        ('{ a = "b" , c="" , }', {"a": "b", "c": ""}),
        ('{a="}, b=\\"c\\""}', {"a": '}, b="c"'}),
        ("{a=`raw \\n`}", {"a": "raw \\n"}),
        (r'{a="\x41\u00e9\U0001F600\101\t\\"}', {"a": "Aé😀A\t\\"}),
        (r'{a="\ud800\UFFFFFFFF"}', {"a": "\ufffd\ufffd"}),
        ('{"service.name"="x"}', {"service.name": "x"}),
    ],
)
def test_labels(text: str, labels: dict[str, str]) -> None:
    assert lokilabels.parse(text) == labels


@pytest.mark.parametrize(
    "text",
    ["", "{", "}", 'a="b"', "{a}", "{a=}", '{a="b}', '{a="b" c="d"}', '{a="b",,}', r'{a="\q"}',
     '{a="b"}}', '{1a="b"}', '{a="b\n"}', "{" + 'a="b",' * 50_000 + "}", '{a!="b"}'],
)  # fmt: skip
def test_labels_that_are_none(text: str) -> None:
    with pytest.raises(Rejected):
        lokilabels.parse(text)


@given(
    st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True), st.text(max_size=12))
)
def test_labels_as_go_quotes_them(labels: dict[str, str]) -> None:
    # Go's %q and JSON quote alike but for what stands here.
    quoted = {
        name: json.dumps(value, ensure_ascii=False).replace("\x7f", "\\x7f")
        for name, value in labels.items()
    }
    text = "{" + ", ".join(f"{name}={value}" for name, value in quoted.items()) + "}"
    assert lokilabels.parse(text) == labels
