"""The command as a process: on a terminal, in a pipe that closes, in a pager, interrupted."""

import asyncio
import os
import re
import signal
import sys
import termios
from pathlib import Path
from typing import Any

from tests.operator.logs.stores import Store

PROGRAM = str(Path(sys.executable).parent / "wharfinger")
HOSTILE = "\x1b]0;title\x07 \x1b[2J\x1b[H\x1b[?1049h \x9b31m \u202eabc \r\n\x00 \x1b[31mred"


def started(*arguments: str, **options: Any) -> Any:
    environment = {**os.environ, "TERM": "xterm", "TZ": "UTC", **options.pop("env", {})}
    environment.pop("NO_COLOR", None)
    piped = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    return asyncio.create_subprocess_exec(
        PROGRAM, "logs", *arguments, env=environment, **{**piped, **options}
    )


async def on_terminal(*arguments: str, **options: Any) -> str:
    """What a terminal gets to read."""
    ours, theirs = os.openpty()
    attributes = termios.tcgetattr(theirs)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    process = await started(*arguments, stdout=theirs, **options)
    os.close(theirs)
    read = bytearray()

    def drained() -> None:
        # A terminal whose other side is closed gives EIO (pty(7)).
        try:
            while part := os.read(ours, 65_536):
                read.extend(part)
        except OSError:
            os.close(ours)

    await asyncio.gather(asyncio.to_thread(drained), process.communicate())
    assert process.returncode == 0
    return read.decode()


async def test_who_finds_nothing_is_told(store: Store) -> None:
    await store.add("one", app="shop")
    ours, theirs = os.openpty()
    for wanted, told in (("shop", b""), ("shpo", b"nothing was found since")):
        for ways in ([], ["--histogram"], ["--top", "app"], ["-C", "1"]):
            process = await started(
                "--url", store.url, "--since", "1h", "--app", wanted, *ways, stdout=theirs
            )
            _, stderr = await process.communicate()
            assert told in stderr
            assert bool(stderr) == bool(told)
            assert process.returncode == 0
    piped = await started("--url", store.url, "--app", "shpo")
    assert await piped.communicate() == (b"", b"")
    os.close(ours)
    os.close(theirs)


async def test_on_a_terminal_there_are_colours_and_nothing_else(store: Store) -> None:
    await store.add(HOSTILE, "boom\n at 1\n at 2\n at 3", level="error", app="\x1b]0;x\x07")
    shown = await on_terminal("--url", store.url, "red")
    assert "\x1b[31m" in shown
    assert "\x1b[30;43mred" in shown
    for row in shown.splitlines():
        assert re.sub(r"\x1b\[[0-9;]*m", "", row).isprintable()
    folded = await on_terminal("--url", store.url, "boom")
    assert "... 2 lines folded" in folded
    assert "\n" not in await on_terminal("--url", store.url, "-q", "red")


async def test_a_reader_that_has_seen_enough(store: Store) -> None:
    await store.add(*["x" * 1_000] * 3_000)
    process = await started("--url", store.url, "-n", "all")
    assert (await process.stdout.readline()).endswith(b"x\n")
    process.stdout._transport.close()
    assert await process.wait() == 0
    assert await process.stderr.read() == b""


async def test_an_interrupted_tail_is_quiet(store: Store) -> None:
    await store.add("x")
    process = await started("--url", store.url, "-f")
    await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert await process.communicate() == (b"", b"")
    assert process.returncode == 0


async def test_an_interrupted_pipe_says_that_it_is_not_all(store: Store) -> None:
    await store.add(*["x" * 1_000] * 3_000)
    process = await started("--url", store.url, "-n", "all")
    await process.stdout.readline()
    # It waits for its reader now: the pipe is full.
    process.send_signal(signal.SIGINT)
    _, said = await process.communicate()
    assert process.returncode in {0, 75}
    assert process.returncode == 0 or b"these are not all" in said


async def test_in_a_pager(store: Store, tmp_path: Path) -> None:
    await store.add("x", "boom\n at 1\n at 2\n at 3", level="error")
    paged = tmp_path / "paged"
    environment = {"PAGER": f"tee {paged}"}
    await on_terminal("--url", store.url, "--pager", env=environment)
    rows = paged.read_text().splitlines()
    assert [row.split()[-1] for row in rows[:2]] == ["x\x1b[0m", "boom\x1b[0m"]
    assert rows[-1] == "    \x1b[2m... 2 lines folded\x1b[0m"
    process = await started("--url", store.url, "--pager", env={"PAGER": "/no/such/pager"})
    _, said = await process.communicate()
    assert process.returncode == 69
    assert b"the pager '/no/such/pager' cannot be started" in said
    await store.add(*["x" * 1_000] * 3_000)
    process = await started("--url", store.url, "--pager", "-n", "all", env={"PAGER": "head -c 1"})
    assert await process.communicate() == (b"2", b"")
    assert process.returncode == 0
