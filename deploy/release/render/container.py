"""What an instance is, whichever engine runs it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from deploy.release.app.model import App, Environment
from deploy.release.app.places import SECRETS
from deploy.release.render import labels
from deploy.release.render.document import literal
from deploy.release.render.java.mounts import JavaMounts

# Between the end of the drain and the engine's KILL: for the requests that are on their way.
GRACE_MARGIN_SECONDS: Final = 10
LOG_OPTIONS: Final = {"max-size": "10m", "max-file": "3"}
# with-port exports it beside PORT (deploy/images/with-port).
PORT_VARIABLE: Final = "WHARFINGER_PORT_VARIABLE"


@dataclass(frozen=True, slots=True)
class Mount:
    """A path of the host that a container sees.

    Attributes:
        source: on the host.
        target: in the container.
        read_only: whether it cannot be written to.
    """

    source: str
    target: str
    read_only: bool

    @property
    def bind(self) -> Mapping[str, object]:
        """In Compose's long form: of a file that is not there, the short one makes a folder."""
        return {
            "type": "bind",
            "source": literal(self.source),
            "target": literal(self.target),
            "read_only": self.read_only,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """What an instance is, with each dollar doubled: engines replace what follows a single one.

    Attributes:
        image: by digest.
        command: in place of the image's; empty for the image's.
        environment: variables, sorted.
        labels: sorted.
        mounts: by their places in the container.
        memory: limit, as Docker writes it; None for none.
        cpus: limit in cores; None for none.
        drain_seconds: for which a stop is held back.
    """

    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    labels: Mapping[str, str]
    mounts: tuple[Mount, ...]
    memory: str | None
    cpus: float | None
    drain_seconds: float

    @property
    def grace_seconds(self) -> int:
        """What an engine has to wait between stop and kill; it counts whole seconds."""
        return math.ceil(self.drain_seconds) + GRACE_MARGIN_SECONDS


def container(
    app: App,
    environment: Environment,
    image: str,
    release: str,
    *,
    java: JavaMounts | None,
    drain_seconds: float | None = None,
) -> Container:
    """An instance of an application in an environment.

    Args:
        app: of wharf.yaml.
        environment: one of its.
        image: `REPOSITORY@sha256:...`.
        release: `r12`.
        java: the host's JDK, for an application that is built for it.
        drain_seconds: where the engine allows less than the application asks for.
    """
    drain = app.drain_seconds if drain_seconds is None else drain_seconds
    told = labels.container(app, environment, release, drain_seconds=drain)
    return Container(
        image=image,
        command=tuple(map(literal, app.command)),
        environment=_literals(_variables(app, environment, java)),
        labels=_literals(told),
        mounts=tuple(sorted(_mounts(environment, java), key=lambda mount: mount.target)),
        memory=app.memory,
        cpus=app.cpus,
        drain_seconds=drain,
    )


def seconds(duration: float) -> str:
    """A time as Compose and Docker read it."""
    whole = duration == int(duration)
    return f"{int(duration)}s" if whole else f"{round(duration * 1000)}ms"


def _literals(several: Mapping[str, str]) -> Mapping[str, str]:
    return {name: literal(text) for name, text in sorted(several.items())}


def _variables(app: App, environment: Environment, java: JavaMounts | None) -> dict[str, str]:
    given = {**app.variables, **environment.variables}
    given |= {name: f"{SECRETS}/{name}" for name in environment.secrets}
    if java:
        given["JAVA_HOME"] = java.home
    if app.port.fixed is not None:
        # with-port asks for no port where PORT is set.
        given |= {"PORT": str(app.port.fixed), app.port.env: str(app.port.fixed)}
    elif app.port.env != "PORT":
        given[PORT_VARIABLE] = app.port.env
    return given


def _mounts(environment: Environment, java: JavaMounts | None) -> Iterator[Mount]:
    for volume in environment.volumes:
        source, target, *mode = volume.split(":")
        yield Mount(source, target, mode == ["ro"])
    for name, file in environment.secrets.items():
        yield Mount(file, f"{SECRETS}/{name}", read_only=True)
    for path in java.paths if java else ():
        yield Mount(path, path, read_only=True)
