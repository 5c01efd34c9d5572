"""TLS and users: the right ones work, the wrong ones are told what to mend."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.stack.etcd import (
    ALONE,
    Watcher,
    add_users,
    config_of,
    etcdctl,
    eventually,
    tls_server,
)
from tests.stack.tls import Authority
from wharfinger.errors import Rejected, Unavailable
from wharfinger.etcd import Etcd
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.process import free_port
from wharfinger.sections import EtcdConfig

pytestmark = pytest.mark.real


def password(folder: Path, text: str) -> Path:
    path = folder / f"password.{text}"
    path.write_text(f"{text}\n")
    return path


def as_alice(server: EtcdServer, folder: Path, secret: str = "secret") -> EtcdConfig:
    return config_of(server, username="alice", password_file=password(folder, secret))


async def why(config: EtcdConfig) -> str:
    """What an operator is told."""
    with pytest.raises(Unavailable) as caught:
        await Etcd(config).open()
    etcd = Etcd(config)
    (status,) = await etcd.status()
    assert not status.reachable
    assert status.why in str(caught.value)
    return str(caught.value)


async def test_tls_with_the_right_ca_and_with_anything_else(
    tmp_path: Path, authority: Authority
) -> None:
    other = Authority(tmp_path / "other", "other")
    pair = authority.issue("server", "127.0.0.1", "localhost")
    async with tls_server(tmp_path, pair) as server:
        port = server.endpoint.rpartition(":")[2]
        # The names of several endpoints are each checked against their own certificate.
        endpoints = (f"127.0.0.1:{free_port()}", f"localhost:{port}", server.endpoint)
        async with Etcd(EtcdConfig(endpoints=endpoints, ca_file=authority.ca_file)) as etcd:
            await etcd.put("/a", b"")
        assert "etcd.ca_file" in await why(config_of(server, ca_file=other.ca_file))
        assert "set etcd.ca_file" in await why(config_of(server))
        missing = await why(config_of(server, ca_file=tmp_path / "none.pem"))
        assert f"etcd.ca_file {tmp_path}/none.pem cannot be read" in missing
        garbage = tmp_path / "garbage.pem"
        garbage.write_text("no certificate\n")
        assert "etcd.ca_file" in await why(config_of(server, ca_file=garbage))


async def test_a_certificate_for_another_name_is_refused(
    tmp_path: Path, authority: Authority
) -> None:
    pair = authority.issue("server", "etcd1.example", "10.1.1.1")
    async with tls_server(tmp_path, pair) as server:
        assert "other names" in await why(config_of(server, ca_file=authority.ca_file))


async def test_tls_over_ipv6(tmp_path: Path, authority: Authority) -> None:
    pair = authority.issue("server", "::1")
    async with (
        tls_server(tmp_path, pair, host="::1") as server,
        Etcd(config_of(server, ca_file=authority.ca_file)) as etcd,
    ):
        assert await etcd.get("/a") is None


async def test_a_server_without_tls_is_told_apart(
    etcd_server: EtcdServer, authority: Authority
) -> None:
    assert "unset etcd.ca_file" in await why(config_of(etcd_server, ca_file=authority.ca_file))


async def test_client_certificates(tmp_path: Path, authority: Authority) -> None:
    other = Authority(tmp_path / "other", "other")
    pair, ours, theirs = (
        authority.issue("server", "127.0.0.1"),
        authority.issue("client"),
        other.issue("stranger"),
    )
    mutual = ("--client-cert-auth", f"--trusted-ca-file={authority.ca_file}")
    async with tls_server(tmp_path, pair, *mutual) as server:
        ca_file = authority.ca_file
        config = config_of(
            server, ca_file=ca_file, cert_file=ours.cert_file, key_file=ours.key_file
        )
        async with Etcd(config) as etcd, Watcher(etcd) as watcher:
            await etcd.put("/a", b"")
            await eventually(lambda: "/a" in watcher.items)
        assert "etcd.cert_file" in await why(config_of(server, ca_file=ca_file))
        stranger = config_of(
            server, ca_file=ca_file, cert_file=theirs.cert_file, key_file=theirs.key_file
        )
        assert "etcd.cert_file" in await why(stranger)


async def test_a_certificate_that_has_ended_is_named_and_a_new_pair_taken_up(
    tmp_path: Path, authority: Authority
) -> None:
    pair = authority.issue("server", "127.0.0.1")
    cert, key = tmp_path / "cert", tmp_path / "key"

    def put(ends: datetime | None = None) -> None:
        ours = authority.issue("box", ends=ends)
        cert.write_bytes(ours.cert_file.read_bytes())
        key.write_bytes(ours.key_file.read_bytes())

    put(datetime.now(UTC) - timedelta(hours=2))
    mutual = ("--client-cert-auth", f"--trusted-ca-file={authority.ca_file}")
    async with tls_server(tmp_path, pair, *mutual) as server:
        config = config_of(server, ca_file=authority.ca_file, cert_file=cert, key_file=key)
        etcd = Etcd(config)
        with pytest.raises(Unavailable, match=rf"etcd.cert_file {cert} ended at .*: put a new"):
            await etcd.open()
        put()
        async with etcd, Watcher(etcd) as watcher:
            await etcd.put("/a", b"")
            # A connection that stands outlives the certificate it was made with.
            put(datetime.now(UTC) - timedelta(hours=2))
            await etcd.put("/b", b"")
            await server.process.kill()
            await server.start()
            await eventually(lambda: any("ended at" in each for each in watcher.troubles))
            put()
            await eventually(lambda: watcher.healthy)
            await etcd.put("/c", b"")


async def test_a_user_without_a_password_is_told_so(tmp_path: Path) -> None:
    server = EtcdServer(tmp_path, arguments=ALONE)
    await server.start()
    try:
        await add_users(server, tmp_path)
        await etcdctl(server, tmp_path, "--user=root:root", "user", "add", "box", "--no-password")
        config = config_of(server, username="box", password_file=password(tmp_path, "secret"))
        with pytest.raises(Unavailable, match=r"has no password: unset etcd.username"):
            await Etcd(config).open()
    finally:
        await server.stop()


async def test_permission_denied_names_key_and_user(
    etcd_with_users: EtcdServer, tmp_path: Path
) -> None:
    async with Etcd(as_alice(etcd_with_users, tmp_path)) as etcd:
        await etcd.put("/shop_prod/1", b"")
        with pytest.raises(Rejected, match=r"put /other/1.* as user alice: permission denied"):
            await etcd.put("/other/1", b"")
        with pytest.raises(Rejected, match="list /"):
            await etcd.list("/")
        assert set((await etcd.list("/shop_prod/")).items) == {"/shop_prod/1"}


async def test_a_watch_that_is_denied_is_red_until_it_is_granted(
    etcd_with_users: EtcdServer, tmp_path: Path
) -> None:
    async with Etcd(as_alice(etcd_with_users, tmp_path)) as etcd:
        watcher = Watcher(etcd, ("/other/",))
        entering = asyncio.create_task(watcher.__aenter__())
        await eventually(lambda: watcher.troubles)
        assert "as user alice: permission denied" in watcher.troubles[0]
        assert not watcher.healthy
        grant = "role grant-permission shop --prefix=true readwrite /other/"
        await etcdctl(etcd_with_users, tmp_path, "--user=root:root", *grant.split())
        await entering
        await etcd.put("/other/1", b"")
        await eventually(lambda: "/other/1" in watcher.items)
        await watcher.__aexit__()


async def test_an_expired_token_is_renewed(
    etcd_with_users: EtcdServer, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async with (
        Etcd(as_alice(etcd_with_users, tmp_path)) as etcd,
        Etcd(as_alice(etcd_with_users, tmp_path)) as idle,
    ):
        await idle.put("/shop_prod/1", b"")
        async with Watcher(etcd, ("/shop_prod/",)) as watcher:
            # Tokens of two idle seconds, looked through once a second; asking would renew them.
            await asyncio.sleep(4)
            await asyncio.gather(*(idle.put(f"/shop_prod/{n}", b"") for n in range(20)))
            assert await idle.get("/shop_prod/1") is not None
            await eventually(lambda: len(watcher.items) == 20)
            assert watcher.troubles == []
        # A watch that is begun with an expired token, and a server that has forgotten them all.
        await asyncio.sleep(4)
        async with Watcher(idle, ("/shop_prod/",)) as watcher:
            assert watcher.troubles == []
            await etcd_with_users.process.kill()
            await etcd_with_users.start()
            recovered = await eventually(lambda: watcher.healthy)
            record_property("recovery_seconds", round(recovered, 2))
            await idle.put("/shop_prod/x", b"")
            await eventually(lambda: "/shop_prod/x" in watcher.items)
            assert watcher.listed == 1


async def test_a_wrong_password_names_the_file(etcd_with_users: EtcdServer, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"check etcd.username and etcd.password_file"):
        await Etcd(as_alice(etcd_with_users, tmp_path, "wrong")).open()
    missing = config_of(etcd_with_users, username="alice", password_file=tmp_path / "none")
    with pytest.raises(Unavailable, match=r"etcd.password_file .*/none cannot be read"):
        await Etcd(missing).open()
    async with Etcd(config_of(etcd_with_users)) as nobody:
        with pytest.raises(Unavailable, match=r"set etcd.username"):
            await nobody.get("/a")


async def test_a_changed_password_is_taken_up(etcd_with_users: EtcdServer, tmp_path: Path) -> None:
    config = as_alice(etcd_with_users, tmp_path)
    assert config.password_file is not None
    config.password_file.write_text("not yet\nsecret\n")
    async with Etcd(config_of(etcd_with_users)):
        etcd = Etcd(config)
        with pytest.raises(Unavailable):
            await etcd.open()
        config.password_file.write_text("secret")
        await etcd.put("/shop_prod/1", b"")
        await etcd.close()


async def test_a_user_on_a_cluster_without_users_does_no_harm(
    etcd_server: EtcdServer, tmp_path: Path
) -> None:
    async with Etcd(as_alice(etcd_server, tmp_path)) as etcd:
        await etcd.put("/a", b"")
