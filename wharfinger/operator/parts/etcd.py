"""A private etcd server: its flags, free ports, folder, and the wait until it answers."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from wharfinger.operator.parts.process import Process, free_port

HEALTH_TIMEOUT = aiohttp.ClientTimeout(total=1.0)


@dataclass(frozen=True, slots=True)
class EtcdPorts:
    """The ports that one server listens on."""

    client: int = field(default_factory=free_port)
    peer: int = field(default_factory=free_port)
    health: int = field(default_factory=free_port)


class EtcdServer:
    """One etcd process, alone or as a member of a cluster.

    Attributes:
        endpoint: `HOST:PORT` that clients dial.
        process: the process, for signals and its log.
        data_dir: its data folder; kept over a restart.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "etcd",
        host: str = "127.0.0.1",
        ports: EtcdPorts | None = None,
        cluster: Mapping[str, str] | None = None,
        scheme: str = "http",
        peer_scheme: str = "http",
        arguments: Sequence[str] = (),
        process: Callable[..., Process] = Process,
        client: Callable[..., aiohttp.ClientSession] = aiohttp.ClientSession,
    ) -> None:
        """Prepares a server; nothing runs before `start`.

        Args:
            folder: where its data and its log go.
            name: its member name.
            host: the address it listens on, without brackets.
            ports: free ones unless given.
            cluster: peer URL of each member by name; itself alone unless given.
            scheme: `http` or `https`, of its client URL.
            peer_scheme: the same, of its peer URL.
            arguments: more flags of etcd.
            process: makes its process, which may be to run in namespaces of its own.
            client: makes the HTTP client that reaches it there.
        """
        self._ports = ports or EtcdPorts()
        self._host = f"[{host}]" if ":" in host else host
        self.name = name
        self.endpoint = f"{self._host}:{self._ports.client}"
        self.peer_url = f"{peer_scheme}://{self._host}:{self._ports.peer}"
        self.data_dir = folder / f"{name}.data"
        members = cluster or {name: self.peer_url}
        client_url = f"{scheme}://{self.endpoint}"
        flags = {
            "name": name,
            "data-dir": str(self.data_dir),
            "listen-client-urls": client_url,
            "advertise-client-urls": client_url,
            "listen-peer-urls": self.peer_url,
            "initial-advertise-peer-urls": self.peer_url,
            "initial-cluster": ",".join(f"{member}={url}" for member, url in members.items()),
            # Plain HTTP on a port of its own: with TLS or users on, /health stays readable.
            "listen-metrics-urls": f"http://{self._host}:{self._ports.health}",
            "logger": "zap",
            "log-outputs": "stderr",
        }
        self._client = client
        self.process = process(
            ["etcd", *(f"--{flag}={value}" for flag, value in flags.items()), *arguments],
            log=folder / f"{name}.log",
            name=name,
        )

    async def start(self, *, wait: bool = True, timeout_seconds: float = 30.0) -> None:
        """Starts it, and unless told otherwise waits until it has a leader and answers.

        Raises:
            Unavailable: it ended or did not answer in time; with the end of its log.
        """
        ready = self.healthy if wait else None
        await self.process.start(ready, timeout_seconds=timeout_seconds)

    async def stop(self) -> None:
        """Ends it in an orderly way; the data stays."""
        self.process.thaw()
        await self.process.terminate()

    def wipe(self) -> None:
        """Deletes its data, as when a disk was replaced; it must not be running."""
        shutil.rmtree(self.data_dir, ignore_errors=True)

    async def healthy(self) -> bool:
        """Whether it says of itself that it has a leader and can commit."""
        url = f"http://{self._host}:{self._ports.health}/health"
        try:
            async with (
                self._client(timeout=HEALTH_TIMEOUT) as session,
                session.get(url) as response,
            ):
                return response.status == 200 and b'"true"' in await response.read()  # noqa: PLR2004
        except (aiohttp.ClientError, TimeoutError):
            return False
