"""`deploy build` with a real engine: the template's application on the small layer."""

import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.release.app.model import App, Build
from deploy.release.images import layers, lock
from deploy.release.images.building import Built, build
from deploy.release.images.docker import Docker
from deploy.release.images.layers import RECIPES, SOURCES
from tests.stack.told import Told
from wharfinger.errors import ConfigError, Unavailable
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.process import free_port, until
from wharfinger.operator.parts.registry import RegistryServer

pytestmark = pytest.mark.real

APP = App(name="shop", image="registry.example:5000/shop", build=Build(layer="small"))
EPOCH = "1790000000"


class Site:
    """An engine with the small layer, and a working copy of the template."""

    def __init__(self, docker: DockerDaemon, folder: Path) -> None:
        self.docker = docker
        self.folder = folder
        self.told = Told()

    async def build(self, app: App = APP, *, update_lock: bool = False) -> Built:
        return await build(app, self.folder, self.told, self.docker.url, update_lock=update_lock)

    def dockerfile(self, *lines: str) -> None:
        text = "\n".join(("ARG LAYER", "FROM ${LAYER}", *lines, ""))
        (self.folder / "Dockerfile").write_text(text, encoding="ascii")

    async def inspect(self, image: str) -> dict[str, object]:
        found: list[dict[str, object]] = json.loads(
            await self.docker.run("image", "inspect", image)
        )
        return found[0]

    async def forget(self) -> None:
        """Leaves the engine nothing that a build could take from an earlier one."""
        await self.docker.run("image", "rm", f"{APP.image}:built")
        await self.docker.run("image", "prune", "--force")


@pytest.fixture
async def site(
    docker_daemon: DockerDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Site]:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    shutil.copytree(SOURCES / "app-template", tmp_path / "shop")
    found = Site(docker_daemon, tmp_path / "shop")
    try:
        await docker_daemon.run("image", "inspect", "wharfinger/small")
    except Unavailable:
        await layers.make(RECIPES[0], "wharfinger", found.told, docker_daemon.url)
    yield found
    await docker_daemon.remove_containers()


async def test_the_template_is_built_on_the_locked_layer_and_runs(site: Site) -> None:
    with pytest.raises(ConfigError, match=r"layers\.lock: does not name the layer 'small'"):
        await site.build()
    built = await site.build(update_lock=True)
    locked = lock.read((site.folder / lock.FILE).read_text())["small"]
    assert locked.image == "wharfinger/small"
    assert locked.recipe == layers.digest_of(RECIPES[0])
    found = await site.inspect(f"{APP.image}:built")
    assert found["Id"] == built.image_id
    assert [each.own for each in built.sizes] == [False, True]
    assert built.sizes[0].diff_id == locked.diff_ids[0]
    assert built.sizes[1].packed_size is not None
    assert built.sizes[1].packed_size < 1000
    kept = json.loads((site.folder / ".wharf" / "built.json").read_text())
    assert kept["image_id"] == built.image_id
    assert (site.folder / ".wharf" / ".gitignore").read_text() == "*\n"
    port = free_port()
    words = ("run", "--detach", "--network=host", "--read-only", f"--env=PORT={port}")
    container = await site.docker.run(*words, built.image_id)

    async def answers() -> bool:
        try:
            await site.docker.run("exec", container, "port-answers", "/healthz")
        except Unavailable:
            return False
        return True

    await until(answers, timeout_seconds=30, what="the application answers")
    with pytest.raises(Unavailable, match="exit code 1"):
        await site.docker.run("exec", container, "port-answers", "/nothing")
    assert (await site.docker.run("exec", container, "id", "-u")) == "1000"


