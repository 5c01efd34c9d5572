"""Orders to a registrar by way of etcd: carried out, once, and told of; hostile ones refused."""

import json
import time
from typing import Any

import pytest

from tests.stack.discovery import DiscoveryStack
from tests.stack.registrar import RegistrarStack
from wharfinger.errors import Exit, Rejected
from wharfinger.keys import ORDERS
from wharfinger.operator.parts.process import until
from wharfinger.operator.remote import give as give_remote
from wharfinger.orders import Order, Verb, encode

pytestmark = pytest.mark.real
BOX = f"{ORDERS}box/"


async def give(stack: RegistrarStack, verb: str, target: str, order_id: str = "") -> str:
    """Puts an order as the store does; gives its key."""
    key = f"{BOX}{order_id or time.monotonic_ns():016}"
    lease = await stack.etcd.grant(30)
    order = Order(verb=verb, target=target, by="ann", at="2026-01-01T00:00:00Z")  # type: ignore[arg-type]
    await stack.etcd.put(key, encode(order), lease=lease.id)
    return key


async def until_over(stack: RegistrarStack, key: str) -> dict[str, Any]:
    told: dict[str, Any] = {}

    async def over() -> bool:
        nonlocal told
        kv = await stack.etcd.get(key)
        assert kv is not None
        told = json.loads(kv.value)
        return told["state"] in ("done", "failed")

    with stack.explained():
        await until(over, timeout_seconds=30, what=f"{key} is over")
    return told


async def record(stack: RegistrarStack) -> dict[str, Any]:
    kv = await stack.etcd.get("/wharfinger/hosts/box/registrar")
    return json.loads(kv.value) if kv is not None else {}


