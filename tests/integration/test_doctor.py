"""`wharfinger doctor` on real parts: each finding provoked, none hidden by another."""

import asyncio
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.stack.etcd import config_of
from tests.stack.registrar import IP, RegistrarStack, _give_back
from wharfinger.errors import Exit
from wharfinger.etcd import Etcd
from wharfinger.operator.doctor import cluster, diagnosis, machine
from wharfinger.operator.doctor.diagnosis import Clock, of_pace
from wharfinger.operator.doctor.visit import doctor
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.process import free_port
from wharfinger.sections import DockerConfig

pytestmark = pytest.mark.real


@pytest.fixture(autouse=True)
def _good_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    # The clock and the pace of this one are nobody's fault here.
    monkeypatch.setattr(machine, "clock", lambda: Clock(True, 0.0))
    for share in ("READ_SHARE", "WORST_READ_SHARE", "WRITE_SHARE"):
        monkeypatch.setattr(diagnosis, share, 0.1)


async def found(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    """What the doctor finds, by where; several at one place are told together."""
    code = await doctor(path, as_json=True)
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert code is (Exit.UNAVAILABLE if findings else Exit.OK)
    several: dict[str, dict[str, str]] = {}
    for each in findings:
        held = several.setdefault(each["where"], {"problem": "", "fix": ""})
        for part in held:
            held[part] = " | ".join(filter(None, [held[part], each[part]]))
    return several


async def test_a_host_that_is_well(
    registrar_stack: RegistrarStack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = registrar_stack
    await stack.run_shop()
    await stack.until_keys(1)
    assert await found(stack.config, capsys) == {}
    assert await doctor(stack.config, as_json=False) is Exit.OK
    assert capsys.readouterr().out == "nothing wrong found\n"


async def test_an_address_an_image_and_a_reservation_that_are_no_good(
    registrar_stack: RegistrarStack,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack = registrar_stack
    monkeypatch.setattr(diagnosis, "PATIENCE_SECONDS", 0.0)
    await stack.run_shop(name="good")
    (key,) = await stack.until_keys(1)
    plain = await stack.docker.run(
        *("run", "--detach", "--network=host", "--label=wharfinger.app=x"),
        *("--label=wharfinger.env=y", "--name=plain", "busybox", "sleep", "1000"),
    )
    await stack.until_state(plain.strip(), "waiting")
    silent = await stack.docker.run(
        *("run", "--detach", "--network=host", "--label=wharfinger.app=x", "--env=PORT=9"),
        *("--label=wharfinger.env=z", "--name=silent", "busybox", "sleep", "1000"),
    )
    await stack.until_state(silent.strip(), "waiting")
    await stack.etcd.put("/wharfinger/hosts/pier/discovery", b"{}")
    _give_back(stack.reserved)
    several = await found(stack.config, capsys)
    assert several.keys() == {key, "container plain", "registrar.port_range"}
    assert "loopback" in several[key]["problem"]
    assert "with-port" in several["container plain"]["fix"]
    assert "not reserved" in several["registrar.port_range"]["problem"]
    assert await doctor(stack.config, as_json=False) is Exit.UNAVAILABLE
    title, *rows = capsys.readouterr().out.splitlines()
    assert title.split() == ["FINDING", "WHERE", "FIX"]
    assert len(rows) == 3


async def test_a_lease_that_flaps_and_a_daemon_that_is_away(
    registrar_stack: RegistrarStack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = registrar_stack
    for losses in (1, 2):
        await stack.etcd.revoke(int((await stack.ask("/status"))["lease"], 16))
        lost = losses

        def counted(status: dict[str, Any], lost: int = lost) -> bool:
            return bool(status["leases_lost_last_hour"] == lost)

        await stack.until_status(counted, f"{losses} leases are lost")
    assert "wharfinger_registrar_leases_lost_total 2.0" in await stack.ask_text("/metrics")
    several = await found(stack.config, capsys)
    assert "lost 2 times" in several["etcd lease"]["problem"]
    await stack.process.kill()
    several = await found(stack.config, capsys)
    assert "Connection refused" in several["registrar"]["problem"]
    assert several["registrar"]["fix"].startswith("start it")


async def test_one_fault_hides_no_other(
    folder: Path, etcd_server: EtcdServer, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "state/registrar").mkdir(parents=True)
    dead, silent = free_port(), free_port()
    path = folder / "wharfinger.toml"
    path.write_text(
        f'[host]\nname = "h1"\nip = "10.0.0.5"\nstate_dir = "{folder}/state"\n'
        f'[etcd]\nendpoints = ["{etcd_server.endpoint}", "{IP}:{dead}"]\n'
        f'[docker]\nurl = "unix://{folder}/none.sock"\n'
        f'[registrar]\nlisten = "{IP}:{silent}"\nport_range = "40000-40100"\n'
    )
    several = await found(path, capsys)
    assert several.keys() == {"registrar", "docker.url", "registrar.port_range", "etcd.endpoints"}
    assert "no such socket" in several["docker.url"]["problem"]
    assert "is dockerd running?" in several["docker.url"]["fix"]
    assert "overlaps" in several["registrar.port_range"]["problem"]
    assert f"{dead}: nothing listens there" in several["etcd.endpoints"]["problem"]
    assert several["etcd.endpoints"]["fix"]
    # A mistake in the file stands beside what can be seen without it.
    path.write_text(path.read_text() + "port_rang = 7\n")
    several = await found(path, capsys)
    assert "did you mean port_range?" in several["registrar.port_rang"]["fix"]
    assert "docker.url" in several


async def test_an_engine_that_answers_nonsense(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Not before it was asked, or the question could meet a connection that is cut already.
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    path = folder / "wharfinger.toml"
    path.write_text(f'[host]\nstate_dir = "{folder}"\n[docker]\nurl = "unix://{folder}/x"\n')
    async with await asyncio.start_unix_server(nonsense, folder / "x"):
        several = await found(path, capsys)
    assert several["docker.url"]["problem"].startswith(f"Docker at unix://{folder}/x: ")
    assert "(info)" in several["docker.url"]["problem"]
    assert several["docker.url"]["fix"] == "look at its log: journalctl -u docker"


async def test_a_file_that_is_none_and_a_host_where_nothing_ran(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "wharfinger.toml"
    path.write_text(f'[host]\nstate_dir = "{folder}"\n[docker]\nurl = "unix://{folder}/x"\n')
    several = await found(path, capsys)
    assert several["host.state_dir"]["problem"] == "no daemon has run here yet"
    path.write_text("[host\n")
    several = await found(path, capsys)
    assert any(str(path) in where for where in several)


def test_no_permission_on_the_docker_socket(folder: Path) -> None:
    path = folder / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        path.chmod(0o600)
        folder.chmod(0o755)
        ours, theirs = os.pipe()
        if not (pid := os.fork()):
            try:
                os.setgroups([])
                os.setgid(65_534)
                os.setuid(65_534)
                findings, _ = asyncio.run(machine.docker(DockerConfig(url=f"unix://{path}")))
                os.write(theirs, f"{findings[0].problem}|{findings[0].fix}".encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        problem, fix = os.read(ours, 10_000).decode().split("|")
        os.close(ours)
        os.close(theirs)
    assert problem.endswith("permission denied")
    assert fix.startswith("run as root, or as a user in the socket's group")


async def test_the_pace_of_etcd_is_measured_and_leaves_nothing(etcd_server: EtcdServer) -> None:
    async with Etcd(config_of(etcd_server)) as etcd:
        pace = await cluster.measured(etcd, "h1")
        assert len(pace.reads) == 20
        assert not (await etcd.list("/")).items
    # A lease so short that no etcd would do.
    assert len(list(of_pace(pace, 0))) == 3
    assert list(of_pace(pace, 3_600)) == []


def test_the_clock_of_this_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    clock = machine.clock()
    assert clock is not None
    assert clock.error_seconds >= 0.0
