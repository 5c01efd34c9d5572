"""The Rancher engine against a strict API: upgraded and confirmed, taken back, by hand."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy.release.app.model import App, Build, EngineName, Environment, Health, Rollout
from deploy.release.engine import RolloutFailed, Target
from deploy.release.engines.place import Place
from deploy.release.engines.rancher import rollout
from deploy.release.engines.rancher.api import Access
from deploy.release.engines.rancher.engine import ByHand, RancherEngine
from tests.stack import ranchercommand
from tests.stack.etcd import config_of
from tests.stack.rancher import FakeRancher, serving
from tests.stack.told import Told
from wharfinger.errors import ConfigError, Exit, Unavailable
from wharfinger.etcd import Etcd
from wharfinger.kv import Delete
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.process import until

pytestmark = pytest.mark.real
IMAGES = {
    name: f"registry.test/shop@sha256:{digit * 64}" for name, digit in (("a", "a"), ("b", "b"))
}
COMPOSE = """\
version: '2'
services:
  shop:
    image: {image}
    network_mode: host
    labels: {{wharfinger.app: shop, wharfinger.env: prod}}
"""
SCALE = "version: '2'\nservices:\n  shop: {scale: 2, upgrade_strategy: {start_first: true}}\n"


def rendered(target: Target) -> Mapping[str, str]:
    return {
        "docker-compose.yml": COMPOSE.format(image=target.image),
        "rancher-compose.yml": SCALE,
        "rancher-compose.flags": "--batch-size 1 --interval 2000\n",
    }


@pytest.fixture
def rancher() -> Iterator[FakeRancher]:
    with serving() as server:
        yield server


class Site:
    def __init__(self, etcd: Etcd, rancher: FakeRancher, folder: Path) -> None:
        environment = Environment(
            name="prod",
            engine=EngineName.RANCHER,
            replicas=2,
            rollout=Rollout(monitor_seconds=0.2),
        )
        self.app = App(
            name="shop",
            image="registry.test/shop",
            build=Build(layer="base"),
            health=Health(start_seconds=0.5),
            drain_seconds=0.0,
            environments={"prod": environment},
        )
        self.rancher = rancher
        self.etcd = etcd
        self.told = Told()
        self.place = Place(etcd=etcd, docker_url="", state_dir=folder / "state", by="ann")

    def engine(self, access: Access | None) -> RancherEngine:
        return RancherEngine(
            self.app,
            self.app.environments["prod"],
            self.place,
            stack="shop-prod",
            render=rendered,
            access=access,
        )

    async def up(self, name: str, *, access: bool = True) -> None:
        self.told = Told()
        target = Target(
            app=self.app,
            environment=self.app.environments["prod"],
            image=IMAGES[name],
            release="r1",
            replicas=2,
        )
        engine = self.engine(Access(self.rancher.url, "key", "secret") if access else None)
        await engine.up(target, self.told)

    async def scale(self, name: str, replicas: int) -> None:
        self.told = Told()
        target = Target(
            app=self.app,
            environment=self.app.environments["prod"],
            image=IMAGES[name],
            release="r1",
            replicas=replicas,
        )
        await self.engine(Access(self.rancher.url)).scale(target, self.told)

    async def down(self, *, access: bool = True) -> None:
        self.told = Told()
        await self.engine(Access(self.rancher.url) if access else None).down(self.told)

    async def register(self, image: str) -> None:
        """As registrars do when Rancher has replaced all containers."""
        scales = [each["scale"] for each in self.rancher.services.values()] or [2]
        for port in range(1001, 1001 + scales[0]):
            address = f"10.0.0.1-{port}"
            told = {
                "id": f"{port}{image[-1]}",
                "name": f"shop-{port}",
                "host": "h1",
                "image": image,
            }
            await self.etcd.put(f"/shop_prod/{address}", f"10.0.0.1:{port}".encode())
            key = f"/wharfinger/instances/shop_prod/{address}"
            await self.etcd.put(key, json.dumps(told).encode())

    @asynccontextmanager
    async def cattle(self) -> AsyncIterator[None]:
        """Runs what Rancher was told to, but for image b's, which never comes up."""

        async def follow() -> None:
            while True:
                for service in list(self.rancher.services.values()):
                    image = service["launchConfig"]["imageUuid"].removeprefix("docker:")
                    if image == IMAGES["a"] or not self.broken:
                        await self.register(image)
                await asyncio.sleep(0.05)

        task = asyncio.create_task(follow())
        try:
            yield
        finally:
            task.cancel()

    broken = False


