"""Discovery when etcd, the network or discovery itself fails: each fault, and how long it lasts."""

import asyncio
import math
import random
import time

import pytest

from discovery.memory import Memory
from tests.stack.discovery import DiscoveryStack
from tests.stack.etcd import etcdctl
from tests.stack.faults import SHOP, Measured, Record, Relay

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(300)]

STALE_SECONDS = 15.0


@pytest.fixture
def measured(discovery_stack: DiscoveryStack, record_property: Record) -> Measured:
    return Measured(discovery_stack, record_property)


@pytest.fixture
def pushed(push_stack: DiscoveryStack, record_property: Record) -> Measured:
    return Measured(push_stack, record_property)


async def test_the_leases_of_all_hosts_end_at_once(measured: Measured) -> None:
    stack = measured.stack
    await stack.start()
    hosts = [await measured.host(f"h{number}", 3) for number in range(3)]
    everybody = [address for host in hosts for address in host.addresses]
    await stack.until_served(*everybody)
    dead = hosts[0].addresses[0]
    async with measured.traffic() as traffic:
        await asyncio.gather(*(stack.etcd.revoke(host.lease) for host in hosts))
        await stack.backends.stop(dead)
        await measured.until(lambda: stack.keeps(len(everybody) - 1), "dead_one_out_seconds")
        assert await stack.serves(*everybody[1:])
        # The registrars are back; what one of them does not put again is let go in time.
        for host in hosts:
            host.addresses = host.addresses[1:]
            await measured.register(host)
        left = [address for host in hosts for address in host.addresses]
        await measured.until(lambda: stack.keeps(0), "let_go_after_registrars_are_back_seconds")
        await stack.until_served(*left)
    assert set(traffic.answers) == {200}
    measured.note("failed_requests", 0)


async def test_discovery_dies_while_it_keeps_what_etcd_lost(measured: Measured) -> None:
    stack = measured.stack
    await stack.start()
    host = await measured.host("h1", 2)
    lone = await stack.backends.start()
    await stack.until_applied(await stack.put("shop_prod", lone, **SHOP))
    await stack.etcd_server.process.kill()
    stack.etcd_server.wipe()
    await stack.etcd_server.start()
    everybody = (*host.addresses, lone)
    await measured.until(lambda: stack.keeps(len(everybody)), "kept_seconds")
    memory = Memory(stack.folder / "state" / "discovery")

    async def remembered() -> bool:
        return len(memory.kept()) == len(everybody)

    await measured.until(remembered, "on_disk_seconds")
    # A process may be killed at any moment after that.
    async with measured.traffic() as traffic:
        for _ in range(2):
            await stack.process.kill()
            await stack.start()
            await stack.etcd.put("/shop_prod/other", b"x")  # something to render
            await measured.until(lambda: stack.serves(*everybody), "served_after_restart_seconds")
            assert await stack.keeps(len(everybody))
    assert set(traffic.answers) == {200}


async def test_etcd_freezes(measured: Measured) -> None:
    stack = measured.stack
    await stack.start()
    first, second = await stack.backends.start(), await stack.backends.start()
    await stack.until_applied(await stack.put("shop_prod", first, **SHOP))
    stack.etcd_server.process.freeze()
    try:
        assert await measured.until_red("etcd watch", "red_seconds") < STALE_SECONDS
        assert (await stack.get()).text == first
    finally:
        stack.etcd_server.process.thaw()
    await stack.put("shop_prod", second, **SHOP)
    await measured.until(lambda: stack.serves(first, second), "live_after_return_seconds")
    await measured.until(stack.healthy, "healthy_after_return_seconds")


async def test_the_network_loses_everything_without_a_word(measured: Measured) -> None:
    stack = measured.stack
    async with Relay(stack.etcd_server.endpoint) as relay:
        stack.write_config(etcd=relay.endpoint)
        await stack.start()
        first, second = await stack.backends.start(), await stack.backends.start()
        await stack.until_applied(await stack.put("shop_prod", first, **SHOP))
        relay.swallow()
        revision = await stack.put("shop_prod", second, **SHOP)
        assert await measured.until_red("etcd watch", "red_seconds") < STALE_SECONDS
        assert (await stack.ask_json("/status"))["applied_revision"] < revision
        relay.pass_on()
        await measured.until(lambda: stack.serves(first, second), "live_after_return_seconds")
        await measured.until(stack.healthy, "healthy_after_return_seconds")


async def test_etcd_dies_and_is_back(measured: Measured) -> None:
    stack = measured.stack
    await stack.start()
    first, second = await stack.backends.start(), await stack.backends.start()
    await stack.until_applied(await stack.put("shop_prod", first, **SHOP))
    await stack.etcd_server.process.kill()
    await measured.until_red("etcd watch", "red_seconds")
    await stack.etcd_server.start()
    await stack.put("shop_prod", second, **SHOP)
    await measured.until(lambda: stack.serves(first, second), "live_after_return_seconds")


