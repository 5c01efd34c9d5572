"""Ports given, told and taken back: on disk first, and one container's trouble is its own."""

import asyncio
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from registrar.census import Census
from registrar.model import Action, Assign, Identify, Reassign, Release, Tell
from registrar.ports import berths, containers, inside, owners
from registrar.ports.berths import Berths
from registrar.ports.containers import Told
from registrar.porttable import PortRange, Table, decode
from registrar.runtime import create
from registrar.state import State
from tests.stack.etcd import eventually
from wharfinger.container import Container, Listed
from wharfinger.errors import Rejected, Unavailable
from wharfinger.events import Events
from wharfinger.operator.parts.process import until

A, B, C = ("a" * 64, "b" * 64, "c" * 64)
LABELS = {"wharfinger.app": "shop", "wharfinger.env": "prod"}


class Quay:
    """A host with three containers and three ports."""

    def __init__(self, folder: Path, **labels: str) -> None:
        self.folder = folder
        self.state = State(folder)
        self.census = Census({})
        self.events = Events()
        self.census.listed(
            Listed(
                tuple(
                    Container(
                        id=each,
                        labels=LABELS | (labels if each == C else {}),
                        running=True,
                        pid=10,
                        network_mode="host",
                        started_at_ns=1,
                    )
                    for each in (A, B, C)
                )
            )
        )
        self.berths = Berths(
            self.state, self.census, self.events, lambda: PortRange(20_000, 20_002)
        )

    async def apply(self, actions: Sequence[Action]) -> bool:
        """As the planner does, and waits until what answers was told."""
        done = await self.berths.apply(actions)
        if telling := list(self.berths._telling.values()):
            await asyncio.wait(telling, timeout=0.1)
        return done

    @property
    def ports(self) -> dict[str, int]:
        return dict(self.berths.assignments.ports)

    def trouble(self, container_id: str) -> str:
        return self.census.containers[container_id].trouble


@pytest.fixture
def every_port_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(berths.sockets, "is_free", lambda _port: True)
    monkeypatch.setattr(berths.sockets, "is_free_again", lambda _port: True)


@pytest.fixture
def quay(tmp_path: Path, every_port_is_free: None) -> Quay:
    return Quay(tmp_path)


async def test_what_is_assigned_is_on_disk(quay: Quay) -> None:
    await quay.apply([Assign(A), Assign(B)])
    assert quay.ports == {A: 20_000, B: 20_001}
    assert quay.state.load_ports() == quay.berths.assignments
    await quay.apply([Release(A), Assign(C)])
    assert quay.ports == {B: 20_001, C: 20_002}
    await quay.apply([Reassign(B)])
    assert quay.ports[B] == 20_000
    assert quay.state.load_ports() == quay.berths.assignments


async def test_what_cannot_be_kept_is_not_given(
    quay: Quay, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_decide: object) -> None:
        raise Unavailable("disk full")

    monkeypatch.setattr(quay.state, "update_table", full)
    with pytest.raises(Unavailable, match="disk full"):
        await quay.apply([Assign(A)])
    assert quay.ports == {}


async def test_an_exhausted_range_is_that_containers_trouble(quay: Quay) -> None:
    quay.census.listed(Listed((*_of(quay), Container(id="d" * 64, labels=LABELS, running=True))))
    await quay.apply([Assign(each) for each in (A, B, C, "d" * 64)])
    assert len(set(quay.ports.values())) == 3
    assert "no port is left" in quay.trouble("d" * 64)


@pytest.mark.parametrize(
    ("pool", "given", "told"),
    [
        ("20001-20002", 20_001, ""),
        ("20002-60000", 20_002, ""),
        ("1-65535", 20_000, ""),
        ("30000-30010", None, r"pool 30000-30010 holds none of registrar.port_range 20000-20\d+$"),
        ("20002-20001", 20_000, ""),  # refused before anything is assigned
    ],
)
async def test_a_port_is_of_the_pool_that_its_label_names(
    tmp_path: Path, every_port_is_free: None, pool: str, given: int | None, told: str
) -> None:
    quay = Quay(tmp_path, **{"wharfinger.port.pool": pool})
    await quay.apply([Assign(C)])
    assert quay.ports.get(C) == given
    assert re.search(told, quay.trouble(C))
    await quay.apply([Assign(A)])
    assert quay.ports[A] == (20_000 if given != 20_000 else 20_001)


