"""The `registrar` command."""

import argparse
import asyncio
from typing import Final

from registrar.config import Config
from registrar.daemon import Registrar
from registrar.host import address, rights
from registrar.ports import reservation
from wharfinger import cli, etcdcheck
from wharfinger.dockerd import Docker
from wharfinger.errors import Exit, Finding, Unavailable, WharfingerError


async def findings(config: Config) -> list[Finding]:
    """What `registrar check` finds wrong with this host."""
    several = await asyncio.gather(_docker(config), etcdcheck.findings(config.etcd))
    found = [finding for each in several for finding in each]
    if overlap := reservation.overlap(
        config.registrar.ports, ephemeral=config.host.proc_dir / reservation.EPHEMERAL
    ):
        found.append(overlap)
    try:
        address.find(config.host)
    except Unavailable as error:
        found.append(Finding("host.ip", str(error)))
    return [*found, *rights.findings(config.host)]


async def _docker(config: Config) -> list[Finding]:
    try:
        async with Docker(config.docker) as docker:
            await docker.ping()
            await docker.containers()
    except WharfingerError as error:
        return [Finding("docker.url", str(error))]
    return []


async def _reserve(_parsed: argparse.Namespace, config: Config) -> Exit:
    """What only root may do for a registrar that runs as a user; see `ports.reservation`.

    Raises:
        Unavailable: the kernel does not let us.
    """
    ports = config.registrar.ports
    changed = await asyncio.to_thread(reservation.reserve, ports)
    print(f"ports {ports} {'are reserved now' if changed else 'were reserved'}")  # noqa: T201
    return Exit.OK


RESERVE: Final = cli.Verb(
    "reserve", "keep the kernel from giving our ports away", lambda _parser: None, _reserve
)

COMMAND: Final = cli.Command(
    name=Registrar.name,
    summary="Gives each container a port of its own and keeps it in etcd while it serves.",
    model=Config,
    listen=lambda config: config.registrar.listen,
    log=lambda config: config.log,
    make=Registrar,
    findings=findings,
    remarks=lambda config: etcdcheck.remarks(config.etcd),
    verbs=(RESERVE,),
)


def main() -> None:
    """Runs the command."""
    cli.run(COMMAND)
