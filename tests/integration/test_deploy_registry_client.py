"""The client of registries, on a real one."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

from deploy.release.evidence.model import Evidence
from deploy.release.registry import Access, Manifest, Registry
from deploy.release.registry.manifest import OCI_INDEX, Contents, digest_of, encode
from tests.stack.registry import PASSWORD, USER, made, with_tls, with_users
from tests.stack.tls import Authority
from wharfinger.errors import Conflict, Rejected, Unavailable
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.registry import RegistryServer

pytestmark = pytest.mark.real


async def test_a_tag_is_the_same_bytes_under_another_name(registry: RegistryServer) -> None:
    image = f"{registry.address}/team/shop"
    async with Registry() as client:
        assert await client.digest_of(image, "made") is None
        assert await client.tags(image) == ()
        one = await made(client, image)
        await client.put_tag(image, one.digest, "production")
        assert await client.digest_of(image, "production") == one.digest
        assert await client.manifest(image, one.digest) == one
        assert sorted(await client.tags(image)) == ["made", "production"]


async def test_a_release_s_tag_is_not_moved_and_an_environment_s_is(
    registry: RegistryServer,
) -> None:
    image = f"{registry.address}/team/shop"
    async with Registry() as client:
        one, two = await made(client, image), await made(client, image, "two")
        for _ in range(2):
            await client.put_tag(image, one.digest, "r1", fixed=True)
        with pytest.raises(Conflict, match="is not moved"):
            await client.put_tag(image, two.digest, "r1", fixed=True)
        assert await client.digest_of(image, "r1") == one.digest
        await client.put_tag(image, one.digest, "production")
        await client.put_tag(image, two.digest, "production")
        assert await client.digest_of(image, "production") == two.digest


async def test_what_is_not_there_can_have_no_tag(registry: RegistryServer) -> None:
    image = f"{registry.address}/team/shop"
    async with Registry() as client:
        await made(client, image)
        with pytest.raises(Rejected, match="deploy push"):
            await client.put_tag(image, digest_of(b"nothing"), "r1")
        with pytest.raises(Rejected, match="neither a tag nor a digest"):
            await client.manifest(image, "../../x")


async def test_many_tags_come_page_by_page(registry: RegistryServer) -> None:
    image = f"{registry.address}/shop"
    async with Registry() as client:
        one = await made(client, image)
        # Debian's registry gives what is asked for; more than a thousand would take long to make.
        names = [f"r{n}" for n in range(1, 21)]
        await asyncio.gather(*(client.put_manifest(image, name, one) for name in names))
        assert set(await client.tags(image)) == {*names, "made"}


async def test_a_list_of_platforms_is_one_digest_like_any_other(registry: RegistryServer) -> None:
    image = f"{registry.address}/shop"
    async with Registry() as client:
        one = await made(client, image)
        of = msgspec.structs.replace(one.descriptor, annotations={"for": "amd64"})
        contents = Contents(schema_version=2, media_type=OCI_INDEX, manifests=(of,))
        index = Manifest(OCI_INDEX, encode(contents))
        await client.put_manifest(image, "made", index)
        await client.put_tag(image, index.digest, "r1", fixed=True)
        await client.attach(image, index.digest, Evidence(check="unit", passed=True, tests=1))
        assert await client.manifest(image, "r1") == index
        assert len(await client.evidence(image, index.digest)) == 1
        assert await client.evidence(image, one.digest) == ()


async def test_it_knows_us_by_what_docker_login_has_kept(
    tmp_path: Path, docker_daemon: DockerDaemon
) -> None:
    server = with_users(tmp_path / "registry")
    await server.start()
    image = f"{server.address}/shop"
    async with Registry(Access(config_dir=tmp_path / "none")) as client:
        with pytest.raises(Rejected, match=rf"nobody without a.*docker login {server.address}"):
            await client.tags(image)
    await docker_daemon.run("login", "--username", USER, "--password", PASSWORD, server.address)
    async with Registry(Access(config_dir=docker_daemon.folder / "cli")) as client:
        await made(client, image)
        assert await client.tags(image) == ("made",)
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    auths = {server.address: {"username": "mallory", "password": "gu-ess"}}
    (wrong / "config.json").write_text(json.dumps({"auths": auths}))
    async with Registry(Access(config_dir=wrong)) as client:
        with pytest.raises(Rejected, match="refuses user 'mallory'") as refused:
            await client.tags(image)
    assert "gu-ess" not in str(refused.value)
    await docker_daemon.run("logout", server.address)
    await server.stop()


async def test_tls_by_the_authority_that_is_named(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    server = with_tls(tmp_path / "registry", authority)
    await server.start()
    image = f"{server.address}/shop"
    async with Registry(Access(ca_file=authority.ca_file)) as client:
        await made(client, image)
        assert await client.tags(image) == ("made",)
    # Loopback may do without TLS; what speaks it must be who it says that it is.
    async with Registry() as client:
        with pytest.raises(Unavailable, match=r"not to be trusted.*registry_ca_file"):
            await client.tags(image)
    await server.stop()


async def test_a_registry_that_was_away_for_a_moment_is_asked_again(
    registry: RegistryServer,
) -> None:
    image = f"{registry.address}/shop"
    async with Registry() as client:
        one = await made(client, image)
        await registry.process.kill()

        async def come_back() -> None:
            await asyncio.sleep(0.3)
            await registry.start()

        back = asyncio.create_task(come_back())
        assert await client.digest_of(image, "made") == one.digest
        await back


async def test_a_registry_that_is_away_is_said_to_be(registry: RegistryServer) -> None:
    await registry.process.kill()
    async with Registry() as client:
        with pytest.raises(Unavailable, match=f"registry {registry.address} cannot be reached"):
            await client.tags(f"{registry.address}/shop")


async def test_a_damaged_blob_is_not_taken_for_a_whole_one(registry: RegistryServer) -> None:
    image = f"{registry.address}/shop"
    async with Registry() as client:
        digest = await client.put_blob(image, b"what it was")
        assert await client.blob(image, digest, 100) == b"what it was"
        with pytest.raises(Rejected, match="more than 3 bytes"):
            await client.blob(image, digest, 3)
        hexadecimal = digest.removeprefix("sha256:")
        held = registry.data / "docker/registry/v2/blobs/sha256" / hexadecimal[:2] / hexadecimal
        (held / "data").write_bytes(b"what it is.")
        with pytest.raises(Rejected, match="damaged"):
            await client.blob(image, digest, 100)
