"""Where an instance is, and what each step of a drain is called."""

import asyncio
import json
import tempfile
from pathlib import Path

import pytest

from wharfinger.errors import Exit
from wharfinger.keys import InstanceKey
from wharfinger.kv import KeyValue
from wharfinger.operator.drain import Wish, described, drain, hosts_of

KEY = InstanceKey.parse("/shop_prod/10.0.0.5-20000")
ID = "c0ffee" + "0" * 58


def items() -> dict[str, KeyValue]:
    told = json.dumps({"id": ID, "name": "shop-1", "host": "h1"}).encode()
    values = {
        KEY.metadata: told,
        "/wharfinger/hosts/h1/registrar": b"{}",
        "/wharfinger/hosts/edge/discovery": b"{}",
        "/wharfinger/hosts/a/b/c": b"",
    }
    return {key: KeyValue(key, value, 1, 1, 1, 7) for key, value in values.items()}


@pytest.mark.parametrize(
    "name",
    ["h1", "shop-1", ID, "c0ffee", "10.0.0.5:20000", KEY.address, KEY.metadata],
)
def test_a_host_is_found_by_any_name_of_what_is_on_it(name: str) -> None:
    assert hosts_of(name, items()) == ["h1"]


@pytest.mark.parametrize("name", ["", "c0f", "edge", "shop", "x\n\x1b", "h1/registrar"])
def test_what_nobody_knows_is_nowhere(name: str) -> None:
    assert hosts_of(name, items()) == []


def test_each_step_in_words() -> None:
    assert described({"step": "removed", "instances": ["/a_b/c"]})[0] == "removed from etcd: /a_b/c"
    assert described({"step": "removed", "instances": []})[0] == "nothing of it is in etcd"
    waiting = {"step": "acknowledged", "waiting_for": ["e1", "e2"]}
    assert described(waiting) == ("", "waiting for discovery on e1, e2")
    assert "3 connections" in described({"step": "in flight", "connections": 3})[1]
    assert described({"step": "in flight", "connections": 1})[1].endswith(": 1 connection")
    assert described({"step": "in flight", "connections": "many"}) == ("", "")
    absent = {"step": "done", "not_registered": {ID: "is paused"}}
    assert described(absent)[0] == "done\nnot registered: c0ffee000000 is paused"
    assert described({"step": "of a later version"}) == ("", "")


async def test_a_host_of_thousands_leaves_in_one_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = [f"/{'shop' * 30}_prod/10.0.0.5-{port}" for port in range(20_000, 30_000)]
    steps = ({"step": "removed", "instances": keys}, {"step": "done"})
    body = b"".join(json.dumps(step).encode() + b"\n" for step in steps)

    async def registrar(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    config = tmp_path / "w.toml"
    # Sockets need short paths.
    with tempfile.TemporaryDirectory(prefix="wf-", dir="/tmp") as folder:
        config.write_text(f'[host]\nname = "box"\nruntime_dir = "{folder}"\n')
        async with await asyncio.start_unix_server(registrar, f"{folder}/registrar.sock"):
            wish = Wish(verb="drain", name="box", timeout_seconds=9)
            assert await drain(wish, path=config) is Exit.OK
    assert keys[-1] in capsys.readouterr().out
