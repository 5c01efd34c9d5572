"""Every byte of a log is decoded, or given back as it is, or counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.decode import decode_all, decode_each
from tests.logshipper.dockerlog import line


def lengths(data: bytes) -> list[int]:
    return [len(each) for each in data.split(b"\n")[: data.count(b"\n")]]


def test_whole_lines_are_decoded_at_once() -> None:
    data = line("one\n", number=1) + line("two\n", stream="stderr", number=2)
    found = decode_all(data, lengths(data))
    assert found is not None
    assert [(r.log, r.stream) for r in found] == [("one\n", "stdout"), ("two\n", "stderr")]


def test_attributes_before_the_time_do_not_matter() -> None:
    data = b'{"log":"a\\n","stream":"stdout","attrs":{"tag":"x"},"time":"2026-01-01T00:00:00Z"}\n'
    found = decode_all(data, lengths(data))
    assert found is not None
    assert found[0].time == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "bad",
    [
        b"garbage\n",
        b"\n",
        b'{"log":1}\n',
        b"[]\n",
        b'{"stream":"stdout"}\n',
        b'{"log":"\xff\xfe"}\n',
        b'{"log":"\\ud800"}\n',
        b"\0" * 100 + b"\n",
        b'{"log":"torn","str{"log":"b\\n","stream":"stdout","time":"t"}\n',
        b'{"log":"a\\n"}{"log":"b\\n"}\n',
        b'{"log":"a\\n"} {"log":"b\\n"}\n',
    ],
)
def test_anything_else_is_left_to_the_closer_look(bad: bytes) -> None:
    data = line("one\n") + bad + line("two\n")
    assert decode_all(data, lengths(data)) is None
    found, skipped = decode_each(data)
    assert next(f.record.log for f in found if f.record) == "one\n"
    assert [f.record.log for f in found if f.record][-1] == "two\n"
    raw = b"".join(f.raw for f in found)
    decoded = [f for f in found if f.record]
    assert raw or skipped or len(decoded) > 2 or bad == b"\n"
    assert found[-1].offset == len(line("one\n") + bad)


def test_a_torn_line_and_the_record_written_behind_it_are_both_kept() -> None:
    torn, good = line("the power went\n")[:20], line("and came back\n")
    found, _ = decode_each(torn + good)
    assert [(f.offset, f.raw, f.record and f.record.log) for f in found] == [
        (0, torn, None),
        (20, b"", "and came back\n"),
    ]


def test_a_text_that_quotes_a_record_is_not_cut() -> None:
    data = line('say {"log":"x"} please\n')
    found, _ = decode_each(data)
    assert [f.record and f.record.log for f in found] == ['say {"log":"x"} please\n']


def test_very_many_records_in_one_line_and_very_deep_ones_are_read_or_given_as_they_are() -> None:
    records = [line(f"{n}\n", number=n)[:-1] for n in range(3000)]
    found, _ = decode_each(b"".join(records) + b"\n")
    assert [f.record and f.record.log for f in found] == [f"{n}\n" for n in range(3000)]
    assert [f.offset for f in found] == [sum(map(len, records[:n])) for n in range(3000)]
    deep = b'{"log":"x\\n","attrs":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert decode_all(deep + b"\n", [len(deep)]) is None
    found, _ = decode_each(deep + b"\n")
    assert [f.raw for f in found] == [deep]


def test_zeroed_bytes_are_counted() -> None:
    good = line("after the crash\n")
    found, skipped = decode_each(b"\0" * 4096 + good)
    assert skipped == 4096
    assert [(f.offset, f.record and f.record.log) for f in found] == [(4096, "after the crash\n")]


@given(st.lists(st.one_of(st.binary(max_size=40), st.text(max_size=20).map(line)), max_size=20))
def test_no_byte_vanishes(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    found, skipped = decode_each(data)
    offsets = [f.offset for f in found]
    assert offsets == sorted(offsets)
    for each in found:
        if each.record is None:
            assert data[each.offset : each.offset + len(each.raw)] == each.raw
    raw = sum(len(f.raw) for f in found)
    records = sum(1 for f in found if f.record)
    if not records:
        blank = sum(len(each) for each in data.split(b"\n") if not each.lstrip(b"\0").strip())
        zeroes_before_text = skipped
        assert raw + data.count(b"\n") + blank + zeroes_before_text >= len(data)
