"""A whole and its changes, merged by key, are the whole that comes later; and nothing is kept."""

import json
import subprocess
import sys
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from logshipper.store.fleet.frames import Frame, Ring
from logshipper.store.fleet.orderbook import MAX_ORDERS, SHOWN_SECONDS
from logshipper.store.fleet.snapshot import Snapshot
from tests.store.fleet.conftest import key_of, pair, record
from wharfinger.keys import OrderKey
from wharfinger.kv import Event, KeyValue
from wharfinger.orders import Order, encode


def event(key: str, value: bytes | None, revision: int) -> Event:
    kv = None if value is None else KeyValue(key, value, revision, revision, 1, 0)
    return Event(key, revision, kv)


def seen(part: Any) -> Any:
    return json.loads(msgspec.json.encode(part))


def merged(fleet: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """As a browser merges."""
    services = dict(fleet["services"])
    for name, service in change.get("services", {}).items():
        if service is None:
            services.pop(name, None)
            continue
        instances = services.get(name, {}).get("instances", {}) | service["instances"]
        kept = {each: told for each, told in instances.items() if told is not None}
        services[name] = {**service, "instances": kept}
    made = {**fleet, "services": services, "rejected": change.get("rejected", fleet["rejected"])}
    for part in ("hosts", "orders", "releases"):
        both = fleet[part] | change.get(part, {})
        made[part] = {name: told for name, told in both.items() if told is not None}
    return made


def order(**more: Any) -> bytes:
    return encode(Order(verb="drain", target="box1", **more))


ORDER = OrderKey("box1", "abcdefgh").key
VALUES: list[tuple[str, bytes | None]] = [
    *[item for port in (1, 2) for item in pair(key_of(port)).items()],
    *[item for port in (1, 2) for item in pair(key_of(port), host="box2").items()],
    *pair(key_of(1, "a_b")).items(),
    (key_of(1).address, b"10.0.0.5:9"),
    (key_of(2).metadata, b"{"),
    ("/shop_prod/odd", b"?"),
    ("/shop/odd", b"the user's own"),
    *record().items(),
    *record(drained=True).items(),
    *record("box1", "discovery", applied_revision=3).items(),
    ("/wharfinger/hosts/box1/registrar", b"[]"),
    ("/wharfinger/hosts/a/b/c", b"{}"),
    (ORDER, order()),
    (ORDER, order(state="running", steps=("taken",))),
    (ORDER, order(state="done")),
    (ORDER, b"[]"),
    ("/wharfinger/deploy/a_b/releases/1", b'{"release":"r1","state":"failed"}'),
    ("/wharfinger/deploy/a_b/releases/2", b'{"release":"r2","state":"running"}'),
    ("/wharfinger/deploy/a_b/releases/x", b"{}"),
    ("/wharfinger/deploy/a_b/lock", b"me"),
]
STEPS = st.lists(
    st.tuples(st.sampled_from(VALUES), st.booleans(), st.booleans()), min_size=1, max_size=40
)


@given(STEPS)
def test_changes_lead_to_the_whole(steps: list[tuple[tuple[str, bytes], bool, bool]]) -> None:
    snapshot, items = Snapshot(), dict[str, KeyValue]()
    told = seen(snapshot.whole())
    for revision, ((key, value), deleted, tells) in enumerate(steps, 1):
        one = event(key, None if deleted else value, revision)
        items.pop(key, None)
        if one.kv is not None:
            items[key] = one.kv
        snapshot.apply(revision, [one], now=0.0)
        if tells and (change := snapshot.change()) is not None:
            told = merged(told, seen(change))
    if (change := snapshot.change()) is not None:
        told = merged(told, seen(change))
    whole = seen(snapshot.whole())
    # An odd key shows when a service of its name does, whichever comes first.
    for each in (told, whole):
        del each["rejected"]
    assert told == whole
    # A list of the same says the same, but for what lapsed, which etcd does not know.
    listed = seen(Snapshot.of(len(steps), items.values()).whole())
    for each in (listed, whole):
        each.pop("rejected", None)
        each["orders"] = {i: o for i, o in each["orders"].items() if o["state"] != "lapsed"}
    assert listed == whole


def test_an_order_that_is_gone_before_its_end_has_lapsed_for_a_while() -> None:
    snapshot = Snapshot()
    snapshot.apply(1, [event(ORDER, order(), 1)], now=0.0)
    snapshot.apply(2, [event(ORDER, None, 2)], now=5.0)
    assert snapshot.whole()["orders"]["abcdefgh"]["state"] == "lapsed"
    # It is known over a list as well, and so is one that went while nobody listened.
    other = OrderKey("box1", "bcdefghi").key
    snapshot.apply(3, [event(other, order(), 3)], now=6.0)
    after = Snapshot.of(9, [])
    after.inherit(snapshot.left(now=7.0))
    states = {i: o["state"] for i, o in after.whole()["orders"].items()}
    assert states == {"abcdefgh": "lapsed", "bcdefghi": "lapsed"}
    after.expire(5.0 + SHOWN_SECONDS + 0.1)
    assert after.whole()["orders"].keys() == {"bcdefghi"}
    assert seen(after.change())["orders"]["abcdefgh"] is None


def test_one_that_is_over_goes_without_a_word() -> None:
    snapshot = Snapshot()
    snapshot.apply(1, [event(ORDER, order(state="done"), 1)], now=0.0)
    snapshot.apply(2, [event(ORDER, None, 2)], now=0.0)
    assert not snapshot.whole()["orders"]


def test_any_number_of_orders_takes_no_more_memory() -> None:
    snapshot = Snapshot()
    for number in range(3 * MAX_ORDERS):
        key = OrderKey("box1", f"{number:08}").key
        snapshot.apply(number, [event(key, order(), number)], now=0.0)
        if number % 3 == 0:
            snapshot.apply(number, [event(key, None, number)], now=0.0)
    assert len(snapshot.whole()["orders"]) <= 2 * MAX_ORDERS


def test_a_ring_gives_what_it_has_and_says_when_that_is_not_all() -> None:
    ring = Ring(kept_bytes=1_000)
    assert ring.after(0) == []
    for _ in range(5):
        ring.put(Frame(b"x" * 100, b""))
    assert len(ring.after(2) or []) == 3
    for _ in range(10):
        ring.put(Frame(b"x" * 100, b""))
    assert ring.after(4) is None
    assert len(ring.after(5) or []) == 10
    assert ring.after(99) is None
    ring.begin_anew()
    assert ring.after(15) is None
    assert ring.after(16) == []


def test_a_store_without_a_fleet_carries_no_etcd_client() -> None:
    code = (
        "import sys, logshipper.store.cli; "
        "print([m for m in ('grpc', 'aetcd', 'wharfinger.etcd') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_host_speaks_for_no_order_of_another() -> None:
    snapshot = Snapshot.of(1, [KeyValue(ORDER, order(), 1, 1, 1, 0)])
    forged = OrderKey("box2", "abcdefgh").key
    done = encode(Order(verb="drain", target="box2", state="done"))
    for value in (done, None):
        snapshot.apply(2, [event(forged, value, 2)], 0.0)
        shown = seen(snapshot.whole())["orders"]["abcdefgh"]
        assert (shown["host"], shown["state"]) == ("box1", "waiting")
    # Not when the one that it is has lapsed, either.
    snapshot.apply(3, [event(ORDER, None, 3), event(forged, done, 3)], 0.0)
    shown = seen(snapshot.whole())["orders"]["abcdefgh"]
    assert (shown["host"], shown["state"]) == ("box1", "lapsed")


def test_a_host_with_many_orders_hides_none_of_another() -> None:
    snapshot = Snapshot.of(1, [KeyValue(ORDER, order(), 1, 1, 1, 0)])
    value = encode(Order(verb="drain", target="box2"))
    keys = [OrderKey("box2", f"{number:08d}").key for number in range(2 * MAX_ORDERS)]
    snapshot.apply(2, [event(key, value, 2) for key in keys], 0.0)
    assert "abcdefgh" in seen(snapshot.whole())["orders"]
    snapshot.apply(3, [event(ORDER, None, 3), *(event(key, None, 3) for key in keys)], 0.0)
    assert seen(snapshot.whole())["orders"]["abcdefgh"]["state"] == "lapsed"
