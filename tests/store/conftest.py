"""Log stores in this process."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from logshipper.store.config import Config
from logshipper.store.daemon import Logstore
from logshipper.store.engine.folder import Folder
from logshipper.store.query.archive import Archive
from tests.store.running import Make, Store, ended, started
from wharfinger import notify
from wharfinger.config import load
from wharfinger.lifecycle import Scope


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def archive(folder: Folder) -> Iterator[Archive]:
    held = Archive(folder)
    yield held
    held.close()


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    stores: list[Store] = []

    async def start(**settings: Any) -> Store:
        flags = {"logstore.min_free_bytes": "0", "host.state_dir": str(tmp_path)}
        flags |= {f"logstore.{name}": str(value) for name, value in settings.items()}
        config = load(Config, environment={}, flags=flags).value
        scope = Scope("logstore", notify.Notifier())
        daemon = Logstore(config, scope)
        stores.append(Store(daemon, scope, await started(daemon, scope)))
        return stores[-1]

    yield start
    for store in stores:
        await ended(store.daemon, store.scope, store.client)
