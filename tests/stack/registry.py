"""A private registry of images, Debian's docker-registry: plain, with TLS, with a user."""

import asyncio
import json
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy.release.registry import Manifest, Registry
from deploy.release.registry.manifest import OCI_MANIFEST
from tests.stack.tls import Authority
from wharfinger.operator.parts.process import Process, free_port

USER = "alice"
PASSWORD = "secret"
# Of that password; the registry takes bcrypt alone.
HTPASSWD = "alice:$2b$04$sWfjjUZPWHZ6HF5Ny5/59OxqBHPLOME25DvFY2CT1KVDzqrSFRnr6\n"
TIMEOUT = aiohttp.ClientTimeout(total=1.0)


class RegistryServer:
    """One of them; what it holds is kept over a restart.

    Attributes:
        address: `127.0.0.1:PORT`, with which names of its images begin.
        data: its files.
        process: for signals and its log.
    """

    def __init__(
        self,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        users: bool = False,
        authority: Authority | None = None,
    ) -> None:
        """Prepares a server; nothing runs before `start`.

        Args:
            folder: for all its files.
            host: the address it listens on.
            users: whether it asks for the name and the password above.
            authority: with it, TLS is spoken.
        """
        self.address = f"{host}:{free_port(host)}"
        self.data = folder / "data"
        self._folder = folder
        self._authority = authority
        self._config: dict[str, Any] = {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self.data)}},
            "http": {"addr": self.address, "secret": "of the tests"},
        }
        if authority is not None:
            pair = authority.issue("registry", host)
            self._config["http"]["tls"] = {
                "certificate": str(pair.cert_file),
                "key": str(pair.key_file),
            }
        if users:
            self._config["auth"] = {
                "htpasswd": {"realm": "wharf", "path": str(folder / "htpasswd")}
            }
        self.process = Process(
            ["docker-registry", "serve", folder / "config.yml"], log=folder / "registry.log"
        )

    @property
    def url(self) -> str:
        scheme = "http" if self._authority is None else "https"
        return f"{scheme}://{self.address}"

    async def start(self) -> None:
        """Starts it, or one that was killed again, and waits until it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "htpasswd").write_text(HTPASSWD)
        # JSON is YAML.
        (self._folder / "config.yml").write_text(json.dumps(self._config))
        await self.process.start(self._answers)

    async def stop(self) -> None:
        """Ends it and takes away what it held."""
        await self.process.kill()
        await asyncio.to_thread(shutil.rmtree, self.data, ignore_errors=True)

    async def _answers(self) -> bool:
        tls: ssl.SSLContext | bool = True
        if self._authority is not None:
            tls = ssl.create_default_context(cafile=self._authority.ca_file)
        try:
            async with (
                aiohttp.ClientSession(timeout=TIMEOUT) as session,
                session.get(f"{self.url}/v2/", ssl=tls) as answer,
            ):
                return answer.status in {200, 401}
        except (aiohttp.ClientError, OSError):
            return False


async def made(registry: Registry, image: str, text: str = "one") -> Manifest:
    """An image of nothing; it is pushed by its tag `made`."""
    config = await registry.put_blob(image, b"{}")
    layer = await registry.put_blob(image, text.encode())
    of = "application/vnd.oci.image"
    body = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": f"{of}.config.v1+json", "digest": config, "size": 2},
        "layers": [{"mediaType": f"{of}.layer.v1.tar", "digest": layer, "size": len(text)}],
    }
    found = Manifest(OCI_MANIFEST, json.dumps(body, indent=3).encode())
    await registry.put_manifest(image, "made", found)
    return found


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[RegistryServer]:
    """An empty one of this test's own, on loopback without TLS or users."""
    server = RegistryServer(tmp_path / "registry")
    await server.start()
    yield server
    await server.stop()
