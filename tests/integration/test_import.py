"""`wharfinger import` on real parts: everything comes over, and registrars take it up in place."""

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.stack.discovery import DiscoveryStack
from tests.stack.dockerd import DockerDaemon
from tests.stack.etcd import ALONE, Watcher, config_of
from tests.stack.registrar import IP, SHOP_LABELS, RegistrarStack, _give_back
from wharfinger.errors import Exit
from wharfinger.etcd import Etcd
from wharfinger.kv import Changed
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.process import Process, free_port

pytestmark = pytest.mark.real

WHARFINGER = Path(sys.executable).with_name("wharfinger")
OLD = {
    "/services/shop/web-1:shop_1:80": "10.0.0.5:8080",
    "/services/shop/web-2:shop_1:80": "10.0.0.6:8080",
    "/services/blog-443/web-1:blog:443": "10.0.0.5:8443",
}


class Command:
    """`wharfinger import` as an operator runs it."""

    def __init__(self, server: EtcdServer, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "import.toml"
        self.config.write_text(f'[etcd]\nendpoints = ["{server.endpoint}"]\n')
        self.runs = 0

    async def run(self, *words: str, code: int = 0) -> str:
        self.runs += 1
        process = Process(
            [WHARFINGER, "import", *words, "--config", str(self.config)],
            log=self.folder / f"import.{self.runs}.log",
        )
        await process.start()
        assert await process.wait() == code, process.log_tail()
        return process.log.read_text()

    async def states(self, *words: str, code: int = 0) -> dict[str, str]:
        told = json.loads(await self.run(*words, "--json", code=code))
        return {entry["entry"]: entry["state"] for entry in told["entries"]}


@pytest.fixture
def command(etcd_server: EtcdServer, tmp_path: Path) -> Command:
    return Command(etcd_server, tmp_path)


async def put_old(etcd: Etcd, entries: dict[str, str] | None = None) -> None:
    for key, value in (OLD if entries is None else entries).items():
        await etcd.put(key, value.encode())


async def all_of(etcd: Etcd) -> dict[str, bytes]:
    return {key: kv.value for key, kv in (await etcd.list("/")).items.items()}


async def test_a_tree_comes_over_on_a_lease_of_its_own(etcd: Etcd, command: Command) -> None:
    await put_old(etcd)
    before = await all_of(etcd)
    planned = await command.states("services", "--env", "prod", "--dry-run")
    assert set(planned.values()) == {"to be imported"}
    assert await all_of(etcd) == before
    words = ("/services/", "--env", "prod", "--map", "blog-443=blog_qa", "--ttl", "2h")
    assert set((await command.states(*words)).values()) == {"imported"}
    items = (await etcd.list("/")).items
    assert items["/shop_prod/10.0.0.5-8080"].value == b"10.0.0.5:8080"
    assert items["/blog_qa/10.0.0.5-8443"].value == b"10.0.0.5:8443"
    described = json.loads(items["/wharfinger/instances/shop_prod/10.0.0.6-8080"].value)
    assert (described["host"], described["name"]) == ("web-2", "shop_1")
    assert (described["state"], described["imported"]) == ("up", "registrator")
    (lease,) = {kv.lease for key, kv in items.items() if key not in OLD}
    life = await etcd.time_to_live(lease)
    assert life is not None
    assert life.granted_seconds == 7_200
    # Again, it changes nothing, and makes no lease.
    again = await command.run(*words)
    assert "3 there already" in again
    assert (await etcd.list("/")).items == items


async def test_bad_entries_are_told_and_the_good_ones_come_over(
    etcd: Etcd, command: Command
) -> None:
    await put_old(etcd, {**OLD, "/services/d ns/web-1:dns:53": "10.0.0.5:53",
                         "/services/shop/web-3:shop:80": "nonsense; {"})  # fmt: skip
    states = await command.states("services", "--env", "prod", "--delete", code=Exit.USAGE)
    assert states["/services/d ns/web-1:dns:53"].startswith("refused: app 'd ns' may hold")
    assert states["/services/shop/web-3:shop:80"].startswith("refused: 'nonsense; {'")
    assert [state for key, state in states.items() if key in OLD] == (
        ["imported, the old entry deleted"] * 3
    )
    left = {key for key in await all_of(etcd) if key.startswith("/services/")}
    assert left == {"/services/d ns/web-1:dns:53", "/services/shop/web-3:shop:80"}


async def test_what_is_there_already_is_left_alone(etcd: Etcd, command: Command) -> None:
    await put_old(etcd)
    await etcd.put("/shop_prod/10.0.0.5-8080", b"10.0.0.5:8080")
    await etcd.put("/shop_prod/10.0.0.6-8080", b"by hand")
    words = ("services", "--env", "prod", "--delete")
    states = await command.states(*words, code=Exit.TRY_LATER)
    assert states["/services/shop/web-1:shop_1:80"] == "there already, the old entry deleted"
    assert states["/services/shop/web-2:shop_1:80"] == (
        "there already, with another value: left alone"
    )
    after = await all_of(etcd)
    assert after["/shop_prod/10.0.0.6-8080"] == b"by hand"
    assert "/services/shop/web-2:shop_1:80" in after
    assert "/wharfinger/instances/shop_prod/10.0.0.5-8080" not in after


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("services", "--env", "prod"), Exit.USAGE, "nothing stands below /services/"),
        (("/", "--env", "prod"), Exit.USAGE, "no prefix of registrator's keys"),
        (("wharfinger", "--env", "prod"), Exit.USAGE, "Wharfinger's own"),
        (("services", "--env", "a_b"), Exit.USAGE, "env 'a_b' may hold"),
        (("services", "--env", "prod", "--ttl", "soon"), Exit.USAGE, "--ttl 'soon' is no time"),
        (
            ("services", "--env", "prod", "--ttl", "999999d"),
            Exit.USAGE,
            "--ttl '999999d' is no time",
        ),
        (("services", "--env", "prod", "--map", "x"), Exit.USAGE, "SERVICE=APP"),
        (("services",), Exit.USAGE, "--env"),
        (("services", "--env", "prod", "--v2", "http://127.0.0.1:1"), Exit.UNAVAILABLE, "etcd v2"),
        (("services", "--env", "prod", "--v2", "nonsense"), Exit.CONFIG, "http://HOST:PORT"),
        (("services", "--env", "prod", "--v2", "127.0.0.1:1"), Exit.CONFIG, "http://HOST:PORT"),
    ],
)
async def test_a_wrong_use_is_told_and_changes_nothing(
    etcd: Etcd, command: Command, words: tuple[str, ...], code: int, told: str
) -> None:
    assert told in await command.run(*words, code=code)
    assert await all_of(etcd) == {}


