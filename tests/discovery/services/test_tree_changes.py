"""A tree that heard of changes one by one tells what one that lists it all at once tells."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery import guard
from discovery.services.instances import paired
from discovery.services.tree import Tree
from wharfinger import kv

NAMES = ("shop_prod", "Shop_prod", "blog_prod", "own", "x_", "www_prod")
CHILDREN = ("10.0.0.1-80", "10.0.0.2-80", "[::1]-80", "database", "10.0.0.1-x")
KEYS = (
    *(f"{below}/{name}/{child}" for below in ("", "/wharfinger/instances") for name in NAMES
      for child in CHILDREN),
    "/deep/er/key", "/top",
)  # fmt: skip
VALUES = (
    b"10.0.0.1:80", b"10.0.0.2:80", b"[::1]:80", b"\xff", b'{"http_host": "a.test"}',
    b'{"weight": 0}',
)  # fmt: skip

steps = st.lists(
    st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from((None, *VALUES))), max_size=4),
    max_size=12,
)


@given(steps, st.booleans())
def test_changes_add_up_to_what_a_list_says(
    updates: list[list[tuple[str, bytes | None]]], looking: bool
) -> None:
    tree, items = Tree(), dict[str, kv.KeyValue]()
    tree.hear(kv.Listed(kv.Snapshot(1, {})))
    for revision, update in enumerate(updates, 2):
        events = []
        for key, value in dict(update).items():
            before = items.pop(key, None)
            if value is not None:
                made = before.create_revision if before else revision
                items[key] = kv.KeyValue(key, value, made, revision, 1, 0)
            events.append(kv.Event(key, revision, items.get(key)))
        tree.hear(kv.Changed(revision, tuple(events)))
        if looking:
            tree.snapshot()
            assert tree.instances().revision == revision
    fresh = Tree()
    fresh.hear(kv.Listed(kv.Snapshot(len(updates) + 1, items)))
    told, wanted = tree.snapshot(), fresh.snapshot()
    assert told.services == wanted.services
    assert told.rejected == wanted.rejected
    assert (dict(told.values), dict(told.raw)) == (dict(wanted.values), dict(wanted.raw))
    assert tree.instances().items == fresh.instances().items


def test_who_did_not_change_is_not_taken_up_again() -> None:
    tree, known = Tree(), dict[str, guard.Known]()
    items = {}
    for number in range(3):
        key = f"app{number}_prod/10.0.0.1-80"
        meta = json.dumps({"http_host": f"h{number}.test"}).encode()
        for name, value in ((f"/{key}", b"10.0.0.1:80"), (f"/wharfinger/instances/{key}", meta)):
            items[name] = kv.KeyValue(name, value, 1, 1, 1, 0)
    tree.hear(kv.Listed(kv.Snapshot(1, items)))
    shown = []
    for revision in (2, 3):
        new = kv.KeyValue(f"/app1_prod/10.0.0.{revision}-80", b"", revision, revision, 1, 0)
        tree.hear(kv.Changed(revision, (kv.Event(new.key, revision, new),)))
        snapshot = tree.snapshot()
        known = guard.remember(known, snapshot, float(revision))
        shown.append(guard.served(snapshot, {}, known).services)
    before, after = shown
    assert [one is other for one, other in zip(before, after, strict=True)] == [True, False, True]


def pair(name: str, child: str = "10.0.0.1-80") -> tuple[str, str]:
    return f"/{name}/{child}", f"/wharfinger/instances/{name}/{child}"


@pytest.mark.parametrize(
    ("puts", "deletes", "complete"),
    [
        (pair("www_prod"), (), True),
        ((*pair("www_prod"), *pair("shop_prod")), (), True),
        (pair("www_prod")[:1], (), False),
        (pair("www_prod")[1:], (), False),
        ((*pair("www_prod"), pair("shop_prod")[1]), (), False),
        ((*pair("www_prod"), "/wwwapp/database/url"), (), False),
        ((), pair("www_prod"), False),
        ((), (), False),
    ],
)
def test_a_pair_that_was_put_is_all_that_its_transaction_brought(
    puts: tuple[str, ...], deletes: tuple[str, ...], complete: bool
) -> None:
    events = [kv.Event(key, 2, kv.KeyValue(key, b"", 2, 2, 1, 0)) for key in puts]
    assert paired([*events, *(kv.Event(key, 2, None) for key in deletes)]) == complete
