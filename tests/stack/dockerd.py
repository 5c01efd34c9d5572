"""Real Docker engines for tests: one for all of them, and one to be broken by a single test."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.images import build_busybox, build_shop


def to_the_end(coroutine: Coroutine[Any, Any, None]) -> None:
    """Runs outside any test's loop, and leaves the thread's own loop as it is."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(coroutine)
    finally:
        loop.close()


@pytest.fixture(scope="session")
def one_docker_daemon() -> Iterator[DockerDaemon]:
    """The engine of the whole run, with the images `busybox` and `shop`; see `docker_daemon`."""
    # pytest's own folders are too deep for the path of a socket.
    folder = Path(tempfile.mkdtemp(prefix="wf-", dir="/tmp"))
    daemon = DockerDaemon(folder / "docker")

    async def start() -> None:
        await daemon.start()
        await build_busybox(daemon, folder / "busybox")
        await build_shop(daemon, folder / "shop")

    try:
        to_the_end(start())
        yield daemon
    finally:
        to_the_end(daemon.stop())
        shutil.rmtree(folder)


@pytest.fixture
async def docker_daemon(one_docker_daemon: DockerDaemon) -> AsyncIterator[DockerDaemon]:
    """An engine that other tests use, too: empty now, emptied afterwards; not to be killed."""
    yield one_docker_daemon
    await one_docker_daemon.remove_containers()


@pytest.fixture
async def docker_folder() -> AsyncIterator[Path]:
    """A folder short enough for sockets; it must hold no mount when the test is over."""
    folder = Path(tempfile.mkdtemp(prefix="wf-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def breakable_docker_daemon(docker_folder: Path) -> AsyncIterator[DockerDaemon]:
    """An engine of this test's own, to be killed or frozen; without live-restore."""
    daemon = DockerDaemon(docker_folder / "docker")
    try:
        await daemon.start()
        await build_busybox(daemon, docker_folder / "busybox")
        yield daemon
    finally:
        await daemon.stop()


@pytest.fixture
async def live_restore_docker_daemon(docker_folder: Path) -> AsyncIterator[DockerDaemon]:
    """An engine of this test's own whose containers stay up while it is down."""
    daemon = DockerDaemon(docker_folder / "docker", live_restore=True)
    try:
        await daemon.start()
        await build_busybox(daemon, docker_folder / "busybox")
        yield daemon
    finally:
        await daemon.stop()
