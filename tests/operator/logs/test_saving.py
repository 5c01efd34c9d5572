"""`wharfinger logs --export`: all that matches, or no file that looks like it."""

import asyncio
import gzip
import json
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import zstandard
from aiohttp import web

from tests.operator.logs.stores import Store, logs, running, served
from wharfinger.errors import Conflict, Exit, Rejected, Unavailable
from wharfinger.operator.logs.saving import Progress
from wharfinger.operator.parts.process import until


def read(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    elif path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    assert data.endswith(b"\n")
    return [json.loads(row) for row in data.splitlines()]


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


@pytest.mark.parametrize("lines", [6_000, pytest.param(100_000, marks=pytest.mark.scenario)])
async def test_each_line_once_and_in_order(store: Store, tmp_path: Path, lines: int) -> None:
    began = datetime.now(UTC).timestamp() - 2_000
    sent = [
        {"message": f"line {n} \x1b[2J\u2028ü", "time": began + n / 100, "app": "shop", "n": n}
        for n in range(lines)
    ]
    for at in range(0, lines, 5_000):
        await store.add_all(sent[at : at + 5_000])
    await store.add("another", app="cart")
    path = tmp_path / "all.ndjson.zst"
    assert await store.logs("--app", "shop", "--export", str(path)) is Exit.OK
    found = read(path)
    assert [(hit["n"], hit["message"]) for hit in found] == [(s["n"], s["message"]) for s in sent]
    assert len({hit["id"] for hit in found}) == lines


@pytest.mark.parametrize("name", ["a.ndjson", "a.jsonl.gz", "a.json.zst"])
async def test_each_packing(store: Store, tmp_path: Path, name: str) -> None:
    await store.add("x", "y")
    path = tmp_path / name
    path.write_text("of yesterday")
    assert await store.logs("--export", str(path)) is Exit.OK
    assert [hit["message"] for hit in read(path)] == ["x", "y"]
    assert {each.name for each in files(tmp_path)} == {name, "tokens", "logstore"}


async def test_nothing_found_is_an_empty_file(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    assert await store.logs("--export", str(path), "--fail-empty") is Exit.EMPTY
    assert path.read_bytes() == b""


async def test_a_store_that_goes_away_and_comes_back_costs_no_line(tmp_path: Path) -> None:
    gone = iter([False, True, True, False, True, False])

    async def answer(request: web.Request) -> web.Response:
        if next(gone, False):
            assert request.transport is not None
            request.transport.abort()
        after = int(request.query.get("after", "-1")) + 1
        hits = [{"id": str(n), "message": "x"} for n in range(after, after + 3)]
        return web.json_response({"hits": hits, "more": after < 6})

    path = tmp_path / "a.ndjson"
    async with served(answer) as url:
        assert await logs("--url", url, "--export", str(path)) is Exit.OK
    assert [hit["id"] for hit in read(path)] == [str(n) for n in range(9)]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A disk that is full (setrlimit(2), RLIMIT_FSIZE)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.parametrize("name", ["a.ndjson", "a.ndjson.gz", "a.ndjson.zst"])
async def test_a_full_disk_leaves_what_was_there(tmp_path: Path, name: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        at = int(request.query.get("after", "0")) + 1
        hits = [{"id": str(at), "message": f"{at:x}" * 10_000}]
        return web.json_response({"hits": hits, "more": at < 200})

    path = tmp_path / name
    path.write_text("of yesterday")
    async with served(answer) as url:
        with (
            files_of_at_most(100),
            pytest.raises(Unavailable, match=r"not written: File too large"),
        ):
            await logs("--url", url, "--export", str(path))
    assert [each.name for each in files(tmp_path)] == [name]
    assert path.read_text() == "of yesterday"


@pytest.mark.parametrize("way", ["--export", "-o"])
async def test_an_interruption_is_no_end(
    tmp_path: Path, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = 0

    async def answer(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        if asked > 1:
            await asyncio.sleep(60)
        return web.json_response({"hits": [{"id": "1", "message": "x"}], "more": True})

    async def waits() -> bool:
        return asked > 1

    path = tmp_path / "a.ndjson"
    arguments = ["--export", str(path)] if way == "--export" else ["-n", "all", "-o", "json"]
    async with served(answer) as url:
        task = asyncio.create_task(logs("--url", url, *arguments))
        await until(waits, timeout_seconds=20, what="the second page is asked for")
        task.cancel()
        with pytest.raises(Conflict, match="interrupted after"):
            await task
    assert files(tmp_path) == []


@pytest.mark.parametrize("name", ["a.txt", "ndjson", "a.ndjson.xz", "a.ndjson/"])
async def test_a_name_that_says_no_form(name: str) -> None:
    with pytest.raises(Rejected, match=r"name it FILE\.ndjson"):
        await logs("--export", f"{name}x")


async def test_what_is_no_plain_file_stays(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").mkdir()
    (tmp_path / "b.ndjson").symlink_to("/dev/null")
    (tmp_path / "c.ndjson").symlink_to(tmp_path / "nowhere")
    for path in files(tmp_path):
        with pytest.raises(Rejected, match="is no plain file"):
            await logs("--export", str(path))
    async with running(tmp_path / "s") as store:
        with pytest.raises(Unavailable, match="was not written: No such file"):
            await store.logs("--export", str(tmp_path / "none" / "a.ndjson"))


def test_progress_is_for_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    for there in (False, True):
        progress = Progress(shown=there, clock=lambda: now[0])
        now[0] += 2
        progress.add(3_000)
        progress.complain("gone")
        shown = capsys.readouterr().err
        row = "\r\x1b[K3,000 lines, 1,500/s\r\x1b[K" if there else ""
        assert shown == f"{row}wharfinger: gone\n"
