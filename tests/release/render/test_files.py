"""What engines are given: the same bytes each time, read by their own programs and our agents."""

import os
import random
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deploy.release.app.model import App, EngineName
from deploy.release.rancher import check
from deploy.release.render import document, project
from registrar.checks.model import Check, CheckKind
from registrar.labels import asks
from registrar.model import Wanted
from tests.release.render.rendered import APPS, DIGEST, FOLDER, PLACES, rendered
from wharfinger.container import Container
from wharfinger.keys import Service

GOLDEN = FOLDER / "golden"
RECORDS = bool(os.environ.get("WHARFINGER_RECORD"))
SHOP = APPS["wharf.yaml"]


def service(app: App, env: str) -> dict[str, Any]:
    texts = rendered(app, app.environments[env])
    read = yaml.safe_load(texts.get("stack.yml") or texts["docker-compose.yml"])
    assert list(read["services"]) == [app.name]
    return dict(read["services"][app.name])


def replaced(text: str) -> str:
    """What an engine makes of a text of the file: no variable is set."""
    assert "$" not in text.replace("$$", "")
    return text.replace("$$", "$")


@pytest.mark.parametrize(("file", "env"), PLACES)
def test_the_bytes_are_those_that_were_looked_at(file: str, env: str) -> None:
    app = APPS[file]
    texts = rendered(app, app.environments[env])
    folder = GOLDEN / f"{app.name}-{env}"
    if RECORDS:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    assert texts == {each.name: each.read_text(encoding="utf-8") for each in folder.iterdir()}


@pytest.mark.parametrize(("file", "env"), PLACES)
def test_the_order_in_which_things_were_said_changes_nothing(file: str, env: str) -> None:
    app = APPS[file]

    def shuffled(several: Any) -> dict[str, str]:
        pairs = list(several.items())
        random.shuffle(pairs)
        return dict(pairs)

    environment = app.environments[env]
    other = replace(app, variables=shuffled(app.variables), labels=shuffled(app.labels))
    again = replace(environment, secrets=shuffled(environment.secrets))
    assert rendered(other, again) == rendered(app, environment)


@pytest.mark.parametrize(("file", "env"), PLACES)
def test_each_always_goes_by_digest_on_the_hosts_network(file: str, env: str) -> None:
    found = service(APPS[file], env)
    assert found["image"] == f"{APPS[file].image}@{DIGEST}"
    on_host = found.get("network_mode") == "host" or found.get("networks") == ["host"]
    assert on_host


@pytest.mark.parametrize(("file", "env"), PLACES)
def test_a_registrar_reads_its_labels_as_they_are_meant(file: str, env: str) -> None:
    app = APPS[file]
    found = service(app, env)
    container = Container(
        id="c" * 64,
        name="c",
        image=found["image"],
        labels={name: replaced(text) for name, text in found["labels"].items()},
        env={name: replaced(text) for name, text in found.get("environment", {}).items()},
        network_mode="host",
    )
    (ask,) = asks.read(container)
    assert isinstance(ask, Wanted)
    health = app.health
    assert ask.service == Service(app.name, env)
    assert (ask.port, ask.pool) == (app.port.fixed, app.port.pool)
    assert ask.check == Check(
        CheckKind.HTTP,
        path=health.http or "",
        interval_seconds=health.every_seconds,
        timeout_seconds=health.timeout_seconds,
        rise=health.healthy,
        fall=health.unhealthy,
        grace_seconds=health.start_seconds,
    )
    rancher = app.environments[env].engine is EngineName.RANCHER
    assert ask.drain_seconds == min(app.drain_seconds, 8 if rancher else 3600)
    if app.serve:
        assert (ask.http_host, ask.http_path) == (app.serve.host, app.serve.path)


@pytest.mark.parametrize("env", [env for file, env in PLACES if file == "wharf.yaml"])
def test_no_text_is_taken_for_something_else(env: str) -> None:
    found = service(SHOP, env)
    told = {name: replaced(text) for name, text in found["environment"].items()}
    wanted = {**SHOP.variables, **SHOP.environments[env].variables}
    assert {name: told[name] for name in wanted} == wanted
    assert told["WHARFINGER_PORT_VARIABLE"] == "HTTP_PORT"
    assert told["JAVA_HOME"] == "/usr/lib/jvm/java-17"
    assert [replaced(each) for each in found["command"]] == list(SHOP.command)
    if SHOP.environments[env].secrets:
        assert told["DB_PASSWORD_FILE"] == "/run/secrets/DB_PASSWORD_FILE"


@pytest.mark.parametrize(
    ("file", "env"),
    [(f, e) for f, e in PLACES if APPS[f].environments[e].engine is EngineName.RANCHER],
)
def test_rancher_loses_nothing_of_it(file: str, env: str) -> None:
    texts = rendered(APPS[file], APPS[file].environments[env])
    assert check(texts["docker-compose.yml"], texts["rancher-compose.yml"]) == ()


@pytest.mark.parametrize(("file", "env"), PLACES)
def test_the_engines_own_programs_read_it(file: str, env: str, tmp_path: Path) -> None:
    environment = APPS[file].environments[env]
    texts = rendered(APPS[file], environment)
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    match environment.engine:
        case EngineName.COMPOSE:
            command = ["docker-compose", "config", "-q"]
        case EngineName.SWARM:
            command = ["docker", "stack", "config", "-c", "stack.yml"]
        case EngineName.RANCHER:
            # The format's common part; what is Rancher's own is `rancher.check`'s.
            command = ["docker-compose", "config", "-q"]
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} here")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if "unknown command" in done.stderr or "is not a docker command" in done.stderr:
        pytest.skip("this docker has no `stack config`")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("env", "grace"), [("integration", "12s"), ("production", "22s")])
def test_an_engine_waits_for_whole_seconds(env: str, grace: str) -> None:
    # Docker has StopTimeout as an integer: "11.5s" is refused at the first `up`.
    app = replace(SHOP, drain_seconds=1.5)
    assert service(app, env)["stop_grace_period"] == grace
    assert service(app, env)["labels"]["wharfinger.drain"] == "2"


def test_projects_are_told_apart() -> None:
    names = {
        (app, env): project(replace(SHOP, name=app), replace(SHOP.environments["pre"], name=env))
        for app, env in (
            ("shop", "prod"),
            ("shop", "eu-prod"),
            ("shop-eu", "prod"),
            ("Shop", "prod"),
            ("shop", "Prod"),
            ("sh.op", "prod"),
            ("sh-op", "prod"),
            ("sh_op", "prod"),
            ("shop", "eu..prod"),
            ("shop", "eu.prod"),
            ("shop", "prod-"),
            ("shop", "prod."),
        )
    }
    assert names["shop", "prod"] == "shop-prod"
    assert names["sh_op", "prod"] == "sh_op-prod"
    assert len(set(names.values())) == len(names)
    assert not any("--" in name or name.endswith("-") for name in names.values())
    assert names["shop", "eu-prod"].startswith("shop-eu-prod-")


@given(st.recursive(st.text(max_size=20), lambda each: st.lists(each, max_size=3), max_leaves=8))
def test_what_is_written_is_read_back(content: Any) -> None:
    text = document.dump({"a": content}, ["A remark"])
    assert yaml.safe_load(text) == {"a": content}
