"""A mirror differs in how many, where, and in secrets: in nothing else that engines are given."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.release.app.model import App, EngineName, Environment, Order, Rollout
from deploy.release.app.parsing import parse
from deploy.release.render.difference import Difference, differences
from tests.release.render.rendered import APPS, JAVA, PLACES

SHOP = APPS["wharf.yaml"]


def found(app: App, first: Environment, second: Environment) -> dict[str, Difference]:
    java = JAVA if app.build.java else None
    return {each.where: each for each in differences(app, first, second, java=java)}


@pytest.mark.parametrize(("file", "env"), PLACES)
def test_an_environment_differs_from_itself_in_nothing(file: str, env: str) -> None:
    environment = APPS[file].environments[env]
    assert found(APPS[file], environment, environment) == {}
    other = replace(environment, name="other")
    assert found(APPS[file], environment, other).keys() == {"labels.wharfinger.env"}


def test_a_mirror_has_only_what_it_may_have() -> None:
    told = found(SHOP, SHOP.environments["pre"], SHOP.environments["production"])
    assert told.keys() == {"replicas", "hosts", "labels.wharfinger.env"}
    assert all(each.allowed for each in told.values())
    assert told["replicas"] == Difference(
        where="replicas", first="2", second="6", why="how many may differ"
    )


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"variables": {"MODE": "other"}}, "environment.MODE"),
        ({"variables": {"FURTHER": "x"}}, "environment.FURTHER"),
        ({"volumes": ("/srv/x:/x",)}, "mounts./x"),
        ({"rollout": Rollout(batch=3, monitor_seconds=7)}, "rollout.batch"),
        ({"rollout": Rollout(batch=2, monitor_seconds=8)}, "rollout.monitor"),
        (
            {"rollout": Rollout(batch=2, monitor_seconds=7, order=Order.STOP_FIRST)},
            "rollout.order",
        ),
    ],
)
@pytest.mark.parametrize("engine", list(EngineName))
def test_anything_else_is_told(changed: dict[str, object], where: str, engine: EngineName) -> None:
    """As if reading had not refused it."""
    production = replace(SHOP.environments["production"], engine=engine, hosts=None)
    pre = replace(production, name="pre", mirrors="production", **changed)  # type: ignore[arg-type]
    for told in (found(SHOP, pre, production), found(SHOP, production, pre)):
        if engine is EngineName.RANCHER and where == "rollout.monitor":
            continue  # rancher-compose has no such thing
        assert [each.where for each in told.values() if not each.allowed] == [where]


def test_secrets_may_differ_for_a_mirror_alone() -> None:
    production = SHOP.environments["production"]
    pre = replace(production, name="pre", mirrors="production", secrets={"OTHER": "/etc/other"})
    told = found(SHOP, pre, production)
    assert all(each.allowed for each in told.values())
    assert told.keys() >= {"mounts./run/secrets/OTHER", "environment.OTHER"}
    alone = found(SHOP, replace(pre, mirrors=None), production)
    assert [each.where for each in alone.values() if each.allowed] == ["labels.wharfinger.env"]


@pytest.mark.parametrize("first", list(EngineName))
@pytest.mark.parametrize("second", list(EngineName))
def test_another_engine_is_another_place(first: EngineName, second: EngineName) -> None:
    production = replace(SHOP.environments["production"], engine=first)
    pre = replace(production, name="pre", mirrors="production", engine=second, hosts=None)
    told = found(SHOP, pre, production)
    assert all(each.allowed for each in told.values()), told
    assert ("engine" in told) == (first is not second)


@given(
    st.sampled_from([file for file, _ in PLACES]),
    st.sampled_from(list(EngineName)),
    st.integers(1, 50),
    st.sampled_from([None, "role=a"]),
)
def test_what_reading_takes_as_a_mirror_is_one(
    file: str, engine: EngineName, replicas: int, hosts: str | None
) -> None:
    app = APPS[file]
    source = app.environments["production"]
    pre = replace(
        source,
        name="pre",
        mirrors="production",
        engine=engine,
        replicas=replicas,
        everywhere=False,
        hosts=hosts,
    )
    assert all(each.allowed for each in found(app, pre, source).values())


def test_the_example_of_the_guide_is_a_mirror_across_engines() -> None:
    app = parse(
        """\
app: shop
image: registry.example/shop
build: {layer: tomcat}
environments:
  pre: {engine: swarm, mirrors: production, replicas: 2}
  production: {engine: rancher, replicas: 6, hosts: role=app}
"""
    )
    told = differences(app, app.environments["pre"], app.environments["production"])
    assert {each.where for each in told} == {
        "engine",
        "grace",
        "labels.wharfinger.drain",
        "labels.wharfinger.env",
        "replicas",
        "rollout.monitor",
    }
    assert all(each.allowed for each in told)
