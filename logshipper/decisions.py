"""Where each container's log goes: decided when it is learned, and again after a reload."""

from collections.abc import Callable, Sequence
from pathlib import Path

from logshipper.apishipping import ApiShipping
from logshipper.config import Config
from logshipper.fileshipping import FileShipping
from logshipper.planning import decide
from logshipper.route import through
from logshipper.shipment import Shipment
from wharfinger.container import Container
from wharfinger.events import Events


class Decisions:
    """Directs the logs of containers, and those of the files inside them.

    Args:
        config: whole.
        shipments: in the order of the configuration's sinks.
        api: logs that are read through Docker's API.
        files: files of text.
        events: where decisions are told.
        folder_of: a container's, below Docker's data root.
    """

    def __init__(
        self,
        config: Config,
        shipments: Sequence[Shipment],
        api: ApiShipping,
        files: FileShipping,
        *,
        events: Events,
        folder_of: Callable[[str], Path],
    ) -> None:
        self._config = config
        self._shipments = shipments
        self._api = api
        self._files = files
        self._events = events
        self._folder_of = folder_of
        self._containers: dict[str, Container] = {}

    def learn(self, container: Container) -> None:
        """Decides for one container."""
        self._containers[container.id] = container
        self._begin(container)

    def reload(self, config: Config) -> None:
        """Decides for every container again; nothing of a log is lost or read twice by that.

        A log that a sink takes from now on begins at its head, or where the sink took it last.
        """
        self._config = config
        self._files.reload(config)
        self.forget_ended()
        for container in self._containers.values():
            self._begin(container)
        self._files.direct()

    def forget_ended(self) -> None:
        """Lets go of containers of which no log is left."""
        held = {log.whose for shipment in self._shipments for log in shipment.logs.values()}
        for container_id in self._containers.keys() - held:
            del self._containers[container_id]

    def _begin(self, container: Container) -> None:
        self._direct(container)
        self._api.learn(container, str(self._folder_of(container.id)))
        self._files.learn(container)

    def _direct(self, container: Container) -> None:
        decisions = self._api.decide(container, decide(self._config, container))
        for shipment in self._shipments:
            decided = decisions[shipment.name]
            if shipment.direct(container.id, decided):
                self._events.emit(
                    "log shipped" if decided.ship else "log left out",
                    sink=shipment.name,
                    container=container.id,
                    name=container.name,
                    why="; ".join(filter(None, (through(decided), decided.reason))),
                )
