"""The units in a real boot: a whole host with the rights they give, its faults, an upgrade."""

import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.stack import boot
from tests.stack.boot import Machine, until
from tests.stack.dockerd import to_the_end
from wharfinger.operator.parts.dockerd import DockerCommand
from wharfinger.operator.parts.images import build_shop

# A first one installs packages before it boots.
pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(600)]

ROOT: Final = Path(__file__).parents[2]
UNITS: Final = ROOT / "deploy/systemd"
PORTS: Final = {"registrar": 7201, "discovery": 7202, "logshipper": 7203, "logstore": 7280}
SETTINGS: Final = (
    "host.control_group=wharfinger",
    "registrar.port_range=20000-20099",
    "registrar.lease_ttl_seconds=30",
)
SETTINGS_LEFT: Final = ("/etc/wharfinger", "/etc/wharfinger/wharfinger.toml")
CONFIG_FILE: Final = "etc/wharfinger/wharfinger.toml"
UNIT_NAMES: Final = tuple(f"wharfinger-{daemon}.service" for daemon in PORTS)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A host with all roles, booted, with an application that Nginx serves."""
    folder = Path(tempfile.mkdtemp(prefix="wf-", dir="/tmp"))
    try:
        with Machine(folder, boot.programs_layer(Path(sys.prefix))) as made:
            boot.add_packages(made, ROOT)
            made.boot()
            until(lambda: made.ran("docker", "info").returncode == 0, "Docker answers")
            install(made)
            docker = DockerCommand(made.engine_url, folder / "cli")

            async def build() -> None:
                await build_shop(docker, folder / "shop")

            to_the_end(build())
            run_shop(made, "shop")
            until(lambda: served(made), "Nginx serves it")
            yield made
    finally:
        shutil.rmtree(folder)


def install(machine: Machine) -> None:
    # A configuration may name no group that there is not, and ours is made with the users.
    machine.run("groupadd", "--system", "wharfinger")
    flags = [word for setting in SETTINGS for word in ("--set", setting)]
    place = ("--name=box", "--address=127.0.0.1", "--no-input")
    machine.run("wharfinger", "install", "--role=all", *place, *flags)


def run_shop(machine: Machine, name: str) -> None:
    labels = ("wharfinger.app=shop", "wharfinger.env=prod", "wharfinger.host=shop.example.com")
    flags = [word for label in labels for word in ("--label", label)]
    machine.run("docker", "run", "--detach", "--network=host", f"--name={name}", *flags, "shop")


def served(machine: Machine) -> str:
    """What the application says through Nginx; empty when it does not."""
    done = machine.ran("curl", "-sf", "-m10", "-H", "Host: shop.example.com", "http://127.0.0.1/")
    # Debian's own page answers for hosts that Nginx does not know.
    return done.stdout if done.returncode == 0 and "html" not in done.stdout else ""


def asked(machine: Machine, daemon: str, target: str) -> Any:
    done = machine.ran("curl", "-s", "-m5", f"http://127.0.0.1:{PORTS[daemon]}{target}")
    return json.loads(done.stdout) if done.stdout else None


def healthy(machine: Machine, daemon: str) -> bool:
    told = machine.ran("curl", "-s", "-m5", "-f", f"http://127.0.0.1:{PORTS[daemon]}/healthz")
    return told.returncode == 0


def keys(machine: Machine) -> dict[str, int]:
    """The service's keys, and the revision at which each was made."""
    said = machine.run("etcdctl", "get", "/shop_prod/", "--prefix", "--write-out=json")
    kvs = json.loads(said).get("kvs", [])
    return {each["key"]: each["create_revision"] for each in kvs}


def pid(machine: Machine, daemon: str) -> int:
    return int(machine.show(f"wharfinger-{daemon}.service", "MainPID")["MainPID"])


def signal(machine: Machine, name: str, pids: Iterable[int]) -> None:
    # By the shell: a small Debian has no program of that name.
    machine.run("sh", "-c", f"kill -{name} {' '.join(map(str, pids))}")


def restart(machine: Machine) -> None:
    """All four, at once; comes back when all are well."""
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", *UNIT_NAMES)
    for daemon in PORTS:
        until(is_back(machine, daemon, 0), f"{daemon} is well")


