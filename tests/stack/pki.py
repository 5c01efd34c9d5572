"""A site whose certificates, tokens and users are made by `wharfinger pki` alone."""

import asyncio
import contextlib
import io
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.stack.etcd import FAST_ELECTION
from wharfinger.operator.cli import main
from wharfinger.operator.parts.etcd import EtcdPorts, EtcdServer
from wharfinger.sections import EtcdConfig

PROGRAM = Path(sys.executable).parent / "wharfinger"
PAGE = Path(__file__).parents[2] / "deploy" / "pki.md"
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

    async def ask(self, action: str, *words: str, code: int = 0) -> str:
        """Does what `wharfinger pki ACTION` does; gives all that it says."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            found = await asyncio.to_thread(self._run, action, *words)
        assert found == code, said.getvalue()
        return said.getvalue()

    def _run(self, action: str, *words: str) -> object:
        try:
            main(["pki", action, "--dir", str(self.folder), *words])
        except SystemExit as left:
            return left.code

    async def issue(self, name: str, role: str, *words: str) -> Bundle:
        await self.ask("issue", name, "--role", role, *words)
        return self.bundle(name)

    def bundle(self, name: str) -> Bundle:
        return Bundle(self.folder / "hosts" / name)


def etcd_flags(bundle: Bundle) -> list[str]:
    """TLS for clients and members, exactly as the page says."""
    (block,) = re.findall(r"^```text\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return str(block).replace("$PKI", str(bundle.folder)).split()


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
