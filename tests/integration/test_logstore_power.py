"""The power fails at any call of the store: what it had acknowledged is there afterwards, once."""

import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.stack.powercut import Recording, State, place
from tests.stack.storecheck import check_file, check_index, check_lines
from tests.stack.storelife import Body, Closed, Later, Life, Read

# More chance than a change has to wait for: WHARFINGER_TORN=50 looks at that many for each call.
TORN = int(os.environ.get("WHARFINGER_TORN", "1"))
SEED = int(os.environ.get("WHARFINGER_SEED", "20261126"))

STEPS = (
    Body("t", 0, "a", 0, 3),
    Body("t", 0, "a", 3, 9),
    Body("t", -1, "b", 0, 4),
    Body("t", 0, "a", 0, 12),  # sent again
    Body("u", 0, "c", 0, 2),
    Body("u", 0, "x", 0, 3),
    Body("u", 0, "x", 1, 4),
    Body("t", 0, "a", 12, 5),
    Closed(),
    Body("t", 0, "a", 10, 9),
    Body("t", -1, "b", 4, 3),
    Read("t", -1),
    Body("t", -1, "b", 7, 3),
    Later(2),
    Body("t", 1, "b", 10, 4),
    Body("t", -1, "b", 8, 4),  # too old by now
    Body("t", 2, "d", 0, 9),
)

Record = Callable[[str, object], None]


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory: thousands of states are written to it, and synced."""
    shared = Path("/dev/shm")
    made = tempfile.mkdtemp(prefix="wf-", dir=shared if shared.is_dir() else None)
    yield Path(made)
    shutil.rmtree(made)


def check(state: State, root: Path) -> None:
    """What must hold of what a cut has left: at once, and after everything was sent again."""
    root.mkdir()
    place(state.image, root)
    promise = state.promise
    life = Life(root, promise.today)
    for tenant in promise.tenants():
        promised = promise.lines(tenant, promise.acknowledged)
        check_lines(root, tenant, promised, promise.lines(tenant, promise.sent))
    life.send(*promise.sent)
    for tenant in promise.tenants():
        everything = promise.lines(tenant, promise.sent)
        check_lines(root, tenant, everything, everything)
        check_index(root, tenant, everything)
    assert not life.why, life.why
    life.close()
    for path in root.glob("*/*.db"):
        check_file(path)
    shutil.rmtree(root)


def check_all(
    recording: Recording, memory: Path, *, everywhere: bool = False, life: int = 0
) -> Counter[str]:
    """Checks every state; gives how many there were by rule, and how many `moments`."""
    dice = random.Random(SEED)
    opened: Counter[str] = Counter()
    calls: set[int] = set()
    for state in recording.states(dice, torn=TORN, everywhere=everywhere, life=life):
        try:
            check(state, memory / "data")
        except BaseException as error:
            error.add_note(f"after call {state.at}, {state.rule}; seed {SEED}")
            raise
        opened[state.rule.partition(" ")[0]] += 1
        calls.add(state.at)
    return opened + Counter(moments=len(calls))


@pytest.mark.timeout(400)
def test_a_cut_at_any_call(tmp_path: Path, memory: Path, record_property: Record) -> None:
    recording = Recording(tmp_path)
    notes = recording.live(STEPS)
    assert notes.count("done") == len(STEPS)
    counts = check_all(recording, memory, everywhere=True)
    record_property("power cuts", dict(counts))
    assert counts["moments"] > 300


@pytest.mark.parametrize("sync", range(1, 12))
def test_a_cut_after_a_kill(tmp_path: Path, memory: Path, sync: int) -> None:
    """A killed life leaves what no disk has; the next must not answer for it until one has."""
    steps = (Body("t", 0, "a", 0, 3), Body("t", 0, "a", 3, 9), Body("u", 0, "c", 0, 2))
    recording = Recording(tmp_path)
    recording.live(steps, f"fdatasync:signal=KILL:when={sync}", killed=True)
    recording.live(steps)
    assert check_all(recording, memory, life=1)["moments"]


@pytest.mark.parametrize(
    "fault",
    [
        *(f"fdatasync:error=EIO:when={first}" for first in (4, 7, 10)),
        *(f"fdatasync:error=EIO:when={first}..{first + 3}" for first in (4, 6, 8)),
        *(f"fsync:error=EIO:when={first}..{first + 1}" for first in range(1, 9, 2)),
    ],
)
def test_a_cut_after_a_failed_sync(tmp_path: Path, memory: Path, fault: str) -> None:
    """What the kernel let go of is not taken for written, however often it is asked again."""
    steps = [step for step in STEPS[:7] if isinstance(step, Body)]
    recording = Recording(tmp_path)
    notes = recording.live(steps, fault)
    assert notes.count("done") == len(steps)
    assert check_all(recording, memory)["moments"]