def is_back(machine: Machine, daemon: str, before: int) -> Callable[[], bool]:
    """Whether another process of the daemon is ready and well."""

    def back() -> bool:
        told = machine.show(f"wharfinger-{daemon}.service", "ActiveState", "MainPID")
        again = told["ActiveState"] == "active" and int(told["MainPID"]) not in {0, before}
        return again and healthy(machine, daemon)

    return back


@pytest.mark.parametrize("daemon", PORTS)
def test_each_is_ready_and_well_with_no_more_rights_than_its_unit_gives(
    machine: Machine, daemon: str
) -> None:
    until(lambda: healthy(machine, daemon), f"{daemon} is well")
    unit = machine.show(f"wharfinger-{daemon}.service", "ActiveState", "Type", "NRestarts")
    assert unit == {"ActiveState": "active", "Type": "notify", "NRestarts": "0"}
    status = machine.run("cat", f"/proc/{pid(machine, daemon)}/status")
    told = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert told["Uid"].split()[0] != "0"
    assert told["NoNewPrivs"] == "1"
    assert told["Seccomp"] == "2"
    text = (UNITS / f"wharfinger-{daemon}.service").read_text()
    given = re.search(r"^AmbientCapabilities=(.+)$", text, re.MULTILINE)
    count = len(given[1].split()) if given else 0
    assert int(told["CapEff"], 16).bit_count() == count
    assert told["CapEff"] == told["CapBnd"]
    journal = machine.journal(f"wharfinger-{daemon}.service")
    assert "rights missing" not in journal
    assert "level=error" not in journal


def test_a_container_is_registered_and_served_and_its_lines_are_found(machine: Machine) -> None:
    assert served(machine)
    assert list(keys(machine)) != []
    machine.run("docker", "exec", "shop", "sh", "-c", "echo wharf-word-1 >/proc/1/fd/1")

    def found() -> Any:
        hits = asked(machine, "logstore", "/api/search?q=wharf-word-1")["hits"]
        return [hit for hit in hits if (hit["app"], hit["env"]) == ("shop", "prod")]

    until(found, "its line is in the store")
    assert asked(machine, "discovery", "/status")["mode"] == "push"
    reserved = machine.run("cat", "/proc/sys/net/ipv4/ip_local_reserved_ports")
    assert reserved.strip() == "20000-20099"


def test_a_container_of_another_user_is_told_its_port_and_seen_to_listen(machine: Machine) -> None:
    labels = ("--label=wharfinger.app=other", "--label=wharfinger.env=prod")
    machine.run(
        *("docker", "run", "--detach", "--network=host", "--name=other", "--user=1000"),
        *("--read-only", "--cap-drop=ALL", *labels, "shop"),
    )
    try:
        until(lambda: machine.run("etcdctl", "get", "/other_prod/", "--prefix"), "it is registered")
    finally:
        machine.run("docker", "rm", "--force", "other")


def test_files_inside_a_container_are_shipped(machine: Machine) -> None:
    script = "while :; do echo wharf-word-2 >>/tmp/app.log; sleep 1; done"
    labels = ("wharfinger.app=files", "wharfinger.env=prod", "wharfinger.logs.files=/tmp/app.log")
    flags = [word for label in labels for word in ("--label", label)]
    command = ("--entrypoint=/bin/sh", "--user=1000", "shop", "-c", script)
    machine.run("docker", "run", "--detach", "--network=none", "--name=files", *flags, *command)
    try:
        until(
            lambda: asked(machine, "logstore", "/api/search?q=wharf-word-2")["hits"],
            "a line of its file is in the store",
        )
    finally:
        machine.run("docker", "rm", "--force", "files")


def test_root_and_the_group_may_drain_and_nobody_else(machine: Machine) -> None:
    for user, groups in (("alice", "wharfinger"), ("mallory", "")):
        # A first try that failed may have made them.
        add = f"id {user} || useradd --groups '{groups}' {user}"
        machine.run("sh", "-c", add)
    machine.run("wharfinger", "drain", "shop", user="alice")
    until(lambda: not keys(machine), "it is out of etcd")
    machine.run("wharfinger", "undrain", "shop")
    until(lambda: served(machine), "it is served again")
    refused = machine.ran("wharfinger", "drain", "shop", user="mallory")
    assert refused.returncode not in {0, 70}, refused
    assert keys(machine)


