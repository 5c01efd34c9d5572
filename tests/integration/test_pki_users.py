"""etcd's users and roles, made by `wharfinger pki users`: enough for each, and no more."""

import asyncio
import contextlib
import io
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy.release.engines.instances import Instances
from deploy.release.records.holder import Holder
from deploy.release.records.lock import Held, Lock
from deploy.release.records.pushes import Push, Pushes
from deploy.release.records.record import Record
from deploy.release.records.releases import Releases
from deploy.release.showing import Plain
from tests.stack.etcd import Watcher, config_of, etcdctl, eventually
from tests.stack.pki import IP, Authority, Bundle, SecureCluster
from wharfinger.errors import Exit, Rejected, Unavailable
from wharfinger.etcd import Etcd
from wharfinger.keys import Service
from wharfinger.kv import ranges_of
from wharfinger.operator.parts.etcd import EtcdServer

pytestmark = pytest.mark.real

DIGEST = "sha256:" + "1" * 64


@asynccontextmanager
async def secured(folder: Path, *members: str) -> AsyncIterator[tuple[Authority, SecureCluster]]:
    authority = Authority(folder / "authority")
    await authority.ask("init")
    bundles = {name: await authority.issue(name, "etcd", "--ip", IP) for name in members}
    cluster = SecureCluster(folder, bundles)
    try:
        await cluster.start()
        await authority.issue("ops", "admin")
        yield authority, cluster
    finally:
        await cluster.stop()


