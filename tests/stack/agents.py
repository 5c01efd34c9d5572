"""The agents in containers, started by the very lines of deploy/images/agent/README.md."""

import asyncio
import json
import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.stack.debian import debian_root
from tests.stack.package import EDGE, NEEDED, ROOT
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.process import until

AGENT: Final = ROOT / "deploy" / "images" / "agent"
NAMES: Final = ("logstore", "nginx", "registrar", "discovery", "logshipper")
DAEMONS: Final = ("logstore", "registrar", "discovery", "logshipper")
_LINE: Final = re.compile(r"^docker run (?:.*\\\n)*.*$", re.MULTILINE)


def lines() -> dict[str, list[str]]:
    """What follows `docker run` in the README, by the container's name."""
    text = (AGENT / "README.md").read_text(encoding="utf-8")
    found = [shlex.split(line.replace("\\\n", " "))[2:] for line in _LINE.findall(text)]
    return {words[words.index("--name") + 1].removeprefix("wharfinger-"): words for words in found}


async def build(docker: DockerDaemon, package: Path) -> None:
    """Builds both images, from Debian roots that were made before."""
    environment = {
        **os.environ,
        "DOCKER": f"/usr/bin/docker -H {docker.url}",
        "DOCKER_BUILDKIT": "0",
    }
    for tag, packages in (("wharfinger-base", NEEDED), ("wharfinger-edge-base", NEEDED + EDGE)):
        root = await asyncio.to_thread(debian_root, packages)
        await _run([AGENT / "base", f"{tag}:bookworm", "--root", root], environment)
    await _run([AGENT / "build", package], environment)


async def _run(words: list[str | Path], environment: Mapping[str, str]) -> None:
    done = await asyncio.to_thread(
        subprocess.run, words, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}"


@dataclass(slots=True)
class Agents:
    """The containers of one host.

    Attributes:
        docker: the engine that they run on, and watch.
        folder: stands for the root of the host that they are given parts of.
        images: other ones by those of the README.
        without: capabilities that are taken out of the README's lines.
    """

    docker: DockerDaemon
    folder: Path
    images: dict[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()

    def words(self, name: str) -> list[str]:
        """The README's line for this host, checked for health more often."""
        words = []
        for word in lines()[name]:
            source, colon, rest = word.partition(":")
            if word.startswith("/var/run/docker.sock:"):
                words.append(f"{self.docker.socket}:/var/run/docker.sock")
            elif source == "/var/lib/docker":
                words.append(f"{self.docker.data_root}:{self.docker.data_root}:ro")
            elif colon and source.startswith("/"):
                words.append(f"{self.folder}{source}:{rest}")
            else:
                words.append(self.images.get(word, word))
        for capability in self.without:
            at = words.index(capability)
            del words[at - 1 : at + 1]
        if "--no-healthcheck" in words:
            return words
        often = ("--health-interval=4s", "--health-start-period=4s", "--health-timeout=60s")
        return [words[0], *often, *words[1:]]

    async def start(self, name: str) -> None:
        """Starts one, in the place of one that was removed or never was."""
        await self.docker.run("run", *self.words(name))

    async def replace(self, name: str) -> None:
        """Stops it as an operator does, removes it, and starts it anew."""
        await self.docker.run("stop", "--time=30", f"wharfinger-{name}")
        await self.docker.run("rm", f"wharfinger-{name}")
        await self.start(name)

    async def state(self, name: str) -> dict[str, Any]:
        """Docker's State of it."""
        told = await self.docker.run("inspect", "--format={{json .State}}", f"wharfinger-{name}")
        state: dict[str, Any] = json.loads(told)
        return state

    async def until_health(self, name: str, wanted: str) -> str:
        """Waits until Docker says so; gives what the last check said."""
        said = ""

        async def reached() -> bool:
            nonlocal said
            health = (await self.state(name))["Health"]
            said = health["Log"][-1]["Output"] if health["Log"] else ""
            return bool(health["Status"] == wanted)

        try:
            await until(reached, timeout_seconds=180, what=f"{name} is {wanted}")
        except Exception as error:
            error.add_note(f"{said}\n{await self.logs(name)}")
            raise
        return said

    async def logs(self, name: str) -> str:
        """The end of what it wrote, from Docker's own file: it is on stderr."""
        told = await self.docker.run("inspect", "--format={{.LogPath}}", f"wharfinger-{name}")
        text = await asyncio.to_thread(Path(told.strip()).read_bytes)
        return text.decode(errors="replace")[-4000:]
