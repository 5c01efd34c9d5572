"""How much one may, over HTTP: questions, bytes, threads; others never wait for that."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from logshipper.store.http import guard
from logshipper.store.query.language import Query
from logshipper.store.query.turns import ASKER, Turns
from tests.store.running import ACTION, Make
from wharfinger.operator.parts.process import until

A, B = {"Authorization": "Bearer token-of-a"}, {"Authorization": "Bearer token-of-b"}


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text("token-of-a default a\ntoken-of-b default b\n")
    return path


async def test_questions_of_each_reader(make: Make, tokens: Path) -> None:
    store = await make(read_token_file=tokens, read_requests_per_second=0.01)
    assert await store.get("/api/search", headers=A)
    answer = await store.client.get("/api/search", headers=A)
    assert answer.status == 429
    assert int(answer.headers["Retry-After"]) > 50
    assert "read_requests_per_second" in (await answer.json())["fix"]
    assert await store.get("/api/search", headers=B)
    # It is the reader that counts, not the way in which the token comes.
    login = await store.client.post("/api/login", json={"token": "token-of-a"})
    assert login.status == 200
    assert (await store.client.get("/api/search")).status == 429


async def test_bytes_of_each_sender(make: Make, tokens: Path) -> None:
    store = await make(ingest_token_file=tokens, ingest_bytes_per_second=100)
    lines = (ACTION, f'{{"message":"{"x" * 5000}"}}')
    assert (await store.bulk(*lines, headers=A)).status == 200
    answer = await store.bulk(*lines, headers=A)
    assert answer.status == 429
    assert int(answer.headers["Retry-After"]) > 40
    assert (await answer.json())["status"] == 429
    assert (await store.bulk(*lines, headers=B)).status == 200
    assert len(await store.found()) == 2
    refused = store.scope.metrics.get_sample_value(
        "wharfinger_logstore_refused_requests_total", {"reason": "rate"}
    )
    assert refused == 1


async def test_open_questions_of_one_reader_are_bounded(
    make: Make, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "MAX_OPEN", 3)
    store = await make(read_token_file=tokens)
    tails = [await store.client.get("/api/tail", headers=A) for _ in range(4)]
    assert [tail.status for tail in tails] == [200, 200, 200, 429]
    assert await store.get("/api/search", headers=A)  # tails do not count against questions
    other = await store.client.get("/api/tail", headers=B)
    assert other.status == 200
    for tail in (*tails, other):
        tail.close()

    async def free() -> bool:
        again = await store.client.get("/api/tail", headers=A)
        again.close()
        return again.status == 200

    await until(free, timeout_seconds=10, what="those that ended count no more")


async def test_a_reader_with_slow_questions_keeps_nobody_waiting(
    make: Make, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await make(read_token_file=tokens)
    await store.add("x")
    search = store.daemon._archive.search
    go_on, slow = threading.Event(), "slow"

    def stuck(tenant: str, query: Query, *rest: Any) -> Any:
        if query.terms:
            go_on.wait(60)
        return search(tenant, query, *rest)

    monkeypatch.setattr(store.daemon._archive, "search", stuck)
    asking = [
        asyncio.create_task(store.get("/api/search", params={"q": slow}, headers=A))
        for _ in range(20)
    ]
    try:

        async def full() -> bool:
            name = "wharfinger_logstore_waiting_questions"
            return (store.scope.metrics.get_sample_value(name) or 0) >= 17

        await until(full, timeout_seconds=10, what="all but three wait")
        async with asyncio.timeout(10):
            assert len((await store.get("/api/search", headers=B))["hits"]) == 1
    finally:
        go_on.set()
    assert [found["hits"] for found in await asyncio.gather(*asking)] == [[]] * 20


def test_turns_are_taken_by_whoever_has_fewest_running() -> None:
    turns = Turns(2)
    first, second = threading.Event(), threading.Event()

    def ask(asker: str, question: Callable[[], object] = int) -> "Future[object]":
        ASKER.set(asker)
        return turns.submit(question)

    ask("a", lambda: first.wait(30))
    more = [ask("a") for _ in range(3)]
    ask("b", lambda: second.wait(30))
    others = [ask("c"), ask("b")]
    second.set()
    # The thread that is free again is never the second one of who has one already.
    assert [each.result(30) for each in others] == [0, 0]
    assert not any(each.done() for each in more)
    first.set()
    assert [each.result(30) for each in more] == [0, 0, 0]
    turns.shutdown()
    ASKER.set("")


def test_questions_of_those_who_went_away_take_no_memory() -> None:
    turns = Turns(2)
    go_on = threading.Event()
    running = [turns.submit(lambda: go_on.wait(30)) for _ in range(1)]
    for _ in range(5_000):
        assert turns.submit(int).cancel()
    assert sum(map(len, turns._queues.values())) <= 129
    last = turns.submit(int)
    go_on.set()
    assert last.result(30) == 0
    assert running[0].result(30)
    turns.shutdown()


def test_turns_that_fail_are_cancelled_or_come_too_late() -> None:
    turns = Turns(2)
    with pytest.raises(ZeroDivisionError):
        turns.submit(lambda: 1 / 0).result(10)
    entered, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        go_on.wait(10)

    running = turns.submit(hold)
    entered.wait(10)
    waiting = [turns.submit(int) for _ in range(3)]
    assert waiting[0].cancel()
    turns.shutdown(wait=False, cancel_futures=True)
    assert all(each.cancelled() for each in waiting)
    go_on.set()
    running.result(10)
    with pytest.raises(RuntimeError):
        turns.submit(int)
