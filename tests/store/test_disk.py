"""The model of a disk that the power tests trust: what is on it, and what only seemed to be."""

import random

import pytest

from tests.stack.calls import (
    Call,
    Closed,
    Made,
    Opened,
    Renamed,
    Resized,
    Restarted,
    Synced,
    Unlinked,
    Wrote,
)
from tests.stack.disk import SECTOR, Disk

FILE, FOLDER = 3, 4
MADE = (Opened(FOLDER, "/d"), Opened(FILE, "/d/f", create=True))


def disk(*calls: Call) -> Disk:
    made = Disk("/d")
    for call in calls:
        made.apply(call)
    return made


def test_a_name_needs_its_folder_and_content_its_file() -> None:
    wrote = (*MADE, Wrote(FILE, b"ab", 0))
    assert disk(*wrote).cached() == {"f": b"ab"}
    assert disk(*wrote).durable() == {}
    assert disk(*wrote, Synced(FOLDER)).durable() == {"f": b""}
    assert disk(*wrote, Synced(FILE)).durable() == {}
    assert disk(*wrote, Synced(FILE), Synced(FOLDER)).durable() == {"f": b"ab"}
    assert disk(*wrote, Synced(FILE)).content_ahead() == {}
    assert disk(*wrote, Synced(FILE)).names_ahead() == {"f": b"ab"}


def test_writes_after_a_sync_are_not_on_disk() -> None:
    calls = (*MADE, Synced(FOLDER), Wrote(FILE, b"one"), Synced(FILE), Wrote(FILE, b"two"))
    assert disk(*calls).cached() == {"f": b"onetwo"}
    assert disk(*calls).durable() == {"f": b"one"}
    assert disk(*calls).content_ahead() == {"f": b"onetwo"}


def test_a_failed_sync_lets_go_for_good() -> None:
    calls = (*MADE, Synced(FOLDER), Wrote(FILE, b"one", 0), Synced(FILE, failed=True))
    after = disk(*calls, Synced(FILE))
    assert after.cached() == {"f": b"one"}
    assert after.durable() == {"f": b""}
    again = disk(*calls, Wrote(FILE, b"one", 0), Synced(FILE))
    assert again.durable() == {"f": b"one"}


def test_what_was_let_go_of_is_older_than_what_was_synced_since() -> None:
    failed = (*MADE, Synced(FOLDER), Wrote(FILE, b"old", 0), Synced(FILE, failed=True))
    found = {disk(*failed).torn(random.Random(seed))["f"] for seed in range(50)}
    assert found == {b"", b"\0\0\0", b"old"}
    since = (*failed, Wrote(FILE, b"new", 0), Synced(FILE))
    assert {disk(*since).torn(random.Random(seed))["f"] for seed in range(50)} == {b"new"}


def test_names_change_at_once_and_are_synced_together() -> None:
    calls = (*MADE, Synced(FOLDER), Wrote(FILE, b"x"), Synced(FILE), Renamed("/d/f", "/d/g"))
    assert disk(*calls).durable() == {"f": b"x"}
    assert disk(*calls, Synced(FOLDER)).durable() == {"g": b"x"}
    assert disk(*calls, Unlinked("/d/g")).cached() == {}
    for seed in range(20):
        assert disk(*calls).torn(random.Random(seed)) in ({"f": b"x"}, {"g": b"x"})


def test_a_file_that_was_unlinked_goes_on_without_a_name() -> None:
    calls = (*MADE, Unlinked("/d/f"), Opened(5, "/d/f", create=True), Wrote(FILE, b"old"))
    assert disk(*calls).cached() == {"f": b""}


def test_folders_in_it() -> None:
    calls = (Opened(FOLDER, "/d"), Made("/d/t"), Opened(FILE, "/d/t/f", create=True))
    assert disk(*calls).cached() == {"t": None, "t/f": b""}
    assert disk(*calls, Synced(FOLDER)).durable() == {"t": None}
    inner = (*calls, Synced(FOLDER), Opened(6, "/d/t"), Synced(6))
    assert disk(*inner).durable() == {"t": None, "t/f": b""}


def test_sizes() -> None:
    calls = (*MADE, Wrote(FILE, b"abc", 0), Resized(FILE, 5))
    assert disk(*calls).cached() == {"f": b"abc\0\0"}
    assert disk(*calls, Resized(FILE, 1)).cached() == {"f": b"a"}
    assert disk(*calls, Resized(FILE, 2, grow=True)).cached() == {"f": b"abc\0\0"}
    appended = (*calls, Closed(FILE), Opened(FILE, "/d/f", append=True), Wrote(FILE, b"z"))
    assert disk(*appended).cached() == {"f": b"abc\0\0z"}
    assert disk(*appended, Opened(7, "/d/f", truncate=True)).cached() == {"f": b""}


def test_torn_writes_keep_and_lose_whole_sectors() -> None:
    old, new = b"o" * 3 * SECTOR, b"n" * 3 * SECTOR
    calls = (*MADE, Synced(FOLDER), Wrote(FILE, old, 0), Synced(FILE), Wrote(FILE, new, 0))
    kinds = set()
    for seed in range(200):
        content = disk(*calls).torn(random.Random(seed))["f"]
        assert content is not None
        parts = [content[at : at + SECTOR] for at in range(0, 3 * SECTOR, SECTOR)]
        assert all(part in {old[:SECTOR], new[:SECTOR]} for part in parts)
        kinds.add(content)
    assert len(kinds) == 8


def test_a_torn_file_may_have_its_size_before_its_data() -> None:
    calls = (*MADE, Synced(FOLDER), Wrote(FILE, b"n" * SECTOR, 0))
    found = {disk(*calls).torn(random.Random(seed))["f"] for seed in range(100)}
    assert found == {b"", bytes(SECTOR), b"n" * SECTOR}


def test_what_concerns_it() -> None:
    made = disk(*MADE)
    assert not made.apply(Opened(9, "/elsewhere", create=True))
    assert not made.apply(Wrote(9, b"x"))
    assert made.apply(Wrote(FILE, b"x"))
    assert made.apply(Restarted())
    assert not made.apply(Wrote(FILE, b"y"))
    assert made.cached() == {"f": b"x"}  # a kill does not touch the page cache
    with pytest.raises(ValueError, match="between folders"):
        disk(*MADE, Made("/d/t"), Renamed("/d/f", "/d/t/f"))