def test_those_that_are_killed_come_back_by_themselves(machine: Machine) -> None:
    before, held = {daemon: pid(machine, daemon) for daemon in PORTS}, keys(machine)
    signal(machine, "KILL", before.values())
    for daemon in PORTS:
        until(is_back(machine, daemon, before[daemon]), f"{daemon} is back")
    assert keys(machine) == held  # made at the same revisions: nothing was taken out between
    assert served(machine)


def test_those_whose_loops_hang_are_ended_by_the_watchdog(machine: Machine) -> None:
    for daemon in PORTS:
        folder = f"/run/systemd/system/wharfinger-{daemon}.service.d"
        script = f"mkdir -p {folder} && printf '[Service]\\nWatchdogSec=5\\n' >{folder}/fast.conf"
        machine.run("sh", "-c", script)
    restart(machine)
    before = {daemon: pid(machine, daemon) for daemon in PORTS}
    signal(machine, "STOP", before.values())
    for daemon in PORTS:
        until(is_back(machine, daemon, before[daemon]), f"{daemon} is back")
        journal = machine.journal(f"wharfinger-{daemon}.service")
        assert "Watchdog timeout" in journal
        assert "Fatal Python error: Aborted" in journal  # and where it stood
    machine.run("sh", "-c", "rm /run/systemd/system/wharfinger-*.service.d/fast.conf")
    restart(machine)


def test_a_bad_configuration_is_refused_and_the_old_one_serves_on(machine: Machine) -> None:
    before = {daemon: pid(machine, daemon) for daemon in PORTS}
    names = ("ActiveState", "SubState", "ExecMainStatus", "NRestarts")
    faults = "".join(f"[{daemon}.nonsense]\n" for daemon in PORTS)
    config = (machine.root / CONFIG_FILE).read_text()
    machine.write(CONFIG_FILE, f"{config}\n{faults}")
    try:
        for daemon in PORTS:
            unit = f"wharfinger-{daemon}.service"
            assert machine.ran("systemctl", "reload", unit).returncode != 0
            assert pid(machine, daemon) == before[daemon]
            assert healthy(machine, daemon)
            assert f"{daemon}.nonsense" in machine.journal(unit)
        assert machine.ran("systemctl", "restart", *UNIT_NAMES).returncode != 0
        failed = {unit: machine.show(unit, *names) for unit in UNIT_NAMES}
        for told in failed.values():
            assert (told["ActiveState"], told["ExecMainStatus"]) == ("failed", "78")
        time.sleep(3)  # longer than RestartSec=
        assert {unit: machine.show(unit, *names) for unit in UNIT_NAMES} == failed
    finally:
        machine.write(CONFIG_FILE, config)
        restart(machine)
    machine.run("systemctl", "reload", *UNIT_NAMES)
    for daemon in PORTS:
        until(lambda daemon=daemon: healthy(machine, daemon), f"{daemon} is well")


def test_with_etcd_away_a_start_waits_and_a_reload_works(machine: Machine) -> None:
    machine.run("systemctl", "stop", "etcd.service")
    try:
        machine.run("systemctl", "reload", "wharfinger-registrar.service")
        for daemon in ("registrar", "discovery"):
            unit = f"wharfinger-{daemon}.service"
            machine.run("systemctl", "restart", "--no-block", unit)

            def waits(unit: str = unit) -> bool:
                told = machine.show(unit, "ActiveState", "StatusText")
                return told["ActiveState"] == "activating" and "etcd" in told["StatusText"]

            until(waits, f"{daemon} waits for etcd")
    finally:
        machine.run("systemctl", "start", "etcd.service")
    for daemon in ("registrar", "discovery"):
        until(is_back(machine, daemon, 0), f"{daemon} is well")
    until(lambda: served(machine), "it is served again")


def test_an_upgrade_loses_no_key_and_is_served_on(machine: Machine) -> None:
    held, inside = keys(machine), "usr/lib/wharfinger/lib/python3.11/site-packages/wharfinger"
    package = next(machine.root.glob(f"{inside}/__init__.py"))
    text = package.read_text()
    package.write_text(re.sub(r'__version__ = ".*"', '__version__ = "99.0"', text))
    for daemon in ("logstore", "logshipper", "registrar", "discovery"):
        machine.run("systemctl", "restart", f"wharfinger-{daemon}.service")
        assert asked(machine, daemon, "/status")["version"] == "99.0"
        assert keys(machine) == held
        assert served(machine)


