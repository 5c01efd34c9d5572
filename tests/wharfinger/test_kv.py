"""Keys, ranges and chunks: every byte survives, no range leaks into its neighbour."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wharfinger.kv import (
    KeyRange,
    KeyValue,
    absent,
    chunks,
    held_by,
    key_from_bytes,
    key_to_bytes,
    prefix_end,
    present,
    ranges_of,
    unchanged,
)

keys = st.binary(max_size=6).map(key_from_bytes)
prefixes = st.lists(st.text("ab/", max_size=3), max_size=4)


def within(keys: KeyRange, key: str) -> bool:
    raw = key_to_bytes(key)
    return raw >= key_to_bytes(keys.start) and (keys.end is None or raw < key_to_bytes(keys.end))


@given(st.binary())
def test_every_key_survives_the_way_there_and_back(raw: bytes) -> None:
    assert key_to_bytes(key_from_bytes(raw)) == raw


@given(st.text())
def test_every_text_that_can_be_a_key_survives_it_too(text: str) -> None:
    try:
        raw = key_to_bytes(text)
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte
        return
    assert key_from_bytes(raw) == text


@given(keys, keys)
def test_a_prefix_holds_what_begins_with_it_and_nothing_else(prefix: str, key: str) -> None:
    begins = key_to_bytes(key).startswith(key_to_bytes(prefix))
    assert within(KeyRange.of_prefix(prefix), key) == begins


@pytest.mark.parametrize(
    ("prefix", "end"),
    [("/a/", "/a0"), ("", None), ("/a\udcff", "/b"), ("\udcff\udcff", None), ("a", "b")],
)
def test_the_end_of_a_prefix(prefix: str, end: str | None) -> None:
    assert prefix_end(prefix) == end


@given(prefixes, prefixes, st.text("ab/", max_size=5))
def test_ranges_hold_exactly_what_is_asked_for(
    wanted: list[str], without: list[str], key: str
) -> None:
    ranges = ranges_of(wanted, without)
    asked = any(map(key.startswith, wanted)) and not any(map(key.startswith, without))
    assert sum(within(keys, key) for keys in ranges) == asked


@given(prefixes, prefixes)
def test_ranges_neither_touch_nor_overlap(wanted: list[str], without: list[str]) -> None:
    ranges = ranges_of(wanted, without)
    for before, after in pairwise(ranges):
        assert before.end is not None
        assert key_to_bytes(before.end) < key_to_bytes(after.start)


def test_neighbours_become_one_range() -> None:
    assert ranges_of(["/a", "/b", "/a/x"]) == (KeyRange("/a", "/c"),)
    assert ranges_of(["/", ""]) == (KeyRange("", None),)


def test_what_discovery_watches() -> None:
    assert ranges_of(["/"], ["/wharfinger/deploy/", "/wharfinger/hosts/"]) == (
        KeyRange("/", "/wharfinger/deploy/"),
        KeyRange("/wharfinger/deploy0", "/wharfinger/hosts/"),
        KeyRange("/wharfinger/hosts0", "0"),
    )


@given(st.lists(st.integers()), st.integers(1, 7))
def test_chunks_lose_nothing_and_none_is_too_large(items: list[int], size: int) -> None:
    parts = list(chunks(items, size))
    assert [item for part in parts for item in part] == items
    assert all(0 < len(part) <= size for part in parts)


def test_conditions_read_as_they_are_called() -> None:
    kv = KeyValue("/a", b"1", 3, 7, 2, 9)
    assert (absent("/a").target, absent("/a").operand) == ("create_revision", 0)
    assert (present("/a").operator, present("/a").operand) == (">", 0)
    assert (unchanged(kv).target, unchanged(kv).operand) == ("mod_revision", 7)
    assert (held_by("/a", 9).target, held_by("/a", 9).operand) == ("lease", 9)
