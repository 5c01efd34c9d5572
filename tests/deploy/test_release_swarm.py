"""What is made of Swarm's answers: as Docker 20.10 gave them, and turned this way and that."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.release.app.model import App, Build
from deploy.release.engines.swarm import answers, judging
from deploy.release.engines.swarm.judging import FAILURES, PULL_SECONDS, Phase
from deploy.release.engines.swarm.model import Node, Service, Task
from wharfinger.errors import Unavailable

RECORDED = json.loads((Path(__file__).parent / "swarm.json").read_text())
OLD, NEW = "shop@sha256:" + "1" * 64, "shop@sha256:" + "2" * 64
APP = App(name="shop", image="shop", build=Build(layer="none"), drain_seconds=10)


def service(**more: Any) -> Service:
    described = {"id": "s", "image": NEW, "container": {"Image": NEW}, "force": 0, "replicas": 3}
    return Service(**{**described, **more})


def task(number: int, image: str = NEW, state: str = "running", **more: Any) -> Task:
    described = {
        "id": f"t{number}",
        "slot": number,
        "node": f"n{number}",
        "image": image,
        "container": {"Image": image},
        "force": 0,
        "desired": "running",
        "state": state,
    }
    return Task(**{**described, **more})


def test_a_task_is_as_specified_though_the_command_prints_both_differently() -> None:
    told = answers.service(json.dumps(RECORDED["service"]))
    tasks = answers.tasks(json.dumps(RECORDED["tasks"]))
    written = RECORDED["service"][0]["Spec"]["TaskTemplate"]["ContainerSpec"]
    assert written != RECORDED["tasks"][0]["Spec"]["ContainerSpec"]
    assert [each.is_of(told) and each.runs for each in tasks] == [True] * 3
    assert told.replicas == 3
    assert told.release == "r1"
    assert told.image.startswith("127.0.0.1:5000/shop@sha256:")
    assert {each.container_id for each in tasks} == {
        each["Status"]["ContainerStatus"]["ContainerID"] for each in RECORDED["tasks"]
    }
    assert tasks[0].name("shop-prod_shop") == f"shop-prod_shop.1.{tasks[0].id}"
    assert judging.judge(told, tasks, told.image).phase is Phase.DONE


@pytest.mark.parametrize("changed", [{"Env": ["A=1"]}, {"Labels": {"wharfinger.release": "r2"}}])
def test_one_with_another_environment_or_label_is_not(changed: Mapping[str, Any]) -> None:
    (described,) = json.loads(json.dumps(RECORDED["service"]))
    described["Spec"]["TaskTemplate"]["ContainerSpec"] |= changed
    told = answers.service(json.dumps([described]))
    tasks = answers.tasks(json.dumps(RECORDED["tasks"]))
    assert judging.judge(told, tasks, told.image).up == 0


@pytest.mark.parametrize("text", ["", "[]", "{}", "[{}]", "null", "[" * 5_000, '[{"ID": 1}]'])
def test_nonsense_is_said_to_be_that(text: str) -> None:
    with pytest.raises(Unavailable):
        answers.service(text)


@pytest.mark.parametrize(
    ("update", "image", "tasks", "phase"),
    [
        # Just told, and nothing has begun yet.
        ("", NEW, [task(n, OLD) for n in (1, 2, 3)], Phase.UNDER_WAY),
        ("updating", NEW, [task(1), task(2, OLD), task(3, OLD)], Phase.UNDER_WAY),
        # All are there, and their time of trial is not over.
        ("updating", NEW, [task(n) for n in (1, 2, 3)], Phase.UNDER_WAY),
        ("completed", NEW, [task(n) for n in (1, 2, 3)], Phase.DONE),
        ("", NEW, [task(n) for n in (1, 2, 3)], Phase.DONE),
        # The last old one drains: nobody waits for it here.
        ("completed", NEW, [*map(task, (1, 2, 3)), task(4, OLD, desired="shutdown")], Phase.DONE),
        # One has died since.
        ("completed", NEW, [task(1), task(2), task(3, state="starting")], Phase.UNDER_WAY),
        ("paused", NEW, [task(1, state="failed"), task(2, OLD), task(3, OLD)], Phase.PAUSED),
        ("rollback_started", OLD, [task(n, OLD) for n in (1, 2, 3)], Phase.ROLLING_BACK),
        ("rollback_completed", OLD, [task(n, OLD) for n in (1, 2, 3)], Phase.ROLLED_BACK),
        # It says so a moment too early.
        ("rollback_completed", OLD, [task(1, OLD), task(2, OLD)], Phase.ROLLING_BACK),
        ("rollback_paused", OLD, [task(1, OLD)], Phase.LOST),
        # The same digest with other settings: the image does not tell.
        ("rollback_completed", NEW, [task(n) for n in (1, 2, 3)], Phase.ROLLED_BACK),
    ],
)
def test_how_far_an_update_is(update: str, image: str, tasks: list[Task], phase: Phase) -> None:
    at = service(update=update, image=image, container={"Image": image})
    assert judging.judge(at, tasks, NEW).phase is phase


def test_what_fails_again_and_again_at_a_first_deployment_is_noticed() -> None:
    failed = [task(n, state="failed", desired="shutdown") for n in range(FAILURES)]
    assert judging.judge(service(), failed, NEW).phase is Phase.FAILING
    assert judging.judge(service(), failed[1:], NEW).phase is Phase.UNDER_WAY
    # Those of a time before are not this one's; nor does Swarm's own count need ours.
    assert judging.judge(service(), failed, NEW, known=["t0"]).phase is Phase.UNDER_WAY
    assert judging.judge(service(update="updating"), failed, NEW).phase is Phase.UNDER_WAY


@pytest.mark.parametrize("update", ["rollback_started", "rollback_completed"])
def test_what_fails_again_and_again_on_the_way_back_is_not_waited_for(update: str) -> None:
    way_back = service(update=update, image=OLD, container={"Image": OLD})
    old = [task(9, OLD), *(task(n, OLD, state="failed", desired="shutdown") for n in range(3))]
    assert judging.judge(way_back, old, NEW).phase is Phase.LOST
    # What failed before the update has nothing to do with it.
    assert judging.judge(way_back, old, NEW, known=["t1"]).phase is Phase.ROLLING_BACK


def test_one_on_each_node_is_done_when_each_has_one() -> None:
    everywhere = service(replicas=None)
    tasks = [task(1), task(2)]
    assert judging.judge(everywhere, tasks, NEW, nodes=2).phase is Phase.DONE
    assert judging.judge(everywhere, tasks, NEW, nodes=3).phase is Phase.UNDER_WAY


def test_a_forced_task_is_another() -> None:
    assert judging.judge(service(force=1), [task(n) for n in (1, 2, 3)], NEW).up == 0


def test_who_failed_says_more_than_who_waits() -> None:
    waits = task(1, state="pending", error="no suitable node")
    failed = task(2, state="failed", error="task: non-zero exit (3)")
    other = task(3, OLD, state="failed", error="long ago")
    assert judging.worst([other, waits, failed], NEW, ()) is failed
    assert judging.worst([other, waits], NEW, ()) is waits
    assert judging.worst([other, waits], NEW, ["t1"]) is None


def test_a_task_that_no_node_takes_is_not_waited_for_as_an_image_is() -> None:
    pulls = task(1, state="preparing")
    nowhere = task(2, state="pending", error="no suitable node (1 node not available)")
    step = APP.health.start_seconds + 5
    assert judging.patience_seconds(APP, 5, [nowhere]) == step
    assert judging.patience_seconds(APP, 5, [nowhere, pulls]) == step + 10 + PULL_SECONDS
    assert judging.patience_seconds(APP, 5, [replace(nowhere, error="")]) > step


def test_nodes_that_take_tasks() -> None:
    front = Node(id="a", name="a", ready=True, active=True, labels={"role": "app"})
    gone, other = replace(front, ready=False), replace(front, labels={"role": "db"})
    drained = replace(front, active=False)
    assert judging.fitting([front, gone, drained, other], "role=app") == (front,)
    assert judging.fitting([front, gone, other], None) == (front, other)


def test_more_of_one_port_than_nodes_are_told_what_to_do() -> None:
    nodes = [Node(id=n, name=n, ready=True, active=True, labels={}) for n in ("b", "a")]
    assert judging.crowded(8080, 2, nodes) == ""
    said = judging.crowded(8080, 3, nodes)
    assert said.startswith("3 instances cannot all have port 8080: 2 nodes take them (a, b); write")
    assert "1 node takes them (b)" in judging.crowded(8080, 2, nodes[:1])
    # Where no node takes any, why is another matter.
    assert judging.crowded(8080, 3, []) == ""


def test_one_too_many_for_the_nodes_says_what_to_do() -> None:
    full = (
        "no suitable node (1 node not available for new tasks; max replicas per node limit exceed)"
    )
    assert "take port.fixed out" in judging.hint(task(1, state="pending", error=full))
    assert judging.hint(task(1, state="pending", error="no suitable node")) == ""


@pytest.mark.parametrize(
    ("counts", "moves"),
    [
        ({}, 0),
        ({"a": 5}, 0),
        ({"a": 1, "b": 1, "c": 0}, 0),
        ({"a": 2, "b": 1, "c": 0}, 1),
        ({"a": 3, "b": 2, "c": 1}, 1),
        ({"a": 6, "b": 0, "c": 0}, 4),
        ({"a": 4, "b": 4, "c": 0}, 2),
    ],
)
def test_how_many_are_to_be_elsewhere(counts: dict[str, int], moves: int) -> None:
    assert judging.moves(counts) == moves


@given(st.lists(st.integers(0, 12), min_size=1, max_size=7))
def test_more_and_then_fewer_spreads_as_swarm_deals(has: list[int]) -> None:
    """Swarm puts a new one where fewest are, and ends one where most are."""
    moves = judging.moves({str(n): count for n, count in enumerate(has)})
    for _ in range(moves):
        has[has.index(min(has))] += 1
    for _ in range(moves):
        has[has.index(max(has))] -= 1
    assert max(has) - min(has) <= 1
