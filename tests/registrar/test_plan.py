"""What is planned for a container in every state that it can be observed in."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registrar.checks.model import Check, CheckKind, Outcome, Target
from registrar.model import (
    Assign,
    Holder,
    Identify,
    Instance,
    Listener,
    Observed,
    Out,
    Plan,
    Ready,
    Reassign,
    Refused,
    Release,
    Seen,
    Tell,
    Verdict,
    Waiting,
    Wanted,
)
from registrar.plan import make
from wharfinger.container import Container
from wharfinger.keys import Endpoint, InstanceKey, Service
from wharfinger.metadata import Metadata

IP = "10.0.0.7"
A, B = "a" * 64, "b" * 64
SHOP = Service("shop", "prod")
PORT = 20_000


def seen(container_id: str = A, asks: Any = Wanted(SHOP, drain_seconds=3), **fields: Any) -> Seen:  # noqa: B008
    own = {k: fields.pop(k) for k in ("stopping", "told", "trouble") if k in fields}
    described = {
        "name": "shop-1",
        "image": "shop:1.2",
        "running": True,
        "state": "running",
        "started_at_ns": 1_700_000_000_123_456_789,
        "network_mode": "host",
    } | fields
    several = asks if isinstance(asks, tuple) else (asks,)
    return Seen(Container(id=container_id, **described), several, **own)


def verdict(plan: Plan, container_id: str = A) -> Verdict:
    """On a container that asks for one thing."""
    (only,) = plan.verdicts[container_id]
    return only


def observed(
    *several: Seen,
    ports: Mapping[str, int] | None = None,
    listeners: tuple[Listener, ...] = (),
    owners: Mapping[tuple[str, int], bool] | None = None,
    **fields: Any,
) -> Observed:
    by_port: dict[int, tuple[Listener, ...]] = {}
    for each in listeners:
        by_port[each.port] = (*by_port.get(each.port, ()), each)
    return Observed(
        host="box",
        ip=fields.pop("ip", IP),
        containers={each.container.id: each for each in several},
        ports=ports or {},
        listeners=by_port,
        owners=owners or {},
        **fields,
    )


def listening(ip: str = "0.0.0.0", port: int = PORT, inode: int = 7, **fields: Any) -> Listener:
    return Listener(ip, port, inode, uid=0, **fields)


def good(**fields: Any) -> Observed:
    """A container that listens on its port."""
    return observed(
        seen(told=PORT, **fields),
        ports={A: PORT},
        listeners=(listening(),),
        owners={(A, 7): True},
    )


def test_the_way_from_start_to_registered() -> None:
    container = seen()
    plan = make(observed(container))
    assert plan.actions == (Assign(A),)
    assert not plan.instances
    plan = make(observed(container, ports={A: PORT}))
    assert plan.actions == (Tell(A, PORT, drain_seconds=3),)
    container = replace(container, told=PORT)
    plan = make(observed(container, ports={A: PORT}))
    assert plan.actions == ()
    assert verdict(plan) == Waiting(f"does not listen on {IP} port {PORT} yet")
    plan = make(observed(container, ports={A: PORT}, listeners=(listening(),)))
    assert plan.actions == (Identify(A, (7,)),)
    assert not plan.instances
    plan = make(good())
    assert plan.actions == ()
    key = InstanceKey(SHOP, Endpoint(IP, PORT))
    assert plan.instances == {
        key: Instance(
            key,
            Metadata(
                id=A,
                name="shop-1",
                image="shop:1.2",
                host="box",
                started="2023-11-14T22:13:20.123+00:00",
            ),
        )
    }


def test_a_declared_port_is_told_too_as_the_start_script_waits_for_it() -> None:
    container = seen(asks=Wanted(SHOP, port=8080, drain_seconds=3))
    assert make(observed(container)).actions == (Tell(A, 8080, drain_seconds=3),)
    assert make(observed(replace(container, told=8080))).actions == ()


def test_a_declared_port_that_cannot_be_told_is_no_refusal() -> None:
    container = seen(asks=Wanted(SHOP, port=8080), trouble="its /dev/shm is the host's")
    plan = make(observed(container))
    assert plan.actions == ()
    assert verdict(plan) == Waiting(f"does not listen on {IP} port 8080 yet")


def test_a_declared_port_off_the_hosts_network_is_told_to_nobody() -> None:
    container = seen(
        asks=Wanted(SHOP, port=8080, check=Check(CheckKind.NONE)), network_mode="bridge"
    )
    assert make(observed(container)).actions == ()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"running": False, "state": "exited"}, "is not running (exited)"),
        ({"paused": True}, "is paused"),
        ({"stopping": 5}, "was told to stop"),
    ],
)
def test_one_that_does_not_serve_is_out_and_keeps_its_port(
    fields: dict[str, Any], why: str
) -> None:
    plan = make(good(**fields))
    assert verdict(plan) == Out(why)
    assert plan.actions == ()


def test_one_that_runs_no_more_is_given_nothing() -> None:
    assert make(observed(seen(running=False, state="created"))).actions == ()
    assert make(observed(seen(stopping=1))).actions == ()


def test_a_port_comes_back_only_when_its_container_is_gone_for_good() -> None:
    assert make(observed(ports={A: PORT})).actions == (Release(A),)
    assert make(observed(ports={A: PORT}, unknown=frozenset({A}))).actions == ()
    assert make(observed(seen(running=False), ports={A: PORT})).actions == ()
    assert make(observed(ports={A: PORT}, listeners=(listening(),))).actions == ()


@pytest.mark.parametrize(
    ("ip", "listener", "serves"),
    [
        (IP, listening("0.0.0.0"), True),
        (IP, listening(IP), True),
        (IP, listening("::"), True),
        (IP, listening("::", v6only=True), False),
        (IP, listening("127.0.0.1"), False),
        (IP, listening("10.0.0.8"), False),
        ("127.0.0.1", listening("127.0.0.1"), True),
        ("2001:db8::1", listening("::", v6only=True), True),
        ("2001:db8::1", listening("2001:db8::1", v6only=True), True),
        ("2001:db8::1", listening("0.0.0.0"), False),
    ],
)
def test_it_must_listen_where_it_is_registered(ip: str, listener: Listener, serves: bool) -> None:
    plan = make(
        observed(
            seen(told=PORT),
            ports={A: PORT},
            listeners=(listener,),
            owners={(A, 7): True},
            ip=ip,
        )
    )
    assert isinstance(verdict(plan), Ready if serves else Waiting)
    if not serves:
        assert f"only on {listener.ip}" in verdict(plan).why  # type: ignore[union-attr]


def test_a_foreign_listener_is_never_registered() -> None:
    foreign = {"listeners": (listening(),), "owners": {(A, 7): False}, "ports": {A: PORT}}
    told = make(observed(seen(told=PORT), **foreign))
    assert verdict(told) == Waiting(f"port {PORT} is held by a process that is not the container's")
    assert told.actions == ()
    assert make(observed(seen(), **foreign)).actions == (Reassign(A),)


def test_a_foreign_socket_beside_its_own_is_not_registered_either() -> None:
    plan = make(
        observed(
            seen(told=PORT),
            ports={A: PORT},
            listeners=(listening(), listening(inode=8)),
            owners={(A, 7): True, (A, 8): False},
        )
    )
    assert not plan.instances


def test_after_a_restart_of_the_registrar_nothing_is_told_to_who_listens_already() -> None:
    plan = make(observed(seen(), ports={A: PORT}, listeners=(listening(),), owners={(A, 7): True}))
    assert plan.actions == ()
    assert isinstance(verdict(plan), Ready)


def test_refusals_come_with_their_reason() -> None:
    assert verdict(make(observed(seen(asks=Refused("bad label"))))) == Refused("bad label")
    plan = make(observed(seen(trouble="its /dev/shm is full"), ports={A: PORT}))
    assert (verdict(plan), plan.actions) == (Refused("its /dev/shm is full"), ())
    plan = make(observed(seen(trouble="no port is left")))
    assert (verdict(plan), plan.actions) == (Refused("no port is left"), ())


def test_two_that_declare_one_endpoint_are_not_both_registered() -> None:
    wanted = Wanted(SHOP, port=8_080, check=Check(CheckKind.NONE))
    plan = make(observed(seen(A, wanted, started_at_ns=2), seen(B, wanted, started_at_ns=1)))
    assert [each.metadata.id for each in plan.instances.values()] == [B]
    assert verdict(plan) == Refused(
        f"/shop_prod/{IP}-8080 is already that of container bbbbbbbbbbbb"
    )


def test_docker_health_decides_where_it_is_asked_for() -> None:
    wanted = Wanted(SHOP, port=8_080, check=Check(CheckKind.DOCKER))
    assert verdict(make(observed(seen(A, wanted, health="starting")))) == Out(
        "its health check says 'starting'"
    )
    assert isinstance(verdict(make(observed(seen(A, wanted, health="healthy")))), Ready)


def test_an_address_that_it_declares_stands() -> None:
    wanted = Wanted(SHOP, port=80, ip="10.9.9.9", check=Check(CheckKind.NONE))
    (key,) = make(observed(seen(A, wanted))).instances
    assert key.address == "/shop_prod/10.9.9.9-80"


def test_who_asks_for_nothing_is_left_alone() -> None:
    plan = make(observed(seen(asks=())))
    assert (plan.actions, dict(plan.verdicts)) == ((), {})


def test_each_of_several_asks_is_judged_by_itself() -> None:
    web, admin = (
        Wanted(SHOP, port=80, check=Check(CheckKind.NONE)),
        Wanted(Service("admin", "prod"), 81),
    )
    plan = make(observed(seen(asks=(web, Refused("bad label"), admin))))
    ready, refused, waiting = plan.verdicts[A]
    assert isinstance(ready, Ready)
    assert refused == Refused("bad label")
    assert isinstance(waiting, Waiting)
    assert [key.address for key in plan.instances] == [f"/shop_prod/{IP}-80"]


def test_several_asks_that_need_one_thing_ask_for_it_once() -> None:
    asks = (Wanted(SHOP), Wanted(Service("admin", "prod")))
    assert make(observed(seen(asks=asks))).actions == (Assign(A),)


def test_one_container_that_asks_twice_for_one_key_has_it_once() -> None:
    wanted = Wanted(SHOP, port=80, check=Check(CheckKind.NONE))
    assert len(make(observed(seen(asks=(wanted, wanted)))).instances) == 1


def test_a_drained_one_is_out_but_gets_its_port() -> None:
    drained = {A: "is drained by ops"}
    assert verdict(make(replace(good(), drained=drained))) == Out("is drained by ops")
    assert make(observed(seen(), drained=drained)).actions == (Assign(A),)
    assert verdict(make(replace(good(), drained={B: "is drained"}))) != Out("is drained")


def test_one_that_has_its_port_in_its_environment_is_told_as_a_courtesy_alone() -> None:
    whole = observed(
        seen(trouble="its /dev/shm is the host's"),
        ports={A: PORT},
        listeners=(listening(),),
        owners={(A, 7): True},
        in_environment=frozenset({A}),
    )
    assert isinstance(verdict(make(whole)), Ready)
    silent = replace(whole, listeners={})
    assert isinstance(verdict(make(silent)), Waiting)
    assert make(silent).actions == ()
    untold = replace(silent, containers={A: seen()})
    assert make(untold).actions == (Tell(A, PORT, drain_seconds=1 + 2),)
    foreign = replace(untold, listeners=whole.listeners, owners={(A, 7): False})
    assert not any(isinstance(each, Reassign) for each in make(foreign).actions)


@pytest.mark.parametrize(
    ("policy", "exit_code", "stays"),
    [
        ("always", 1, False),
        ("always", 0, False),
        ("on-success", 0, False),
        ("on-success", 143, False),
        ("on-success", 1, True),
        ("never", 0, True),
        ("never", 137, True),
    ],
)
def test_what_takes_an_ended_container_out(policy: Any, exit_code: int, stays: bool) -> None:
    wanted = Wanted(SHOP, port=80, check=Check(CheckKind.NONE), deregister=policy)
    ((key, instance),) = make(observed(seen(asks=wanted))).instances.items()
    holder = Holder(A, instance.metadata.started)
    ended = seen(asks=wanted, running=False, state="exited", exit_code=exit_code)
    plan = make(observed(ended, registered={key: holder}))
    assert (key in plan.instances) == stays
    # One that never served is not put there by its end, nor by what an earlier run did.
    assert not make(observed(ended)).instances
    earlier = {key: replace(holder, started="2001-02-03T04:05:06.000+00:00")}
    assert not make(observed(ended, registered=earlier)).instances
    # Its own stop, or an operator, is another matter than its end.
    stopping = replace(seen(asks=wanted), stopping=1)
    assert not make(observed(stopping, registered={key: holder})).instances


def test_one_that_has_ended_keeps_no_key_from_its_replacement() -> None:
    wanted = Wanted(SHOP, port=8_080, check=Check(CheckKind.NONE), deregister="never")
    ((key, instance),) = make(observed(seen(A, wanted, started_at_ns=1))).instances.items()
    held = {key: Holder(A, instance.metadata.started)}
    ended = seen(A, wanted, started_at_ns=1, running=False, state="exited")
    plan = make(observed(ended, seen(B, wanted, started_at_ns=2), registered=held))
    assert plan.instances[key].metadata.id == B
    assert isinstance(verdict(plan, A), Refused)


def checked(outcome: Outcome | None = None, **fields: Any) -> tuple[Observed, Target]:
    """A container that listens, is checked by HTTP, and that stands so far."""
    check = Check(CheckKind.HTTP, path="/health")
    container = seen(asks=Wanted(SHOP, check=check), told=PORT)
    target = Target(A, container.container.started_at_ns, IP, PORT, check)
    whole = replace(
        good(),
        containers={A: container},
        outcomes={} if outcome is None else {target: outcome},
        **fields,
    )
    return whole, target


def test_one_with_a_check_waits_for_it_and_goes_with_it() -> None:
    whole, target = checked()
    plan = make(whole)
    assert (plan.targets, plan.instances) == ((target,), {})
    assert verdict(plan) == Waiting("its check has not passed yet: was not asked yet")
    whole, _ = checked(Outcome(None, "no answer within 5 s"))
    assert verdict(make(whole)) == Waiting("its check has not passed yet: no answer within 5 s")
    whole, _ = checked(Outcome(passing=True, why="200"))
    assert isinstance(verdict(make(whole)), Ready)
    whole, _ = checked(Outcome(passing=False, why="answered 503"))
    assert verdict(make(whole)) == Out("its check fails: answered 503")
    assert make(whole).targets == (target,)


def test_what_stood_before_a_restart_of_the_registrar_stands_until_its_check_fails() -> None:
    whole, _ = checked(Outcome(passing=True, why="200"))
    ((key, instance),) = make(whole).instances.items()
    stood = {key: Holder(A, instance.metadata.started)}
    assert make(checked(registered=stood)[0]).instances
    assert make(checked(Outcome(None, "x"), registered=stood)[0]).instances
    assert not make(checked(Outcome(passing=False, why="x"), registered=stood)[0]).instances
    whole, target = checked(registered=stood)
    assert make(whole).standing == {target}
    # Another run of it must pass for itself.
    another = {key: Holder(A, "2001-02-03T04:05:06.000+00:00")}
    plan = make(checked(registered=another)[0])
    assert (plan.instances, plan.standing) == ({}, frozenset())


def test_one_that_does_not_listen_or_run_is_not_checked() -> None:
    whole, _ = checked()
    assert make(replace(whole, listeners={})).targets == ()
    foreign = replace(whole, owners={(A, 7): False})
    assert make(foreign).targets == ()
    (container,) = whole.containers.values()
    for fields in ({"stopping": 1}, {"container": replace(container.container, running=False)}):
        assert make(replace(whole, containers={A: replace(container, **fields)})).targets == ()


def test_a_drained_one_is_checked_still() -> None:
    whole, target = checked(Outcome(passing=True, why="200"), drained={A: "is drained"})
    assert (verdict(make(whole)), make(whole).targets) == (Out("is drained"), (target,))


def test_off_the_hosts_network_a_port_is_asked_and_not_looked_at() -> None:
    wanted = Wanted(SHOP, port=80, ip="10.9.9.9", on_host_network=False)
    plan = make(observed(seen(asks=wanted, network_mode="bridge")))
    assert [(each.ip, each.port) for each in plan.targets] == [("10.9.9.9", 80)]
    assert not plan.instances


def test_hostile_names_of_containers_and_images_stay_printable() -> None:
    plan = make(good(name="x\n; return 200", image="\x1b[31m" + "y" * 5_000))
    (instance,) = (each.metadata for each in plan.instances.values())
    assert instance.name.isprintable()
    assert instance.image.isprintable()
    assert len(instance.image) <= 512


@given(
    running=st.booleans(),
    paused=st.booleans(),
    stopping=st.none() | st.just(1),
    told=st.none() | st.just(PORT),
    assigned=st.booleans(),
    owner=st.none() | st.booleans(),
    listens=st.booleans(),
)
def test_registered_if_and_only_if_it_serves(
    *,
    running: bool,
    paused: bool,
    stopping: int | None,
    told: int | None,
    assigned: bool,
    owner: bool | None,
    listens: bool,
) -> None:
    plan = make(
        observed(
            seen(running=running, paused=paused, stopping=stopping, told=told),
            ports={A: PORT} if assigned else {},
            listeners=(listening(),) if listens else (),
            owners={} if owner is None else {(A, 7): owner},
        )
    )
    serves = running and not paused and stopping is None and assigned and listens and owner is True
    assert bool(plan.instances) == serves
