"""What a watch makes of each message, and how it tells another history from its own."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wharfinger.history import (
    Action,
    Alive,
    Confirmed,
    Deliver,
    Gathering,
    Holding,
    Relist,
    Retry,
    agrees,
    decide,
    questions,
    watch_id,
)
from wharfinger.kv import (
    Count,
    Event,
    Get,
    KeyRange,
    KeyValue,
    Result,
    WatchAnswer,
)

ALL = KeyRange("", None)


def put(key: str, revision: int, value: bytes = b"", lease: int = 0) -> Event:
    return Event(key, revision, KeyValue(key, value, revision, revision, 1, lease))


def gone(key: str, revision: int) -> Event:
    return Event(key, revision, None)


def held(revision: int, *events: Event) -> Holding:
    holding = Holding(ALL, 0, {})
    holding.take(events)
    holding.revision = revision
    return holding


TWO = (held(10), held(12))
CASES: list[tuple[str, WatchAnswer, Action]] = [
    ("up to date", WatchAnswer(1, 10, created=True), Confirmed(0, behind=False)),
    ("behind", WatchAnswer(2, 15, created=True), Confirmed(1, behind=True)),
    # a follower that lags: the proof, a linearizable read, makes it catch up
    ("lagging member", WatchAnswer(2, 5, created=True), Confirmed(1, behind=False)),
    ("next", WatchAnswer(1, 11, events=(put("/a", 11),)), Deliver(0, (put("/a", 11),))),
    ("gap", WatchAnswer(2, 20, events=(put("/a", 20),)), Deliver(1, (put("/a", 20),))),
    ("again", WatchAnswer(1, 11, events=(put("/a", 10),)), Relist("revision 10 came after 10")),
    ("old", WatchAnswer(2, 13, events=(put("/a", 11),)), Relist("revision 11 came after 12")),
    ("progress", WatchAnswer(-1, 12), Alive()),
    ("progress ahead", WatchAnswer(-1, 99), Alive()),
    ("no revision", WatchAnswer(-1, 0), Alive()),
    ("progress that newer events overtook", WatchAnswer(-1, 11), Alive()),
    ("backwards", WatchAnswer(-1, 8), Relist("the revision went back from 9 to 8")),
    (
        "compacted",
        WatchAnswer(1, 20, canceled=True, compact_revision=15),
        Relist("history is compacted up to revision 15"),
    ),
    (
        "denied",
        WatchAnswer(1, 20, created=True, canceled=True, reason="etcdserver: permission denied"),
        Retry("the watch was ended: etcdserver: permission denied"),
    ),
    ("ended", WatchAnswer(1, 20, canceled=True), Retry("the watch was ended: without a reason")),
    (
        "stranger",
        WatchAnswer(3, 20, events=(put("/a", 20),)),
        Retry("an answer to a watch that was not asked for: 3"),
    ),
    (
        "created for nobody",
        WatchAnswer(0, 20, created=True),
        Retry("an answer to a watch that was not asked for: 0"),
    ),
]


@pytest.mark.parametrize(
    ("answer", "action"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_each_message_means_one_thing(answer: WatchAnswer, action: Action) -> None:
    assert decide(answer, TWO, 9) == action


def test_no_watch_has_the_id_that_lets_etcd_choose() -> None:
    assert watch_id(0) != 0


def test_taking_events_brings_a_holding_up_to_date() -> None:
    holding = held(0)
    holding.take((put("/a", 3), put("/b", 3), put("/a", 4, b"x"), gone("/b", 5), gone("/c", 6)))
    assert {key: kv.value for key, kv in holding.items.items()} == {"/a": b"x"}
    assert holding.revision == 6
    assert tuple(holding.latest) == ("/a", "/b", "/a", "/b", "/c")


def answers(server: Holding, asked: Sequence[Get | Count]) -> list[Result]:
    return [len(server.items) if isinstance(a, Count) else server.items.get(a.key) for a in asked]


def ask(holding: Holding) -> tuple[Get | Count, ...]:
    return questions(holding, random.sample)


def test_the_same_history_is_recognised() -> None:
    events = [put(f"/{n}", n) for n in range(1, 50)] + [gone("/3", 50)]
    holding = held(50, *events)
    asked = ask(holding)
    assert all(question.revision == 50 for question in asked)
    assert agrees(holding, asked, answers(held(50, *events), asked))


def test_an_empty_range_asks_for_its_emptiness() -> None:
    holding = held(7)
    asked = ask(holding)
    assert asked == (Count(ALL, 7),)
    assert agrees(holding, asked, [0])
    assert not agrees(holding, asked, [1])


OURS = [put("/a", 2), put("/b", 3), put("/c", 4, lease=1)]


@pytest.mark.parametrize(
    "theirs",
    [
        [],
        [put("/a", 2), put("/b", 3)],
        [put("/a", 2), put("/b", 3), put("/x", 4, lease=1)],
        [put("/a", 2), put("/b", 3), put("/c", 5, lease=1)],
        [put("/a", 2), put("/b", 3), put("/c", 4, b"other", lease=1)],
        [put("/a", 2), put("/b", 3), put("/c", 4, lease=2)],  # the same script, another lease
        [put("/b", 2), put("/a", 3), put("/c", 4, lease=1)],
        [*OURS, put("/d", 4)],
    ],
    ids=["empty", "shorter", "other key", "later", "other value", "other lease", "order", "more"],
)
def test_another_history_that_has_passed_our_revision_is_recognised(theirs: list[Event]) -> None:
    holding = held(4, *OURS)
    asked = ask(holding)
    assert not agrees(holding, asked, answers(held(4, *theirs), asked))


def test_a_restored_backup_that_lacks_a_deletion_is_recognised() -> None:
    holding = held(5, *OURS, gone("/a", 5))
    theirs = held(5, *OURS, gone("/b", 5))
    assert len(theirs.items) == len(holding.items)
    asked = ask(holding)
    assert Get("/a", 5) in asked
    assert not agrees(holding, asked, answers(theirs, asked))


def test_the_latest_keys_of_a_list_are_witnesses() -> None:
    items = {f"/{n:03}": KeyValue(f"/{n:03}", b"", n, n, 1, 0) for n in range(1, 500)}
    asked = questions(Holding(ALL, 499, items), lambda keys, count: keys[:count])
    assert {q.key for q in asked if isinstance(q, Get)} >= {f"/{n:03}" for n in range(492, 500)}
    assert len(asked) <= 17


events_of_two_ranges = st.lists(
    st.tuples(st.integers(1, 6), st.booleans(), st.text("ab", min_size=1, max_size=1)), max_size=20
)


@given(events_of_two_ranges, st.lists(st.integers(0, 7)))
def test_gathering_loses_nothing_and_splits_no_revision(
    drawn: list[tuple[int, bool, str]], limits: list[int]
) -> None:
    events = [put(("/x" if first else "/y") + key, revision) for revision, first, key in drawn]
    gathering = Gathering()
    gathering.add(events)
    assert gathering.newest_revision == max((event.revision for event in events), default=0)
    released = [gathering.release(limit) for limit in [*sorted(limits), None]]
    updates = [update for update in released if update]
    assert len(gathering) == 0
    seen = [event for update in updates for event in update.events]
    assert seen == sorted(events, key=lambda event: event.revision)
    ends = [update.revision for update in updates]
    assert ends == sorted(set(ends))
    starts = [update.events[0].revision for update in updates]
    assert all(start > end for start, end in zip(starts[1:], ends, strict=False))


def test_nothing_gathered_is_nothing_released() -> None:
    assert Gathering().release() is None
    assert Gathering().release(5) is None
    assert Gathering().newest_revision == 0
