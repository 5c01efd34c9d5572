"""The ring of events: numbered without gaps, followed at each reader's own pace."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from wharfinger.events import MAX_ITEMS, MAX_TEXT_LENGTH, Events
from wharfinger.jsontext import encode_line


async def take(events: AsyncIterator[dict[str, object]], count: int) -> list[dict[str, object]]:
    async with asyncio.timeout(10):
        return [await anext(events) for _ in range(count)]


def test_a_line_has_number_time_level_and_fields() -> None:
    events = Events(clock=lambda: 0.5)
    events.emit("instance registered", service="shop_prod", port=20000)
    events.emit("check unhealthy", "warning")
    assert events.last == 2
    assert [line for _, line in events.since(0)] == [
        {
            "seq": 1, "time": "1970-01-01T00:00:00.500+00:00", "level": "info",
            "event": "instance registered", "service": "shop_prod", "port": 20000,
        },
        {
            "seq": 2, "time": "1970-01-01T00:00:00.500+00:00", "level": "warning",
            "event": "check unhealthy",
        },
    ]  # fmt: skip


@given(st.integers(1, 12), st.integers(0, 40), st.integers(-5, 50))
def test_what_since_gives_has_no_hole_that_is_not_told(kept: int, count: int, after: int) -> None:
    events = Events(kept=kept)
    for number in range(count):
        events.emit("x", number=number + 1)
    found = events.since(after)
    start = after if 0 <= after <= count else 0
    seen: list[int] = []
    for seq, line in found:
        if line["event"] == "gap":
            assert not seen
            missed = line["missed"]
            assert isinstance(missed, int)
            assert seq == start + missed
            seen.extend(range(start + 1, seq + 1))
            datetime.fromisoformat(str(line["time"]))
        else:
            assert line["number"] == seq
            seen.append(seq)
    assert seen == list(range(start + 1, count + 1))
    assert len(found) <= kept + 1


async def test_followers_get_what_was_and_what_comes() -> None:
    events = Events()
    events.emit("one")
    async with aclosing(events.follow(0)) as first, aclosing(events.follow(1)) as second:
        assert [line["event"] for line in await take(first, 1)] == ["one"]
        waiting = [asyncio.ensure_future(take(reader, 2)) for reader in (first, second)]
        await asyncio.sleep(0)
        events.emit("two")
        events.emit("three")
        for lines in await asyncio.gather(*waiting):
            assert [line["event"] for line in lines] == ["two", "three"]


async def test_a_slow_reader_is_told_what_it_missed_and_slows_nobody() -> None:
    events = Events(kept=10)
    async with aclosing(events.follow(0)) as slow, aclosing(events.follow(0)) as fast:
        events.emit("x")
        assert (await take(slow, 1))[0]["seq"] == 1
        for number in range(2, 102):
            events.emit("x")
            if number % 5 == 0:
                await take(fast, 5)
        lines = await take(slow, 11)
    assert (lines[0]["event"], lines[0]["missed"]) == ("gap", 90)
    assert [line["seq"] for line in lines] == list(range(91, 102))


async def test_a_number_from_an_earlier_life_begins_at_the_start() -> None:
    events = Events()
    events.emit("x")
    async with aclosing(events.follow(10**18)) as reader:
        assert (await take(reader, 1))[0]["seq"] == 1


def test_a_field_never_hides_the_lines_own() -> None:
    events = Events()
    events.emit("x", time="never", seq=99, event="y")
    ((seq, line),) = events.since(0)
    assert (seq, line["seq"], line["event"]) == (1, 1, "x")
    assert (line["seq_"], line["event_"], line["time_"]) == (99, "y", "never")


def test_a_huge_field_does_not_stay_in_memory() -> None:
    events = Events()
    events.emit("x", text="x" * 10**6, items=list(range(10**5)), nested=["y" * 10**6])
    line = events.since(0)[0][1]
    assert len(encode_line(line)) < 2 * MAX_TEXT_LENGTH + 10 * MAX_ITEMS + 500
    assert json.loads(encode_line(line))["items"][-1] == "... (100000 items)"


async def test_a_reader_at_the_end_costs_what_is_new_not_what_is_kept() -> None:
    events = Events()
    for _ in range(10_000):
        events.emit("x")
    start = time.process_time()
    for _ in range(2_000):
        events.since(events.last - 1)
    # Walking the whole ring each time takes a second and more.
    assert time.process_time() - start < 0.3
