"""What a verb works with: the configuration, etcd, the registry, an engine for an environment."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

from deploy.release.app.model import App, Environment
from deploy.release.config import Config
from deploy.release.engine import Engine
from deploy.release.progress import Progress
from deploy.release.registry import Registry
from wharfinger.errors import Rejected
from wharfinger.etcd import Etcd
from wharfinger.keys import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Whatever is outside.

    Attributes:
        config: of this host.
        etcd: the session.
        progress: who is told.
        by: who asks.
        engine: makes the engine of an environment; see `engine_of`.
        registry: opens the registry; an environment can be looked at and rolled back without.
    """

    config: Config
    etcd: Etcd
    progress: Progress
    by: str
    engine: Callable[[App, Environment, "Site"], Engine]
    registry: Callable[[], AbstractAsyncContextManager[Registry]]

    def engine_of(self, app: App, environment: Environment) -> Engine:
        """The engine of one of the application's environments."""
        return self.engine(app, environment, self)

    def now(self) -> str:
        """The time, RFC 3339, to the second."""
        return timestamp()


def timestamp() -> str:
    """Now, RFC 3339, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def environment_of(app: App, name: str) -> Environment:
    """One of the environments in wharf.yaml.

    Raises:
        Rejected: it has none of that name.
    """
    found = app.environments.get(name)
    if found is None:
        there = ", ".join(app.environments) or "none"
        raise Rejected(f"wharf.yaml has no environment {name[:80]!a}; it has {there}")
    return found


def service_of(app: App, environment: Environment) -> Service:
    """How its keys are called.

    Raises:
        Rejected: a name cannot stand in a key.
    """
    return Service(app.name, environment.name)


def declared(environment: Environment) -> int:
    """How many instances wharf.yaml asks for; 0 for one on each host."""
    return 0 if environment.everywhere else environment.replicas
