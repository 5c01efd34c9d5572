"""Log stores in this process."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from logshipper.store.config import Config
from logshipper.store.daemon import Logstore
from tests.store.running import Make, Store
from wharfinger import notify
from wharfinger.config import load
from wharfinger.lifecycle import Scope


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    stores: list[Store] = []

    async def start(**settings: Any) -> Store:
        flags = {"logstore.min_free_bytes": "0", "host.state_dir": str(tmp_path)}
        flags |= {f"logstore.{name}": str(value) for name, value in settings.items()}
        config = load(Config, environment={}, flags=flags).value
        scope = Scope("logstore", notify.Notifier())
        daemon = Logstore(config, scope)
        server = TestServer(scope.application)
        await server.start_server(auto_decompress=False)
        client = TestClient(server)
        await daemon.start()
        stores.append(Store(daemon, scope, client))
        return stores[-1]

    yield start
    for store in stores:
        store.scope.stopping.set()
        await store.daemon.drain()
        await store.client.close()
        await store.scope.close()
