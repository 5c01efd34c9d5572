"""The layers of deploy/images made of real packages: the same each time, and each does its work."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from deploy.release.images import layers
from deploy.release.render.java import host
from tests.stack.debian import debian_root
from tests.stack.told import Told
from wharfinger.errors import ConfigError, Unavailable
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.process import free_port, until

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(900)]

HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
# A minimal start of a JVM takes seconds of CPU, and others use the machine, too.
PATIENCE_SECONDS = 120


Making = Callable[..., Awaitable[list[str]]]


@pytest.fixture
async def make(docker_daemon: DockerDaemon) -> Making:
    """Makes layers, and those below, unless they are there; gives the ids of their images."""

    async def made(*names: str, anew: bool = False) -> list[str]:
        ids = []
        for recipe in layers.wanted(names):
            tag = f"wharfinger/{recipe.name}"
            if anew or not await exists(docker_daemon, tag):
                root = await asyncio.to_thread(debian_root)
                arguments = ("--root", root) if recipe.name == "debian" else ()
                await layers.make(
                    recipe, "wharfinger", Told(), docker_daemon.url, arguments=arguments
                )
            ids.append(await docker_daemon.run("image", "inspect", "--format={{.Id}}", tag))
        return ids

    return made


async def exists(docker: DockerDaemon, image: str) -> bool:
    with suppress(Unavailable):
        await docker.run("image", "inspect", image)
        return True
    return False


async def run(docker: DockerDaemon, *words: str) -> tuple[str, int]:
    """A container on the host's network with a port of its own, as soon as that answers."""
    port = free_port()
    flags = ("run", "--detach", "--network=host", f"--env=PORT={port}")
    container = await docker.run(*flags, *words)

    async def answers() -> bool:
        with suppress(Unavailable):
            await docker.run("exec", container, "port-answers")
            return True
        return False

    try:
        await until(answers, timeout_seconds=PATIENCE_SECONDS, what="it answers")
    except Unavailable as error:
        error.add_note(await docker.run("logs", container))
        raise
    return container, port


def folder_with(folder: Path, name: str, text: str) -> Path:
    """The folder, into which others than root may look, with a file."""
    (folder / name).write_text(text)
    folder.chmod(0o755)
    return folder


async def got(port: int, path: str = "/") -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}") as response,
    ):
        return response.status, await response.text()


async def test_made_twice_they_are_the_same(make: Making, docker_daemon: DockerDaemon) -> None:
    first = await make("nginx", "small", anew=True)
    second = await make("nginx", "small", anew=True)
    assert len(first) == 3
    assert first == second
    # What it holds is said by the image itself: the lock shows it.
    packages = '{{index .Config.Labels "wharfinger.packages"}}'
    told = await docker_daemon.run("image", "inspect", f"--format={packages}", "wharfinger/nginx")
    assert any(word.startswith("nginx-light=") for word in told.split())


async def test_nginx_serves_as_nobody_and_answers_what_is_under_way(
    make: Making, docker_daemon: DockerDaemon, tmp_path: Path
) -> None:
    await make("nginx")
    page = f"--volume={folder_with(tmp_path, 'index.html', 'a page')}:/srv/www:ro"
    container, port = await run(docker_daemon, *HARDENED, page, "wharfinger/nginx")
    assert await got(port) == (200, "a page")
    assert await got(port, "/healthz") == (200, "ok\n")
    assert (await got(port, "/absent"))[0] == 404
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
    await writer.drain()
    await got(port)  # the half request was read before this one
    stopping = asyncio.create_task(docker_daemon.run("stop", container))
    await until_closed(port)
    writer.write(b"Connection: close\r\n\r\n")
    await writer.drain()
    assert (await reader.read()).endswith(b"a page")
    writer.close()
    await stopping
    state = await docker_daemon.run("inspect", "--format={{.State.ExitCode}}", container)
    assert state == "0"


async def until_closed(port: int) -> None:
    async def closed() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return True
        writer.close()
        return False

    await until(closed, timeout_seconds=PATIENCE_SECONDS, what="nobody listens any more")


async def test_python_serves_as_nobody(make: Making, docker_daemon: DockerDaemon) -> None:
    await make("python")
    command = "exec python3 -m http.server $PORT --directory /usr/share/doc/python3"
    words = ("wharfinger/python", "sh", "-c", command)
    container, port = await run(docker_daemon, *HARDENED, *words)
    assert "Copyright" in (await got(port, "/copyright"))[1]
    assert await docker_daemon.run("exec", container, "id", "-un") == "app"


async def test_tomcat_runs_with_the_hosts_java_and_says_so_without_it(
    make: Making, docker_daemon: DockerDaemon, tmp_path: Path
) -> None:
    await make("tomcat")
    words = ("--rm", "--network=none", "--env=PORT=1", "wharfinger/tomcat")
    with pytest.raises(Unavailable, match="exit code 69: run-java: no Java at"):
        await docker_daemon.run("run", *words)
    try:
        java = host.resolve()
    except ConfigError as error:
        pytest.skip(f"{error}")
    pages = folder_with(tmp_path, "index.jsp", '<% out.print("jsp " + (40 + 2)); %>')
    mounts = [f"--volume={path}:{path}:ro" for path in java.paths]
    page = f"--volume={pages}:/srv/tomcat/webapps/ROOT:ro"
    home = f"--env=JAVA_HOME={java.home}"
    words = (*HARDENED, "--tmpfs=/tmp", page, *mounts, home, "wharfinger/tomcat")
    container, port = await run(docker_daemon, *words)
    assert await got(port) == (200, "jsp 42")
    await docker_daemon.run("exec", container, "port-answers", "/")
    log = await docker_daemon.run("logs", container)
    assert "SEVERE" not in log
