"""Several endpoints: dead and frozen ones are passed by, a lost leader and quorum are survived."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stack.etcd import Cluster, Watcher, config_of, eventually
from wharfinger.errors import Unavailable
from wharfinger.etcd import Etcd
from wharfinger.operator.parts.etcd import EtcdPorts, EtcdServer
from wharfinger.operator.parts.process import free_port
from wharfinger.sections import EtcdConfig

pytestmark = pytest.mark.real

Record = Callable[[str, object], None]


async def put_until_done(etcd: Etcd, key: str) -> int:
    """As a daemon does: tries again for as long as it takes."""
    while True:
        try:
            return await etcd.put(key, b"")
        except Unavailable:
            continue


async def test_an_endpoint_that_is_dead_from_the_start_is_passed_by(
    etcd_server: EtcdServer,
) -> None:
    dead = (f"127.0.0.1:{free_port()}", "no-such-host.invalid:2379")
    for endpoints in ((*dead, etcd_server.endpoint), (etcd_server.endpoint, *dead)):
        async with Etcd(EtcdConfig(endpoints=endpoints)) as etcd:
            assert etcd.endpoint == etcd_server.endpoint
            await etcd.put("/a", b"")


async def test_an_endpoint_that_is_frozen_from_the_start_is_passed_by(
    etcd_server: EtcdServer, tmp_path: Path
) -> None:
    frozen = EtcdServer(tmp_path, name="frozen")
    await frozen.start()
    frozen.process.freeze()
    async with Etcd(config_of(frozen, etcd_server)) as etcd:
        assert etcd.endpoint == etcd_server.endpoint
    await frozen.stop()


async def test_addresses_names_and_ipv6_mix(tmp_path: Path) -> None:
    ports = EtcdPorts()
    urls = f"http://127.0.0.1:{ports.client},http://[::1]:{ports.client}"
    server = EtcdServer(tmp_path, ports=ports, arguments=[f"--listen-client-urls={urls}"])
    await server.start()
    dead = f"127.0.0.1:{free_port()}"
    for host in ("127.0.0.1", "[::1]", "localhost"):
        endpoint = f"{host}:{ports.client}"
        async with Etcd(EtcdConfig(endpoints=(dead, endpoint))) as etcd:
            assert etcd.endpoint == endpoint
            await etcd.put("/a", b"")
            away, there = await etcd.status()
            assert (away.reachable, away.why) == (False, "nothing listens there")
            assert (there.reachable, there.why) == (True, "")
    await server.stop()


async def test_nothing_reachable_says_of_each_endpoint_why(etcd_server: EtcdServer) -> None:
    dead = f"127.0.0.1:{free_port()}"
    await etcd_server.process.kill()
    with pytest.raises(Unavailable) as caught:
        await Etcd(EtcdConfig(endpoints=(dead, etcd_server.endpoint))).open()
    assert f"{dead}: nothing listens there" in str(caught.value)
    assert f"{etcd_server.endpoint}: nothing listens there" in str(caught.value)


async def test_a_dead_leader_is_survived(etcd_cluster: Cluster, record_property: Record) -> None:
    leader = await etcd_cluster.leader()
    # The session is with a follower first, then with the leader itself.
    follower = etcd_cluster.others(leader)[0]
    async with (
        Etcd(config_of(follower)) as beside,
        Etcd(config_of(leader, *etcd_cluster.others(leader))) as etcd,
        Watcher(etcd) as watcher,
        Watcher(beside) as unmoved,
    ):
        await leader.process.kill()
        started = time.monotonic()
        last = await put_until_done(etcd, "/a")
        record_property("write_again_seconds", round(time.monotonic() - started, 2))
        await eventually(lambda: "/a" in watcher.items and "/a" in unmoved.items)
        assert watcher.revisions[-1] == last
        assert watcher.listed == unmoved.listed == 1


async def test_a_frozen_member_is_left_for_another(
    etcd_cluster: Cluster, record_property: Record
) -> None:
    async with Etcd(config_of(*etcd_cluster.members)) as etcd, Watcher(etcd) as watcher:
        frozen = next(m for m in etcd_cluster.members if m.endpoint == etcd.endpoint)
        frozen.process.freeze()
        started = time.monotonic()
        kv = await etcd.get("/a")
        record_property("read_again_seconds", round(time.monotonic() - started, 2))
        assert kv is None
        assert etcd.endpoint != frozen.endpoint
        await put_until_done(etcd, "/a")
        await eventually(lambda: "/a" in watcher.items and watcher.healthy)
        assert watcher.listed == 1
        statuses = await etcd.status()
        assert sum(status.reachable for status in statuses) == 2
        why = next(status.why for status in statuses if status.endpoint == frozen.endpoint)
        assert "answer" in why
        frozen.process.thaw()


async def test_a_lost_quorum_is_red_and_recovers(
    etcd_cluster: Cluster, record_property: Record
) -> None:
    leader = await etcd_cluster.leader()
    last = etcd_cluster.others(leader)[0]
    async with Etcd(config_of(*etcd_cluster.members)) as etcd, Watcher(etcd) as watcher:
        await etcd.put("/a", b"1")
        for member in etcd_cluster.others(last):
            await member.process.kill()
        await eventually(lambda: not watcher.healthy, "the lost quorum is noticed")
        with pytest.raises(Unavailable, match=r"leader|agree|in time"):
            await etcd.put("/b", b"")
        await eventually(lambda: "knows no leader" in watcher.troubles[-1])
        statuses = {status.endpoint: status for status in await etcd.status()}
        assert statuses[last.endpoint].reachable
        assert not statuses[last.endpoint].has_leader
        assert "majority" in statuses[last.endpoint].why
        assert not watcher.healthy
        await etcd_cluster.others(last)[0].start()
        recovered = await eventually(lambda: watcher.healthy, "the watch recovers")
        record_property("recovery_seconds", round(recovered, 2))
        await put_until_done(etcd, "/c")
        await eventually(lambda: "/c" in watcher.items)
        assert watcher.listed == 1
