"""What an operator does with a log store's files, beside a store that runs and without it."""

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from tests.stack.logstore import Server
from tests.stack.tls import Authority
from wharfinger.operator.parts.process import until

TODAY = datetime.now(UTC)
DAY = TODAY.date().isoformat()
STAMP = f"{DAY}T00:00:00Z"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with aiohttp.ClientSession() as client:
        made = Server(tmp_path, client)
        await made.start()
        yield made
        await made.process.kill()


async def logstore(server: Server, *arguments: str, code: int = 0) -> str:
    listen = server.url.partition("://")[2]
    command = [
        sys.executable, "-m", "logshipper.store",
        "--set", f"logstore.data_dir={server.data_dir}",
        "--set", f"logstore.listen={listen}", "--set", "logstore.min_free_bytes=0", *arguments,
    ]  # fmt: skip
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


async def send(server: Server, first: int, lines: int) -> None:
    sent = {f"aa.1.{n:x}": f"line {n}" for n in range(first, first + lines)}
    fields = {"@timestamp": STAMP, "env": "prod"}
    statuses = await server.bulk(sent, **fields)
    assert len(statuses) == lines


async def test_all_of_it_beside_a_store_that_runs(server: Server, tmp_path: Path) -> None:
    await send(server, 0, 1_500)
    (day,) = json.loads(await logstore(server, "days", "--json"))["days"]
    assert (day["tenant"], day["day"], day["lines"], day["state"]) == ("default", DAY, 1500, "ok")
    assert "nothing wrong found" in await logstore(server, "check", "--data")
    packed = tmp_path / "lines.ndjson.zst"
    assert "1,500 lines" in await logstore(server, "export", "-o", str(packed))
    # The same as the API gives, line by line.
    lines = (await logstore(server, "export", "--newest-first")).splitlines()
    async with server.client.get(f"{server.url}/api/export") as answer:
        assert [json.loads(line) for line in lines] == [
            json.loads(line) for line in (await answer.text()).splitlines()
        ]
    assert "0 new, 1,500 known, 0 bad" in await logstore(server, "import", str(packed))
    assert "is held by" in await logstore(server, "repair", code=69)
    assert "1 day, 1,500 lines" in await logstore(server, "backup", str(tmp_path / "to"))
    await send(server, 1_500, 10)
    found = await logstore(server, "backup", str(tmp_path / "to"), "--verify")
    assert "1 day, 1,500 lines, nothing wrong found" in found
    assert "is held by" in await logstore(server, "restore", str(tmp_path / "to"), code=69)
    assert len(await server.messages()) == 1_510


async def test_a_damaged_day_is_found_repaired_and_filled_up(
    server: Server, tmp_path: Path
) -> None:
    await send(server, 0, 2_500)
    kept = tmp_path / "kept.ndjson.gz"
    await logstore(server, "export", "-o", str(kept))
    await server.process.kill()
    path = server.data_dir / "default" / f"{DAY}.db"
    spoil = "UPDATE block SET body = zeroblob(50) WHERE id = 1"
    await asyncio.to_thread(_execute, path, spoil)
    found = await logstore(server, "check", "--data", "default", DAY, code=78)
    assert f"{path}, block 1: a block of lines is damaged" in found
    assert f"run `logstore repair default {DAY}`" in found
    planned = await logstore(server, "repair", "--dry-run")
    assert "1,500 lines would be kept, 1,000 lost" in planned
    done = await logstore(server, "repair", "default", DAY)
    assert "1,500 lines kept, 1,000 lost" in done
    assert len(list(path.parent.glob("*.damaged-*"))) == 1
    assert "1,000 new, 1,500 known" in await logstore(server, "import", str(kept))
    assert "nothing wrong found" in await logstore(server, "check", "--data")
    await server.start()
    assert sorted(await server.messages()) == sorted(f"line {n}" for n in range(2_500))


