"""One registrar a host: the second is refused whatever its folder, and told who is there."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from registrar.config import Config
from registrar.host import hostlock
from registrar.host.hostlock import HostLock
from wharfinger.errors import Unavailable
from wharfinger.sections import DockerConfig, EtcdConfig, HostConfig


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Names that no other run on this machine uses."""
    return Config(
        host=HostConfig(name="box", state_dir=tmp_path / "state"),
        docker=DockerConfig(url=f"unix://{tmp_path}/docker.sock"),
        etcd=EtcdConfig(endpoints=("10.0.0.1:2379",), prefix=f"/{tmp_path.name}"),
    )


def changed(config: Config, **sections: object) -> Config:
    kept = {name: getattr(config, name) for name in ("host", "docker", "etcd")}
    return Config(**(kept | sections))


async def refused(config: Config) -> str:
    def take() -> None:
        with HostLock().held(config):
            pass

    with pytest.raises(Unavailable) as caught:
        await asyncio.to_thread(take)
    return str(caught.value)


async def test_the_second_is_refused_and_told_who_holds_the_host(config: Config) -> None:
    lock = HostLock()
    with lock.held(config):
        serving = asyncio.create_task(lock.serve())
        await asyncio.sleep(0)
        elsewhere = HostConfig(name="box", state_dir=Path("/elsewhere"))
        told = await refused(changed(config, host=elsewhere))
        assert f"host box is held by a registrar (pid {os.getpid()}, " in told
        assert f"state_dir {config.host.state_dir}, since 20" in told
        assert told.endswith("stop that one first")
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    with HostLock().held(config):
        pass


async def test_one_that_only_begins_is_named_by_the_kernel_alone(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hostlock, "ANSWER_SECONDS", 0.05)
    with HostLock().held(config):
        assert f"(pid {os.getpid()}, " in await refused(config)


async def test_another_path_to_the_same_docker_or_to_the_same_etcd_hides_nothing(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hostlock, "ANSWER_SECONDS", 0.05)
    (tmp_path / "link").symlink_to(tmp_path)
    linked = DockerConfig(url=f"unix://{tmp_path}/link/docker.sock")
    mounted = DockerConfig(url="unix:///tmp/docker.sock")
    other = EtcdConfig(endpoints=("10.9.9.9:2379",))
    with HostLock().held(config):
        await refused(changed(config, docker=linked, etcd=other))
        await refused(changed(config, docker=mounted))


def test_other_hosts_engines_and_clusters_do_not_meet(config: Config) -> None:
    another = changed(config, host=HostConfig(name="box-2"))
    elsewhere = changed(
        config,
        docker=DockerConfig(url="tcp://127.0.0.1:1"),
        etcd=EtcdConfig(endpoints=("10.9.9.9:2379",), prefix=config.etcd.prefix),
    )
    with HostLock().held(config), HostLock().held(another), HostLock().held(elsewhere):
        pass


def test_it_ends_with_its_process(config: Config) -> None:
    name = hostlock.names(config)[0]
    script = (
        "import socket, sys, time; s = socket.socket(socket.AF_UNIX); "
        "s.bind(bytes.fromhex(sys.argv[1])); s.listen(); print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, name.encode().hex()]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holding:
        assert holding.stdout is not None
        assert holding.stdout.readline() == b"held\n"
        with pytest.raises(Unavailable, match=f"pid {holding.pid}, .*time.sleep"):
            HostLock()._take(name, "box")
        holding.kill()
    with HostLock().held(config):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize(
    "deaf",
    [
        "s.listen()",
        "pass",
        "s.listen(0); c = socket.socket(socket.AF_UNIX); c.connect(s.getsockname())",
    ],
)
def test_a_stranger_stops_nobody(
    config: Config, monkeypatch: pytest.MonkeyPatch, deaf: str
) -> None:
    monkeypatch.setattr(hostlock, "ANSWER_SECONDS", 0.1)
    name = hostlock.names(config)[0]
    script = (
        "import os, socket, sys, time; os.setuid(65533); s = socket.socket(socket.AF_UNIX); "
        f"s.bind(bytes.fromhex(sys.argv[1])); {deaf}; print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, name.encode().hex()]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holding:
        assert holding.stdout is not None
        holding.stdout.readline()
        lock = HostLock()
        with lock.held(config):
            assert lock.strangers == [f"user 65533, process {holding.pid}"]
        holding.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_the_one_that_systemd_runs_as_a_user_is_no_stranger(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hostlock, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(hostlock, "SERVICE_USER", "nobody")
    script = (
        "import os, pwd, socket, sys, time; os.setuid(pwd.getpwnam('nobody').pw_uid); "
        "s = socket.socket(socket.AF_UNIX); s.bind(bytes.fromhex(sys.argv[1])); s.listen(); "
        "print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, hostlock.names(config)[0].encode().hex()]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holding:
        assert holding.stdout is not None
        holding.stdout.readline()
        with pytest.raises(Unavailable, match=f"pid {holding.pid}"), HostLock().held(config):
            pass
        holding.kill()


@pytest.mark.parametrize(
    "said", [b"x" * hostlock.ANSWER_BYTES, b'{"more": ' + b"[" * (hostlock.ANSWER_BYTES - 9)]
)
def test_one_who_talks_slowly_or_nonsense_keeps_nobody_waiting(
    config: Config, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(hostlock, "ANSWER_SECONDS", 0.3)
    drips = 0

    def drip() -> None:
        nonlocal drips
        connection = listening.accept()[0]
        with connection, contextlib.suppress(OSError):
            if said.startswith(b"{"):
                connection.sendall(said)
            for byte in said:
                connection.sendall(bytes([byte]))
                drips += 1
                time.sleep(0.005)

    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(hostlock.names(config)[0])
        listening.listen()
        talking = threading.Thread(target=drip)
        talking.start()
        with pytest.raises(Unavailable, match="is held by"), HostLock().held(config):
            pass
        talking.join()
    assert drips < 200


def test_a_hostile_answer_drives_no_terminal(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = json.dumps({"pid": 1, "state_dir": "\x1b[2J" + "x" * 3_000, "since": "now"}).encode()
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(hostlock.names(config)[1])
        listening.listen()
        monkeypatch.setattr(
            hostlock,
            "_holder",
            lambda _name: (0, 0, hostlock.msgspec.json.decode(answer, type=hostlock.Told)),
        )
        with pytest.raises(Unavailable) as caught, HostLock().held(config):
            pass
    assert "\x1b" not in str(caught.value)
    assert "pid 1 of another pid namespace" in str(caught.value)
    assert len(str(caught.value)) < 1_000
