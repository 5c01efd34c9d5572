"""The life of a daemon: what happens when, and how it ends, in one loop and as a real process."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from blockbuster import BlockBuster

from tests.wharfinger.conftest import Systemd
from wharfinger import lifecycle, scope
from wharfinger.errors import ConfigError, Finding, Unavailable, WharfingerError
from wharfinger.lifecycle import Scope, TaskEndedError, live
from wharfinger.notify import Notifier
from wharfinger.operator.parts.process import Process, free_port, until

Step = Callable[["Fake"], Any]


async def nothing(_: "Fake") -> None:
    """The default step."""


class Fake:
    """A daemon whose steps each test writes; tells the order of what happened."""

    def __init__(self, order: list[str], **steps: Any) -> None:
        self.order = order
        self.steps = steps
        self.scope: Scope
        self.config = "old"

    def made(self, lent: Scope) -> "Fake":
        self.scope = lent
        self.order.append("made")
        return self

    @asynccontextmanager
    async def resource(self, name: str, error: Exception | None = None) -> AsyncIterator[str]:
        opener = asyncio.current_task()
        self.order.append(f"{name} opened")
        yield name
        assert asyncio.current_task() is opener, "closed by another task"
        self.order.append(f"{name} closed")
        if error is not None:
            raise error

    async def loop(self, name: str, at_end: Exception | None = None) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.order.append(f"{name} ended")
            if at_end is not None:
                raise at_end

    async def start(self) -> None:
        self.order.append("start")
        await self.steps.get("start", nothing)(self)
        self.order.append("started")

    async def drain(self) -> None:
        self.order.append("drain")
        await self.steps.get("drain", nothing)(self)

    def status(self) -> dict[str, Any]:
        return {"config": self.config}

    async def reload(self, config: str) -> None:
        await self.steps.get("reload", nothing)(self)
        self.config = config


class Life:
    """One daemon that lives in a task of the test."""

    def __init__(self, fake: Fake, systemd: Systemd, **arguments: Any) -> None:
        self.fake = fake
        self.systemd = systemd
        self.listen = f"127.0.0.1:{free_port()}"
        environment = {"NOTIFY_SOCKET": systemd.address, **arguments.pop("environment", {})}
        reread = arguments.pop("reread", lambda: "new")
        self.messages: list[str] = []
        self.task = asyncio.ensure_future(
            live(
                "registrar", self.listen, fake.made, reread,
                notifier=Notifier(environment), **arguments,
            )
        )  # fmt: skip

    async def told(self, message: str) -> None:
        """Waits until systemd was told so."""

        async def has_come() -> bool:
            self.messages += self.systemd.messages()
            return any(message in one for one in self.messages) or self.task.done()

        await until(has_come, timeout_seconds=20, what=f"systemd is told {message}")
        assert any(message in one for one in self.messages), self.messages

    async def emitted(self, event: str) -> dict[str, Any]:
        async def has_happened() -> bool:
            return bool(self.events(event))

        await until(has_happened, timeout_seconds=20, what=event)
        return self.events(event)[-1]

    def events(self, event: str) -> list[dict[str, Any]]:
        return [line for _, line in self.fake.scope.events.since(0) if line["event"] == event]

    async def end(self) -> None:
        async with asyncio.timeout(20):
            await self.task

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        async with (
            aiohttp.ClientSession(f"http://{self.listen}") as client,
            client.get(path) as response,
        ):
            return response.status, await response.json()


@pytest.fixture
def order() -> list[str]:
    return []


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, unblocked: BlockBuster) -> None:
    monkeypatch.setattr(lifecycle, "HEALTH_TICK_SECONDS", 0.01)
    monkeypatch.setattr(lifecycle, "DRAIN_LIMIT_SECONDS", 0.2)
    monkeypatch.setattr(scope, "CLOSE_LIMIT_SECONDS", 0.2)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def hang_up() -> None:
    os.kill(os.getpid(), signal.SIGHUP)


class TestOrder:
    async def test_of_a_whole_life(self, order: list[str], systemd: Systemd) -> None:
        gate = asyncio.Event()

        async def start(fake: Fake) -> None:
            await fake.scope.enter(fake.resource("first"))
            await fake.scope.enter(fake.resource("second"))
            fake.scope.spawn("loop", fake.loop("loop"))
            await gate.wait()

        life = Life(Fake(order, start=start), systemd)
        await life.told("STATUS=starting")
        assert not any("READY" in message for message in life.messages)
        assert any("EXTEND_TIMEOUT_USEC=30000000" in message for message in life.messages)
        gate.set()
        await life.told("READY=1")
        assert order[-1] == "started"
        await life.told("STATUS=healthy")
        stop()
        await life.end()
        await life.told("STOPPING=1")
        assert order == [
            "made", "start", "first opened", "second opened", "started",
            "drain", "loop ended", "second closed", "first closed",
        ]  # fmt: skip
        happened = [line["event"] for _, line in life.fake.scope.events.since(0)]
        assert happened == [
            "registrar started", "registrar ready", "check healthy", "stop requested",
            "registrar draining", "registrar stopped",
        ]  # fmt: skip

    async def test_interrupt_stops_as_well(self, order: list[str], systemd: Systemd) -> None:
        life = Life(Fake(order), systemd)
        await life.told("READY=1")
        os.kill(os.getpid(), signal.SIGINT)
        await life.end()
        assert order[-1] == "drain"

    async def test_task_groups_and_timeouts_may_be_entered(
        self, order: list[str], systemd: Systemd
    ) -> None:
        async def start(fake: Fake) -> None:
            group = await fake.scope.enter(asyncio.TaskGroup())
            group.create_task(asyncio.sleep(0.01))
            await fake.scope.enter(asyncio.timeout(60))

        life = Life(Fake(order, start=start), systemd)
        await life.told("READY=1")
        stop()
        await life.end()

    async def test_signals_are_given_back(self, order: list[str], systemd: Systemd) -> None:
        before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
        life = Life(Fake(order), systemd)
        await life.told("READY=1")
        stop()
        await life.end()
        assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == before


class TestStart:
    async def test_a_stop_while_it_waits_for_ever_is_prompt_and_drains_nothing(
        self, order: list[str], systemd: Systemd
    ) -> None:
        async def start(fake: Fake) -> None:
            await fake.scope.enter(fake.resource("etcd"))
            await asyncio.Event().wait()

        life = Life(Fake(order, start=start), systemd)
        await life.told("STATUS=starting")
        stop()
        await life.end()
        assert order == ["made", "start", "etcd opened", "etcd closed"]
        assert not any("READY=1" in message for message in life.messages + systemd.messages())

    async def test_endpoints_answer_503_meanwhile(self, order: list[str], systemd: Systemd) -> None:
        async def start(fake: Fake) -> None:
            fake.scope.health.check("etcd").fail("refused")
            await asyncio.Event().wait()

        life = Life(Fake(order, start=start), systemd)
        await life.told("STATUS=starting: etcd: refused")
        for path in ("/healthz", "/readyz"):
            assert (await life.get(path))[0] == 503
        status, body = await life.get("/status")
        assert (status, body["state"], body["daemon"]) == (200, "starting", "registrar")
        stop()
        await life.end()

    async def test_half_a_daemon_has_a_status_too(self, order: list[str], systemd: Systemd) -> None:
        async def start(fake: Fake) -> None:
            del fake.config
            await asyncio.Event().wait()

        life = Life(Fake(order, start=start), systemd)
        await life.told("STATUS=starting")
        assert (await life.get("/status"))[1]["state"] == "starting"
        stop()
        await life.end()

    @pytest.mark.parametrize(
        "error", [RuntimeError("bug"), Unavailable("x"), ConfigError([Finding("a", "b")]),
                  TimeoutError("its own"), ExceptionGroup("many", [ValueError("x")])],
    )  # fmt: skip
    async def test_an_error_ends_it_closes_all_and_is_told(
        self, order: list[str], systemd: Systemd, error: Exception
    ) -> None:
        async def start(fake: Fake) -> None:
            await fake.scope.enter(fake.resource("first"))
            fake.scope.spawn("loop", fake.loop("loop"))
            await asyncio.sleep(0)
            raise error

        life = Life(Fake(order, start=start), systemd)
        with pytest.raises(type(error)) as raised:
            await life.end()
        assert raised.value is error
        assert order == ["made", "start", "first opened", "loop ended", "first closed"]
        assert life.events("registrar failed")
        await life.told("STATUS=failed: ")

    async def test_a_daemon_that_cannot_be_made(self, systemd: Systemd) -> None:
        def make(_: Scope) -> Any:
            raise ConfigError([Finding("a", "b")])

        with pytest.raises(ConfigError):
            await live("registrar", f"127.0.0.1:{free_port()}", make, lambda: None)

    async def test_a_port_in_use_is_a_finding_before_anything_begins(
        self, order: list[str], systemd: Systemd
    ) -> None:
        first = Life(Fake([]), systemd)
        await first.told("READY=1")
        with pytest.raises(ConfigError, match="in use"):
            await live("other", first.listen, Fake(order).made, lambda: None)
        assert order == ["made"]
        first.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first.end()


class TestTasks:
    async def test_one_that_returns_is_a_failure(self, order: list[str], systemd: Systemd) -> None:
        async def start(fake: Fake) -> None:
            await fake.scope.enter(fake.resource("first"))
            fake.scope.spawn("watch", asyncio.sleep(0.01))

        life = Life(Fake(order, start=start), systemd)
        with pytest.raises(TaskEndedError, match="task watch ended by itself"):
            await life.end()
        assert life.events("task failed")[0]["task"] == "watch"
        assert order[-1] == "first closed"
        assert "drain" not in order

    async def test_one_that_raises_is_the_cause(self, order: list[str], systemd: Systemd) -> None:
        async def crash() -> None:
            raise Unavailable("etcd is down")

        async def start(fake: Fake) -> None:
            fake.scope.spawn("watch", crash())
            await asyncio.Event().wait()

        life = Life(Fake(order, start=start), systemd)
        with pytest.raises(TaskEndedError) as raised:
            await life.end()
        assert isinstance(raised.value.__cause__, Unavailable)
        assert "started" not in order

    async def test_a_config_error_stays_one(self, order: list[str], systemd: Systemd) -> None:
        async def crash() -> None:
            raise ConfigError([Finding("a", "b")])

        async def start(fake: Fake) -> None:
            fake.scope.spawn("watch", crash())

        with pytest.raises(ConfigError):
            await Life(Fake(order, start=start), systemd).end()

    async def test_one_cancelled_by_its_library_is_a_failure(
        self, order: list[str], systemd: Systemd
    ) -> None:
        async def cancelled_inside() -> None:
            raise asyncio.CancelledError

        async def start(fake: Fake) -> None:
            fake.scope.spawn("watch", cancelled_inside())

        with pytest.raises(TaskEndedError, match="watch"):
            await Life(Fake(order, start=start), systemd).end()

    async def test_one_cancelled_by_its_owner_is_not(
        self, order: list[str], systemd: Systemd
    ) -> None:
        async def start(fake: Fake) -> None:
            task = fake.scope.spawn("watch", fake.loop("watch"))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])

        life = Life(Fake(order, start=start), systemd)
        await life.told("READY=1")
        await life.told("STATUS=healthy")
        stop()
        await life.end()
        assert not life.events("task failed")

    async def test_two_of_one_name_are_both_ended(self, order: list[str], systemd: Systemd) -> None:
        async def start(fake: Fake) -> None:
            fake.scope.spawn("tail", fake.loop("one"))
            fake.scope.spawn("tail", fake.loop("two"))

        life = Life(Fake(order, start=start), systemd)
        await life.told("READY=1")
        stop()
        await life.end()
        assert {"one ended", "two ended"} <= set(order)

    async def test_one_that_sees_the_stop_and_leaves_is_no_failure(
        self, order: list[str], systemd: Systemd
    ) -> None:
        async def until_stop(fake: Fake) -> None:
            await fake.scope.stopping.wait()

        async def start(fake: Fake) -> None:
            fake.scope.spawn("loop", until_stop(fake))

        async def drain(_: Fake) -> None:
            await asyncio.sleep(0.01)

        life = Life(Fake(order, start=start, drain=drain), systemd)
        await life.told("READY=1")
        stop()
        await life.end()
        assert not life.events("task failed")


class TestStop:
    async def test_the_drain_is_bounded(self, order: list[str], systemd: Systemd) -> None:
        async def drain(fake: Fake) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                fake.order.append("drain given up")

        life = Life(Fake(order, drain=drain), systemd)
        await life.told("READY=1")
        stop()
        await life.end()
        assert order[-1] == "drain given up"
        assert life.events("drain given up")[0]["level"] == "warning"

    async def test_a_daemon_that_needs_longer_is_given_longer(
        self, order: list[str], systemd: Systemd
    ) -> None:
        async def start(fake: Fake) -> None:
            fake.scope.drain_seconds = 60

        async def drain(fake: Fake) -> None:
            await asyncio.sleep(0.5)  # the usual limit is 0.2 here
            fake.order.append("drained")

        life = Life(Fake(order, start=start, drain=drain), systemd)
        await life.told("READY=1")
        stop()
        await life.end()
        assert order[-1] == "drained"
        assert not life.events("drain given up")

    async def test_a_drain_that_cannot_reach_etcd_is_no_failure(
        self, order: list[str], systemd: Systemd
    ) -> None:
        async def drain(_: Fake) -> None:
            raise Unavailable("etcd is down")

        life = Life(Fake(order, drain=drain), systemd)
        await life.told("READY=1")
        stop()
        await life.end()
        assert life.events("drain failed")

    @pytest.mark.parametrize("error", [RuntimeError("bug"), TimeoutError("its own")])
    async def test_a_drain_with_a_bug_is(
        self, order: list[str], systemd: Systemd, error: Exception
    ) -> None:
        async def drain(_: Fake) -> None:
            raise error

        async def start(fake: Fake) -> None:
            await fake.scope.enter(fake.resource("first"))

        life = Life(Fake(order, start=start, drain=drain), systemd)
        await life.told("READY=1")
        stop()
        with pytest.raises(type(error)):
            await life.end()
        assert order[-1] == "first closed"

    async def test_every_resource_is_closed_whatever_fails(
        self, order: list[str], systemd: Systemd
    ) -> None:
        @asynccontextmanager
        async def stuck() -> AsyncIterator[None]:
            yield
            await asyncio.Event().wait()

        async def start(fake: Fake) -> None:
            await fake.scope.enter(fake.resource("first"))
            await fake.scope.enter(fake.resource("second", error=OSError("disk")))
            await fake.scope.enter(stuck())
            await fake.scope.enter(fake.resource("third"))
            fake.scope.spawn("loop", fake.loop("loop", at_end=ValueError("finally")))

        life = Life(Fake(order, start=start), systemd)
        await life.told("READY=1")
        stop()
        with pytest.raises(ValueError, match="finally"):
            await life.end()
        assert order[-4:] == ["loop ended", "third closed", "second closed", "first closed"]
        assert [line["error"] for line in life.events("close failed")] == [
            "TimeoutError()",
            "OSError('disk')",
        ]
        assert life.events("task failed")[0]["error"] == "ValueError('finally')"

    async def test_the_first_error_is_not_hidden_by_a_failing_close(
        self, order: list[str], systemd: Systemd
    ) -> None:
        async def start(fake: Fake) -> None:
            await fake.scope.enter(fake.resource("first", error=OSError("disk")))
            raise RuntimeError("the cause")

        with pytest.raises(RuntimeError, match="the cause"):
            await Life(Fake(order, start=start), systemd).end()
        assert order[-1] == "first closed"

    async def test_a_task_that_will_not_end_is_left_behind(
        self, order: list[str], systemd: Systemd
    ) -> None:
        release = asyncio.Event()

        async def stubborn() -> None:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

        async def start(fake: Fake) -> None:
            await fake.scope.enter(fake.resource("first"))
            fake.scope.spawn("stubborn", stubborn())

        life = Life(Fake(order, start=start), systemd)
        await life.told("READY=1")
        stop()
        await life.end()
        release.set()
        assert life.events("task hangs")[0]["task"] == "stubborn"
        assert order[-1] == "first closed"


class TestReload:
    async def test_accepted(self, order: list[str], systemd: Systemd) -> None:
        applied: list[str] = []
        life = Life(Fake(order), systemd, applied=applied.append)
        await life.told("READY=1")
        for number in (1, 2):
            hang_up()
            await life.emitted("configuration reloaded")

            async def twice(count: int = number) -> bool:
                return len(life.events("configuration reloaded")) == count

            await until(twice, timeout_seconds=10, what="it is reloaded")
        assert life.fake.config == "new"
        assert applied == ["new", "new"]
        assert life.fake.scope.health.report().healthy
        await life.told("STATUS=reloaded")
        assert any(m.startswith("RELOADING=1\nMONOTONIC_USEC=") for m in life.messages)
        assert life.messages.index("READY=1\nSTATUS=reloaded") > 0
        stop()
        await life.end()

    @pytest.mark.parametrize("where", ["reread", "reload"])
    @pytest.mark.parametrize(
        "error", [ConfigError([Finding("a", "x"), Finding("b", "y")]), Unavailable("z"),
                  PermissionError(13, "denied", "/secret")],
    )  # fmt: skip
    async def test_refused_keeps_the_old(
        self, order: list[str], systemd: Systemd, where: str, error: Exception
    ) -> None:
        def refuse() -> str:
            raise error

        async def refused(_: Fake) -> None:
            raise error

        applied: list[str] = []
        steps = {"reload": refused} if where == "reload" else {}
        rereads = {"reread": refuse} if where == "reread" else {}
        life = Life(Fake(order, **steps), systemd, applied=applied.append, **rereads)
        await life.told("READY=1")
        hang_up()
        await life.told("STATUS=the new configuration was refused; the old one is kept")
        told = [line["why"] for line in life.events("configuration refused")]
        assert told == (["a: x", "b: y"] if isinstance(error, ConfigError) else [str(error)])
        assert (life.fake.config, applied) == ("old", [])
        assert not life.task.done()
        report = life.fake.scope.health.report()
        (check,) = [each for each in report.checks if each.name == "configuration"]
        assert not check.healthy
        assert check.why == f"refused, the old one is kept: {told[0]}"
        stop()
        await life.end()

    async def test_a_bug_in_it_ends_the_daemon(self, order: list[str], systemd: Systemd) -> None:
        async def crash(_: Fake) -> None:
            raise KeyError("bug")

        life = Life(Fake(order, reload=crash), systemd)
        await life.told("READY=1")
        hang_up()
        with pytest.raises(TaskEndedError, match="task reload"):
            await life.end()

    async def test_during_start_it_is_kept_for_later(
        self, order: list[str], systemd: Systemd
    ) -> None:
        gate = asyncio.Event()

        async def start(_: Fake) -> None:
            await gate.wait()

        life = Life(Fake(order, start=start), systemd)
        await life.told("STATUS=starting")
        hang_up()
        await asyncio.sleep(0)
        gate.set()
        await life.emitted("configuration reloaded")
        assert order[-1] == "started"
        stop()
        await life.end()

    async def test_during_drain_it_is_not_begun(self, order: list[str], systemd: Systemd) -> None:
        async def drain(_: Fake) -> None:
            hang_up()
            await asyncio.sleep(0.05)

        life = Life(Fake(order, drain=drain), systemd)
        await life.told("READY=1")
        stop()
        await life.end()
        assert life.fake.config == "old"


class TestTick:
    async def test_health_shows_in_status_line_and_metrics(
        self, order: list[str], systemd: Systemd
    ) -> None:
        async def start(fake: Fake) -> None:
            fake.scope.health.check("etcd").ok()
            fake.scope.health.check("gone").ok()

        life = Life(Fake(order, start=start), systemd)
        await life.told("STATUS=healthy")
        lent = life.fake.scope
        lent.health.forget("gone")
        lent.health.check("etcd").fail("down\nREADY=1")
        await life.told("STATUS=etcd: down READY=1")
        assert [m for m in life.messages if m.startswith("READY=1")] == ["READY=1\nSTATUS=ready"]

        def sample(check: str) -> float | None:
            labels = {"check": check}
            return lent.metrics.get_sample_value("wharfinger_registrar_check_healthy", labels)

        assert sample("etcd") == 0
        assert sample("gone") is None
        stop()
        await life.end()

    async def test_the_watchdog_is_fed_as_often_as_systemd_wants(
        self, order: list[str], systemd: Systemd
    ) -> None:
        life = Life(Fake(order), systemd, environment={"WATCHDOG_USEC": "20000"})
        await life.told("WATCHDOG=1")

        async def fed() -> bool:
            life.messages += systemd.messages()
            return life.messages.count("WATCHDOG=1") >= 5

        await until(fed, timeout_seconds=10, what="the watchdog is fed")
        stop()
        await life.end()

    async def test_a_check_goes_stale_without_anybody_asking(
        self, order: list[str], systemd: Systemd
    ) -> None:
        async def start(fake: Fake) -> None:
            fake.scope.health.check("watch", stale_after_seconds=0.1).beat()

        life = Life(Fake(order, start=start), systemd)
        await life.told("STATUS=watch: stale")
        assert life.events("check unhealthy")[0]["check"] == "watch"
        stop()
        await life.end()


async def test_scope_tells_of_a_failure_to_whoever_asks(systemd: Systemd) -> None:
    lent = Scope("x", Notifier({}))
    lent.spawn("short", asyncio.sleep(0))
    with pytest.raises(WharfingerError, match="task short"):
        await lent.failed()
    assert await lent.close() == []


class Real:
    """The fake daemon as a process of its own."""

    def __init__(self, folder: Path, systemd: Systemd, does: str = "", **environment: str) -> None:
        self.listen = f"127.0.0.1:{free_port()}"
        self.config = folder / "w.toml"
        self.config.write_text(f'[registrar]\nlisten = "{self.listen}"\ndoes = "{does}"\n')
        self.systemd = systemd
        self.messages: list[str] = []
        self.process = Process(
            [sys.executable, "-m", "tests.wharfinger.fakedaemon", "--config", self.config],
            log=folder / "daemon.log",
            folder=Path(__file__).parents[2],
            environment={**os.environ, "NOTIFY_SOCKET": systemd.address, **environment},
        )

    async def told(self, message: str) -> bool:
        self.messages += self.systemd.messages()
        return any(message in one for one in self.messages)

    async def start(self, message: str = "READY=1") -> None:
        await self.process.start(lambda: self.told(message))

    async def end(self, seconds: float = 20) -> int:
        return await self.process.wait(timeout_seconds=seconds)


@pytest.fixture
async def real(tmp_path: Path, systemd: Systemd) -> AsyncIterator[Callable[..., Real]]:
    made: list[Real] = []

    def make(does: str = "", **environment: str) -> Real:
        made.append(Real(tmp_path, systemd, does, **environment))
        return made[-1]

    yield make
    for one in made:
        await one.process.kill()


class TestProcess:
    async def test_a_whole_life_ends_with_0(self, real: Callable[..., Real]) -> None:
        daemon = real()
        await daemon.start()
        daemon.process.signal(signal.SIGTERM)
        assert await daemon.end() == 0
        assert 'event="registrar stopped"' in daemon.process.log_tail()
        assert await daemon.told("STOPPING=1")

    async def test_sighup_reloads_levels_too_and_refuses_what_needs_a_restart(
        self, real: Callable[..., Real]
    ) -> None:
        daemon = real()
        await daemon.start()
        text = daemon.config.read_text()
        daemon.config.write_text(text + '[log]\nformat = "json"\n')
        daemon.process.signal(signal.SIGHUP)
        await until(lambda: daemon.told("STATUS=reloaded"), timeout_seconds=20, what="reload")
        for bad, why in (
            (text.replace(daemon.listen, "127.0.0.1:1"), "cannot change in a running daemon"),
            (text.replace('does = ""', 'does = "bad"'), "is bad"),
            ("x = ", "is not TOML"),
        ):
            daemon.config.write_text(bad)
            daemon.process.signal(signal.SIGHUP)

            async def refused(why: str = why) -> bool:
                return why in daemon.process.log_tail()

            await until(refused, timeout_seconds=20, what=f"refused: {why}")
        last = json.loads(daemon.process.log_tail().splitlines()[-1])
        assert last["event"] == "configuration refused"
        assert str(daemon.config) in last["why"]
        assert daemon.process.running
        daemon.process.signal(signal.SIGTERM)
        assert await daemon.end() == 0

    async def test_sighup_and_sigterm_while_it_waits(self, real: Callable[..., Real]) -> None:
        daemon = real("wait")
        await daemon.start("STATUS=starting")
        daemon.process.signal(signal.SIGHUP)
        daemon.process.signal(signal.SIGTERM)
        assert await daemon.end() == 0
        assert "name=first" in daemon.process.log_tail()
        assert "drains" not in daemon.process.log_tail()

    async def test_a_second_sigterm_forces(self, real: Callable[..., Real]) -> None:
        daemon = real("drain hangs")
        await daemon.start()
        daemon.process.signal(signal.SIGTERM)
        await until(lambda: daemon.told("STOPPING=1"), timeout_seconds=20, what="drain")
        daemon.process.signal(signal.SIGTERM)
        assert await daemon.end(10) == -signal.SIGTERM

    @pytest.mark.parametrize(
        ("does", "code", "told"),
        [
            ("task ends", 70, "task short ended by itself"),
            ("start fails", 70, "RuntimeError: bug \\u001b[31m"),
            ("unavailable", 69, "registrar: etcd is down"),
            ("groups", 78, "registrar: a: is wrong"),
            ("bad", 78, "registrar.does"),
        ],
    )
    async def test_exit_codes(
        self, real: Callable[..., Real], does: str, code: int, told: str
    ) -> None:
        daemon = real(does)
        await daemon.process.start()
        assert await daemon.end() == code
        log = daemon.process.log_tail()
        assert told in log
        assert "\x1b" not in log

    async def test_a_port_in_use_is_78_with_a_clear_finding(
        self, real: Callable[..., Real]
    ) -> None:
        first = real()
        await first.start()
        second = real()
        second.config.write_text(f'[registrar]\nlisten = "{first.listen}"\n')
        await second.process.start()
        assert await second.end() == 78
        assert f"registrar: {first.listen}: cannot listen there" in second.process.log_tail()

    async def test_the_watchdog_is_not_fed_while_the_loop_hangs(
        self, real: Callable[..., Real]
    ) -> None:
        daemon = real("hang", WATCHDOG_USEC="100000")
        await daemon.start("WATCHDOG=1")
        longest = last = 0.0
        loop = asyncio.get_running_loop()
        end = loop.time() + 15
        last = loop.time()
        while loop.time() < end and longest < 2:
            await asyncio.sleep(0.02)
            if "WATCHDOG=1" in daemon.systemd.messages():
                longest, last = max(longest, loop.time() - last), loop.time()
        assert longest >= 2, "fed all the time, though the loop hung for three seconds"
        assert daemon.process.running