def test_all_stop_in_order_and_what_runs_in_containers_runs_on(machine: Machine) -> None:
    held = keys(machine)
    machine.run("systemctl", "stop", "wharfinger.target")
    try:
        ended = {}
        for daemon in PORTS:
            unit = f"wharfinger-{daemon}.service"

            def stopped(unit: str = unit) -> bool:
                return machine.show(unit, "ActiveState")["ActiveState"] == "inactive"

            until(stopped, f"{daemon} has stopped")
            told = machine.show(unit, "Result", "ExecMainExitTimestampMonotonic")
            assert told["Result"] == "success"
            ended[daemon] = int(told["ExecMainExitTimestampMonotonic"])
        # Its last lines were taken before the store went.
        assert ended["logshipper"] <= ended["logstore"]
        assert served(machine)
        assert machine.run("docker", "inspect", "--format={{.State.Running}}", "shop") == "true\n"
        left = machine.run("ls", "/run/wharfinger").split()
        assert left == ["nginx", "registrar", "registrar.sock"]
        assert machine.run("ls", "/run/wharfinger/registrar").split() == ["registrar.lock"]
    finally:
        machine.run("systemctl", "start", "wharfinger.target")
    for daemon in PORTS:
        until(is_back(machine, daemon, 0), f"{daemon} is well")
    assert keys(machine) == held


def test_the_runtime_has_its_warm_process_under_its_drop_in(machine: Machine) -> None:
    folder = "/etc/systemd/system/wharfinger-registrar.service.d"
    machine.write(f"{folder[1:]}/runtime.conf", (UNITS / "runtime.conf").read_text())
    restart(machine)
    machine.run("wharfinger", "install", "--runtime")
    # Its own reload calls a program that a small Debian has not.
    machine.run("systemctl", "kill", "--signal=HUP", "--kill-who=main", "docker.service")
    labels = ("--label=wharfinger.app=warm", "--label=wharfinger.env=prod")
    try:
        until(lambda: "wharfinger" in machine.run("docker", "info"), "Docker knows the runtime")
        said = machine.run(
            *("docker", "run", "--rm", "--network=host", "--runtime=wharfinger", *labels),
            *("--entrypoint=/bin/sh", "shop", "-c", "echo port $PORT"),
        )
        assert re.fullmatch(r"port 200[0-9]{2}\n", said)

        def done() -> bool:
            told = machine.run("curl", "-s", f"http://127.0.0.1:{PORTS['registrar']}/metrics")
            return 'warm_starts_total{outcome="done"} 1.0' in told

        until(done, "the warm process says that it did it")
    finally:
        machine.run("wharfinger", "uninstall", "--runtime", "--force", good=(0, 75))
        # Docker knows the runtime until it is restarted, which would end the application.
        machine.run("rm", "-r", folder, "/usr/local/lib/wharfinger")
        machine.run("systemctl", "daemon-reload")


def test_an_uninstall_leaves_data_and_no_other_trace(machine: Machine) -> None:
    machine.run("wharfinger", "uninstall")
    assert machine.run("docker", "inspect", "--format={{.State.Running}}", "shop") == "true\n"
    listed = machine.run("systemctl", "list-unit-files", "--no-legend", "wharfinger*", good=(0, 1))
    assert listed == ""
    script = "find /etc /run /usr/local -xdev -iname '*wharfinger*' ! -path '/run/systemd/*'"
    left = set(machine.run("sh", "-c", script).split())
    # Nginx goes on serving what was known last, and needs the folder of its socket for that.
    nginx = {"/etc/nginx/conf.d/wharfinger.conf", "/etc/tmpfiles.d/wharfinger.conf"}
    assert left <= {*nginx, "/run/wharfinger", *SETTINGS_LEFT}
    assert served(machine)
    machine.run("rm", "-rf", "/run/wharfinger")  # as a boot has it
    machine.run("systemd-tmpfiles", "--create")
    machine.run("nginx", "-t")
    kept = machine.run("ls", "/var/lib/wharfinger").split()
    assert set(kept) >= {"registrar", "logshipper", "logstore"}
    # Nobody is served by what is gone, once the workers that knew it have ended.
    assert "run nginx -t && nginx -s reload" in machine.run("wharfinger", "uninstall", "--purge")
    until(lambda: not served(machine), "Nginx has forgotten it")
