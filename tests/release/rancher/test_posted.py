"""The stack in deploy/rancher as Rancher's server gets it: created, upgraded, confirmed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import ranchercompose
from tests.stack.rancher import FakeRancher, serving
from tests.stack.ranchercompose import Poster, comparable

FOLDER = Path(__file__).parents[3] / "deploy" / "rancher"
FILES = ((FOLDER / "docker-compose.yml").read_text(), (FOLDER / "rancher-compose.yml").read_text())
POSTED = Path(__file__).with_name("posted.json")
VARIABLES = {
    "IMAGE": "registry.example/wharfinger:0.1.0",
    "NGINX": "registry.example/wharfinger-edge:0.1.0",
    "ETCD": "10.0.0.1:2379,10.0.0.2:2379",
    "STORE": "http://10.0.0.3:7280",
    "LISTEN": "0.0.0.0",
}
NEXT = VARIABLES | {"IMAGE": "registry.example/wharfinger:0.2.0"}


@pytest.fixture
def rancher() -> Iterator[FakeRancher]:
    with serving() as server:
        yield server


def carry_out(rancher: FakeRancher) -> None:
    if not ranchercompose.PROGRAM:
        Poster(rancher, FILES, VARIABLES).up()
        Poster(rancher, FILES, NEXT).upgrade(batch_size=1, interval_millis=30_000)
        return
    flags = ("--upgrade", "--batch-size", "1", "--interval", "30000")
    for words, variables in ((("up", "-d"), VARIABLES), (("up", "-d", *flags), NEXT)):
        done = ranchercompose.run(rancher, FILES, *words, variables=variables)
        assert done.returncode == 0, done.stderr


def test_rancher_gets_what_it_got_from_rancher_compose(rancher: FakeRancher) -> None:
    carry_out(rancher)
    found = comparable(rancher.posted)
    if ranchercompose.RECORDS:
        POSTED.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    told = json.loads(POSTED.read_text())
    assert found.keys() == told.keys()
    for about, bodies in told.items():
        assert found[about] == bodies, about


def test_every_service_is_global_on_the_hosts_network_and_checked() -> None:
    told = json.loads(POSTED.read_text())
    services = {key.split()[1]: one for key, (one, *_) in told.items() if key.startswith("create ")}
    services.pop("stack", None)
    assert services.keys() == {"registrar", "logshipper", "nginx", "discovery", "logstore"}
    for name, service in services.items():
        launch = service["launchConfig"]
        labels = launch["labels"]
        assert launch["networkMode"] == "host"
        assert labels["io.rancher.scheduler.global"] == "true"
        assert labels["io.rancher.container.pull_image"] == "always"
        assert "privileged" not in launch
        assert ("healthCheck" in launch) == (name != "nginx")
    place = "io.rancher.scheduler.affinity:host_label"
    edges = {"nginx", "discovery"}
    for name in services:
        wanted = "edge" if name in edges else "store" if name == "logstore" else "host"
        assert services[name]["launchConfig"]["labels"][place] == f"wharfinger.{wanted}=true"


def test_an_upgrade_says_its_pace_since_the_file_cannot(rancher: FakeRancher) -> None:
    told = json.loads(POSTED.read_text())
    upgrades = [one for key, (one, *_) in told.items() if key.startswith("upgrade ")]
    assert len(upgrades) == 4  # Nginx's image is the same
    for each in upgrades:
        strategy = each["inServiceStrategy"]
        assert (strategy["batchSize"], strategy["intervalMillis"]) == (1, 30_000)
        assert "startFirst" not in strategy


def test_the_server_refuses_what_it_does_not_know(rancher: FakeRancher) -> None:
    wrong = FILES[1].replace("strategy: none", "strategies: none")
    with pytest.raises(OSError, match="422"):
        Poster(rancher, (FILES[0], wrong), VARIABLES).up()
