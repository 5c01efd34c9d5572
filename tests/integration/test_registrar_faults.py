"""The registrar when things go wrong around it: etcd comes true again, and only our keys change."""

import asyncio
import json
import signal

import pytest

from discovery.services.tree import Tree
from tests.stack.etcd import Watcher, eventually
from tests.stack.registrar import IP, RegistrarStack
from wharfinger.errors import Exit
from wharfinger.keys import INSTANCES
from wharfinger.kv import Changed
from wharfinger.operator.parts.process import until

pytestmark = pytest.mark.real


async def test_killed_and_back_within_the_lease_no_watcher_sees_anything(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    await asyncio.gather(*(stack.run_shop() for _ in range(2)))
    before = await stack.until_keys(2)
    async with Watcher(stack.etcd) as watcher:
        await stack.process.kill()
        await stack.start()
        # One change that must be seen, after all those that must not.
        await stack.run_shop("--label=wharfinger.env=qa")
        await eventually(lambda: any("shop_qa" in key for key in watcher.items), "the next change")
        changes = [each for each in watcher.updates if isinstance(each, Changed)]
        assert {event.key.split("/")[1] for event in changes[0].events} <= {"shop_qa", "wharfinger"}
        touched = {event.key for change in changes for event in change.events}
        assert not touched & before.keys()
        assert "/wharfinger/hosts/box/registrar" not in touched
    assert await stack.keys() == before


async def test_what_changed_while_it_was_down_is_true_after_its_start(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    ids = [await stack.run_shop() for _ in range(3)]
    await stack.until_keys(3)
    before = await stack.metadata()
    await stack.process.kill()
    await stack.docker.run("kill", ids[0])
    await stack.docker.run("rm", "--force", ids[1])
    new = await stack.run_shop()
    await stack.start()
    await stack.until_state(new, "registered")
    await stack.until_keys(2)
    after = await stack.metadata()
    assert after.keys() == {ids[2], new}
    assert after[ids[2]] == before[ids[2]]


async def test_with_its_state_lost_it_keeps_what_containers_were_told(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    for _ in range(3):
        await stack.run_shop()
    before = await stack.until_keys(3)
    await stack.process.kill()
    for name in ("ports", "stops.json"):
        (stack.folder / "state" / "registrar" / name).unlink(missing_ok=True)
    await stack.start()
    new = await stack.run_shop()
    await stack.until_state(new, "registered")
    after = await stack.until_keys(4)
    assert before.items() <= after.items()


async def test_one_that_drains_is_not_registered_again_by_a_restarted_registrar(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    container = await stack.run_shop("--label=wharfinger.drain=8")
    await stack.until_keys(1)
    stopping = asyncio.create_task(stack.docker.run("stop", "--time=20", container))
    await stack.until_keys(0)
    async with Watcher(stack.etcd, ["/shop_prod/"]) as watcher:
        stops = stack.folder / "state" / "registrar" / "stops.json"
        await eventually(lambda: stops.exists() and container in stops.read_text(), "it is kept")
        await stack.process.kill()
        await stack.start()
        assert await stack.until_state(container, "out") == "was told to stop"
        await stopping
        assert not [each for each in watcher.updates if isinstance(each, Changed)]


async def test_a_stop_that_nobody_heard_of_is_heard_after_a_restart(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    container = await stack.run_shop("--label=wharfinger.drain=20")
    await stack.until_keys(1)
    await stack.process.kill()
    stopping = asyncio.create_task(stack.docker.run("stop", "--time=30", container))
    told = f"kill {container}"
    since = ("--since=1m", "--until=0s", "--format={{.Action}} {{.ID}}")

    async def asked() -> bool:
        return told in await stack.docker.run("events", *since, "--filter=event=kill")

    await until(asked, timeout_seconds=20, what="the stop has begun")
    await stack.start()
    # It serves on for its drain time, and nobody is sent there any more.
    await stack.until_keys(0)
    assert await stack.until_state(container, "out") == "was told to stop"
    assert not stopping.done()
    await stack.docker.run("kill", container)
    await stopping


async def test_a_frozen_registrar_loses_the_lease_and_puts_everything_again(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    await stack.run_shop()
    before = await stack.until_keys(1)
    stack.process.freeze()
    lease = next(iter(before.values())).lease
    await stack.etcd.revoke(lease)
    await stack.until_keys(0)
    stack.process.thaw()
    after = await stack.until_keys(1)
    assert after.keys() == before.keys()
    assert next(iter(after.values())).lease != lease


async def test_etcd_away_and_back(registrar_stack: RegistrarStack) -> None:
    stack = registrar_stack
    ids = [await stack.run_shop() for _ in range(2)]
    before = await stack.until_keys(2)
    await stack.etcd_server.process.kill()
    await stack.docker.run("kill", ids[0])
    # A port is given and told with etcd away: the start of a container waits for no cluster.
    new = await stack.run_shop()
    await stack.until_state(new, "registered")
    await until(stack.is_unhealthy, timeout_seconds=30, what="health is red")
    await stack.etcd_server.start()
    await stack.until_keys(2)
    await stack.until_metadata({ids[1], new})
    after = await stack.keys()
    (kept,) = before.keys() & after.keys()
    assert before[kept] == after[kept]


async def test_etcd_wiped_is_filled_again(registrar_stack: RegistrarStack) -> None:
    stack = registrar_stack
    await stack.run_shop()
    before = await stack.until_keys(1)
    await stack.etcd_server.process.kill()
    stack.etcd_server.wipe()
    await stack.etcd_server.start()
    after = await stack.until_keys(1)
    assert after.keys() == before.keys()
    assert await stack.metadata()


@pytest.mark.scenario
async def test_keys_damaged_by_hand_are_put_right(registrar_stack: RegistrarStack) -> None:
    stack = registrar_stack
    container = await stack.run_shop()
    before = await stack.until_keys(1)
    metadata = await stack.metadata()
    ((key, kv),) = before.items()
    beside = INSTANCES.rstrip("/") + key

    async def right() -> bool:
        again = await stack.etcd.get(key)
        return (
            again is not None
            and (again.value, again.lease) == (kv.value, kv.lease)
            and await stack.metadata() == metadata
        )

    for damage in (
        stack.etcd.delete(key),
        stack.etcd.put(key, b"10.9.9.9:1; return 200"),
        stack.etcd.put(key, kv.value),
        stack.etcd.delete(beside),
        stack.etcd.put(beside, json.dumps({"id": container, "host": "box"}).encode()),
    ):
        await damage
        await until(right, timeout_seconds=20, what="the key is right again")


async def test_another_hosts_keys_are_never_touched(registrar_stack: RegistrarStack) -> None:
    stack = registrar_stack
    port = stack.port_range[0]
    key = f"/shop_prod/{IP}-{port}"
    beside = INSTANCES.rstrip("/") + key
    theirs = json.dumps({"id": "f" * 64, "host": "other"}).encode()
    await stack.etcd.put(key, b"theirs")
    await stack.etcd.put(beside, theirs)
    await stack.etcd.put("/shop_prod/10.1.1.1-80", b"10.1.1.1:80")
    await stack.etcd.put("/myapp/database/url", b"db://")
    before = (await stack.etcd.list("/")).items.keys()
    container = await stack.run_shop()
    await stack.until_status(lambda status: status["contested"] == {key: "other"}, "contested")
    await stack.docker.run("rm", "--force", container)
    await stack.until_status(lambda status: status["contested"] == {}, "it is over")
    after = (await stack.etcd.list("/")).items
    assert after.keys() == before
    assert (after[key].value, after[beside].value) == (b"theirs", theirs)


async def test_a_second_registrar_is_refused_and_told_who_holds_the_host(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    await stack.run_shop()
    before = await stack.until_keys(1)
    second = stack.another("second", "--set", f"registrar.listen={IP}:1")
    await second.start()
    assert await second.wait() == Exit.UNAVAILABLE
    told = second.log_tail()
    assert f"host box is held by a registrar (pid {stack.process.pid}, " in told
    assert f"state_dir {stack.folder}/state, since 20" in told
    assert "stop that one first" in told
    assert await stack.keys() == before


@pytest.mark.parametrize(("on_stop", "left"), [("keep", 1), ("revoke", 0)])
async def test_a_stop_keeps_or_revokes(
    registrar_stack: RegistrarStack, on_stop: str, left: int
) -> None:
    stack = registrar_stack
    stack.write_config(on_stop=on_stop)
    stack.process.signal(signal.SIGHUP)
    await stack.run_shop()
    await stack.until_keys(1)
    assert await stack.process.terminate() == 0
    assert len(await stack.keys()) == left


async def test_a_stop_sees_off_who_is_stopped_beside_it(registrar_stack: RegistrarStack) -> None:
    """As a node that is drained does it: the application may be told after the registrar."""
    stack = registrar_stack

    async def logged(text: str) -> None:
        async def there() -> bool:
            return text in stack.process.log_tail()

        await until(there, timeout_seconds=30, what=f"it says: {text}")

    stack.write_config(linger_seconds=4)
    stack.process.signal(signal.SIGHUP)
    leaves = await stack.run_shop("--label=wharfinger.drain=5", "--stop-timeout=20")
    stays = await stack.run_shop()
    await stack.until_keys(2)
    await logged("configuration reloaded")
    stack.process.signal(signal.SIGTERM)
    await logged("registrar draining")
    stopping = asyncio.create_task(stack.docker.run("stop", leaves))
    await stack.until_metadata({stays})
    assert stack.process.running
    assert await stack.process.wait() == 0
    # It has gone on until nobody could ask it for anything any more.
    assert await stack.docker.run("inspect", "--format", "{{.State.Running}}", leaves) == "false"
    await stopping
    assert (await stack.metadata()).keys() == {stays}


async def test_a_stop_that_revokes_cannot_be_taken_for_a_lost_lease(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    stack.write_config(on_stop="revoke")
    stack.process.signal(signal.SIGHUP)
    for _ in range(2):
        await stack.run_shop()
    await stack.until_keys(2)
    async with Watcher(stack.etcd) as watcher:
        tree = Tree()
        assert await stack.process.terminate() == 0
        await eventually(lambda: not watcher.items, "everything is gone")
        heard = [tree.hear(update) for update in watcher.updates]
    assert not any(each.lost for each in heard)
    assert not tree.snapshot().services
    assert "instances=2" in stack.process.log_tail()


async def test_dockerd_killed_and_back(breakable_registrar_stack: RegistrarStack) -> None:
    stack = breakable_registrar_stack
    run = ("run", "--detach", "--network=host", "--label=wharfinger.app=shop")
    command = ("busybox", "with-port", "sh", "-c", 'exec nc -ll -p "$PORT" -e true')
    always = (
        await stack.docker.run(*run, "--label=wharfinger.env=prod", "--restart=always", *command)
    ).strip()
    await stack.docker.run(*run, "--label=wharfinger.env=prod", *command)
    before = await stack.until_keys(2)
    await stack.docker.kill()
    await until(stack.is_unhealthy, timeout_seconds=30, what="health is red")
    assert await stack.keys() == before
    await stack.docker.start()
    # dockerd ends what it finds running, and starts again what shall always run.
    await stack.until_metadata({always})
    await stack.until_keys(1)
    await until(stack.is_healthy, timeout_seconds=30, what="health is green again")