@pytest.fixture
async def site(
    etcd_server: EtcdServer,
    rancher: FakeRancher,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Site]:
    ranchercommand.install(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("RANCHER_URL", rancher.url)
    monkeypatch.setattr(rollout, "SPARE_SECONDS", 1.0)
    async with Etcd(config_of(etcd_server)) as etcd:
        record = {"version": "1", "since": "", "health": "healthy"}
        await etcd.put("/wharfinger/hosts/h1/registrar", json.dumps(record).encode())
        served = json.dumps({**record, "applied_revision": 10**9}).encode()
        await etcd.put("/wharfinger/hosts/e1/discovery", served)
        yield Site(etcd, rancher, tmp_path)


def changes(rancher: FakeRancher) -> list[str]:
    return [about for about, _ in rancher.posted if not about.startswith("transform")]


async def test_it_is_created_upgraded_and_confirmed(site: Site, rancher: FakeRancher) -> None:
    async with site.cattle():
        await site.up("a")
        assert changes(rancher) == ["create stack", "create shop", "activate shop"]
        await site.up("b")
    assert changes(rancher)[3:] == ["upgrade shop", "finishupgrade shop"]
    (upgrade,) = (body for about, body in rancher.posted if about == "upgrade shop")
    strategy = upgrade["inServiceStrategy"]
    assert (strategy["batchSize"], strategy["intervalMillis"]) == (1, 2000)
    assert strategy["launchConfig"]["imageUuid"] == f"docker:{IMAGES['b']}"
    (service,) = rancher.services.values()
    assert service["state"] == "active"
    running = await site.engine(None).running()
    assert {(each.image, each.host) for each in running} == {(IMAGES["b"], "h1")}
    mode = (site.place.state_dir / "deploy" / "shop_prod").stat().st_mode
    assert mode & 0o777 == 0o700


async def test_it_is_scaled_by_the_command_for_that(site: Site, rancher: FakeRancher) -> None:
    async with site.cattle():
        await site.up("a")
        await site.scale("a", 3)
    assert changes(rancher)[3:] == ["update shop"]
    assert len(await site.engine(None).running()) == 3


async def test_what_never_comes_up_is_taken_back(site: Site, rancher: FakeRancher) -> None:
    site.broken = True
    async with site.cattle():
        await site.up("a")
        told = {
            "version": "1",
            "since": "",
            "health": "healthy",
            "unregistered": [{"name": "r-shop-prod-shop-3", "reason": "does not listen"}],
        }
        await site.etcd.put("/wharfinger/hosts/h1/registrar", json.dumps(told).encode())
        with pytest.raises(RolloutFailed, match="0 of 2 new in etcd") as failed:
            await site.up("b")
    assert "r-shop-prod-shop-3 on h1: does not listen" in str(failed.value)
    assert failed.value.restored
    assert changes(rancher)[-1] == "rollback shop"
    (service,) = rancher.services.values()
    assert service["launchConfig"]["imageUuid"] == f"docker:{IMAGES['a']}"


async def test_what_is_left_of_a_bad_one_is_not_what_ran_before(
    site: Site, rancher: FakeRancher
) -> None:
    async with site.cattle():
        await site.up("a")

    async def half() -> None:
        """One of two of b comes up, and stays in etcd; a takes long to come again."""
        while True:
            (service,) = rancher.services.values()
            if service["launchConfig"]["imageUuid"].endswith(IMAGES["b"]):
                for folder in ("", "/wharfinger/instances"):
                    address = f"{folder}/shop_prod/10.0.0.1"
                    await site.etcd.transact((), (Delete(f"{address}-1002"),))
                told = {"id": "b", "name": "shop-1", "host": "h1", "image": IMAGES["b"]}
                key = "/wharfinger/instances/shop_prod/10.0.0.1-1001"
                await site.etcd.put(key, json.dumps(told).encode())
            await asyncio.sleep(0.05)

    task = asyncio.create_task(half())
    try:
        with pytest.raises(RolloutFailed, match="1 of 2 new in etcd") as failed:
            await site.up("b")
    finally:
        task.cancel()
    assert changes(rancher)[-1] == "rollback shop"
    assert not failed.value.restored, "nothing of a serves"


async def test_a_first_one_that_never_comes_up_is_not_called_restored(site: Site) -> None:
    site.broken = True
    async with site.cattle():
        # Nothing was there, and then what was left of that.
        for _ in range(2):
            with pytest.raises(RolloutFailed, match="0 of 2 new in etcd") as failed:
                await site.up("b")
            assert not failed.value.restored


async def test_an_upgrade_that_was_cut_off_is_gone_on_with(
    site: Site, rancher: FakeRancher, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site.cattle():
        await site.up("a")

        async def cut(*_: object) -> None:
            raise asyncio.CancelledError

        with monkeypatch.context() as patch:
            patch.setattr(rollout.Rollout, "until_there", cut)
            with pytest.raises(asyncio.CancelledError):
                await site.up("b")
        (service,) = rancher.services.values()
        assert service["state"] == "upgraded"

        async def some_come() -> bool:
            return any(each.image == IMAGES["b"] for each in await site.engine(None).running())

        await until(some_come, timeout_seconds=30, what="an instance of the new release is there")
        await site.up("b")
    assert changes(rancher)[3:] == ["upgrade shop", "finishupgrade shop"]
    assert "it goes on where an earlier run was cut off" in site.told.steps


async def test_one_that_was_left_unconfirmed_does_not_bar_the_next(
    site: Site, rancher: FakeRancher
) -> None:
    async with site.cattle():
        await site.up("a")
        (service,) = rancher.services.values()
        service["state"] = "upgraded"
        service["former"] = service["launchConfig"]
        await site.up("b")
    assert changes(rancher)[3:] == ["finishupgrade shop", "upgrade shop", "finishupgrade shop"]


async def test_without_the_program_it_says_what_to_run_and_then_believes_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ByHand, match="rancher-compose is not on PATH") as told:
        await site.up("a")
    assert told.value.exit_code == Exit.TRY_LATER
    assert "--upgrade --pull --batch-size 1 --interval 2000" in str(told.value)
    assert (site.place.state_dir / "deploy" / "shop_prod" / "rancher-compose.yml").exists()
    with pytest.raises(ByHand, match="RANCHER_URL is not set"):
        await site.up("a", access=False)
    await site.register(IMAGES["a"])
    await site.up("a", access=False)
    assert site.told.steps[-1] == "it is there, handed to Rancher by somebody else"


async def test_it_says_what_takes_it_away_and_then_believes_it(
    site: Site, rancher: FakeRancher
) -> None:
    async with site.cattle():
        await site.up("a")
    changed = changes(rancher)
    for access in (True, False):
        with pytest.raises(ByHand, match="take it away yourself") as told:
            await site.down(access=access)
        assert "rancher-compose --project-name shop-prod rm --force shop" in str(told.value)
        assert "10.0.0.1:1001 (shop-1001 on h1)" in str(told.value)
    assert changes(rancher) == changed, "nothing is done from here"
    for port in (1001, 1002):
        await site.etcd.delete(f"/shop_prod/10.0.0.1-{port}")
    with pytest.raises(ByHand):
        await site.down()
    rancher.services.clear()
    await site.down()
    await site.down(access=False)
    assert site.told.steps == ["RANCHER_URL is not set: etcd alone was asked, and has none of it"]


async def test_a_server_that_is_away_changes_nothing(site: Site, rancher: FakeRancher) -> None:
    engine = site.engine(Access("http://127.0.0.1:9"))
    target = Target(
        app=site.app,
        environment=site.app.environments["prod"],
        image=IMAGES["a"],
        release="r1",
        replicas=2,
    )
    with pytest.raises(Unavailable, match=r"Rancher at http://127.0.0.1:9/v2-beta"):
        await engine.up(target, Told())
    assert rancher.posted == []


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://r:8080", "http://r:8080/v2-beta"),
        ("http://r:8080/v1", "http://r:8080/v2-beta"),
        ("http://r:8080/v1/projects/1a5/", "http://r:8080/v2-beta/projects/1a5"),
        ("http://r/v2-beta/projects/1a5", "http://r/v2-beta/projects/1a5"),
    ],
)
def test_addresses_of_rancher_in_all_their_forms(url: str, root: str) -> None:
    assert Access(url).root == root
    assert Access.of({}) is None
    assert "hidden" not in repr(Access.of({"RANCHER_URL": url, "RANCHER_SECRET_KEY": "hidden"}))


def test_an_address_holds_no_password() -> None:
    with pytest.raises(ConfigError, match="RANCHER_ACCESS_KEY") as refused:
        Access.of({"RANCHER_URL": "https://key:hidden@rancher.example/v2-beta"})
    assert "hidden" not in str(refused.value)
