"""Logs are found by inotify, by Docker and by the poll; each alone is enough."""

import asyncio
import json
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from logshipper.inotify import Watches
from logshipper.inquiry import read_claim
from logshipper.sources import Sources
from tests.logshipper.dockerlog import DockerLog
from wharfinger.container import Container, DockerEvent, EngineInfo, Listed, parse_info
from wharfinger.errors import Rejected, Unavailable
from wharfinger.events import Events
from wharfinger.health import Health


def cid(number: int) -> str:
    return f"{number:064x}"


class FakeEngine:
    """Docker's API as far as it is asked; down when `down` is set."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.known: dict[str, Container] = {}
        self.updates: asyncio.Queue[Listed | DockerEvent] = asyncio.Queue()
        self.down = False
        self.asked: list[str] = []

    async def info(self) -> EngineInfo:
        if self.down:
            raise Unavailable("down")
        return parse_info({"DockerRootDir": str(self.root)})

    async def inspect(self, container_id: str) -> Container | None:
        self.asked.append(container_id)
        if self.down:
            raise Unavailable("down")
        return self.known.get(container_id)

    async def watch(
        self, *, on_alive: Callable[[], None], on_trouble: Callable[[str], None]
    ) -> AsyncGenerator[Listed | DockerEvent, None]:
        while True:
            on_alive()
            yield await self.updates.get()


class FakeFollower:
    def __init__(self) -> None:
        self.opened: dict[str, tuple[str, str]] = {}
        self.looked: list[tuple[str, ...]] = []
        self.woken: list[str] = []
        self.learned: dict[str, Container] = {}
        self.ended: list[str] = []

    async def open(self, container_id: str, folder: str, base: str) -> None:
        self.opened[container_id] = (folder, base)

    async def look(self, *container_ids: str) -> None:
        self.looked.append(container_ids)

    def wake(self, container_id: str) -> None:
        self.woken.append(container_id)

    def learn(self, container: Container) -> None:
        self.learned[container.id] = container

    def gone(self, container_id: str) -> None:
        self.ended.append(container_id)


class Found:
    """Sources over a folder that stands for Docker's, with what they told."""

    def __init__(self, root: Path, *, poll_seconds: float = 3600.0) -> None:
        self.containers = root / "containers"
        self.containers.mkdir(parents=True, exist_ok=True)
        self.engine = FakeEngine(root)
        self.follower = FakeFollower()
        self.events = Events()
        self.health = Health(self.events)
        self.sources = Sources(
            self.engine,
            self.follower,
            events=self.events,
            check=self.health.check("docker"),
            folder_check=self.health.check("containers folder"),
            watches=Watches(self.health.check("inotify")),
            poll_seconds=poll_seconds,
        )
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self._stack.enter_async_context(self.sources.opened())
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(each)
            for each in (
                self.sources.watch_docker(),
                self.sources.watch_files(),
                self.sources.poll(),
                self.sources.answer_questions(),
            )
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._stack.aclose()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - of files, not of a task
                await asyncio.sleep(0.005)


@pytest.fixture
async def found(tmp_path: Path) -> AsyncIterator[Found]:
    made = Found(tmp_path / "docker")
    yield made
    await made.stop()


async def test_logs_that_are_there_are_opened_before_docker_is_asked(found: Found) -> None:
    log = DockerLog(found.containers, cid(1))
    await found.start()
    assert found.follower.opened == {cid(1): (str(log.folder), log.base)}
    assert found.engine.asked == []


async def test_a_log_is_opened_as_soon_as_its_folder_appears(found: Found) -> None:
    await found.start()
    log = DockerLog(found.containers, cid(2))
    await found.until(lambda: cid(2) in found.follower.opened)
    log.write("x")
    await found.until(lambda: (cid(2),) in found.follower.looked)
    found.follower.looked.clear()
    log.rotate()
    await found.until(lambda: (cid(2),) in found.follower.looked)


async def test_odd_names_in_dockers_folder_are_nobodys_log(found: Found) -> None:
    await found.start()
    (found.containers / "lost+found").mkdir()
    (found.containers / ("A" * 64)).mkdir()
    DockerLog(found.containers, cid(3))
    await found.until(lambda: cid(3) in found.follower.opened)
    assert set(found.follower.opened) == {cid(3)}


async def test_a_file_that_was_read_to_its_end_wakes_its_log_once(found: Found) -> None:
    log = DockerLog(found.containers, cid(4))
    log.write("x")
    await found.start()
    with log.path.open("rb") as held:
        found.sources.arm(cid(4), held.fileno())
        log.write(*map(str, range(100)))
        await found.until(lambda: bool(found.follower.woken))
        log.write("more")
        DockerLog(found.containers, cid(5))  # its folder comes after in the same queue
        await found.until(lambda: cid(5) in found.follower.opened)
    assert found.follower.woken == [cid(4)]


async def test_the_folder_of_a_removed_container_ends_its_log(found: Found) -> None:
    log = DockerLog(found.containers, cid(6))
    log.write("x")
    await found.start()
    log.remove()
    await found.until(lambda: found.follower.ended == [cid(6)])
    assert (cid(6),) in found.follower.looked


