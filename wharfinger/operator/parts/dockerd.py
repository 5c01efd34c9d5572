"""A private Docker engine: dockerd and containerd with all that is theirs in one folder."""

import asyncio
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp

from wharfinger.errors import Unavailable
from wharfinger.operator.parts import leftovers
from wharfinger.operator.parts.command import output
from wharfinger.operator.parts.process import Process, until

SOCKET_PATH_BYTES: Final = 107  # unix(7), sun_path
PING_TIMEOUT: Final = aiohttp.ClientTimeout(total=1.0)
STORAGE_DRIVERS: Final = ("overlay2", "vfs")
LAST_WITH_TRUST_KEY: Final = 20
HTTP_OK: Final = 200
# Without cri, containerd starts faster; opt would make /opt/containerd; the rest is not asked for.
CONTAINERD_PLUGINS_OFF: Final = (
    "io.containerd.grpc.v1.cri",
    "io.containerd.internal.v1.opt",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
)


class DockerCommand:
    """The `docker` command against one engine, with nothing of the user's own settings."""

    def __init__(self, url: str, folder: Path) -> None:
        """Prepares the command.

        Args:
            url: the engine's address.
            folder: the command's configuration folder, in place of ~/.docker.
        """
        self.url = url
        # Another client may come first in PATH; Debian's is the one that fits its dockerd.
        debian = Path("/usr/bin/docker")
        self._program = str(debian) if debian.exists() else "docker"
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("DOCKER_")}
        # Debian 12 packages no buildx, without which BuildKit cannot be used.
        self._environment |= {"DOCKER_CONFIG": str(folder), "DOCKER_BUILDKIT": "0"}

    async def run(self, *arguments: str | os.PathLike[str], timeout_seconds: float = 120.0) -> str:
        """`docker ARGUMENTS...`; gives what it printed.

        Raises:
            Unavailable: it failed; with what it said on stderr.
        """
        return await output(
            self._program,
            "-H",
            self.url,
            *arguments,
            environment=self._environment,
            timeout_seconds=timeout_seconds,
        )


