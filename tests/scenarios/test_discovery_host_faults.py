"""Discovery when its host fails it: files, disks, commands and Nginx; and how long each lasts."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.stack.discovery import DiscoveryStack
from tests.stack.faults import SHOP, Measured, Record
from wharfinger.operator.parts.process import free_port

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(300)]


@pytest.fixture
def measured(discovery_stack: DiscoveryStack, record_property: Record) -> Measured:
    return Measured(discovery_stack, record_property)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


async def test_the_folder_of_a_file_vanishes(measured: Measured) -> None:
    stack = measured.stack
    folder = stack.folder / "etc"
    folder.mkdir()
    stack.write_resource("app", "{{ getv('/key') }}", dest=str(folder / "app.conf"))
    await stack.etcd.put("/key", b"right")
    await stack.start()
    folder.rename(stack.folder / "away")
    await measured.until_red("cannot be written", "red_seconds")
    only = await stack.backends.start()
    await stack.put("shop_prod", only, **SHOP)
    await measured.until(lambda: stack.serves(only), "other_resource_live_seconds")
    (stack.folder / "away").rename(folder)
    await measured.until(stack.healthy, "healthy_after_return_seconds")


async def test_the_disk_of_a_file_is_read_only(measured: Measured, disk: Path) -> None:
    stack = measured.stack
    dest = stack.write_resource("app", "{{ getv('/key') }}", dest=str(disk / "app.conf"))
    dest = disk / "app.conf"
    await stack.etcd.put("/key", b"1")
    await stack.start()
    await asyncio.to_thread(remount, disk, "ro")
    await stack.etcd.put("/key", b"2")
    await measured.until_red("Read-only file system", "red_seconds")
    assert dest.read_text() == "1"
    await asyncio.to_thread(remount, disk, "rw")
    await measured.until(stack.healthy, "healthy_after_return_seconds")
    assert dest.read_text() == "2"


async def test_the_disk_of_a_file_is_full(measured: Measured, disk: Path) -> None:
    stack = measured.stack
    stack.write_resource("app", "{{ getv('/key') * 1000 }}", dest=str(disk / "app.conf"))
    dest = disk / "app.conf"
    await stack.etcd.put("/key", b"1")
    await stack.start()
    fill(disk)
    await stack.etcd.put("/key", b"23456789")
    await measured.until_red("No space left", "red_seconds")
    assert dest.read_text() == "1" * 1000
    (disk / "full").unlink()
    await measured.until(stack.healthy, "healthy_after_return_seconds")
    assert dest.read_text() == "23456789" * 1000


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", disk], check=True)


def fill(disk: Path) -> None:
    with contextlib.suppress(OSError), (disk / "full").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 512)


async def test_the_disk_of_discovery_itself_is_full(measured: Measured, disk: Path) -> None:
    stack = measured.stack
    stack.config.write_text(
        stack.config.read_text().replace(f"{stack.folder / 'state'}", str(disk))
    )
    await stack.start()
    first, second = await stack.backends.start(), await stack.backends.start()
    await stack.until_applied(await stack.put("shop_prod", first, **SHOP))
    before = stack.nginx.include.read_bytes()
    fill(disk)
    refused = await stack.put("shop_prod", second, **SHOP)
    await measured.until_red("No space left", "red_seconds")
    assert stack.nginx.include.read_bytes() == before
    assert not await stack.applied(refused)
    (disk / "full").unlink()
    await measured.until(lambda: stack.serves(first, second), "live_after_return_seconds")
    await measured.until(stack.healthy, "healthy_after_return_seconds")


async def test_a_hung_check_and_all_that_it_has_started(measured: Measured) -> None:
    stack = measured.stack
    flag, pids = stack.folder / "hang", stack.folder / "pids"
    body = f"sleep 600 & echo $! >> {pids}; timeout 600 sleep 600 & echo $! >> {pids}; wait"
    check = stack.write_script("check", f"test ! -e {flag} || {{ {body}; }}")
    stack.write_config(nginx={"check_cmd": check, "check_timeout_seconds": 0.5})
    await stack.start()
    first, second = await stack.backends.start(), await stack.backends.start()
    await stack.until_applied(await stack.put("shop_prod", first, **SHOP))
    flag.touch()
    await stack.put("shop_prod", second, **SHOP)
    await measured.until_red("not done after", "red_seconds")
    flag.unlink()
    started = [int(word) for word in pids.read_text().split()]

    async def gone() -> bool:
        return not any(map(alive, started))

    try:
        await measured.until(gone, "grandchildren_gone_seconds")
        await measured.until(lambda: stack.serves(first, second), "live_when_mended_seconds")
    finally:
        for pid in filter(alive, started):
            os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_a_check_that_prints_without_end(measured: Measured) -> None:
    stack = measured.stack
    flag = stack.folder / "print"
    check = stack.write_script("check", f"test ! -e {flag} || exec yes wharfinger")
    stack.write_config(nginx={"check_cmd": check, "check_timeout_seconds": 3})
    await stack.start()
    only = await stack.backends.start()
    flag.touch()
    free = shutil.disk_usage("/tmp").free
    least = free
    await stack.put("shop_prod", only, **SHOP)

    async def red() -> bool:
        nonlocal least
        least = min(least, shutil.disk_usage("/tmp").free)
        return "not done after" in await stack.why_unhealthy()

    await measured.until(red, "red_seconds")
    measured.note("disk_taken_megabytes", round((free - least) / 1e6))
    memory = psutil.Process(stack.process.pid).memory_info().rss
    measured.note("discovery_megabytes", round(memory / 1e6))
    assert free - least < 500e6
    assert memory < 200e6
    by_name = {one["name"]: one for one in (await stack.ask_json("/status"))["resources"]}
    assert "wharfinger\n" in by_name["nginx"]["commands"][-1]["output"]
    flag.unlink()
    await measured.until(lambda: stack.serves(only), "live_when_mended_seconds")


async def test_nginx_dies(measured: Measured) -> None:
    stack = measured.stack
    await stack.start()
    first, second = await stack.backends.start(), await stack.backends.start()
    await stack.until_applied(await stack.put("shop_prod", first, **SHOP))
    await stack.nginx.process.kill()
    await stack.nginx.stop()
    # A host keeps the folder in which Nginx puts its own: without it no check passes.
    (stack.nginx.folder / "temp").mkdir()
    await measured.until_red("nginx", "red_seconds")
    revision = await stack.put("shop_prod", second, **SHOP)
    await stack.until(lambda: named(stack, second), "the file is ready for its next start")
    assert not await stack.applied(revision)
    await stack.nginx.start()
    assert await stack.serves(first, second)
    await measured.until(lambda: stack.applied(revision), "acknowledged_after_return_seconds")
    await measured.until(stack.healthy, "healthy_after_return_seconds")


async def named(stack: DiscoveryStack, address: str) -> bool:
    return address in stack.nginx.include.read_text()


async def test_nginxs_master_hangs(measured: Measured) -> None:
    stack = measured.stack
    stack.write_config(nginx={"confirm_timeout_seconds": 1})
    await stack.start()
    first, second = await stack.backends.start(), await stack.backends.start()
    await stack.until_applied(await stack.put("shop_prod", first, **SHOP))
    stack.nginx.process.freeze()
    try:
        revision = await stack.put("shop_prod", second, **SHOP)
        await measured.until_red("does not serve generation", "red_seconds")
        assert (await stack.get()).text == first
        assert not await stack.applied(revision)
    finally:
        stack.nginx.process.thaw()
    await measured.until(lambda: stack.serves(first, second), "live_after_return_seconds")
    await measured.until(stack.healthy, "healthy_after_return_seconds")


async def test_a_start_that_cannot_put_one_file_back_serves_the_others(measured: Measured) -> None:
    stack = measured.stack
    folder, flag, pid = stack.folder / "etc", stack.folder / "hang", stack.folder / "pid"
    folder.mkdir()
    body = f"test ! -e {flag} || {{ echo $$ > {pid}; exec sleep 600; }}"
    check = stack.write_script("check", body)
    stack.write_resource(
        "app", "{{ getv('/key') }}", dest=str(folder / "app.conf"), check_cmd=check
    )
    await stack.etcd.put("/key", b"1")
    await stack.start()
    flag.touch()
    await stack.etcd.put("/key", b"2")

    async def in_check() -> bool:
        return pid.exists() and bool(pid.read_text().strip())

    await stack.until(in_check, "the check of the new file hangs")
    await stack.process.kill()
    os.kill(int(pid.read_text()), signal.SIGKILL)
    flag.unlink()
    folder.rename(stack.folder / "away")
    since = time.monotonic()
    await stack.start()
    only = await stack.backends.start()
    await stack.put("shop_prod", only, **SHOP)
    await stack.until_served(only)
    measured.note("other_resource_live_seconds", round(time.monotonic() - since, 3))
    assert "app" in await stack.why_unhealthy()
    (stack.folder / "away").rename(folder)
    await measured.until(stack.healthy, "healthy_after_return_seconds")
    assert (folder / "app.conf").read_text() == "2"
    assert sorted(path.name for path in folder.iterdir()) == ["app.conf"]


async def test_a_second_discovery_of_this_host(measured: Measured) -> None:
    stack = measured.stack
    await stack.start()
    since = time.monotonic()
    second = await asyncio.create_subprocess_exec(
        *stack.process.command, "--set", f"discovery.listen=127.0.0.1:{free_port()}",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    told, _ = await second.communicate()
    measured.note("refused_seconds", round(time.monotonic() - since, 3))
    assert second.returncode == 69
    assert b"is held by 'discovery pid" in told
    only = await stack.backends.start()
    await stack.put("shop_prod", only, **SHOP)
    await stack.until_served(only)
