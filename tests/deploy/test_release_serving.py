"""The script of the HEALTHCHECK, run by the shells of small images."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import cast

import pytest

from deploy.release import serving
from deploy.release.serving import FILE, healthcheck

SHELLS = [("dash",), ("busybox", "sh"), ("bash", "--posix")]


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0])
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    found = cast("tuple[str, ...]", request.param)
    if shutil.which(found[0]) is None:
        pytest.skip(f"no {found[0]} here")
    return found


def probe(
    shell: tuple[str, ...], folder: Path, *, start_seconds: float = 1
) -> subprocess.Popen[bytes]:
    """Begins one in a container whose /dev/shm is this folder."""
    told = cast("list[str]", healthcheck(start_seconds)["test"])
    assert told[0] == "CMD-SHELL"
    script = told[1].replace("$$", "$").replace(FILE, str(folder / "wharfinger.serving"))
    script = script.replace("/proc/1/fd/2", str(folder / "log"))
    script = script.replace("exec sleep 30", "exit 0")
    assert script.count("/dev/full") == 1
    # /dev of this machine may be younger than the files of the test.
    script = script.replace("/dev/full", str(folder / "full"))
    with (folder / "said").open("ab") as said:
        return subprocess.Popen([*shell, "-c", script], stdout=said)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(serving, "_EDGES_SECONDS", 0)
    (tmp_path / "full").touch()
    os.utime(tmp_path / "full", (1000, 1000))
    return tmp_path


def test_it_waits_until_the_file_is_there_and_then_rests(
    shell: tuple[str, ...], folder: Path
) -> None:
    first = probe(shell, folder, start_seconds=20)
    with pytest.raises(subprocess.TimeoutExpired):
        first.wait(0.3)
    (folder / "wharfinger.serving").touch()
    assert first.wait(10) == 0
    assert probe(shell, folder).wait(10) == 0
    # What it has seen once it does not ask again: an etcd that is away ends nobody.
    (folder / "wharfinger.serving").unlink()
    assert probe(shell, folder).wait(10) == 0


def test_in_vain_it_says_so_where_people_look_and_the_next_fail_at_once(
    shell: tuple[str, ...], folder: Path
) -> None:
    first = probe(shell, folder)
    assert first.wait(10) == 1
    for name in ("said", "log"):
        said = (folder / name).read_text()
        assert said == "not served by the edges within 1 s of its start\n"
    second = probe(shell, folder, start_seconds=60)
    assert second.wait(5) == 1
    (folder / "wharfinger.serving").touch()
    assert probe(shell, folder).wait(10) == 0


def test_files_of_an_earlier_start_count_for_nothing(shell: tuple[str, ...], folder: Path) -> None:
    for name in ("wharfinger.serving", "wharfinger.serving.seen"):
        (folder / name).touch()
        os.utime(folder / name, (500, 500))
    assert probe(shell, folder).wait(10) == 1


def test_dollars_are_doubled_and_times_fit() -> None:
    block = healthcheck(45)
    script = cast("list[str]", block["test"])[1]
    assert "$" not in script.replace("$$", "")
    assert block["timeout"] == "67s"
    assert healthcheck(0.2)["timeout"] == "40s"