async def test_a_day_that_was_moved_away_is_repaired_beside_the_store_and_put_back(
    server: Server, tmp_path: Path
) -> None:
    await send(server, 0, 300)
    path = server.data_dir / "default" / f"{DAY}.db"
    aside = tmp_path / "aside"
    aside.mkdir()
    for name in (f"{DAY}.db", f"{DAY}.db-wal"):
        shutil.move(path.with_name(name), aside / name)
    (aside / f"{DAY}.db-shm").unlink(missing_ok=True)
    path.with_name(f"{DAY}.db-shm").unlink()

    async def taken() -> bool:
        lines = {f"aa.1.{n:x}": f"line {n}" for n in range(300, 310)}
        fields = {"@timestamp": STAMP, "env": "prod"}
        return len(await server.bulk(lines, **fields)) == 10

    # The first try goes into the file that was moved, and is refused for that.
    await until(taken, timeout_seconds=30, what="lines go into a new file")
    assert len(await server.messages()) == 10
    await asyncio.to_thread(_execute, aside / f"{DAY}.db", "DROP TABLE roll")
    done = await logstore(server, "repair", str(aside / f"{DAY}.db"))
    assert "310 lines kept, 0 lost" in done
    both = tmp_path / "both"
    (both / "default").mkdir(parents=True)
    shutil.move(aside / f"{DAY}.db", both / "default" / f"{DAY}.db")
    listed = ("--set", f"logstore.data_dir={both}")
    file = tmp_path / "lines.ndjson"
    await logstore(server, *listed, "export", "-o", str(file))
    assert "300 new, 10 known" in await logstore(server, "import", str(file))
    assert sorted(await server.messages()) == sorted(f"line {n}" for n in range(310))


async def test_a_backup_is_restored_to_a_store_that_lost_everything(
    server: Server, tmp_path: Path
) -> None:
    await send(server, 0, 1_200)
    await logstore(server, "backup", str(tmp_path / "to"))
    await server.process.kill()
    shutil.rmtree(server.data_dir)
    assert "1 day brought back" in await logstore(server, "restore", str(tmp_path / "to"))
    await server.start()
    assert len(await server.messages()) == 1_200
    # Ids are in it: what a sender has not heard of yet is known.
    await send(server, 1_190, 20)
    assert sorted(await server.messages()) == sorted(f"line {n}" for n in range(1_210))


async def test_lines_go_into_a_store_by_tls_and_token(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    pair = authority.issue("store", "127.0.0.1", "localhost")
    (tmp_path / "tokens").write_text("a-token-of-ours team-a shipper\n")
    files = {"cert_file": pair.cert_file, "key_file": pair.key_file}
    tokens = {"ingest_token_file": tmp_path / "tokens", "read_token_file": tmp_path / "tokens"}
    (tmp_path / "x.ndjson").write_text(f'{{"_id":"1","time":"{STAMP}","message":"x"}}\n')
    settings = [f"logstore.{k}={v}" for k, v in (files | tokens).items()]
    given = [part for each in settings for part in ("--set", each)]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as client:
        server = Server(tmp_path, client, **files, **tokens)
        server.url = server.url.replace("http:", "https:")
        await server.start()
        try:
            file = str(tmp_path / "x.ndjson")
            assert "1 new, 0 known" in await logstore(server, *given, "import", file)
            elsewhere = ("--url", server.url, "--token-file", str(tmp_path / "tokens"))
            trusted = (*elsewhere, "--ca-file", str(authority.ca_file))
            assert "0 new, 1 known" in await logstore(server, "import", file, *trusted)
            wrong = (*elsewhere, "--ca-file", "/proc/version")
            assert "holds no certificates" in await logstore(
                server, "import", file, *wrong, code=64
            )
            (day,) = json.loads(await logstore(server, "days", "--json"))["days"]
            assert (day["tenant"], day["lines"]) == ("team-a", 1)
        finally:
            await server.process.kill()


def _execute(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement)
    connection.close()
