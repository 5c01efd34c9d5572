"""Draining on real parts: out, acknowledged by a real discovery, in-flight done; and back."""

import asyncio
import grp
import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stack.commands import posted, steps
from tests.stack.discovery import DiscoveryStack
from tests.stack.registrar import IP, SHOP_LABELS, RegistrarStack
from wharfinger.operator.demo.traffic import posting
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.process import free_port

pytestmark = pytest.mark.real


def control_socket(stack: RegistrarStack) -> Path:
    return stack.runtime_dir / "registrar.sock"


async def test_one_instance_leaves_is_acknowledged_and_comes_back(
    registrar_stack: RegistrarStack,
    edge: DiscoveryStack,
    record_property: Callable[[str, object], None],
) -> None:
    stack = registrar_stack
    gone, stays = await stack.run_shop(name="gone"), await stack.run_shop(name="stays")
    before = await stack.until_keys(2)
    began = time.monotonic()
    told = await steps(control_socket(stack), "/v1/drain", {"instance": "gone"})
    # Half a second of it is the quiet time that nobody connects in.
    record_property("drained_after_seconds", round(time.monotonic() - began, 3))
    assert told[0]["step"] == "removed"
    assert told[-1] == {"step": "done"}
    assert {"step": "acknowledged", "waiting_for": []} in told
    (key,) = told[0]["instances"]
    assert set(before) - set(await stack.keys()) == {key}
    status = await edge.ask_json("/status")
    assert len(status["services"]["shop_prod"]) == 1
    assert (await stack.until_state(gone, "out")).startswith("drained by root since 2")
    # It is asked for again, by its address: nothing is left to do.
    address = key.rpartition("/")[2].replace("-", ":")
    again = await steps(control_socket(stack), "/v1/drain", {"instance": address})
    assert again[-1] == {"step": "done"}
    back = await steps(control_socket(stack), "/v1/undrain", {"instance": gone[:12]})
    assert back[-1] == {"step": "done", "not_registered": {}}
    assert set(await stack.keys()) == set(before)
    assert stays in await stack.metadata()


async def test_a_frozen_discovery_is_named_and_the_drain_stays(
    registrar_stack: RegistrarStack, edge: DiscoveryStack
) -> None:
    stack = registrar_stack
    await stack.run_shop(name="one")
    await stack.until_keys(1)
    edge.process.freeze()
    try:
        # Time enough for the removal, which a busy etcd takes a while for.
        asked = {"instance": "one", "timeout_seconds": 5}
        told = await steps(control_socket(stack), "/v1/drain", asked)
        assert told[-1]["behind"] == ["edge-1"]
        assert "edge-1" in told[-1]["error"]
        assert not await stack.keys()
        # Its lease ends in the end, and its say with it.
        await edge.etcd.delete("/wharfinger/hosts/edge-1/discovery")
        told = await steps(control_socket(stack), "/v1/drain", asked)
        assert told[-1] == {"step": "done"}
    finally:
        edge.process.thaw()


async def test_a_drain_outlives_the_registrar_and_the_containers_restart(
    registrar_stack: RegistrarStack, edge: DiscoveryStack
) -> None:
    stack = registrar_stack
    container = await stack.run_shop("--label=wharfinger.drain=0", name="one")
    before = await stack.until_keys(1)
    await steps(control_socket(stack), "/v1/drain", {"instance": "one", "by": "ann"})
    await stack.process.kill()
    await stack.start()
    assert (await stack.until_state(container, "out")).startswith("drained by ann")
    await stack.docker.run("restart", container)
    await stack.until_status(
        lambda status: bool(status["containers"][0]["why"].startswith("drained by ann")),
        "it runs again, and is drained still",
    )
    assert not await stack.keys()
    # The revision of its removal is not known to this life: a new one behind it is waited for.
    again = await steps(control_socket(stack), "/v1/drain", {"instance": "one"})
    assert again[-1] == {"step": "done"}
    assert not (await stack.etcd.list("/wharfinger/instances/")).items
    back = await steps(control_socket(stack), "/v1/undrain", {"instance": "one"})
    assert back[-1] == {"step": "done", "not_registered": {}}
    assert set(await stack.keys()) == set(before)
    drains = stack.folder / "state/registrar/drains.json"
    assert json.loads(drains.read_bytes())["containers"] == {}


async def test_a_container_that_is_gone_is_forgotten(registrar_stack: RegistrarStack) -> None:
    stack = registrar_stack
    container = await stack.run_shop(name="one")
    await stack.until_keys(1)
    await steps(control_socket(stack), "/v1/drain", {"instance": "one"})
    drains = stack.folder / "state/registrar/drains.json"
    assert container in drains.read_text()
    await stack.docker.run("rm", "--force", container)

    def forgotten(_status: object) -> bool:
        return container not in drains.read_text()

    await stack.until_status(forgotten, "the drain is forgotten")


