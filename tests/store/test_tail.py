"""What waits for the reader of a live tail is bounded, in lines and in bytes."""

import asyncio
import contextlib
import time

import pytest
from prometheus_client import CollectorRegistry

from logshipper.store.lines import documents
from logshipper.store.lines.times import Arrival
from logshipper.store.metrics import Metrics
from logshipper.store.model import Hit, Key, Line, Stream
from logshipper.store.query import plan
from logshipper.store.query.language import parse
from logshipper.store.query.tail import Follower, Tails, fitting

NOTHING = plan.make(parse("", plan.Filters()), lambda _text: [], has_index=False)


def hit(number: int, size: int) -> Hit:
    line = Line(number, Stream("", "", "", "", ""), 0, "x" * size, b"")
    return Hit(20_000, Key(number, 1, number), line)


async def waiting(follower: Follower) -> tuple[list[int], int]:
    async for hits, dropped in follower.batches(0.01):
        return [each.key.line for each in hits], dropped
    raise AssertionError


async def test_the_oldest_are_dropped_and_counted() -> None:
    follower = Follower("default", NOTHING, limit=3, limit_characters=100)
    follower.put([hit(n, 1) for n in range(5)])
    follower.put([hit(5, 1)])
    assert await waiting(follower) == ([3, 4, 5], 3)
    assert await waiting(follower) == ([], 0)
    follower.put([hit(6, 60), hit(7, 60)])
    assert await waiting(follower) == ([7], 1)
    follower.put([hit(8, 200)])  # one that is longer than all may be
    assert await waiting(follower) == ([], 1)
    follower.put([hit(n, 40) for n in range(9, 14)])
    assert await waiting(follower) == ([12, 13], 3)


async def test_between_two_followers_all_else_has_its_turn() -> None:
    tails = Tails(asyncio.get_running_loop(), Metrics(CollectorRegistry()))
    document = documents.document({"message": "x", "app": "shop"}, "", Arrival.of(time.time_ns()))
    with contextlib.ExitStack() as stack:
        followers = [stack.enter_context(tails.follow("default", NOTHING)) for _ in range(3)]
        tails.committed("default", 20_000, [document] * 2, [1, None])
        served = []
        for _ in range(5):
            await asyncio.sleep(0)
            served.append(sum(follower._more.is_set() for follower in followers))
    assert served == [1, 2, 3, 3, 3]
    assert [await waiting(follower) for follower in followers] == [([1], 0)] * 3


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", [0, 1, 2, 3]),
        ("app:shop", [0, 1]),
        ("app:shop level:error", [0]),
        ("-app:shop", [2, 3]),
        ("four", [3]),
        ("message -app:shop -four", [2]),
        ("level:error -three", [0]),
    ],
)
def test_which_lines_fit(text: str, kept: list[int]) -> None:
    made = [("one", "shop", "error"), ("two", "shop", "info"), ("three", "web", "error")]
    hits = [
        Hit(20_000, Key(1, 1, at), documents.document(fields, "", Arrival.of(time.time_ns())).line)
        for at, (name, app, level) in enumerate([*made, ("four", "web", "")])
        for fields in [{"message": f"message {name}", "app": app, "level": level}]
    ]
    question = plan.make(parse(text), lambda _text: [], has_index=False)
    assert [hit.key.line for hit in fitting(question, hits)] == kept
