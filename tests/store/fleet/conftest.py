"""A log store in this process that follows a real etcd, and a cast of keys for it."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from logshipper.store.config import Config
from logshipper.store.daemon import Logstore
from tests.store.running import Store, ended, started
from wharfinger import notify
from wharfinger.config import load
from wharfinger.keys import Endpoint, HostKey, InstanceKey, Service
from wharfinger.lifecycle import Scope
from wharfinger.metadata import Metadata, encode
from wharfinger.operator.parts.etcd import EtcdServer

ADMIN, READS = "admin-token-1", "reading-token-1"
BEARS_ADMIN = {"Authorization": f"Bearer {ADMIN}"}
BEARS_READS = {"Authorization": f"Bearer {READS}"}


def key_of(port: int, service: str = "shop_prod", ip: str = "10.0.0.5") -> InstanceKey:
    return InstanceKey(Service.parse(service), Endpoint(ip, port))


def pair(key: InstanceKey, host: str = "box1", **more: Any) -> dict[str, bytes]:
    """Both keys of an instance, as its registrar puts them."""
    told = Metadata(
        id="c" * 64,
        name="shop-1",
        image="shop:1",
        host=host,
        started="2026-01-01T00:00:00Z",
        **more,
    )
    return {key.address: key.endpoint.value.encode(), key.metadata: encode(told)}


def record(host: str = "box1", daemon: str = "registrar", **more: Any) -> dict[str, bytes]:
    told = {"version": "1.0", "since": "2026-01-01T00:00:00+00:00", "health": "healthy"}
    return {HostKey(host, daemon).key: json.dumps({**told, "ip": "10.0.0.5", **more}).encode()}


class Stream:
    """A reader of events."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> tuple[str, dict[str, Any]]:
        """The next event that is no ping: its name and what it says."""
        name = ""
        async for line in self.response.content:
            text = line.decode().rstrip("\n")
            if text.startswith("event: "):
                name = text.removeprefix("event: ")
            elif text.startswith("data: "):
                return name, json.loads(text.removeprefix("data: "))
        raise EOFError

    async def until(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while True:
            _, told = await self.next()
            if fits(told):
                return told


@pytest.fixture
def token_files(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for name, text in (
        ("read", READS),
        ("admin", f"{ADMIN} name=ops"),
        ("ingest", "sends-token-1"),
    ):
        found[f"{name}_token_file"] = path = tmp_path / f"{name}.tokens"
        path.write_text(f"{text}\n")
    return found


@pytest.fixture
async def fleet(
    tmp_path: Path, etcd_server: EtcdServer, token_files: dict[str, Path]
) -> AsyncIterator[Store]:
    """A store with a fleet and tokens of each kind."""
    store = await store_of(tmp_path, etcd_server, **token_files)
    yield store
    await ended(store.daemon, store.scope, store.client)


async def store_of(folder: Path, etcd_server: EtcdServer, **settings: Any) -> Store:
    flags = {
        "logstore.min_free_bytes": "0",
        "logstore.fleet.enabled": "true",
        "host.state_dir": str(folder),
        "host.name": "store1",
        "etcd.endpoints": etcd_server.endpoint,
    }
    flags |= {f"logstore.{name}": str(value) for name, value in settings.items()}
    config = load(Config, environment={}, flags=flags).value
    scope = Scope("logstore", notify.Notifier())
    daemon = Logstore(config, scope)
    return Store(daemon, scope, await started(daemon, scope))
