"""Discovery as a real process between a real etcd and a real Nginx."""

import asyncio
import json
import math
import time

import aiohttp
import pytest

from tests.stack.discovery import DiscoveryStack

pytestmark = pytest.mark.real

SHOP = {"http_host": "shop.test", "http_path": "/"}


async def test_an_instance_is_served_when_put_and_gone_when_deleted(
    discovery_stack: DiscoveryStack,
) -> None:
    stack = discovery_stack
    await stack.start()
    first, second = await stack.backends.start(), await stack.backends.start()
    await stack.put("shop_prod", first, **SHOP)
    await stack.until_served(first)
    await stack.put("shop_prod", second, **SHOP)
    await stack.until_served(first, second)
    revision = await stack.remove("shop_prod", first)
    await stack.until_applied(revision)
    # Applied means that no worker of before accepts any more: nothing to wait for now.
    assert {(await stack.get()).text for _ in range(20)} == {second}
    assert await stack.healthy()
    (held,) = (await stack.ask_json("/status"))["resources"]
    assert held["state"] == "current"
    assert held["commands"][-1]["code"] == 0


async def test_a_service_without_instances_answers_503_and_stays_valid(
    discovery_stack: DiscoveryStack,
) -> None:
    stack = discovery_stack
    own = stack.nginx.include.with_name("zz-own.conf")  # after ours: not the default
    await stack.start()
    only = await stack.backends.start()
    await stack.put("shop_prod", only, **SHOP)
    await stack.until_served(only)
    own.write_text(
        f"server {{ listen {stack.nginx.port}; server_name own.test; "
        "location / { proxy_pass http://shop_prod; } }"
    )
    await stack.nginx.reload()
    await stack.until_served(only, host="own.test")
    await stack.until_applied(await stack.remove("shop_prod", only))
    for host in ("shop.test", "own.test"):
        answer = await stack.get(host)
        assert answer.status == 503
        assert "instance" in answer.text
    assert (await stack.get("unknown.test")).status == 404
    await stack.nginx.test()
    assert await stack.healthy()
    # And so it stays over a restart of both.
    await stack.process.kill()
    await stack.start()
    assert (await stack.get("own.test")).status == 503
    await stack.put("shop_prod", only, **SHOP)
    await stack.until_served(only, host="own.test")


async def test_a_hostile_value_is_dropped_alone(discovery_stack: DiscoveryStack) -> None:
    stack = discovery_stack
    await stack.start()
    good = await stack.backends.start()
    port = stack.nginx.port
    hostile = {
        "/shop_prod/1.2.3.4-80": "1.2.3.4:80; } evil {",
        "/shop_prod/1.2.3.5-80": "1.2.3.5:80; } server { listen "
        f"{port}; server_name pwned.test; return 200 pwned; }} upstream x {{ server 1.1.1.1:1",
        "/shop_prod/1.2.3.6-80;}": "1.2.3.6:80",
    }
    for key, value in hostile.items():
        await stack.etcd.put(key, value.encode())
    bad = {**SHOP, "http_host": "a.test; } server { return 200 pwned; } #"}
    await stack.put("blog_prod", good, **bad)
    revision = await stack.put("shop_prod", good, **SHOP)
    await stack.until_applied(revision)
    await stack.until_served(good)
    assert (await stack.get("pwned.test")).status == 404
    status = await stack.ask_json("/status")
    expected = {*hostile, f"/wharfinger/instances/blog_prod/{good.replace(':', '-')}"}
    assert {one["key"] for one in status["rejected"]} == expected
    assert status["services"] == {"blog_prod": [good], "shop_prod": [good]}
    assert await stack.healthy()


async def test_the_applied_revision_is_reported_under_a_lease(
    discovery_stack: DiscoveryStack,
) -> None:
    stack = discovery_stack
    await stack.start()
    revision = await stack.put("shop_prod", await stack.backends.start(), **SHOP)

    async def told() -> bool:
        held = await stack.etcd.get("/wharfinger/hosts/edge-1/discovery")
        report = json.loads(held.value) if held else {}
        return bool(
            held
            and held.lease
            and report["applied_revision"] >= revision
            and report["mode"] == "reload"
            and report["health"] == "healthy"
        )

    await stack.until(told, "the host's report tells the revision")
    # Its own report is no reason for another one: the store stands still.
    at_rest = (await stack.etcd.list("/wharfinger/hosts/")).revision
    own = await stack.etcd.put("/unrelated", b"x")
    await stack.until_applied(own)
    await stack.until(
        lambda: _report_of(stack, own), "a change that renders nothing else is reported, too"
    )
    after = (await stack.etcd.list("/wharfinger/hosts/")).revision
    assert after - at_rest <= 3


async def _report_of(stack: DiscoveryStack, revision: int) -> bool:
    held = await stack.etcd.get("/wharfinger/hosts/edge-1/discovery")
    return bool(held and json.loads(held.value)["applied_revision"] >= revision)


async def test_a_burst_takes_few_reloads_and_its_end_is_live(
    discovery_stack: DiscoveryStack,
) -> None:
    stack = discovery_stack
    await stack.start()
    good = await stack.backends.start()
    since = time.monotonic()
    for number in range(300):
        address = f"127.0.0.1:{30000 + number}"
        await stack.put("many_prod", address)
    revision = await stack.put("shop_prod", good, **SHOP)
    seconds = time.monotonic() - since
    await stack.until_applied(revision)
    assert (await stack.get()).text == good
    applied = await stack.events("configuration applied")
    # Those of the start, one for each half second that the puts took, and the last.
    assert len(applied) <= 3 + math.ceil(seconds / 0.5)
    assert len((await stack.ask_json("/status"))["services"]["many_prod"]) == 300


