"""Bytes of a log in, documents with stable ids out, also when a life ends in the middle."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

from logshipper.model import Chunk, Generation, Position, Progress, Slice
from logshipper.pipeline import Typed
from logshipper.sinks.encoding.bulk import BulkEncoding
from tests.logshipper.dockerlog import CONTAINER, PART_BYTES, line, records

GENERATION = Generation(0, "abc", 1, 2)
FIELDS = {"app": "shop", "env": "prod", "host": "h1", "container": CONTAINER}


def typed(progress: Progress | None = None, *, limit: int = 2**20) -> Typed:
    return Typed(
        CONTAINER,
        FIELDS,
        encoding=BulkEncoding(),
        limit_bytes=limit,
        fallback_time="2026-01-01T00:00:00Z",
        progress=progress,
    )


def chunk(data: bytes, offset: int = 0, *, torn: bool = False) -> Chunk:
    return Chunk(GENERATION, offset, data, torn)


def documents(*slices: Slice) -> dict[str, dict[str, object]]:
    """By id; a repeated id must carry the same document."""
    found: dict[str, dict[str, object]] = {}
    for each in slices:
        for raw in each.documents:
            action, source, rest = raw.split(b"\n")
            assert rest == b""
            identity = json.decode(action)["create"]["_id"]
            document = json.decode(source)
            assert found.setdefault(identity, document) == document
    return found


def test_a_document_carries_what_the_store_searches() -> None:
    found = documents(typed().take(chunk(line('say "hi" \\ \t\n', number=7))))
    assert found == {
        f"{CONTAINER[:16]}.abc.0": {
            "@timestamp": "2026-07-01T10:00:07.000000007Z",
            "message": 'say "hi" \\ \t',
            "stream": "stdout",
            **FIELDS,
        }
    }


def test_without_fields_a_document_is_still_one() -> None:
    pipeline = Typed(CONTAINER, {}, encoding=BulkEncoding(), limit_bytes=2**20, fallback_time="t")
    [document] = documents(pipeline.take(chunk(line("x\n")))).values()
    assert document["message"] == "x"


def test_ids_are_the_offsets_of_the_lines() -> None:
    one, two = line("one\n"), line("two\n")
    found = documents(typed().take(chunk(one + two, 1000)))
    assert list(found) == [
        f"{CONTAINER[:16]}.abc.{1000:x}",
        f"{CONTAINER[:16]}.abc.{1000 + len(one):x}",
    ]


def test_a_broken_line_becomes_a_document_of_raw_text() -> None:
    data = line("good\n") + b"\xffbad\n" + line("good again\n", number=3)
    taken = typed().take(chunk(data))
    found = documents(taken)
    assert [d["message"] for d in found.values()] == [
        "good",
        "\N{REPLACEMENT CHARACTER}bad",
        "good again",
    ]
    assert [d.get("undecoded") for d in found.values()] == [None, True, None]
    assert taken.undecoded == 1


def test_an_open_message_holds_the_progress_back() -> None:
    first, *rest = records("y" * (2 * PART_BYTES) + "\n", number=1)
    before = line("before\n")
    pipeline = typed()
    taken = pipeline.take(chunk(before + first))
    assert taken.progress.read == Position(0, len(before + first))
    assert taken.progress.resume == Position(0, len(before))
    taken = pipeline.take(chunk(b"".join(rest), len(before + first)))
    assert taken.progress.open == ()


lines = st.one_of(
    st.text(st.characters(codec="ascii", exclude_characters="\n"), max_size=12).map(
        lambda t: [t + "\n"]
    ),
    st.integers(1, 4).map(lambda n: ["z" * PART_BYTES] * n + ["end\n"]),
)


@given(
    st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), lines), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
    st.integers(0, 30),
)
def test_a_restart_anywhere_repeats_ids_but_never_differs(
    messages: list[tuple[str, list[str]]], random: "object", stop: int
) -> None:
    """Parts of the two streams are mixed; a life ends after any record; the next one resumes."""
    waiting = {
        s: [p for each, parts in messages if each == s for p in parts] for s in ("stdout", "stderr")
    }
    written: list[bytes] = []
    while any(waiting.values()):
        stream = random.choice([s for s, parts in waiting.items() if parts])  # type: ignore[attr-defined]
        written.append(line(waiting[stream].pop(0), stream=stream, number=len(written)))
    whole = documents(typed(limit=3 * PART_BYTES).take(chunk(b"".join(written))))

    stop = min(stop, len(written))
    first_life = typed(limit=3 * PART_BYTES).take(chunk(b"".join(written[:stop])))
    resume = first_life.progress.resume.offset
    second = typed(first_life.progress, limit=3 * PART_BYTES)
    second_life = second.take(chunk(b"".join(written)[resume:], resume))
    assert documents(first_life, second_life) == whole
    # Nothing is sent twice that the progress says is done.
    assert not documents(first_life).keys() & documents(second_life).keys()


def test_a_life_that_ends_among_what_was_shipped_before_mixes_up_no_ids() -> None:
    """The second life ends before the head of a message that the first one left open."""
    records_of = [
        line("e" * PART_BYTES, stream="stderr", number=1),
        line("shipped one\n", number=2),
        line("shipped two\n", number=3),
        line("o" * PART_BYTES, number=4),
        line("end\n", number=4),
        line("end\n", stream="stderr", number=1),
    ]
    offsets = [sum(map(len, records_of[:n])) for n in range(len(records_of) + 1)]

    def life(progress: Progress | None, begin: int, end: int) -> Slice:
        return typed(progress).take(chunk(b"".join(records_of[begin:end]), offsets[begin]))

    whole = documents(life(None, 0, 6))
    first = life(None, 0, 4)
    second = life(first.progress, 0, 2)
    third = life(second.progress, 0, 6)
    assert documents(first, second, third) == whole
