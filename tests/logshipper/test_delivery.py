"""Every document ends in the sink or in the dead letters, whatever the sink does."""

import asyncio
import errno
import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from logshipper.deadletter import DeadLetters
from logshipper.delivery import Delivery
from logshipper.metrics import Metrics
from logshipper.model import Refusal
from logshipper.sinkconfig import BulkConfig
from logshipper.sinks.bulk import Bulk
from logshipper.sinks.reply import retry_after_seconds
from tests.logshipper.strict_sink import (
    StrictSink,
    busy_items,
    deep_reply,
    empty_200,
    hang,
    portal,
    reset_after_storing,
    short_reply,
    status,
)
from wharfinger.backoff import Backoff
from wharfinger.errors import ConfigError
from wharfinger.events import Events
from wharfinger.health import Health


def document(number: int, text: str = "line") -> bytes:
    source = json.dumps({"@timestamp": "t", "message": f"{text} {number}"})
    return f'{{"create":{{"_id":"c.g.{number:x}"}}}}\n{source}\n'.encode()


class Sending:
    """A delivery into a strict sink, with what it told."""

    def __init__(self, sink: StrictSink, folder: Path, **config: object) -> None:
        self.sink = sink
        self.registry = CollectorRegistry()
        self.events = Events()
        self.health = Health(self.events)
        self.letters = folder / "dead-letters.ndjson"
        settings = {"request_timeout_seconds": 0.5, **config}
        self.delivery = Delivery(
            "main",
            Bulk(BulkConfig(url=sink.url, **settings)),  # type: ignore[arg-type]
            DeadLetters(self.letters),
            metrics=Metrics(self.registry),
            events=self.events,
            check=self.health.check("sink"),
            letters_check=self.health.check("dead letters"),
            backoff=Backoff(0.01, 0.05),
        )

    def metric(self, name: str) -> float:
        name = f"wharfinger_logshipper_{name}"
        return self.registry.get_sample_value(name, {"sink": "main"}) or 0.0

    @property
    def buried(self) -> list[dict[str, object]]:
        if not self.letters.exists():
            return []
        return [json.loads(each) for each in self.letters.read_text().splitlines()]


@pytest.fixture
async def sending(sink: StrictSink, tmp_path: Path) -> AsyncIterator[Sending]:
    made = Sending(sink, tmp_path)
    yield made
    await made.delivery.close()


async def test_documents_arrive_once_and_compressed(sending: Sending) -> None:
    await sending.delivery.deliver([document(n) for n in range(1000)])
    assert len(sending.sink.documents) == 1000
    assert sending.sink.duplicates == 0
    assert sending.sink.requests == 1
    assert sending.sink.headers[0]["Content-Encoding"] == "gzip"
    assert sending.metric("delivered_documents_total") == 1000


@pytest.mark.parametrize(
    "mood",
    [
        deep_reply,
        status(429),
        status(503),
        status(500),
        status(401),
        status(403),
        status(404),
        status(408),
        status(302, Location="http://127.0.0.1:1/steal"),
        status(204),
        reset_after_storing,
        hang,
        empty_200,
        portal,
        short_reply(1),
        short_reply(10),
        busy_items(3),
        busy_items(1, 503),
    ],
)
async def test_no_answer_but_a_full_one_is_believed(sending: Sending, mood: object) -> None:
    sending.sink.moods = [mood, mood]  # type: ignore[list-item]
    await sending.delivery.deliver([document(n) for n in range(10)])
    assert len(sending.sink.documents) == 10
    assert sending.buried == []
    assert sending.metric("delivered_documents_total") == 10
    assert sending.metric("retries_total") >= 2


async def test_only_what_was_refused_for_now_is_sent_again(sending: Sending) -> None:
    sending.sink.moods = [busy_items(5)]
    await sending.delivery.deliver([document(n) for n in range(20)])
    assert len(sending.sink.documents) == 20
    assert sending.sink.duplicates == 0