async def test_docker_tells_who_a_container_is(found: Found) -> None:
    await found.start()
    found.engine.known[cid(7)] = Container(cid(7), name="asked")
    found.engine.updates.put_nowait(DockerEvent(cid(7), "create", 0))
    found.engine.updates.put_nowait(Listed((Container(cid(8), name="listed"),)))
    await found.until(lambda: len(found.follower.learned) == 2)
    assert {c.name for c in found.follower.learned.values()} == {"asked", "listed"}


async def test_a_log_elsewhere_is_followed_where_docker_says(found: Found, tmp_path: Path) -> None:
    await found.start()
    path = str(tmp_path / "elsewhere" / "odd.log")
    found.engine.updates.put_nowait(Listed((Container(cid(9), log_path=path),)))
    await found.until(lambda: cid(9) in found.follower.learned)
    assert found.follower.opened[cid(9)] == (str(tmp_path / "elsewhere"), "odd.log")


async def test_a_list_of_very_many_leaves_room_for_others(found: Found) -> None:
    containers = tuple(Container(cid(1000 + number)) for number in range(300))
    await found.start()
    for container in containers:
        found.sources._folders[container.id] = found.containers / container.id
    found.engine.updates.put_nowait(Listed(containers))
    turns = 0
    while len(found.follower.learned) < len(containers):
        turns += 1
        await asyncio.sleep(0)
    assert turns >= len(containers)


async def test_a_container_gone_before_it_was_asked_about_is_known_by_its_folder(
    found: Found,
) -> None:
    await found.start()
    log = DockerLog(found.containers, cid(10))
    claim = {
        "ID": cid(10),
        "Name": "/short",
        "Config": {"Image": "shop:1", "Labels": {"wharfinger.app": "shop"}, "Env": ["A=b"]},
    }
    (log.folder / "config.v2.json").write_text(json.dumps(claim))
    log.write("x")
    await found.until(lambda: cid(10) in found.sources._inquiry._claims)
    log.remove()
    await found.until(lambda: cid(10) in found.follower.learned)
    learned = found.follower.learned[cid(10)]
    assert (learned.name, learned.image, learned.env) == ("short", "shop:1", {"A": "b"})
    assert learned.labels == {"wharfinger.app": "shop"}


async def test_a_container_that_nobody_knows_is_shipped_all_the_same(found: Found) -> None:
    await found.start()
    attributes = {"name": "n", "image": "i", "wharfinger.app": "shop"}
    found.engine.updates.put_nowait(DockerEvent(cid(11), "start", 0, attributes=attributes))
    await found.until(lambda: cid(11) in found.follower.learned)
    assert found.follower.learned[cid(11)].labels["wharfinger.app"] == "shop"


async def test_a_container_that_a_checkpoint_knows_and_docker_does_not_comes_to_an_end(
    found: Found,
) -> None:
    await found.start()
    await found.sources.follow(cid(12))
    await found.sources.follow("../../etc")
    await found.until(lambda: cid(12) in found.follower.learned)
    assert set(found.follower.opened) == {cid(12)}


async def test_the_poll_finds_what_inotify_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> None:
        raise OSError(28, "No space left on device")  # fs.inotify.max_user_watches

    monkeypatch.setattr("logshipper.inotify.Inotify.add_watch", exhausted)
    found = Found(tmp_path, poll_seconds=0.05)
    await found.start()
    try:
        log = DockerLog(found.containers, cid(13))
        DockerLog(tmp_path / "aside", cid(14)).folder.rename(found.containers / cid(14))
        await found.until(lambda: {cid(13), cid(14)} <= set(found.follower.opened))
        await found.until(lambda: {cid(13), cid(14)} <= set(found.follower.learned))
        log.remove()
        await found.until(lambda: cid(13) in found.follower.ended)
    finally:
        await found.stop()


