"""A machine that boots: Debian with systemd, an engine, etcd and Nginx, in namespaces of its own."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Self

import psutil

from tests.stack import debian
from wharfinger.operator.parts import leftovers

PACKAGES: Final = (
    "ca-certificates",
    "curl",
    "docker.io",
    "etcd-client",
    "etcd-server",
    "iptables",
    "libnginx-mod-http-lua",
    "nginx-light",
    "python3",
    "systemd",
)
BOOT_SECONDS: Final = 60.0
DEADLINE_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.1
# Where version 1 of the groups is, each hierarchy is shown read-only: the engine's containers could
# not begin. They get a group of their own, which is removed with the machine.
GROUPS_UNIT: Final = """\
[Service]
ExecStartPre=/bin/sh -c 'for each in /sys/fs/cgroup/*; do mount -o remount,bind,rw $each || :; done'
"""


class MachineError(Exception):
    """A program in the machine failed, or something did not come to be in time."""


def until(
    condition: Callable[[], Any], what: str, *, timeout_seconds: float = DEADLINE_SECONDS
) -> Any:
    """Waits until `condition` gives something true, and gives that.

    Raises:
        MachineError: it did not in time; the message says `what`, and what was given last.
    """
    deadline = time.monotonic() + timeout_seconds
    while not (given := condition()):
        if time.monotonic() > deadline:
            raise MachineError(f"waited {timeout_seconds:g} s in vain until {what}; now {given!r}")
        time.sleep(POLL_SECONDS)
    return given


class Machine:
    """One that systemd-nspawn boots, with a network and process ids of its own.

    Attributes:
        root: its root folder, a copy that may be changed.
        log: what its console says.
    """

    def __init__(self, folder: Path) -> None:
        """Makes the root folder; nothing runs before `boot`."""
        self.root = debian.copied(debian.debian_root(PACKAGES), folder / "root")
        self.log = folder / "console.log"
        self._group = f"wharfinger-{folder.name}"
        self._process: subprocess.Popen[bytes] | None = None
        self._leader: psutil.Process | None = None
        self.write("etc/machine-id", "")
        self.write("etc/systemd/system/docker.service.d/groups.conf", GROUPS_UNIT)
        engine = {"bridge": "none", "iptables": False, "cgroup-parent": f"/{self._group}"}
        self.write("etc/docker/daemon.json", json.dumps(engine))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.power_off()

    def write(self, path: str, text: str) -> None:
        """Writes a file of the machine's, with the folders above it."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def boot(self) -> None:
        """Boots it, and waits until all that is enabled has started or failed.

        Raises:
            MachineError: it does not come up.
        """
        command = (
            *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot"),
            *("--private-network", "--console=pipe", "--link-journal=no", "--capability=all"),
            *("--system-call-filter=add_key keyctl bpf @privileged", f"--directory={self.root}"),
        )
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"},
                process_group=0,
            )
        self._leader = until(self._init, "it has a first process", timeout_seconds=BOOT_SECONDS)
        until(self._is_up, "it is up", timeout_seconds=BOOT_SECONDS)

    @property
    def engine_url(self) -> str:
        """Where its Docker answers, seen from outside."""
        assert self._leader is not None
        return f"unix:///proc/{self._leader.pid}/root/run/docker.sock"

    def run(self, *command: str, good: Sequence[int] = (0,), user: str = "") -> str:
        """Runs a program in it; gives what it printed.

        Args:
            command: the program and its arguments.
            good: exit codes that are no failure.
            user: who runs it; root unless given.

        Raises:
            MachineError: it ended with another exit code; with what it said.
        """
        done = self.ran(*command, user=user)
        if done.returncode not in good:
            said = (done.stdout + done.stderr)[-3000:]
            raise MachineError(f"{' '.join(command)}: ended with {done.returncode}\n{said}")
        return done.stdout

    def ran(self, *command: str, user: str = "") -> subprocess.CompletedProcess[str]:
        """Runs a program in it, and gives how it ended."""
        assert self._leader is not None
        inside = ("nsenter", f"--target={self._leader.pid}", "--all")
        as_user = ("runuser", "--user", user, "--") if user else ()
        return subprocess.run(
            [*inside, *as_user, *command],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
            env={"PATH": debian.PATH, "LC_ALL": "C", "HOME": "/root"},
        )

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit (systemctl(1), show)."""
        said = self.run("systemctl", "show", f"--property={','.join(names)}", unit)
        return dict(line.split("=", 1) for line in said.splitlines())

    def journal(self, unit: str) -> str:
        """What a unit has written."""
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}")

    def power_off(self) -> None:
        """Ends it; of what ran in it nothing stays."""
        if self._process is None:
            return
        if self._process.poll() is None:
            # As if the plug were pulled: whatever is mounted and runs goes with the namespaces.
            if self._leader is not None:
                leftovers.end([self._leader])
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(timeout=20)
        leftovers.end_containers(self.root / "none.sock", self._group)
        self._process = None

    def _init(self) -> psutil.Process | None:
        assert self._process is not None
        if self._process.poll() is not None:
            raise MachineError(f"it does not boot: {self.log.read_text(errors='replace')[-2000:]}")
        found = psutil.Process(self._process.pid).children()
        # Before it has become systemd it may still be in our own namespaces.
        booted = [each for each in found if each.name() == "systemd"]
        return booted[0] if booted else None

    def _is_up(self) -> bool:
        said = self.ran("systemctl", "is-system-running").stdout.strip()
        return said in {"running", "degraded"}


def copy_programs(root: Path, source: Path, environment: Path) -> None:
    """Puts our programs where the package puts them: /usr/lib/wharfinger and /usr/bin.

    Args:
        root: a Debian with python3.
        source: the repository.
        environment: of the same Python, with what the programs import.
    """
    target = root / "usr/lib/wharfinger"
    packages = next((environment / "lib").glob("python3.*/site-packages"))
    version = packages.parent.name
    inside = target / "lib" / version / "site-packages"
    shutil.copytree(packages, inside, symlinks=True, ignore=shutil.ignore_patterns("__editable__*"))
    for name in ("wharfinger", "registrar", "discovery", "logshipper", "deploy"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source / name, inside / name, ignore=ignored)
    (target / "bin").mkdir()
    (target / "pyvenv.cfg").write_text("home = /usr/bin\n", encoding="ascii")
    (target / "bin/python3").symlink_to(f"/usr/bin/{version}")
    for program, module in PROGRAMS.items():
        script = target / "bin" / program
        text = f"#!/usr/lib/wharfinger/bin/python3\nfrom {module} import main\n\nmain()\n"
        script.write_text(text, encoding="ascii")
        script.chmod(0o755)
        (root / "usr/bin" / program).symlink_to(f"../lib/wharfinger/bin/{program}")


PROGRAMS: Final = {
    "registrar": "registrar.cli",
    "discovery": "discovery.cli",
    "logshipper": "logshipper.cli",
    "logstore": "logshipper.store.cli",
    "wharfinger": "wharfinger.operator.cli",
}
