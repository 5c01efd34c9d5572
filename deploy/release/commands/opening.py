"""Opens what a verb works with, as its command line and the configuration say."""

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.release import programs
from deploy.release.app.model import App
from deploy.release.app.reading import read
from deploy.release.commands.engines import engine_of
from deploy.release.commands.site import Site
from deploy.release.config import Config, asker
from deploy.release.registry import Registry
from deploy.release.registry.access import Access
from deploy.release.showing import showing
from wharfinger.config import load
from wharfinger.etcd import Etcd


def configuration(parsed: argparse.Namespace) -> Config:
    """What the host's file and the environment say; programs are signed in as it says.

    Raises:
        ConfigError: with every finding.
    """
    flags = {} if getattr(parsed, "by", None) is None else {"deploy.by": parsed.by}
    found = load(Config, path=parsed.config, flags=flags).value
    programs.sign_in(found.deploy.registry_config_dir)
    return found


def application(parsed: argparse.Namespace) -> App:
    """What wharf.yaml says.

    Raises:
        ConfigError: with every fault.
    """
    return read(parsed.file)


def folder(parsed: argparse.Namespace) -> Path:
    """The working copy: where wharf.yaml is."""
    file: Path = parsed.file
    return file if file.is_dir() else file.parent


def access(config: Config) -> Access:
    """How the registry is reached."""
    return Access(
        ca_file=config.deploy.registry_ca_file,
        config_dir=config.deploy.registry_config_dir,
        insecure=config.deploy.insecure_registries,
        token_hosts=config.deploy.registry_token_hosts,
    )


@asynccontextmanager
async def opened(parsed: argparse.Namespace) -> AsyncIterator[tuple[Site, App]]:
    """Whatever a verb works with, and the application that it is about.

    Raises:
        ConfigError: wharf.yaml or the configuration has faults.
        Unavailable: etcd cannot be reached.
    """
    app, config = application(parsed), configuration(parsed)
    async with Etcd(config.etcd) as etcd:
        with showing(as_json=parsed.json) as progress:
            yield (
                Site(
                    config=config,
                    etcd=etcd,
                    progress=progress,
                    by=asker(config.deploy),
                    engine=engine_of,
                    registry=lambda: Registry(access(config)),
                ),
                app,
            )
