"""Lines that something is done to, through the pipeline: cut anywhere, killed anywhere."""

import json as stdjson
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

from logshipper.linesettings import LineSettings
from logshipper.model import Chunk, Generation, Position, Progress, Slice
from logshipper.pipeline import Typed
from logshipper.sinks.encoding.bulk import BulkEncoding
from tests.logshipper.dockerlog import CONTAINER, PART_BYTES

GENERATIONS = [Generation(n, f"gen{n}", 1, n) for n in range(3)]
JAVA = LineSettings(multiline="java", multiline_seconds=1.0, multiline_lines=5)
LIMIT_BYTES = 3 * PART_BYTES


def record(text: str, *, stream: str = "stdout", second: float = 0.0) -> bytes:
    time = f"2026-07-01T10:{int(second) // 60:02d}:{second % 60:012.9f}Z"
    told = {"log": text, "stream": stream, "time": time}
    return stdjson.dumps(told, separators=(",", ":")).encode() + b"\n"


def typed(lines: LineSettings, progress: Progress | None = None) -> Typed:
    return Typed(
        CONTAINER,
        {"app": "shop"},
        encoding=BulkEncoding(),
        limit_bytes=LIMIT_BYTES,
        fallback_time="2026-01-01T00:00:00Z",
        lines=lines,
        progress=progress,
    )


@dataclass
class Sink:
    """Keeps what it was sent first under each id."""

    held: dict[str, dict[str, Any]] = field(default_factory=dict)
    repeated: int = 0

    def send(self, piece: Slice) -> None:
        for raw in piece.documents:
            action, source, _ = raw.split(b"\n")
            identity = json.decode(action)["create"]["_id"]
            document = json.decode(source)
            self.repeated += identity in self.held
            # Others than those it has would be lost: it answers 409.
            assert self.held.setdefault(identity, document) == document

    @property
    def texts(self) -> list[str]:
        return [document["message"] for document in self.held.values()]


def whole(lines: LineSettings, *chunks: bytes) -> Sink:
    sink, pipeline, offset = Sink(), typed(lines), 0
    for data in chunks:
        sink.send(pipeline.take(Chunk(GENERATIONS[0], offset, data)))
        offset += len(data)
    sink.send(pipeline.finish(Position(0, offset)))
    return sink


def test_a_trace_is_one_document_under_an_id_that_says_how_long_it_is() -> None:
    first = record("ERROR x\n")
    data = first + record("\tat a.B\n") + record("next\n")
    sink = whole(JAVA, data)
    prefix = f"{CONTAINER[:16]}.gen0."
    assert {i: d["message"] for i, d in sink.held.items()} == {
        f"{prefix}0.2": "ERROR x\n\tat a.B",
        f"{prefix}{len(first) + len(record(chr(9) + 'at a.B' + chr(10))):x}": "next",
    }


def test_an_open_event_holds_the_progress_back() -> None:
    before, first, second = record("a\n"), record("b\n"), record("\tat b\n")
    pipeline = typed(JAVA)
    taken = pipeline.take(Chunk(GENERATIONS[0], 0, before + first + second))
    assert taken.progress.resume == Position(0, len(before))
    assert pipeline.waits
    assert pipeline.patience_seconds == 2.0
    settled = pipeline.settle(taken.progress.read)
    assert [json.decode(d.split(b"\n")[1])["message"] for d in settled.documents] == ["b\n\tat b"]
    assert settled.progress == Progress(taken.progress.read)
    assert not pipeline.waits


def test_a_message_that_is_incomplete_keeps_its_event_open() -> None:
    data = record("a\n") + record("\t" + "x" * (PART_BYTES - 1))
    pipeline = typed(JAVA)
    taken = pipeline.take(Chunk(GENERATIONS[0], 0, data))
    assert taken.progress.resume == Position(0, 0)
    assert pipeline.patience_seconds == float("inf")
    assert pipeline.settle(taken.progress.read).documents == ()
    end = pipeline.take(Chunk(GENERATIONS[0], len(data), record("y\n")))
    assert end.documents == ()
    assert len(pipeline.finish(end.progress.read).documents) == 1


def test_a_gap_ends_an_event() -> None:
    pipeline, data = typed(JAVA), record("a\n")
    pipeline.take(Chunk(GENERATIONS[0], 0, data))
    taken = pipeline.take(Chunk(GENERATIONS[1], 0, record("\tat b\n"), gap=True))
    assert len(taken.documents) == 1
    assert taken.progress.resume == Position(1, 0)


