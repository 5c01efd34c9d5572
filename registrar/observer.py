"""Keeps the census true: Docker's lists and events in, and whoever they leave a doubt of."""

import contextlib
from collections.abc import Callable
from typing import Never

from registrar.census import Census
from registrar.inspector import Inspector
from wharfinger.container import Container, DockerEvent, Listed
from wharfinger.dockerd import Docker
from wharfinger.health import Check


class Observer:
    """Two loops: one follows Docker, one looks at single containers.

    Args:
        docker: the engine; opened before either loop is run.
        census: what is known of the containers.
        check: whether Docker answers.
        changed: called whenever the census has changed.
    """

    def __init__(
        self, docker: Docker, census: Census, check: Check, changed: Callable[[], None]
    ) -> None:
        self._docker = docker
        self._census = census
        self._check = check
        self._changed = changed
        self._inspector = Inspector(docker, self._looked)

    def doubt(self) -> None:
        """Has Docker asked again; what it was asked before this says nothing."""
        self._docker.relist()
        self._inspector.doubt()

    async def follow(self) -> None:
        """Takes what Docker tells, for ever."""
        updates = self._docker.watch(on_alive=self._check.ok, on_trouble=self._check.fail)
        async with contextlib.aclosing(updates):
            async for update in updates:
                match update:
                    case Listed():
                        self._census.listed(update)
                        self._inspector.doubt()
                    case DockerEvent():
                        if self._census.happened(update):
                            self._inspector.look(update.container_id)
                self._changed()

    async def inspect(self) -> Never:
        """Looks at containers, for ever."""
        await self._inspector.run()

    def _looked(self, container_id: str, container: Container | None) -> None:
        self._census.looked(container_id, container)
        self._changed()
