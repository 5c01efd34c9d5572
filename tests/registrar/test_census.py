"""What is believed of a container after lists, inspections and events in any order."""

from typing import Any

import pytest

from registrar.census import Census
from registrar.model import Refused, Wanted, Ways
from wharfinger.container import Container, DockerEvent, Listed, PublishedPort

ID = "a" * 64
LABELS = {"wharfinger.app": "shop", "wharfinger.env": "prod"}


def container(started: int = 100, **fields: Any) -> Container:
    described = {
        "id": ID,
        "running": True,
        "state": "running",
        "network_mode": "host",
        "labels": LABELS,
    }
    return Container(started_at_ns=started, **(described | fields))


def event(action: str, time: int = 200, **attributes: str) -> DockerEvent:
    return DockerEvent(ID, action, time, attributes=attributes)


@pytest.fixture
def census() -> Census:
    census = Census({})
    census.listed(Listed((container(),)))
    return census


def test_a_list_is_the_whole_truth(census: Census) -> None:
    assert census.complete
    assert isinstance(census.containers[ID].asks[0], Wanted)
    census.listed(Listed(()))
    assert not census.containers


def test_who_shares_a_network_follows_the_one_that_has_it(census: Census) -> None:
    other = "b" * 64
    sharing = container(id=other, network_mode=f"container:{ID}")
    census.looked(other, sharing)
    shared = census.containers[other].asks[0]
    assert isinstance(shared, Wanted)
    assert shared.port is None  # the host's network: it is given one
    ports = (PublishedPort(80, 31_000),)
    census.looked(ID, container(network_mode="bridge", published_ports=ports))
    shared = census.containers[other].asks[0]
    assert isinstance(shared, Wanted)
    assert shared.port == 31_000
    census.listed(Listed((sharing,)))
    assert isinstance(census.containers[other].asks[0], Refused)


def test_what_is_said_is_read_anew_when_the_ways_to_read_it_change() -> None:
    ways = [Ways()]
    census = Census({}, lambda: ways[0])
    census.listed(Listed((container(labels={"wharfinger.app": "shop"}),)))
    census.told(container(), 20_000)
    assert isinstance(census.containers[ID].asks[0], Refused)
    version = census.version
    ways[0] = Ways(default_env="prod")
    census.reread()
    assert isinstance(census.containers[ID].asks[0], Wanted)
    assert census.containers[ID].told == 20_000
    assert census.version > version


def test_one_that_could_not_be_described_stays_as_it_was(census: Census) -> None:
    before = census.containers[ID]
    census.listed(Listed((), unknown=frozenset({ID})))
    assert census.containers[ID] is before
    assert census.unknown == {ID}
    census.looked(ID, container())
    assert not census.unknown


def test_after_a_doubt_a_list_a_look_or_a_process_tells_who_runs(census: Census) -> None:
    other = container(id="b" * 64)
    census.listed(Listed((container(), other), began=1.0))
    for settle in (
        lambda: census.listed(Listed((container(), other), began=5.0)),
        lambda: (census.looked(ID, container()), census.looked(other.id, None)),
        lambda: census.settled([ID, other.id]),
    ):
        census.listed(Listed((container(), other), began=5.0))
        version = census.version
        census.doubted(5.0)
        assert census.doubt.of == {ID, other.id}
        assert census.version > version
        census.listed(Listed((container(), other), began=4.9))  # asked for before, it says nothing
        assert census.doubt.of == {ID, other.id}
        version = census.version
        settle()
        assert not census.doubt.of
        assert census.version > version


def test_who_comes_with_a_list_that_was_asked_for_before_is_doubted(census: Census) -> None:
    new = container(id="c" * 64)
    census.doubted(5.0)
    census.listed(Listed((container(), new), began=4.9))
    assert census.doubt.of == {ID, new.id}
    census.listed(Listed((container(), new), began=5.0))
    assert not census.doubt.of


def test_one_that_docker_cannot_describe_stays_in_doubt(census: Census) -> None:
    census.doubted(5.0)
    census.listed(Listed((), frozenset({ID}), began=6.0))
    assert census.doubt.of == {ID}
    assert ID in census.containers


