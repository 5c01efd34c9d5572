"""The private engine of the demo and the tests: it works, and leaves nothing behind."""

import os
from pathlib import Path

import psutil
import pytest

from wharfinger.errors import Unavailable
from wharfinger.operator.parts import leftovers
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.images import build_busybox

pytestmark = pytest.mark.real

# Not of this engine, and known to be written by a dockerd that is not kept from it.
FOREIGN = (Path("/etc/docker/key.json"), Path("/opt/containerd"))
RUN = ("run", "--detach", "--network=host", "--volume=/anonymous", "busybox", "sleep", "1000")


def traces(daemon: DockerDaemon) -> list[str]:
    """Everything on this machine that still names the engine's folder, or its cgroup."""
    folder = str(daemon.folder)
    found = [f"mount {point}" for point in leftovers.mounts_below(daemon.folder)]
    found.extend(
        f"process {process.info}"
        for process in psutil.process_iter(["cmdline"])
        if folder in " ".join(process.info["cmdline"] or ()) and process.pid != os.getpid()
    )
    found.extend(map(str, Path("/sys/fs/cgroup").glob(f"**/{daemon.cgroup}")))
    kept = [entry for entry in daemon.folder.iterdir() if entry.suffix != ".log"]
    return [*found, *map(str, kept)]


def shim_sockets(daemon: DockerDaemon) -> list[Path]:
    return leftovers.shim_sockets(daemon.folder / "containerd")


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def pids_of(daemon: DockerDaemon) -> list[int]:
    files = Path("/sys/fs/cgroup").glob(f"**/{daemon.cgroup}/*/cgroup.procs")
    return [int(pid) for file in files for pid in file.read_text().split()]


async def started(folder: Path) -> DockerDaemon:
    daemon = DockerDaemon(folder / "docker")
    await daemon.start()
    await build_busybox(daemon, folder / "busybox")
    for _ in range(2):
        await daemon.run(*RUN)
    await daemon.run("run", "--detach", "--network=none", "busybox", "sleep", "1000")
    return daemon


async def test_stop_leaves_nothing_but_logs(docker_folder: Path) -> None:
    foreign = [path for path in FOREIGN if path.exists()]
    daemon = await started(docker_folder)
    sockets = shim_sockets(daemon)
    assert len(sockets) == 3
    assert all(socket.is_socket() for socket in sockets)
    pids = pids_of(daemon)
    assert len(set(pids)) == 3
    assert traces(daemon)
    await daemon.stop()
    assert traces(daemon) == []
    assert not any(socket.exists() for socket in sockets)
    assert not any(runs(pid) for pid in pids)
    assert [path for path in FOREIGN if path.exists()] == foreign
    assert (daemon.folder / "dockerd.log").stat().st_size


@pytest.mark.parametrize("with_containerd", [False, True])
async def test_stop_cleans_up_after_a_kill(docker_folder: Path, with_containerd: bool) -> None:
    daemon = await started(docker_folder)
    sockets = shim_sockets(daemon)
    assert len(sockets) == 3
    assert all(socket.is_socket() for socket in sockets)
    pids = pids_of(daemon)
    await daemon.kill()
    if with_containerd:
        await daemon.containerd.kill()
    assert all(runs(pid) for pid in pids)
    await daemon.stop()
    assert traces(daemon) == []
    assert not any(socket.exists() for socket in sockets)
    assert not any(runs(pid) for pid in pids)


async def test_stop_of_a_frozen_one(docker_folder: Path) -> None:
    daemon = await started(docker_folder)
    daemon.process.freeze()
    await daemon.stop()
    assert traces(daemon) == []


async def test_stop_spares_another_engine(
    docker_folder: Path, breakable_docker_daemon: DockerDaemon
) -> None:
    await breakable_docker_daemon.run(*RUN)
    before = pids_of(breakable_docker_daemon)
    daemon = await started(docker_folder / "other")
    await daemon.kill()
    await daemon.stop()
    assert pids_of(breakable_docker_daemon) == before
    assert await breakable_docker_daemon.run("ps", "--quiet")


async def test_starts_again_after_a_kill(breakable_docker_daemon: DockerDaemon) -> None:
    await breakable_docker_daemon.kill()
    assert not await breakable_docker_daemon.answers()
    await breakable_docker_daemon.start()
    assert "busybox" in await breakable_docker_daemon.run(
        "images", "-q", "--format={{.Repository}}"
    )


async def test_failing_commands_say_why(docker_daemon: DockerDaemon) -> None:
    with pytest.raises(Unavailable, match="No such image: nosuch"):
        await docker_daemon.run("image", "inspect", "nosuch")


async def test_a_folder_too_deep_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="too long"):
        DockerDaemon(tmp_path / ("x" * 100))


async def test_one_that_cannot_start_shows_its_log(docker_folder: Path) -> None:
    daemon = DockerDaemon(docker_folder / "docker", config={"no-such-setting": True})
    try:
        with pytest.raises(Unavailable, match="no-such-setting"):
            await daemon.start()
    finally:
        await daemon.stop()
    assert traces(daemon) == []