async def test_a_pool_that_is_used_up_is_told_as_that_and_not_as_the_range(
    tmp_path: Path, every_port_is_free: None
) -> None:
    quay = Quay(tmp_path, **{"wharfinger.port.pool": "20001-20001"})
    await quay.apply([Assign(A), Assign(B), Assign(C)])
    told = quay.trouble(C)
    assert told.startswith("no port is left: wharfinger.port.pool 20001-20001 has 1, all assigned")


async def test_a_declared_port_is_not_given_to_another(
    tmp_path: Path, every_port_is_free: None
) -> None:
    quay = Quay(tmp_path, **{"wharfinger.port": "20000"})
    await quay.apply([Assign(A)])
    assert quay.ports == {A: 20_001}


async def test_a_port_that_etcd_still_holds_is_not_given_to_another(
    tmp_path: Path, every_port_is_free: None
) -> None:
    quay = Quay(tmp_path)
    held = [20_000, 20_002]
    afresh = Berths(
        quay.state,
        quay.census,
        quay.events,
        lambda: PortRange(20_000, 20_002),
        published=lambda: held,
    )
    await afresh.apply([Assign(A), Assign(B)])
    assert afresh.assignments.ports == {A: 20_001}
    assert "no port is left" in quay.trouble(B)
    held.clear()
    await afresh.apply([Assign(B)])
    assert afresh.assignments.ports == {A: 20_001, B: 20_000}


async def test_only_with_its_state_lost_is_a_containers_own_word_taken(
    quay: Quay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "read_told", lambda *_, **_proc: Told(20_002, 1))
    await quay.apply([Assign(A), Assign(B)])
    # Both say 20002: the first is believed, and nobody gets the same port.
    assert quay.ports == {A: 20_002, B: 20_000}
    again = Berths(quay.state, quay.census, quay.events, lambda: PortRange(20_000, 20_002))
    quay.state.forgotten = ""
    await again.apply([Release(A), Assign(A)])
    assert again.assignments.ports[A] == 20_001


@pytest.mark.parametrize("told", [Told(30_000, 1), None])
async def test_a_word_that_makes_no_sense_is_not_taken(
    quay: Quay, monkeypatch: pytest.MonkeyPatch, told: Told | None
) -> None:
    monkeypatch.setattr(containers, "read_told", lambda *_, **_proc: told)
    await quay.apply([Assign(A)])
    assert quay.ports == {A: 20_000}


async def test_telling_is_noted_as_its_outcome(quay: Quay, monkeypatch: pytest.MonkeyPatch) -> None:
    def tell(container_id: str, *_: Any, **_proc: Any) -> None:
        if container_id == B:
            raise Rejected("its /dev/shm is full")
        if container_id == C:
            raise Unavailable("process 10 has ended")

    monkeypatch.setattr(containers, "tell", tell)
    await quay.apply([Tell(each, 20_000, 1) for each in (A, B, C, "d" * 64)])
    assert quay.census.containers[A].told == 20_000
    assert quay.trouble(B) == "its /dev/shm is full"
    assert quay.trouble(C) == "process 10 has ended"


