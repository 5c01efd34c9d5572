"""The registrar at its work: a port each, true in etcd, out before it dies."""

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

import pytest

from registrar.ports.reservation import PROC, RESERVED
from tests.stack.etcd import Watcher
from tests.stack.registrar import IP, SHOP_LABELS, RegistrarStack
from wharfinger.kv import Changed
from wharfinger.operator.parts.process import free_port, until

pytestmark = pytest.mark.real


def told_to_the_host() -> bool:
    """Whether a port was written to where this very machine would read it."""
    return Path("/dev/shm/wharfinger.port").exists()


async def test_three_containers_get_three_ports_and_stand_under_one_lease(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    ids = await asyncio.gather(*(stack.run_shop() for _ in range(3)))
    keys = await stack.until_keys(3)
    ports = await stack.ports()
    assert len(ports) == 3
    assert ports < set(stack.port_range)
    for key, kv in keys.items():
        assert kv.value.decode() == f"{IP}:{key.rpartition('-')[2]}"
    status = await stack.ask("/status")
    metadata = await stack.metadata()
    held = (await stack.etcd.list("/")).items.values()
    assert {kv.lease for kv in held} == {int(status["lease"], 16)}
    assert metadata.keys() == set(ids)
    assert list(metadata[ids[0]]) == [
        *("id", "name", "image", "host", "weight", "tags"),
        *("version", "http_host", "http_path", "started", "state"),
    ]
    assert metadata[ids[0]]["host"] == "box"
    for port in ports:
        assert f"{port}" in await _answer(port)


async def test_a_declared_port_reaches_the_start_script(registrar_stack: RegistrarStack) -> None:
    stack = registrar_stack
    port = free_port()
    await stack.run_shop(f"--label=wharfinger.port={port}")
    await stack.until_keys(1)
    assert await stack.ports() == {port}
    assert str(port) in await _answer(port)


async def test_a_port_is_of_the_pool_that_a_label_names(registrar_stack: RegistrarStack) -> None:
    stack = registrar_stack
    last = stack.port_range[-1]
    await stack.run_shop(f"--label=wharfinger.port.pool={last}-{last + 10}")
    await stack.until_keys(1)
    assert await stack.ports() == {last}
    assert str(last) in await _answer(last)
    second = await stack.run_shop("--label=wharfinger.port.pool=65534-65535")
    why = await stack.until_refused(second)
    assert "wharfinger.port.pool 65534-65535 holds none of registrar.port_range" in why


async def test_a_port_in_the_environment_is_registered_and_drained(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    port = free_port()
    container = await stack.run_shop(f"--env=PORT={port}", "--label=wharfinger.drain=3")
    await stack.until_keys(1)
    assert await stack.ports() == {port}
    stopping = asyncio.create_task(stack.docker.run("stop", container))
    await stack.until_keys(0)
    assert str(port) in await _answer(port)
    assert not stopping.done()
    await stopping


async def test_the_range_is_reserved_beside_what_was(registrar_stack: RegistrarStack) -> None:
    first, last = registrar_stack.port_range[0], registrar_stack.port_range[-1]
    assert f"{first}-{last}" in (PROC / RESERVED).read_text()


async def test_a_stop_takes_the_key_out_while_the_process_still_serves(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    container = await stack.run_shop("--label=wharfinger.drain=3")
    await stack.until_keys(1)
    (port,) = await stack.ports()
    stopping = asyncio.create_task(stack.docker.run("stop", container))
    await stack.until_keys(0)
    assert str(port) in await _answer(port)
    assert not stopping.done()
    await stopping
    told = await stack.container(container)
    assert (told["state"], told["port"]) == ("out", port)


async def test_a_restarted_container_keeps_its_port_and_a_removed_one_gives_it_back(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    container = await stack.run_shop("--label=wharfinger.drain=0")
    await stack.until_keys(1)
    before = await stack.ports()
    await stack.docker.run("restart", container)
    await stack.until_keys(1)
    assert await stack.ports() == before
    await stack.docker.run("rm", "--force", container)
    await stack.until_keys(0)
    await stack.until_status(lambda status: status["ports_assigned"] == 0, "the port is back")
    await stack.run_shop()
    await stack.until_keys(1)
    assert await stack.ports() != before


@pytest.mark.parametrize("way", ["docker kill", "kill from outside"])
async def test_a_killed_container_leaves_etcd(registrar_stack: RegistrarStack, way: str) -> None:
    stack = registrar_stack
    container = await stack.run_shop()
    await stack.until_keys(1)
    if way == "docker kill":
        await stack.docker.run("kill", container)
    else:
        os.kill(await stack.pid(container), signal.SIGKILL)
    await stack.until_keys(0)


async def test_a_signal_that_is_no_stop_changes_nothing(registrar_stack: RegistrarStack) -> None:
    stack = registrar_stack
    container = await stack.run_shop()
    await stack.until_keys(1)
    async with Watcher(stack.etcd, ["/shop_prod/"]) as watcher:
        await stack.docker.run("kill", "--signal=WINCH", container)
        await stack.docker.run("rename", container, "renamed")
        await stack.until_status(lambda s: s["containers"][0]["name"] == "renamed", "renamed")
        assert not [each for each in watcher.updates if isinstance(each, Changed)]


async def test_a_paused_container_is_out_until_it_goes_on(registrar_stack: RegistrarStack) -> None:
    stack = registrar_stack
    container = await stack.run_shop()
    before = await stack.until_keys(1)
    await stack.docker.run("pause", container)
    await stack.until_keys(0)
    await stack.docker.run("unpause", container)
    assert (await stack.until_keys(1)).keys() == before.keys()


async def test_one_that_stops_listening_is_out(registrar_stack: RegistrarStack) -> None:
    stack = registrar_stack
    # The listener is a process of its own here, which can die while the container lives.
    script = 'nc -ll -p "$PORT" & echo $! >/tmp/nc; while true; do sleep 1; done'
    container = (
        await stack.docker.run(
            *("run", "--detach", "--network=host", *SHOP_LABELS, "busybox"),
            *("with-port", "sh", "-c", script),
        )
    ).strip()
    await stack.until_keys(1)
    # It may listen, and be registered, before the shell has written down who it is.
    kill = "until [ -s /tmp/nc ]; do sleep 0.02; done; kill $(cat /tmp/nc)"
    await stack.docker.run("exec", container, "sh", "-c", kill)
    await stack.until_keys(0)
    assert "does not listen" in (await stack.container(container))["why"]


async def test_hostile_labels_are_refused_and_shown(registrar_stack: RegistrarStack) -> None:
    stack = registrar_stack
    labels = ("--label=wharfinger.env=prod", "--label=wharfinger.app=a/../../b; return 200")
    container = await stack.docker.run("run", "--detach", "--network=host", *labels, "shop")
    # It may have been looked at before it ran, and is out then.
    assert "may hold letters" in await stack.until_refused(container.strip())
    assert (await stack.etcd.list("/")).items.keys() == {"/wharfinger/hosts/box/registrar"}


async def test_a_container_without_a_dev_shm_of_its_own_is_refused_with_the_way_out(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    ids = [await stack.run_shop(f"--ipc={mode}") for mode in ("host", "none")]
    for container in ids:
        told = await stack.until_refused(container)
        assert "set the label wharfinger.port" in told or "--ipc=none" in told
    assert not told_to_the_host()


async def test_users_read_only_roots_and_shareable_ipc_work(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    await stack.run_shop("--user=12345:12345", "--read-only")
    await stack.run_shop("--ipc=shareable")
    await stack.run_shop("--cap-drop=ALL", "--security-opt=no-new-privileges")
    await stack.until_keys(3)


async def test_an_exhausted_range_refuses_and_the_next_free_port_cures(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    stack.port_range = stack.port_range[:1]
    stack.write_config()
    stack.process.signal(signal.SIGHUP)
    await stack.until_status(
        lambda s: s["port_range"] == f"{stack.port_range[0]}-{stack.port_range[0]}", "reloaded"
    )
    first = await stack.run_shop()
    await stack.until_keys(1)
    second = await stack.run_shop()
    assert "no port is left" in await stack.until_refused(second)
    await stack.docker.run("rm", "--force", first)
    await stack.until_state(second, "registered")


async def test_metrics_and_health_tell_it(registrar_stack: RegistrarStack) -> None:
    stack = registrar_stack
    await stack.run_shop()
    await stack.until_keys(1)
    await until(stack.is_healthy, timeout_seconds=30, what="it is healthy")
    checks = {check["name"] for check in (await stack.ask("/healthz"))["checks"]}
    watched = {
        "control socket", "docker", "etcd lease", "mass loss", "orders", "ports", "registry",
    }  # fmt: skip
    assert checks == {"address", "configuration", *watched}

    async def counted() -> bool:
        text = await stack.ask_text("/metrics")
        return (
            'wharfinger_registrar_containers{state="registered"} 1.0' in text
            and "wharfinger_registrar_registrations_total 1.0" in text
            and "wharfinger_registrar_registration_seconds_count 1.0" in text
        )

    # The key is in etcd a moment before the registrar hears that it is.
    await until(counted, timeout_seconds=30, what="the registration is counted")

    async def recorded() -> bool:
        record = await stack.etcd.get("/wharfinger/hosts/box/registrar")
        told = json.loads(record.value) if record else {}
        fields = ["version", "since", "health", "ip", "machine"]
        return (list(told), told.get("health"), told.get("ip")) == (fields, "healthy", IP)

    await until(recorded, timeout_seconds=30, what="the host's record says so")


async def _answer(port: int) -> str:
    reader, writer = await asyncio.open_connection(IP, port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    try:
        return (await reader.read()).decode()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_dockers_own_health_check_decides_where_it_is_asked_for(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    container = await stack.run_shop(
        "--label=wharfinger.check=docker", "--health-cmd=test -e /tmp/ok", "--health-interval=1s"
    )
    assert "'starting'" in await stack.until_state(container, "out")
    await stack.docker.run("exec", container, "touch", "/tmp/ok")
    await stack.until_keys(1)
    await stack.docker.run("exec", container, "rm", "/tmp/ok")
    await stack.until_keys(0)


async def test_a_port_that_a_process_holds_is_not_given_away(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    with socket.create_server((IP, stack.port_range[0])), socket.socket() as bound:
        bound.bind((IP, stack.port_range[1]))
        await stack.run_shop()
        await stack.until_keys(1)
        assert await stack.ports() == {stack.port_range[2]}


async def test_a_port_taken_while_its_container_was_stopped_is_replaced(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    container = await stack.run_shop("--label=wharfinger.drain=0")
    await stack.until_keys(1)
    (before,) = await stack.ports()
    await stack.docker.run("stop", container)
    await stack.until_keys(0)
    with socket.create_server((IP, before)):
        await stack.docker.run("start", container)
        await stack.until_keys(1)
        assert await stack.ports() == {stack.port_range[1]}


async def test_a_check_by_http_decides_and_its_reason_is_shown(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    answer = 'read -r _; printf "HTTP/1.0 %s x\\r\\n\\r\\n" "$(cat /tmp/status)"'
    script = (
        f"printf '%s\\n' '#!/bin/sh' '{answer}' >/tmp/answer; chmod +x /tmp/answer; "
        'echo 503 >/tmp/status; exec nc -ll -p "$PORT" -e /tmp/answer'
    )
    labels = ("--label=wharfinger.check=http:/health", "--label=wharfinger.check.interval=200ms")
    container = (
        await stack.docker.run(
            *("run", "--detach", "--network=host", *SHOP_LABELS, *labels, "busybox"),
            *("with-port", "sh", "-c", script),
        )
    ).strip()
    assert "503" in await stack.until_state(container, "out")
    await stack.docker.run("exec", container, "sh", "-c", "echo 200 >/tmp/status")
    await stack.until_keys(1)
    await stack.docker.run("exec", container, "sh", "-c", "echo 500 >/tmp/status")
    await stack.until_keys(0)
    assert "its check fails" in await stack.until_state(container, "out")


async def test_a_script_in_the_container_decides(registrar_stack: RegistrarStack) -> None:
    stack = registrar_stack
    labels = (
        "--label=wharfinger.check=script:test -e /tmp/ok",
        "--label=wharfinger.check.interval=500ms",
        "--label=wharfinger.check.fall=1",
    )
    container = await stack.run_shop(*labels)
    await stack.until_state(container, "out")
    await stack.docker.run("exec", container, "touch", "/tmp/ok")
    before = await stack.until_keys(1)
    # What stood passed before: a registrar that is started anew asks, and takes nothing out.
    async with Watcher(stack.etcd, ["/shop_prod/"]) as watcher:
        await stack.process.kill()
        await stack.start()
        await stack.until_state(container, "registered")
        assert not [each for each in watcher.updates if isinstance(each, Changed)]
    assert await stack.keys() == before
    await stack.docker.run("exec", container, "rm", "/tmp/ok")
    await stack.until_keys(0)
