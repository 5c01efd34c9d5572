"""The engine against a Swarm that does what a test tells it to."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import cast

import pytest

from deploy.release.app.model import App, Build, EngineName, Environment, Health, Port
from deploy.release.engine import RolloutFailed, Target
from deploy.release.engines.swarm import watching
from deploy.release.engines.swarm.docker import Manager
from deploy.release.engines.swarm.engine import SwarmEngine
from deploy.release.engines.swarm.model import Node, Service, Task
from deploy.release.engines.swarm.registration import Registration
from deploy.release.progress import Progress
from tests.stack.told import Told
from wharfinger.errors import Rejected, Unavailable

OLD, NEW = "shop@sha256:" + "1" * 64, "shop@sha256:" + "2" * 64
ENVIRONMENT = Environment(name="prod", engine=EngineName.SWARM, replicas=2)
APP = App(
    name="shop",
    image="shop",
    build=Build(layer="none"),
    health=Health(start_seconds=0.05),
    drain_seconds=0,
    environments={"prod": ENVIRONMENT},
)
NODES = tuple(
    Node(id=f"n{n}", name=f"box{n}", ready=True, active=True, labels={}) for n in (1, 2, 3)
)


class Swarm:
    """Puts each task where fewest are, at once; as told, it fails.

    Attributes:
        bad: images whose tasks fail.
        ends: how an update to a bad image ends, in Swarm's word.
        away: how many questions are not answered.
    """

    stack, name = "shop-prod", "shop-prod_shop"

    def __init__(self, image: str | None = OLD, replicas: int | None = 2) -> None:
        self.bad: set[str] = set()
        self.ends = "rollback_completed"
        self.away = 0
        self.told: list[str] = []
        self._count = 0
        self._service: Service | None = None
        self._tasks: list[Task] = []
        if image is not None:
            self._service = self._of(image, replicas, "r1")
            self._settle()

    async def service(self) -> Service | None:
        if self.away:
            self.away -= 1
            raise Unavailable("rpc error: the swarm does not have a leader")
        return self._service

    async def tasks(self) -> tuple[Task, ...]:
        return tuple(self._tasks)

    async def nodes(self) -> tuple[Node, ...]:
        return NODES

    async def deploy(self, text: str, _on_line: object) -> None:
        image, release, replicas = text.split()
        self.told.append(f"deploy {release}")
        before = self._service
        made = self._of(image, int(replicas) or None, release)
        self._service = replace(made, previous=before.image if before else None)
        if image not in self.bad:
            self._settle()
            return
        self._fail()
        if before is None:
            return
        self._service = replace(self._service, update=self.ends)
        if self.ends.startswith("rollback"):
            self._service = replace(before, update=self.ends)

    async def roll_back(self) -> None:
        self.told.append("roll back")
        assert self._service is not None
        assert self._service.previous is not None
        image = self._service.previous
        self._service = self._of(image, self._service.replicas, "r1", "rollback_completed")
        self._settle()

    async def scale(self, replicas: int) -> None:
        self.told.append(f"scale {replicas}")
        assert self._service is not None
        more = replicas > (self._service.replicas or 0)
        self._service = replace(self._service, replicas=replicas, update="")
        if more and "more" in self.bad:
            self._fail()
        else:
            self._settle()

    async def remove(self) -> None:
        self.told.append("remove")
        self._service, self._tasks = None, []

    async def log(self, _task: Task) -> tuple[str, ...]:
        return ("no price list",)

    def label(self, labels: Mapping[str, str]) -> None:
        """Has its containers carry these labels."""
        assert self._service is not None
        self._service = replace(self._service, container={"Labels": labels})

    def lie(self, *nodes: int) -> None:
        """Puts the running tasks there."""
        self._tasks = [
            replace(task, node=f"n{node}") for task, node in zip(self._tasks, nodes, strict=True)
        ]

    def _of(self, image: str, replicas: int | None, release: str, update: str = "") -> Service:
        container = {"Image": image, "Labels": {"wharfinger.release": release}}
        return Service(
            id="s", image=image, container=container, force=0, replicas=replicas, update=update
        )

    def _task(self, state: str, node: str, error: str = "") -> Task:
        assert self._service is not None
        self._count += 1
        return Task(
            id=f"t{self._count}",
            slot=self._count,
            node=node,
            image=self._service.image,
            container=self._service.container,
            force=0,
            desired="running" if state == "running" else "shutdown",
            state=state,
            error=error,
            container_id=f"c{self._count}",
        )

    def _settle(self) -> None:
        assert self._service is not None
        wanted = len(NODES) if self._service.replicas is None else self._service.replicas
        kept = [task for task in self._tasks if task.is_of(self._service) and task.runs]
        while len(kept) > wanted:
            counts = self._counts(kept)
            kept.remove(max(kept, key=lambda task: counts[task.node]))
        while len(kept) < wanted:
            counts = self._counts(kept)
            kept.append(self._task("running", min(counts, key=lambda node: counts[node])))
        self._tasks = kept

    def _fail(self) -> None:
        self._tasks += [self._task("failed", "n1", "non-zero exit (3)") for _ in range(3)]

    def _counts(self, tasks: Sequence[Task]) -> dict[str, int]:
        return {node.id: sum(task.node == node.id for task in tasks) for node in NODES}


Look = Callable[[], Awaitable[Sequence[Task]]]


class Registered:
    """Says of some images that etcd does not have them."""

    betrays = 0

    def __init__(self, *missing: str) -> None:
        self._missing = missing

    async def until_served(self, _service: str, look: Look, _of: int, _: Progress) -> str:
        if any(task.image in self._missing for task in await look()):
            return "2 run and are not in etcd: its label wharfinger.app has a slash"
        return ""

    async def others(self, tasks: Sequence[Task]) -> dict[str, int]:
        return {"box4": 1} if len(tasks) == self.betrays else {}


def engine(
    swarm: Swarm, *missing: str, app: App = APP, environment: Environment = ENVIRONMENT
) -> SwarmEngine:
    return SwarmEngine(
        cast("Manager", swarm),
        app,
        environment,
        render=lambda target: f"{target.image} {target.release} {target.replicas}",
        registration=cast("Registration", Registered(*missing)),
    )


def target(
    image: str = NEW, release: str = "r2", replicas: int = 2, unproven: Sequence[str] = ()
) -> Target:
    return Target(
        app=APP,
        environment=ENVIRONMENT,
        image=image,
        release=release,
        replicas=replicas,
        unproven=frozenset(each.rpartition("@")[2] for each in unproven),
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.001)


async def states(swarm: Swarm) -> list[tuple[str, str]]:
    return [(each.image, each.state) for each in await engine(swarm).running()]


async def test_a_service_of_our_name_is_ours_by_its_labels_alone() -> None:
    """A take-down refuses another's before it is on record."""
    swarm = Swarm()
    for app, is_own in (("shop", True), ("till", False)):
        swarm.label({"wharfinger.app": app, "wharfinger.env": "prod"})
        assert [each.own for each in await engine(swarm).running()] == [is_own] * 2


