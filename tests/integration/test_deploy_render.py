"""What Compose makes of a rendered file: a container that has what was said."""

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from deploy.release.app.parsing import parse
from deploy.release.render import files, project
from wharfinger.operator.parts.dockerd import DockerDaemon

pytestmark = pytest.mark.real

WHARF = """\
app: shop
image: registry.example/shop
build: {layer: small}
port: {env: HTTP_PORT}
command: [sh, -c, 'echo "$A" "$$" ${B}; exec sleep 600']
variables: {A: "$5 ${HOME} $$", B: "0755", C: "yes", D: "a\\nb: 'c' \\"d\\" #e", E: "", F: "ü €"}
labels: {team: "a: $b"}
resources: {memory: 64m, cpus: 0.5}
drain: 1500ms
environments:
  test:
    engine: compose
    replicas: 2
    secrets: {KEY_FILE: SECRET}
    volumes: [FOLDER:/data]
"""


async def composed(daemon: DockerDaemon, folder: Path, name: str, *words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *("docker-compose", "--project-name", name, *words),
        cwd=folder,
        env={**os.environ, "DOCKER_HOST": daemon.url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="no docker-compose here")
async def test_a_container_has_what_was_said_to_the_letter(
    docker_daemon: DockerDaemon, folder: Path
) -> None:
    secret, data = folder / "key", folder / "data"
    data.mkdir()
    app = parse(WHARF.replace("SECRET", str(secret)).replace("FOLDER", str(data)))
    environment = app.environments["test"]
    image = f"{app.image}@sha256:{'0' * 64}"
    (text,) = files(app, environment, image, "r3", 2).values()
    (folder / "docker-compose.yml").write_text(text.replace(image, "busybox"))
    name = project(app, environment)
    up = ("up", "--detach", "--no-recreate")

    # A secret that is not there is told, and no folder is made in its place.
    code, said = await composed(docker_daemon, folder, name, *up)
    assert code != 0
    assert "bind source path does not exist" in said
    assert not secret.exists()
    secret.write_text("hush")

    code, said = await composed(docker_daemon, folder, name, *up)
    assert code == 0, said
    ids = (await docker_daemon.run("ps", "--quiet", "--filter=label=wharfinger.release=r3")).split()
    assert len(ids) == 2
    (told, _) = json.loads(await docker_daemon.run("inspect", *ids))
    given: dict[str, Any] = told["Config"]
    host: dict[str, Any] = told["HostConfig"]
    variables = dict(each.split("=", 1) for each in given["Env"])
    assert {name: variables[name] for name in app.variables} == app.variables
    assert variables["KEY_FILE"] == "/run/secrets/KEY_FILE"
    assert variables["WHARFINGER_PORT_VARIABLE"] == "HTTP_PORT"
    assert tuple(given["Cmd"]) == app.command
    assert given["Labels"]["team"] == "a: $b"
    assert given["Labels"]["wharfinger.drain"] == "2"
    assert given["StopTimeout"] == 12
    assert (host["NetworkMode"], host["RestartPolicy"]["Name"]) == ("host", "unless-stopped")
    assert (host["Memory"], host["NanoCpus"]) == (64 << 20, 500_000_000)
    assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}
    inside = await docker_daemon.run("exec", ids[0], "cat", "/run/secrets/KEY_FILE")
    assert inside == "hush"
    assert {(each["Destination"], each["RW"]) for each in told["Mounts"]} == {
        ("/data", True),
        ("/run/secrets/KEY_FILE", False),
    }
