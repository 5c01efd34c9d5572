"""Who listens where a daemon would: any process of the host may, and must end nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from logshipper.daemonevents import follower
from logshipper.daemonevents.follower import following
from logshipper.delivery import Delivery
from logshipper.metrics import Metrics
from logshipper.sinks.encoding.bulk import BulkEncoding

HEAD = "HTTP/1.1 200 OK\r\nWharfinger-Daemon: registrar\r\nWharfinger-Start: {start}\r\n\r\n"
GOOD = {"seq": 1, "time": "2026-01-01T00:00:00.000+00:00", "level": "info", "event": "said"}


class Sink:
    """Takes what comes."""

    name = "store"

    def __init__(self) -> None:
        self.documents: list[bytes] = []
        self.most_bytes = 0

    async def deliver(self, documents: list[bytes]) -> None:
        self.documents += documents
        self.most_bytes = max(self.most_bytes, sum(map(len, documents)))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "BATCH_SECONDS", 0.05)


@asynccontextmanager
async def listening(head: str, lines: list[bytes]) -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head.encode())
            for line in lines:
                writer.write(line + b"\n")
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def followed(head: str, lines: list[bytes], folder: Path, seconds: float = 0.3) -> Sink:
    """What is shipped of it in so many seconds; the follower goes on for ever."""
    sink = Sink()
    async with listening(head, lines) as url:
        metrics = Metrics(CollectorRegistry())
        ((_, loop),) = following(
            {"registrar": url},
            "box1",
            folder,
            delivery=cast("Delivery", sink),
            encoding=BulkEncoding(),
            metrics=metrics,
        )
        task = asyncio.create_task(loop)
        done, _ = await asyncio.wait([task], timeout=seconds)
        task.cancel()
        for each in done:
            each.result()
        with suppress(asyncio.CancelledError):
            await task
    return sink


@pytest.mark.parametrize("start", ["1", "x", "9" * 5_000, "-1", "1e3", "\u0661"])
async def test_any_start_is_outlived(start: str, tmp_path: Path) -> None:
    await followed(HEAD.format(start=start), [json.dumps(GOOD).encode()], tmp_path)


@pytest.mark.parametrize(
    "said",
    [
        {"event": "gap", "missed": -1},
        {"event": "gap", "missed": 10**400},
        {"event": "gap", "missed": True},
        {"seq": 10**30},
        {"level": ["info"]},
        {"time": {"of": "day"}},
        {"start": 10**400, "app": "shop", "_id": "1", "@timestamp": 1},
    ],
)
async def test_any_event_is_outlived(said: dict[str, Any], tmp_path: Path) -> None:
    line = json.dumps(GOOD | said).encode()
    # What was noted of it can be read again.
    await followed(HEAD.format(start=1), [line], tmp_path)
    sink = await followed(HEAD.format(start=1), [json.dumps(GOOD).encode()], tmp_path)
    assert any(b'"said"' in each for each in sink.documents)


async def test_long_events_are_not_held_by_the_hundred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "BATCH_SECONDS", 3.0)
    length = 500_000
    lines = [json.dumps(GOOD | {"seq": n, "x": "x" * length}).encode() for n in range(1, 60)]
    sink = await followed(HEAD.format(start=1), lines, tmp_path, 3.0)
    # The text of an event says all of its fields once more.
    assert 0 < sink.most_bytes < 20_000_000