class V2:
    """registrator's side of the v2 API."""

    def __init__(self, server: EtcdServer) -> None:
        self.url = f"http://{server.endpoint}"

    async def ask(self, method: str, key: str, **data: str) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.url}/v2/keys{key}", data=data) as response,
        ):
            return await response.json(content_type=None)


@pytest.fixture
async def v2_server(tmp_path: Path) -> AsyncIterator[EtcdServer]:
    """A server that serves the v2 API, too."""
    server = EtcdServer(tmp_path, arguments=[*ALONE, "--enable-v2"])
    await server.start()
    yield server
    await server.stop()


async def test_a_tree_of_the_v2_api_comes_over(v2_server: EtcdServer, tmp_path: Path) -> None:
    command, v2 = Command(v2_server, tmp_path), V2(v2_server)
    for key, value in OLD.items():
        await v2.ask("PUT", key, value=value, ttl="600")
    words = ("services", "--env", "prod", "--v2", v2.url)
    async with Etcd(config_of(v2_server)) as etcd:
        assert set((await command.states(*words)).values()) == {"imported"}
        assert len(await all_of(etcd)) == 6
        states = await command.states(*words, "--delete")
        assert set(states.values()) == {"there already, the old entry deleted"}
        assert len(await all_of(etcd)) == 6
    for key in OLD:
        assert (await v2.ask("GET", key))["errorCode"] == 100
    assert "nothing stands below" in await command.run("none", *words[1:], code=Exit.USAGE)


async def test_an_etcd_without_the_v2_api_is_told_apart(
    etcd_server: EtcdServer, command: Command
) -> None:
    words = ("services", "--env", "prod", "--v2", f"http://{etcd_server.endpoint}")
    assert "--enable-v2" in await command.run(*words, code=Exit.USAGE)


async def test_a_registrar_takes_an_imported_instance_over_and_no_watcher_misses_it(
    tmp_path: Path, docker_daemon: DockerDaemon, etcd_server: EtcdServer, command: Command
) -> None:
    stack = RegistrarStack(tmp_path, docker_daemon, etcd_server)
    port = free_port()
    serving = ("busybox", "nc", "-ll", "-p", str(port), "-e", "true")
    labels = (*SHOP_LABELS, f"--label=wharfinger.port={port}")
    container = await docker_daemon.run("run", "--detach", "--network=host", *labels, *serving)
    # registrator in a container of its own called the host by that container's id.
    await put_old(stack.etcd, {f"/services/shop/3f2a9c81d0b4:shop:{port}": f"{IP}:{port}"})
    await command.run("services", "--env", "prod", "--delete")
    (key, imported), = (await stack.keys()).items()  # fmt: skip
    try:
        async with Watcher(stack.etcd, ["/shop_prod/"]) as watcher:
            await stack.start()
            await stack.until_state(container.strip(), "registered")

            def taken(status: dict[str, Any]) -> bool:
                held = watcher.items.get(key)
                return held is not None and f"{held.lease:x}" == status["lease"]

            await stack.until_status(taken, "it hangs on the registrar's lease")
            events = [
                event
                for update in watcher.updates
                if isinstance(update, Changed)
                for event in update.events
            ]
        assert all(event.kv is not None and event.kv.value == imported.value for event in events)
        ((_, described),) = (await stack.metadata()).items()
        assert described["host"] == "box"
        assert "imported" not in described
        assert (await stack.ask("/status"))["contested"] == {}
    finally:
        await stack.stop()
        _give_back(stack.reserved)


async def test_discovery_serves_what_was_imported(
    discovery_stack: DiscoveryStack, command: Command
) -> None:
    stack = discovery_stack
    dest = stack.write_resource(
        "peers", "{% for s in services %}{% for i in s.instances %}{{ s.name }} {{ i.ip }}:"
        "{{ i.port }} {{ i.host }}\n{% endfor %}{% endfor %}"
    )  # fmt: skip
    await stack.start()
    await put_old(stack.etcd)
    await command.run("services", "--env", "prod", "--map", "blog-443=blog")

    async def served() -> bool:
        return sorted(dest.read_text().split("\n")) == [
            "", "blog_prod 10.0.0.5:8443 web-1",
            "shop_prod 10.0.0.5:8080 web-1", "shop_prod 10.0.0.6:8080 web-2",
        ]  # fmt: skip

    await stack.until(served, "they are served")
    assert (await stack.ask_json("/status"))["rejected"] == []
