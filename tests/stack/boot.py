"""A machine that boots: Debian with systemd, an engine, etcd and Nginx, in its own namespaces."""

import compileall
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

ON_LAYERS: Final = 'mount -t overlay overlay -o "$1" "$2" && shift 2 && exec "$@"'


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
        layers: folders that its root is made of, but for what was changed.
        log: what its console says.
    """

    def __init__(self, folder: Path, *layers: Path) -> None:
        """Prepares it; nothing runs before `boot`.

        Args:
            folder: for this machine alone, on a disk.
            layers: folders that are laid over Debian, the upper before the lower.
        """
        self._folder = folder
        self.layers = (*layers, debian.debian_root(PACKAGES))
        for name in ("changed", "work", "root", "engine"):
            (folder / name).mkdir(parents=True)
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

    @property
    def root(self) -> Path:
        """Where its files are; before it has booted, only those that differ from the layers."""
        if self._leader is None:
            return self._folder / "changed"
        return Path(f"/proc/{self._leader.pid}/root")

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
        lower = ":".join(map(str, self.layers))
        upper = f"upperdir={self._folder}/changed,workdir={self._folder}/work"
        command = (
            # In a namespace of mounts that ends with it: a run that is killed leaves none behind.
            *("unshare", "--mount", "--propagation=private", "sh", "-c", ON_LAYERS, "sh"),
            *(f"lowerdir={lower},{upper}", f"{self._folder}/root"),
            *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot"),
            *("--private-network", "--console=pipe", "--link-journal=no", "--capability=all"),
            *(
                "--system-call-filter=add_key keyctl bpf @privileged",
                f"--directory={self._folder}/root",
            ),
            f"--bind={self._folder}/engine:/var/lib/docker",  # no overlay may lie upon an overlay
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
        leftovers.end_containers(self._folder / "none.sock", self._group)
        self._process = self._leader = None

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


def programs_layer(environment: Path) -> Path:
    """A layer with a virtual environment where the package puts it, and our programs' names.

    Args:
        environment: has what our programs import, for the same Python that Debian has.
    """
    packages = next((environment / "lib").glob("python3.*/site-packages"))
    names = sorted(path.name for path in packages.glob("*.dist-info"))
    return debian.kept(f"compiled programs {names}", lambda place: _make_programs(packages, place))


def add_packages(machine: Machine, source: Path) -> None:
    """Puts our packages into the machine's virtual environment; they may be changed there."""
    library = next(path for path in machine.layers[0].glob("usr/lib/wharfinger/lib/*"))
    target = machine.root / library.relative_to(machine.layers[0]) / "site-packages"
    for name in ("wharfinger", "registrar", "discovery", "logshipper", "deploy"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source / name, target / name, ignore=ignored)
        # As a package has it: a daemon that may write nowhere cannot compile for its next start.
        compileall.compile_dir(target / name, quiet=2, stripdir=machine.root, workers=1)


def _make_programs(packages: Path, place: Path) -> None:
    version, target = packages.parent.name, place / "usr/lib/wharfinger"
    ignored = shutil.ignore_patterns("__editable__*", *TOOLS)
    shutil.copytree(
        packages, target / "lib" / version / "site-packages", symlinks=True, ignore=ignored
    )
    compileall.compile_dir(target, quiet=2, stripdir=place)
    (target / "bin").mkdir()
    (target / "pyvenv.cfg").write_text("home = /usr/bin\n", encoding="ascii")
    (target / "bin/python3").symlink_to(f"/usr/bin/{version}")
    (place / "usr/bin").mkdir()
    for program, module in PROGRAMS.items():
        script = target / "bin" / program
        text = f"#!/usr/lib/wharfinger/bin/python3\nfrom {module} import main\n\nmain()\n"
        script.write_text(text, encoding="ascii")
        script.chmod(0o755)
        (place / "usr/bin" / program).symlink_to(f"../lib/wharfinger/bin/{program}")


# Of no use to what runs.
TOOLS: Final = ("mypy*", "ruff*", "hypothesis*", "pip*", "*.so.debug")
PROGRAMS: Final = {
    "registrar": "registrar.cli",
    "discovery": "discovery.cli",
    "logshipper": "logshipper.cli",
    "logstore": "logshipper.store.cli",
    "wharfinger": "wharfinger.operator.cli",
}
