"""The JSON beside an instance: its fields as people know them, and nothing hostile in any."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wharfinger.errors import Rejected
from wharfinger.metadata import (
    MAX_BYTES,
    MAX_TAGS,
    Metadata,
    attribute,
    encode,
    http_host,
    http_path,
    parse,
    tag,
)

WHOLE = Metadata(
    id="a" * 64,
    name="shop-1",
    image="shop:1",
    host="box",
    weight=2,
    tags=("blue", "eu,west", "Host(a.b)"),
    version="1",
    http_host="*.shop.example",
    http_path="/cart",
    started="2026-01-01T00:00:00.000+00:00",
)


def test_the_fields_stand_in_their_order() -> None:
    assert list(json.loads(encode(WHOLE))) == [
        *("id", "name", "image", "host", "weight", "tags"),
        *("version", "http_host", "http_path", "started", "state"),
    ]
    assert json.loads(encode(WHOLE))["state"] == "up"


def test_what_is_written_is_read() -> None:
    assert parse(encode(WHOLE)) == WHOLE
    assert parse(b'{"weight": 3, "of a later version": []}') == Metadata(weight=3)


def test_what_says_nothing_is_not_written_and_the_rest_stands_last() -> None:
    assert "protocol" not in json.loads(encode(WHOLE))
    one = Metadata(protocol="udp", attributes={"zone": "é b", "id": "x"})
    other = Metadata(attributes={"id": "x", "zone": "é b"}, protocol="udp")
    assert encode(one) == encode(other)
    assert list(json.loads(encode(one)))[-2:] == ["protocol", "attributes"]
    assert list(json.loads(encode(one))["attributes"]) == ["id", "zone"]
    assert parse(encode(one)) == one


@pytest.mark.parametrize(
    "fields",
    [
        {"protocol": "tcp; x"},
        {"protocol": "UDP"},
        {"protocol": ""},
        {"attributes": {"A": "b"}},
        {"attributes": {"": "b"}},
        {"attributes": {"a\n": "b"}},
        {"attributes": {"a" * 65: "b"}},
        {"attributes": {"a": "b\n"}},
        {"attributes": {"a": "\x1b[2J"}},
        {"attributes": {"a": "b" * 257}},
        {"attributes": {"a": 1}},
        {"attributes": ["a"]},
        {"attributes": {str(number): "" for number in range(33)}},
        {"attributes": {str(number): "b" * 200 for number in range(11)}},
    ],
)
def test_bad_attributes_and_protocols_are_refused(fields: object) -> None:
    with pytest.raises(Rejected) as refused:
        parse(json.dumps(fields).encode())
    assert len(str(refused.value)) < 500
    assert str(refused.value).isprintable()


def test_the_longest_that_is_allowed_is_read_again() -> None:
    attributes = {f"{number:02}": '"' * 253 for number in range(8)}
    tags = tuple(f"{number:0128}" for number in range(MAX_TAGS))
    text = "x" * 512
    whole = Metadata(
        id="a" * 64, name=text, image=text, host="h" * 128, version="v" * 128, tags=tags,
        attributes=attributes, protocol="sctp", http_host="h" * 63, http_path="/" + "p" * 199,
    )  # fmt: skip
    assert len(encode(whole)) < MAX_BYTES
    assert parse(encode(whole)) == whole


@given(st.text(max_size=40), st.text(max_size=40))
def test_an_attribute_that_passes_can_be_printed(name: str, text: str) -> None:
    try:
        assert attribute(name, text) == (name, text)
    except Rejected:
        return
    assert name.isascii()
    assert text.isprintable()


def test_a_host_and_a_path_have_one_spelling() -> None:
    assert http_host("Shop.Example") == "shop.example"
    assert [http_path(text) for text in ("", "/", "/cart/", "/cart")] == ["", "/", "/cart", "/cart"]


@given(st.text(max_size=60))
def test_whatever_passes_can_stand_in_a_file(text: str) -> None:
    for grammar in (tag, http_host, http_path):
        try:
            passed = grammar(text)
        except Rejected:
            continue
        assert passed.isascii()
        assert not set(passed) & set(" ;{}$\"'\\\n\r\t#<>|&`")
        assert grammar(passed) == passed


@pytest.mark.parametrize(
    "text", ["", "x" * 129, "," * 129, "a b", "a;b", "$host", "a\n", "`id`", "é", "a{b"]
)
def test_a_bad_tag_is_refused(text: str) -> None:
    with pytest.raises(Rejected):
        tag(text)
    with pytest.raises(Rejected):
        parse(json.dumps({"tags": [text]}).encode())


@pytest.mark.parametrize("grammar", [http_host, http_path])
def test_a_refusal_is_short(grammar: object) -> None:
    with pytest.raises(Rejected) as refused:
        (http_host if grammar is http_host else http_path)("$\n" * 100_000)
    assert len(str(refused.value)) < 300
    assert str(refused.value).isprintable()
