"""What registered instances use of the processor, for whoever asks: `/usage`."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from registrar.model import Ready, Verdict
from wharfinger.dockerd import Docker
from wharfinger.endpoints import json_answer
from wharfinger.errors import WharfingerError

# Several that ask at once get one answer; nothing is measured while nobody asks.
KEPT_SECONDS: Final = 1.0
ASKED_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Used:
    """One instance.

    Attributes:
        address: `IP:PORT`.
        service: `<APP>_<ENV>`.
        id: of the container.
    """

    address: str
    service: str
    id: str


def instances(verdicts: Mapping[str, tuple[Verdict, ...]]) -> list[Used]:
    """Whom the figures are about, by their latest verdicts; sorted by address."""
    ready = [
        (container_id, each.instance)
        for container_id, several in verdicts.items()
        for each in several
        if isinstance(each, Ready)
    ]
    found = (Used(one.key.endpoint.value, one.key.service.name, of) for of, one in ready)
    return sorted(found, key=lambda each: each.address)


class Usage:
    """Asks the engine when it is asked.

    Args:
        docker: the engine.
        verdicts: the latest.
    """

    def __init__(
        self, docker: Docker, verdicts: Callable[[], Mapping[str, tuple[Verdict, ...]]]
    ) -> None:
        self._docker = docker
        self._verdicts = verdicts
        self._measuring: asyncio.Task[dict[str, Any]] | None = None
        self._measured_at = float("-inf")

    def routes(self) -> Iterable[web.RouteDef]:
        """The routes, for the registrar's address."""
        return [web.get("/usage", self._serve)]

    async def _serve(self, _request: web.Request) -> web.Response:
        return json_answer(await asyncio.shield(self._latest()))

    def _latest(self) -> "asyncio.Task[dict[str, Any]]":
        now = time.monotonic()
        if self._measuring is None or (
            self._measuring.done() and now - self._measured_at >= KEPT_SECONDS
        ):
            self._measuring = asyncio.create_task(self._measure(), name="usage")
            self._measured_at = now
        return self._measuring

    async def _measure(self) -> dict[str, Any]:
        gate = asyncio.Semaphore(ASKED_AT_ONCE)
        about = instances(self._verdicts())
        told = await asyncio.gather(*(self._of(each, gate) for each in about))
        return {"instances": told}

    async def _of(self, used: Used, gate: asyncio.Semaphore) -> dict[str, Any]:
        entry: dict[str, Any] = {"address": used.address, "service": used.service, "id": used.id}
        async with gate:
            try:
                seconds = await self._docker.cpu_seconds(used.id)
            except WharfingerError as error:
                return entry | {"cpu_seconds": None, "why": str(error)}
        return entry | {"cpu_seconds": seconds, "at": time.monotonic()}
