"""Looks at containers: each once at a time, again when asked meanwhile, none delayed by another."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from registrar import inspector
from registrar.inspector import Inspector
from tests.stack.etcd import eventually
from wharfinger.container import Container
from wharfinger.errors import Unavailable

A, B = "a" * 64, "b" * 64


class Engine:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.failures = 0

    async def inspect(self, container_id: str) -> Container | None:
        self.asked.append(container_id)
        if gate := self.gates.get(container_id):
            await gate.wait()
        if self.failures:
            self.failures -= 1
            raise Unavailable("dockerd is gone")
        return Container(id=container_id)


class Desk:
    def __init__(self) -> None:
        self.engine = Engine()
        self.found: asyncio.Queue[str] = asyncio.Queue()
        self.inspector = Inspector(
            self.engine,  # type: ignore[arg-type]  # the one method of Docker that is used
            lambda container_id, _container: self.found.put_nowait(container_id),
        )

    async def next(self) -> str:
        async with asyncio.timeout(10):
            return await self.found.get()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    running = asyncio.create_task(desk.inspector.run())
    yield desk
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_one_that_is_asked_for_while_being_looked_at_is_looked_at_again(desk: Desk) -> None:
    desk.engine.gates[A] = asyncio.Event()
    desk.inspector.look(A)
    await eventually(lambda: desk.engine.asked)
    desk.inspector.look(A)
    desk.inspector.look(A)
    assert desk.engine.asked == [A]
    desk.engine.gates[A].set()
    assert await desk.next() == A
    assert desk.engine.asked == [A, A]


async def test_a_stuck_one_delays_no_other(desk: Desk) -> None:
    desk.engine.gates[A] = asyncio.Event()
    desk.inspector.look(A)
    desk.inspector.look(B)
    assert await desk.next() == B


async def test_one_that_could_not_be_looked_at_is_tried_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspector, "RETRY_SECONDS", 0.01)
    desk.engine.failures = 2
    desk.inspector.look(A)
    assert await desk.next() == A
    assert desk.engine.asked == [A, A, A]


@pytest.mark.parametrize("hint", ["an event", "a list"])
async def test_an_answer_from_before_the_latest_hint_is_not_believed(desk: Desk, hint: str) -> None:
    desk.engine.gates[A] = asyncio.Event()
    desk.inspector.look(A)
    await eventually(lambda: desk.engine.asked)
    if hint == "a list":
        desk.inspector.doubt()
    else:
        desk.inspector.look(A)
    desk.engine.gates[A].set()
    assert await desk.next() == A
    desk.inspector.look(B)
    assert await desk.next() == B, "A was found once, by the later look"
    assert desk.engine.asked == [A, A, B]
