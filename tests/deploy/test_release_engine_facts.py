"""What is read of containers, instances and Rancher: good beside hostile, in words for people."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.release.engines import facts, registered
from deploy.release.engines.compose.files import MARK_LABEL, Begun, Former, Kept, marked, marking
from deploy.release.engines.compose.former import as_former, former_of
from deploy.release.engines.compose.judging import Patience, Waited
from deploy.release.engines.facts import Facts
from deploy.release.engines.rancher.arrival import Arrival
from deploy.release.engines.rancher.arrival import Service as Said
from deploy.release.engines.registered import Instance
from wharfinger.errors import Unavailable
from wharfinger.keys import InstanceKey, Service
from wharfinger.kv import KeyValue

SHOP = Service("shop", "prod")
PATIENCE = Patience(start_seconds=10.0, monitor_seconds=2.0)


def inspected(**state: Any) -> str:
    return json.dumps(
        [
            {
                "Id": "a" * 64,
                "Name": "/shop_1",
                "Created": "2026-01-01T00:00:00.123456789Z",
                "RestartCount": state.pop("RestartCount", 0),
                "State": {"Status": "running", "ExitCode": 0, **state},
                "Config": {"Image": "r/shop@sha256:1", "Labels": None},
            }
        ]
    )


def test_a_container_that_ended_says_how() -> None:
    health = {"Status": "unhealthy", "Log": [{"ExitCode": 1, "Output": "no\x1b[31m answer\n"}]}
    text = inspected(Status="exited", ExitCode=137, OOMKilled=True, Health=health)
    (found,) = facts.parse(text)
    assert not found.runs
    assert found.described == (
        "shop_1 is exited, exit code 137, out of memory, its HEALTHCHECK says unhealthy"
    )
    said = facts.failure(found, "it has ended", ["one\x07", "two"])
    assert "its last probe said: no" in said
    assert said.endswith("\n  | two")
    assert "\x1b" not in said
    assert "\x07" not in said
    assert facts.failure(found, "", []).endswith("it has written nothing")


def trace(frames: int) -> list[str]:
    at = [f"    at shop.Step.run{n}(Step.java:{n})" for n in range(frames)]
    return ["java.lang.Error: no DB_URL", *at, "Caused by: java.net.ConnectException: refused", *at]


def test_of_a_long_trace_the_message_and_the_first_frames_are_told() -> None:
    told = facts.telling(["started", *trace(30)], at_most=20)
    said = trace(30)
    frames = [*said[1:6], "    ... 25 more lines"]
    assert told == ("started", said[0], *frames, said[31], *frames)


def test_what_is_short_enough_is_told_as_it_is() -> None:
    lines = trace(9)
    assert facts.telling(lines, at_most=20) == tuple(lines)
    assert facts.telling([], at_most=20) == ()


def test_what_is_too_long_though_nothing_can_be_left_out_is_told_from_its_end() -> None:
    lines = [str(n) for n in range(50)]
    assert facts.telling(lines, at_most=20) == tuple(lines[-20:])


def test_one_that_could_not_be_started_or_is_again_says_so() -> None:
    (found,) = facts.parse(inspected(Status="created", ExitCode=127, Error="no such file"))
    assert found.described == "shop_1 is created, exit code 127, no such file"
    (found,) = facts.parse(inspected(RestartCount=2))
    assert found.described == "shop_1 is running, restarted 2 times"


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"Id": 1}]', "[" * 100_000, "null"])
def test_what_is_no_inspection_is_told(text: str) -> None:
    with pytest.raises(Unavailable, match="docker inspect printed"):
        facts.parse(text)


def kv(key: str, value: bytes, revision: int = 1) -> KeyValue:
    return KeyValue(key, value, revision, revision, 1, 7)


def test_instances_of_other_environments_are_told_by_environment() -> None:
    told = json.dumps({"id": "c1", "name": "shop_1", "host": "h", "image": "i"}).encode()
    at = "/wharfinger/instances"
    items = {
        f"{at}/{service}/10.0.0.1-80": kv("", told)
        for service in ("shop_prod", "shop_old", "shop_x_old", "shoppe_old", "no service")
    }
    items[f"{at}/shop_gone/10.0.0.1-80"] = kv("", b"{")
    assert registered.elsewhere("shop", {"prod": None}, items) == {"old": ("shop_1 on h",)}


def test_an_instance_counts_when_both_its_keys_are_there_and_true() -> None:
    told = json.dumps({"id": "c1", "name": "shop_1", "host": "h", "image": "i"}).encode()
    items = {
        "/shop_prod/10.0.0.1-80": kv("", b"10.0.0.1:80", 3),
        "/wharfinger/instances/shop_prod/10.0.0.1-80": kv("", told, 5),
        # Nobody is sent there, or somewhere else; or nobody says whose it is.
        "/wharfinger/instances/shop_prod/10.0.0.2-80": kv("", told),
        "/shop_prod/10.0.0.3-80": kv("", b"10.0.0.9:80"),
        "/wharfinger/instances/shop_prod/10.0.0.3-80": kv("", told),
        "/shop_prod/10.0.0.4-80": kv("", b"10.0.0.4:80"),
        "/shop_prod/10.0.0.5-80": kv("", b"10.0.0.5:80"),
        "/wharfinger/instances/shop_prod/10.0.0.5-80": kv("", b"[" * 20_000),
        "/wharfinger/instances/shop_prod/nonsense": kv("", told),
    }
    (found,) = registered.instances(SHOP, items)
    assert (found.container, found.host, found.revision) == ("c1", "h", 5)
    assert registered.by_container([found, found]) == {"c1": (found, found)}


def test_registrars_say_who_is_not_in_etcd_and_who_was_drained() -> None:
    record = {
        "version": "1",
        "unregistered": [{"name": "shop_1", "reason": "does not listen"}],
        "drains": [
            {"key": "/shop_prod/10.0.0.1-80", "name": "shop_2"},
            {"key": "", "name": "shop_3", "by": "ann", "since": "2026-01-02"},
        ],
    }
    items = {
        "/wharfinger/hosts/a/registrar": kv("", json.dumps(record).encode()),
        "/wharfinger/hosts/b/registrar": kv("", b"{"),
        "/wharfinger/hosts/e/discovery": kv("", b"{}"),
        "/wharfinger/hosts/nonsense": kv("", b"{}"),
    }
    hosts = registered.hosts(items)
    assert (set(hosts.registrars), hosts.discoveries) == ({"a", "b"}, {"e"})
    assert hosts.reason("shop_1") == "does not listen (registrar on a)"
    assert hosts.reason("shop_3") == "drained by ann since 2026-01-02 (registrar on a)"
    assert hosts.reason("shop_9") == ""
    assert hosts.silence == "no registrar says why"
    items["/wharfinger/hosts/c/registrar"] = kv("", b'{"drained": true}')
    assert registered.hosts(items).silence.endswith("nobody serves there: c")
    key = InstanceKey.parse("/shop_prod/10.0.0.1-80")
    assert hosts.drained(["shop_2", "shop_3"]) == {"shop_2": ("a", key)}


@pytest.mark.parametrize(
    ("change", "seconds", "why"),
    [
        ({}, 9.0, None),
        ({}, 21.0, "not registered within 10 s: no registrar says why"),
        ({"status": "exited"}, 1.0, "it has ended"),
        ({"restarts": 1}, 1.0, "it has ended, and was started again"),
        ({"health": "unhealthy"}, 1.0, "it is not healthy"),
    ],
)
def test_a_new_one_is_waited_for_as_long_as_there_is_hope(
    change: dict[str, Any], seconds: float, why: str | None
) -> None:
    waited = Waited(Facts(id="a", **change), False, seconds)
    assert waited.broken(PATIENCE, "") == why
    assert not waited.proven(PATIENCE)


def test_a_registrar_has_its_time_to_say_why() -> None:
    waited = Waited(Facts(id="a"), registered=False, seconds=11.0)
    assert waited.broken(PATIENCE) is not None, "registrars are asked"
    assert waited.broken(PATIENCE, "") is None
    assert waited.broken(PATIENCE, "does not listen") == (
        "not registered within 10 s: does not listen"
    )


def test_one_counts_when_it_stayed_up() -> None:
    up = Waited(Facts(id="a"), registered=True, seconds=99.0, steady_seconds=1.9)
    assert up.broken(PATIENCE, "") is None
    assert not up.proven(PATIENCE)
    assert replace(up, steady_seconds=2.0).proven(PATIENCE)
    # Without a registrar its health is all there is.
    starting = replace(up, registered=None, facts=Facts(id="a", health="starting"))
    assert starting.broken(PATIENCE, "") == "not healthy within 10 s"


def former(mark: str, count: int) -> Former:
    return Former(mark=mark, image=f"i{mark}", release=f"r{mark}", replicas=count)


def running(mark: str, name: str, **more: Any) -> Facts:
    labels = {MARK_LABEL: mark, "wharfinger.release": f"r{mark}"}
    return Facts(id=name, image=f"i{mark}", labels=labels, **more)


def test_the_way_back_leads_to_what_ran_before_the_first_break() -> None:
    found = [running("1", "a"), running("1", "b"), running("2", "c"), running("3", "d")]
    assert former_of(found, "3", None) == former("1", 2)
    # Cut off on another machine, which alone knows how many there were; never more than there are.
    assert former_of(found, "2", None, 3) == former("1", 3)
    assert former_of(found[:2], "2", None, 3) == former("1", 2)
    begun = Begun(mark="2", former=former("1", 3))
    assert former_of(found[2:], "3", begun) == former("1", 3)
    # Back by hand to what ran before a rollout that was cut off: nobody wants the middle again,
    # as long as something else is there.
    assert former_of(found, "1", begun) is None
    assert former_of([running("2", "c")], "1", begun) == former("2", 1)
    assert former_of([], "1", None) is None
    assert former_of([running("2", "c", status="exited")], "1", None) is None
    assert as_former(found, "1") == former("1", 2)


def test_what_is_kept_is_private_and_bears_damage(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "deploy" / "shop_prod", "shop")
    assert kept.begun() is None
    mark = marked("text")
    first, second = kept.keep(mark, "text")
    assert first.stat().st_mode & 0o777 == 0o600
    assert first.parent.stat().st_mode & 0o777 == 0o700
    assert json.loads(second.read_text()) == json.loads(marking("shop", mark))
    begun = Begun(mark=mark, former=former("1", 2))
    kept.begin(begun)
    kept.keep(marked("other"), "other")
    assert kept.begun() == begun
    assert kept.text(mark) == "text"
    assert kept.text("../../etc/passwd") is None
    kept.end(mark)
    assert kept.begun() is None
    assert kept.text(marked("other")) is None
    assert kept.text(mark) == "text"
    (first.parent / "rollout.json").write_text("{")
    assert kept.begun() is None


def at(port: int, image: str) -> Instance:
    key = InstanceKey.parse(f"/shop_prod/10.0.0.1-{port}")
    return Instance(key, str(port), "", "h", image, 1)


def test_rancher_has_arrived_when_all_are_new_and_it_rests() -> None:
    new, old = at(1, "new"), at(2, "old")
    resting = Said("upgraded", "healthy")
    assert Arrival(resting, "new", 1, [new]).is_there
    assert not Arrival(resting, "new", 1, [new, old]).is_there
    assert not Arrival(resting, "new", 2, [new]).is_there
    assert not Arrival(Said("upgrading"), "new", 1, [new]).is_there
    assert not Arrival(Said("active", "unhealthy"), "new", 1, [new]).is_there
    # One on each host, and nobody says how many there are; or nobody registers.
    assert Arrival(resting, "new", 0, [new]).is_there
    assert [Arrival(resting, "new", of, [new, old]).wanted for of in (0, 3)] == [2, 3]
    assert Arrival(resting, "new", 3, None).is_there
    assert not Arrival(None, "new", 3, None).is_there
    found = Arrival(Said("upgrading", "", "pulls"), "new", 2, [new, old]).described
    assert found == "Rancher says upgrading: pulls; 1 of 2 new in etcd, 1 of another image"
