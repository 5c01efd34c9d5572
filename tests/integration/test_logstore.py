"""The log store as a process: killed, filled up, stopped; nothing acknowledged is ever missing."""

import asyncio
import random
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.stack.logstore import Sender, Server
from wharfinger.operator.parts.process import free_port, until


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield session


@pytest.fixture
async def server(tmp_path: Path, client: aiohttp.ClientSession) -> AsyncIterator[Server]:
    made = Server(tmp_path, client)
    await made.start()
    yield made
    await made.process.kill()


async def test_kill_9_while_many_send_loses_and_doubles_nothing(server: Server) -> None:
    """Every line that was answered with 200 or 201 is found, once, after each kill."""
    dice = random.Random(20261123)
    senders = [Sender(server, number) for number in range(6)]
    stop = asyncio.Event()
    running = [asyncio.create_task(sender.run(stop)) for sender in senders]

    def acknowledged() -> set[str]:
        return set[str]().union(*(sender.acknowledged for sender in senders))

    async def more_than(count: int) -> bool:
        assert not any(task.done() for task in running)
        return len(acknowledged()) > count

    for _ in range(4):
        wanted = len(acknowledged()) + dice.randrange(2_000, 6_000)
        await until(
            lambda wanted=wanted: more_than(wanted),  # type: ignore[misc]
            timeout_seconds=60,
            what="lines are acknowledged",
        )
        await asyncio.sleep(dice.random() / 10)  # anywhere inside a commit, not at its end
        await server.process.kill()
        promised = acknowledged()
        await server.start()
        assert promised <= set(await server.messages())
    stop.set()
    await asyncio.gather(*running)
    found = await server.messages()
    assert len(found) == len(set(found))
    assert set(found) == acknowledged()
    assert await server.process.terminate() == 0
    for path in server.data_dir.glob("*/*.db"):
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.execute("INSERT INTO line_index (line_index) VALUES ('integrity-check')")
        connection.close()


async def test_sigterm_finishes_what_was_begun(server: Server) -> None:
    sender = Sender(server, 1)
    stop = asyncio.Event()
    running = asyncio.create_task(sender.run(stop))
    await until(lambda: _holds(bool(sender.acknowledged)), timeout_seconds=30, what="some lines")
    assert await server.process.terminate() == 0
    await server.start()
    stop.set()
    await running
    assert set(await server.messages()) == sender.acknowledged


async def test_searchable_when_acknowledged(server: Server) -> None:
    for n in range(20):
        assert list((await server.bulk({f"c.1.{n:x}": f"needle{n}"})).values()) == [201]
        found = await server.get(f"/api/search?q=needle{n}&app=shop")
        assert [hit["message"] for hit in found["hits"]] == [f"needle{n}"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.real
async def test_a_full_disk_refuses_keeps_what_it_has_and_recovers(
    small_disk: Path, client: aiohttp.ClientSession
) -> None:
    server = Server(small_disk, client)
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 4 * 2**20)
    await server.start()
    try:
        acknowledged: set[str] = set()
        for number in range(400):
            numbers = range(number * 500, number * 500 + 500)
            body = {f"c.1.{n:x}": f"{n} {random.getrandbits(400):x}" for n in numbers}
            statuses = await server.bulk(body)
            if not statuses:
                break
            acknowledged |= {body[identity] for identity in statuses}
        assert not statuses, "the disk never filled up"
        assert acknowledged
        assert set(await server.messages()) == acknowledged

        async def red() -> bool:
            health = await server.get("/healthz")
            return not health["healthy"] and "full" in health["why"]

        # It is looked at twice a second, so not at once.
        await until(red, timeout_seconds=30, what="health names the full disk")
        filler.unlink()

        async def taken() -> bool:
            return set((await server.bulk(body)).values()) == {201}

        await until(taken, timeout_seconds=30, what="lines are taken again")
        assert set(await server.messages()) == acknowledged | set(body.values())

        async def healthy() -> bool:
            return bool((await server.get("/healthz"))["healthy"])

        await until(healthy, timeout_seconds=30, what="health is green again")
    finally:
        await server.process.kill()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "logshipper.store", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_verbs(tmp_path: Path) -> None:
    data = f"logstore.data_dir={tmp_path}"
    assert run("check", "--set", data).returncode == 0
    nowhere = run("check", "--set", "logstore.data_dir=/proc/logstore")
    assert nowhere.returncode == 78
    assert "/proc cannot be written" in nowhere.stdout
    shown = run("config", "--set", data)
    assert shown.returncode == 0
    assert "logstore.retention_days = 7" in shown.stdout
    refused = run("run", "--set", "logstore.listen=0.0.0.0:7280", "--set", data)
    assert refused.returncode == 78
    assert "ingest_token_file" in refused.stderr
    assert "read_token_file" in refused.stderr
    empty = tmp_path / "tokens"
    empty.touch()
    token = run("check", "--set", data, "--set", f"logstore.read_token_file={empty}")
    assert token.returncode == 78
    assert "without a token" in token.stdout
    assert run("explode").returncode == 64


async def test_a_second_store_on_the_same_folder_is_refused(server: Server) -> None:
    listen = f"logstore.listen=127.0.0.1:{free_port()}"
    second = await asyncio.to_thread(
        run, "run", "--set", listen, "--set", f"logstore.data_dir={server.data_dir}"
    )
    assert second.returncode == 69
    assert "is held by 'logstore pid" in second.stderr
    assert await server.ready()


async def _holds(condition: object) -> bool:
    return bool(condition)
