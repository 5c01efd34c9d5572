"""A change by the scaler that is interrupted: it does not go on scaling."""

import asyncio
import contextlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest

from deploy.release.app.model import App, Autoscale, Build, EngineName, Environment
from deploy.release.autoscale.rates import Look
from deploy.release.autoscale.rule import Decision
from deploy.release.commands import autoscale
from deploy.release.commands.autoscale import Scaling
from deploy.release.commands.site import Site
from deploy.release.records.holder import Holder
from deploy.release.records.record import Numbered, Record
from tests.stack.told import Told
from wharfinger.errors import Unavailable

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


async def test_what_stays_wrong_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = [["no record"], ["no record"], ["no record"], [], ["no record"]]
    holder = Holder(by="ann", host="build1", pid=7, verb="up", at="2026-11-26T17:10:59Z")

    class Releases:
        def __init__(self, *_: object, on_remark: Callable[[str], None]) -> None:
            self._on_remark = on_remark

        async def history(self) -> list[Numbered]:
            for each in wrong.pop(0):
                self._on_remark(each)
            return [Numbered(1, Record(release="r1", state="succeeded", replicas=1))]

    async def seen(_self: Scaling) -> tuple[list[str], Look]:
        return [], Look()

    async def ann(*_: object) -> Holder:
        return holder

    monkeypatch.setattr(autoscale, "Releases", Releases)
    monkeypatch.setattr(autoscale, "holder_of", ann)
    monkeypatch.setattr(Scaling, "_look", seen)
    told = Told()
    scaling = Scaling(
        cast("Site", SimpleNamespace(progress=told, etcd=None)), APP, ENVIRONMENT, RULE
    )
    await scaling.begin(10.0)
    for _ in range(3):
        await scaling.decide()
        await scaling.change(Decision(2, "busy", ()))
    assert told.steps == ["no record", f"{holder} changes it just now: looked at again later"]
    await scaling.decide()
    assert told.steps[2:] == ["no record"]


async def test_who_does_not_answer_for_a_while_ends_no_scaler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def away(_: Scaling) -> Decision:
        raise Unavailable("etcd does not answer")

    monkeypatch.setattr(Scaling, "decide", away)
    telling = Told()
    site = cast("Site", SimpleNamespace(progress=telling, etcd=None))
    scaling = Scaling(site, APP, ENVIRONMENT, RULE, current=1)
    for _ in range(3):
        await scaling.turn()
    assert telling.steps == ["etcd does not answer: looked at again later"]