async def test_a_file_system_that_hangs_holds_up_nobody_else(
    quay: Quay, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung, answers = [], threading.Event()

    def tell(container_id: str, *_: Any, **_proc: Any) -> None:
        if container_id == A:
            hung.append(container_id)
            answers.wait(60)

    monkeypatch.setattr(containers, "tell", tell)
    monkeypatch.setattr(inside, "TIMEOUT_SECONDS", 0.3)
    # It is under way still, and everything else is done.
    await quay.apply([Tell(A, 20_000, 1), Tell(B, 20_001, 1), Assign(C)])
    assert quay.trouble(A) == ""
    assert quay.census.containers[B].told == 20_001
    assert not await quay.apply([Tell(A, 20_000, 1)])
    await eventually(lambda: "did not answer" in quay.trouble(A))
    for _ in range(40):  # more often than the loop has threads
        await quay.apply([Tell(A, 20_000, 1), Tell(B, 20_001, 1), Assign(C)])
        assert "did not answer" in quay.trouble(A)
    assert hung == [A]
    assert quay.census.containers[B].told == 20_001
    assert quay.state.load_ports() == quay.berths.assignments
    answers.set()

    async def told() -> bool:
        await quay.apply([Tell(A, 20_000, 1)])
        return quay.census.containers[A].told == 20_000

    await until(told, timeout_seconds=20, what="it is told when it answers again")


async def test_without_a_thread_left_it_is_tried_again(
    quay: Quay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(containers, "tell", lambda *_, **_proc: None)
    monkeypatch.setattr(berths.sockets, "owned", lambda *_, **_proc: True)
    asked = [Tell(A, 20_000, 1), Identify(B, (7,))]
    await quay.apply([Assign(C)])  # the loop's own thread is there
    quay.berths._inside._threads = 0  # and those inside containers are as if they all hung
    with monkeypatch.context() as patch:
        patch.setattr(inside.threading.Thread, "start", start)
        await quay.apply(asked)
    assert "new thread" in quay.trouble(A)
    assert quay.berths.owners == {}
    await quay.apply(asked)
    assert quay.census.containers[A].told == 20_000
    assert quay.berths.owners == {(B, 7): True}


async def test_owners_are_remembered_while_their_sockets_live(
    quay: Quay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(berths.sockets, "owned", lambda who, _pid, _inodes, **_proc: who == A)
    await quay.apply([Identify(A, (7, 8)), Identify(B, (9,))])
    assert quay.berths.owners == {(A, 7): True, (A, 8): True, (B, 9): False}
    quay.berths.prune({7, 9})
    assert quay.berths.owners == {(A, 7): True}


async def test_one_with_endless_open_files_holds_up_nobody_else(
    quay: Quay, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, answers = [], threading.Event()

    def owned(container_id: str, _pid: int, _inodes: object, **_proc: object) -> bool:
        looked.append(container_id)
        return container_id != A or answers.wait(60)

    monkeypatch.setattr(berths.sockets, "owned", owned)
    monkeypatch.setattr(owners, "PATIENCE_SECONDS", 0.1)
    assert await quay.apply([Identify(A, (7,)), Identify(B, (8,))])
    assert quay.berths.owners == {(B, 8): True}
    for _ in range(40):  # more often than the loop has threads
        assert not await quay.apply([Identify(A, (7,))])
    await quay.apply([Assign(C)])
    assert quay.ports == {C: 20_000}
    assert looked.count(A) == 1
    answers.set()
    await eventually(lambda: quay.berths.owners.get((A, 7)) is True)


def _runtime_gives(quay: Quay, container_id: str, port: int) -> None:
    """As the runtime does: with the registrar none the wiser."""
    path = quay.folder / "ports"
    table = create.Table(path.read_text())
    table.within = range(port, port + 1)
    assert table.give(container_id, lambda _: True, lambda _: True) == port
    path.write_text(str(table))


async def test_what_the_runtime_gave_is_taken_up(quay: Quay) -> None:
    await quay.berths.share()
    assert not await quay.berths.refresh()
    _runtime_gives(quay, A, 20_001)
    assert await quay.berths.refresh()
    assert quay.ports == {A: 20_001}
    assert quay.berths.assignments.in_environment == {A}
    assert not await quay.berths.refresh()
    told = [line for _, line in quay.events.since(0) if line["event"] == "port assigned"]
    assert [(line["port"], line["by"]) for line in told] == [(20_001, "runtime")]


async def test_who_was_faster_is_right(quay: Quay) -> None:
    await quay.apply([Assign(A), Assign(B)])
    _runtime_gives(quay, C, 20_002)
    release = create.Table((quay.folder / "ports").read_text())
    release.within = range(20_005, 20_006)
    release.give(B, lambda _: True, lambda _: False)
    (quay.folder / "ports").write_text(str(release))
    # Planned before anybody looked: C has one, and B another than the plan knew of.
    await quay.apply([Assign(C), Reassign(B), Release(B), Release(A)])
    assert quay.ports == {B: 20_005, C: 20_002}
    assert quay.berths.assignments.in_environment == {B, C}


async def test_changes_at_the_same_time_are_taken_up_in_their_order(quay: Quay) -> None:
    for _ in range(10):
        await asyncio.gather(
            *(quay.berths.apply([Assign(each)]) for each in (A, B, C)), quay.berths.refresh()
        )
        assert quay.state.load_ports() == quay.berths.assignments
        assert quay.ports.keys() == {A, B, C}
        await asyncio.gather(*(quay.berths.apply([Release(each)]) for each in (A, B, C)))
        assert quay.state.load_ports() == quay.berths.assignments
        assert quay.ports == {}


async def test_a_container_that_only_the_runtime_knows_of_yet_keeps_its_port(quay: Quay) -> None:
    await quay.berths.share()
    _runtime_gives(quay, "d" * 64, 20_001)
    _runtime_gives(quay, A, 20_002)
    await quay.berths.refresh()
    assert quay.berths.unseen == {"d" * 64}
    quay.census.looked("d" * 64, Container(id="d" * 64))
    assert quay.berths.unseen == frozenset()


async def test_the_runtime_learns_what_it_must_not_give(
    tmp_path: Path, every_port_is_free: None
) -> None:
    quay = Quay(tmp_path, **{"wharfinger.port": "20000"})
    published: list[int] | None = None
    afresh = Berths(
        quay.state,
        quay.census,
        quay.events,
        lambda: PortRange(20_000, 20_005),
        published=lambda: published,
    )
    shared = lambda: decode((tmp_path / "ports").read_bytes())  # noqa: E731
    await afresh.share()
    assert (shared().within, shared().taken) == (PortRange(20_000, 20_005), {20_000})
    published = [20_001, 20_004, 30_000]
    await afresh.share()
    assert shared().taken == {20_000, 20_001, 20_004}
    # In its next life nothing is known of etcd at first; the table still knows.
    published = None
    again = Berths(
        State(tmp_path), quay.census, quay.events, lambda: PortRange(20_000, 20_005),
        published=lambda: published,
    )  # fmt: skip
    await again.apply([Assign(A)])
    assert again.assignments.ports == {A: 20_002}
    assert shared().taken == {20_000, 20_001, 20_004}
    published = [20_002]
    await again.share()
    assert shared().taken == {20_000}
    before = (tmp_path / "ports").stat().st_ino
    await again.share()
    assert (tmp_path / "ports").stat().st_ino == before


@pytest.mark.parametrize("damage", ["", "wharfinger ports 1\nrange"])
async def test_a_table_that_others_damaged_is_made_anew(quay: Quay, damage: str) -> None:
    await quay.apply([Assign(A)])
    path = quay.folder / "ports"
    path.write_text(damage)
    # On a host where nothing happens nobody else would have it written.
    assert await quay.berths.refresh()
    await quay.berths.share()
    assert not await quay.berths.refresh()
    assert State(quay.folder).load_ports().ports == {A: 20_000} == quay.ports
    assert "ports damaged" in [line["event"] for _, line in quay.events.since(0)]
    path.unlink()
    assert await quay.berths.refresh()
    await quay.berths.share()
    assert State(quay.folder).load_ports().ports == {A: 20_000}


async def test_who_could_not_bind_its_port_is_given_another_instead(
    quay: Quay, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    monkeypatch.setattr(containers, "tell", lambda _id, _pid, what, **_proc: told.append(what.port))
    await quay.apply([Assign(A), Assign(B)])
    monkeypatch.setattr(berths.sockets, "is_free_again", lambda port: port != 20_000)
    await quay.apply([Tell(A, 20_000, 1), Tell(B, 20_001, 1)])
    assert quay.ports == {A: 20_002, B: 20_001}
    assert told == [20_001]
    assert quay.census.containers[A].told is None
    # A port that a container declares is its own affair.
    await quay.apply([Tell(C, 20_000, 1)])
    assert told == [20_001, 20_000]


async def test_processes_are_looked_at_where_the_host_shows_them(
    quay: Quay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    looked: list[Path] = []

    def look(*_: object, proc: Path) -> None:
        looked.append(proc)

    for module, name in ((containers, "tell"), (berths.sockets, "owned")):
        monkeypatch.setattr(module, name, look)
    quay.berths = Berths(
        quay.state,
        quay.census,
        quay.events,
        lambda: PortRange(20_000, 20_002),
        proc=tmp_path,
    )
    await quay.apply([Tell(A, 20_000, 1), Identify(A, (5,))])
    assert looked == [tmp_path] * 2


@pytest.mark.parametrize("way", ["read_environment", "read_told"])
async def test_who_has_heard_of_its_port_already_keeps_it(
    quay: Quay, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(containers, "tell", lambda *_, **_proc: None)
    await quay.apply([Assign(A)])
    monkeypatch.setattr(containers, way, lambda *_, **_proc: Told(20_000, 1))
    monkeypatch.setattr(berths.sockets, "is_free_again", lambda _: False)
    await quay.apply([Tell(A, 20_000, 1)])
    assert quay.census.containers[A].told == 20_000
    quay.census.listed(Listed(()))
    quay.census.listed(Listed((Container(id=A, labels=LABELS, running=True, pid=10),)))
    assert quay.census.containers[A].told is None
    await quay.apply([Reassign(A)])
    assert quay.ports == {A: 20_000}
    assert quay.census.containers[A].told == 20_000


async def test_a_port_that_is_just_being_exchanged_is_told_to_nobody(
    quay: Quay, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(containers, "tell", lambda _id, _pid, what, **_proc: told.append(what.port))
    await quay.apply([Assign(A), Assign(B)])
    begun, free = asyncio.Event(), asyncio.Event()
    update = quay.state.update_table

    async def slow(decide: Callable[[Table | None], Table]) -> Table:
        begun.set()
        await free.wait()
        return await update(decide)

    monkeypatch.setattr(quay.state, "update_table", slow)
    await quay.berths.apply([Reassign(A)], wait=False)
    await begun.wait()
    # By the next plan whoever was on its port has left.
    await quay.berths.apply([Tell(A, 20_000, 1), Tell(B, 20_001, 1)], wait=False)
    await eventually(lambda: quay.census.containers[B].told == 20_001)
    free.set()
    await eventually(lambda: quay.ports[A] == 20_002)
    assert told == [20_001]
    await quay.berths.apply([Tell(A, 20_002, 1)], wait=False)
    await eventually(lambda: quay.census.containers[A].told == 20_002)


async def test_a_port_that_is_just_being_told_is_not_exchanged(
    quay: Quay, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    monkeypatch.setattr(containers, "tell", lambda *_, **_proc: answers.wait(60))
    await quay.apply([Assign(A), Assign(B)])
    await quay.berths.apply([Tell(A, 20_000, 1)], wait=False)
    try:
        await quay.berths.apply([Reassign(A), Reassign(B)], wait=False)
        await eventually(lambda: quay.ports[B] == 20_002)
    finally:
        answers.set()
    await eventually(lambda: quay.census.containers[A].told == 20_000)
    assert quay.ports[A] == 20_000


async def test_a_port_of_the_users_own_is_no_word_of_ours(
    quay: Quay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "read_environment", lambda *_, **_proc: Told(20_001, 1))
    quay.census.listed(
        Listed((Container(id=A, labels=LABELS, env={"PORT": "20001"}, running=True, pid=10),))
    )
    await quay.apply([Assign(A)])
    assert quay.ports == {A: 20_000}


def _of(quay: Quay) -> tuple[Container, ...]:
    return tuple(seen.container for seen in quay.census.containers.values())
