"""`deploy push` on a real engine, registry and etcd: broken off anywhere, and done again."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.release import programs
from deploy.release.app.model import App, Build
from deploy.release.evidence.judging import Reporter, judge
from deploy.release.records.pushes import Push, Pushes
from deploy.release.registry import Manifest, Registry
from deploy.release.registry.manifest import digest_of
from deploy.release.registry.push import STAGED, Source, push, read_back
from tests.stack.registry import made, with_users
from tests.stack.told import Told
from wharfinger.errors import Rejected, Unavailable
from wharfinger.etcd import Etcd
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.process import until
from wharfinger.operator.parts.registry import RegistryServer

pytestmark = pytest.mark.real

AT = "2026-11-26T13:00:00Z"
JUNIT = b'<testsuite name="unit"><testcase name="a"/></testsuite>'


class Shop:
    """An application that is built, again and again, and pushed."""

    def __init__(
        self, folder: Path, docker: DockerDaemon, registry: RegistryServer, etcd: Etcd
    ) -> None:
        self.folder = folder
        self.docker = docker
        self.image = f"{registry.address}/team/shop"
        self.app = App(name="shop", image=self.image, build=Build(layer="base"))
        self.pushes = Pushes(etcd, "shop")
        self.told = Told()

    async def build(self, text: str, *, more_bytes: int = 0) -> str:
        folder = self.folder / text
        folder.mkdir()
        (folder / "page").write_bytes(text.encode() + os.urandom(more_bytes))
        (folder / "Dockerfile").write_text("FROM busybox\nCOPY page /page\n")
        return await self.docker.run("build", "--quiet", "--tag", f"shop-{text}", folder)

    async def push(self, image_id: str, *, progress: Told | None = None, by: str = "alice") -> Push:
        source = Source(
            image_id=image_id,
            docker_url=self.docker.url,
            by=by,
            at=AT,
            revision="1a2b3c",
            docker_config=self.docker.folder / "cli",
        )
        async with Registry() as registry:
            return await push(
                self.app,
                source,
                registry=registry,
                pushes=self.pushes,
                progress=progress or self.told,
            )

    async def tags(self) -> dict[str, str | None]:
        async with Registry() as registry:
            names = [tag for tag in await registry.tags(self.image) if tag.startswith("r")]
            return {name: await registry.digest_of(self.image, name) for name in names}


@pytest.fixture
async def shop(
    tmp_path: Path, docker_daemon: DockerDaemon, registry: RegistryServer, etcd: Etcd
) -> AsyncIterator[Shop]:
    yield Shop(tmp_path, docker_daemon, registry, etcd)
    names = await docker_daemon.run("images", "--format", "{{.Repository}}:{{.Tag}}")
    ours = [
        name
        for name in names.split()
        if name.startswith(("shop-", registry.address)) and "<none>" not in name
    ]
    if ours:
        await docker_daemon.run("rmi", "--force", *ours)


class Breaking(Told):
    """Does something when a step is told, such as to break a part."""

    def __init__(self, begins: str, then: Callable[[], Awaitable[object]]) -> None:
        super().__init__()
        self._begins = begins
        self._then = then
        self.broken: asyncio.Future[object] | None = None

    def step(self, text: str) -> None:
        super().step(text)
        if text.startswith(self._begins) and self.broken is None:
            self.broken = asyncio.ensure_future(self._then())


async def test_a_build_becomes_a_release(shop: Shop) -> None:
    first, second = await shop.build("one"), await shop.build("two")
    one = await shop.push(first)
    assert (one.release, one.image, one.by, one.revision) == ("r1", shop.image, "alice", "1a2b3c")
    assert one.reference in await shop.docker.run(
        "image", "inspect", "--format", "{{.RepoDigests}}", first
    )
    assert "Pushed" in "\n".join(shop.told.lines)
    # The same again is the release that it was, whoever pushes it.
    assert await shop.push(first, by="bob") == one
    two = await shop.push(second)
    assert two.release == "r2"
    assert await shop.tags() == {"r1": one.digest, "r2": two.digest}
    assert await shop.pushes.all() == (one, two)
    assert await shop.pushes.newest(shop.image) == two
    # And an engine that has nothing of it gets it by its digest.
    await shop.docker.run("rmi", "--force", first)
    await shop.docker.run("pull", "--quiet", one.reference)
    assert await shop.docker.run("image", "inspect", "--format", "{{.Id}}", one.reference) == first


async def test_two_who_push_at_once_have_a_number_each(shop: Shop) -> None:
    images = [await shop.build(f"v{n}") for n in range(4)]
    pushed = await asyncio.gather(*(shop.push(image) for image in [*images, *images]))
    releases = [each.release for each in pushed]
    assert releases[:4] == releases[4:]
    assert sorted(set(releases)) == ["r1", "r2", "r3", "r4"]
    assert await shop.tags() == {each.release: each.digest for each in pushed}


async def test_all_that_was_pushed_leaves_one_tag_beside_releases_and_evidence(
    shop: Shop,
) -> None:
    one = await shop.push(await shop.build("one"))
    async with Registry() as registry:
        found = judge("unit", JUNIT, Reporter(by="alice", at=AT))
        kept = await registry.attach(shop.image, one.digest, found, JUNIT)
        for text in ("two", "three"):
            await shop.push(await shop.build(text))
        assert {*await registry.tags(shop.image)} == {STAGED, "r1", "r2", "r3", kept}
        assert [each.check for each in await registry.evidence(shop.image, one.digest)] == ["unit"]
    assert len(set((await shop.tags()).values())) == 3


async def test_who_is_overtaken_between_name_and_push_pushes_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = await shop.build("ours"), await shop.build("theirs")
    run, named = programs.run, []

    async def overtaken(*command: str, **more: Any) -> str:
        said = await run(*command, **more)
        if command[1] == "tag":
            named.append(command[-1])
            if len(named) == 1:
                await run("docker", "tag", theirs, command[-1], **more)
        return said

    monkeypatch.setattr(programs, "run", overtaken)
    one = await shop.push(ours)
    assert (one.release, len(named)) == ("r1", 2)
    async with Registry() as registry:
        held = await registry.manifest(shop.image, one.digest)
    assert held is not None
    config = held.contents().config
    assert config is not None
    assert config.digest == ours


async def test_a_release_s_tag_that_somebody_put_by_hand_is_let_be(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Registry() as registry:
        theirs = (await made(registry, shop.image)).digest
        await registry.put_tag(shop.image, theirs, "r7")
        one = await shop.push(await shop.build("one"))
        assert one.release == "r8"
        add = Pushes.add

        async def add_and_be_late(pushes: Pushes, what: Push) -> bool:
            added = await add(pushes, what)
            if what.release == "r9":
                await registry.put_tag(shop.image, theirs, "r9")
            return added

        monkeypatch.setattr(Pushes, "add", add_and_be_late)
        image = await shop.build("two")
        two = await shop.push(image)
    assert two.release == "r10"
    assert await shop.tags() == {
        "r7": theirs,
        "r8": one.digest,
        "r9": theirs,
        "r10": two.digest,
    }
    assert await shop.push(image) == two


async def test_a_number_whose_tag_is_somebody_else_s_is_spent(shop: Shop) -> None:
    one = await shop.push(await shop.build("one"))
    image = await shop.build("two")
    two = await shop.push(image)
    async with Registry() as registry:
        await registry.put_tag(shop.image, one.digest, two.release)
    three = await shop.push(image)
    assert (three.release, three.digest) == ("r3", two.digest)
    assert await shop.push(image) == three


async def test_the_registry_goes_between_digest_and_tag(
    shop: Shop, registry: RegistryServer
) -> None:
    image = await shop.build("one")
    killing = Breaking("the registry has it", registry.process.kill)
    with pytest.raises(Unavailable):
        await shop.push(image, progress=killing)
    await registry.start()
    one = await shop.push(image)
    assert one.release == "r1"
    assert await shop.tags() == {"r1": one.digest}
    assert await shop.pushes.all() == (one,)


async def test_etcd_goes_between_digest_and_number(shop: Shop, etcd_server: EtcdServer) -> None:
    image = await shop.build("one")
    killing = Breaking("the registry has it", etcd_server.process.kill)
    with pytest.raises(Unavailable):
        await shop.push(image, progress=killing)
    await etcd_server.start()
    one = await shop.push(image)
    assert one.release == "r1"
    assert await shop.tags() == {"r1": one.digest}


async def test_a_push_that_is_cut_off_amid_a_layer_is_done_again(
    shop: Shop, registry: RegistryServer
) -> None:
    image = await shop.build("large", more_bytes=24 << 20)
    pushing = asyncio.create_task(shop.push(image))
    uploads = registry.data / "docker/registry/v2/repositories/team/shop/_uploads"

    async def begun() -> bool:
        return any(uploads.glob("*/data"))

    await until(begun, timeout_seconds=20, what="an upload has begun")
    await registry.process.kill()
    pushing.cancel()
    await asyncio.gather(pushing, return_exceptions=True)
    await registry.start()
    assert await shop.tags() == {}
    one = await shop.push(image)
    assert await shop.tags() == {"r1": one.digest}


async def test_with_an_empty_etcd_the_registry_counts_on(shop: Shop, etcd: Etcd) -> None:
    first = await shop.build("one")
    one, two = await shop.push(first), await shop.push(await shop.build("two"))
    await etcd.delete_prefix("/wharfinger/deploy/")
    three = await shop.push(await shop.build("three"))
    assert three.release == "r3"
    await etcd.delete_prefix("/wharfinger/deploy/")
    assert (await shop.push(first)).release == one.release
    assert await shop.tags() == {"r1": one.digest, "r2": two.digest, "r3": three.digest}


async def test_a_registry_that_holds_something_else_is_refused(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = await shop.build("one")
    async with Registry() as registry:
        other = await made(registry, shop.image)

    async def lie(*_: object) -> Manifest:
        return other

    monkeypatch.setattr(Registry, "manifest", lie)
    with pytest.raises(Rejected, match="was pushed, and the registry holds"):
        await shop.push(image)
    assert await shop.pushes.all() == ()


async def test_an_engine_may_call_an_image_by_its_manifest(registry: RegistryServer) -> None:
    """As those do that keep images in containerd; others by the image's config."""
    image = f"{registry.address}/team/shop"
    async with Registry() as client:
        there = await made(client, image)
        for image_id in (there.digest, digest_of(b"{}")):
            told = [digest_of(b"gone"), there.digest]
            assert await read_back(image, told, image_id, client) == there.digest
        with pytest.raises(Rejected, match="the registry holds"):
            await read_back(image, [there.digest], digest_of(b"other"), client)
        for told in ([], [digest_of(b"gone")]):
            assert await read_back(image, told, there.digest, client) is None


