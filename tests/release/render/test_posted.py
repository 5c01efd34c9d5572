"""What Rancher's server gets of rendered files, as rancher-compose posts them."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.release.render.rendered import APPS, DIGEST, JAVA, rendered
from tests.stack.rancher import FakeRancher, serving
from tests.stack.ranchercompose import Poster


@pytest.fixture
def rancher() -> Iterator[FakeRancher]:
    with serving() as server:
        yield server


def both(file: str, env: str, release: str) -> tuple[str, str]:
    texts = rendered(APPS[file], APPS[file].environments[env], release)
    return texts["docker-compose.yml"], texts["rancher-compose.yml"]


def test_a_release_is_created_and_replaced_by_the_next(rancher: FakeRancher) -> None:
    Poster(rancher, both("wharf.yaml", "rancher", "r12"), {}).up()
    Poster(rancher, both("wharf.yaml", "rancher", "r13"), {}).upgrade(
        batch_size=1, interval_millis=45_000
    )
    posted = dict(rancher.posted)
    created = posted["create shop"]["launchConfig"]
    assert created["imageUuid"] == f"docker:registry.example:5000/shop@{DIGEST}"
    assert created["networkMode"] == "host"
    assert created["labels"]["io.rancher.scheduler.affinity:host_label"] == "role=app"
    assert created["labels"]["wharfinger.release"] == "r12"
    assert created["environment"]["ZIP"] == "0755"
    assert [f"{path}:{path}:ro" in created["dataVolumes"] for path in JAVA.paths] == [True, True]
    strategy = posted["upgrade shop"]["inServiceStrategy"]
    assert strategy["launchConfig"]["labels"]["wharfinger.release"] == "r13"
    assert strategy["startFirst"] is True


def test_a_fixed_port_is_checked_and_stopped_first(rancher: FakeRancher) -> None:
    Poster(rancher, both("fixed.yaml", "rancher", "r1"), {}).up()
    Poster(rancher, both("fixed.yaml", "rancher", "r2"), {}).upgrade(
        batch_size=1, interval_millis=5_000
    )
    posted = dict(rancher.posted)
    checked = posted["create pay"]["launchConfig"]["healthCheck"]
    assert (checked["port"], checked["requestLine"]) == (8080, "GET /healthz?deep=1 HTTP/1.0")
    assert "startFirst" not in posted["upgrade pay"]["inServiceStrategy"]


def test_the_pace_waits_as_long_as_a_new_instance_may_take() -> None:
    app = APPS["wharf.yaml"]
    slow = replace(app, health=replace(app.health, start_seconds=90))
    texts = rendered(slow, app.environments["rancher"])
    assert texts["rancher-compose.flags"] == "--batch-size 1 --interval 95000\n"
