"""What the doctor makes of what was seen."""

import json
from pathlib import Path
from typing import Any

import pytest

from wharfinger.container import Container
from wharfinger.errors import Finding
from wharfinger.keys import InstanceKey
from wharfinger.kv import EndpointStatus, KeyValue
from wharfinger.operator.doctor.daemons import of_answers
from wharfinger.operator.doctor.diagnosis import (
    Clock,
    Pace,
    deduplicated,
    of_addresses,
    of_clock,
    of_flapping,
    of_members,
    of_pace,
    of_reservation,
    of_start_script,
)
from wharfinger.operator.status import Answer

UNITS = Path(__file__).parents[2] / "deploy/systemd"
ID = "c0ffee" + "0" * 58


def problems(findings: Any) -> list[str]:
    found = list(findings)
    assert all(each.fix for each in found), "a finding without its fix"
    return [each.problem for each in found]


def test_a_pace_is_judged_by_the_lease_that_hangs_on_it() -> None:
    good = Pace([0.002] * 20, 0.01)
    assert problems(of_pace(good, 15)) == []
    half, worst, write = problems(of_pace(Pace([0.2] * 10 + [0.6] * 10, 2.0), 15))
    assert half.startswith("slow: half of the reads take more than 0.600 s; 0.150 s suit a lease")
    assert worst.startswith("slow: the slowest of 20 reads took 0.600 s")
    assert write.startswith("slow: a write took 2.000 s; 1.500 s suit a lease of 15 s")
    assert problems(of_pace(Pace([0.2] * 20, 2.0), 60)) == []


def test_members_that_are_away_or_behind_are_named() -> None:
    members = [
        EndpointStatus("a:1", reachable=True, has_leader=True, revision=5_000),
        EndpointStatus("b:1", reachable=True, has_leader=True, revision=3_000),
        EndpointStatus("c:1", reachable=False, why="nothing listens there"),
    ]
    behind, away = problems(of_members(members))
    assert behind == "b:1 is 2000 revisions behind the newest member"
    assert away == "c:1: nothing listens there"
    assert problems(of_members(members[:1])) == []
    assert problems(of_members([])) == []


@pytest.mark.parametrize(
    ("clock", "ahead", "expected"),
    [
        (Clock(True, 0.01), 0.0, []),
        (None, None, []),
        (Clock(False, 16.0), None, ["STA_UNSYNC"]),
        (Clock(True, 7.5), None, ["off by 7.5 s"]),
        (Clock(True, 0.01), -3.0, ["differs from this process's by -3.0 s"]),
    ],
)
def test_a_clock_is_judged_by_what_is_known(
    clock: Clock | None, ahead: float | None, expected: list[str]
) -> None:
    found = problems(of_clock(clock, ahead))
    assert len(found) == len(expected)
    assert all(part in whole for part, whole in zip(expected, found, strict=True))


@pytest.mark.parametrize(
    ("reserved", "missing"),
    [
        ("", 100),
        ("\n", 100),
        ("20000-20099", 0),
        ("19000-29999,40000\n", 0),
        ("20000-20049,20040-20098", 1),
        ("20050,20060", 98),
        ("1-19999,20100-65535", 100),
    ],
)
def test_what_of_the_range_the_kernel_does_not_keep(reserved: str, missing: int) -> None:
    found = list(of_reservation("20000-20099", reserved))
    assert [each.problem.split()[0] for each in found] == ([str(missing)] if missing else [])
    if found:
        both = ",".join(filter(None, [reserved.strip(), "20000-20099"]))
        assert f"ip_local_reserved_ports={both}" in found[0].fix


def registered(ip: str, host: str = "h1", **more: bytes) -> dict[str, KeyValue]:
    key = InstanceKey.parse(f"/shop_prod/{ip}-20000")
    values = {key.address: b"", key.metadata: json.dumps({"host": host}).encode(), **more}
    return {key: KeyValue(key, value, 1, 1, 1, 7) for key, value in values.items()}


OTHER_HOST: dict[str, Any] = {"/wharfinger/hosts/h2/discovery": b"{}"}


