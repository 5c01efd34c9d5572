"""A service taken away from a Swarm that does what a test tells it to; nobody else's is."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any, cast

import pytest

from deploy.release import programs
from deploy.release.engines.swarm import removal
from deploy.release.engines.swarm.docker import Manager
from deploy.release.engines.swarm.model import Node, Service, Task
from deploy.release.engines.swarm.removal import Removal, left, stranger
from tests.stack.told import Told
from wharfinger.errors import Unavailable

OURS = {"wharfinger.app": "shop", "wharfinger.env": "prod"}
NODES = tuple(
    Node(id=f"n{n}", name=f"box{n}", ready=n != 3, active=True, labels={}) for n in (1, 2, 3)
)


def service(labels: object, replicas: int | None = 2) -> Service:
    container = {} if labels is None else {"Labels": labels}
    return Service(id="s1", image="shop", container=container, force=0, replicas=replicas)


def task(number: int, state: str = "running", node: str = "n1") -> Task:
    return Task(
        id=f"t{number}",
        slot=number,
        node=node,
        image="shop",
        container={},
        force=0,
        desired="shutdown",
        state=state,
    )


class Swarm:
    """Ends one task at each look; on node n3, which is not heard, none.

    Attributes:
        told: what it was told.
        away: how many questions are not answered.
        stubborn: whether no task ends.
    """

    name = "shop-prod_shop"

    def __init__(self, found: Service | None, *nodes: str) -> None:
        self.told: list[str] = []
        self.away = 0
        self.stubborn = False
        self._service = found
        self._tasks = [task(n, node=node) for n, node in enumerate(nodes, 1)]
        self._ending = False

    async def service(self) -> Service | None:
        if self.away:
            self.away -= 1
            raise Unavailable("rpc error: the swarm does not have a leader")
        return self._service

    async def nodes(self) -> tuple[Node, ...]:
        return NODES

    async def tasks(self) -> tuple[Task, ...]:
        heard = [each for each in self._tasks if each.node != "n3" and each.state == "running"]
        if self._ending and heard and not self.stubborn:
            gone = self._tasks.index(heard[0])
            self._tasks[gone] = replace(heard[0], state="shutdown")
        return tuple(self._tasks)

    async def remembered(self, ids: Collection[str]) -> tuple[Task, ...]:
        return tuple(each for each in await self.tasks() if each.id in ids)

    async def scale(self, replicas: int, *, service_id: str) -> None:
        self.told.append(f"scale {service_id}={replicas}")
        self._ending = True

    async def remove_service(self, service_id: str) -> None:
        self.told.append(f"rm {service_id}")
        self._ending, self._service = True, None


def removing(swarm: Swarm, told: Told | None = None) -> Removal:
    manager = cast("Manager", swarm)
    return Removal(manager, labels=OURS, drain_seconds=0.0, progress=told or Told())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "LOOK_SECONDS", 0.001)


async def test_its_tasks_end_before_it_is_removed() -> None:
    swarm, told = Swarm(service(OURS), "n1", "n2"), Told()
    await removing(swarm, told).run()
    assert swarm.told == ["scale s1=0", "rm s1"]
    assert told.waits == [("instances have ended", 0, 1)]
    assert {each.state for each in await swarm.tasks()} == {"shutdown"}


async def test_one_on_each_node_ends_with_its_service() -> None:
    swarm = Swarm(service(OURS, replicas=None), "n1", "n2")
    await removing(swarm).run()
    assert swarm.told == ["rm s1"]
    assert {each.state for each in await swarm.tasks()} == {"shutdown"}


async def test_one_that_was_scaled_to_none_is_gone_on_with() -> None:
    swarm = Swarm(service(OURS, replicas=0))
    await removing(swarm).run()
    assert swarm.told == ["rm s1"]


async def test_where_there_is_none_nothing_is_told() -> None:
    swarm = Swarm(None)
    await removing(swarm).run()
    assert swarm.told == []


@pytest.mark.parametrize(
    "labels",
    [
        None,
        {},
        {"wharfinger.app": "shop"},
        {**OURS, "wharfinger.env": "pre"},
        {**OURS, "wharfinger.app": "till\x1b[2J"},
        {**OURS, "wharfinger.app": "shop "},
    ],
)
async def test_somebody_elses_of_our_name_is_let_be(labels: object) -> None:
    swarm = Swarm(service(labels), "n1")
    with pytest.raises(Unavailable, match="shop-prod_shop is not taken away: its label") as told:
        await removing(swarm).run()
    assert str(told.value).isprintable()
    assert swarm.told == []
    assert stranger(service(OURS), OURS) == ""


async def test_managers_that_elect_a_leader_are_asked_again() -> None:
    swarm = Swarm(service(OURS), "n1")
    swarm.away = 3
    await removing(swarm).run()
    assert swarm.told == ["scale s1=0", "rm s1"]


async def test_what_does_not_end_is_named_and_its_service_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(removal, "LEAVING_SECONDS", 0.02)
    swarm = Swarm(service(OURS), "n1", "n2")
    swarm.stubborn = True
    with pytest.raises(Unavailable, match=r"not ended yet: shop-prod_shop\.1\.t1, "):
        await removing(swarm).run()
    assert swarm.told == ["scale s1=0"]


async def test_a_node_that_is_not_heard_is_not_waited_for() -> None:
    swarm = Swarm(service(OURS), "n1", "n3")
    await removing(swarm).run()
    assert swarm.told == ["scale s1=0", "rm s1"]


def test_what_is_left_is_what_has_not_ended() -> None:
    several = [task(1), task(2, "failed"), task(3, "pending", ""), task(4, node="n9")]
    assert [each.id for each in left(several, ["n1"])] == ["t1", "t3"]


@pytest.mark.parametrize(
    "said", ["Error: No such task: t1", "Error response from daemon: task t1 not found"]
)
async def test_what_swarm_has_forgotten_is_gone_and_no_trouble(
    monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    async def run(*_words: object, **_more: Any) -> str:
        raise Unavailable(f"docker inspect --type task: exit code 1: {said}")

    monkeypatch.setattr(programs, "run", run)
    manager = Manager(None, "shop-prod", "shop")
    assert await manager.remembered(["t1", "t2"]) == ()
    said = "Cannot connect to the Docker daemon"
    with pytest.raises(Unavailable, match="Cannot connect"):
        await manager.remembered(["t1"])
