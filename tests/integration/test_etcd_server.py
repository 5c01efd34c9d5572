"""The starter of a private etcd server, which the demo and every test here stand on."""

from pathlib import Path

import pytest

from wharfinger.errors import Unavailable
from wharfinger.operator.parts.etcd import EtcdServer

pytestmark = pytest.mark.real


async def test_answers_after_start_and_after_a_kill_with_the_same_address(
    etcd_server: EtcdServer,
) -> None:
    assert await etcd_server.healthy()
    await etcd_server.process.kill()
    assert not await etcd_server.healthy()
    await etcd_server.start()
    assert await etcd_server.healthy()


async def test_a_frozen_one_is_not_healthy_and_can_still_be_stopped(
    etcd_server: EtcdServer,
) -> None:
    etcd_server.process.freeze()
    assert not await etcd_server.healthy()
    await etcd_server.stop()
    assert not etcd_server.process.running


async def test_a_wrong_flag_is_in_the_message(tmp_path: Path) -> None:
    server = EtcdServer(tmp_path, arguments=["--nonsense"])
    with pytest.raises(Unavailable, match="flag provided but not defined: -nonsense"):
        await server.start()
