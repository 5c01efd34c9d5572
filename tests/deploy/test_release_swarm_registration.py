"""What runs on a Swarm is waited for in etcd, whichever task it is by then."""

from typing import cast

import pytest

from deploy.release.app.model import App, Build, Health
from deploy.release.engines.instances import Instances
from deploy.release.engines.registered import Hosts, Instance
from deploy.release.engines.swarm import registration
from deploy.release.engines.swarm.model import Task
from deploy.release.engines.swarm.registration import Registration
from tests.stack.told import Told
from wharfinger.hostrecord import Told as HostTold
from wharfinger.keys import InstanceKey

APP = App(name="shop", image="shop", build=Build(layer="none"), health=Health(start_seconds=0.01))


def task(number: int) -> Task:
    return Task(
        id=f"t{number}",
        slot=1,
        node="n",
        image="shop",
        container={},
        force=0,
        desired="running",
        state="running",
        container_id=f"c{number}",
    )


def instance(number: int) -> Instance:
    key = InstanceKey.parse(f"/shop_prod/127.0.0.1-{20_000 + number}")
    return Instance(key, f"c{number}", f"shop.{number}", "box", "shop", number)


class Etcd:
    """Holds some instances.

    Attributes:
        waited: the revision that the edges were asked for.
    """

    def __init__(self, *numbers: int) -> None:
        self._numbers = numbers
        self.waited = 0

    async def hosts(self) -> Hosts:
        return Hosts({"box": HostTold()}, frozenset())

    async def held(self) -> tuple[Instance, ...]:
        return tuple(map(instance, self._numbers))

    async def served(self, revision: int) -> tuple[str, ...]:
        self.waited = revision
        return ()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(registration, "MARGIN_SECONDS", 0.2)


async def test_one_that_has_died_since_is_not_waited_for_but_the_one_in_its_place() -> None:
    etcd, looks = Etcd(1, 3), 0

    async def look() -> list[Task]:
        nonlocal looks
        looks += 1
        # The second dies before it was registered, and for a moment there is none.
        return [task(1), *{1: [task(2)], 2: []}.get(looks, [task(3)])]

    asked = Registration(cast("Instances", etcd), APP)
    assert await asked.until_served("shop-prod_shop", look, 2, Told()) == ""
    assert (looks, etcd.waited) == (3, 3)


async def test_what_is_never_registered_is_told() -> None:
    async def look() -> list[Task]:
        return [task(1), task(2)]

    telling = Told()
    asked = Registration(cast("Instances", Etcd(1)), APP)
    why = await asked.until_served("shop-prod_shop", look, 2, telling)
    assert why.startswith("1 instance is not in etcd")
    assert telling.waits == [("in etcd", 1, 2)]


async def test_what_is_there_beside_the_tasks_is_counted_by_host() -> None:
    asked = Registration(cast("Instances", Etcd(1, 2, 3)), APP)
    assert await asked.others([task(1)]) == {"box": 2}
    assert await asked.others([task(1), task(2), task(3)]) == {}
