"""Every setting that the files for engines give a daemon is one, of the right type."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from discovery.config import Config as DiscoveryConfig
from logshipper.config import Config as LogshipperConfig
from logshipper.store.config import Config as LogstoreConfig
from registrar.config import Config as RegistrarConfig
from wharfinger.config import load

DEPLOY = Path(__file__).parents[2] / "deploy"
CONFIGS: dict[str, Any] = {
    "registrar": RegistrarConfig,
    "discovery": DiscoveryConfig,
    "logshipper": LogshipperConfig,
    "logstore": LogstoreConfig,
}
FILES = ("rancher/docker-compose.yml", "swarm/stack.yml", "compose/docker-compose.yml")
VALUES = {
    "WHARFINGER_ETCD": "10.0.0.1:2379,10.0.0.2:2379",
    "ETCD": "10.0.0.1:2379",
    "WHARFINGER_STORE": "http://10.0.0.3:7280",
    "STORE": "http://10.0.0.3:7280",
    "LISTEN": "10.0.0.1",
}
PLACE = re.compile(r"\$\{(\w+)(?::[-?]((?:[^{}]|\{[^{}]*\})*))?\}")


def services() -> Iterator[Any]:
    for file in FILES:
        for name, service in yaml.safe_load((DEPLOY / file).read_text())["services"].items():
            if name in CONFIGS:
                yield pytest.param(name, service, id=f"{file}-{name}")


def filled_in(text: str) -> str:
    return PLACE.sub(lambda match: VALUES.get(match[1], match[2] or ""), text)


@pytest.mark.parametrize(("name", "service"), list(services()))
def test_settings_are_read(name: str, service: dict[str, Any], tmp_path: Path) -> None:
    given = {key: filled_in(value) for key, value in service.get("environment", {}).items()}
    empty = tmp_path / "wharfinger.toml"
    empty.write_text("")
    read = load(CONFIGS[name], path=empty, environment=given)
    origins = [origin for origin in read.origins.values() if origin.startswith("environment")]
    assert len(origins) >= len(given)
    command = service["command"]
    assert command == [name]


@pytest.mark.parametrize("name", CONFIGS)
def test_the_file_for_kubernetes_is_read(name: str, tmp_path: Path) -> None:
    objects = yaml.safe_load_all((DEPLOY / "kubernetes" / "wharfinger.yaml").read_text())
    (shared,) = (each for each in objects if each["kind"] == "ConfigMap")
    file = tmp_path / "wharfinger.toml"
    file.write_text(shared["data"]["wharfinger.toml"])
    read = load(CONFIGS[name], path=file, environment={})
    assert any(str(file) in origin for origin in read.origins.values())
