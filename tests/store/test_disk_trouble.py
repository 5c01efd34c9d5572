"""A data folder that cannot be written when the store starts."""

import asyncio
import errno
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from logshipper.store.config import Config
from logshipper.store.daemon import Logstore
from logshipper.store.engine.folder import DiskTrouble, Folder
from tests.store.running import ACTION, Store
from wharfinger import lock
from wharfinger.config import load
from wharfinger.errors import ConfigError
from wharfinger.notify import Notifier
from wharfinger.scope import Scope


async def test_a_disk_that_is_read_only_at_the_start_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lines can be read, senders keep theirs, and no restart is needed when it has mended."""
    flags = {"logstore.min_free_bytes": "0", "host.state_dir": str(tmp_path)}
    scope = Scope("logstore", Notifier())
    daemon = Logstore(load(Config, environment={}, flags=flags).value, scope)

    def refused(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as broken:
        broken.setattr(lock, "held", refused)
        starting = asyncio.create_task(daemon.start())
        async with TestServer(scope.application) as server, TestClient(server) as client:
            store = Store(daemon, scope, client)
            async with asyncio.timeout(10):
                while "Read-only" not in scope.health.report().why:  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0.01)
            assert "mount it writable" in scope.health.report().why
            answer = await store.bulk(ACTION, '{"message":"no"}')
            assert (answer.status, "Retry-After" in answer.headers) == (429, True)
            assert await store.found() == []
            assert not starting.done()
            broken.undo()
            async with asyncio.timeout(10):
                await starting
                assert await store.add("yes") == [201]
            assert await store.found() == ["yes"]
            scope.stopping.set()
            await daemon.drain()
        await scope.close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_only_what_nobody_can_mend_below_a_folder_is_a_fault_of_the_configuration(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(number, "said so")

    monkeypatch.setattr(lock, "held", refused)
    with (
        pytest.raises(DiskTrouble, match="cannot be written: said so; "),
        Folder(tmp_path).locked(),
    ):
        pass
    number = errno.ENOTDIR
    with pytest.raises(ConfigError, match="name another"), Folder(tmp_path).locked():
        pass


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    lock_file = tmp_path / "lock"
    lock_file.mkdir()  # as good as one that is somebody else's: that would not stop root
    with pytest.raises(ConfigError, match=f"{lock_file} cannot be written"):
        Folder(tmp_path).locked().__enter__()
