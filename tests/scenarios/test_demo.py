"""The demo as a person runs it: it holds, and however it ends nothing of it is left."""

import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from wharfinger.errors import Exit, Unavailable
from wharfinger.operator.demo import play as played
from wharfinger.operator.demo import reserved

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(300)]

DEMO = Path(sys.executable).parent / "wharfinger"
CGROUPS = Path("/sys/fs/cgroup")


def traces() -> set[str]:
    """Everything on this machine that a demo could leave behind."""
    taken = reserved.ports()
    pools = [range(start, start + reserved.POOLS.step) for start in reserved.POOLS]
    # Whole pools are a demo's; a registrar beside it may reserve something else meanwhile.
    found = {f"reserved {pool}" for pool in pools if taken.issuperset(pool)}
    found |= {f"file {path}" for path in Path(tempfile.gettempdir()).glob("wharf-*")}
    found |= {f"cgroup {path}" for path in CGROUPS.glob("**/wharfinger-*")}
    found |= {f"shim {path}" for path in Path("/run/containerd").glob("**/*")}
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    found |= {f"mount {line}" for line in mounts if "wharf-" in line}
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if "/wharf-" in line:
            found.add(f"process {line}")
    return found


@pytest.fixture
def nothing_left() -> Iterator[None]:
    before = traces()
    yield
    assert traces() - before == set()


def test_it_holds_without_a_terminal_and_leaves_nothing(nothing_left: None) -> None:
    environment = {**os.environ, "ONCE": "1", "WHARFINGER_ETCD__ENDPOINTS": "127.0.0.1:1"}
    done = subprocess.run(
        [DEMO, "demo"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=environment,
    )
    assert done.returncode == Exit.OK, done.stdout + done.stderr
    assert "watchers saw 0 changes" in done.stdout
    assert re.search(r"found \d+\.\d+ s after", done.stdout)
    assert "\x1b" not in done.stdout
    assert done.stdout.count("held  ") == 15
    assert len(re.findall(r"\d+ requests answered, 0 failed", done.stdout)) == 4
    assert "unit: nobody reported it for this digest" in done.stdout
    assert re.search(
        r"r3 in production was rolled back, r2 runs as before: .* exit code 3", done.stdout
    )
    assert "| no berth for version 3" in done.stdout
    assert done.stdout.rindex("production runs r1") > done.stdout.rindex("production runs r2")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_ended_half_way_it_leaves_nothing(number: signal.Signals, nothing_left: None) -> None:
    with subprocess.Popen([DEMO, "demo"], stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "docker run" in line:
                demo.send_signal(number)
        assert demo.wait(timeout=60) != Exit.OK


def test_what_a_killed_one_left_is_removed_by_the_next(nothing_left: None) -> None:
    with subprocess.Popen([DEMO, "demo"], stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "Nginx answers" in line:
                demo.kill()
    left = [trace for trace in traces() if trace.startswith("process")]
    assert any("dockerd" in trace for trace in left)
    done = subprocess.run(
        [DEMO, "demo", "--once"], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == Exit.OK, done.stdout + done.stderr
    assert "a demo that was killed had left" in done.stdout


def test_with_a_terminal_it_stays_until_it_is_told(nothing_left: None) -> None:
    leader, terminal = pty.openpty()
    with subprocess.Popen([DEMO, "demo"], stdin=terminal, stdout=terminal) as demo:
        os.close(terminal)
        shown = b""
        while b"Ctrl-C" not in shown:
            shown += os.read(leader, 4096)
        assert demo.poll() is None
        demo.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 60
        while demo.poll() is None and time.monotonic() < deadline:
            shown += read_until_end(leader)
        assert demo.returncode == Exit.OK
    os.close(leader)
    assert b"log page" in shown
    assert b"\x1b[" in shown


async def test_a_step_that_does_not_hold_is_no_success(
    nothing_left: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail(_self: object) -> None:
        raise Unavailable("the harbour is closed")

    monkeypatch.setattr(played.Story, "tell", fail)
    assert await played.play(once=True) == Exit.BUG
    out = capsys.readouterr().out
    assert "FAILED: the harbour is closed" in out


async def test_a_step_that_fails_shows_what_the_daemons_said(
    nothing_left: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail(self: played.Story) -> None:
        await self._start_daemons()
        await self._stage.daemons["discovery"].kill()
        async with self._show.step("the impossible"):
            raise OSError(5, "the harbour is closed")

    monkeypatch.setattr(played.Story, "tell", fail)
    assert await played.play(once=True) == Exit.BUG
    out = capsys.readouterr().out
    assert out.count("FAILED: OSError(5, 'the harbour is closed')") == 1
    assert "the end of the log of discovery, which ended with code -9:" in out
    assert 'event="registrar ready"' in out


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    program = f"""
import os
from wharfinger.operator.demo import stage
os.environ["PATH"] = {str(tmp_path)!r}
stage.SYSTEM_PATHS = ""
stage.require_programs()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "not installed: etcd, nginx, dockerd, docker, busybox, docker-compose" in done.stderr
    assert "make setup" in done.stderr


def read_until_end(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # EIO: the other side of the terminal is closed
        return b""
