"""`wharfinger drain` and `undrain` as people and programs call them, on real parts."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.discovery import DiscoveryStack
from tests.stack.registrar import RegistrarStack
from wharfinger.errors import Exit, Rejected, Unavailable
from wharfinger.operator.drain import Wish, drain
from wharfinger.operator.parts.etcd import EtcdServer

pytestmark = pytest.mark.real


@pytest.fixture
def empty_host(etcd_server: EtcdServer) -> Iterator[Path]:
    """The configuration of a host without a registrar."""
    folder = Path(tempfile.mkdtemp(prefix="wf-", dir="/tmp"))
    path = folder / "wharfinger.toml"
    path.write_text(
        f'[host]\nname = "pier"\nruntime_dir = "{folder}/run"\n'
        f'[etcd]\nendpoints = ["{etcd_server.endpoint}"]\n'
    )
    yield path
    shutil.rmtree(folder)


def wish(name: str, verb: str = "drain", timeout_seconds: float = 20.0, **more: bool) -> Wish:
    return Wish(verb=verb, name=name, timeout_seconds=timeout_seconds, **more)


async def test_for_people_and_for_programs(
    registrar_stack: RegistrarStack, edge: DiscoveryStack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = registrar_stack
    await stack.run_shop(name="one")
    before = await stack.until_keys(1)
    assert await drain(wish("one"), path=stack.config) is Exit.OK
    out = capsys.readouterr().out
    assert re.match(r"removed from etcd: /shop_prod/127.0.0.1-\d+\n", out)
    assert out.endswith("\ndone\n")
    assert "every discovery serves without it\n" in out
    back = wish("one", "undrain", as_json=True)
    assert await drain(back, path=stack.config) is Exit.OK
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == {"step": "undrained", "was_drained": True}
    assert lines[1] == {"step": "registered", "instances": list(before)}
    assert await drain(back, path=stack.config) is Exit.OK
    assert json.loads(capsys.readouterr().out.splitlines()[0])["was_drained"] is False
    assert await drain(wish("box"), path=stack.config) is Exit.OK
    assert not await stack.keys()
    status = await stack.ask("/status")
    assert status["host_drained"]
    assert status["containers"][0]["why"].startswith("host drained by ")


async def test_a_stop_after_a_drain_is_not_held_back_for_another(
    registrar_stack: RegistrarStack, edge: DiscoveryStack
) -> None:
    stack = registrar_stack
    await stack.run_shop("--label=wharfinger.drain=7", name="one")
    await stack.until_keys(1)

    async def told() -> str:
        words = ("exec", "one", "tail", "-n", "1", "/dev/shm/wharfinger.port")
        return (await stack.docker.run(*words)).strip()

    assert await told() == "7"
    assert await drain(wish("one"), path=stack.config) is Exit.OK
    assert await told() == "0"
    assert await drain(wish("one", "undrain"), path=stack.config) is Exit.OK
    assert await told() == "7"
    # What was not waited for may be sent requests still.
    assert await drain(wish("one", wait=False), path=stack.config) is Exit.OK
    assert await told() == "7"


async def test_a_frozen_discovery_ends_it_with_75_and_no_wait_does_not_ask(
    registrar_stack: RegistrarStack, edge: DiscoveryStack
) -> None:
    stack = registrar_stack
    await asyncio.gather(stack.run_shop(name="one"), stack.run_shop(name="two"))
    await stack.until_keys(2)
    edge.process.freeze()
    try:
        # Time enough for the removal, which a busy etcd takes a while for.
        code, out, err = await called(stack.config, "drain", "one", "--timeout", "5")
        assert code == 75
        assert "waiting for discovery on edge-1" in out
        assert "discovery on edge-1" in err
        code, out, err = await called(stack.config, "drain", "two", "--no-wait", "--json")
        assert (code, err) == (0, "")
        assert [json.loads(line)["step"] for line in out.splitlines()] == ["removed", "done"]
        assert not await stack.keys()
    finally:
        edge.process.thaw()


async def called(config: Path, *words: str) -> tuple[int | None, str, str]:
    """Runs the command as a person does."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from wharfinger.operator.cli import main; main()"),
        *words,
        "--config",
        str(config),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TERM": "dumb"},
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_another_hosts_instance_is_sent_there(
    registrar_stack: RegistrarStack, empty_host: Path
) -> None:
    stack = registrar_stack
    container = await stack.run_shop(name="one")
    before = await stack.until_keys(1)
    (key,) = before
    for name in ("one", container[:8], key, key.rpartition("/")[2].replace("-", ":"), "box"):
        where = "is another host" if name == "box" else "is on host box"
        command = f"wharfinger drain {name}"
        told = f"{where}: run `{command}` there, or here `{command} --remote`"
        with pytest.raises(Unavailable, match=re.escape(told)):
            await drain(wish(name), path=empty_host)
    # Whoever is not known of here may be where etcd does not tell of.
    with pytest.raises(Unavailable, match=r"no such socket: does it run\?.* with --remote"):
        await drain(wish("nobody"), path=empty_host)
    with pytest.raises(Rejected, match=r"no instance 'nobody'; there are one.* with --remote"):
        await drain(wish("nobody"), path=stack.config)
    assert await stack.keys() == before


async def test_a_registrar_that_is_down_is_named(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    await stack.run_shop(name="one")
    await stack.until_keys(1)
    await stack.process.kill()
    with pytest.raises(Unavailable, match="Connection refused; 'one' is on this host: start its"):
        await drain(wish("one"), path=stack.config)
    with contextlib.suppress(FileNotFoundError):
        (stack.runtime_dir / "registrar.sock").unlink()
    with pytest.raises(Unavailable, match="no such socket"):
        await drain(wish("one"), path=stack.config)
