"""Answers as dockerd would for containers that are only folders: what a shipper asks for."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web


@dataclass
class Engine:
    """Containers on paper.

    Args:
        root: Docker's data root.
        count: of containers.
    """

    root: Path
    count: int
    ids: list[str] = field(default_factory=list)
    _ending: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.ids = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(self.count)]
        for container_id in self.ids:
            self.log(container_id).parent.mkdir(parents=True)
            self.log(container_id).touch()

    @property
    def socket(self) -> Path:
        return self.root / "docker.sock"

    def log(self, container_id: str) -> Path:
        return self.root / "containers" / container_id / f"{container_id}-json.log"

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        application = web.Application()
        application.router.add_get("/{rest:.*}", self._answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.UnixSite(runner, str(self.socket)).start()
        try:
            yield
        finally:
            self._ending.set()
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        words = request.path.strip("/").split("/")
        if words[0].startswith("v1."):
            words.pop(0)
        if words == ["events"]:
            stream = web.StreamResponse()
            await stream.prepare(request)
            await self._ending.wait()
            return stream
        return web.json_response(self._told(words))

    def _told(self, words: list[str]) -> object:
        match words:
            case ["version"]:
                return {"ApiVersion": "1.41", "MinAPIVersion": "1.12"}
            case ["info"]:
                return {"Name": "h1", "ServerVersion": "20.10", "DockerRootDir": str(self.root)}
            case ["containers", "json"]:
                return [self._entry(each) for each in self.ids]
            case ["containers", container_id, "json"]:
                return self._container(container_id)
            case _:
                return {}

    def _entry(self, container_id: str) -> dict[str, Any]:
        name = f"/shop-{self.ids.index(container_id)}"
        state = {"State": "running", "Status": "Up 3 hours"}
        return {"Id": container_id, "Names": [name], "Image": "shop:1", **state}

    def _container(self, container_id: str) -> dict[str, Any]:
        labels = {"wharfinger.app": "shop", "wharfinger.env": "prod"}
        return {
            "Id": container_id,
            "Name": f"/shop-{self.ids.index(container_id)}",
            "State": {"Status": "running", "Running": True, "Pid": 1},
            "Created": "2026-07-01T10:00:00Z",
            "Config": {"Image": "shop:1", "Labels": labels, "Env": []},
            "HostConfig": {"LogConfig": {"Type": "json-file", "Config": {}}},
            "LogPath": str(self.log(container_id)),
        }
