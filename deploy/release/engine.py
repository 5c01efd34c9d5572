"""What every engine does for a release: the seam between the commands and what runs containers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from deploy.release.app.model import App, Environment
from deploy.release.progress import Progress
from wharfinger.errors import Rejected, Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What shall run, and where.

    Attributes:
        app: of wharf.yaml.
        environment: one of its.
        image: `REPOSITORY@sha256:...`.
        release: `r12`.
        replicas: how many; what wharf.yaml says unless somebody scaled it.
        settled: whether the rollout before is known to have ended well, wherever it was done from:
            what an engine has kept of an earlier one is out of date then.
        unproven: digests that were tried there while none has ever come up: what runs of them is
            nothing to go back to, unless it serves.
    """

    app: App
    environment: Environment
    image: str
    release: str
    replicas: int
    settled: bool = False
    unproven: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """A container of the application that an engine runs.

    Attributes:
        id: of the container or task.
        name: as the engine calls it.
        host: where it runs; empty where that is not known.
        image: as it was started, by digest; whole, with its repository.
        state: `up`, `starting`, `unhealthy`, `stopping`, `exited`.
        own: whether its labels say that it is of this application and environment; what the engine
            only files there is taken away by no take-down.
    """

    id: str
    name: str
    host: str
    image: str
    state: str
    own: bool = True


class RolloutFailed(Unavailable):
    """The new release does not run; the message says why, with what the container said last.

    Attributes:
        restored: whether the release before it serves as before.
    """

    def __init__(self, why: str, *, restored: bool) -> None:
        self.restored = restored
        super().__init__(why)


class NoRoom(Rejected):
    """The engine has no place for so many; nothing was begun."""


class Engine(Protocol):
    """One environment's engine."""

    async def running(self) -> tuple[Replica, ...]:
        """What runs of the application there.

        Raises:
            Unavailable: the engine does not answer.
        """

    async def require_room(self, target: Target) -> None:
        """Refuses what cannot run there, before anything changes or is on record.

        Raises:
            NoRoom: it cannot; with what to write instead.
        """

    async def up(self, target: Target, progress: Progress) -> None:
        """Makes it run, without a request lost; done again after a break it goes on where it was.

        Raises:
            RolloutFailed: it does not run; what ran before was put back, or could not be.
            Unavailable: the engine does not answer; nothing is known to have changed.
        """

    async def scale(self, target: Target, progress: Progress) -> None:
        """Changes only how many instances there are.

        Raises:
            RolloutFailed: as of `up`.
            Unavailable: the engine does not answer.
        """

    async def down(self, progress: Progress) -> None:
        """Takes away all that runs of the application in the environment, and nothing else.

        Nobody is sent to an instance any more before it is stopped; done again after a break it
        goes on where it was.

        Raises:
            Unavailable: the engine does not answer, or something of it is left; the message names
                it.
        """


Files = Mapping[str, str]