async def test_a_registry_that_does_not_know_us_is_named_with_what_to_do(
    shop: Shop, tmp_path: Path
) -> None:
    server = with_users(tmp_path / "asking")
    await server.start()
    try:
        image_id = await shop.build("one")
        shop.app = App(name="shop", image=f"{server.address}/shop", build=Build(layer="base"))
        with pytest.raises(Rejected, match=rf"auth.*: docker login {server.address}$"):
            await shop.push(image_id)
        await shop.docker.run("rmi", "--force", image_id)
    finally:
        await server.stop()


async def test_what_was_not_built_cannot_be_pushed(shop: Shop) -> None:
    with pytest.raises(Unavailable, match="No such image"):
        await shop.push(digest_of(b"nothing"))
    with pytest.raises(Rejected, match="deploy build"):
        await shop.push("shop:latest")


async def test_hostile_pushes_in_etcd_are_left_out_and_their_numbers_not_given(
    shop: Shop, etcd: Etcd
) -> None:
    folder = "/wharfinger/deploy/shop/pushes/"
    for name, value in (
        ("3", b"{"),
        ("4", b'{"release":"r9","image":"x","digest":"sha256:' + b"a" * 64 + b'"}'),
        ("5", b'{"release":"r5","image":"\\u001b","digest":"sha256:' + b"a" * 64 + b'"}'),
        ("6", b" " * 20_000),
        ("x", b"{}"),
        ("99999999999", b"{}"),
    ):
        await etcd.put(folder + name, value)
    assert await shop.pushes.all() == ()
    assert (await shop.push(await shop.build("one"))).release == "r7"
