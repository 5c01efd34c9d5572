"""A site whose certificates, tokens and users are made by `wharfinger pki` alone."""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.stack.etcd import FAST_ELECTION
from wharfinger.operator.parts.etcd import EtcdPorts, EtcdServer
from wharfinger.operator.pki.model import MEMBER
from wharfinger.sections import EtcdConfig

PROGRAM = Path(sys.executable).parent / "wharfinger"
IP = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Bundle:
    """What was carried to a host."""

    folder: Path

    def file(self, name: str) -> Path:
        return self.folder / name

    @property
    def etcd(self) -> dict[str, Path]:
        """The settings of [etcd] that it brings."""
        names = {"ca_file": "ca.crt", "cert_file": "host.crt", "key_file": "host.key"}
        return {key: self.folder / name for key, name in names.items()}

    def config(self, *servers: EtcdServer) -> EtcdConfig:
        return EtcdConfig(endpoints=tuple(server.endpoint for server in servers), **self.etcd)


class Authority:
    """An authority in a folder, asked by its command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def ask(
        self, action: str, *words: str, code: int = 0, more: Mapping[str, str] | None = None
    ) -> str:
        """Runs `wharfinger pki ACTION`; gives all that it says."""
        process = await asyncio.create_subprocess_exec(
            PROGRAM, "pki", action, "--dir", str(self.folder), *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **(more or {})},
        )  # fmt: skip
        said = (await process.communicate())[0].decode()
        assert process.returncode == code, said
        return said

    async def issue(self, name: str, role: str, *words: str) -> Bundle:
        await self.ask("issue", name, "--role", role, *words)
        return self.bundle(name)

    def bundle(self, name: str) -> Bundle:
        return Bundle(self.folder / "hosts" / name)


def etcd_flags(bundle: Bundle) -> list[str]:
    """TLS for clients and members, as the reference page says."""
    ca, cert, key = (bundle.file(name) for name in ("ca.crt", "host.crt", "host.key"))
    return [
        f"--cert-file={cert}",
        f"--key-file={key}",
        f"--trusted-ca-file={ca}",
        "--client-cert-auth",
        f"--peer-cert-file={cert}",
        f"--peer-key-file={key}",
        f"--peer-trusted-ca-file={ca}",
        "--peer-client-cert-auth",
        f"--peer-cert-allowed-hostname={MEMBER}",
    ]


class SecureCluster:
    """Members that speak TLS with each other and with everybody else."""

    def __init__(self, folder: Path, bundles: Mapping[str, Bundle], *more: str) -> None:
        ports = {name: EtcdPorts() for name in bundles}
        peers = {name: f"https://{IP}:{held.peer}" for name, held in ports.items()}
        self.members = [
            EtcdServer(
                folder,
                name=name,
                ports=ports[name],
                cluster=peers,
                scheme="https",
                peer_scheme="https",
                arguments=[*FAST_ELECTION, *etcd_flags(bundle), *more],
            )
            for name, bundle in bundles.items()
        ]

    @property
    def endpoints(self) -> list[str]:
        return [member.endpoint for member in self.members]

    async def start(self) -> None:
        await asyncio.gather(*(member.start() for member in self.members))

    async def stop(self) -> None:
        for member in self.members:
            await member.process.kill()
