"""`wharfinger logs -f`: no line is left out and none comes twice, whatever the store does."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, cast

import aiohttp
import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.operator.logs.stores import Store, logs, running, served
from tests.stack.logstore import StoreProcess
from wharfinger.errors import Unavailable
from wharfinger.operator.logs import client
from wharfinger.operator.logs.following import Following, with_pauses
from wharfinger.operator.logs.question import Parameters
from wharfinger.operator.parts.process import free_port, until

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Followed:
    """`wharfinger logs -f` beside the test."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        self.shown: list[str] = []
        self.told = ""
        self._capsys = capsys
        self._task = asyncio.create_task(logs("-f", "-o", "message", *arguments))

    async def has(self, text: str) -> bool:
        if self._task.done():
            self._task.result()
        captured = self._capsys.readouterr()
        self.shown += captured.out.splitlines()
        self.told += captured.err
        return text in self.shown or text in self.told

    def showing(self, lines: list[str]) -> Callable[[], Awaitable[bool]]:
        async def shows() -> bool:
            await self.has("")
            return len(self.shown) >= len(lines)

        return shows

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


async def test_follows_without_gap_or_repetition(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    await store.add("before")
    async with Followed(capsys, "--url", store.url) as followed:
        await until(lambda: followed.has("before"), timeout_seconds=20, what="the past")
        for number in range(20):
            await store.add(f"n{number}")
        await until(lambda: followed.has("n19"), timeout_seconds=20, what="the last line")
    assert followed.shown == ["before", *(f"n{number}" for number in range(20))]


async def test_only_lines_from_now_on(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    await store.add("before", time="2026-11-23T08:00:00Z")
    async with Followed(capsys, "--url", store.url, "--since", "now") as followed:
        for number in range(1_000):
            await store.add(f"n{number}")
            if await followed.has(f"n{number}"):
                break
            await asyncio.sleep(0.01)
    assert "before" not in followed.shown
    assert followed.shown


async def test_of_a_trace_that_comes_in_pieces_the_rest_is_told_in_a_pause(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    await store.add("start")
    async with Followed(capsys, "--url", store.url, "--fold") as followed:
        await until(lambda: followed.has("start"), timeout_seconds=20, what="the past")
        await store.add("boom", " at 1", " at 2", " at 3")
        await until(lambda: followed.has("... 2 lines folded"), timeout_seconds=20, what="a note")
    assert followed.shown == ["start", "boom", " at 1", "... 2 lines folded"]


async def test_a_line_that_search_and_tail_both_give_is_shown_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hits = [{"id": str(n), "time": "2026-11-23T12:00:00Z", "message": f"n{n}"} for n in range(4)]
    hits[1]["message"] = "x" * 2**20
    left_out = hits[2:]

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.match_info["what"] == "search":
            found = hits[:1] if "order" not in request.query else [hits[0], *left_out]
            return web.json_response({"hits": found, "more": False})
        response = web.StreamResponse()
        await response.prepare(request)
        events = b": following\n\n" + b"".join(
            b"data: " + json.dumps(each).encode() + b"\n\n" for each in hits[:2]
        )
        await response.write(events + b"event: dropped\ndata: 7\x1b[2J\n\n")
        return response

    async with served(answer) as url, Followed(capsys, "--url", url) as followed:
        await until(lambda: followed.has("n3"), timeout_seconds=20, what="what was left out")
    assert followed.shown == ["n0", "x" * 2**20, "n2", "n3"]
    assert "lines come too fast to follow" in followed.told


@pytest.mark.parametrize("sent", [b"data: 7\n\n", b"data: {\n\n", b"data: \xff\n\n"])
async def test_what_is_no_line_is_not_shown(
    sent: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.match_info["what"] == "search":
            return web.json_response({"hits": []})
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b": following\n\n" + sent)
        return response

    async with served(answer) as url, Followed(capsys, "--url", url) as followed:
        await until(lambda: followed.has("no line; trying"), timeout_seconds=20, what="said")


async def test_a_store_that_is_restarted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    expected: list[str] = []
    async with contextlib.AsyncExitStack() as stack:
        followed: Followed | None = None
        for life in range(4):
            async with running(tmp_path, port=port) as store:
                # What came before we are back, late lines among it, and what comes after.
                now = datetime.now(UTC).timestamp()
                for late in (0, 300):
                    expected.append(f"{life}.{late}")
                    await store.add(expected[-1], time=now - late)
                if followed is None:
                    followed = await stack.enter_async_context(Followed(capsys, "--url", store.url))
                await until(followed.showing(expected), timeout_seconds=20, what="those")
                expected.append(f"{life}.live")
                await store.add(expected[-1])
                await until(followed.showing(expected), timeout_seconds=20, what="live")
    assert followed is not None
    assert sorted(followed.shown) == sorted(expected)
    assert followed.told.count("trying again until it is back") == 3
    assert followed.told.count(f":{port} is back") == 3


class Server(StoreProcess):
    """A log store as a process, killed and started again on its port and folder."""

    async def add(self, number: int, time: datetime) -> None:
        """Sends a line until it is acknowledged; its id keeps it from being there twice."""
        document = {"message": f"n{number}", "@timestamp": time.isoformat(), "app": "shop"}
        body = f'{{"create":{{"_id":"{number}"}}}}\n{json.dumps(document)}\n'
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with (
                    aiohttp.ClientSession() as session,
                    session.post(f"{self.url}/_bulk", data=body) as answer,
                ):
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.05)


@pytest.mark.scenario
async def test_a_store_that_is_killed_again_and_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server, chance = Server(folder), random.Random(11)
    await server.start()
    sent = 0

    async def send(lines: int) -> None:
        nonlocal sent
        for _ in range(lines):
            # One in five comes late: its host was slow.
            late = timedelta(minutes=chance.choice([0, 0, 0, 0, 5]))
            await server.add(sent, datetime.now(UTC) - late)
            sent += 1

    try:
        await send(3)
        async with Followed(capsys, "--url", server.url) as followed:
            await until(lambda: followed.has("n2"), timeout_seconds=20, what="the past")
            for _ in range(3):
                sending = asyncio.create_task(send(40))
                await asyncio.sleep(chance.uniform(0, 0.3))
                await server.process.kill()
                await server.start()
                await sending
            last = f"n{sent - 1}"
            await until(lambda: followed.has(last), timeout_seconds=40, what="the last line")
    finally:
        await server.process.terminate()
    assert sorted(followed.shown, key=lambda text: int(text[1:])) == [f"n{n}" for n in range(sent)]
    assert followed.told.count("trying again until it is back") >= 1
    assert "is back" in followed.told


class Script:
    """A store that does what is written, in place of one: commits, breaks, leaves out."""

    url = "http://script"

    def __init__(self, steps: list[tuple[str, int]]) -> None:
        self.steps = steps
        self.lines: list[dict[str, Any]] = []
        self.queued: list[dict[str, Any]] = []

    def commit(self, minutes: int) -> None:
        number = len(self.lines)
        time = NOON + timedelta(minutes=minutes, microseconds=number)
        self.lines.append({"id": str(number), "time": time.isoformat(), "n": number})
        self.queued.append(self.lines[-1])

    @asynccontextmanager
    async def tail(self, _parameters: Parameters) -> AsyncIterator[AsyncIterator[client.Coming]]:
        self.queued.clear()
        yield self.coming()

    async def coming(self) -> AsyncIterator[client.Coming]:
        while self.steps or self.queued:
            while self.queued:
                yield self.queued.pop(0)
            match self.steps.pop(0) if self.steps else ("end", 0):
                case "commit", minutes:
                    self.commit(minutes)
                case "drop", lines:
                    for _ in range(lines + 1):
                        self.commit(0)
                    self.queued.clear()
                    yield True
                case "break", lines:
                    self.queued.clear()
                    for _ in range(lines):
                        self.commit(-10)
                    raise Unavailable("gone")
        raise EOFError

    async def page(self, parameters: Parameters, limit: int) -> client.Page:
        if self.steps and self.steps[0][0] == "commit":
            # It comes between the tail and the search: both have it.
            self.commit(self.steps.pop(0)[1])
        asked = dict(parameters)
        since = asked.get("from", "")
        found = sorted(
            (line for line in self.lines if line["time"] >= since), key=lambda line: line["time"]
        )
        if "order" not in asked:
            found.reverse()
        if beyond := asked.get("after") or asked.get("before"):
            at = [line["id"] for line in found].index(beyond)
            found = found[at + 1 :]
        raw = [msgspec.Raw(msgspec.json.encode(line)) for line in found[:limit]]
        return client.Page(raw, len(found) > limit)


STEPS = st.lists(
    st.tuples(st.just("commit"), st.integers(-14, 0))
    | st.tuples(st.sampled_from(["drop", "break"]), st.integers(0, 5)),
    max_size=25,
)


@given(STEPS, st.sampled_from([None, 100]), st.integers(0, 3))
def test_whatever_it_does_each_line_comes_once(
    steps: list[tuple[str, int]], limit: int | None, before: int
) -> None:
    # What is left out while it is up is looked for within a minute only.
    script = Script([(kind, n) for kind, n in steps])
    for _ in range(before):
        script.commit(0)

    async def follow() -> list[int]:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("wharfinger.operator.logs.pages.PAGE_LINES", 4)
            patched.setattr("wharfinger.operator.logs.following.BACKOFF_CAP_SECONDS", 0.0)
            store = cast("client.Store", script)
            following = Following(store, (), limit, lambda _text: None, lambda: NOON)
            seen: list[int] = []
            with contextlib.suppress(EOFError):
                async for hits in following.lines():
                    seen += [hit["n"] for hit in hits]
            return seen

    assert sorted(asyncio.run(follow())) == list(range(len(script.lines)))


async def test_a_pause_is_told_once_and_nothing_is_lost() -> None:
    go_on = asyncio.Event()

    async def source() -> AsyncIterator[int]:
        yield 1
        await go_on.wait()
        yield 2

    seen: list[int | None] = []
    async for each in with_pauses(source(), 0.01):
        seen.append(each)
        if each is None:
            go_on.set()
    assert seen == [1, None, 2]
