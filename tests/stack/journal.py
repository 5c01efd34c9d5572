"""A journal of the tests' own, and a Docker engine that knows no other."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.images import build_busybox
from wharfinger.operator.parts.process import Process

JOURNALD: Final = "/lib/systemd/systemd-journald"
# In mounts of its own, so that the machine's journal, if it has one, is not even seen.
BEGIN: Final = """
set -e
mkdir -p /run/systemd /run/log
mount -t tmpfs journal /run/systemd
mount -t tmpfs journal /run/log
mkdir -p /run/systemd/journal /run/log/journal
mount --bind "$0/machine-id" /etc/machine-id
mount --bind "$0/journald.conf" /etc/systemd/journald.conf
exec "$1"
"""
CONFIG: Final = """
[Journal]
Storage=volatile
RateLimitIntervalSec=0
RuntimeMaxUse=64M
ReadKMsg=no
Audit=no
ForwardToSyslog=no
"""


class Journal:
    """journald in a mount namespace."""

    def __init__(self, folder: Path) -> None:
        (folder / "machine-id").write_text(f"{uuid.uuid4().hex}\n")
        (folder / "journald.conf").write_text(CONFIG)
        self.process = Process(
            ["unshare", "--mount", "--propagation=private", "sh", "-c", BEGIN, folder, JOURNALD],
            log=folder / "journald.log",
            name="journald",
        )

    async def start(self) -> None:
        await self.process.start(self._listens, timeout_seconds=20)

    async def _listens(self) -> bool:
        return await asyncio.to_thread(self._has_socket)

    def _has_socket(self) -> bool:
        process = Path(f"/proc/{self.process.pid}")
        # Before, it is the shell among the machine's own mounts.
        began = (process / "comm").read_text().strip() == "systemd-journal"
        return began and (process / "root/run/systemd/journal/socket").exists()


class JournalDockerDaemon(DockerDaemon):
    """An engine among the mounts of a journal."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self._within = ["nsenter", f"--mount=/proc/{journal.process.pid}/ns/mnt"]
        super().__init__(folder)
        self.containerd = self._entering(self.containerd)

    def _dockerd(self) -> Process:
        return self._entering(super()._dockerd())

    def _entering(self, process: Process) -> Process:
        command = [*self._within, *process.command]
        return Process(command, log=process.log, name=process.name)


@pytest.fixture
async def journal_docker_daemon(docker_folder: Path) -> AsyncIterator[DockerDaemon]:
    """An engine of this test's own, with a real journal behind the driver `journald`."""
    assert os.access(JOURNALD, os.X_OK), "install the package systemd; it need not run"
    journal = Journal(docker_folder)
    await journal.start()
    try:
        daemon = JournalDockerDaemon(docker_folder / "docker", journal)
        try:
            await daemon.start()
            await build_busybox(daemon, docker_folder / "busybox")
            yield daemon
        finally:
            await daemon.stop()
    finally:
        await journal.process.terminate()
