"""What Docker tells of a container, with fields missing, odd or hostile."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wharfinger.container import (
    Container,
    DockerEvent,
    ExposedPort,
    PublishedPort,
    of_an_earlier_run,
    parse_container,
    parse_event,
    parse_info,
    signal_number,
    time_ns,
)
from wharfinger.errors import Rejected

ID = "9f" * 32
INSPECTED: dict[str, Any] = {
    "Id": ID,
    "Created": "2026-11-23T07:00:20.462752185Z",
    "State": {
        "Status": "running",
        "Running": True,
        "Paused": False,
        "Pid": 4711,
        "ExitCode": 0,
        "StartedAt": "2026-11-23T07:00:21.5Z",
        "Health": {"Status": "healthy", "FailingStreak": 0, "Log": []},
    },
    "Image": "sha256:" + "1" * 64,
    "LogPath": f"/var/lib/docker/containers/{ID}/{ID}-json.log",
    "Name": "/shop-1",
    "HostConfig": {
        "NetworkMode": "web",
        "IpcMode": "private",
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
    },
    "Config": {
        "Tty": True,
        "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
        "Env": ["PATH=/bin", "EMPTY=", "URL=http://x/?a=b", "PATHONLY"],
        "Image": "shop:1",
        "Labels": {"wharfinger.app": "shop"},
        "StopSignal": "SIGQUIT",
    },
    "NetworkSettings": {
        "Ports": {
            "8080/tcp": [
                {"HostIp": "0.0.0.0", "HostPort": "32768"},
                {"HostIp": "::", "HostPort": "32768"},
            ],
            "53/udp": None,
        },
        "Networks": {
            "web": {"IPAddress": "172.18.0.2", "GlobalIPv6Address": "2001:db8::2"},
            "back": {"IPAddress": "172.19.0.2", "GlobalIPv6Address": ""},
        },
    },
}


def test_every_field() -> None:
    assert parse_container(INSPECTED) == Container(
        id=ID,
        name="shop-1",
        image="shop:1",
        image_id="sha256:" + "1" * 64,
        labels={"wharfinger.app": "shop"},
        env={"PATH": "/bin", "EMPTY": "", "URL": "http://x/?a=b"},
        state="running",
        running=True,
        paused=False,
        pid=4711,
        exit_code=0,
        created_at_ns=1_795_417_220_462_752_185,
        started_at_ns=1_795_417_221_500_000_000,
        network_mode="web",
        ipc_mode="private",
        stop_signal=3,
        tty=True,
        health="healthy",
        exposed_ports=(ExposedPort(53, "udp"), ExposedPort(8080, "tcp")),
        published_ports=(
            PublishedPort(8080, 32768, "0.0.0.0", "tcp"),
            PublishedPort(8080, 32768, "::", "tcp"),
        ),
        ip_addresses=("172.19.0.2", "172.18.0.2", "2001:db8::2"),
        log_driver="json-file",
        log_options={"max-size": "1m"},
        log_path=f"/var/lib/docker/containers/{ID}/{ID}-json.log",
    )


def test_the_least_that_is_a_container() -> None:
    assert parse_container({"Id": ID}) == Container(id=ID)


@pytest.mark.parametrize(
    "told", [None, [], "x", {}, {"Id": None}, {"Id": "../etc"}, {"Id": ID[1:]}]
)
def test_what_has_no_id_is_rejected(told: object) -> None:
    with pytest.raises(Rejected, match="no container id"):
        parse_container(told)


def test_nulls_where_docker_writes_them() -> None:
    told = copy.deepcopy(INSPECTED)
    told["Config"] |= {"Env": None, "Labels": None, "ExposedPorts": None, "StopSignal": ""}
    told["State"] |= {"Health": None, "StartedAt": "0001-01-01T00:00:00Z", "Pid": 0}
    told["NetworkSettings"] |= {"Ports": None, "Networks": None}
    told["HostConfig"]["LogConfig"] = {"Type": "none", "Config": None}
    container = parse_container(told)
    assert container.env == container.labels == container.log_options == {}
    assert container.exposed_ports == container.published_ports == container.ip_addresses == ()
    assert (container.health, container.started_at_ns, container.stop_signal) == ("", 0, 15)


@pytest.mark.parametrize(
    ("key", "bindings"),
    [
        ("x/tcp", [{"HostPort": "80"}]),
        ("99999/tcp", [{"HostPort": "80"}]),
        ("80/tcp", [{"HostPort": ""}]),
        ("80/tcp", [{"HostPort": "0"}]),
        ("80/tcp", [{"HostPort": "-1"}]),
        ("80/tcp", [{"HostPort": 80}]),
        ("80/tcp", [None, "x"]),
        ("80/tcp", "x"),
        ("", [{"HostPort": "80"}]),
    ],
)
def test_odd_ports_are_left_out(key: str, bindings: object) -> None:
    told = {"Id": ID, "NetworkSettings": {"Ports": {key: bindings}}}
    assert parse_container(told).published_ports == ()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(where=st.sampled_from(["State", "Config", "HostConfig", "NetworkSettings"]), data=st.data())
def test_any_value_anywhere_becomes_a_container(where: str, data: st.DataObject) -> None:
    told = copy.deepcopy(INSPECTED)
    field = data.draw(st.sampled_from(["", *told[where]]))
    if field:
        told[where][field] = data.draw(json_values)
    else:
        told[where] = data.draw(json_values)
    assert parse_container(told).id == ID


def message(**changes: object) -> dict[str, object]:
    actor = {"ID": ID, "Attributes": {"name": "shop-1", "signal": "15"}}
    return {"Type": "container", "Action": "kill", "Actor": actor, "timeNano": 5} | changes


def test_events() -> None:
    kill = parse_event(message())
    assert kill == DockerEvent(ID, "kill", 5, "", {"name": "shop-1", "signal": "15"})
    assert (kill.signal, kill.exit_code) == (15, None)
    health = parse_event(message(Action="health_status: unhealthy"))
    assert health is not None
    assert (health.action, health.detail) == ("health_status", "unhealthy")
    die = parse_event(
        message(Action="die", Actor={"ID": ID, "Attributes": {"exitCode": "137", "n": 1}})
    )
    assert die is not None
    assert (die.exit_code, die.attributes) == (137, {"exitCode": "137"})


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        message(Type="network"),
        message(Action=""),
        message(Action=None),
        message(Actor=None),
        message(Actor={"ID": "x"}),
        {},
    ],
)
def test_what_is_no_event_of_a_container(told: object) -> None:
    assert parse_event(told) is None


@pytest.mark.parametrize("text", ["banana", "", "-9", "1_5", " 15", "٣", "9" * 5000])
def test_a_label_that_hides_the_signal_gives_none(text: str) -> None:
    event = parse_event(message(Actor={"ID": ID, "Attributes": {"signal": text}}))
    assert event is not None
    assert event.signal is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("SIGTERM", 15),
        ("TERM", 15),
        ("sigterm", 15),
        ("15", 15),
        ("SIGWINCH", 28),
        ("SIGRTMIN+3", 37),
        ("RTMIN", 34),
        ("SIGRTMAX-1", 63),
        ("RTMIN+99", None),
        ("0", None),
        ("65", None),
        ("", None),
        ("SIGNONSENSE", None),
    ],
)
def test_signals_as_docker_takes_them(text: str, number: int | None) -> None:
    assert signal_number(text) == number


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01T01:00:01.000000001+01:00", 10**9 + 1),
        ("0001-01-01T00:00:00Z", 0),
        ("2026-13-01T00:00:00Z", 0),
        ("yesterday", 0),
        ("", 0),
    ],
)
def test_times(text: str, nanoseconds: int) -> None:
    assert time_ns(text) == nanoseconds


def test_an_event_of_an_earlier_run() -> None:
    container = Container(id=ID, started_at_ns=100)
    assert of_an_earlier_run(DockerEvent(ID, "kill", 99), container)
    assert not of_an_earlier_run(DockerEvent(ID, "kill", 100), container)
    assert not of_an_earlier_run(DockerEvent(ID, "kill", 0), container)
    assert not of_an_earlier_run(DockerEvent(ID, "create", 99), Container(id=ID))


def test_info() -> None:
    told = {
        "Name": "host",
        "ServerVersion": "20.10.24",
        "DockerRootDir": "/var/lib/docker",
        "LiveRestoreEnabled": True,
        "Driver": "overlay2",
        "LoggingDriver": "json-file",
        "Runtimes": {"runc": {}, "wharfinger": {}},
        "DefaultRuntime": "runc",
    }
    info = parse_info(told)
    assert (info.data_root, info.live_restore) == ("/var/lib/docker", True)
    assert info.runtimes == ("runc", "wharfinger")
    assert parse_info(None).data_root == ""
