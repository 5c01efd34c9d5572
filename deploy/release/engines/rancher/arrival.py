"""How far Rancher's upgrade is, by what Rancher says of the service and etcd of instances; pure."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from deploy.release.engines.registered import Instance

ACTIVE: Final = "active"
UPGRADED: Final = "upgraded"
SETTLED: Final = (ACTIVE, UPGRADED)
UNDER_WAY: Final = (
    *("activating", "upgrading", "finishing-upgrade", "rolling-back", "canceling-upgrade"),
    *("updating-active", "restarting", "deactivating"),
)


@dataclass(frozen=True, slots=True)
class Service:
    """What Rancher says of a service.

    Attributes:
        state: `active`, `upgrading`, `upgraded`, ...
        health: `healthy`, `initializing`, `unhealthy`, ...; empty where nothing is said.
        message: what it does, or cannot.
    """

    state: str
    health: str = ""
    message: str = ""

    @property
    def described(self) -> str:
        """In words."""
        said = f"Rancher says {self.state}"
        if self.health:
            said += f", {self.health}"
        return f"{said}: {self.message}" if self.message else said


@dataclass(frozen=True, slots=True)
class Arrival:
    """One look at a service on its way.

    Attributes:
        service: Rancher's word; None where it is not asked.
        image: that shall run.
        replicas: how many of it; 0: as many as there are hosts.
        instances: what etcd holds; None where no registrar is there to put it there.
    """

    service: Service | None
    image: str
    replicas: int
    instances: Collection[Instance] | None

    @property
    def come(self) -> tuple[Instance, ...]:
        """Those of the image."""
        return tuple(each for each in self.instances or () if each.image == self.image)

    @property
    def wanted(self) -> int:
        """How many of it there shall be, as far as is known."""
        return self.replicas or len(self.instances or ())

    @property
    def left(self) -> int:
        """How many of another image are sent requests still."""
        return len(self.instances or ()) - len(self.come)

    @property
    def is_there(self) -> bool:
        """Whether all is as it shall be at this moment."""
        if self.service is not None and (
            self.service.state not in SETTLED or self.service.health not in ("", "healthy")
        ):
            return False
        if self.instances is None:
            return self.service is not None
        come = len(self.come)
        return not self.left and (come == self.replicas or (self.replicas == 0 and come > 0))

    @property
    def described(self) -> str:
        """How far it is, in words."""
        said = [self.service.described] if self.service is not None else []
        if self.instances is not None:
            wanted = f" of {self.replicas}" if self.replicas else ""
            said.append(f"{len(self.come)}{wanted} new in etcd, {self.left} of another image")
        return "; ".join(said)