class DockerDaemon:
    """One engine that shares nothing with the machine's own; host and none networks only.

    dockerd and containerd are two processes, as Debian's units run them: containers outlive a
    dockerd that is killed.

    Attributes:
        folder: where everything of it is, but for its cgroup and the sockets of its shims.
        socket: of its API.
        url: `unix://` and the socket.
        data_root: images, containers and their logs.
        cgroup: that its containers are in.
        containerd_socket: where containerd and its shims are reached.
        containerd_state: what containerd keeps of running containers.
        process: dockerd, for signals and its log.
        containerd: containerd, likewise.
    """

    def __init__(
        self,
        folder: Path,
        *,
        live_restore: bool = False,
        config: Mapping[str, Any] | None = None,
        arguments: Sequence[str] = (),
        process: Callable[..., Process] = Process,
    ) -> None:
        """Prepares an engine; nothing runs before `start`.

        Args:
            folder: for this engine alone; short, and on a disk.
            live_restore: containers stay up while dockerd is down.
            config: more for its daemon.json.
            arguments: more flags of dockerd.
            process: makes its processes, which may be to run in namespaces of their own.

        Raises:
            Unavailable: `folder` is too long for the path of a socket.
        """
        self.folder = folder.resolve()
        self.socket = self.folder / "docker.sock"
        self.url = f"unix://{self.socket}"
        self.data_root = self.folder / "data"
        self.containerd_socket = self.folder / "containerd.sock"
        self.containerd_state = self.folder / "containerd"
        if len(os.fsencode(self.containerd_socket)) > SOCKET_PATH_BYTES:
            raise Unavailable(f"{self.containerd_socket} is too long for a socket's path")
        self.command = DockerCommand(self.url, self.folder / "cli")
        self._config = {"live-restore": live_restore, **(config or {})}
        self._arguments = tuple(arguments)
        self._driver = STORAGE_DRIVERS[0]
        self.cgroup = f"wharfinger-{hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]}"
        self._make_process = process
        self.containerd = process(
            ["containerd", "--config", self.folder / "containerd.toml"],
            log=self.folder / "containerd.log",
        )
        self.process = self._dockerd()

    async def start(self, *, timeout_seconds: float = 60.0) -> None:
        """Starts it, or what of it was killed, and waits until it answers.

        Raises:
            Unavailable: it ended or did not answer in time; with the end of its log.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.containerd.running:
            self._write_containerd_config()
            self.containerd_socket.unlink(missing_ok=True)
            await self.containerd.start(self._containerd_accepts, timeout_seconds=timeout_seconds)
        await self._write_config()
        try:
            await self._start_dockerd(timeout_seconds)
        except Unavailable as error:
            # overlayfs cannot lie upon another overlayfs, as inside a container.
            if self._driver != STORAGE_DRIVERS[0] or "overlay" not in str(error):
                raise
            self._driver = STORAGE_DRIVERS[1]
            self.process = self._dockerd()
            await self._start_dockerd(timeout_seconds)

    async def run(self, *arguments: str | os.PathLike[str], timeout_seconds: float = 120.0) -> str:
        """`docker ARGUMENTS...` against this engine; gives what it printed.

        Raises:
            Unavailable: it failed; with what it said on stderr.
        """
        return await self.command.run(*arguments, timeout_seconds=timeout_seconds)

    async def remove_containers(self) -> None:
        """Kills and removes every container, with its anonymous volumes."""
        if containers := (await self.run("ps", "--all", "--quiet", "--no-trunc")).split():
            await self.run("rm", "--force", "--volumes", *containers)

    async def kill(self) -> None:
        """SIGKILL for dockerd; containerd and the containers stay."""
        await self.process.kill()

    async def cut_power(self) -> None:
        """SIGKILL for everything at once, containers too; what is on disk stays for a `start`.

        Raises:
            Unavailable: a process or a mount of it cannot be got rid of.
        """
        sockets = leftovers.shim_sockets(self.containerd_state)
        for process in (self.process, self.containerd):
            await process.kill()
        await asyncio.to_thread(self._end_containers, sockets)

    async def stop(self) -> None:
        """Ends everything of it, also what outlived a kill; of its folder only the logs stay.

        Raises:
            Unavailable: a process or a mount of it cannot be got rid of.
        """
        for process in (self.containerd, self.process):
            if process.running:
                process.thaw()
        if await self.answers():
            await self._try_to_remove_containers()
        await self.process.terminate(timeout_seconds=20.0)
        sockets = leftovers.shim_sockets(self.containerd_state)
        await self.containerd.terminate()
        await asyncio.to_thread(self._sweep, sockets)

    async def answers(self) -> bool:
        """Whether it answers a ping."""
        connector = aiohttp.UnixConnector(path=str(self.socket))
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=PING_TIMEOUT) as session,
                session.get("http://docker/_ping") as response,
            ):
                return response.status == HTTP_OK
        except (aiohttp.ClientError, OSError):
            return False

    def _dockerd(self) -> Process:
        flags = {
            "config-file": self.folder / "daemon.json",
            "data-root": self.data_root,
            "exec-root": self.folder / "exec",
            "host": self.url,
            "pidfile": self.folder / "docker.pid",
            "containerd": self.containerd_socket,
            "storage-driver": self._driver,
            "log-driver": "json-file",
            "cgroup-parent": f"/{self.cgroup}",
            "exec-opt": "native.cgroupdriver=cgroupfs",
            # Nothing on the machine's network is to change: no bridge, rule or sysctl.
            "bridge": "none",
            "iptables": "false",
            "ip-forward": "false",
            "ip-masq": "false",
        }
        return self._make_process(
            ["dockerd", *(f"--{flag}={value}" for flag, value in flags.items()), *self._arguments],
            log=self.folder / "dockerd.log",
        )

    async def _start_dockerd(self, timeout_seconds: float) -> None:
        # One that was killed leaves its id behind, which another process may have by now.
        (self.folder / "docker.pid").unlink(missing_ok=True)
        await self.process.start(self.answers, timeout_seconds=timeout_seconds)

    async def _write_config(self) -> None:
        config = dict(self._config)
        version = re.search(r"version (\d+)\.", await output("dockerd", "--version"))
        if version and int(version[1]) <= LAST_WITH_TRUST_KEY:
            # It would write /etc/docker/key.json; later versions have no such key, nor setting.
            config["deprecated-key-path"] = str(self.folder / "key.json")
        (self.folder / "daemon.json").write_text(json.dumps(config), encoding="utf-8")

    def _write_containerd_config(self) -> None:
        text = (
            "version = 2\n"
            f"root = {json.dumps(str(self.folder / 'containerd-root'))}\n"
            f"state = {json.dumps(str(self.containerd_state))}\n"
            f"disabled_plugins = {json.dumps(CONTAINERD_PLUGINS_OFF)}\n"
            f"[grpc]\naddress = {json.dumps(str(self.containerd_socket))}\n"
        )
        (self.folder / "containerd.toml").write_text(text, encoding="utf-8")

    async def _containerd_accepts(self) -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(self.containerd_socket)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    async def _try_to_remove_containers(self) -> None:
        try:
            await self.remove_containers()
            await until(self._no_shims, timeout_seconds=10.0, what="the last shim ends")
        except Unavailable:
            return  # one that cannot be removed in good order is swept away below

    async def _no_shims(self) -> bool:
        return not leftovers.shims(self.containerd_socket)

    def _end_containers(self, sockets: Sequence[Path]) -> None:
        leftovers.end_containers(self.containerd_socket, self.cgroup)
        leftovers.unmount_below(self.folder)
        leftovers.remove_sockets(list(sockets))

    def _sweep(self, sockets: Sequence[Path]) -> None:
        self._end_containers(sockets)
        if not self.folder.is_dir():
            return
        for entry in self.folder.iterdir():
            if entry.suffix == ".log":
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
