"""`wharfinger exec` against a real engine: what the command said, and how it ended."""

import asyncio
import sys
from pathlib import Path

import pytest

from wharfinger.operator.parts.dockerd import DockerDaemon

pytestmark = pytest.mark.real


async def run(docker: DockerDaemon, *words: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("wharfinger"),
        "exec",
        *words,
        env={"WHARFINGER_DOCKER__URL": docker.url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_it_ends_as_the_command_did(docker_daemon: DockerDaemon) -> None:
    await docker_daemon.run(
        *("run", "--detach", "--network=none", "--label=part=nginx", "--name=front"),
        *("busybox", "sleep", "600"),
    )
    assert await run(docker_daemon, "--label=part=nginx", "--", "echo", "fine") == (0, "fine\n")
    code, said = await run(docker_daemon, "--label=part=nginx", "--", "sh", "-c", "echo no; exit 3")
    assert code == 69
    assert "no\n" in said
    assert "sh in front: exit code 3" in said
    code, said = await run(docker_daemon, "--label=part=other", "--", "true")
    assert code == 69
    assert "no running container" in said
    late = ("--label=part=nginx", "--timeout=0.3", "--", "sleep", "60")
    code, said = await run(docker_daemon, *late)
    assert code == 69
    assert "still runs" in said
