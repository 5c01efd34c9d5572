"""What survives a restart, and what becomes of it when the disk does not play along."""

import subprocess
import sys
from pathlib import Path

import pytest

from registrar import state as state_module
from registrar.drained import Drain, Drains
from registrar.porttable import Assignments, PortRange, Table
from registrar.state import State
from wharfinger.errors import Unavailable

ID, OTHER = "a" * 64, "b" * 64
TABLE = Table(PortRange(20_000, 20_009), frozenset({20_005}), Assignments({ID: 20_000}, (20_001,)))


async def test_ports_and_stops_come_back(tmp_path: Path) -> None:
    state = State(tmp_path)
    assert await state.update_table(lambda before: TABLE if before is None else before) == TABLE
    await state.save_stops({ID: 5})
    again = State(tmp_path)
    assert again.load_ports() == TABLE.assignments
    assert again.load_stops() == {ID: 5}
    assert again.forgotten == ""


def test_nothing_there_is_said(tmp_path: Path) -> None:
    state = State(tmp_path)
    assert state.load_ports() == Assignments()
    assert state.load_stops() == {}
    assert "not there" in state.forgotten
    assert not state.damaged


def test_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "ports").write_text("wharfinger ports 1\n")
    (tmp_path / "stops.json").write_text('{"x": "y"}')
    state = State(tmp_path)
    assert state.load_ports() == Assignments()
    assert "cut off" in state.forgotten
    assert state.damaged
    assert (tmp_path / "ports.damaged").read_text() == "wharfinger ports 1\n"
    assert state.load_stops() == {}


async def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    state = State(tmp_path / "missing")
    with pytest.raises(Unavailable, match="cannot be written"):
        await state.save_stops({})
    with pytest.raises(Unavailable, match=r"ports\.lock cannot be used"):
        await state.update_table(lambda _: TABLE)


async def test_what_another_wrote_is_noticed_and_taken_up(tmp_path: Path) -> None:
    ours, theirs = State(tmp_path), State(tmp_path)
    await ours.update_table(lambda _: TABLE)
    assert await ours.reload_table() is None
    given = TABLE.assignments.assign(OTHER, TABLE.within, lambda _: True)
    changed = Table(TABLE.within, TABLE.taken, given)
    await theirs.update_table(lambda _: changed)
    assert await ours.reload_table() == changed
    assert await ours.reload_table() is None
    seen: list[Table | None] = []
    await ours.update_table(lambda before: seen.append(before) or TABLE)  # type: ignore[func-returns-value]
    assert seen == [changed]


@pytest.mark.parametrize("loss", ["", "damage"])
async def test_a_table_that_is_lost_while_we_run_can_be_made_anew(
    tmp_path: Path, loss: str
) -> None:
    state = State(tmp_path)
    await state.update_table(lambda _: TABLE)
    assert state.has_table
    path = tmp_path / "ports"
    path.write_text("damage") if loss else path.unlink()
    assert await state.reload_table() is None
    assert not state.has_table
    assert state.forgotten
    assert state.damaged == bool(loss)
    assert await state.update_table(lambda before: before or TABLE) == TABLE
    assert state.has_table


async def test_a_frozen_holder_of_the_table_is_named_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_module, "LOCK_SECONDS", 0.05)
    state = State(tmp_path)
    await state.update_table(lambda _: TABLE)
    program = (
        "import fcntl, os, signal, sys; f = os.open(sys.argv[1], os.O_RDWR);"
        "fcntl.flock(f, fcntl.LOCK_EX); os.ftruncate(f, 0); os.write(f, b'somebody');"
        "print(flush=True); os.kill(os.getpid(), signal.SIGSTOP)"
    )
    with subprocess.Popen(  # noqa: ASYNC220 - lives as long as the block
        [sys.executable, "-c", program, tmp_path / "ports.lock"], stdout=subprocess.PIPE
    ) as frozen:
        assert frozen.stdout is not None
        frozen.stdout.readline()
        with pytest.raises(Unavailable, match=r"ports\.lock is held by 'somebody'"):
            await state.update_table(lambda _: Table(TABLE.within))
        assert State(tmp_path).load_ports() == TABLE.assignments
        frozen.kill()
    assert await state.update_table(lambda before: before or Table(TABLE.within)) == TABLE


def test_the_second_on_a_host_is_told_who_holds_it(tmp_path: Path) -> None:
    why = "is held by 'registrar of host box pid"
    with (
        State(tmp_path).locked("box"),
        pytest.raises(Unavailable, match=why),
        State(tmp_path).locked("box"),
    ):
        pass
    with State(tmp_path).locked("box"):
        pass


async def test_drains_survive_and_damaged_ones_are_told_and_put_aside(tmp_path: Path) -> None:
    state = State(tmp_path)
    assert state.load_drains() == (Drains(), "")
    held = Drains().of_container(
        "a" * 64, Drain("ann", "2026-01-01T00:00:00+00:00", ("/a_b/1.2.3.4-5",))
    )
    await state.save_drains(held)
    assert state.load_drains() == (held, "")
    (tmp_path / "drains.json").write_bytes(b"{")
    lost, why = state.load_drains()
    assert lost == Drains()
    assert "drains.json" in why
    assert (tmp_path / "drains.damaged").read_bytes() == b"{"
    (tmp_path / "drains.json").mkdir()
    with pytest.raises(Unavailable, match=r"drains\.json cannot be read"):
        state.load_drains()
