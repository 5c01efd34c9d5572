"""A plan that is made after others is the plan that would be made without them."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from registrar import judging, plan
from registrar.checks.model import Check, CheckKind, Outcome, Target
from registrar.model import (
    Ask,
    Deregistration,
    Holder,
    Instance,
    Listener,
    Observed,
    Ready,
    Refused,
    Seen,
    Wanted,
)
from registrar.plan import Plans, make
from wharfinger.container import Container
from wharfinger.keys import InstanceKey, Service

IDS: Final = ("a" * 64, "b" * 64, "c" * 64)
IPS: Final = ("10.0.0.7", "10.0.0.8")
PORTS: Final = (20_000, 20_001, 20_002, 8_080)
INODES: Final = (0, 1, 2)
SERVICES: Final = (Service("shop", "prod"), Service("cart", "prod"))
CHECKS: Final = (
    Check(),
    Check(CheckKind.NONE),
    Check(CheckKind.HTTP, path="/health"),
    Check(CheckKind.DOCKER),
)
POLICIES: Final[tuple[Deregistration, ...]] = ("always", "on-success", "never")

ids = st.sampled_from(IDS)
ports = st.sampled_from(PORTS)
asks: st.SearchStrategy[Ask] = st.builds(
    Wanted,
    st.sampled_from(SERVICES),
    port=st.none() | ports,
    ip=st.none() | st.sampled_from((*IPS, "no address")),
    check=st.sampled_from(CHECKS),
    on_host_network=st.booleans(),
    deregister=st.sampled_from(POLICIES),
) | st.just(Refused("asks for nonsense"))
containers = st.builds(
    Container,
    id=ids,
    name=st.sampled_from(("one", "other\n")),
    running=st.sampled_from((True, True, True, False)),
    paused=st.sampled_from((False, False, True)),
    exit_code=st.sampled_from((0, 1)),
    started_at_ns=st.sampled_from((1, 10**9)),
    network_mode=st.sampled_from(("host", "bridge")),
    health=st.sampled_from(("", "healthy")),
)
several = st.builds(
    Seen,
    containers,
    st.lists(asks, max_size=2).map(tuple),
    stopping=st.sampled_from((None, None, None, 5)),
    told=st.none() | ports,
    trouble=st.sampled_from(("", "", "its /dev/shm is the host's")),
)
listeners = st.lists(
    st.tuples(st.sampled_from((*IPS, "0.0.0.0", "::")), st.sampled_from(INODES)), max_size=2
)


@dataclass
class World:
    """What is observed, and how it changes: in place, as it does in the registrar."""

    host: str = "box"
    ip: str = IPS[0]
    containers: dict[str, Seen] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    listeners: dict[int, tuple[Listener, ...]] = field(default_factory=dict)
    owners: dict[tuple[str, int], bool] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()
    in_environment: frozenset[str] = frozenset()
    drained: dict[str, str] = field(default_factory=dict)
    registered: dict[InstanceKey, Holder] = field(default_factory=dict)
    outcomes: dict[Target, Outcome] = field(default_factory=dict)

    def change(self, draw: Any) -> None:  # noqa: C901, PLR0912 - a line for each
        """Changes one thing; `draw` chooses."""
        what = draw(st.sampled_from(CHANGES))
        who = draw(ids)
        match what:
            case "container":
                seen = draw(several)
                self.containers[seen.container.id] = seen
            case "the same container, listed anew":
                for each, seen in self.containers.items():
                    self.containers[each] = replace(seen, container=replace(seen.container))
            case "gone":
                self.containers.pop(who, None)
            case "port":
                # Never one port twice, as the table has it.
                self.ports = {k: p for k, p in self.ports.items() if k != who}
                free = sorted(set(PORTS) - set(self.ports.values()))
                if free and draw(st.booleans()):
                    self.ports = {**self.ports, who: draw(st.sampled_from(free))}
            case "listeners":
                port = draw(ports)
                found = draw(listeners)
                self.listeners[port] = tuple(Listener(ip, port, inode, 0) for ip, inode in found)
            case "owner":
                self.owners[who, draw(st.sampled_from(INODES))] = draw(st.booleans())
            case "nobody's":
                self.owners.clear()
            case "unknown":
                self.unknown ^= {who}
            case "environment":
                self.in_environment ^= {who}
            case "drained":
                self.drained = {} if self.drained else {who: draw(st.sampled_from(("x", "y")))}
            case "address":
                self.ip = draw(st.sampled_from(IPS))
            case "another host's word":
                self.registered = {key: Holder(who, "") for key in self.registered}

    def answer(self, draw: Any, targets: tuple[Target, ...]) -> None:
        """Has some of what is checked answer."""
        for target in targets:
            passing = draw(st.sampled_from((None, True, False)))
            self.outcomes[target] = Outcome(passing, draw(st.sampled_from(("200", "503"))))

    def observed(self) -> Observed:
        """All of it, as it is now."""
        return Observed(
            host=self.host,
            ip=self.ip,
            containers=self.containers,
            ports=MappingProxyType(self.ports),
            listeners=self.listeners,
            owners=self.owners,
            unknown=self.unknown,
            in_environment=self.in_environment,
            drained=self.drained,
            registered=self.registered,
            outcomes=self.outcomes,
        )


CHANGES: Final = (
    "container",
    "container",
    "the same container, listed anew",
    "gone",
    "port",
    "port",
    "listeners",
    "listeners",
    "owner",
    "owner",
    "nobody's",
    "unknown",
    "environment",
    "drained",
    "address",
    "another host's word",
)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_after_any_changes_it_is_the_plan_from_scratch(data: st.DataObject) -> None:
    world, plans = crowd(IDS), Plans()
    for _ in range(data.draw(st.integers(3, 12))):
        for _ in range(data.draw(st.integers(0, 3))):
            world.change(data.draw)
        made = plans.make(world.observed())
        assert made == make(world.observed())
        assert list(made.verdicts) == list(make(world.observed()).verdicts)
        if data.draw(st.booleans()):
            world.answer(data.draw, made.targets)
        if data.draw(st.booleans()):
            world.registered = {key: each.holder for key, each in made.instances.items()}


def crowd(several: Iterable[str]) -> World:
    """Containers that serve."""
    world = World()
    for number, each in enumerate(several):
        port = 20_000 + number
        container = Container(each, running=True, started_at_ns=number + 1, network_mode="host")
        world.containers[each] = Seen(container, (Wanted(SERVICES[0]),), told=port)
        world.ports[each] = port
        world.listeners[port] = (Listener("0.0.0.0", port, number, 0),)
        world.owners[each, number] = True
    return world


def test_only_whom_a_change_is_about_is_judged_again(monkeypatch: Any) -> None:
    judged: list[str] = []

    def judge(seen: Seen, *more: Any) -> judging.Judged:
        judged.append(seen.container.id)
        return judging.judge(seen, *more)

    monkeypatch.setattr(plan, "judge", judge)
    world, plans = crowd(f"{number:064x}" for number in range(50)), Plans()
    before = plans.make(world.observed())
    assert len(before.instances) == len(judged) == 50
    judged.clear()
    again = plans.make(world.observed())
    assert (again, judged) == (before, [])
    one = f"{7:064x}"
    world.listeners = {port: each for port, each in world.listeners.items() if port != 20_007}
    made = plans.make(world.observed())
    assert judged == [one]
    assert len(made.instances) == 49
    # Whoever looks for what is new need look at nothing else.
    assert all(
        made.verdicts[each] is before.verdicts[each] for each in made.verdicts if each != one
    )


def test_whose_key_is_taken_and_given_back_is_heard_though_it_has_not_changed() -> None:
    world, plans = World(), Plans()
    wanted = Wanted(SERVICES[0], port=80, check=Check(CheckKind.NONE))
    for number, each in enumerate(IDS):
        container = Container(each, running=True, started_at_ns=3 - number, network_mode="bridge")
        world.containers[each] = Seen(container, (wanted,))

    def holder() -> str:
        (instance,) = plans.make(world.observed()).instances.values()
        assert isinstance(instance, Instance)
        return instance.metadata.id

    assert holder() == IDS[2]
    del world.containers[IDS[2]]
    assert holder() == IDS[1]
    (verdict,) = plans.make(world.observed()).verdicts[IDS[0]]
    assert verdict == Refused(f"/shop_prod/10.0.0.7-80 is already that of container {IDS[1][:12]}")
    world.drained = {IDS[1]: "drained"}
    assert holder() == IDS[0]
    (verdict,) = plans.make(world.observed()).verdicts[IDS[0]]
    assert isinstance(verdict, Ready)
