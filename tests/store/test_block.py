"""A block holds exactly what was put in, whatever it was."""

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from logshipper.store.engine import block
from logshipper.store.engine.block import Body, Columns, Head
from wharfinger.errors import Unavailable

HOSTILE = st.one_of(
    st.text(),
    st.sampled_from(["", "\0", "\n", "a\0b\nc", "\u202e\u2028", "\U0010ffff", "x" * 70_000]),
)
ROW = st.tuples(
    st.integers(-(2**61), 2**61),
    st.integers(1, 2**32 - 1),
    st.integers(0, 6),
    HOSTILE,
    st.binary(max_size=40),
)


def columns_of(rows: list[tuple[int, int, int, str, bytes]]) -> Columns:
    columns = Columns()
    for time_ns, stream_id, level, message, extra in rows:
        columns.extend(Head([time_ns], [stream_id], [level]), Body([message], [extra]))
    return columns


@given(st.lists(ROW, min_size=1, max_size=30))
def test_round_trip(rows: list[tuple[int, int, int, str, bytes]]) -> None:
    columns = columns_of(rows)
    head, body = block.encode(columns)
    again = Columns()
    again.extend(block.decode_head(head), block.decode_body(body))
    assert again == columns
    assert zstandard.ZstdDecompressor().decompress(head)  # any zstd reads it, now and in ten years


@given(st.lists(ROW, min_size=1, max_size=5), st.data())
def test_what_rotted_is_refused(
    rows: list[tuple[int, int, int, str, bytes]], data: st.DataObject
) -> None:
    head, body = map(bytearray, block.encode(columns_of(rows)))
    for packed, decode in ((head, block.decode_head), (body, block.decode_body)):
        packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
        with pytest.raises(Unavailable):
            decode(bytes(packed))


@given(st.lists(ROW, min_size=2, max_size=20), st.data())
def test_parts_make_the_whole(
    rows: list[tuple[int, int, int, str, bytes]], data: st.DataObject
) -> None:
    columns = columns_of(rows)
    cut = data.draw(st.integers(1, len(rows) - 1))
    again = Columns()
    for part in (columns_of(rows[:cut]), columns_of(rows)):
        head, body = block.encode(part, len(again))
        again.extend(block.decode_head(head), block.decode_body(body))
    assert again == columns


def test_summary_covers_all_lines() -> None:
    columns = columns_of([(5, 1, 3, "a", b""), (2, 1, 5, "b", b""), (9, 2, 3, "c", b"")])
    assert block.summarize(columns) == (2, 9, 3, 1 << 3 | 1 << 5)
