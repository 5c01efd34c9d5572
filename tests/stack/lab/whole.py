"""What the scenarios on several hosts hold of all lines."""

from collections.abc import Callable

from tests.stack.lab.load import Load
from tests.stack.lab.platform import Platform

Record = Callable[[str, object], None]


async def lines_are_whole(platform: Platform, load: Load, record: Record) -> None:
    """Every order that was answered has its line in the store, once."""
    stored = await platform.until_stored(load.answered)
    record("lines stored", len(load.answered & stored.keys()))
    record("lines lost", len(load.answered - stored.keys()))
    record("lines twice", stored.total() - len(stored))
    assert stored.total() == len(stored)