async def test_a_compaction_overtakes_a_frozen_discovery(measured: Measured) -> None:
    stack = measured.stack
    await stack.start()
    gone, stays = await stack.backends.start(), await stack.backends.start()
    await stack.until_applied(await stack.put("shop_prod", gone, **SHOP))
    stack.process.freeze()
    try:
        # The connection does not outlive the server; what happened meanwhile is compacted.
        await stack.etcd_server.process.kill()
        await stack.etcd_server.start()
        await stack.remove("shop_prod", gone)
        revision = await stack.put("shop_prod", stays, **SHOP)
        await etcdctl(stack.etcd_server, stack.folder, "compaction", str(revision))
    finally:
        stack.process.thaw()
    await measured.until(lambda: stack.serves(stays), "live_seconds")


async def test_etcd_is_wiped_and_its_revisions_begin_anew(measured: Measured) -> None:
    stack = measured.stack
    await stack.start()
    first, second = await stack.backends.start(), await stack.backends.start()
    for _ in range(50):
        revision = await stack.put("shop_prod", first, **SHOP)
    await stack.until_applied(revision)
    await stack.etcd_server.process.kill()
    stack.etcd_server.wipe()
    await stack.etcd_server.start()
    await stack.put("shop_prod", second, **SHOP)
    await measured.until(lambda: stack.serves(first, second), "live_after_return_seconds")


async def test_discovery_is_killed_at_any_moment(measured: Measured) -> None:
    stack = measured.stack
    await stack.start()
    backends = [await stack.backends.start() for _ in range(4)]
    # Applied: until then a worker from before may answer beside the new ones.
    await stack.until_applied(await stack.put("shop_prod", backends[0], **SHOP))
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    measured.note("seed", seed)
    longest = 0.0
    async with measured.traffic() as traffic:
        for _ in range(8):
            address = chance.choice(backends[1:])
            await stack.put("shop_prod", address, **SHOP)
            await asyncio.sleep(chance.random() * 0.3)
            await stack.process.kill()
            assert await stack.nginx.test() == ""
            await stack.remove("shop_prod", address)
            since = time.monotonic()
            await stack.start()
            await stack.until(lambda: stack.serves(backends[0]), "the truth is served")
            longest = max(longest, time.monotonic() - since)
    measured.note("longest_start_to_served_seconds", round(longest, 3))
    assert set(traffic.answers) == {200}


async def test_nginx_is_restarted_right_after_an_acknowledgement(pushed: Measured) -> None:
    stack = pushed.stack
    await stack.start()
    old = await stack.backends.start()
    await stack.until_applied(await stack.put("shop_prod", old, **SHOP))
    stale = 0
    for _ in range(6):
        new = await stack.backends.start()
        await stack.put("shop_prod", new, **SHOP)
        await stack.until_acknowledged(await stack.remove("shop_prod", old))
        # Nobody may push into it before it has answered: what it serves is what the file says.
        stack.process.freeze()
        try:
            await stack.nginx.stop()
            await stack.nginx.start()
            stale += (await stack.get()).text != new
        finally:
            stack.process.thaw()
        await stack.until_served(new)
        old = new
    pushed.note("stale_after_restart", stale)
    assert stale == 0


async def test_a_burst_of_a_thousand(measured: Measured) -> None:
    stack = measured.stack
    await stack.start()
    first = await stack.backends.start()
    await stack.until_applied(await stack.put("shop_prod", first, **SHOP))
    before = len(await stack.events("configuration applied"))
    since = time.monotonic()

    async def some(numbers: range) -> int:
        revision = 0
        for number in numbers:
            revision = await stack.put("many_prod", f"127.0.0.1:{20_000 + number}")
        return revision

    revisions = await asyncio.gather(*(some(range(k, 1000, 4)) for k in range(4)))
    puts_seconds = time.monotonic() - since
    measured.note("puts_seconds", round(puts_seconds, 3))
    await measured.until(lambda: stack.applied(max(revisions)), "final_after_last_put_seconds")
    reloads = len(await stack.events("configuration applied")) - before
    measured.note("reloads", reloads)
    # The first, one for each half second that the puts take (settle_max_seconds), and the last.
    assert reloads <= 2 + math.ceil(puts_seconds / 0.5)


async def test_hostile_values_by_the_thousand(measured: Measured) -> None:
    stack = measured.stack
    await stack.start()
    first = await stack.backends.start()
    await stack.until_applied(await stack.put("shop_prod", first, **SHOP))
    for number in range(1000):
        await stack.etcd.put(f"/shop_prod/10.0.0.1-{number}", b"1.2.3.4:80; } evil {" * 50)
    # A name that is empty, beside those that are refused.
    for key in ("//x", "/wharfinger/instances//x"):
        await stack.etcd.put(key, b"1")
        await stack.until_applied(await stack.etcd.delete(key))
    second = await stack.backends.start()
    revision = await stack.put("shop_prod", second, **SHOP)
    await measured.until(lambda: stack.serves(first, second), "good_one_live_seconds")
    await stack.until_applied(revision)
    assert len((await stack.ask_json("/status"))["rejected"]) == 1000
    assert "evil" not in stack.nginx.include.read_text()