async def test_built_again_elsewhere_it_is_the_same_image(site: Site, tmp_path: Path) -> None:
    site.dockerfile("RUN mkdir /tmp/made", "WORKDIR /srv/deep", "COPY app app")
    first = await site.build(update_lock=True)
    await site.forget()
    other = Site(site.docker, tmp_path / "elsewhere")
    shutil.copytree(site.folder, other.folder)
    for file in other.folder.rglob("*"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    again = await other.build()
    assert again.image_id == first.image_id
    assert len(again.sizes) == 4


async def test_a_change_of_the_application_changes_its_layer_alone(site: Site) -> None:
    first = await site.build(update_lock=True)
    (site.folder / "app" / "www" / "index.html").write_text("another")
    second = await site.build()
    assert second.image_id != first.image_id
    assert second.sizes[:-1] == first.sizes[:-1]


async def test_a_release_sends_no_layer_again_that_a_run_made(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even one above the application, which Docker makes anew each time."""
    site.dockerfile("USER root", "COPY app /app", "RUN cp /bin/busybox /srv-tool", "USER app")
    first = await site.build(update_lock=True)
    (site.folder / "app" / "www" / "index.html").write_text("another")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int(EPOCH) + 3600))
    second = await site.build()
    changed = [a.diff_id != b.diff_id for a, b in zip(first.sizes, second.sizes, strict=True)]
    assert changed == [False, True, False]


async def test_what_a_later_layer_deletes_is_refused_and_no_image_has_the_name(site: Site) -> None:
    site.dockerfile("USER root", "COPY app /app", "RUN rm -r /app/www")
    with pytest.raises(ConfigError) as caught:
        await site.build(update_lock=True)
    assert str(caught.value).startswith("/app/www: layer 3 deletes what layer 2 brought: ")
    assert not (site.folder / ".wharf").exists()
    site.dockerfile("USER root", "RUN rm /bin/vi")
    with pytest.raises(ConfigError, match="/bin/vi: layer 2 deletes what the layers below brought"):
        await site.build()


async def test_a_jdk_in_the_image_is_refused(site: Site) -> None:
    home = site.folder / "app" / "jdk" / "lib" / "server"
    home.mkdir(parents=True)
    (home / "libjvm.so").write_bytes(b"\x7fELF" + bytes(5000))
    with pytest.raises(ConfigError, match=r"/app/jdk: a Java runtime of 5 kB is in layer 2"):
        await site.build(update_lock=True)


async def test_java_of_the_host_needs_glibc_in_the_image(site: Site) -> None:
    app = replace(APP, build=Build(layer="small", java=True))
    with pytest.raises(ConfigError, match="finds in the image no /lib"):
        await site.build(app, update_lock=True)


async def test_an_image_on_another_layer_is_refused(site: Site) -> None:
    (site.folder / "Dockerfile").write_text("FROM busybox\nCOPY app /app\n", encoding="ascii")
    with pytest.raises(ConfigError, match="the image does not stand on wharfinger/small"):
        await site.build(update_lock=True)


async def test_a_layer_that_is_no_longer_the_locked_one_is_refused(site: Site) -> None:
    app = replace(APP, build=Build(layer="layers/moving:1"))
    await site.docker.run("tag", "wharfinger/small", "layers/moving:1")
    await site.build(app, update_lock=True)
    await site.docker.run("tag", "busybox", "layers/moving:1")
    with pytest.raises(ConfigError, match="is not what was locked"):
        await site.build(app)
    await site.docker.run("image", "rm", "layers/moving:1")
    with pytest.raises(ConfigError, match="there is no image layers/moving:1; make it, or name"):
        await site.build(app)
    ours = replace(APP, build=Build(layer="wharfinger/none"))
    with pytest.raises(ConfigError, match=r"make it \(/.* -m deploy.release.images.layers none\)"):
        await site.build(ours, update_lock=True)


async def test_a_layer_of_a_registry_is_locked_by_its_digest_and_pulled(
    site: Site, registry: RegistryServer
) -> None:
    name = f"{registry.address}/layers/small"
    app = replace(APP, build=Build(layer=name))
    await site.docker.run("tag", "wharfinger/small", name)
    await site.docker.run("push", name)
    first = await site.build(app, update_lock=True)
    locked = lock.read((site.folder / lock.FILE).read_text())[name]
    assert locked.image.startswith(f"{name}@sha256:")
    # Another layer by the same name counts for nothing, here or in the registry.
    await site.docker.run("tag", "busybox", name)
    await site.docker.run("push", name)
    await site.forget()
    assert (await site.build(app)).image_id == first.image_id
    await site.build(app, update_lock=True)
    assert lock.read((site.folder / lock.FILE).read_text())[name].diff_ids != locked.diff_ids


async def test_an_engine_that_wants_all_layers_gets_them(
    site: Site, monkeypatch: pytest.MonkeyPatch, breakable_docker_daemon: DockerDaemon
) -> None:
    """As one does that keeps its images in containerd: here one that has no layer yet."""
    run = Docker.run

    async def elsewhere(self: Docker, *words: str | os.PathLike[str], loud: bool = False) -> str:
        if words[0] == "load":
            return await breakable_docker_daemon.run(*words)
        return await run(self, *words, loud=loud)

    monkeypatch.setattr(Docker, "run", elsewhere)
    built = await site.build(update_lock=True)
    assert any(step.startswith("loading it whole") for step in site.told.steps)
    id_there = ("image", "inspect", "--format={{.Id}}", f"{APP.image}:built")
    assert await breakable_docker_daemon.run(*id_there) == built.image_id


async def test_a_build_that_fails_says_what_docker_said(site: Site) -> None:
    site.dockerfile("RUN echo it is broken >&2 && false")
    with pytest.raises(Unavailable, match="it is broken"):
        await site.build(update_lock=True)


async def test_what_is_unusual_is_remarked(site: Site) -> None:
    site.dockerfile("USER root", "COPY app /app", 'ENTRYPOINT ["/app/start"]')
    await site.build(update_lock=True)
    remarks = [step for step in site.told.steps if step.startswith("remark: ")]
    assert [remark.split(":")[1].strip() for remark in remarks] == [
        "git tells no commit here",
        "USER",
        "ENTRYPOINT",
    ]


async def test_labels_say_the_commit_and_no_password(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH")

    def git(*words: str, **environment: str) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *words]
        done = subprocess.run(
            command,
            cwd=site.folder,
            env={**os.environ, **environment},
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    git("init", "--quiet")
    git("remote", "add", "origin", "https://me:secret@git.example/shop.git")
    (site.folder / ".gitignore").write_text("layers.lock\n")
    git("add", "--all")
    git("commit", "--quiet", "--message=x", GIT_COMMITTER_DATE="@1791000000 +0000")
    built = await site.build(update_lock=True)
    assert built.labels["org.opencontainers.image.source"] == "https://git.example/shop.git"
    assert built.labels["org.opencontainers.image.revision"] == git("rev-parse", "HEAD")
    assert built.labels["org.opencontainers.image.created"] == "2026-10-03T04:00:00Z"
    assert built.labels["wharfinger.layers"].startswith("wharfinger/small sha256:")
    (site.folder / "app" / "start").write_text("#!/bin/sh\n")
    changed = await site.build()
    assert changed.labels["org.opencontainers.image.revision"].endswith("-dirty")
