"""One program that we started: readiness, the log's tail, and its end by process id."""

import signal
import socket
from pathlib import Path

import psutil
import pytest

from wharfinger.errors import Unavailable
from wharfinger.operator.parts.process import FREE_PORTS, Process, free_port, until


def shell(folder: Path, script: str) -> Process:
    return Process(["/bin/sh", "-c", script], log=folder / "logs" / "sh.log", name="sh")


async def has_said(process: Process, word: str) -> bool:
    return word in process.log_tail()


async def test_waits_for_readiness_and_ends_by_term(tmp_path: Path) -> None:
    process = shell(tmp_path, "echo up; exec sleep 60")
    await process.start(lambda: has_said(process, "up"))
    assert process.running

    async def is_sleep() -> bool:
        # It says `up` a moment before it becomes the other program.
        return psutil.Process(process.pid).cmdline() == ["sleep", "60"]

    await until(is_sleep, timeout_seconds=20, what="the shell has become sleep")
    assert await process.terminate() == -signal.SIGTERM
    assert not process.running


async def test_one_that_ends_early_shows_its_last_words(tmp_path: Path) -> None:
    process = shell(tmp_path, "echo no such flag >&2; exit 3")
    with pytest.raises(Unavailable, match=r"(?s)sh ended with code 3.*no such flag"):
        await process.start(lambda: has_said(process, "never"))


async def test_one_that_never_gets_ready_is_ended(tmp_path: Path) -> None:
    process = shell(tmp_path, "echo up; exec sleep 60")
    with pytest.raises(Unavailable, match="not ready after"):
        await process.start(lambda: has_said(process, "never"), timeout_seconds=0.2)
    assert not process.running


async def test_a_missing_program_is_named(tmp_path: Path) -> None:
    process = Process(["/no/such/program"], log=tmp_path / "log")
    with pytest.raises(Unavailable, match="program cannot be started"):
        await process.start()
    assert process.exit_code is None


async def test_one_that_ignores_term_is_killed(tmp_path: Path) -> None:
    process = shell(tmp_path, "trap '' TERM; echo up; while :; do sleep 0.1; done")
    await process.start(lambda: has_said(process, "up"))
    assert await process.terminate(timeout_seconds=0.2) == -signal.SIGKILL


async def test_frozen_thawed_and_killed_while_frozen(tmp_path: Path) -> None:
    process = shell(tmp_path, "exec sleep 60")

    async def is_in(status: str) -> bool:
        return bool(psutil.Process(process.pid).status() == status)

    await process.start()
    for _ in range(2):
        process.freeze()
        assert await is_in(psutil.STATUS_STOPPED)
        process.thaw()
        await until(lambda: is_in(psutil.STATUS_SLEEPING), timeout_seconds=5, what="it goes on")
    process.freeze()
    assert await process.kill() == -signal.SIGKILL


async def test_starts_again_and_keeps_the_log(tmp_path: Path) -> None:
    process = shell(tmp_path, "echo once more")
    for _ in range(2):
        await process.start()
        assert await process.wait() == 0
    assert process.log_tail().count("once more") == 2
    process.signal(signal.SIGTERM)


async def test_a_second_start_of_a_running_one_is_refused(tmp_path: Path) -> None:
    process = shell(tmp_path, "exec sleep 60")
    await process.start()
    with pytest.raises(Unavailable, match="running already"):
        await process.start()
    await process.kill()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_free_port_can_be_bound(host: str) -> None:
    port = free_port(host)
    assert port in FREE_PORTS
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, port))


def test_a_port_is_not_given_twice() -> None:
    # A thousand random ones of ten thousand hold some fifty twice.
    assert len({free_port() for _ in range(1000)}) == 1000