async def test_a_conflict_is_a_document_that_arrived(sending: Sending) -> None:
    await sending.delivery.deliver([document(n) for n in range(5)])
    await sending.delivery.deliver([document(n) for n in range(8)])
    assert len(sending.sink.documents) == 8
    assert sending.buried == []


async def test_no_request_is_made_before_the_sink_wants_one(sending: Sending) -> None:
    sending.sink.moods = [status(429, Retry_After="1")]
    await sending.delivery.deliver([document(1)])
    first, second = sending.sink.times
    assert second - first >= 1.0


async def test_poison_goes_to_the_dead_letters_and_the_rest_through(sending: Sending) -> None:
    sending.sink.poison = "poison"
    documents = [document(n, "poison" if n == 7 else "line") for n in range(20)]
    await sending.delivery.deliver(documents)
    assert len(sending.sink.documents) == 19
    [letter] = sending.buried
    assert letter["status"] == 400
    assert str(letter["document"]).encode() == documents[7]
    assert sending.metric("rejected_documents_total") == 1
    assert sending.letters.stat().st_mode & 0o777 == 0o600


SHARDS = "Validation Failed: 1: this action would add [2] shards, but this cluster has [999]/[1000]"


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (401, "security_exception", "missing authentication credentials"),
        (403, "security_exception", "action [indices:data/write/bulk[s]] is unauthorized"),
        (403, "cluster_block_exception", "index [logs] blocked by: [FORBIDDEN/8/index write]"),
        (404, "index_not_found_exception", "no such index [logs]"),
        (408, "timeout_exception", "took too long"),
        (400, "index_closed_exception", "closed"),
        (400, "validation_exception", SHARDS),
        (400, "illegal_argument_exception", SHARDS),
        (400, "illegal_argument_exception", "no write index is defined for alias [logs]."),
    ],
)
async def test_what_an_operator_will_mend_buries_nothing(
    sending: Sending, code: int, kind: str, reason: str
) -> None:
    error = {"type": kind, "reason": reason}

    async def refuses(_: StrictSink, __: web.Request, body: bytes) -> web.StreamResponse:
        items = [{"create": {"status": code, "error": error}}] * (body.count(b"\n") // 2)
        return web.json_response({"errors": True, "items": items})

    sending.sink.mood = refuses
    task = asyncio.create_task(sending.delivery.deliver([document(n) for n in range(16)]))
    await sending.sink.until(lambda: sending.sink.requests > 3)
    assert sending.buried == []
    assert sending.delivery.trouble == f"16 documents refused for now: {code} {kind}: {reason}"
    sending.sink.mood = None
    await task
    assert len(sending.sink.documents) == 16


async def test_a_body_that_is_too_large_is_halved(sending: Sending) -> None:
    sending.delivery._sink._config = BulkConfig(  # type: ignore[attr-defined]
        url=sending.sink.url, compression="none"
    )
    sending.sink.limit_bytes = 300
    await sending.delivery.deliver([document(n) for n in range(50)])
    assert len(sending.sink.documents) == 50
    assert sending.buried == []


async def test_one_document_that_is_too_large_goes_to_the_dead_letters(sending: Sending) -> None:
    sending.delivery._sink._config = BulkConfig(  # type: ignore[attr-defined]
        url=sending.sink.url, compression="none"
    )
    sending.sink.limit_bytes = 300
    await sending.delivery.deliver([document(1), document(2, "x" * 500), document(3)])
    assert sorted(sending.sink.messages) == ["line 1", "line 3"]
    assert [letter["status"] for letter in sending.buried] == [413]


async def test_one_document_that_spoils_a_whole_body_is_found(sending: Sending) -> None:
    """VictoriaLogs answers 200 with nothing, and drops the rest of a body, for one bad line."""

    async def picky(sink: StrictSink, request: web.Request, body: bytes) -> web.StreamResponse:
        if b"spoiler" in body:
            return web.Response(status=200)
        return web.json_response(sink.take(body))

    sending.sink.mood = picky
    documents = [document(n, "spoiler" if n == 33 else "line") for n in range(64)]
    await sending.delivery.deliver(documents)
    assert len(sending.sink.documents) == 63
    assert [str(letter["document"]).encode() for letter in sending.buried] == [documents[33]]


async def test_a_sink_that_digests_nothing_buries_nothing(sending: Sending) -> None:
    sending.sink.mood = portal
    task = asyncio.create_task(sending.delivery.deliver([document(n) for n in range(16)]))
    await sending.sink.until(lambda: sending.sink.requests > 30)
    assert sending.buried == []
    assert not task.done()
    sending.sink.mood = None
    await task
    assert len(sending.sink.documents) == 16
    assert sending.buried == []


async def test_a_dead_sink_is_red_and_a_living_one_green(sending: Sending) -> None:
    port = sending.sink.port
    await sending.delivery.deliver([document(0)])
    await sending.sink.stop()
    clock = [100.0]
    sending.delivery._clock = lambda: clock[0]
    task = asyncio.create_task(sending.delivery.deliver([document(1)]))

    def failing() -> bool:
        clock[0] += 1.0
        return not sending.health.report().healthy

    await sending.sink.until(failing)
    assert "sink" in sending.health.report().why
    sending.sink.port = port
    await sending.sink.start()

    def done() -> bool:
        clock[0] += 1.0
        return task.done()

    await sending.sink.until(done)
    assert sending.health.report().healthy
    assert len(sending.sink.documents) == 2


async def test_a_full_disk_under_the_dead_letters_holds_the_acknowledgement(
    sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    sending.sink.poison = "poison"
    write, failures = DeadLetters.write, [OSError(28, "No space left on device")] * 3

    def full(self: DeadLetters, refusals: object) -> int:
        if failures:
            raise failures.pop()
        return write(self, refusals)  # type: ignore[arg-type]

    monkeypatch.setattr(DeadLetters, "write", full)
    await sending.delivery.deliver([document(1, "poison")])
    assert len(sending.buried) == 1
    assert failures == []


async def test_the_token_goes_to_the_sink_and_not_to_a_redirect(
    sink: StrictSink, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\nsecond line\n")
    made = Sending(sink, tmp_path, token_file=token)
    async with StrictSink() as thief:
        sink.moods = [status(307, Location=f"{thief.url}/_bulk")]
        await made.delivery.deliver([document(1)])
        assert thief.requests == 0
    assert [h["Authorization"] for h in sink.headers] == ["Bearer s3cret"] * 2
    await made.delivery.close()
    told = [line for _, line in made.events.since(0)]
    assert "s3cret" not in str(told)


@pytest.mark.parametrize("text", ["", "\n", "two\twords", "sn\N{SNOWMAN}w"])
def test_a_file_without_a_token_is_a_finding(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_bytes(text.encode())
    with pytest.raises(ConfigError):
        Bulk(BulkConfig(token_file=path))


def test_dead_letters_that_were_written_in_part_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are written again each second: halves of them would push whole ones out."""
    letters = DeadLetters(tmp_path / "letters")
    letters.write([Refusal(document(0), 400, "no")])
    before = letters.path.read_bytes()
    write = os.write

    def short(fd: int, data: bytes) -> int:
        if len(data) < 100:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, data[: len(data) // 2])

    with monkeypatch.context() as patched:
        patched.setattr("logshipper.deadletter.os.write", short)
        for _ in range(3):
            with pytest.raises(OSError, match="No space"):
                letters.write([Refusal(document(n), 400, "no") for n in range(9)])
    assert letters.path.read_bytes() == before


def test_old_dead_letters_that_go_are_counted(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path / "letters", limit_bytes=2000)
    refusal = Refusal(b"x" * 400, 400, "bad")
    dropped = [letters.write([refusal]) for _ in range(9)]
    kept = sum(path.stat().st_size for path in tmp_path.iterdir())
    one = kept // sum(path.read_text().count("\n") for path in tmp_path.iterdir())
    assert kept + sum(dropped) == pytest.approx(9 * one, abs=20)
    assert sum(dropped) > 0
    assert kept <= 2000


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0.0),
        ("", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("-7", 0.0),
        ("soon", 0.0),
        ("\N{ARABIC-INDIC DIGIT SEVEN}", 0.0),
        ("9" * 400, 0.0),
        ("86400", 600.0),
        ("Wed, 01 Jul 2026 10:00:30 GMT", 30.0),
        ("Wed, 01 Jul 2026 09:00:00 GMT", 0.0),
        ("Wed, 99 Jul 2026 09:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_read_with_care(header: str | None, seconds: float) -> None:
    now = datetime(2026, 7, 1, 10, 0, 0, tzinfo=UTC)
    assert retry_after_seconds(header, now) == seconds


async def test_a_sink_that_hangs_is_red_when_its_first_request_is_given_up(
    sink: StrictSink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logshipper.delivery.ALARM_SECONDS", 0.3)
    sending = Sending(sink, tmp_path, request_timeout_seconds=0.5)
    sink.moods = [hang]
    seen: list[str] = []
    failed = sending.delivery._failed

    def watched(why: str, asked_at: float, retry_after_seconds: float = 0.0) -> None:
        failed(why, asked_at, retry_after_seconds)
        seen.append(sending.health.report().why)

    monkeypatch.setattr(sending.delivery, "_failed", watched)
    await sending.delivery.deliver([document(1)])
    assert len(seen) == 1
    assert "did not answer within 0.5 s" in seen[0]
    assert sending.health.report().healthy
    await sending.delivery.close()


async def test_a_sink_that_fails_every_other_request_is_told_of_once(
    sink: StrictSink, tmp_path: Path
) -> None:
    sending = Sending(sink, tmp_path)
    for number in range(10):
        sink.moods = [status(503)]
        await sending.delivery.deliver([document(number)])
    assert str(sending.events.since(0)).count("sink failing") == 1
    assert sending.metric("retries_total") == 10
    await sending.delivery.close()


async def test_dead_letters_that_cannot_be_written_do_not_accuse_the_sink(
    sink: StrictSink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("logshipper.delivery.LETTERS_SECONDS", 0.01)
    sending = Sending(sink, tmp_path)
    sink.poison = "poison"
    with monkeypatch.context() as patched:
        patched.setattr(DeadLetters, "write", full)
        delivering = asyncio.create_task(sending.delivery.deliver([document(1, "poison")]))
        await sink.until(lambda: "No space left" in sending.health.report().why)
        await sending.delivery.deliver([document(2)])
        assert "dead letters: cannot be written" in sending.health.report().why
        assert not delivering.done()
    await delivering
    assert sending.health.report().healthy
    assert len(sending.buried) == 1
    assert "sink failing" not in str(sending.events.since(0))
    await sending.delivery.close()


async def test_a_sink_that_is_not_there_is_red_before_the_next_attempt(
    sink: StrictSink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logshipper.delivery.ALARM_SECONDS", 0.05)
    monkeypatch.setattr("logshipper.delivery.LOOK_SECONDS", 0.02)
    sending = Sending(sink, tmp_path)
    sending.delivery._backoff = Backoff(3600.0, 3600.0)
    await sending.delivery.deliver([document(0)])
    await sink.stop()
    delivering = asyncio.create_task(sending.delivery.deliver([document(1)]))
    await sink.until(lambda: not sending.health.report().healthy)
    assert "cannot be reached (" in sending.health.report().why
    assert "is it running" in sending.health.report().why
    delivering.cancel()
    await asyncio.gather(delivering, return_exceptions=True)
    await sending.delivery.close()
    await sink.start()


async def test_a_refused_token_is_named(sink: StrictSink, tmp_path: Path) -> None:
    sending = Sending(sink, tmp_path)
    sink.moods = [status(401)]
    delivering = asyncio.create_task(sending.delivery.deliver([document(1)]))
    await sink.until(lambda: "token_file" in str(sending.events.since(0)))
    await delivering
    await sending.delivery.close()
