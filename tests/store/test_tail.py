"""What waits for the reader of a live tail is bounded, in lines and in bytes."""

from logshipper.store.model import Hit, Key, Line, Stream
from logshipper.store.query import plan
from logshipper.store.query.language import parse
from logshipper.store.query.tail import Follower

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