async def test_etcd_killed_and_back(discovery_stack: DiscoveryStack) -> None:
    stack = discovery_stack
    await stack.start()
    first, second = await stack.backends.start(), await stack.backends.start()
    await stack.until_applied(await stack.put("shop_prod", first, **SHOP))
    await stack.etcd_server.process.kill()

    async def red() -> bool:
        return "etcd watch" in await stack.why_unhealthy()

    await stack.until(red, "the lost watch shows")
    assert (await stack.get()).text == first
    await stack.etcd_server.start()
    await stack.put("shop_prod", second, **SHOP)
    await stack.until_served(first, second)
    await stack.until(stack.healthy, "it is healthy again")


async def test_what_still_answers_is_kept_when_etcd_is_wiped(
    discovery_stack: DiscoveryStack,
) -> None:
    stack = discovery_stack
    await stack.start()
    alive, dead = await stack.backends.start(), await stack.backends.start()
    await stack.put("shop_prod", alive, **SHOP)
    await stack.until_applied(await stack.put("shop_prod", dead, **SHOP))
    await stack.etcd_server.process.kill()
    stack.etcd_server.wipe()
    await stack.backends.stop(dead)
    await stack.etcd_server.start()

    async def only_the_living() -> bool:
        status = await stack.ask_json("/status")
        return status["services"].get("shop_prod") == [alive] and len(status["kept"]) == 1

    await stack.until(only_the_living, "the dead one is let go, the living one kept")
    assert (await stack.get()).text == alive
    # Registered again, it is nobody's guest any more, and can be deleted.
    revision = await stack.put("shop_prod", alive, **SHOP)
    await stack.until_applied(revision)
    assert (await stack.ask_json("/status"))["kept"] == []
    await stack.until_applied(await stack.remove("shop_prod", alive))
    assert (await stack.get()).status == 503


async def test_a_store_wiped_while_discovery_was_down_empties_nothing(
    discovery_stack: DiscoveryStack,
) -> None:
    stack = discovery_stack
    await stack.start()
    alive = await stack.backends.start()
    await stack.put("other_prod", "127.0.0.1:9")
    await stack.until_applied(await stack.put("shop_prod", alive, **SHOP))
    memory = stack.folder / "state" / "discovery" / "instances.json"

    async def written() -> bool:
        # What describes it is put before it is: that alone would be no instance.
        return f'"/shop_prod/{alive.replace(":", "-")}"' in memory.read_text()

    await stack.until(written, "the instance is written down")
    await stack.process.kill()
    await stack.etcd_server.process.kill()
    stack.etcd_server.wipe()
    await stack.etcd_server.start()
    await stack.start()
    assert (await stack.get()).text == alive
    status = await stack.ask_json("/status")
    assert status["services"]["shop_prod"] == [alive]
    assert [one["key"] for one in status["kept"]][-1].startswith("/shop_prod/")


async def test_a_lost_lease_keeps_and_a_drain_does_not(discovery_stack: DiscoveryStack) -> None:
    stack = discovery_stack
    await stack.start()
    held, drained = await stack.backends.start(), await stack.backends.start()
    leases = {}
    for service, address in (("shop_prod", held), ("blog_prod", drained)):
        lease = leases[service] = (await stack.etcd.grant(60)).id
        name = address.replace(":", "-")
        meta = json.dumps({"http_host": f"{service.partition('_')[0]}.test", "host": service})
        await stack.etcd.put(f"/wharfinger/instances/{service}/{name}", meta.encode(), lease=lease)
        revision = await stack.etcd.put(f"/{service}/{name}", address.encode(), lease=lease)
    await stack.until_applied(revision)
    await stack.etcd.revoke(leases["shop_prod"])
    from wharfinger.kv import Delete  # noqa: PLC0415

    name = drained.replace(":", "-")
    keys = [f"/blog_prod/{name}", f"/wharfinger/instances/blog_prod/{name}"]
    done = await stack.etcd.transact((), [Delete(key) for key in keys])
    await stack.until_applied(done.revision)
    assert (await stack.get("blog.test")).status == 503
    assert (await stack.get("shop.test")).text == held
    kept = (await stack.ask_json("/status"))["kept"]
    assert [one["key"] for one in kept] == [f"/shop_prod/{held.replace(':', '-')}"]


async def test_workers_that_clients_hold_are_counted(discovery_stack: DiscoveryStack) -> None:
    stack = discovery_stack
    await stack.start()
    # Half a request: a worker that shall go waits for the rest of it.
    _, client = await asyncio.open_connection("127.0.0.1", stack.nginx.port)
    client.write(b"GET / HTTP/1.1\r\nHost: ")
    await client.drain()
    await stack.put("shop_prod", await stack.backends.start(), **SHOP)

    async def counted() -> bool:
        url = f"http://127.0.0.1:{stack.port}/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            told = await response.text()
        return "wharfinger_discovery_nginx_old_workers 1.0" in told

    await stack.until(counted, "one old worker is counted")
    client.close()
