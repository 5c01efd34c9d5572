"""What rancher-compose posts for two files: the real one, where there is one, or in our words.

`WHARFINGER_RANCHER_COMPOSE=PATH` runs the program itself. What it posted for the files of
deploy/rancher is kept in tests/release/rancher/posted.json; `WHARFINGER_RECORD=1` beside it writes
that anew.
"""

import json
import os
import string
import subprocess
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.stack.rancher import Body, FakeRancher, filled

PROGRAM = os.environ.get("WHARFINGER_RANCHER_COMPOSE", "")
RECORDS = bool(PROGRAM) and os.environ.get("WHARFINGER_RECORD") == "1"
HASH = "io.rancher.service.hash"
STACK = "wharfinger"


def run(
    rancher: FakeRancher,
    files: tuple[str, str],
    *words: str,
    variables: Mapping[str, str] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """The real program, with the texts of docker-compose.yml and rancher-compose.yml."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in zip(("docker-compose.yml", "rancher-compose.yml"), files, strict=True):
            (Path(folder) / name).write_text(text)
        return subprocess.run(
            [PROGRAM, "--project-name", STACK, *words],
            cwd=folder,
            env={
                "RANCHER_URL": rancher.url,
                "RANCHER_ACCESS_KEY": "key",
                "RANCHER_SECRET_KEY": "secret",
                **(variables or {}),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


class Poster:
    """Posts as the program does: a container in Docker's words, then the service.

    Args:
        rancher: where to.
        files: the texts of docker-compose.yml and rancher-compose.yml.
        variables: their values.
        stack: name of the stack.
    """

    def __init__(
        self,
        rancher: FakeRancher,
        files: tuple[str, str],
        variables: Mapping[str, str],
        stack: str = STACK,
    ) -> None:
        self._stack = stack
        compose, health = (_filled_in(yaml.safe_load(text), variables) for text in files)
        self._rancher = rancher
        self._compose: dict[str, Body] = compose["services"]
        self._health: dict[str, Body] = health["services"]

    def up(self) -> None:
        """Creates the stack and what is not there of its services, and activates them."""
        stack = self._ask("stacks", {"name": self._stack})
        for name in self._compose:
            body = {
                "name": name,
                "stackId": stack["id"],
                "scale": self._health.get(name, {}).get("scale", 1),
                "launchConfig": self._launch(name),
                "metadata": {HASH: ""},
            }
            service = self._ask("services", body)
            self._ask(f"services/{service['id']}?action=activate", None)

    def upgrade(self, *, batch_size: int, interval_millis: int) -> None:
        """Gives each service whose launch configuration has changed the new one."""
        for service in list(self._rancher.services.values()):
            name = service["name"]
            if filled(self._launch(name)) == service["launchConfig"]:
                continue
            strategy = {
                "batchSize": batch_size,
                "intervalMillis": interval_millis,
                "launchConfig": self._launch(name),
            }
            if self._health.get(name, {}).get("upgrade_strategy", {}).get("start_first"):
                strategy["startFirst"] = True
            body = {"inServiceStrategy": strategy}
            self._ask(f"services/{service['id']}?action=upgrade", body)

    def _launch(self, name: str) -> Body:
        service = self._compose[name]
        launch = self._ask("scripts/transform", _inspected(name, service))
        launch["networkMode"] = service.get("network_mode", "managed")
        launch["labels"] = launch.get("labels", {}) | {HASH: ""}
        if health := self._health.get(name, {}).get("health_check"):
            launch["healthCheck"] = {_camel(key): value for key, value in health.items()}
        return launch

    def _ask(self, path: str, body: Body | None) -> Any:
        request = urllib.request.Request(
            f"{self._rancher.url}/{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


def _inspected(name: str, service: Body) -> Body:
    command = service.get("command", [])
    environment = service.get("environment", {})
    return {
        "Name": f"/{name}",
        "Config": {
            "Image": service["image"],
            "Cmd": command.split() if isinstance(command, str) else command,
            "Env": sorted(f"{key}={value}" for key, value in environment.items()),
            "Labels": service.get("labels", {}),
            "User": service.get("user", ""),
        },
        "HostConfig": {
            "Binds": service.get("volumes", []),
            "CapAdd": service.get("cap_add", []),
            "CapDrop": service.get("cap_drop", []),
            "PidMode": service.get("pid", ""),
            "ReadonlyRootfs": service.get("read_only", False),
        },
    }


def _filled_in(value: Any, variables: Mapping[str, str]) -> Any:
    match value:
        case dict():
            return {key: _filled_in(each, variables) for key, each in value.items()}
        case list():
            return [_filled_in(each, variables) for each in value]
        case str():
            return string.Template(value).substitute(variables)
        case _:
            return value


def _camel(key: str) -> str:
    first, *others = key.split("_")
    return first + "".join(map(str.capitalize, others))


def comparable(posted: Sequence[tuple[str, Body]]) -> dict[str, list[Body]]:
    """By what it is about, in one order, without the hashes that only the program makes.

    The program asks for several services at once, and for each more than once.
    """
    found: dict[str, list[Body]] = {}
    for about, body in sorted(posted, key=lambda each: each[0]):
        if about.startswith(("transform", "create", "activate", "upgrade", "finish")):
            plain = _plain(json.loads(json.dumps(body)))
            if plain not in found.setdefault(about, []):
                found[about].append(plain)
    return found


def _plain(body: Body) -> Body:
    if "Config" in body:
        body["Config"].get("Env", []).sort()
        return body
    strategy = body.get("inServiceStrategy", {})
    for launch in (body.get("launchConfig"), strategy.get("launchConfig")):
        if launch:
            launch["labels"].pop(HASH, None)
            launch.pop("type", None)
    body.get("metadata", {}).pop(HASH, None)
    return {key: value for key, value in body.items() if value not in ({}, "", None)}
