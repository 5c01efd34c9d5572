"""A change by the scaler that is interrupted: it does not go on scaling."""

import asyncio
import contextlib
from types import SimpleNamespace
from typing import cast

import pytest

from deploy.release.app.model import App, Autoscale, Build, EngineName, Environment
from deploy.release.autoscale.rule import Decision
from deploy.release.commands import autoscale
from deploy.release.commands.autoscale import Scaling
from deploy.release.commands.site import Site
from tests.stack.told import Told

RULE = Autoscale(least=1, most=3, cpu_percent=50.0)
ENVIRONMENT = Environment(name="prod", engine=EngineName.COMPOSE, autoscale=RULE)
APP = App(name="shop", image="r.example/shop", build=Build(layer="base"))


async def test_an_interrupt_that_comes_while_the_lock_is_freed_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def nobody(*_: object) -> None:
        return None

    async def change(*_: object) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel("cut off by SIGTERM")
        # As freeing the lock does: what was done is done.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1)

    monkeypatch.setattr(autoscale, "holder_of", nobody)
    monkeypatch.setattr(autoscale.changing, "change", change)
    site = cast("Site", SimpleNamespace(progress=Told(), etcd=None))
    scaling = Scaling(site, APP, ENVIRONMENT, RULE, current=1)
    changing = asyncio.create_task(scaling.change(Decision(2, "busy", ())))
    with pytest.raises(asyncio.CancelledError):
        await changing