async def test_a_good_release_replaces_the_one_before() -> None:
    swarm = Swarm()
    await engine(swarm).up(target(), Told())
    assert swarm.told == ["deploy r2"]
    assert await states(swarm) == [(NEW, "up")] * 2


async def test_what_lives_on_where_no_manager_hears_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    telling = Told()
    monkeypatch.setattr(Registered, "betrays", 2)
    await engine(Swarm()).up(target(), telling)
    assert telling.steps[-1].startswith("of another release, and still served: box4 1")


async def test_managers_that_elect_a_leader_are_asked_again() -> None:
    swarm, telling = Swarm(), Told()
    watched = engine(swarm)
    swarm.away = 0
    await swarm.deploy(f"{NEW} r2 2", None)
    swarm.away = 3
    with pytest.raises(Unavailable, match="leader"):
        await watched.running()
    swarm.away = 0
    await watched.up(target(), telling)
    assert "runs on box1 1, box2 1, box3 0" in telling.steps


@pytest.mark.parametrize(
    ("ends", "told", "restored"),
    [
        ("rollback_completed", ["deploy r2"], True),
        ("paused", ["deploy r2", "roll back"], True),
        # Swarm has given up its own way back.
        ("rollback_paused", ["deploy r2"], False),
    ],
)
async def test_a_bad_one_is_taken_back_and_the_reason_told(
    ends: str, told: list[str], restored: bool
) -> None:
    swarm = Swarm()
    swarm.bad, swarm.ends = {NEW}, ends
    with pytest.raises(
        RolloutFailed, match=r"(?s)non-zero exit \(3\).*no price list.*r1"
    ) as failed:
        await engine(swarm).up(target(), Told())
    assert failed.value.restored is restored
    assert swarm.told == told
    assert {image for image, state in await states(swarm) if state == "up"} == {OLD}