async def test_without_an_inotify_instance_the_poll_serves_until_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted() -> None:
        raise OSError(24, "Too many open files")  # fs.inotify.max_user_instances

    found = Found(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("logshipper.inotify.Inotify", exhausted)
        DockerLog(found.containers, cid(13))
        await found.start()
        try:
            DockerLog(found.containers, cid(14))
            await found.until(lambda: {cid(13), cid(14)} <= set(found.follower.opened))
            assert "raise fs.inotify.max_user_instances" in found.health.report().why
        except BaseException:
            await found.stop()
            raise
    try:
        await found.until(lambda: "inotify" not in found.health.report().why)
        assert str(found.events.since(0)).count("max_user_instances") == 1
        log = DockerLog(found.containers, cid(13))  # its folder is watched now, and the root
        found.follower.looked.clear()
        log.write("x")
        DockerLog(found.containers, cid(15))
        await found.until(lambda: (cid(13),) in found.follower.looked)
        await found.until(lambda: cid(15) in found.follower.opened)
    finally:
        await found.stop()


async def test_refused_watches_are_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> None:
        raise OSError(28, "No space left on device")

    found = Found(tmp_path)
    try:
        with monkeypatch.context() as patched:
            patched.setattr("logshipper.inotify.Inotify.add_watch", exhausted)
            log = DockerLog(found.containers, cid(16))
            await found.start()
            assert "raise fs.inotify.max_user_watches" in found.health.report().why
        await found.until(lambda: "inotify" not in found.health.report().why)
        log.write("x")
        await found.until(lambda: (cid(16),) in found.follower.looked)
    finally:
        await found.stop()


async def test_dockers_folder_may_go_and_come_back(tmp_path: Path) -> None:
    found = Found(tmp_path, poll_seconds=0.05)
    await found.start()
    try:
        found.containers.rmdir()
        await found.until(lambda: "cannot be read" in found.health.report().why)
        found.containers.mkdir()
        await found.until(lambda: "cannot be read" not in found.health.report().why)
        await found.until(lambda: not found.sources._unwatched)
    finally:
        await found.stop()


async def test_docker_may_come_back_with_its_data_elsewhere(found: Found, tmp_path: Path) -> None:
    await found.start()
    found.engine.root = tmp_path / "new"
    DockerLog(tmp_path / "new" / "containers", cid(17))
    found.engine.updates.put_nowait(Listed(()))
    await found.until(lambda: cid(17) in found.follower.opened)
    DockerLog(tmp_path / "new" / "containers", cid(18))
    await found.until(lambda: cid(18) in found.follower.opened)


async def test_a_folder_that_appears_while_the_others_are_listed_is_not_gone(
    found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    await found.start()
    listed = os.listdir

    def slowly(path: Path) -> list[str]:
        names = listed(path)
        loop.call_soon_threadsafe(appear)
        appeared.wait(10)
        return names

    def appear() -> None:
        log = DockerLog(found.containers, cid(19))
        found.sources._folders[cid(19)] = log.folder
        appeared.set()

    loop, appeared = asyncio.get_running_loop(), threading.Event()
    monkeypatch.setattr("logshipper.sources.os.listdir", slowly)
    await found.sources._scan()
    assert found.follower.ended == []


async def test_a_log_that_appears_as_its_folder_goes_ends_no_watch(found: Found) -> None:
    await found.start()
    log = DockerLog(found.containers, cid(20))
    await found.until(lambda: cid(20) in found.follower.opened)

    async def look(*_: str) -> None:
        found.sources._forget(cid(20))

    found.follower.look = look  # type: ignore[method-assign]
    log.write("x")
    await found.until(lambda: cid(20) not in found.sources._folders)
    DockerLog(found.containers, cid(21))
    await found.until(lambda: cid(21) in found.follower.opened)


async def test_what_the_folder_told_holds_while_docker_is_down(tmp_path: Path) -> None:
    found = Found(tmp_path, poll_seconds=0.02)
    log = DockerLog(found.containers, cid(22))
    claim = {"ID": cid(22), "Name": "/n", "Config": {"Labels": {"wharfinger.logs": "off"}}}
    (log.folder / "config.v2.json").write_text(json.dumps(claim))
    DockerLog(found.containers, cid(23))  # one whose folder tells nothing yet
    await found.start()
    found.engine.down = True
    try:
        await found.until(lambda: found.engine.asked.count(cid(22)) > 3)
        assert found.follower.learned[cid(22)].labels == {"wharfinger.logs": "off"}
        assert cid(23) not in found.follower.learned
        found.engine.down = False
        found.engine.known[cid(23)] = Container(cid(23), name="late")
        await found.until(lambda: cid(23) in found.follower.learned)
        assert found.follower.learned[cid(23)].name == "late"
    finally:
        await found.stop()


async def test_a_question_waits_once_however_often_it_is_asked(found: Found) -> None:
    await found.start()
    inquiry = found.sources._inquiry
    for _ in range(1000):
        inquiry.ask(cid(24))
    assert inquiry._questions.qsize() == 1


async def test_docker_being_down_at_the_start_is_waited_for_and_said(found: Found) -> None:
    found.engine.down = True
    starting = asyncio.create_task(found.start())
    await found.until(lambda: "down" in found.health.report().why)
    assert not starting.done()
    found.engine.down = False
    await starting


@pytest.mark.parametrize("text", ["", "[]", '{"ID": "other"}', "\0" * 100, '{"ID": 1}'])
def test_a_damaged_claim_is_no_claim(tmp_path: Path, text: str) -> None:
    log = DockerLog(tmp_path, cid(1))
    (log.folder / "config.v2.json").write_text(text)
    with pytest.raises((Rejected, ValueError)):
        read_claim(log.folder, cid(1))


def test_a_claim_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    log = DockerLog(tmp_path, cid(1))
    (tmp_path / "planted").write_text(json.dumps({"ID": cid(1)}))
    (log.folder / "config.v2.json").symlink_to(tmp_path / "planted")
    with pytest.raises(OSError, match="symbolic"):
        read_claim(log.folder, cid(1))