async def as_member(bundle: Bundle, server: EtcdServer) -> bytes:
    """What the port for members answers to who shows that certificate."""
    context = ssl.create_default_context(cafile=bundle.file("ca.crt"))
    context.load_cert_chain(bundle.file("host.crt"), bundle.file("host.key"))
    host, _, port = server.peer_url.removeprefix("https://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    try:
        writer.write(b"GET /members HTTP/1.0\r\n\r\n")
        return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            await writer.wait_closed()


async def denied(etcd: Etcd, key: str, user: str) -> None:
    with pytest.raises(Rejected, match=rf"as user {user}: permission denied"):
        await etcd.put(key, b"")


async def released(etcd: Etcd, service: Service) -> None:
    """Takes a lock, and begins and ends a record under it, as `deploy up` does."""
    releases = Releases(etcd, service)

    async def work(held: Held) -> None:
        begun = await releases.begin(held, Record(release="r1", state="running"))
        await releases.end(held, begun, begun.record.over("succeeded", ""))

    with Plain(io.StringIO()) as progress:
        await Lock(etcd, service, Holder(by="ci"), progress=progress).hold(work)
    seen = await releases.seen()
    assert [each.record.state for each in seen.history] == ["succeeded"]


async def test_each_may_do_its_work_and_no_more(tmp_path: Path) -> None:
    async with secured(tmp_path, "m1") as (authority, cluster):
        (server,) = cluster.members
        box = await authority.issue("box", "host", "--services", "shop_prod,web_*")
        every = await authority.issue("every", "host")
        edge = await authority.issue("edge", "edge")
        store = await authority.issue("store", "store")
        runner = await authority.issue("runner", "deploy", "--services", "shop_prod")
        endpoints = ("--endpoints", server.endpoint)
        tried = await authority.ask("users", "--dry-run", *endpoints)
        assert "would enable users" in tried
        async with Etcd(box.config(server)) as etcd:
            await etcd.put("/anything", b"")  # nobody asks yet
        said = await authority.ask("users", *endpoints)
        assert said == tried.replace("would ", "")
        assert "nothing to do" in await authority.ask("users", *endpoints)
        async with Etcd(box.config(server)) as etcd:
            lease = await etcd.grant(60)
            for key in ("/shop_prod/1", "/web_qa/1", "/wharfinger/instances/web_qa/1"):
                await etcd.put(key, b"", lease=lease.id)
            await etcd.put("/wharfinger/hosts/box/registrar", b"")
            await etcd.put("/wharfinger/orders/box/1", b"")
            await etcd.list("/wharfinger/hosts/")
            for key in (
                "/shop_qa/1",
                "/shop_prodx/1",
                "/wharfinger/instances/shop_qa/1",
                "/wharfinger/hosts/edge/discovery",
                "/wharfinger/orders/every/1",
                "/wharfinger/deploy/shop_prod/releases/1",
            ):
                await denied(etcd, key, "box")
        async with Etcd(every.config(server)) as etcd:
            await etcd.put("/some_qa/1", b"")
            await etcd.put("/wharfinger/instances/some_qa/1", b"")
            await denied(etcd, "/wharfinger/deploy/shop_prod/releases/1", "every")
            await denied(etcd, "/wharfinger/x", "every")
        async with Etcd(edge.config(server)) as etcd:
            await etcd.put("/wharfinger/hosts/edge/discovery", b"")
            found = await etcd.list_ranges(
                ranges_of(["/"], ["/wharfinger/deploy/", "/wharfinger/hosts/"])
            )
            assert {"/shop_prod/1", "/some_qa/1", "/anything"} <= set(found.items)
            await denied(etcd, "/shop_prod/1", "edge")
        async with Etcd(store.config(server)) as etcd:
            await etcd.put("/wharfinger/orders/box/2", b"")
            assert "/shop_prod/1" in (await etcd.list("/")).items
            await denied(etcd, "/wharfinger/instances/some_qa/1", "store")
        async with Etcd(runner.config(server)) as etcd:
            known = Instances(etcd, Service("shop", "prod"), by="ci", tell=[].append)
            assert await known.held() == ()
            await known.hosts()
            pushes = Pushes(etcd, "shop")
            assert await pushes.add(Push(release="r1", image="reg:1/shop", digest=DIGEST))
            await released(etcd, Service("shop", "prod"))
            with pytest.raises(Rejected, match="permission denied"):
                await released(etcd, Service("shop", "production"))
            await denied(etcd, "/shop_prod/1", "runner")
            await denied(etcd, "/wharfinger/hosts/box/registrar", "runner")


async def test_what_changes_is_done_and_told_and_what_is_not_ours_stays(tmp_path: Path) -> None:
    async with secured(tmp_path, "m1") as (authority, cluster):
        (server,) = cluster.members
        endpoints = ("--endpoints", server.endpoint)
        box = await authority.issue("box", "host", "--services", "shop_prod")
        await authority.ask("users", *endpoints)
        async with Etcd(authority.bundle("ops").config(server)) as root:
            await root.users.add_user("mary")
            await root.users.add_role("guests")
            await root.users.give("box", "guests")
        again = await authority.ask("issue", "box", "--role", "host", "--services", "shop_qa")
        assert "box: may register shop_qa" in again
        said = await authority.ask("users", *endpoints)
        assert "grant registrar-box: readwrite /shop_qa/*" in said
        assert "withdraw registrar-box: readwrite /shop_prod/*" in said
        assert "guests" not in said
        assert "mary" not in said
        async with Etcd(box.config(server)) as etcd, Watcher(etcd, ["/shop_qa/"]) as watcher:
            await etcd.put("/shop_qa/1", b"")
            await denied(etcd, "/shop_prod/1", "box")
            # Taken back, its open session is worth nothing from the next question on.
            await authority.ask("revoke", "box")
            said = await authority.ask("users", *endpoints)
            assert "delete user box" in said
            assert "delete role registrar-box" in said
            await denied(etcd, "/shop_qa/1", "box")
            # etcd asks for the rights of a watch when it begins: this one goes on until it breaks.
            async with Etcd(authority.bundle("ops").config(server)) as root:
                await root.put("/shop_qa/2", b"")
            await eventually(lambda: "/shop_qa/2" in watcher.items)
            await server.process.kill()
            await server.start()
            await eventually(lambda: " as user box: " in "".join(watcher.troubles[-1:]))
            assert "permission denied" in watcher.troubles[-1]
            assert not watcher.healthy
        async with Etcd(authority.bundle("ops").config(server)) as root:
            users = await root.users.all_users()
        assert users == {"root": {"root"}, "ops": {"root"}, "mary": frozenset()}


async def test_a_revoked_certificate_is_refused_by_members_that_have_the_list(
    tmp_path: Path,
) -> None:
    async with secured(tmp_path, "m1") as (authority, _):
        box, late = await authority.issue("box", "host"), await authority.issue("late", "host")
        await authority.ask("revoke", "box")
        await authority.ask("issue", "m1", "--role", "etcd", "--ip", IP)  # brings the list
        bundle = authority.bundle("m1")
        crl = f"--client-crl-file={bundle.file('ca.crl')}"
        other = SecureCluster(tmp_path / "other", {"m1": bundle}, crl)
        (tmp_path / "other").mkdir()
        await other.start()
        try:
            async with Etcd(late.config(*other.members)) as etcd:
                await etcd.put("/a", b"")
            with pytest.raises(Unavailable, match=r"refuses etcd.cert_file"):
                await Etcd(box.config(*other.members)).open()
        finally:
            await other.stop()


async def test_etcds_root_makes_them_by_its_password(tmp_path: Path) -> None:
    """A cluster whose users were made by hand before."""
    async with secured(tmp_path, "m1") as (authority, cluster):
        (server,) = cluster.members
        ops = authority.bundle("ops")
        tls = [f"--{flag}={path}" for flag, path in zip(
            ("cacert", "cert", "key"), ops.etcd.values(), strict=True
        )]  # fmt: skip
        for words in (
            "user add root:of-old",
            "role add root",
            "user grant-role root root",
            "auth enable",
        ):
            await etcdctl(server, tmp_path, *tls, *words.split())
        endpoints = ("--endpoints", server.endpoint)
        said = await authority.ask("users", *endpoints, code=Exit.USAGE)
        assert "as user ops: it knows no such user" in said
        password = tmp_path / "root.password"
        password.write_text("of-old\n")
        by_root = ("--root-password-file", str(password))
        said = await authority.ask("users", *endpoints, *by_root)
        assert said == "add user ops, by certificate alone\ngive ops the role root\n"
        assert "nothing to do" in await authority.ask("users", *endpoints)
        password.write_text("wrong\n")
        said = await authority.ask("users", *endpoints, *by_root, code=Exit.UNAVAILABLE)
        assert "refuses that user or password" in said
        assert "of-old" not in said


async def test_nobody_locks_the_door_behind_themselves(
    tmp_path: Path, etcd_server: EtcdServer
) -> None:
    async with secured(tmp_path, "m1") as (authority, cluster):
        (server,) = cluster.members
        endpoints = ("--endpoints", server.endpoint)
        box = await authority.issue("box", "host")
        bundle = ("--pki", str(box.folder))
        said = await authority.ask("users", *endpoints, *bundle, code=Exit.USAGE)
        assert "box's, who is no administrator" in said
        async with Etcd(authority.bundle("ops").config(server)) as root:
            assert not await root.users.enabled()
        await authority.ask("users", *endpoints)
        async with Etcd(authority.bundle("ops").config(server)) as root:
            assert await root.users.enabled()
        # One that does not ask for certificates knows nobody.
        async with Etcd(config_of(etcd_server)) as plain:
            assert not await plain.users.enabled()


async def test_a_host_is_no_member_though_the_same_authority_signed_it(tmp_path: Path) -> None:
    async with secured(tmp_path, "m1", "m2", "m3") as (authority, cluster):
        box = await authority.issue("box", "host")
        await authority.ask("users", "--endpoints", ",".join(cluster.endpoints))
        async with Etcd(box.config(*cluster.members)) as etcd:
            await etcd.put("/shop_prod/1", b"")
        assert b"200 OK" in await as_member(authority.bundle("m2"), cluster.members[0])
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            assert await as_member(box, cluster.members[0]) == b""
