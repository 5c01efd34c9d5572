"""What labels ask to be done to lines, with a real Docker engine: exact counts."""

import asyncio
import json
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from tests.logshipper.strict_sink import StrictSink
from tests.stack.shipper import RUN, Shipper
from wharfinger.operator.parts.dockerd import DockerDaemon

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

TRACES = (
    "i=0; while [ $i -lt {count} ]; do i=$((i+1)); "
    "printf 'ERROR %s\\n\\tat a.B\\n\\tat c.D\\n' $i; "
    "[ $((i%100)) -gt 0 ] || sleep 0.02; done"
)


@pytest.mark.scenario
async def test_killed_while_traces_are_written_and_files_rotate_each_is_one_document(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    count = 8000
    labels = (
        "--label=wharfinger.logs.multiline=java",
        "--label=wharfinger.logs.multiline.seconds=20",
    )
    options = ("--log-opt=max-size=300k", "--log-opt=max-file=9", "--log-opt=compress=true")
    script = TRACES.format(count=count) + "; sleep 100"
    container = await docker_daemon.run(*RUN, *labels, *options, "busybox", "sh", "-c", script)
    rng = random.Random(7)
    for _ in range(6):
        await shipper.start()
        enough = len(sink.documents) + rng.randrange(50, 700)
        await sink.until(lambda enough=enough: len(sink.documents) > min(enough, count - 2))  # type: ignore[misc]
        os.kill(shipper.process.pid, signal.SIGKILL)
        await shipper.process.kill()
    await shipper.start()
    await sink.until(lambda: len(sink.documents) >= count - 1, seconds=60)
    await docker_daemon.run("rm", "--force", container.strip())
    await sink.until(lambda: len(sink.documents) >= count, seconds=60)
    assert sorted(sink.messages) == sorted(
        f"ERROR {n}\n\tat a.B\n\tat c.D" for n in range(1, count + 1)
    )


async def test_a_wrong_label_is_told_and_the_others_hold(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper, tmp_path: Path
) -> None:
    labels = (
        "--label=wharfinger.logs.parse=json",
        "--label=wharfinger.logs.time=never",
        "--label=wharfinger.logs.redact=card",
        "--label=wharfinger.logs.exclude=healthz",
        "--label=com.docker.compose.service=web",
        "--name=told",
    )
    say = """echo '{"msg":"paid with 4111111111111111","level":"WARN","host":"evil"}'; """
    command = ("busybox", "sh", "-c", say + "echo GET /healthz; sleep 100")
    await docker_daemon.run(*RUN, *labels, *command)
    await shipper.start()
    await sink.until(lambda: len(sink.documents) == 1)
    [document] = sink.documents.values()
    assert document["message"] == "paid with [redacted:card]"
    assert (document["level"], document["host"], document["parsed_host"]) == ("warn", "h1", "evil")
    assert document["compose_service"] == "web"
    assert "wharfinger.logs.time" in (await shipper.ask("status"))[1]
    await shipper.until_counted('dropped_lines_total{reason="exclude",sink="main"} 1.0')

    plan = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "logshipper", "--config", shipper.config, "plan", "--json",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    told, _ = await plan.communicate()
    [only] = [each for each in json.loads(told)["containers"] if each["name"] == "told"]
    assert only["ship"] is True
    assert "wharfinger.logs.time" in only["why"]
    assert only["lines"] == {"parse": "json", "redact": ["card"], "exclude": ["healthz"]}
