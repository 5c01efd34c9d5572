"""Recipes of layers: what stands on what, what decides what is in them; the probe in them all."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.release.images import layers
from deploy.release.images.layers import RECIPES, SOURCES, digest_of, wanted
from deploy.release.images.model import Entry, Kind, Layer
from deploy.release.images.programtime import newest_program
from deploy.release.images.tree import Tree
from wharfinger.errors import ConfigError
from wharfinger.operator.parts.process import free_port

PROBE = SOURCES / "port-answers"


def test_what_a_layer_stands_on_is_made_first() -> None:
    assert [recipe.name for recipe in wanted(["tomcat"])] == ["debian", "java", "tomcat"]
    assert wanted(["tomcat", "small", "java"])[0].name == "small"
    assert wanted([]) == RECIPES


def test_a_layer_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"no layer 'tomcat9'; there are small, debian, nginx"):
        wanted(["tomcat9"])


def test_each_folder_is_a_recipe_and_says_on_what_it_stands_and_as_whom_it_runs() -> None:
    below = {recipe.name: recipe.below for recipe in RECIPES}
    found = {file.parent.name: file for file in SOURCES.glob("*/Dockerfile")}
    for other in ("agent", "demo", "app-template"):
        del found[other]
    assert found.keys() == {name for name, stands in below.items() if stands}
    for name, file in found.items():
        lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
        assert lines[:2] == [f"ARG LAYER=wharfinger/{below[name]}", "FROM ${LAYER}"]
        assert [line for line in lines if line.startswith("USER")] == ["USER root", "USER app"]


def test_whatever_decides_what_is_in_a_layer_changes_its_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "images"
    shutil.copytree(SOURCES, copy)
    monkeypatch.setattr(layers, "SOURCES", copy)
    by_name = {recipe.name: recipe for recipe in RECIPES}
    names = ("small", "debian", "java", "tomcat", "nginx")

    def changed(before: dict[str, str]) -> set[str]:
        return {name for name, digest in before.items() if digest_of(by_name[name]) != digest}

    def now() -> dict[str, str]:
        return {name: digest_of(by_name[name]) for name in names}

    before = now()
    assert changed(before) == set()
    (copy / "tomcat" / "conf" / "web.xml").write_text("<web-app/>")
    assert changed(before) == {"tomcat"}
    before = now()
    (copy / "java" / "run-java").chmod(0o644)
    assert changed(before) == {"java", "tomcat"}
    before = now()
    (copy / "with-port").write_text("#!/bin/sh\n")
    assert changed(before) == set(names)


def test_the_newest_program_is_one_of_a_package() -> None:
    def file(path: str, time: int) -> Entry:
        return Entry(path, Kind.FILE, 1, time=time)

    entries = (
        file("usr/bin/perl", 50),
        file("usr/lib/x86_64-linux-gnu/libz.so.1.2", 70),
        file("usr/local/bin/with-port", 99),
        file("bin/with-port", 99),
        file("var/lib/dpkg/status", 99),
        file("usr/lib/python3/x.py", 99),
        Entry("usr/bin/awk", Kind.SYMLINK, time=99),
    )
    assert newest_program(Tree([Layer("sha256:0", entries)])) == 70
    assert newest_program(Tree([])) == 0


async def probe(*arguments: str, **environment: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "sh",
        PROBE,
        *arguments,
        env={"PATH": "/usr/bin:/bin", **environment},
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate()
    return process.returncode or 0, told.decode()


@pytest.mark.parametrize(
    ("answer", "path", "code"),
    [
        ("HTTP/1.1 200 OK", "/healthz", 0),
        ("HTTP/1.1 302 Found", "/healthz", 0),
        ("HTTP/1.1 500 Broken", "/healthz", 1),
        ("HTTP/1.1 404 Not Found", "/healthz", 1),
        ("SSH-2.0-OpenSSH", "/healthz", 1),
        ("", "/healthz", 1),
        ("SSH-2.0-OpenSSH", "", 0),
    ],
)
async def test_the_probe_takes_what_answers_well(
    tmp_path: Path, answer: str, path: str, code: int
) -> None:
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if path:
            asked.append(await reader.readline())
        writer.write(f"{answer}\r\n\r\n".encode() if answer else b"")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        (tmp_path / "port").write_text(f"{port}\n5\n")
        words = (path,) if path else ()
        assert (await probe(*words, PORT=str(port)))[0] == code
        file = str(tmp_path / "port")
        assert (await probe(*words, WHARFINGER_PORT_FILE=file))[0] == code
    assert all(line == b"GET /healthz HTTP/1.0\r\n" for line in asked)


async def test_the_probe_says_what_is_wrong(tmp_path: Path) -> None:
    port = free_port()
    assert await probe("/x", PORT=str(port)) == (
        1,
        f"port-answers: nothing answers on port {port} for /x\n",
    )
    assert "has given no port yet" in (await probe(WHARFINGER_PORT_FILE=f"{tmp_path}/none"))[1]
    assert (await probe(PORT="80; id")) == (1, "port-answers: 80; id is no port\n")


@pytest.mark.parametrize(
    "script",
    [
        path
        for path in sorted(SOURCES.rglob("*"))
        if path.is_file() and path.read_bytes().startswith(b"#!/bin/sh\n")
    ],
    ids=lambda path: path.name,
)
def test_scripts_are_for_any_shell(script: Path) -> None:
    for shell in (["dash"], ["busybox", "sh"]):
        if shutil.which(shell[0]):
            subprocess.run([*shell, "-n", script], check=True)
