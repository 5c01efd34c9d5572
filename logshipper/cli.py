"""The `logshipper` command."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from logshipper import sinkcheck
from logshipper.config import Config
from logshipper.daemon import Logshipper
from logshipper.deadlettercommand import DEAD_LETTER
from logshipper.plancommand import PLAN
from logshipper.tailcommand import TAIL
from wharfinger import cli
from wharfinger.dockerd import Docker
from wharfinger.errors import ConfigError, Finding, Rejected, Unavailable


async def findings(config: Config) -> Sequence[Finding]:
    """Looks at Docker, its folder, and every sink."""
    found = [*await _docker(config)]
    for sink in config.logshipper.sinks:
        found += await sinkcheck.findings(sink)
    return found


async def _docker(config: Config) -> list[Finding]:
    try:
        async with Docker(config.docker) as docker:
            folder = Path((await docker.info()).data_root) / "containers"
    except ConfigError as error:
        return list(error.findings)
    except (Unavailable, Rejected) as error:
        return [Finding("docker.url", str(error), "start Docker, or name its socket")]
    # By what we may do, not by who began us: capabilities of a user's process count.
    if not os.access(folder, os.R_OK | os.X_OK, effective_ids=True):
        fix = "run as root or with CAP_DAC_READ_SEARCH: Docker's log files are root's alone"
        return [Finding(str(folder), "cannot be read", fix)]
    return []


def remarks(config: Config) -> Sequence[Finding]:
    """What `check` shows besides: certificates that end soon."""
    return [each for sink in config.logshipper.sinks for each in sinkcheck.remarks(sink)]


async def seen(config: Config) -> Sequence[Finding]:
    """The same of sinks that were reached: the certificates that their servers show."""
    return [each for sink in config.logshipper.sinks for each in await sinkcheck.seen(sink)]


COMMAND = cli.Command(
    name="logshipper",
    summary="Brings every line of every container to a central store, at least once.",
    model=Config,
    listen=lambda config: config.logshipper.listen,
    log=lambda config: config.log,
    make=Logshipper,
    findings=findings,
    remarks=remarks,
    seen=seen,
    verbs=(DEAD_LETTER, PLAN, TAIL),
)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line."""
    cli.run(COMMAND, arguments)
