"""The files by which an engine runs one release of an application in an environment."""

from collections.abc import Mapping
from typing import assert_never

from deploy.release.app.model import App, EngineName, Environment
from deploy.release.render import compose, labels, rancher, swarm
from deploy.release.render.container import container
from deploy.release.render.java.mounts import JavaMounts


def files(
    app: App,
    environment: Environment,
    image: str,
    release: str,
    replicas: int,
    *,
    java: JavaMounts | None = None,
) -> Mapping[str, str]:
    """The texts by the names of their files; the same bytes for the same arguments.

    Args:
        app: of wharf.yaml.
        environment: one of its.
        image: `REPOSITORY@sha256:...`.
        release: `r12`.
        replicas: how many instances; not looked at where there is one on each host.
        java: the host's JDK, for an application that is built for it.
    """
    remarks = [
        f"{app.name} {release} in {environment.name}: made by `deploy render` from wharf.yaml."
    ]
    match environment.engine:
        case EngineName.COMPOSE:
            one = container(app, environment, image, release, java=java)
            return compose.files(app, environment, one, replicas, remarks)
        case EngineName.SWARM:
            one = container(app, environment, image, release, java=java)
            return swarm.files(
                app, environment, one, release=release, replicas=replicas, remarks=remarks
            )
        case EngineName.RANCHER:
            drain = min(app.drain_seconds, labels.RANCHER_DRAIN_SECONDS)
            one = container(app, environment, image, release, java=java, drain_seconds=drain)
            return rancher.files(app, environment, one, replicas, remarks)
        case _:
            assert_never(environment.engine)
