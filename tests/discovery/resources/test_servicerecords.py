"""SRV records: what is asked, and what a good, a bad or a hostile server's answer is taken for."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.gotemplate.confd.host import ServiceRecord
from discovery.resources.servicerecords import Answer, BadMessage, answer, question

ASKED = question(7, "_http._tcp.example.org")


def name(text: str) -> bytes:
    labels = text.rstrip(".").split(".")
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def record(target: bytes, port: int, *, kind: int = 33) -> bytes:
    data = struct.pack("!3H", 1, 2, port) + target
    # The name is a pointer to the question's.
    return b"\xc0\x0c" + struct.pack("!2HIH", kind, 1, 60, len(data)) + data


def message(*records: bytes, flags: int = 0x8180, identity: int = 7) -> bytes:
    return (
        struct.pack("!6H", identity, flags, 1, len(records), 0, 0) + ASKED[12:] + b"".join(records)
    )


def test_the_question_is_as_the_standard_says() -> None:
    assert ASKED == (
        b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x05_http\x04_tcp\x07example\x03org\0\0\x21\0\x01"
    )


def test_records_are_read() -> None:
    found = answer(message(record(name("b.test"), 81), record(name("a.test"), 80)), ASKED)
    assert found == Answer((ServiceRecord("b.test.", 81, 1, 2), ServiceRecord("a.test.", 80, 1, 2)))


def test_a_name_may_point_to_where_it_stood_before() -> None:
    found = answer(message(record(b"\x01a\xc0\x17", 80)), ASKED)
    assert found.records == (ServiceRecord("a.example.org.", 80, 1, 2),)


def test_other_records_are_skipped() -> None:
    found = answer(message(record(b"", 80, kind=5), record(name("a.test"), 80)), ASKED)
    assert [one.target for one in found.records] == ["a.test."]
    assert answer(message(flags=0x8183), ASKED) == Answer(())


def test_what_is_truncated_is_asked_for_again() -> None:
    assert answer(message(flags=0x8380), ASKED).truncated


def test_a_hostile_name_breaks_out_of_nothing() -> None:
    found = answer(message(record(b"\x04a;\n}\x00", 80)), ASKED)
    assert found.records[0].target == r"a\059\010\125."


@pytest.mark.parametrize(
    "raw",
    [
        b"", message(identity=8), message(flags=0x0180), message()[:20],
        message(record(name("a.test"), 80))[:-4], message(record(b"\xc0\x31", 80)),
        message().replace(b"example", b"exemple"), message(record(b"\x3fa", 80)),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_refused(raw: bytes) -> None:
    with pytest.raises(BadMessage):
        answer(raw, ASKED)


@pytest.mark.parametrize("text", ["", ".", "a..b", "x" * 64, "a." * 200, "é.test"])
def test_what_is_no_name_is_not_asked_for(text: str) -> None:
    with pytest.raises(BadMessage, match="is no host name"):
        question(1, text)


@given(st.binary(max_size=200))
def test_no_answer_does_harm(raw: bytes) -> None:
    for whole in (raw, message() + raw, message(raw)):
        try:
            answer(whole, ASKED)
        except BadMessage:
            continue
