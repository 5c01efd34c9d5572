"""What is known of the containers on this host, kept true by lists, inspections and events."""

import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from registrar.doubt import Doubt
from registrar.labels import asks
from registrar.labels.asks import Asks
from registrar.labels.serviceports import SHARED
from registrar.model import Seen, Ways
from wharfinger.container import Container, DockerEvent, Listed, of_an_earlier_run

FAREWELLS: Final = 4_096
STOP_SIGNALS: Final = frozenset({int(signal.SIGTERM), int(signal.SIGKILL)})


class Census:
    """Every container, as it was last looked at, and what the events said since.

    Attributes:
        containers: by id.
        unknown: ids of containers that exist and that Docker could not describe.
        complete: a list has been seen: what is not in here does not exist.
        version: grows with every change.
        farewells: ids of containers that an event said have ended, the latest last.
        doubt: of whom it is not known whether they still run.
    """

    def __init__(
        self,
        stops: Mapping[str, int],
        ways: Callable[[], Ways] = Ways,
    ) -> None:
        """Begins with nothing.

        Args:
            stops: when containers were told to stop, from the life before.
            ways: how this host reads what containers say; asked each time, as a reload changes it.
        """
        self._ways = ways
        self.containers: dict[str, Seen] = {}
        self.unknown: frozenset[str] = frozenset()
        self.complete = False
        self.version = 0
        self.farewells: dict[str, None] = {}
        self.doubt = Doubt()
        self._stops = dict(stops)

    @property
    def stops(self) -> dict[str, int]:
        """When containers that have not ended or started since were told to stop."""
        return {
            container_id: seen.stopping
            for container_id, seen in self.containers.items()
            if seen.stopping is not None and seen.container.running
        }

    def listed(self, listed: Listed) -> None:
        """Takes a list as the whole truth."""
        kept = {each: self.containers[each] for each in listed.unknown & self.containers.keys()}
        every = (*listed.containers, *(each.container for each in kept.values()))
        self.containers = {each.id: self._seen(each, every) for each in listed.containers} | kept
        self.unknown = listed.unknown
        self.doubt = self.doubt.listed(listed.began, self.containers, listed.unknown)
        self.complete = True
        self._stops.clear()
        self.version += 1

    def looked(self, container_id: str, container: Container | None) -> None:
        """Takes what an inspection found; None when there is no such container any more."""
        if container is not None:
            others = (each.container for each in self.containers.values())
            self.containers[container_id] = self._seen(container, others)
        else:
            self.containers.pop(container_id, None)
        network_mode = SHARED + container_id
        for guest in list(self.containers.values()):
            # Who shares its network has its ports and addresses.
            if guest.container.network_mode == network_mode:
                found = () if container is None else (container,)
                self.containers[guest.container.id] = self._seen(guest.container, found)
        self.unknown -= {container_id}
        self.doubt = self.doubt.settled({container_id})
        self.version += 1

    def doubted(self, now: float) -> None:
        """All that is known of who runs may be over, at this moment in monotonic seconds."""
        self.doubt = self.doubt.raised(now, self.containers)
        self.version += 1

    def settled(self, containers: Iterable[str]) -> None:
        """Takes for known again that these run."""
        self.doubt = self.doubt.settled(containers)
        self.version += 1

    def reread(self) -> None:
        """Reads again what every container asks for: this host reads them another way now."""
        every = [seen.container for seen in self.containers.values()]
        for container_id, seen in self.containers.items():
            anew = replace(seen, asks=self._asks(seen.container, every))
            self.containers[container_id] = anew
        self.version += 1

    def happened(self, event: DockerEvent) -> bool:
        """Takes at once what an event says for certain; whether to look for the rest."""
        container_id = event.container_id
        if event.action == "create":
            return False  # it asks for nothing before its start, of which there is an event, too
        seen = self.containers.get(container_id)
        if event.action == "destroy":
            self._take_leave(container_id)
            self.looked(container_id, None)
            return True  # an inspection under way may still find it, and must not be the last
        if seen is None:
            if event.action == "die":
                self._take_leave(container_id)
            if event.action == "kill" and _is_stop(event, None):
                self._stops[container_id] = event.time_ns
            return True
        if of_an_earlier_run(event, seen.container):
            return False
        match event.action:
            case "kill" if _is_stop(event, seen.container):
                self._change(replace(seen, stopping=event.time_ns))
            case "die":
                self._take_leave(container_id)
                ended = replace(seen.container, running=False, state="exited")
                # Its stop is done with: by a clock that was set back, the next start would
                # seem to lie before it.
                self._change(replace(seen, container=ended, stopping=None))
            case "pause":
                self._change(replace(seen, container=replace(seen.container, paused=True)))
        return True

    def told(self, container: Container, port: int) -> None:
        """Notes that this run of a container was told its port."""
        seen = self.containers.get(container.id)
        if seen is not None and seen.container.started_at_ns == container.started_at_ns:
            self._change(replace(seen, told=port, trouble=""))

    def troubled(self, container: Container, why: str) -> None:
        """Notes why this run of a container cannot be given or told a port."""
        seen = self.containers.get(container.id)
        if seen is not None and seen.container.started_at_ns == container.started_at_ns:
            self._change(replace(seen, trouble=why))

    def forgive(self) -> None:
        """Lets what went wrong be tried again."""
        for seen in [each for each in self.containers.values() if each.trouble]:
            self._change(replace(seen, trouble=""))

    def _change(self, seen: Seen) -> None:
        self.containers[seen.container.id] = seen
        self.version += 1

    def _take_leave(self, container_id: str) -> None:
        self.farewells.pop(container_id, None)
        self.farewells[container_id] = None
        if len(self.farewells) > FAREWELLS:
            del self.farewells[next(iter(self.farewells))]

    def _seen(self, container: Container, others: Iterable[Container]) -> Seen:
        before = self.containers.get(container.id)
        alone = not container.network_mode.startswith(SHARED)
        if alone and before is not None and before.container is container:
            wanted = before.asks  # it was not even inspected anew
        else:
            wanted = self._asks(container, others)
        stopping = before.stopping if before else self._stops.get(container.id)
        if stopping is not None and (container.started_at_ns > stopping or not container.running):
            stopping = None
        if before is None or before.container.started_at_ns != container.started_at_ns:
            if container.running:
                self.farewells.pop(container.id, None)
            return Seen(container, wanted, stopping)
        return replace(before, container=container, asks=wanted, stopping=stopping)

    def _asks(self, container: Container, others: Iterable[Container]) -> Asks:
        return asks.read(container, self._ways(), network=asks.network_of(container, others))


def _is_stop(event: DockerEvent, container: Container | None) -> bool:
    """Whether a kill means the end: `docker kill -s USR1` comes as one, too."""
    number = event.signal
    # A label named `signal` hides the true one: better out too early than too late.
    own = container.stop_signal if container is not None else None
    return number is None or number == own or number in STOP_SIGNALS
