"""The runtime in front of a runc that only notes how it was called, and a container's files."""

import json
import os
import py_compile
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from registrar.porttable import Assignments, PortRange, Table, decode, encode
from registrar.sockets import is_free

SOURCE: Final = Path(__file__).parents[2] / "registrar" / "runtime"
# Below the ranges of the registrars that other tests start, and nobody's now.
FIRST: Final = next(
    first
    for first in iter(lambda: random.randrange(10_000, 20_000, 10), None)
    if all(map(is_free, range(first, first + 10)))
)
WITHIN: Final = PortRange(FIRST, FIRST + 9)
ID: Final = "c0ffee" + "0" * 58
OTHER: Final = "d" * 64
LABELS: Final = {"wharfinger.app": "shop", "wharfinger.env": "prod"}
# The shapes that Docker 20.10 writes: env in the middle, and strings of the user's own around it.
PROCESS: Final = {"user": {"uid": 0}, "args": ["sh"], "env": ["PATH=/bin"], "cwd": "/"}


class RuntimeHost:
    """Everything that `wharfinger-runtime` finds on a host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shell: list[str] = []
        self.lib, self.bundle, self.data_root = (folder / each for each in ("lib", "b", "data"))
        for each in (self.lib, self.bundle, self.data_root / "containers" / ID):
            each.mkdir(parents=True)
        for each in ("wharfinger-runtime", "create.py", "stop.py"):
            shutil.copy(SOURCE / each, self.lib)
        for each in ("create", "stop"):
            py_compile.compile(str(self.lib / f"{each}.py"), cfile=str(self.lib / f"{each}.pyc"))
        self.runc = self.program("runc", f'printf "%s\\n" "$@" >{folder}/called\n')
        self.table = folder / "ports"
        self.socket = folder / "registrar.sock"
        self.kept = self.data_root / "containers" / ID / "config.v2.json"
        self.settings: dict[str, object] = {
            "runc": self.runc,
            "python": os.path.realpath(sys.executable),
            "table": self.table,
            "data_root": self.data_root,
            "socket": self.socket,
            "log": folder / "log",
            "warm": folder / "create.fifo",
        }
        self.write_settings()
        self.write_table(Table(WITHIN))
        self.write_bundle()
        self.label(LABELS)

    @property
    def owner(self) -> Path:
        """The file that says which process is asked first."""
        return self.folder / "create.fifo.owner"

    @contextmanager
    def warm(self) -> Iterator[subprocess.Popen[bytes]]:
        """The registrar's process that is asked first, for as long as the block lasts."""
        words = [sys.executable, "-P", "-m", "registrar.runtime.warm", self.folder / "create.fifo"]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            try:
                self.until_announced(process)
                yield process
            finally:
                process.send_signal(signal.SIGCONT)
                assert process.stdin is not None
                process.stdin.close()

    def until_announced(self, process: subprocess.Popen[bytes]) -> None:
        """Waits until a process is the one that is asked."""
        give_up_at = time.monotonic() + 30
        while not (self.owner.exists() and self.owner.read_text().startswith(f"{process.pid} ")):
            assert time.monotonic() < give_up_at, f"{process.pid} is not announced"
            time.sleep(0.01)

    def refuse_cold(self) -> Path:
        """Has the interpreter leave a mark and do nothing; gives where."""
        mark = self.folder / "cold"
        self.write_settings(python=self.program("python", f"touch {mark}\n"))
        return mark

    def program(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}")
        path.chmod(0o755)
        return path

    def write_settings(self, **changed: object) -> None:
        self.settings |= changed
        lines = (f"{key}={value}\n" for key, value in self.settings.items())
        (self.lib / "settings").write_text("".join(lines))

    def write_table(self, table: Table) -> None:
        self.table.write_bytes(encode(table))

    @property
    def assignments(self) -> Assignments:
        return decode(self.table.read_bytes()).assignments

    def write_bundle(self, network: Mapping[str, str] | None = None, **process: Any) -> None:
        own = network or {"type": "network", "path": str(self.network("self"))}
        namespaces = [{"type": "mount"}, own, {"type": "pid"}]
        self.config = json.dumps(
            {
                "ociVersion": "1.0.2-dev",
                "hostname": '"process":{"env":["',
                "process": {**PROCESS, **process},
                "linux": {"namespaces": namespaces},
            }
        )
        (self.bundle / "config.json").write_text(self.config)

    def network(self, process: str | int) -> Path:
        """The network of a process, by a name as Docker has one for that of the host."""
        path = self.folder / f"network-{process}"
        if not path.is_symlink():
            path.symlink_to(f"/proc/{process}/ns/net")
        return path

    def label(self, labels: Any, env: Any = None) -> None:
        self.kept.write_text(json.dumps({"ID": ID, "Config": {"Labels": labels, "Env": env}}))

    def call(self, *words: str | Path, timeout_seconds: float = 30.0) -> list[str]:
        """Runs it; gives what runc was called with."""
        called = self.folder / "called"
        called.unlink(missing_ok=True)
        subprocess.run(
            [*self.shell, self.lib / "wharfinger-runtime", *words],
            check=True,
            timeout=timeout_seconds,
        )
        return called.read_text().splitlines()

    def create(self, container_id: str = ID) -> int:
        """Creates the container; gives its PORT, or 0. All else must be as it was."""
        words = ["--root", "/run/x", "--log-format", "json", "create", "--bundle", str(self.bundle),
                 "--pid-file", "/x/init.pid", container_id]  # fmt: skip
        assert self.call(*words) == words
        return self.port()

    def port(self) -> int:
        now, before = (self.bundle / "config.json").read_text(), json.loads(self.config)
        if now == self.config:
            return 0
        first, *rest = json.loads(now)["process"]["env"]
        assert rest == before["process"]["env"]
        assert now.replace(f'"{first}"' + "," * bool(rest), "", 1) == self.config
        assert first.startswith("PORT=")
        return int(first.removeprefix("PORT="))


@pytest.fixture
def slow_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own that can be frozen: then who writes to it cannot even be killed."""
    image, mount = tmp_path / "disk", tmp_path / "mount"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(2**24)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, mount], check=True)
    yield mount
    subprocess.run(["umount", mount], check=True)