@pytest.mark.parametrize(
    ("items", "written", "expected"),
    [
        (registered("10.0.0.5"), None, None),
        (registered("172.17.0.1"), None, "the address of docker0"),
        (registered("127.0.0.1"), None, "a loopback address"),
        (registered("[::1]"), None, "a loopback address"),
        (registered("127.0.0.1"), "127.0.0.1", None),  # a single host may be so
        (registered("127.0.0.1", **OTHER_HOST), "127.0.0.1", "a loopback address"),
        (registered("127.0.0.1", host="h2"), None, None),
    ],
)
def test_addresses_that_others_cannot_reach(
    items: dict[str, KeyValue], written: str | None, expected: str | None
) -> None:
    found = list(of_addresses(items, "h1", written, ["172.17.0.1"]))
    assert bool(found) == bool(expected)
    if found:
        assert expected is not None
        assert expected in found[0].problem
        assert found[0].where.startswith("/shop_prod/")


def test_hostile_records_are_passed_over() -> None:
    values = {
        "/wharfinger/instances/x": b"",
        "/wharfinger/instances/shop_prod/127.0.0.1-1": b"\xff",
        "/wharfinger/hosts/": b"",
        "/\x1b": b"",
    }
    items = {key: KeyValue(key, value, 1, 1, 1, 7) for key, value in values.items()}
    assert list(of_addresses(items, "h1", None, [])) == []


def told(state: str = "waiting", port: object = 20_000) -> dict[str, object]:
    return {"id": ID, "state": state, "port": port, "why": "does not listen"}


def image(*command: str, **fields: Any) -> Container:
    described = {"network_mode": "host", "running": True, "started_at_ns": 1} | fields
    return Container(ID, name="shop-1", image="shop:3", command=command, **described)


@pytest.mark.parametrize(
    ("entry", "container", "found"),
    [
        (told(), image("shop", "serve"), True),
        (told("refused"), image("shop"), True),
        (told(), image("/usr/local/bin/with-port", "shop"), False),
        (told(), image("sh", "/with-port", "shop"), False),
        (told(), image("shop", network_mode="bridge"), False),
        (told(), image("shop", running=False), False),
        (told(), image("shop", started_at_ns=95_000_000_000), False),
        (told("registered"), image("shop"), False),
        (told(port=None), image("shop"), False),
        (told() | {"id": "another"}, image("shop"), False),
        ({"state": "waiting"}, image("shop"), False),
    ],
)
def test_who_cannot_have_heard_of_its_port(
    entry: dict[str, object], container: Container, found: bool
) -> None:
    several = problems(of_start_script([entry], {ID: container}, (), 100_000_000_000))
    assert bool(several) == found
    if found:
        assert "has not learnt its port 20000: does not listen" in several[0]
    assert not list(of_start_script([entry], {ID: container}, {ID}, 100_000_000_000))


def test_a_lease_that_flaps() -> None:
    assert problems(of_flapping(1, 15)) == []
    assert problems(of_flapping(None, 15)) == []
    assert problems(of_flapping("many", 15)) == []
    assert "lost 3 times in the last hour" in problems(of_flapping(3, 15))[0]


def test_each_problem_once_and_the_one_with_a_fix() -> None:
    several = [
        Finding("docker.url", "denied: run as root"),
        Finding("docker.url", "denied", "run as root"),
        Finding("etcd", "denied"),
        Finding("docker.url", "another"),
        Finding("docker.url", "denied", "another fix"),
    ]
    assert deduplicated(several) == [several[1], several[2], several[3]]


def test_the_fix_for_a_daemon_that_is_away_names_its_unit() -> None:
    away = Answer(daemon="registrar", listen="127.0.0.1:7201", state="unreachable", why="refused")
    (found,) = of_answers([away])
    unit = found.fix.split("systemctl start ")[1].split(")")[0]
    assert (UNITS / f"{unit}.service").is_file()


def test_a_member_that_refuses_is_not_to_be_started() -> None:
    ended = "it ended the handshake: name a client certificate of its CA in etcd.cert_file"
    members = [EndpointStatus("a:1", reachable=False, why=why) for why in (ended, "nothing there")]
    refuses, away = (each.fix for each in of_members(members))
    assert "start it" not in refuses
    assert "start it" in away
