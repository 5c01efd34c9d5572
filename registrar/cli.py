"""The `registrar` command."""

import asyncio
from typing import Final

from registrar.config import Config
from registrar.daemon import Registrar
from registrar.host import address
from registrar.ports import reservation
from wharfinger import cli, etcd
from wharfinger.dockerd import Docker
from wharfinger.errors import Finding, Unavailable, WharfingerError


async def findings(config: Config) -> list[Finding]:
    """What `registrar check` finds wrong with this host."""
    several = await asyncio.gather(_docker(config), etcd.findings(config.etcd))
    found = [finding for each in several for finding in each]
    if overlap := reservation.overlap(
        config.registrar.ports, ephemeral=config.host.proc_dir / reservation.EPHEMERAL
    ):
        found.append(overlap)
    try:
        address.find(config.host)
    except Unavailable as error:
        found.append(Finding("host.ip", str(error)))
    return found


async def _docker(config: Config) -> list[Finding]:
    try:
        async with Docker(config.docker) as docker:
            await docker.ping()
            await docker.containers()
    except WharfingerError as error:
        return [Finding("docker.url", str(error))]
    return []


COMMAND: Final = cli.Command(
    name=Registrar.name,
    summary="Gives each container a port of its own and keeps it in etcd while it serves.",
    model=Config,
    listen=lambda config: config.registrar.listen,
    log=lambda config: config.log,
    make=Registrar,
    findings=findings,
)


def main() -> None:
    """Runs the command."""
    cli.run(COMMAND)
