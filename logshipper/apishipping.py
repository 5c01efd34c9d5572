"""Logs that are read through Docker's API, in every shipment: a stream for each of them."""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from logshipper.api.stream import Logs, Stream
from logshipper.api.tail import ApiTail
from logshipper.api.written import Written
from logshipper.inquiry import Registry
from logshipper.log import Log
from logshipper.model import Route
from logshipper.shipment import Shipment
from wharfinger.container import Container
from wharfinger.errors import Rejected
from wharfinger.events import Events

# Of one that Docker does not know any more, and that a checkpoint says was read so.
UNKNOWN_DRIVER: Final = "unknown"
# So many answers that end at the same time: each may hold what its tail has room for, and more.
ANSWERS: Final = 16


class ApiShipping:
    """Brings the logs of drivers that write no files of ours into every sink.

    Args:
        shipments: each has streams of its own: a sink that is down holds up its own alone.
        logs: Docker's; any number of answers may be open at once.
        registry: Docker.
        events: where decisions are told.
    """

    def __init__(
        self, shipments: Sequence[Shipment], logs: Logs, registry: Registry, *, events: Events
    ) -> None:
        self._shipments = shipments
        self._source = logs
        self._registry = registry
        self._events = events
        self._streams: dict[tuple[str, str], Stream] = {}
        self._refused: dict[str, str] = {}
        self._gate = asyncio.Semaphore(ANSWERS)
        self._begun: asyncio.Queue[Coroutine[Any, Any, None]] = asyncio.Queue()

    async def run(self) -> None:
        """Runs the streams, for ever."""
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(await self._begun.get())

    def decide(self, container: Container, decided: Mapping[str, Route]) -> dict[str, Route]:
        """What becomes of a container's log, now that more is known of it; by the sinks' names."""
        return {name: self._decided(container, name, each) for name, each in decided.items()}

    def learn(self, container: Container, folder: str) -> None:
        """Reads the log of a container, if its driver asks for that; to be told after the routes.

        Args:
            container: whose log.
            folder: of the container, below Docker's data root.
        """
        for shipment, log in self._logs(container.id):
            key = (shipment.name, container.id)
            if not isinstance(log.tail, ApiTail) or log.route is None or not log.route.ship:
                continue
            if key not in self._streams:
                self._begin(shipment, container, log.tail, folder)
            elif container.running:
                self._streams[key].stir()

    def started(self, container_id: str) -> None:
        """A container was started."""
        self._refused.pop(container_id, None)
        for stream in self._of(container_id):
            stream.stir(started=True)

    def gone(self, container_id: str) -> None:
        """A container's folder is no more, as far as one sees: Docker is asked."""
        for stream in self._of(container_id):
            stream.stir()

    def _of(self, container_id: str) -> Iterator[Stream]:
        for shipment in self._shipments:
            if (stream := self._streams.get((shipment.name, container_id))) is not None:
                yield stream

    def _logs(self, container_id: str) -> Iterator[tuple[Shipment, Log]]:
        for shipment in self._shipments:
            if (log := shipment.logs.get(container_id)) is not None:
                yield shipment, log

    def _decided(self, container: Container, sink: str, decided: Route) -> Route:
        if not decided.ship:
            return decided
        if (why := self._refused.get(container.id)) is not None:
            return Route(ship=False, reason=why)
        log = next((each for s, each in self._logs(container.id) if s.name == sink), None)
        if log is None:
            return decided
        if decided.driver and not isinstance(log.tail, ApiTail):
            log.read_from(ApiTail(log.saved))
        elif isinstance(log.tail, ApiTail) and not decided.driver:
            return replace(decided, driver=UNKNOWN_DRIVER)
        return decided

    def _begin(self, shipment: Shipment, container: Container, tail: ApiTail, folder: str) -> None:
        written = Written(folder, container.log_driver, container.log_options)
        wake = partial(shipment.wake, container.id)
        stream = Stream(
            self._source, self._registry, container, tail, written, gate=self._gate, on_data=wake
        )
        self._streams[shipment.name, container.id] = stream
        self._begun.put_nowait(self._read(shipment, container, stream))

    async def _read(self, shipment: Shipment, container: Container, stream: Stream) -> None:
        try:
            await stream.run()
        except Rejected as refusal:
            self._refuse(container, f"log driver {container.log_driver!r:.80}: {refusal}")
        finally:
            del self._streams[shipment.name, container.id]

    def _refuse(self, container: Container, why: str) -> None:
        if container.id in self._refused:
            return
        self._refused[container.id] = why
        for shipment in self._shipments:
            shipment.direct(container.id, Route(ship=False, reason=why))
            self._events.emit(
                "log left out",
                "warning",
                sink=shipment.name,
                container=container.id,
                name=container.name,
                why=why,
            )
