"""The grammar of orders, both ways."""

import json
from typing import Any

import pytest

from wharfinger.errors import Rejected
from wharfinger.keys import OrderKey
from wharfinger.orders import MAX_BYTES, MAX_STEPS, Order, encode, parse

KEY = "/shop_prod/10.0.0.5-20017"


def test_an_order_comes_back_as_it_went() -> None:
    order = Order(verb="drain", target=KEY, by="ann", at="2026-01-01T00:00:00Z", steps=("a",))
    assert parse(encode(order), "box") == order
    assert order.instance is not None
    assert Order(verb="undrain", target="box").instance is None


def test_steps_stay_few_short_and_printable() -> None:
    order = Order(verb="drain", target=KEY)
    for number in range(200):
        order = order.told("running", f"{number} \x1b[2J" + "\U0001f6a2\n" * 500)
        order = order.told("running", f"step {number}")
        order = order.told("running", f"step {number}")
    assert order.steps[0].startswith("0 ")
    assert order.steps[-1] == "step 199"
    assert len(order.steps) <= MAX_STEPS
    assert len(encode(order)) <= MAX_BYTES
    assert parse(encode(order), "box") == order


def test_whoever_follows_hears_each_step_once_though_the_oldest_go() -> None:
    order = Order(verb="drain", target=KEY)
    held: tuple[str, ...] = ()
    heard: list[str] = []
    for number in range(3 * MAX_STEPS):
        order = order.told("running", f"step {number}")
        if number % 3 == 0:  # it is written to etcd now and then, with some steps at once
            heard += order.news(held)
            held = order.steps
    heard += order.news(held)
    assert heard == [f"step {number}" for number in range(3 * MAX_STEPS)]
    assert not order.news(order.steps)


def test_after_a_long_silence_the_steps_that_are_left_are_news() -> None:
    first = Order(verb="drain", target=KEY).told("running", "taken")
    later = first
    for number in range(2 * MAX_STEPS):
        later = later.told("running", f"step {number}")
    assert later.news(first.steps) == later.steps[1:]
    assert first.news(()) == ("taken",)
    assert first.news(("another's",)) == ("taken",)


def value(**more: Any) -> bytes:
    return json.dumps({"verb": "drain", "target": KEY, **more}).encode()


@pytest.mark.parametrize(
    "bad",
    [
        b"", b"{}", b"[" * 10_000, b"\xff", b"x" * (MAX_BYTES + 1),
        value(verb="rm"), value(target=""), value(target="other"), value(target="a/b"),
        value(target="/shop_prod/10.0.0.5-99999"), value(target="/wharfinger/instances" + KEY),
        value(target=KEY + "\n"), value(target="box\n"), value(by="x" * 100), value(by="\x00"),
        value(steps=["\x1b"]), value(steps="no"), value(steps=["a"] * 100), value(state="waiting "),
        value(at="x" * 100), value(target="x" * 1_000),
    ],
)  # fmt: skip
def test_what_is_none_is_refused(bad: bytes) -> None:
    with pytest.raises(Rejected):
        parse(bad, "box")


@pytest.mark.parametrize(
    "key",
    [
        "/wharfinger/orders/box/short", "/wharfinger/orders/box/UPPERCASE",
        "/wharfinger/orders/box/aaaaaaaa/b", "/wharfinger/orders//aaaaaaaa",
        "/wharfinger/orders/../aaaaaaaa", "/wharfinger/order/box/aaaaaaaa",
        "/wharfinger/orders/box/aaaaaaaa\n", "/wharfinger/orders/b x/aaaaaaaa",
    ],
)  # fmt: skip
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(Rejected):
        OrderKey.parse(key)


def test_a_key_comes_back_as_it_went() -> None:
    key = OrderKey("box-1.example", "abcdefgh")
    assert OrderKey.parse(key.key) == key