async def test_the_same_digest_with_settings_that_do_not_run_is_taken_back_too() -> None:
    swarm = Swarm(NEW)
    swarm.bad, swarm.ends = {NEW}, "paused"
    with pytest.raises(RolloutFailed) as failed:
        await engine(swarm).up(target(), Told())
    assert swarm.told == ["deploy r2", "roll back"]
    assert failed.value.restored


async def test_a_manager_that_refuses_the_way_back_does_not_hide_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    swarm = Swarm()
    swarm.bad, swarm.ends = {NEW}, "paused"

    async def refuse() -> None:
        raise Unavailable("update out of sequence")

    monkeypatch.setattr(swarm, "roll_back", refuse)
    with pytest.raises(RolloutFailed, match=r"(?s)non-zero exit.*out of sequence") as failed:
        await engine(swarm).up(target(), Told())
    assert not failed.value.restored


async def test_one_that_runs_and_is_never_in_etcd_is_bad_though_swarm_likes_it() -> None:
    swarm = Swarm()
    with pytest.raises(RolloutFailed, match="has a slash") as failed:
        await engine(swarm, NEW).up(target(), Told())
    assert failed.value.restored
    assert swarm.told == ["deploy r2", "roll back"]


async def test_a_bad_first_one_leaves_nothing() -> None:
    swarm = Swarm(image=None)
    swarm.bad = {NEW}
    with pytest.raises(RolloutFailed, match="nothing ran before") as failed:
        await engine(swarm).up(target(), Told())
    assert not failed.value.restored
    assert swarm.told == ["deploy r2", "remove"]
    assert await states(swarm) == []


@pytest.mark.parametrize("release", ["r1", "r2"])
async def test_a_first_one_that_was_cut_off_is_nothing_to_go_back_to(release: str) -> None:
    swarm, former = Swarm(image=None), OLD
    swarm.bad = {OLD, NEW}
    await swarm.deploy(f"{former} r1 2", None)  # whoever did was killed
    wanted = target(former if release == "r1" else NEW, release, unproven=(OLD, NEW))
    with pytest.raises(RolloutFailed, match="nothing ran before; the stack is removed") as failed:
        await engine(swarm).up(wanted, Told())
    assert not failed.value.restored
    assert swarm.told == ["deploy r1", f"deploy {release}", "remove"]
    assert await states(swarm) == []


async def test_a_first_one_that_was_cut_off_and_serves_is_gone_back_to() -> None:
    swarm = Swarm()
    swarm.bad, swarm.ends = {NEW}, "paused"
    with pytest.raises(RolloutFailed, match="r1 runs again") as failed:
        await engine(swarm).up(target(unproven=(OLD, NEW)), Told())
    assert failed.value.restored
    assert swarm.told == ["deploy r2", "roll back"]


@pytest.mark.parametrize("release", ["r1", "r2"])
async def test_a_first_one_that_was_cut_off_and_runs_unserved_goes_too(release: str) -> None:
    swarm = Swarm()
    wanted = target(OLD if release == "r1" else NEW, release, unproven=(OLD, NEW))
    with pytest.raises(RolloutFailed, match=r"has a slash.*\n.*r1 was cut off.*removed") as failed:
        await engine(swarm, OLD, NEW).up(wanted, Told())
    assert not failed.value.restored
    assert swarm.told == [f"deploy {release}", "roll back", "remove"]


async def test_a_first_one_that_has_nothing_before_it_is_taken_away_though_swarm_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    swarm = Swarm()

    async def refuse() -> None:
        raise Unavailable("service does not have a previous spec")

    monkeypatch.setattr(swarm, "roll_back", refuse)
    with pytest.raises(RolloutFailed, match=r"has a slash.*\n.*r1 was cut off.*removed"):
        await engine(swarm, OLD).up(target(OLD, "r1", unproven=(OLD,)), Told())
    assert swarm.told == ["deploy r1", "remove"]


async def test_one_too_many_for_a_port_is_refused() -> None:
    swarm = Swarm()
    fixed = replace(APP, port=Port(fixed=8080))
    for count in (1, 3):
        await engine(swarm, app=fixed).require_room(target(replicas=count))
    with pytest.raises(Rejected, match=r"4 instances cannot all have port 8080: 3 nodes take them"):
        await engine(swarm, app=fixed).require_room(target(replicas=4))
    # Ports of their own are as many as there are.
    await engine(swarm).require_room(target(replicas=4))
    everywhere = replace(ENVIRONMENT, everywhere=True, replicas=0)
    await engine(swarm, app=fixed, environment=everywhere).require_room(target(replicas=0))