@pytest.mark.parametrize(
    ("attributes", "stop_signal", "stops"),
    [
        ({"signal": "15"}, 15, True),
        ({"signal": "9"}, 3, True),
        ({"signal": "3"}, 3, True),
        ({"signal": "10"}, 15, False),
        ({"signal": "1"}, 15, False),
        ({"signal": "hidden by a label"}, 15, True),
        ({}, 15, True),
    ],
)
def test_only_a_signal_that_means_the_end_stops(
    attributes: dict[str, str], stop_signal: int, stops: bool
) -> None:
    census = Census({})
    census.listed(Listed((container(stop_signal=stop_signal),)))
    assert census.happened(event("kill", **attributes))
    assert (census.containers[ID].stopping is not None) == stops


def test_told_to_stop_holds_until_the_next_start(census: Census) -> None:
    census.happened(event("kill", signal="15"))
    census.looked(ID, container())
    census.listed(Listed((container(),)))
    assert census.containers[ID].stopping == 200
    assert census.stops == {ID: 200}
    census.looked(ID, container(started=300))
    assert census.containers[ID].stopping is None
    assert census.stops == {}


def test_a_clock_that_was_set_back_does_not_keep_a_restarted_one_out(census: Census) -> None:
    census.happened(event("kill", signal="15"))
    assert census.stops
    census.happened(event("die", time=201))
    census.looked(ID, container(started=120))
    assert census.containers[ID].stopping is None
    census.happened(event("kill", signal="15"))
    census.looked(ID, container(running=False, state="exited", started=120))
    census.looked(ID, container(started=110))
    assert census.containers[ID].stopping is None


def test_a_late_event_of_an_earlier_run_says_nothing(census: Census) -> None:
    for action in ("kill", "die", "pause"):
        assert not census.happened(event(action, time=50, signal="15"))
    seen = census.containers[ID]
    assert (seen.stopping, seen.container.running, seen.container.paused) == (None, True, False)


def test_death_and_pause_are_believed_at_once(census: Census) -> None:
    assert census.happened(event("pause"))
    assert census.containers[ID].container.paused
    assert census.happened(event("die", exitCode="0"))
    assert not census.containers[ID].container.running
    assert census.happened(event("destroy")), "an inspection under way must not be the last"
    assert ID not in census.containers


def test_a_new_container_is_looked_at(census: Census) -> None:
    other = DockerEvent("b" * 64, "start", 10)
    assert census.happened(other)
    assert other.container_id not in census.containers


def test_a_stop_is_known_from_the_life_before_or_before_the_first_look() -> None:
    remembered = Census({ID: 150})
    remembered.listed(Listed((container(),)))
    assert remembered.containers[ID].stopping == 150
    early = Census({})
    early.happened(event("kill", signal="15"))
    early.looked(ID, container())
    assert early.containers[ID].stopping == 200
    restarted = Census({ID: 50})
    restarted.listed(Listed((container(),)))
    assert restarted.containers[ID].stopping is None


def test_what_was_told_or_went_wrong_belongs_to_one_run(census: Census) -> None:
    census.told(container(), 20_000)
    census.looked(ID, container())
    assert census.containers[ID].told == 20_000
    census.troubled(container(started=99), "too late")
    assert census.containers[ID].trouble == ""
    census.looked(ID, container(started=300))
    assert census.containers[ID].told is None
    census.troubled(container(started=300), "full")
    assert census.containers[ID].trouble == "full"
    census.forgive()
    assert census.containers[ID].trouble == ""


def test_bad_labels_are_remembered_as_a_refusal() -> None:
    census = Census({})
    census.looked(ID, container(labels=LABELS | {"wharfinger.app": "a/b"}))
    assert isinstance(census.containers[ID].asks[0], Refused)


def test_a_farewell_is_remembered_until_the_next_run(census: Census) -> None:
    census.happened(event("die"))
    census.listed(Listed(()))
    assert ID in census.farewells
    census.looked(ID, container(started=300))
    assert ID not in census.farewells


def test_the_end_of_an_earlier_run_is_no_farewell(census: Census) -> None:
    census.looked(ID, container(started=300))  # restarted, and looked at before the event came
    assert not census.happened(event("die"))
    assert ID not in census.farewells


def test_farewells_are_not_kept_for_ever(census: Census) -> None:
    for number in range(5_000):
        census.happened(DockerEvent(f"{number:064x}", "destroy", 1))
    assert len(census.farewells) <= 4_096
    assert f"{4_999:064x}" in census.farewells
