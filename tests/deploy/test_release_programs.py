"""Programs that are run to their end: what they print, and how they fail."""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable
from pathlib import Path

import psutil
import pytest

from deploy.release import programs
from deploy.release.commands import opening
from tests.stack.etcd import eventually
from wharfinger.errors import Unavailable


def python(text: str, **options: object) -> Awaitable[str]:
    return programs.run(sys.executable, "-c", text, **options)  # type: ignore[arg-type]


async def test_what_it_prints_comes_back_and_its_lines_are_told() -> None:
    told: list[str] = []
    text = "import sys; print('a'); print('b', file=sys.stderr, flush=True); print(input())"
    assert await python(text, stdin=b"c\n", on_line=told.append) == "a\nc\n"
    assert sorted(told) == ["a", "b", "c"]


async def test_a_failure_begins_with_what_is_wrong() -> None:
    # As `docker inspect` does.
    with pytest.raises(Unavailable) as caught:
        await python("import sys; print('[]', flush=True); sys.exit('no engine')")
    assert str(caught.value).endswith("exit code 1: no engine")


async def test_a_failure_has_what_was_said_last_without_its_colours() -> None:
    text = r"import sys; sys.exit('\x1b[91mit is \x1b[1;31mbroken\x1b[0m \x1b]0;title\x07')"
    with pytest.raises(Unavailable) as caught:
        await python(text)
    assert str(caught.value).endswith(r"exit code 1: it is broken \u001b]0;title\u0007")


async def test_what_is_wanted_in_order_comes_as_it_was_written() -> None:
    told: list[str] = []
    text = "import os; [os.write(1 + n % 2, b'%d\\n' % n) for n in range(2000)]"
    await python(text, on_line=told.append, in_order=True)
    assert told == [str(n) for n in range(2000)]


async def test_what_was_shown_is_not_said_again() -> None:
    with pytest.raises(Unavailable) as caught:
        await python("exit('Step 1/2\\nStep 2/2\\nno space left')", lines_kept=2)
    assert str(caught.value).endswith("exit code 1: Step 2/2\nno space left")


async def test_a_tab_is_the_blanks_that_it_stands_for() -> None:
    told: list[str] = []
    await python(r"print('Error\n\tat Shop.main')", on_line=told.append)
    assert told == ["Error", "    at Shop.main"]


async def test_a_line_without_end_does_not_stop_it() -> None:
    text = "import sys; sys.stdout.write('x' * 5_000_000); print(); print('done')"
    assert (await python(text, timeout_seconds=60)).endswith("done\n")


async def test_one_that_takes_too_long_is_ended() -> None:
    with pytest.raises(Unavailable, match=r"not done after 0\.5 s"):
        await python("import time; time.sleep(60)", timeout_seconds=0.5)


async def test_what_it_has_started_is_ended_with_it(tmp_path: Path) -> None:
    """As `docker compose` is a child of docker's; it holds our pipes."""
    child = f"{sys.executable} -c 'import time; time.sleep(60)'"
    script = f"{child} & echo $! > {tmp_path}/pid; wait"
    async with asyncio.timeout(20):
        with pytest.raises(Unavailable, match="not done after 1 s"):
            await programs.run("sh", "-c", script, timeout_seconds=1)
    pid = int((tmp_path / "pid").read_text())
    await eventually(lambda: not psutil.pid_exists(pid), "it has ended")


async def test_one_ends_with_whoever_runs_it_and_takes_no_step_after(tmp_path: Path) -> None:
    """The lock of a deployer that was killed is another's after 15 s; `docker` may take longer."""
    pid = tmp_path / "pid"
    text = f"""
import asyncio
from deploy.release import programs
asyncio.run(programs.run("sh", "-c", "echo $$ >{pid}.new; mv {pid}.new {pid}; exec sleep 60"))
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", text)
    await eventually(pid.exists, "it runs")
    running = Path("/proc", pid.read_text().strip())
    process.kill()
    await process.wait()
    await eventually(lambda: not running.exists(), "it has ended")


async def test_a_setpriv_that_does_not_know_how_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = tmp_path / "setpriv"
    older.write_text("#!/bin/sh\necho \"setpriv: unrecognized option '$1'\" >&2\nexit 1\n")
    older.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert await programs.run("echo", "done") == "done\n"


async def test_one_that_is_missing_is_said() -> None:
    with pytest.raises(Unavailable, match="no-such-program: "):
        await programs.run("no-such-program")


async def test_one_that_reads_nothing_is_no_failure() -> None:
    assert await asyncio.wait_for(python("print(1)", stdin=b"x" * 1_000_000), 30) == "1\n"


async def test_whatever_runs_docker_is_signed_in_as_the_configuration_says(tmp_path: Path) -> None:
    config = tmp_path / "wharfinger.toml"
    config.write_text(f'[deploy]\nregistry_config_dir = "{tmp_path}"\n')
    opening.configuration(argparse.Namespace(config=config))
    said = "import os; print(os.environ.get('DOCKER_CONFIG', 'its own'))"
    assert await python(said) == f"{tmp_path}\n"
    assert await python(said, environment={"DOCKER_CONFIG": "/named"}) == "/named\n"