async def until_record(stack: RegistrarStack, fits: Any, what: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def there() -> bool:
        nonlocal found
        found = await record(stack)
        return bool(fits(found))

    with stack.explained():
        await until(there, timeout_seconds=30, what=what)
    return found


async def test_an_instance_is_drained_and_let_in_by_order(
    registrar_stack: RegistrarStack, edge: DiscoveryStack
) -> None:
    stack = registrar_stack
    await stack.run_shop("--label=wharfinger.drain=0", name="one")
    (key,) = await stack.until_keys(1)
    told = await until_over(stack, await give(stack, "drain", key))
    assert told["state"] == "done", told
    assert told["steps"][0] == "taken"
    assert f"removed from etcd: {key}" in told["steps"]
    assert "every discovery serves without it" in told["steps"]
    assert not await stack.keys()
    found = await until_record(stack, lambda r: r.get("drains"), "the drain is told")
    (drained,) = found["drains"]
    assert (drained["key"], drained["name"], drained["by"]) == (key, "one", "ann")
    assert drained["service"] == "shop_prod"
    # What it is for no longer stands in etcd, and the order finds it all the same.
    again = await until_over(stack, await give(stack, "drain", key))
    assert again["state"] == "done"
    told = await until_over(stack, await give(stack, "undrain", key))
    assert told["state"] == "done"
    assert f"in etcd: {key}" in told["steps"]
    await until_record(stack, lambda r: "drains" not in r, "no drain is told")
    for order in (await stack.etcd.list(BOX)).items.values():
        life = await stack.etcd.time_to_live(order.lease)
        assert life is not None
        assert life.granted_seconds == 600


async def test_a_host_is_drained_and_its_record_says_so(registrar_stack: RegistrarStack) -> None:
    stack = registrar_stack
    await stack.run_shop("--label=wharfinger.drain=0", name="one")
    await stack.run_shop("--label=wharfinger.drain=0", name="two")
    keys = await stack.until_keys(2)
    assert (await until_over(stack, await give(stack, "drain", "box")))["state"] == "done"
    found = await until_record(stack, lambda r: r.get("drained"), "the host is drained")
    assert {each["key"]: each["name"] for each in found["drains"]}.keys() == keys.keys()
    assert {each["name"] for each in found["drains"]} == {"one", "two"}
    assert (await until_over(stack, await give(stack, "undrain", "box")))["state"] == "done"
    assert (await stack.until_keys(2)).keys() == keys.keys()


async def test_what_is_hostile_is_refused_and_nothing_else_waits(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    await stack.run_shop("--label=wharfinger.drain=0", name="one")
    (key,) = await stack.until_keys(1)
    good = json.loads(encode(Order(verb="drain", target=key)))
    bad = {
        "aaaaaaa1": b"{",
        "aaaaaaa2": b"[" * 10_000,
        "aaaaaaa3": json.dumps({**good, "target": "other-box"}).encode(),
        "aaaaaaa4": json.dumps({**good, "target": "one"}).encode(),
        "aaaaaaa5": json.dumps({**good, "verb": "rm -rf"}).encode(),
        "aaaaaaa6": json.dumps({**good, "by": "\x1b[2J"}).encode(),
        "aaaaaaa7": json.dumps({**good, "steps": ["x"] * 5_000}).encode(),
        "aaaaaaa8": json.dumps({**good, "target": "/shop_prod/../10.0.0.1-1"}).encode(),
        "aaaaaaa9": json.dumps({**good, "state": "done"}).encode(),
        "short": json.dumps(good).encode(),
        "../x/y/z": json.dumps(good).encode(),
    }
    for order_id, value in bad.items():
        await stack.etcd.put(f"{BOX}{order_id}", value)
    # Another host's is not even read here.
    await stack.etcd.put(f"{ORDERS}boxer/aaaaaaaa", json.dumps(good).encode())
    await stack.etcd.put(f"{ORDERS}bo/aaaaaaaa", json.dumps(good).encode())
    missing = await until_over(stack, await give(stack, "drain", "/shop_prod/10.9.9.9-1"))
    assert missing["state"] == "failed"
    assert "no instance" in missing["steps"][-1]
    for order_id, value in bad.items():
        kv = await stack.etcd.get(f"{BOX}{order_id}")
        assert kv is not None
        assert kv.value == value
    assert (await stack.keys()).keys() == {key}
    assert await stack.is_healthy()


@pytest.mark.scenario
async def test_an_order_outlives_a_registrar_that_is_killed_in_the_middle(
    registrar_stack: RegistrarStack, edge: DiscoveryStack
) -> None:
    stack = registrar_stack
    await stack.run_shop("--label=wharfinger.drain=0", name="one")
    (key,) = await stack.until_keys(1)
    edge.process.freeze()  # the acknowledgement does not come
    try:
        order = await give(stack, "drain", key)

        async def running() -> bool:
            kv = await stack.etcd.get(order)
            return kv is not None and b"waiting for discovery" in kv.value

        await until(running, timeout_seconds=20, what="it waits for the discovery")
        await stack.process.kill()
    finally:
        edge.process.thaw()
    # Nobody takes it meanwhile, and it does not lapse with the lease of the one who gave it.
    kv = await stack.etcd.get(order)
    assert kv is not None
    assert json.loads(kv.value)["state"] == "running"
    await stack.start()
    told = await until_over(stack, order)
    assert told["state"] == "done", told
    assert "taken up again after a restart" in told["steps"]
    assert not await stack.keys()


async def test_an_order_that_lapsed_is_not_carried_out(registrar_stack: RegistrarStack) -> None:
    stack = registrar_stack
    await stack.run_shop("--label=wharfinger.drain=0", name="one")
    (key,) = await stack.until_keys(1)
    stack.process.freeze()
    try:
        order = await give(stack, "drain", key)
        kv = await stack.etcd.get(order)
        assert kv is not None
        await stack.etcd.revoke(kv.lease)
    finally:
        stack.process.thaw()
    done = await give(stack, "drain", "/shop_prod/10.9.9.9-1")
    await until_over(stack, done)
    assert await stack.etcd.get(order) is None
    assert (await stack.keys()).keys() == {key}


async def test_an_order_to_a_host_that_is_frozen_is_carried_out_when_it_goes_on(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    await stack.run_shop("--label=wharfinger.drain=0", name="one")
    (key,) = before = await stack.until_keys(1)
    stack.process.freeze()
    try:
        # For so long that its lease has ended.
        await stack.etcd.revoke(before[key].lease)
        order = await give(stack, "drain", key)
    finally:
        stack.process.thaw()
    told = await until_over(stack, order)
    assert told["state"] == "done", told
    assert not await stack.keys()
    found = await until_record(stack, lambda r: r.get("drains"), "the drain is told")
    assert [each["key"] for each in found["drains"]] == [key]
    await until(stack.is_healthy, timeout_seconds=30, what="health is green again")
    assert not await stack.keys()


@pytest.mark.scenario
async def test_a_frozen_discovery_is_waited_for_and_the_drain_stays(
    registrar_stack: RegistrarStack, edge: DiscoveryStack
) -> None:
    stack = registrar_stack
    await stack.run_shop("--label=wharfinger.drain=0", name="one")
    (key,) = await stack.until_keys(1)
    assert (await stack.etcd.get("/wharfinger/hosts/edge-1/discovery")) is not None
    edge.process.freeze()
    try:
        order = await give(stack, "drain", key)
        # It ends when the other's lease does, and its say with it.
        told = await until_over(stack, order)
        assert told["state"] == "done"
        assert any("waiting for discovery on edge-1" in each for each in told["steps"])
    finally:
        edge.process.thaw()


async def test_the_record_tells_who_is_not_registered_and_stays_small(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    words = ("--detach", "--network=host", "--label=wharfinger.app=a/b", "--label=wharfinger.env=x")
    await stack.docker.run("run", *words, "--name=bad", "shop")
    found = await until_record(stack, lambda r: r.get("unregistered"), "one is not registered")
    (one,) = found["unregistered"]
    assert one["name"] == "bad"
    assert "a/b" in one["reason"]
    before = await stack.etcd.get("/wharfinger/hosts/box/registrar")
    assert before is not None
    assert len(before.value) < 16_384
    written = before.version
    await stack.docker.run("rm", "--force", "bad")
    await until_record(stack, lambda r: not r.get("unregistered"), "all are registered")
    after = await stack.etcd.get("/wharfinger/hosts/box/registrar")
    assert after is not None
    assert after.version <= written + 2


async def test_a_command_elsewhere_drains_and_undrains_here(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    await stack.run_shop("--label=wharfinger.drain=0", name="one")
    (key,) = await stack.until_keys(1)
    cases: list[tuple[Verb, str, set[str]]]
    cases = [("drain", "one", set()), ("undrain", key, {key})]
    for verb, name, keys in cases:
        said: list[str] = []
        done = await give_remote(
            stack.etcd, verb, name, by="ann", timeout_seconds=30, show=said.append
        )  # fmt: skip
        assert done == Exit.OK
        assert said[1] == "taken"
        assert (await stack.keys()).keys() == keys
        if verb == "drain":
            await until_record(stack, lambda r: r.get("drains"), "the drain is told")
    with pytest.raises(Rejected, match="no registrar tells of"):
        await give_remote(stack.etcd, "drain", "two", by="", timeout_seconds=1, show=said.append)
