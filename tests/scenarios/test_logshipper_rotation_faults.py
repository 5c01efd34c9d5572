"""The log shipper's word, where files rotate and go before they are read: exact counts."""

import asyncio
import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.logshipper.dockerlog import DockerLog
from tests.logshipper.strict_sink import status
from tests.stack.shipper import (
    RUN,
    CountingSink,
    Faults,
    Record,
    eventually,
    expected,
    numbered,
    rotated,
)
from wharfinger.operator.parts.dockerd import DockerDaemon

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(300)]

SHORT_CONTAINERS = 500
SHORT_LINES = 20


async def until_spooled(faults: Faults) -> None:
    """Waits until no deleted file is held that is not in the spool."""

    async def spooled() -> bool:
        told = json.loads((await faults.ask("status"))[1])
        logs = [each for sink in told["sinks"] for each in sink["logs"]]
        return not any(file["deleted"] for each in logs for file in each["files"])

    await faults.wait(spooled, "deleted files are in the spool")


async def seen(faults: Faults, log: DockerLog) -> None:
    """Waits until the shipper has seen all of a log, so that the next rotation is not too fast."""
    size = sum(path.stat().st_size for path in log.folder.iterdir())

    async def looked() -> bool:
        told = json.loads((await faults.ask("status"))[1])
        logs = [each for sink in told["sinks"] for each in sink["logs"]]
        mine = [each for each in logs if each["container"] == log.container_id]
        if not all(each["ship"] for each in mine):
            return False
        named = [f for each in mine for f in each["files"] if not f["deleted"]]
        return sum(each["size_bytes"] for each in named) >= size

    await faults.wait(looked, "the shipper has seen the file")


@pytest.fixture
def small_disk(faults: Faults) -> Iterator[Path]:
    """The shipper's state, on a disk that is soon full."""
    faults.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", faults.state], check=True)
    yield faults.state
    subprocess.run(["umount", "--lazy", faults.state], check=True)


async def test_row_08_a_full_disk_under_the_spool(faults: Faults, small_disk: Path) -> None:
    await faults.start()
    faults.sink.mood = status(503)
    ballast = small_disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    log = faults.log(max_files=2)
    for number in range(6):
        log.write_numbered(2000, prefix=f"file {number}")
        await seen(faults, log)
        log.rotate()
    faults.expected = set(log.written)
    await faults.until_health("spool main")
    assert await faults.metric("spool_failures_total") > 0
    assert await faults.metric("spooled_bytes_total") == 0
    assert await faults.metric("read_bytes_total") < log.sizes(faults.expected) / 2
    ballast.unlink()
    await until_spooled(faults)
    faults.note("spooled_bytes", await faults.metric("spooled_bytes_total"))
    faults.note("on_disk_bytes", await faults.metric("spool_bytes"))
    faults.sink.mood = None
    await faults.until_whole()
    await faults.until_health("")
    assert await faults.lost_bytes() == 0
    await faults.until_metric("spool_bytes", lambda size: size == 0)
    assert not list((small_disk / "logshipper/main/spool").iterdir())


@pytest.mark.parametrize("max_file", [9, 3])
async def test_row_09_rotation_while_the_sink_is_down(faults: Faults, max_file: int) -> None:
    """Within what Docker keeps, and beyond it: what is deleted is held, or spooled."""
    await faults.start()
    faults.sink.mood = status(503)
    options = ("--log-opt=max-size=50k", f"--log-opt=max-file={max_file}")
    container = await faults.write("line", 6000, *options, pause="usleep 100000")
    await faults.docker.run("wait", container)
    faults.note("files_left", len(rotated(faults, container)) + 1)
    faults.note("spooled_bytes", await faults.metric("spooled_bytes_total"))
    faults.sink.mood = None
    await faults.until_whole()
    assert await faults.lost_bytes() == 0


async def test_row_09_and_12_killed_before_the_sink_is_back(faults: Faults) -> None:
    """Rotated beyond retention and removed: only the spool has it, and knows whose it is."""
    faults.configure(sink='apps = ["shop"]')
    await faults.start()
    faults.sink.mood = status(503)
    options = ("--log-opt=max-size=50k", "--log-opt=max-file=3")
    rotating = await faults.write("rotating", 6000, *options, pause="usleep 100000")
    removed = await faults.write("removed", 3000)
    await faults.docker.run("wait", rotating, removed)
    await faults.until_metric("lag_bytes", lambda lag: lag > 9000 * 80)
    await faults.docker.run("rm", removed)
    for _ in range(2):
        await until_spooled(faults)
        await faults.kill()
        await faults.start()
    faults.note("on_disk_bytes", await faults.metric("spool_bytes"))
    faults.sink.mood = None
    await faults.until_whole()
    assert await faults.lost_bytes() == 0
    documents = [d for d in faults.sink.documents.values() if d["container"] == removed]
    assert {(d["app"], d["env"]) for d in documents} == {("shop", "prod")}
    assert len(documents) == 3000