def test_an_event_goes_on_across_a_rotation() -> None:
    pipeline = typed(JAVA)
    pipeline.take(Chunk(GENERATIONS[0], 0, record("a\n")))
    taken = pipeline.take(Chunk(GENERATIONS[1], 0, record("\tat b\n")))
    assert taken.documents == ()
    assert taken.progress.resume == Position(0, 0)


def test_lines_that_are_dropped_are_counted_and_hold_nothing_back() -> None:
    lines = LineSettings(exclude=("healthz",))
    data = record("GET /healthz\n") * 3 + record("GET /\n")
    taken = typed(lines).take(Chunk(GENERATIONS[0], 0, data))
    assert len(taken.documents) == 1
    assert taken.progress == Progress(Position(0, len(data)))
    assert taken.tally is not None
    assert taken.tally.dropped == {"exclude": 3}


def test_secrets_leave_also_what_is_no_record() -> None:
    lines = LineSettings(redact=("card",))
    data = b"torn 4111111111111111\n" + record("4111111111111111\n")
    taken = typed(lines).take(Chunk(GENERATIONS[0], 0, data))
    assert b"4111" not in b"".join(taken.documents)
    assert len(taken.documents) == 2


def test_parsed_fields_stand_beside_the_containers_own() -> None:
    lines = LineSettings(parse="json", level="auto")
    text = '{"msg":"x","app":"evil","level":"WARN","user":7}\n'
    [document] = whole(lines, record(text)).held.values()
    assert document == {
        "@timestamp": "2026-07-01T10:00:00.000000000Z",
        "message": "x",
        "stream": "stdout",
        "level": "warn",
        "app": "shop",
        "parsed_app": "evil",
        "user": 7,
    }


def test_without_settings_lines_go_the_plain_way() -> None:
    data = record("a\n") + record("\tat b\n")
    taken = typed(LineSettings()).take(Chunk(GENERATIONS[0], 0, data))
    assert len(taken.documents) == 2
    assert taken.tally is None


FULL = "full"  # stands for a part; failing examples are printed
# What is written: of either stream a line, a line that goes on, one that Docker cuts, and one so
# long that it is shipped in pieces; soon after the last one, or late.
parts = st.one_of(
    st.sampled_from([["ERROR a\n"], ["\tat b\n"], ["java.lang.Error: c\n"], ["\n"], ["no end"]]),
    st.integers(1, 5).map(lambda n: [FULL] * n + ["end\n"]),
)
writes = st.lists(
    st.tuples(
        st.sampled_from(["stdout", "stderr"]), parts, st.sampled_from([0.0, 0.01, 0.9, 1.5, 4.0])
    ),
    min_size=1,
    max_size=14,
)


def written(messages: list[tuple[str, list[str], float]], mix: Any) -> tuple[list[bytes], str]:
    """The records in the order of the file, streams mixed; and all the text, by stream."""
    full = {FULL: "\t" + "z" * (PART_BYTES - 1)}
    messages = [(s, [full.get(t, t) for t in texts], pause) for s, texts, pause in messages]
    waiting: dict[str, list[tuple[str, float]]] = {"stdout": [], "stderr": []}
    second = 0.0
    for stream, texts, pause in messages:
        second += pause
        waiting[stream] += [(text, second) for text in texts]
    records = []
    while any(waiting.values()):
        soonest = min((queue[0][1], stream) for stream, queue in waiting.items() if queue)[1]
        other = next((s for s, q in waiting.items() if q and s != soonest), soonest)
        # dockerd copies each stream by itself: they overtake each other by a little.
        near = waiting[other][0][1] - waiting[soonest][0][1] < 0.5
        stream = mix.choice([soonest, other]) if near else soonest
        text, at = waiting[stream].pop(0)
        records.append(record(text, stream=stream, second=at))
    by_stream = {s: "".join(t for e, p, _ in messages if e == s for t in p) for s in waiting}
    return records, "".join(by_stream["stdout"] + by_stream["stderr"]).replace("\n", "")


def chunked(records: list[bytes], mix: Any) -> list[bytes]:
    chunks: list[bytes] = []
    for each in records:
        if chunks and mix.random() < 0.5:
            chunks[-1] += each
        else:
            chunks.append(each)
    return chunks


