"""The lock on a folder: one holder, named, and free as soon as it is gone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wharfinger.errors import Unavailable
from wharfinger.lock import held

HOLD = """
import sys, time
from pathlib import Path
from wharfinger.lock import held
with held(Path(sys.argv[1]), "registrar of box"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_holder_is_told_who_the_first_is(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held(path, "registrar of box"):
        told = f"held by 'registrar of box pid {os.getpid()}': stop that one first"
        with pytest.raises(Unavailable, match=told), held(path, "other"):
            pytest.fail("two hold it")
    with held(path, "x"):
        assert path.read_text() == f"x pid {os.getpid()}\n"


def test_it_is_free_when_its_holder_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        told = f"held by 'registrar of box pid {holder.pid}'"
        with pytest.raises(Unavailable, match=told), held(path, "other"):
            pytest.fail("two hold it")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with held(path, "other"):
        assert "other" in path.read_text()


def test_nobody_else_may_hold_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch(0o644)  # as it was once
    tmp_path.chmod(0o755)
    with held(path, "x"):
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone gives files away")
def test_one_that_root_makes_is_of_the_folder_s_owner(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 1235)
    with held(tmp_path / "lock", "logstore"):
        made = (tmp_path / "lock").stat()
        assert (made.st_uid, made.st_gid) == (1234, 1235)
    # One that is there may be another file's second name: it is given to nobody.
    (tmp_path / "other").touch()
    with held(tmp_path / "other", "logstore"):
        assert (tmp_path / "other").stat().st_uid == 0


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none" / "lock"
    with pytest.raises(FileNotFoundError, match=str(path)), held(path, "x"):
        pytest.fail("held")


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    (tmp_path / "lock").symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"), held(tmp_path / "lock", "x"):
        pytest.fail("held")
    assert target.read_text() == "precious"


def test_what_a_stranger_wrote_is_shown_harmless(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held(path, "x"):
        path.write_bytes(b"\x1b[2J\xff" + b"y" * 1000)
        with pytest.raises(Unavailable) as caught, held(path, "other"):
            pytest.fail("two hold it")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600
