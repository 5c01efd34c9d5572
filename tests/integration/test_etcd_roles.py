"""The README's roles are enough for the daemons' work, and what they leave out blocks nobody."""

import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.stack.discovery import DiscoveryStack
from tests.stack.dockerd import DockerDaemon
from tests.stack.etcd import Watcher, config_of, etcdctl, eventually
from tests.stack.registrar import RegistrarStack, _give_back
from wharfinger.errors import Exit, Rejected
from wharfinger.etcd import Etcd
from wharfinger.keys import OrderKey
from wharfinger.kv import Changed
from wharfinger.operator.drain import Wish, drain
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.nginx import NginxServer
from wharfinger.operator.parts.process import Process, until
from wharfinger.orders import Order, encode

pytestmark = pytest.mark.real

README = Path(__file__).parents[2] / "README.md"
HOST, EDGE, STORE = "box", "edge-1", "store-1"


def commands() -> str:
    """The block of the README that makes users and roles."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    (block,) = [each for each in blocks if "role grant-permission" in each]
    return str(block)


async def make_roles(server: EtcdServer, folder: Path) -> None:
    """Runs exactly what stands there."""
    for user in (HOST, EDGE, STORE):
        (folder / f"{user}.password").write_text(f"secret-of-{user}\n")
    shell = Process(
        ["sh", "-eu", "-c", commands()],
        log=folder / "roles.log",
        folder=folder,
        environment={
            "PATH": "/usr/bin:/bin",
            "ETCDCTL_API": "3",
            "ETCDCTL_ENDPOINTS": server.endpoint,
            "ETCDCTL_USER": "root:root",
        },
    )
    await shell.start()
    assert await shell.wait() == 0, shell.log_tail()


def as_user(folder: Path, user: str) -> tuple[str, ...]:
    settings = (f"etcd.username={user}", f"etcd.password_file={folder}/{user}.password")
    return tuple(word for each in settings for word in ("--set", each))


@pytest.fixture
async def root(etcd_with_users: EtcdServer, tmp_path: Path) -> AsyncIterator[Etcd]:
    """Who may do everything."""
    password = tmp_path / "root.password"
    password.write_text("root\n")
    async with Etcd(config_of(etcd_with_users, username="root", password_file=password)) as etcd:
        yield etcd


@pytest.fixture
async def registrar(
    etcd_with_users: EtcdServer, root: Etcd, docker_daemon: DockerDaemon, tmp_path: Path
) -> AsyncIterator[RegistrarStack]:
    """A registrar that may do no more than the README says."""
    await make_roles(etcd_with_users, tmp_path)
    folder = tmp_path / "registrar"
    folder.mkdir()
    stack = RegistrarStack(folder, docker_daemon, etcd_with_users)
    await stack.etcd.close()
    stack.etcd = root
    stack.process = stack.another("registrar", *as_user(tmp_path, HOST))
    await stack.start()
    yield stack
    await stack.stop()
    _give_back(stack.reserved)


@pytest.fixture
async def discovery(
    registrar: RegistrarStack, root: Etcd, nginx_server: NginxServer, tmp_path: Path
) -> AsyncIterator[DiscoveryStack]:
    """A discovery that may do no more than the README says."""
    folder = tmp_path / "discovery"
    folder.mkdir()
    stack = DiscoveryStack(folder, registrar.etcd_server, nginx_server)
    await stack.etcd.close()
    stack.etcd = root
    words = [sys.executable, "-m", "discovery", "run", "--config", str(stack.config)]
    log = folder / "discovery.log"
    stack.process = Process([*words, *as_user(tmp_path, EDGE)], log=log, name="discovery")
    await stack.start()
    yield stack
    await stack.process.terminate()


async def test_they_do_all_their_work_with_the_roles_of_the_readme(
    registrar: RegistrarStack, discovery: DiscoveryStack, root: Etcd
) -> None:
    container = await registrar.run_shop("--label=wharfinger.host=shop.test")
    await registrar.until_keys(1)

    async def serves() -> bool:
        return (await discovery.get()).status == 200

    await discovery.until(serves, "Nginx serves it")
    # Killed and back within the lease, nobody sees anything.
    async with Watcher(root) as watcher:
        await registrar.process.kill()
        await registrar.start()
        await until(registrar.is_healthy, timeout_seconds=30, what="it is healthy")
        touched = {
            event.key
            for update in watcher.updates
            if isinstance(update, Changed)
            for event in update.events
        }
    assert not {key for key in touched if EDGE not in key}
    # Drained and back, acknowledged by the discovery.
    for verb in ("drain", "undrain"):
        wish = Wish(verb=verb, name=HOST, timeout_seconds=30.0)
        assert await drain(wish, path=registrar.config) is Exit.OK
    await registrar.until_keys(1)
    # Its lease lost, everything is put again.
    lease = next(iter((await registrar.keys()).values())).lease
    await root.revoke(lease)

    async def again() -> bool:
        return {kv.lease for kv in (await registrar.keys()).values()} not in ({lease}, set())

    await until(again, timeout_seconds=30, what="it is put again")
    await registrar.docker.run("rm", "--force", container)
    await registrar.until_keys(0)
    applied = (await root.list("/shop_prod/")).revision

    async def applied_all() -> bool:
        return int((await discovery.ask_json("/status"))["applied_revision"]) >= applied - 1

    await discovery.until(applied_all, "it is applied")
    hosts = set((await root.list("/wharfinger/hosts/")).items)
    assert hosts == {"/wharfinger/hosts/box/registrar", "/wharfinger/hosts/edge-1/discovery"}
    for stack in (registrar, discovery):
        assert "permission denied" not in stack.process.log.read_text()


@pytest.mark.scenario
async def test_a_service_that_is_not_granted_does_not_block_the_others(
    registrar: RegistrarStack, root: Etcd, tmp_path: Path
) -> None:
    for _ in range(2):
        await registrar.run_shop()
    label = "--label=wharfinger.app=secret"
    await registrar.docker.run("run", "--detach", "--network=host", label,
                               "--label=wharfinger.env=prod", "shop")  # fmt: skip
    await registrar.until_keys(2)
    status = await registrar.until_status(
        lambda status: "secret_prod" in status["denied"], "the denied one is told"
    )
    assert "as user box: permission denied" in status["denied"]["secret_prod"]
    third = await registrar.run_shop()
    await registrar.until_state(third, "registered")
    await registrar.until_keys(3)
    told = (await registrar.ask("/healthz"))["checks"]
    (note,) = [each for each in told if each["name"] == "registry"]
    assert note["healthy"]
    assert note["why"].startswith("not registered: secret_prod: ")
    log = registrar.process.log.read_text()
    assert log.count("service denied") == 1
    assert set((await root.list("/secret_prod/")).items) == set()
    for prefix in ("/secret_prod/", "/wharfinger/instances/secret_prod/"):
        grant = f"role grant-permission registrar-box --prefix readwrite {prefix}"
        await etcdctl(registrar.etcd_server, tmp_path, "--user=root:root", *grant.split())
    await registrar.until_status(lambda status: not status["denied"], "it is granted")
    assert len((await root.list("/secret_prod/")).items) == 1
    await eventually(lambda: "service allowed" in registrar.process.log.read_text())


async def test_a_store_reads_all_gives_orders_and_writes_nothing_else(
    registrar: RegistrarStack, tmp_path: Path
) -> None:
    await registrar.run_shop("--label=wharfinger.drain=0")
    (key,) = await registrar.until_keys(1)
    password = tmp_path / f"{STORE}.password"
    config = config_of(registrar.etcd_server, username=STORE, password_file=password)
    async with Etcd(config) as store:
        assert key in (await store.list("/")).items
        order = OrderKey(HOST, "abcdefgh").key
        await store.put(order, encode(Order(verb="drain", target=key)))

        async def done() -> bool:
            kv = await store.get(order)
            return kv is not None and b'"state":"done"' in kv.value

        with registrar.explained():
            await until(done, timeout_seconds=30, what="the order is done")
        assert not await registrar.keys()
        for other in (key, f"/wharfinger/hosts/{HOST}/registrar"):
            with pytest.raises(Rejected):
                await store.put(other, b"x")
