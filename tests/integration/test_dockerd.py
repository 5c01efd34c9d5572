"""Docker watched for real: killed, restarted, frozen, and talking faster than one listens."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import aiodocker
import psutil
import pytest

from wharfinger.dockerd import Container, Docker, DockerEvent, Limits, Listed, WatchLimits
from wharfinger.errors import ConfigError, Rejected, Unavailable
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.process import until
from wharfinger.roll import Roll
from wharfinger.sections import DockerConfig

pytestmark = pytest.mark.real

RUN = ("run", "--detach", "--network=host")
SLEEP = ("busybox", "sleep", "1000")
# As process 1, sleep has no default actions: it would not hear a TERM.
POLITE = ("busybox", "sh", "-c", "trap exit TERM; sleep 1000 & wait")
WATCH = WatchLimits(ping_seconds=0.1, relist_seconds=3600)
# For one that is well: however busy the machine is, it is not taken for one that is frozen.
LIMITS = Limits(ping_timeout_seconds=30.0, request_timeout_seconds=30.0, watch=WATCH)


class Diary:
    """A consumer that writes down all that a watch tells it."""

    def __init__(self) -> None:
        self.updates: list[Listed | DockerEvent] = []
        self.troubles: list[str] = []
        self.alive = 0
        self.gate = asyncio.Event()
        self.gate.set()

    @property
    def lists(self) -> list[Listed]:
        return [update for update in self.updates if isinstance(update, Listed)]

    def actions(self, container_id: str) -> list[str]:
        return [
            update.action
            for update in self.updates
            if isinstance(update, DockerEvent) and update.container_id == container_id
        ]

    def now(self, container_id: str) -> Container | None:
        """The container as the last list told of it."""
        return next((c for c in self.lists[-1].containers if c.id == container_id), None)

    async def until(self, condition: Callable[[], object], what: str) -> None:
        async def holds() -> bool:
            return bool(condition())

        await until(holds, timeout_seconds=60, what=what)

    async def another_list(self, after: int) -> None:
        await self.until(lambda: len(self.lists) > after, f"list {after + 1} comes")

    def beat(self) -> None:
        self.alive += 1


@asynccontextmanager
async def watching(url: str, limits: Limits = LIMITS) -> AsyncIterator[tuple[Docker, Diary]]:
    diary = Diary()
    async with Docker(DockerConfig(url=url), limits=limits) as docker:

        async def write() -> None:
            updates = docker.watch(on_alive=diary.beat, on_trouble=diary.troubles.append)
            async with aclosing(updates):
                async for update in updates:
                    diary.updates.append(update)
                    await diary.gate.wait()

        writing = asyncio.create_task(write())
        try:
            await diary.another_list(0)
            yield docker, diary
        finally:
            writing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await writing


async def test_the_life_of_a_container(docker_daemon: DockerDaemon) -> None:
    async with watching(docker_daemon.url) as (docker, diary):
        identity = await docker_daemon.run(*RUN, "--name=shop-1", *POLITE)
        container = await docker.inspect(identity)
        assert container is not None
        assert (container.name, container.network_mode, container.running) == (
            "shop-1",
            "host",
            True,
        )
        assert psutil.pid_exists(container.pid)
        assert container.log_path.endswith("-json.log")
        for verb in ("pause", "unpause", "stop", "start", "kill", "rm"):
            await docker_daemon.run(*verb.split(), "shop-1")
        await diary.until(lambda: "destroy" in diary.actions(identity), "the end is told")
        assert diary.actions(identity) == [
            *("create", "start", "pause", "unpause", "kill", "die", "stop"),
            *("start", "kill", "die", "destroy"),
        ]
        assert await docker.inspect(identity) is None
        assert len(diary.lists) == 1
        assert not diary.troubles


async def test_exec_is_not_told_and_health_is(docker_daemon: DockerDaemon) -> None:
    async with watching(docker_daemon.url) as (docker, diary):
        flags = ("--health-cmd=test -e /tmp/well", "--health-interval=1s", "--health-retries=1")
        identity = await docker_daemon.run(*RUN, *flags, *SLEEP)
        await diary.until(lambda: "health_status" in diary.actions(identity), "it is unhealthy")
        await docker_daemon.run("exec", identity, "touch", "/tmp/well")
        await diary.until(lambda: diary.actions(identity).count("health_status") == 2, "it is well")
        container = await docker.inspect(identity)
        assert container is not None
        assert container.health == "healthy"
        assert set(diary.actions(identity)) == {"create", "start", "health_status"}
        details = [u.detail for u in diary.updates if isinstance(u, DockerEvent) and u.detail]
        assert details == ["unhealthy", "healthy"]


async def test_the_signal_of_a_kill_and_a_label_that_hides_it(docker_daemon: DockerDaemon) -> None:
    async with watching(docker_daemon.url) as (_, diary):
        honest = await docker_daemon.run(*RUN, *SLEEP)
        hiding = await docker_daemon.run(*RUN, "--label=signal=banana", *SLEEP)
        for identity in (honest, hiding):
            await docker_daemon.run("kill", "--signal=USR1", identity)
            await docker_daemon.run("kill", "--signal=KILL", identity)
        await diary.until(
            lambda: all("die" in diary.actions(each) for each in (honest, hiding)), "both die"
        )
        kills = [u for u in diary.updates if isinstance(u, DockerEvent) and u.action == "kill"]
        signals = [kill.signal for kill in kills if kill.container_id == honest]
        assert signals == [signal.SIGUSR1, signal.SIGKILL]
        # Docker lets the labels overwrite what the event itself says.
        assert [kill.signal for kill in kills if kill.container_id == hiding] == [None, None]


HOSTILE_LABELS = {
    "wharfinger.app": "../../etc/passwd\n;drop",
    "exitCode": "banana",
    "quote\"'\\": "\x1b[31m\u202e\ud7ff\U0001f4a3",
    "huge": "x" * 100_000,
    "": "empty",
    "{{.Env}}": "${IFS}",
    "line\nbreak": "\r\n",
}


async def test_hostile_labels(docker_daemon: DockerDaemon) -> None:
    flags = [f"--label={key}={value}" for key, value in HOSTILE_LABELS.items() if key]
    identity = await docker_daemon.run(*RUN, *flags, "--env=A=b=c\nd", *SLEEP)
    async with watching(docker_daemon.url) as (docker, diary):
        container = diary.now(identity)
        assert container is not None
        assert dict(container.labels) == {k: v for k, v in HOSTILE_LABELS.items() if k}
        assert container.env["A"] == "b=c\nd"
        await docker_daemon.run("kill", identity)
        await diary.until(lambda: "die" in diary.actions(identity), "its end is told")
        assert identity not in {each.id for each in await docker.containers()}
        assert identity in {each.id for each in await docker.containers(all=True)}


async def test_an_event_too_long_to_hold_is_replaced_by_a_list(docker_daemon: DockerDaemon) -> None:
    limits = Limits(watch=WatchLimits(event_bytes=50_000))
    async with watching(docker_daemon.url, limits) as (_, diary):
        identity = await docker_daemon.run(*RUN, f"--label=huge={'x' * 100_000}", *SLEEP)
        await diary.until(lambda: diary.now(identity), "a list tells of it")
        assert diary.actions(identity) == []


async def test_a_container_in_every_state(docker_daemon: DockerDaemon) -> None:
    created = await docker_daemon.run("create", "--network=none", "--tty", *SLEEP)
    exited = await docker_daemon.run(*RUN, "--log-driver=none", "busybox", "sh", "-c", "exit 3")
    paused = await docker_daemon.run(*RUN, "--stop-signal=RTMIN+3", *SLEEP)
    await docker_daemon.run("pause", paused)
    await docker_daemon.run("wait", exited)
    async with Docker(DockerConfig(url=docker_daemon.url)) as docker:
        found = {each.id: each for each in await docker.containers(all=True)}
        running = await docker.containers()
    assert (found[created].state, found[created].pid, found[created].tty) == ("created", 0, True)
    assert found[created].started_at_ns == 0
    assert (found[exited].state, found[exited].exit_code) == ("exited", 3)
    assert (found[exited].log_driver, found[exited].log_path) == ("none", "")
    assert (found[paused].running, found[paused].paused) == (True, True)
    assert found[paused].stop_signal == 37
    assert [each.id for each in running] == [paused]


async def test_containers_that_vanish_while_they_are_listed(docker_daemon: DockerDaemon) -> None:
    async with Docker(DockerConfig(url=docker_daemon.url)) as docker:
        for _ in range(3):
            for _ in range(6):
                await docker_daemon.run("create", "--network=none", *SLEEP)
            removing = asyncio.create_task(docker_daemon.remove_containers())
            while not removing.done():
                listed = await docker.list(all=True)
                assert not listed.unknown
            await removing
            assert await docker.containers(all=True) == ()


async def test_a_burst_for_a_slow_consumer_ends_in_a_list(docker_daemon: DockerDaemon) -> None:
    limits = Limits(watch=WatchLimits(pending_events=50))
    async with watching(docker_daemon.url, limits) as (docker, diary):
        identity = await docker_daemon.run(*RUN, "--name=n0", *SLEEP)
        await diary.until(lambda: "start" in diary.actions(identity), "its start is told")
        diary.gate.clear()
        await rename_often(docker_daemon.url, identity, 400)
        await until_heard(docker, lambda: docker.overflows > 0)
        diary.gate.set()
        await diary.until(lambda: diary.now(identity), "a list comes")
        container = diary.now(identity)
        assert container is not None
        await diary.until(lambda: last_name(diary, identity) == "n400", "the last name is known")


async def test_a_burst_that_fits_is_told_whole(docker_daemon: DockerDaemon) -> None:
    async with watching(docker_daemon.url) as (docker, diary):
        identity = await docker_daemon.run(*RUN, "--name=n0", *SLEEP)
        await diary.until(lambda: "start" in diary.actions(identity), "its start is told")
        diary.gate.clear()
        await rename_often(docker_daemon.url, identity, 400)
        diary.gate.set()
        await diary.until(lambda: last_name(diary, identity) == "n400", "the last name is told")
        assert diary.actions(identity).count("rename") == 400
        assert (len(diary.lists), docker.overflows) == (1, 0)


async def rename_often(url: str, identity: str, times: int) -> None:
    async with aiodocker.Docker(url=url) as client:
        container = client.containers.container(identity)
        for number in range(1, times + 1):
            await container.rename(f"n{number}")


async def until_heard(docker: Docker, condition: Callable[[], bool]) -> None:
    async def holds() -> bool:
        return condition()

    await until(holds, timeout_seconds=60, what="the reader has heard it all")


def last_name(diary: Diary, identity: str) -> str:
    """What a consumer believes that the container is called, from lists and events."""
    name = ""
    for update in diary.updates:
        if isinstance(update, Listed):
            name = next((c.name for c in update.containers if c.id == identity), name)
        elif update.action == "rename":
            name = update.attributes["name"]
    return name


async def test_dockerd_killed_and_started_again(breakable_docker_daemon: DockerDaemon) -> None:
    daemon = breakable_docker_daemon
    async with watching(daemon.url) as (_, diary):
        identity = await daemon.run(*RUN, *POLITE)
        await diary.until(lambda: "start" in diary.actions(identity), "its start is told")
        lists = len(diary.lists)
        await daemon.kill()
        await diary.until(lambda: diary.troubles, "trouble is told")
        await daemon.start()
        await diary.another_list(lists)
        # Without live-restore dockerd ends what it finds running.
        await diary.until(
            lambda: "die" in diary.actions(identity) or not runs(diary, identity),
            "its end is noticed",
        )
        alive = diary.alive
        await diary.until(lambda: diary.alive > alive, "it is alive again")


def runs(diary: Diary, identity: str) -> bool:
    container = diary.now(identity)
    return container is not None and container.running


async def test_dockerd_stopped_in_good_order(breakable_docker_daemon: DockerDaemon) -> None:
    daemon = breakable_docker_daemon
    async with watching(daemon.url) as (docker, diary):
        await daemon.run(*RUN, "--restart=always", *POLITE)
        lists = len(diary.lists)
        await daemon.process.terminate(timeout_seconds=30)
        await diary.until(lambda: diary.troubles, "trouble is told")
        await daemon.start()
        await diary.another_list(lists)
        await diary.until(lambda: docker.reconnects >= 1, "a reconnection is counted")


async def test_a_death_while_dockerd_was_down(live_restore_docker_daemon: DockerDaemon) -> None:
    daemon = live_restore_docker_daemon
    async with watching(daemon.url) as (docker, diary):
        assert (await docker.info()).live_restore
        dies, stays = [await daemon.run(*RUN, *SLEEP) for _ in range(2)]
        container = await docker.inspect(dies)
        assert container is not None
        lists = len(diary.lists)
        await daemon.kill()
        os.kill(container.pid, signal.SIGKILL)
        await daemon.start()
        await diary.another_list(lists)
        gone, there = diary.now(dies), diary.now(stays)
        assert gone is not None
        assert there is not None
        # Perhaps it is listed before dockerd has noticed; then its end is told.
        await diary.until(
            lambda: not gone.running or "die" in diary.actions(dies), "its death is noticed"
        )
        assert there.running
        assert "die" not in diary.actions(stays)


async def test_a_frozen_dockerd_is_noticed(breakable_docker_daemon: DockerDaemon) -> None:
    daemon = breakable_docker_daemon
    impatient = Limits(ping_timeout_seconds=1.0, watch=WATCH)
    async with watching(daemon.url, impatient) as (docker, diary):
        identity = await daemon.run(*RUN, *SLEEP)
        await diary.until(lambda: "start" in diary.actions(identity), "its start is told")
        lists = len(diary.lists)
        daemon.process.freeze()
        await diary.until(lambda: diary.troubles, "trouble is told")
        assert "did not answer within 1" in diary.troubles[0]
        with pytest.raises(Unavailable, match="did not answer"):
            await docker.ping()
        alive = diary.alive
        daemon.process.thaw()
        await diary.another_list(lists)
        await diary.until(lambda: diary.alive > alive, "it is alive again")
        await daemon.run("kill", identity)
        await diary.until(lambda: "die" in diary.actions(identity), "events come again")


async def test_nothing_falls_between_the_subscription_and_the_list(
    docker_daemon: DockerDaemon,
) -> None:
    identity = await docker_daemon.run(*RUN, "--name=n0", *SLEEP)
    renaming = asyncio.create_task(rename_often(docker_daemon.url, identity, 300))
    compared = 0
    while not renaming.done():
        async with watching(docker_daemon.url) as (_, diary):
            await diary.until(lambda d=diary: len(d.updates) > 3 or renaming.done(), "events come")
            numbers = renamed_to(diary)
            listed = diary.now(identity)
            assert listed is not None
            if numbers:
                compared += 1
                assert numbers[0] <= int(listed.name[1:]) + 1
                assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    await renaming
    assert compared


def renamed_to(diary: Diary) -> list[int]:
    events = (update for update in diary.updates if isinstance(update, DockerEvent))
    renames = (event for event in events if event.action == "rename")
    return [int(event.attributes["name"].removeprefix("n")) for event in renames]


async def test_info_and_refusals(docker_daemon: DockerDaemon) -> None:
    async with Docker(DockerConfig(url=docker_daemon.url)) as docker:
        info = await docker.info()
        assert info.data_root == str(docker_daemon.data_root)
        assert not info.live_restore
        assert info.version
        assert await docker.inspect("nosuch") is None
        assert await docker.inspect("x" * 5000) is None


@pytest.mark.parametrize(
    "name", ["../info", "", "a\nb", "%2e%2e", "a/../../info", "a?size=1", "\udc80"]
)
async def test_what_cannot_be_a_name_is_not_asked_for(
    docker_daemon: DockerDaemon, name: str
) -> None:
    async with Docker(DockerConfig(url=docker_daemon.url)) as docker:
        with pytest.raises(Rejected, match="no container's id or name"):
            await docker.inspect(name)


async def test_a_socket_that_may_not_be_opened(docker_daemon: DockerDaemon) -> None:
    async with Docker(DockerConfig(url=docker_daemon.url)) as docker:
        os.seteuid(65534)
        try:
            with pytest.raises(Unavailable, match="permission denied: run as root, or"):
                await docker.ping()
            with pytest.raises(Unavailable, match="permission denied: run as root, or"):
                await docker.containers()
        finally:
            os.seteuid(0)
        await docker.ping()


async def test_an_address_that_cannot_be_used() -> None:
    with pytest.raises(ConfigError, match=r"docker\.url"):
        async with Docker(DockerConfig(url="ftp://host")):
            pass


async def test_nobody_there(docker_folder: os.PathLike[str]) -> None:
    url = f"unix://{docker_folder}/docker.sock"
    async with Docker(DockerConfig(url=url)) as docker:
        with pytest.raises(Unavailable, match="is dockerd running"):
            await docker.containers()
        with pytest.raises(Unavailable, match="is dockerd running"):
            await docker.inspect("x")


async def test_an_engine_that_answers_nonsense(docker_folder: os.PathLike[str]) -> None:
    path = f"{docker_folder}/docker.sock"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps(["what?"]).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(answer, path)
    async with server, Docker(DockerConfig(url=f"unix://{path}")) as docker:
        with pytest.raises(Unavailable, match="nonsense"):
            await docker.containers()
        with pytest.raises(Unavailable, match="nonsense"):
            await docker.inspect("x")


async def test_a_list_that_inspects_few_sees_what_has_changed(docker_daemon: DockerDaemon) -> None:
    several = [await docker_daemon.run(*RUN, f"--name=n{n}", *SLEEP) for n in range(6)]
    roll, inspected = Roll(), list[str]()

    async with Docker(DockerConfig(url=docker_daemon.url)) as docker:
        inspect = docker.inspect

        async def counted(container_id: str) -> Container | None:
            inspected.append(container_id)
            return await inspect(container_id)

        docker.inspect = counted  # type: ignore[method-assign]

        async def listed() -> dict[str, Container]:
            inspected.clear()
            return {each.id: each for each in (await docker.list(all=True, roll=roll)).containers}

        async def few() -> bool:
            """Whether all have run since the list before, for long enough that it shows."""
            before = await inspect(several[5])
            assert (await listed())[several[5]] == before
            return len(inspected) == 1

        await until(few, timeout_seconds=60, what="nobody new is seen")
        await docker_daemon.run("rename", "n5", "other")
        assert (await listed())[several[5]].name == "other"
        await docker_daemon.run("pause", "n4")
        found = (await listed())[several[4]]
        assert (found.running, found.paused) == (True, True)
        before = (await listed())[several[3]]
        await docker_daemon.run("restart", "--time=0", "n3")
        after = (await listed())[several[3]]
        assert after.started_at_ns > before.started_at_ns
        assert after.pid != before.pid
        await docker_daemon.run("stop", "--time=0", "n2")
        assert not (await listed())[several[2]].running
        await docker_daemon.run("rm", "--force", "n1")
        assert several[1] not in await listed()
