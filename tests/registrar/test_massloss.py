"""When most of a host seems lost: who is doubted, asked, kept and let go."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping

import pytest

from registrar.massguard import MassGuard
from registrar.massloss import Loss, suspicious, unexplained
from registrar.model import Holder, Instance, Out, Plan, Ready, Seen
from tests.stack.etcd import eventually
from wharfinger.container import Container
from wharfinger.events import Events
from wharfinger.health import Check
from wharfinger.keys import Endpoint, InstanceKey, Service
from wharfinger.metadata import Metadata
from wharfinger.operator.parts.process import free_port

SHOP = Service("shop", "prod")


def key(port: int) -> InstanceKey:
    return InstanceKey(SHOP, Endpoint("127.0.0.1", port))


def container_id(port: int) -> str:
    return f"{port:064d}"


def loss(
    registered: range | list[int],
    kept: range | list[int] = (),  # type: ignore[assignment]
    *,
    listed: Mapping[int, bool] | None = None,
    farewells: tuple[int, ...] = (),
) -> Loss:
    """What is lost of `registered` where `kept` stay; `listed`: known, and whether they run."""
    instances = {key(port): Instance(key(port), Metadata(id=container_id(port))) for port in kept}
    verdicts = {each.metadata.id: (Ready(each),) for each in instances.values()}
    known = {**dict.fromkeys(kept, True), **(listed or {})}
    return Loss(
        registered={key(port): Holder(container_id(port), "") for port in registered},
        plan=Plan((), verdicts, instances),
        containers={
            container_id(port): Seen(Container(container_id(port), running=runs), ())
            for port, runs in known.items()
        },
        farewells={container_id(port) for port in farewells},
    )


def test_up_to_half_may_go_by_a_list() -> None:
    assert suspicious(loss(range(1, 11), range(6, 11))) == {}
    assert len(suspicious(loss(range(1, 11), range(7, 11)))) == 6
    assert suspicious(loss([])) == {}


def test_who_was_heard_to_end_is_explained() -> None:
    assert unexplained(loss([1, 2, 3], farewells=(1, 2))).keys() == {key(3)}
    assert suspicious(loss([1, 2, 3], farewells=(1, 2))) == {}


def test_who_runs_is_judged_by_what_was_seen_and_who_was_ended_by_a_list_is_doubted() -> None:
    assert unexplained(loss([1, 2], listed={1: True, 2: False})).keys() == {key(2)}


class Guarded:
    """A guard with something that answers, and something that does not."""

    def __init__(self) -> None:
        self.events = Events()
        self.check = Check("mass loss", self.events)
        self.replans = 0
        self.guard = MassGuard(self.check, self.events, self.replan)

    def replan(self) -> None:
        self.replans += 1

    @property
    def healthy(self) -> bool:
        return self.check.report().healthy


@pytest.fixture
async def guarded() -> AsyncIterator[Guarded]:
    guarded = Guarded()
    task = asyncio.create_task(guarded.guard.run())
    yield guarded
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_what_answers_is_kept_and_told_and_what_is_silent_goes(guarded: Guarded) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        alive, dead = server.getsockname()[1], free_port()
        lost = loss([alive, dead])
        both = {container_id(alive), container_id(dead)}
        assert guarded.guard.spare(lost) == both
        await eventually(lambda: guarded.replans)
        assert guarded.guard.spare(lost) == {container_id(alive)}
        assert guarded.guard.kept == (key(alive),)
        assert not guarded.healthy
        # What is silent has left etcd; what answers is doubted still, though it is alone now.
        assert guarded.guard.spare(loss([alive])) == {container_id(alive)}
    # The server is gone: at the next look it is silent, too.
    await eventually(lambda: guarded.guard.spare(loss([alive])) == frozenset())
    assert guarded.healthy


async def test_what_docker_finds_again_is_doubted_no_more(guarded: Guarded) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        guarded.guard.spare(loss([port]))
        await eventually(lambda: not guarded.healthy)
        assert guarded.guard.spare(loss([port], [port])) == frozenset()
        assert guarded.healthy
        assert guarded.guard.kept == ()


async def test_an_end_that_is_heard_of_lets_go_at_once(guarded: Guarded) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert guarded.guard.spare(loss([port]))
        assert guarded.guard.spare(loss([port], farewells=(port,))) == frozenset()


def test_a_verdict_other_than_ready_is_lost() -> None:
    lost = loss([1])
    out = Loss(lost.registered, Plan((), {container_id(1): (Out("gone"),)}, {}), {}, ())
    assert unexplained(out).keys() == {key(1)}
