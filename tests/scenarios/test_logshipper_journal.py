"""Logs that a real journald keeps, through Docker's API: every line counted, by its id."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.stack.shipper import REQUESTS, RUN, CountingSink, Faults, Record, expected, numbered
from wharfinger.operator.parts.dockerd import DockerDaemon

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(240)]

JOURNALD = "--log-driver=journald"
KILLS = 12
SHORT = 15
LONG = (
    "head -c 20000 /dev/zero | tr '\\0' a; echo between >&2; sleep 0.2;"
    "head -c 20000 /dev/zero | tr '\\0' b; echo; echo; printf '\\377\\n'; printf end"
)


@pytest.fixture
async def journaled(
    journal_docker_daemon: DockerDaemon,
    counting_sink: CountingSink,
    tmp_path: Path,
    record_property: Record,
) -> AsyncIterator[Faults]:
    made = Faults(journal_docker_daemon, counting_sink, tmp_path, record_property)
    yield made
    await made.close()


async def test_killed_at_random_points(journaled: Faults) -> None:
    faults = journaled
    await faults.write("line", 10_000, JOURNALD, pause="usleep 60000")
    rng = random.Random(13)
    for number in range(KILLS):
        await faults.process.start()
        if number % 2:
            await asyncio.sleep(rng.uniform(0.05, 1.3))
        else:
            await faults.until_documents(len(faults.sink.documents) + rng.randrange(1, 400))
        await faults.kill()
    await faults.start()
    await faults.until_whole()
    assert faults.sink.duplicates <= KILLS * 2 * (REQUESTS + 1) * faults.sink.largest
    assert await faults.metric("losses_total") == 0
    # Parts are joined; the journal itself keeps no empty lines.
    faults.expected |= {"a" * 20_000 + "b" * 20_000, "between", "\ufffd", "end"}
    await faults.docker.run(*RUN, JOURNALD, "busybox", "sh", "-c", LONG)
    faults.expected |= {"terminal\r", "two\r"}
    script = "echo terminal; echo two; sleep 300"
    await faults.docker.run(*RUN, JOURNALD, "--tty", "busybox", "sh", "-c", script)
    for number in range(SHORT):
        faults.expected |= expected(f"short-{number}", 20)
        command = (*RUN[:1], "--rm", *RUN[1:], JOURNALD, *numbered(f"short-{number}", 20))
        await faults.docker.run(*command)
    await faults.until_whole()
    assert await faults.metric("losses_total") == 0
