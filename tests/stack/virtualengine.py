"""An engine that is a file: what it runs outlives the command, which a test may kill anywhere.

`python -m tests.stack.virtualengine VERB...` is the command `deploy` on such engines: the file
WHARF_VIRTUAL says where, in a folder for each environment.
"""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from deploy.release import cli, warrant
from deploy.release.app.model import App, Environment
from deploy.release.commands import opening
from deploy.release.commands.site import Site
from deploy.release.engine import NoRoom, Replica, RolloutFailed, Target
from deploy.release.progress import Progress
from wharfinger.errors import Unavailable

FOLDER = "WHARF_VIRTUAL"
HELD_SECONDS = 0.02


class VirtualEngine:
    """One environment's: starts one, stops one, a moment for each.

    Args:
        path: what runs.
        orders: what a test wants of it: `seconds` a step takes, the kind of step to `hold`
            back (start or stop), digests that `fail` or `break` (fail and are not put back),
            whether it is `away`, for how many there is `room`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._orders = path.with_suffix(".orders")

    def order(self, **wanted: Any) -> None:
        """What it shall do from now on."""
        _put(self._orders, wanted)

    async def running(self) -> tuple[Replica, ...]:
        if self._wanted("away", default=False):
            raise Unavailable("the engine does not answer")
        return tuple(Replica(**each) for each in self._read())

    async def require_room(self, target: Target) -> None:
        if target.replicas > (most := self._wanted("room", default=target.replicas)):
            raise NoRoom(f"there is room for {most}")

    async def up(self, target: Target, progress: Progress) -> None:
        before = [each.image for each in await self.running()]
        digest = target.image.rpartition("@")[2]
        for number in range(target.replicas):
            if sum(each["image"] == target.image for each in self._read()) < target.replicas:
                await self._start(target.image)
            progress.waiting("instances up", number + 1, target.replicas)
            if digest in self._wanted("fail", default=[]):
                self._write([each for each in self._read() if each["image"] in before])
                raise RolloutFailed("shop-1 exited with code 3\nno port\nbye", restored=True)
            if digest in self._wanted("break", default=[]):
                raise RolloutFailed("shop-1 never came up", restored=False)
            await self._stop(but=target.image)
        while [each for each in self._read() if each["image"] != target.image]:
            await self._stop(but=target.image)
        await self.scale(target, progress)

    async def scale(self, target: Target, progress: Progress) -> None:
        while len(self._read()) < target.replicas:
            await self._start(target.image)
        while len(self._read()) > target.replicas:
            await self._stop()

    async def down(self, progress: Progress) -> None:
        while await self.running():
            await self._stop()
            progress.step(f"{len(self._read())} left")

    async def _start(self, image: str) -> None:
        await self._moment("start")
        there = self._read()
        number = 1 + max((int(each["id"]) for each in there), default=0)
        one = {"id": str(number), "name": f"shop-{number}", "host": "h1", "image": image}
        self._write([*there, {**one, "state": "up"}])

    async def _stop(self, but: str = "") -> None:
        await self._moment("stop")
        there = self._read()
        going = next((each for each in there if each["image"] != but), None)
        self._write([each for each in there if each is not going])

    async def _moment(self, step: str) -> None:
        await asyncio.sleep(self._wanted("seconds", default=0.0))
        while self._wanted("hold", default="") == step:  # noqa: ASYNC110  another process orders
            await asyncio.sleep(HELD_SECONDS)
        warrant.require()  # as `programs.run` does

    def _wanted(self, name: str, *, default: Any) -> Any:
        return (
            json.loads(self._orders.read_text()).get(name, default) if self.is_ordered else default
        )

    @property
    def is_ordered(self) -> bool:
        return self._orders.exists()

    def _read(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = (
            json.loads(self._path.read_text()) if self._path.exists() else []
        )
        return found

    def _write(self, replicas: list[dict[str, str]]) -> None:
        _put(self._path, replicas)


def _put(path: Path, value: Any) -> None:
    # At once: the test and the command read while the other writes.
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(json.dumps(value))
    beside.replace(path)


def engine_of(app: App, environment: Environment, _site: Site) -> VirtualEngine:
    """The engine of an environment, in the folder that the environment variable names."""
    return VirtualEngine(Path(os.environ[FOLDER]) / f"{app.name}_{environment.name}.json")


if __name__ == "__main__":
    opening.engine_of = engine_of  # type: ignore[assignment]
    cli.main()
