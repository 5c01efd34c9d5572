"""A private registry of images, Debian's docker-registry: plain, with TLS, with a user."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.release.registry import Manifest, Registry
from deploy.release.registry.manifest import OCI_MANIFEST
from tests.stack.tls import Authority
from wharfinger.operator.parts.registry import RegistryServer

USER = "alice"
PASSWORD = "secret"
# Of that password; the registry takes bcrypt alone.
HTPASSWD = "alice:$2b$04$sWfjjUZPWHZ6HF5Ny5/59OxqBHPLOME25DvFY2CT1KVDzqrSFRnr6\n"


def with_users(folder: Path) -> RegistryServer:
    """One that asks for the name and the password above."""
    folder.mkdir(parents=True)
    (folder / "htpasswd").write_text(HTPASSWD)
    of = {"realm": "wharf", "path": str(folder / "htpasswd")}
    return RegistryServer(folder, more={"auth": {"htpasswd": of}})


def with_tls(folder: Path, authority: Authority) -> RegistryServer:
    """One that speaks TLS, by a certificate of this authority."""
    pair = authority.issue("registry", "127.0.0.1")
    tls = {"certificate": str(pair.cert_file), "key": str(pair.key_file)}
    return RegistryServer(folder, http={"tls": tls}, ca_file=authority.ca_file)


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
