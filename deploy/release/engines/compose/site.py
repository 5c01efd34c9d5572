"""Where a release rolls: the application's containers on one engine, and what etcd has of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from deploy.release.app.model import App, Environment
from deploy.release.engines.containers import Containers
from deploy.release.engines.facts import Facts
from deploy.release.engines.instances import Instances
from deploy.release.progress import Progress
from wharfinger.errors import WharfingerError


class NotRunning(WharfingerError):
    """The release does not run, or what ran before does not leave; the message says why."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where it rolls.

    Attributes:
        app: what is rolled.
        environment: of it.
        containers: of the engine.
        labels: that each of the application's carries.
        instances: of the service in etcd.
        registering: whether there are registrars, so that who serves is in etcd.
        progress: is told.
    """

    app: App
    environment: Environment
    containers: Containers
    labels: Mapping[str, str]
    instances: Instances
    registering: bool
    progress: Progress

    async def found(self) -> tuple[Facts, ...]:
        """All containers of the application.

        Raises:
            Unavailable: the engine does not answer.
        """
        return await self.containers.labelled(self.labels)

    async def fail(self, facts: Facts, reason: str) -> None:
        """Says why a container does not run, with its last words.

        Raises:
            NotRunning: always.
        """
        raise NotRunning(await self.containers.explained(facts, reason))

    def waiting_for(self, hosts: tuple[str, ...]) -> None:
        """Tells which discoveries are waited for."""
        if hosts:
            self.progress.waiting(f"discovery on {', '.join(hosts)}", 0, len(hosts))