async def test_a_host_is_drained_with_what_is_started_later(
    registrar_stack: RegistrarStack, edge: DiscoveryStack
) -> None:
    stack = registrar_stack
    await asyncio.gather(*(stack.run_shop() for _ in range(3)))
    before = await stack.until_keys(3)
    told = await steps(control_socket(stack), "/v1/drain", {"host": "box"})
    assert sorted(told[0]["instances"]) == sorted(before)
    assert told[-1] == {"step": "done"}
    later = await stack.run_shop()
    assert (await stack.until_state(later, "out")).startswith("host drained by root")
    assert not (await edge.ask_json("/status"))["kept"]
    back = await steps(control_socket(stack), "/v1/undrain", {"host": "box"})
    assert back[-1]["step"] == "done"
    assert set(await stack.until_keys(4)) > set(before)


async def test_an_open_connection_is_waited_for_and_no_longer(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    # The demo's shop hangs up on who says nothing for a while.
    await stack.docker.run(
        *("run", "--detach", "--network=host", *SHOP_LABELS, "--label=wharfinger.drain=60"),
        *("--name=one", "busybox", "with-port", "sh", "-c"),
        'exec nc -ll -p "$PORT" -e cat',
    )
    await stack.until_keys(1)
    (port,) = await stack.ports()
    with socket.create_connection((IP, port)):
        async with posted(control_socket(stack), "/v1/drain", {"instance": "one"}) as response:
            seen = []
            async for line in response.content:
                seen.append(json.loads(line))
                if seen[-1] == {"step": "in flight", "connections": 1}:
                    break
            assert seen[-1] == {"step": "in flight", "connections": 1}, seen
    # Closed now, long before the minute of its label.
    told = await steps(control_socket(stack), "/v1/drain", {"instance": "one"})
    assert told[-1] == {"step": "done"}


async def test_a_stop_is_held_until_it_is_acknowledged(
    registrar_stack: RegistrarStack, edge: DiscoveryStack
) -> None:
    stack = registrar_stack
    container = await stack.run_shop("--label=wharfinger.drain=5")
    before = await stack.until_keys(1)
    path = f"/v1/containers/{container}/stopping?signal="
    for other in (int(signal.SIGKILL), int(signal.SIGUSR1)):
        async with posted(control_socket(stack), f"{path}{other}") as response:
            assert await response.text() == "hold 0\n"
    edge.process.freeze()
    async with (
        posted(control_socket(stack), f"{path}15") as response,
        posted(control_socket(stack), f"{path}15") as second,
    ):
        assert (await response.content.readline()).startswith(b"hold 16")
        assert (await second.content.readline()).startswith(b"hold 16")
        await stack.until_keys(0)
        assert not response.content.at_eof()
        edge.process.thaw()
        assert await response.read() == b""
        assert await second.read() == b""
    assert not (await edge.ask_json("/status"))["services"].get("shop_prod")
    port_file = await stack.docker.run("exec", container, "cat", "/dev/shm/wharfinger.port")
    assert port_file.split()[1] == "0"
    # The signal was let go once; another is not held again.
    async with posted(control_socket(stack), f"{path}15") as response:
        assert await response.text() == "hold 0\n"
    await stack.docker.run("restart", container)
    assert set(await stack.until_keys(1)) == set(before)


@pytest.mark.parametrize("way", ["drained", "told to stop"])
async def test_no_request_is_lost_though_it_is_killed_right_after(
    registrar_stack: RegistrarStack,
    edge: DiscoveryStack,
    record_property: Callable[[str, object], None],
    way: str,
) -> None:
    stack = registrar_stack
    (edge.nginx.include.parent / "once.conf").write_text("proxy_next_upstream off;\n")
    labels = ("--label=wharfinger.host=shop.test", "--label=wharfinger.drain=10")
    ids = await asyncio.gather(*(stack.run_shop(*labels) for _ in range(3)))
    keys = await stack.until_keys(3)
    await edge.until_applied(max(kv.mod_revision for kv in keys.values()))
    url = f"http://127.0.0.1:{edge.nginx.port}/"
    async with posting(url, "shop.test") as traffic:
        await traffic.more(50)
        began = time.monotonic()
        if way == "drained":
            told = await steps(control_socket(stack), "/v1/drain", {"instance": ids[0]})
            assert told[-1] == {"step": "done"}
        else:
            path = f"/v1/containers/{ids[0]}/stopping?signal=15"
            async with posted(control_socket(stack), path) as response:
                assert (await response.text()).startswith("hold 2")
        record_property(
            f"{way.replace(' ', '_')}_after_seconds", round(time.monotonic() - began, 3)
        )
        await stack.docker.run("kill", ids[0])
        await traffic.more(50)
    record_property("requests", traffic.answered)
    assert not traffic.failures


async def test_what_cannot_be_done_is_refused_with_a_reason(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    await stack.run_shop(name="here")
    before = await stack.until_keys(1)
    for body, status, why in (
        ({"instance": "elsewhere"}, 404, "there are here ("),
        ({"host": "pier"}, 404, "this is host 'box'"),
        ({"instance": "a\n\x1b[2J" * 20}, 404, "no instance"),
        ({"instance": ""}, 400, "instance"),
        ({"instance": "here", "host": "box"}, 400, "either"),
        ({}, 400, "either"),
        ({"instances": "here"}, 400, "unknown field"),
        ({"instance": "here", "timeout_seconds": -1}, 400, "timeout_seconds"),
        ([], 400, "Expected"),
    ):
        for verb in ("drain", "undrain"):
            async with posted(control_socket(stack), f"/v1/{verb}", body) as response:
                assert response.status == status
                text = await response.text()
                assert why in json.loads(text)["error"]
                assert "\x1b" not in text
    for raw in (b"{", b"\xff", b"[" * 60_000, b"x" * 100_000):
        async with posted(control_socket(stack), "/v1/drain", raw=raw) as response:
            assert response.status in (400, 413)
    for path in ("x/stopping?signal=15", f"{'a' * 64}/stopping", f"{'a' * 64}/stopping?signal=99"):
        async with posted(control_socket(stack), f"/v1/containers/{path}") as response:
            assert response.status == 400
    async with posted(
        control_socket(stack), f"/v1/containers/{'a' * 64}/stopping?signal=15"
    ) as response:
        assert await response.text() == "hold 0\n"
    assert await stack.keys() == before
    assert await stack.is_healthy()


async def test_a_drain_that_cannot_be_kept_changes_nothing(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    await stack.run_shop(name="one")
    before = await stack.until_keys(1)
    drains = stack.folder / "state/registrar/drains.json"
    drains.mkdir()
    async with posted(control_socket(stack), "/v1/drain", {"instance": "one"}) as response:
        assert response.status == 503
        assert "nothing was changed" in await response.text()
    assert await stack.keys() == before


async def test_with_etcd_away_it_says_so_and_takes_it_out_as_soon_as_it_is_back(
    registrar_stack: RegistrarStack, etcd_server: EtcdServer
) -> None:
    stack = registrar_stack
    await stack.run_shop(name="one")
    await stack.until_keys(1)
    etcd_server.process.freeze()
    try:
        asked = {"instance": "one", "timeout_seconds": 1}
        (told,) = await steps(control_socket(stack), "/v1/drain", asked)
        assert "is still in etcd" in told["error"]
    finally:
        etcd_server.process.thaw()
    await stack.until_keys(0)


async def test_one_who_hangs_up_changes_nothing_and_one_who_never_ends_stops_nobody(
    registrar_stack: RegistrarStack, edge: DiscoveryStack
) -> None:
    stack = registrar_stack
    await asyncio.gather(stack.run_shop(name="one"), stack.run_shop(name="two"))
    await stack.until_keys(2)
    slow = [socket.socket(socket.AF_UNIX) for _ in range(50)]
    for each in slow:
        each.connect(str(control_socket(stack)))
        each.sendall(b"POST /v1/drain HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n{")
    edge.process.freeze()
    try:
        # Gone before its answer came to an end: the drain stands.
        async with posted(control_socket(stack), "/v1/drain", {"instance": "one"}) as response:
            assert json.loads(await response.content.readline())["step"] == "removed"
    finally:
        edge.process.thaw()
    told = await steps(control_socket(stack), "/v1/drain", {"instance": "two"})
    assert told[-1] == {"step": "done"}
    assert not await stack.keys()
    for each in slow:
        each.close()
    assert await stack.is_healthy()


async def test_a_member_of_the_group_drains_in_its_own_name(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    container = await stack.run_shop(name="one")
    await stack.until_keys(1)
    assert "PermissionError" in await asyncio.to_thread(drained_by_nobody, control_socket(stack))
    await stack.process.terminate()
    stack.process = stack.another("grouped", "--set", "host.control_group=daemon")
    await stack.start()
    await stack.until_keys(1)
    # Who is not root cannot speak for anybody else.
    assert '"done"' in await asyncio.to_thread(drained_by_nobody, control_socket(stack))
    assert (await stack.until_state(container, "out")).startswith("drained by nobody since")


def drained_by_nobody(path: Path) -> str:
    """What a process of user `nobody` and group `daemon` is answered."""
    path.parent.chmod(0o755)
    ask = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        'b = b\'{"instance": "one", "by": "root"}\';'
        's.sendall(b"POST /v1/drain HTTP/1.0\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(b) + b);'
        "print(s.makefile().read())"
    )
    done = subprocess.run(
        ["/usr/bin/python3", "-I", "-c", ask, str(path)],
        capture_output=True, text=True, check=False, cwd="/",
        user="nobody", group=grp.getgrnam("daemon").gr_gid, extra_groups=[],
    )  # fmt: skip
    return done.stdout + done.stderr


async def test_a_second_registrar_with_the_same_socket_is_refused_by_name(
    registrar_stack: RegistrarStack, tmp_path: Path
) -> None:
    stack = registrar_stack
    # Of another host, or the lock of the host would say so before.
    elsewhere = (
        "host.name=pier",
        f"host.state_dir={tmp_path / 'elsewhere'}",
        f"registrar.listen={IP}:{free_port()}",
    )
    other = stack.another("other", *(word for each in elsewhere for word in ("--set", each)))
    await other.start()
    assert await other.wait() == 69
    assert f"registrar of host box pid {stack.process.pid}" in other.log_tail()
    assert control_socket(stack).exists()
