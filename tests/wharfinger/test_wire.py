"""The wire format of protocol buffers, against its published examples and hostile bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wharfinger import wire


def test_the_published_examples() -> None:
    """protobuf.dev, Encoding: 150 in field 1, `testing` in field 2, both in a message in 3."""
    assert list(wire.read(b"\x08\x96\x01")) == [(1, 150)]
    assert list(wire.read(b"\x12\x07testing")) == [(2, b"testing")]
    assert list(wire.read(b"\x1a\x03\x08\x96\x01")) == [(3, b"\x08\x96\x01")]


@pytest.mark.parametrize("number", [0, 1, 127, 128, 2**31, 2**63 - 1, -1, -(2**63)])
def test_numbers_come_back(number: int) -> None:
    [(key, value)] = wire.read_keys(wire.number(20, number))
    assert key == 20 << 3
    assert isinstance(value, int)
    assert wire.signed(value) == number


def test_of_a_view_nothing_is_copied() -> None:
    data = memoryview(wire.block(1, b"inside") + wire.fixed64(2, 7) + wire.fixed32(3, 8))
    found = dict(wire.read_keys(data))
    assert found[10] == b"inside"
    assert isinstance(found[10], memoryview)
    assert (found[17], found[29]) == ((7).to_bytes(8, "little"), (8).to_bytes(4, "little"))


@pytest.mark.parametrize(
    "data",
    [b"\x08", b"\x08\x80", b"\x12\x05abc", b"\x12", b"\x09abc", b"\x0d\x01", b"\x0b", b"\x0c",
     b"\x08" + b"\xff" * 11, b"\xff" * 12, b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f"],
)  # fmt: skip
def test_what_is_none(data: bytes) -> None:
    for read in (data, memoryview(data)):
        with pytest.raises(ValueError, match=r"number|message"):
            list(wire.read_keys(read))


def test_a_budget_is_for_all_that_is_inside() -> None:
    data = wire.block(1, b"\x08\x01" * 5) + wire.block(1, b"\x08\x01" * 5)
    budget = wire.Budget(12)
    for _, value in wire.read_keys(data, budget):
        assert isinstance(value, bytes)
        assert len(list(wire.read_keys(value, budget))) == 5
    assert budget.left == 0
    with pytest.raises(wire.TooManyFields):
        list(wire.read_keys(data, wire.Budget(1)))


@given(st.binary(max_size=100))
def test_garbage_ends(data: bytes) -> None:
    try:
        found = list(wire.read_keys(data))
    except ValueError:
        return
    assert len(found) <= len(data)
