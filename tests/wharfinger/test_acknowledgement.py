"""Who serves a revision already: by records, and by a real etcd whose records come and go."""

import asyncio
import json

import pytest

from tests.stack.etcd import config_of, eventually
from wharfinger.acknowledgement import acknowledged, applied, behind
from wharfinger.errors import Unavailable
from wharfinger.etcd import Etcd
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.process import free_port
from wharfinger.sections import EtcdConfig

KEY = "/wharfinger/hosts/{}/discovery"


def record(revision: object) -> bytes:
    return json.dumps({"health": "healthy", "applied_revision": revision}).encode()


def test_discoveries_alone_are_waited_for_and_an_unreadable_one_is_behind() -> None:
    records = {
        KEY.format("a"): record(7),
        KEY.format("b"): record(8),
        KEY.format("c"): b"{}",
        KEY.format("d"): b"\xff",
        KEY.format("e"): record("9"),
        KEY.format("f"): b"[" * 100_000,
        "/wharfinger/hosts/a/registrar": record(1),
        "/wharfinger/hosts/a/b/discovery": record(1),
        "/wharfinger/hosts/discovery": record(1),
    }
    assert applied(records) == {"a": 7, "b": 8, "c": -1, "d": -1, "e": -1, "f": -1}
    assert behind(records, 8) == ("a", "c", "d", "e", "f")
    assert behind({}, 8) == ()


@pytest.mark.real
async def test_it_waits_for_all_and_for_nobody_who_is_gone(etcd_server: EtcdServer) -> None:
    told: list[tuple[str, ...]] = []
    async with Etcd(config_of(etcd_server)) as etcd:
        for host in ("a", "b"):
            await etcd.put(KEY.format(host), record(1))
        waiting = asyncio.create_task(
            acknowledged(etcd, 5, timeout_seconds=20, on_waiting=told.append)
        )
        await eventually(lambda: told == [("a", "b")])
        await etcd.put(KEY.format("a"), record(5))
        await eventually(lambda: told[-1] == ("b",))
        await etcd.delete(KEY.format("b"))
        assert await waiting == ()
        assert told == [("a", "b"), ("b",), ()]
        assert await acknowledged(etcd, 6, timeout_seconds=0.3) == ("a",)


@pytest.mark.real
async def test_without_etcd_it_says_so_in_the_end() -> None:
    endpoint = f"127.0.0.1:{free_port()}"
    etcd = Etcd(EtcdConfig(endpoints=(endpoint,)))
    with pytest.raises(Unavailable, match=endpoint):
        await acknowledged(etcd, 1, timeout_seconds=1)
    await etcd.close()
