"""Lines that go out as Docker wrote them: the same ids and documents as by decoding them."""

from collections.abc import Mapping, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.encoding import Encoder, Encoding
from logshipper.linesettings import LineSettings
from logshipper.model import Chunk, Generation, Slice
from logshipper.pipeline import Typed
from logshipper.sinks.encoding.bulk import BulkEncoding
from logshipper.sinks.encoding.jsonline import JsonlineEncoding
from logshipper.splice import AROUND_BYTES, insides
from logshipper.store.http.protocols.bulk import parse
from logshipper.store.lines.times import Arrival
from tests.logshipper.dockerlog import CONTAINER, PART_BYTES, line, records

FIELDS = {"app": "shop", "env": "prod", "host": "h1", "container": CONTAINER}
GENERATION = Generation(0, "abc", 1, 2)
ARRIVAL = Arrival.of(1_800_000_000 * 10**9)


class Decoding:
    """An encoding that cannot splice."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding

    def compile(self, fields: Mapping[str, str]) -> Encoder:
        encoder = self._encoding.compile(fields)

        class Encodes:
            lines = staticmethod(encoder.lines)
            message = staticmethod(encoder.message)

        return Encodes()


def run(encoding: Encoding, chunks: Sequence[Chunk]) -> list[Slice]:
    pipeline = Typed(
        CONTAINER,
        FIELDS,
        encoding=encoding,
        limit_bytes=3 * PART_BYTES,
        fallback_time="2026-01-01T00:00:00Z",
    )
    return [pipeline.take(chunk) for chunk in chunks]


def read(slices: Sequence[Slice]) -> list[object]:
    lines = [one for each in slices for raw in each.documents for one in raw.splitlines()]
    return [msgspec.json.decode(one) for one in lines]


def compact(told: Mapping[str, object]) -> bytes:
    return msgspec.json.encode(told) + b"\n"


def go(data: bytes) -> bytes:
    """As Go's encoder escapes."""
    return data.replace(b"<", b"\\u003c").replace(b"\xe2\x80\xa8", b"\\u2028")


texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=20),
    st.sampled_from(['"', "\\", "\\n", '\\","stream":"stdout","time":"', '{"log":"', "<b>", "\0"]),
    st.lists(st.sampled_from('\\"n{}:,\t\u2028 ü'), max_size=8).map("".join),
)
TIME = "2026-07-01T10:00:07.5Z"
usual = st.builds(
    lambda text, stream, number: [go(line(text + "\n", stream=stream, number=number))],
    texts,
    st.sampled_from(["stdout", "stderr"]),
    st.integers(0, 10**6),
)
odd = st.one_of(
    st.builds(lambda text: [line(text)], texts),
    st.integers(1, 4).map(lambda count: records("z" * PART_BYTES * count + "\n")),
    st.sampled_from(
        [
            [b"\0\0" + line("behind a hole\n")],
            [b'{"log":"to' + line("behind a torn line\n")],
            [b'{"log":"text \xff\\n","stream":"stdout","time":"%b"}\n' % TIME.encode()],
            [b'{"log":"\\ud800\\n","stream":"stdout","time":"%b"}\n' % TIME.encode()],
            [b'{"log":"a\\n","stream":"stdout","time":""}\n'],
            [b"\n"],
            [b"no record\n"],
            [compact({"log": "a\n", "stream": "stdin", "time": TIME})],
            [compact({"log": "a\n", "stream": "stderr", "attrs": {"tag": "x\n"}, "time": TIME})],
            [compact({"stream": "stdout", "time": TIME, "log": "a\n"})],
            [compact({"log": "a\n", "stream": "stdout"})],
            [b'{"log": "a\\n", "stream": "stdout", "time": "%b"}\n' % TIME.encode()],
        ]
    ),
)


@given(
    st.lists(st.lists(st.one_of(usual, usual, usual, odd), max_size=4), max_size=4),
    st.sampled_from([BulkEncoding(), BulkEncoding("logs-%d"), JsonlineEncoding()]),
)
def test_ids_positions_and_documents_are_those_of_decoding(
    cut: list[list[list[bytes]]], encoding: Encoding
) -> None:
    chunks, offset = [], 0
    for part in cut:
        data = b"".join(raw for lines in part for raw in lines)
        chunks.append(Chunk(GENERATION, offset, data))
        offset += len(data)
    spliced, decoded = run(encoding, chunks), run(Decoding(encoding), chunks)
    assert read(spliced) == read(decoded)
    assert [(s.progress, s.read_bytes, s.undecoded, s.zeroed_bytes) for s in spliced] == [
        (s.progress, s.read_bytes, s.undecoded, s.zeroed_bytes) for s in decoded
    ]


@given(st.lists(usual, min_size=1, max_size=5))
def test_the_store_reads_the_same_lines(lines: list[list[bytes]]) -> None:
    data = b"".join(raw for each in lines for raw in each)
    assert insides(data) is not None
    bodies = [
        b"".join(document for each in run(encoding, [Chunk(GENERATION, 7, data)])
                 for document in each.documents)
        for encoding in (BulkEncoding(), Decoding(BulkEncoding()))
    ]  # fmt: skip
    assert bodies[0] != bodies[1]
    assert parse(bodies[0], ARRIVAL) == parse(bodies[1], ARRIVAL)


def test_nothing_of_a_usual_line_is_spelled_anew() -> None:
    data = go(line("1 < 2\n"))
    found = insides(data + data)
    assert found is not None
    assert found.each[0].startswith(b'1 \\u003c 2","stream":"stdout","@timestamp":"2026-')
    assert len(found.each[0]) + AROUND_BYTES == len(data)


@pytest.mark.parametrize("broken", [b'{"log":"to', b'{"log":"a\\n","stream":"std'])
def test_a_torn_line_spoils_no_document(broken: bytes) -> None:
    whole = line("whole\n")
    assert insides(whole + broken + whole) is None
    [taken] = run(BulkEncoding(), [Chunk(GENERATION, 0, whole + broken + whole)])
    assert len(read([taken])) == 2 * 3


def test_where_something_is_done_to_lines_none_is_spliced() -> None:
    pipeline = Typed(
        CONTAINER,
        FIELDS,
        encoding=BulkEncoding(),
        limit_bytes=2**20,
        fallback_time="2026-01-01T00:00:00Z",
        lines=LineSettings(redact_patterns=("secret",)),
    )
    [document] = pipeline.take(Chunk(GENERATION, 0, line("a secret\n"))).documents
    assert b"secret" not in document
