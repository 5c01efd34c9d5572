"""How far a rollout by Compose says that it is: of all that shall run, not of the last batch."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, cast

from deploy.release.app.model import Order
from deploy.release.app.parsing import parse
from deploy.release.engines.compose.files import MARK_LABEL
from deploy.release.engines.compose.plan import Wish
from deploy.release.engines.compose.rollout import Rollout
from deploy.release.engines.compose.site import Site
from deploy.release.engines.facts import Facts

WHARF = """\
app: shop
image: registry.example/shop
build: {layer: small}
environments:
  prod: {engine: compose, replicas: 3, rollout: {monitor: 0s}}
"""


class Engine:
    """Containers that are up as soon as they are asked for."""

    def __init__(self) -> None:
        self.there: list[Facts] = []
        self._numbers = itertools.count(1)

    def add(self, mark: str) -> None:
        number = next(self._numbers)
        labels = {MARK_LABEL: mark}
        self.there.append(Facts(id=f"c{number}", name=f"shop_{number}", labels=labels))

    async def labelled(self, _labels: Mapping[str, str]) -> tuple[Facts, ...]:
        return tuple(self.there)

    async def stop(self, _ids: Sequence[str], *, grace_seconds: float) -> None:
        assert grace_seconds > 0

    async def remove(self, ids: Sequence[str]) -> None:
        self.there = [each for each in self.there if each.id not in ids]


class Told:
    def __init__(self) -> None:
        self.waited: list[tuple[str, int, int]] = []

    def step(self, text: str) -> None:
        assert text

    def output(self, line: str) -> None:
        raise AssertionError(line)

    def waiting(self, what: str, done: int, of: int) -> None:
        self.waited.append((what, done, of))


async def rolled(engine: Engine, told: Told, mark: str) -> None:
    app = parse(WHARF)
    site = Site(
        app=app,
        environment=app.environments["prod"],
        containers=cast("Any", engine),
        labels={},
        instances=cast("Any", None),
        registering=False,
        progress=told,
    )

    async def start(count: int) -> None:
        while len(engine.there) < count:
            engine.add(mark)

    await Rollout(site, mark, Wish(replicas=3, batch=1, order=Order.START_FIRST), start).run()


async def test_each_batch_counts_those_before_it() -> None:
    engine, told = Engine(), Told()
    for _ in range(3):
        engine.add("before")
    await rolled(engine, told, "now")
    what = "instances of the release that are up"
    assert list(dict.fromkeys(told.waited)) == [(what, n, 3) for n in (1, 2, 3)]
    assert [each.labels[MARK_LABEL] for each in engine.there] == ["now"] * 3


async def test_what_runs_already_is_not_called_new() -> None:
    engine, told = Engine(), Told()
    for _ in range(2):
        engine.add("now")
    await rolled(engine, told, "now")
    assert [each[1:] for each in told.waited] == [(2, 3), (3, 3)]
    assert not any("new" in each[0] for each in told.waited)