async def test_a_task_that_stays_has_its_room_on_a_node_that_takes_no_other() -> None:
    swarm = Swarm(replicas=3)
    swarm.lie(1, 2, 3)
    paused = [replace(node, active=node.id == "n1") for node in NODES]

    async def nodes() -> tuple[Node, ...]:
        return tuple(paused)

    swarm.nodes = nodes  # type: ignore[method-assign]
    fixed = replace(APP, port=Port(fixed=8080))
    # As a scale has it; whatever else is deployed ends the one that is there.
    await engine(swarm, app=fixed).require_room(target(OLD, "r1", replicas=2))
    with pytest.raises(Rejected, match=r"port 8080: 1 node takes them \(box1\)"):
        await engine(swarm, app=fixed).require_room(target(replicas=2))


async def test_the_same_update_is_followed_and_another_waited_for() -> None:
    swarm = Swarm()
    await swarm.deploy(f"{NEW} r2 2", None)
    settled, looks = swarm.service, 0

    async def service() -> Service | None:
        nonlocal looks
        looks += 1
        found = await settled()
        return replace(found, update="updating") if found and looks < 5 else found

    swarm.service = service  # type: ignore[method-assign]
    telling = Told()
    await engine(swarm).up(target(), telling)
    assert "goes on" in telling.steps[0]
    # What was begun may be older than what wharf.yaml says now.
    assert swarm.told == ["deploy r2", "deploy r2"]
    looks, telling = 0, Told()
    await engine(swarm).up(target(OLD, "r3"), telling)
    assert "another update" in telling.steps[0]
    assert swarm.told[2:] == ["deploy r3"]


async def test_what_was_followed_is_not_what_ran_before() -> None:
    swarm = Swarm()
    await swarm.deploy(f"{NEW} r2 2", None)
    settled, looks, deploy = swarm.service, 0, swarm.deploy

    async def service() -> Service | None:
        nonlocal looks
        looks += 1
        found = await settled()
        return replace(found, update="updating") if found and looks < 5 else found

    async def differs(text: str, _on_line: object) -> None:
        swarm.bad, swarm.ends = {NEW}, "paused"  # wharf.yaml says something else by now
        await deploy(text, _on_line)

    swarm.service, swarm.deploy = service, differs  # type: ignore[method-assign]
    with pytest.raises(RolloutFailed, match="r2") as failed:
        await engine(swarm).up(target(), Told())
    assert swarm.told == ["deploy r2", "deploy r2", "roll back"]
    assert not failed.value.restored, "r1 serves no more"


async def test_what_lies_uneven_is_moved_and_nothing_else() -> None:
    swarm, telling = Swarm(), Told()
    await engine(swarm).up(target(replicas=6), telling)
    swarm.lie(1, 2, 2, 3, 3, 3)
    before = {task.id for task in await swarm.tasks()}
    await engine(swarm).up(target(replicas=6), telling)
    assert swarm.told[-2:] == ["scale 7", "scale 6"]
    assert telling.steps[-1] == "runs on box1 2, box2 2, box3 2"
    assert len(before & {task.id for task in await swarm.tasks()}) == 5


async def test_scaling_changes_the_number_alone_and_takes_back_what_does_not_run() -> None:
    swarm = Swarm()
    await engine(swarm).scale(target(OLD, "r1", replicas=5), Told())
    assert swarm.told == ["scale 5"]
    swarm.bad = {"more"}
    with pytest.raises(RolloutFailed, match="7 instances do not run") as failed:
        await engine(swarm).scale(target(OLD, "r1", replicas=7), Told())
    assert failed.value.restored
    assert swarm.told[1:] == ["scale 7", "scale 5"]
    assert await states(swarm) == [(OLD, "up")] * 5


async def test_one_on_each_node_and_one_nowhere_cannot_be_scaled() -> None:
    with pytest.raises(Rejected, match="runs on each host"):
        await engine(Swarm(replicas=None)).scale(target(), Told())
    with pytest.raises(Unavailable, match="not deployed"):
        await engine(Swarm(image=None)).scale(target(), Told())
