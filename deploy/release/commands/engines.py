"""The engine of an environment, put together from what a verb works with."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import assert_never

from deploy.release.app.model import App, EngineName, Environment
from deploy.release.commands.site import Site, service_of
from deploy.release.engine import Engine, Target
from deploy.release.engines.compose.engine import ComposeEngine
from deploy.release.engines.instances import Instances
from deploy.release.engines.place import Place
from deploy.release.engines.rancher.api import Access
from deploy.release.engines.rancher.engine import RancherEngine
from deploy.release.engines.swarm.docker import Manager
from deploy.release.engines.swarm.engine import SwarmEngine
from deploy.release.engines.swarm.registration import Registration
from deploy.release.render import JavaMounts, files, project
from deploy.release.render.java.host import resolve

_STACK = "stack.yml"


def engine_of(app: App, environment: Environment, site: Site) -> Engine:
    """The engine that runs an environment."""
    place = Place(
        etcd=site.etcd,
        docker_url=site.config.docker.url,
        state_dir=_state_dir(site.config.host.state_dir),
        by=site.by,
    )
    name = project(app, environment)

    match environment.engine:
        case EngineName.COMPOSE:
            return ComposeEngine(app, environment, place, project=name, render=rendered)
        case EngineName.SWARM:
            service = service_of(app, environment)
            known = Instances(site.etcd, service, by=site.by, tell=site.progress.step)
            return SwarmEngine(
                Manager(environment.docker or site.config.docker.url, name, app.name),
                app,
                environment,
                render=lambda target: rendered(target)[_STACK],
                registration=Registration(known, app),
            )
        case EngineName.RANCHER:
            return RancherEngine(
                app, environment, place, stack=name, render=rendered, access=Access.of()
            )
        case _:
            assert_never(environment.engine)


def rendered(target: Target) -> Mapping[str, str]:
    """The files of a release, by their names.

    Raises:
        ConfigError: the application wants the host's JDK, and there is none.
    """
    return files(
        target.app,
        target.environment,
        target.image,
        target.release,
        target.replicas,
        java=java(target.app),
    )


def java(app: App) -> JavaMounts | None:
    """This host's JDK, for an application that wants one.

    Raises:
        ConfigError: there is none.
    """
    return resolve() if app.build.java else None


def _state_dir(of_daemons: Path) -> Path:
    # That of the daemons is root's.
    if os.geteuid() == 0:
        return of_daemons
    given = os.environ.get("XDG_STATE_HOME", "")
    return (Path(given) if given else Path.home() / ".local/state") / "wharfinger"
