"""The disk refuses, at any of the store's calls: nothing is acknowledged that is not there."""

from pathlib import Path

import pytest

from tests.stack.powercut import Recording
from tests.stack.storecheck import check_file, check_index, check_lines
from tests.stack.storelife import Body

STEPS = (
    Body("t", 0, "a", 0, 3),
    Body("t", 0, "a", 3, 9),
    Body("t", -1, "b", 0, 4),
    Body("u", 0, "c", 0, 2),
    Body("t", 0, "a", 12, 9),
    Body("t", 0, "a", 18, 9),
    Body("t", -1, "b", 2, 9),
)
WRITES = "pwrite64,ftruncate,fallocate"
NAMES = "rename,mkdir,unlink"


def check_faults(folder: Path, *faults: str) -> int:
    """Lives through faults, sending what was refused again; gives how often that was."""
    recording = Recording(folder)
    notes = recording.live(STEPS, *faults)
    assert notes.count("done") == len(STEPS), notes[-1500:]
    for tenant in ("t", "u"):
        lines = {word for body in STEPS if body.tenant == tenant for word in body.words()}
        check_lines(recording.root, tenant, lines, lines)
        check_index(recording.root, tenant, lines)
    for path in recording.root.glob("*/*.db"):
        check_file(path)
    refused = [line for line in notes.splitlines() if line.startswith("refused")]
    assert all(len(line.split()) > 2 for line in refused), "health does not say why"
    return len(refused)


@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EDQUOT"])
@pytest.mark.parametrize("when", ["1+67", "5+83", "2..12", "60..110"])
def test_writes_fail(tmp_path: Path, error: str, when: str) -> None:
    """In the same life lines are taken as soon as the fault has gone, and none is twice."""
    assert check_faults(tmp_path, f"{WRITES}:error={error}:when={when}")


@pytest.mark.parametrize("when", ["5..9", "36..40", "50..54"])
def test_reads_fail(tmp_path: Path, when: str) -> None:
    assert check_faults(tmp_path, f"pread64:error=EIO:when={when}")


@pytest.mark.parametrize("when", range(1, 5))
def test_names_cannot_be_changed(tmp_path: Path, when: int) -> None:
    assert check_faults(tmp_path, f"{NAMES}:error=EROFS:when={when}..{when + 1}")