@pytest.mark.parametrize(("spool_bytes", "reason"), [(0, "rotated"), (20_000, "spool")])
async def test_row_10_rotation_beyond_retention_and_no_room_for_it(
    faults: Faults, spool_bytes: int, reason: str
) -> None:
    """What Docker deleted unread is counted to the byte."""
    faults.configure(hold_deleted_bytes=0, spool_bytes=spool_bytes)
    await faults.start()
    faults.sink.mood = status(503)
    log = faults.log(max_files=3)
    for number in range(8):
        log.write_numbered(1000, prefix=f"file {number}")
        await seen(faults, log)
        if not number:
            await faults.until_metric("retries_total", lambda count: count > 0)
        log.rotate()
    await faults.until_metric(f'lost_bytes_total{{reason="{reason}"}}', lambda lost: lost > 0)
    if spool_bytes:
        await until_spooled(faults)
    faults.expected = set(log.written)
    faults.sink.mood = None

    async def accounted() -> bool:
        told = await faults.lost_bytes()
        return told > 0 and told == log.sizes(faults.missing())

    await faults.wait(accounted, "every line is in the sink or counted as lost")
    await faults.until_settled()
    faults.count()
    faults.note("lost_bytes", await faults.lost_bytes())
    assert len(faults.missing()) >= 1000
    assert await accounted()
    assert len(set(faults.sink.messages)) == len(faults.sink.documents)
    await faults.until_health(reason)


async def test_row_11_down_while_files_rotate_and_are_compressed(faults: Faults) -> None:
    # So much that a slow machine's three lives are over before it is written.
    options = ("--log-opt=max-size=100k", "--log-opt=max-file=50", "--log-opt=compress=true")
    container = await faults.write("line", 32_000, *options, pause="usleep 60000")
    for number in range(3):
        await faults.start()
        goal = len(faults.sink.documents) + 300
        await faults.until_documents(goal)
        await (faults.kill() if number % 2 else faults.process.terminate())
        goal = len(rotated(faults, container)) + 3
        await eventually(
            lambda goal=goal: len(rotated(faults, container)) >= goal,  # type: ignore[misc]
            "files have rotated",
        )
    await faults.start()
    await faults.until_whole()
    names = rotated(faults, container)
    faults.note("compressed_files", sum(path.suffix == ".gz" for path in names))
    assert any(path.suffix == ".gz" for path in names)
    assert await faults.lost_bytes() == 0


async def test_row_12_removed_with_unread_lines(faults: Faults) -> None:
    await faults.start()
    faults.sink.mood = status(503)
    options = ("--log-opt=max-size=50k", "--log-opt=max-file=20")
    containers = [await faults.write(f"gone-{n}", 2000, *options, pause=":") for n in range(4)]
    await faults.docker.run("wait", *containers)
    await faults.until_metric("lag_bytes", lambda lag: lag > 8000 * 80)
    await faults.docker.run("rm", "--force", *containers)
    faults.sink.mood = None
    await faults.until_whole()
    assert await faults.lost_bytes() == 0


@pytest.mark.timeout(900)
async def test_row_13_five_hundred_containers_of_a_moment(faults: Faults) -> None:
    await faults.start()
    turn = asyncio.Semaphore(6)

    async def short(number: int) -> None:
        async with turn:
            command = numbered(f"short-{number}", SHORT_LINES)
            await faults.docker.run("run", "--rm", *RUN[2:], *command)

    since = time.monotonic()
    await asyncio.gather(*map(short, range(SHORT_CONTAINERS)))
    faults.note("containers_seconds", round(time.monotonic() - since, 1))
    faults.expected = set().union(
        *(expected(f"short-{n}", SHORT_LINES) for n in range(SHORT_CONTAINERS))
    )
    await faults.until_whole()
    await faults.until_settled()
    assert await faults.lost_bytes() == 0
    assert {d.get("app") for d in faults.sink.documents.values()} == {"shop"}


async def test_row_14_an_engine_that_dies_and_comes_back(
    live_restore_docker_daemon: DockerDaemon,
    counting_sink: CountingSink,
    tmp_path: Path,
    record_property: Record,
) -> None:
    docker = live_restore_docker_daemon
    faults = Faults(docker, counting_sink, tmp_path, record_property)
    await faults.start()
    try:
        container = await faults.write("line", 4000, pause="usleep 100000")
        await faults.sink.until(lambda: len(faults.sink.documents) > 500)
        for _ in range(2):
            await docker.kill()
            await faults.until_health("docker")
            await docker.start()
        await docker.run("rename", container, "another")
        await faults.write("later", 500)
        await docker.run("wait", container)
        # What dockerd took out of the pipe and had not written when it died was never in a log.
        written = (await docker.run("logs", container)).splitlines()
        faults.note("lines_that_dockerd_lost", 4000 - len(written))
        faults.expected = set(written) | {f"later {n}" for n in range(1, 501)}
        await faults.until_whole()
        await faults.until_health("")
        named = [d for d in counting_sink.documents.values() if d["message"] == "later 1"]
        assert [(d["app"], d["env"], d["image"]) for d in named] == [("shop", "prod", "busybox")]
        assert await faults.lost_bytes() == 0
    finally:
        await faults.close()