SETTINGS = st.sampled_from(
    [
        LineSettings(),
        JAVA,
        LineSettings(multiline=r"^\S", multiline_lines=3, multiline_seconds=0.5),
        LineSettings(multiline="python", parse="json", level="auto", sample=0.7),
        LineSettings(exclude=("ERROR",), time="auto", redact=("card",)),
    ]
)


@given(SETTINGS, writes, st.randoms(use_true_random=True))
def test_however_the_log_is_cut_the_documents_are_the_same(
    lines: LineSettings, messages: list[tuple[str, list[str], float]], mix: Any
) -> None:
    records, _ = written(messages, mix)
    assert whole(lines, *chunked(records, mix)).held == whole(lines, b"".join(records)).held


@given(SETTINGS, writes, st.randoms(use_true_random=True))
def test_killed_anywhere_every_line_arrives_once_and_by_the_same_id(
    lines: LineSettings, messages: list[tuple[str, list[str], float]], mix: Any
) -> None:
    """Each life reads on, a part of what it sent is acknowledged, and what was sent was kept.

    Three files; at any time what is quiet for long enough is settled, as the clock has it.
    """
    records, _ = written(messages, mix)
    offsets, files, positions = [0, 0, 0], [], []
    for number in range(len(records)):
        file = min(2, 3 * number // len(records))
        files.append(file)
        positions.append(Position(file, offsets[file]))
        offsets[file] += len(records[number])
    ends = [Position(files[n], positions[n].offset + len(records[n])) for n in range(len(records))]

    expected = Sink()
    pipeline = typed(lines)
    for n, data in enumerate(records):
        expected.send(pipeline.take(Chunk(GENERATIONS[files[n]], positions[n].offset, data)))
    expected.send(pipeline.finish(ends[-1]))

    sink = Sink()
    saved: Progress | None = None
    lives = mix.randint(1, 6)
    for life in range(lives):
        pipeline = typed(lines, saved)
        resume = saved.resume if saved else Position(0, 0)
        number = next((n for n, at in enumerate(positions) if at >= resume), len(records))
        last = life == lives - 1
        alive = len(records) if last else mix.randint(number, len(records))
        sent: list[Progress] = []
        while number < alive:
            end = number + 1
            while end < alive and files[end] == files[number] and mix.random() < 0.6:
                end += 1
            data = b"".join(records[number:end])
            taken = pipeline.take(Chunk(GENERATIONS[files[number]], positions[number].offset, data))
            sink.send(taken)
            sent.append(taken.progress)
            number = end
            if number < len(records) and _quiet(records[number - 1], records[number]):
                settled = pipeline.settle(ends[number - 1])
                sink.send(settled)
                sent.append(settled.progress)
        if last:
            sink.send(pipeline.finish(ends[-1]))
        acknowledged = mix.randint(0, len(sent))
        if acknowledged:
            saved = sent[acknowledged - 1]
    assert sink.held == expected.held


RELOADED = (
    LineSettings(),
    JAVA,
    LineSettings(multiline="java", redact=("card",), level="auto"),
    LineSettings(multiline=r"^\S", multiline_lines=3),
    LineSettings(parse="json", level="auto", rate=1000.0),
)


@given(writes, st.randoms(use_true_random=True))
def test_settings_that_change_at_any_moment_lose_no_text_and_move_no_id(
    messages: list[tuple[str, list[str], float]], mix: Any
) -> None:
    records, text = written(messages, mix)
    plain = whole(LineSettings(), b"".join(records)).held
    sink, pipeline, offset = Sink(), typed(mix.choice(RELOADED)), 0
    for data in chunked(records, mix):
        if mix.random() < 0.5:
            pipeline.describe({"app": "shop"}, mix.choice(RELOADED))
        sink.send(pipeline.take(Chunk(GENERATIONS[0], offset, data)))
        offset += len(data)
        if mix.random() < 0.2:
            pipeline.describe({"app": "shop"}, mix.choice(RELOADED))
            sink.send(pipeline.settle(Position(0, offset)))
    sink.send(pipeline.finish(Position(0, offset)))
    by_stream: dict[str, list[str]] = {"stdout": [], "stderr": []}
    for identity in sorted(sink.held, key=_begins):
        document = sink.held[identity]
        by_stream[document["stream"]].append(document["message"].replace("\n", ""))
        # An event of several lines says how many behind the id of its first one.
        assert identity in plain or identity.rpartition(".")[0] in plain
    assert "".join(by_stream["stdout"] + by_stream["stderr"]) == text
    assert sink.repeated == 0


def _begins(identity: str) -> tuple[int, int]:
    offset, _, rest = identity.split(".", 2)[2].partition(".")
    return int(offset, 16), int(rest.partition("-")[0], 16) if "-" in rest else 0


def test_an_event_goes_on_across_a_reload_that_leaves_its_rule() -> None:
    sink, pipeline = Sink(), typed(JAVA)
    first, second = record("java.lang.Error: 4111111111111111\n"), record("\tat b\n")
    sink.send(pipeline.take(Chunk(GENERATIONS[0], 0, first)))
    changed = LineSettings(multiline="java", redact=("card",))
    pipeline.describe({"app": "shop", "env": "prod"}, changed)
    assert pipeline.patience_seconds == 2.0
    sink.send(pipeline.take(Chunk(GENERATIONS[0], len(first), second)))
    sink.send(pipeline.finish(Position(0, len(first) + len(second))))
    [document] = sink.held.values()
    assert document["message"] == "java.lang.Error: [redacted:card]\n\tat b"
    assert document["env"] == "prod"


def test_an_event_ends_with_the_rule_that_it_was_put_together_by() -> None:
    sink, pipeline = Sink(), typed(JAVA)
    first, second = record("java.lang.Error: x\n"), record("\tat b\n")
    sink.send(pipeline.take(Chunk(GENERATIONS[0], 0, first)))
    pipeline.describe({"app": "shop"}, LineSettings())
    taken = pipeline.take(Chunk(GENERATIONS[0], len(first), second))
    sink.send(taken)
    assert sink.texts == ["java.lang.Error: x", "\tat b"]
    assert taken.progress == Progress(Position(0, len(first) + len(second)))


def test_a_limit_that_stays_is_not_filled_up_by_a_reload() -> None:
    limited = LineSettings(rate=0.001, burst=1.0)
    sink, pipeline, offset = Sink(), typed(limited), 0
    for settings in (limited, replace(limited, level="auto"), replace(limited, burst=2.0)):
        pipeline.describe({"app": "shop"}, settings)
        for text in ("a\n", "b\n"):
            data = record(text)
            sink.send(pipeline.take(Chunk(GENERATIONS[0], offset, data)))
            offset += len(data)
    assert sink.texts == ["a", "a", "b"]


def _quiet(before: bytes, after: bytes) -> bool:
    seconds = [float(json.decode(each)["time"][17:-1]) for each in (before, after)]
    return seconds[1] - seconds[0] > 2.5


@given(writes, st.randoms(use_true_random=True), st.integers(0, 40))
def test_with_a_clock_that_is_wrong_lines_may_come_twice_but_none_is_lost(
    messages: list[tuple[str, list[str], float]], mix: Any, stop: int
) -> None:
    records, text = written(messages, mix)
    sink, pipeline, offset = Sink(), typed(JAVA), 0
    saved: list[Progress] = []
    for data in records[:stop]:
        taken = pipeline.take(Chunk(GENERATIONS[0], offset, data))
        offset += len(data)
        sink.send(taken)
        saved.append(taken.progress)
        if mix.random() < 0.3:
            settled = pipeline.settle(taken.progress.read)
            sink.send(settled)
            saved.append(settled.progress)
    progress = mix.choice(saved) if saved else None
    pipeline = typed(JAVA, progress)
    begin = progress.resume.offset if progress else 0
    everything = b"".join(records)
    sink.send(pipeline.take(Chunk(GENERATIONS[0], begin, everything[begin:])))
    sink.send(pipeline.finish(Position(0, len(everything))))
    shipped = "".join(sink.texts).replace("\n", "")
    assert len(shipped) >= len(text)
    for _, texts, _ in messages:
        # Each line, or each part of one that came in pieces, is somewhere whole.
        assert all(part.strip("\n") in shipped for part in texts if part != FULL)


@pytest.mark.parametrize("how", ["java", "python", "go", "node", r"^\d"])
def test_every_preset_passes_through_a_pipeline(how: str) -> None:
    data = record("1 panic: a\n") + record("  b\n", stream="stderr") + record(" c\n")
    sink = whole(LineSettings(multiline=how), data)
    assert "\n".join(sorted(sink.texts)) == "  b\n1 panic: a\n c" or how == "go"
    assert len(sink.held) == (3 if how == "go" else 2)
