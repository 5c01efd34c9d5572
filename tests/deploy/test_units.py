"""The units as systemd reads them: sound, hardened as far as we say, and of one mind."""

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from registrar.host import hostlock
from wharfinger import control

UNITS: Final = Path(__file__).parents[2] / "deploy/systemd"
DAEMONS: Final = ("registrar", "discovery", "logshipper", "logstore")
# systemd-analyze(1), security: exposure of each, in tenths. deploy/systemd/README.md says what for.
EXPOSURE: Final = {"registrar": 16, "discovery": 22, "logshipper": 15, "logstore": 11}


def analyzed(verb: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", verb, *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def settings(daemon: str) -> dict[str, list[str]]:
    """What a unit sets, in its order."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / f"wharfinger-{daemon}.service").read_text().splitlines():
        if match := re.fullmatch(r"([A-Za-z]+)=(.*)", line):
            found.setdefault(match[1], []).append(match[2])
    return found


def test_systemd_finds_no_fault_in_them(tmp_path: Path) -> None:
    for unit in (*UNITS.glob("*.service"), *UNITS.glob("*.target")):
        # Programs that are not installed here are no fault of the unit.
        text = re.sub(r"/usr/bin/[a-z]+", "/bin/true", unit.read_text())
        (tmp_path / unit.name).write_text(text)
    told = analyzed("verify", "--recursive-errors=no", *tmp_path.iterdir())
    assert (told.returncode, told.stderr) == (0, "")


@pytest.mark.parametrize("daemon", DAEMONS)
def test_each_is_no_more_exposed_than_we_say(
    daemon: str, record_property: Callable[[str, object], None]
) -> None:
    unit = UNITS / f"wharfinger-{daemon}.service"
    told = analyzed("security", "--offline=yes", f"--threshold={EXPOSURE[daemon]}", unit)
    exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", told.stdout)
    assert exposure, told.stderr
    record_property(f"exposure of {daemon}", exposure[1])
    assert told.returncode == 0, told.stdout
    readme = (UNITS / "README.md").read_text()
    assert re.search(rf"^\| `{daemon}` \| {re.escape(exposure[1])} \|", readme, re.MULTILINE)


@pytest.mark.parametrize("daemon", DAEMONS)
def test_each_is_started_watched_and_reloaded_alike(daemon: str) -> None:
    found = settings(daemon)
    assert found["Type"] == ["notify"]
    assert found["NotifyAccess"] == ["main"]
    assert found["ExecStart"] == [f"/usr/bin/{daemon} run"]
    assert found["ExecReload"][0] == f"/usr/bin/{daemon} check --offline"
    assert found["ExecReload"][-1] == '/bin/sh -c "kill -HUP $MAINPID"'
    assert found["Restart"] == ["always"]
    # A configuration does not mend itself, nor does a wrong use (wharfinger.errors.Exit).
    assert found["RestartPreventExitStatus"] == ["64 78"]
    assert found["StartLimitIntervalSec"] == ["0"]
    assert found["WatchdogSec"] == ["30"]
    assert found["EnvironmentFile"] == ["-/etc/default/wharfinger"]
    assert found["StateDirectory"] == [f"wharfinger/{daemon}"]
    assert found["WantedBy"] == ["wharfinger.target"]
    assert found["NoNewPrivileges"] == found["RestrictSUIDSGID"] == ["yes"]


@pytest.mark.parametrize("daemon", DAEMONS)
def test_each_runs_as_a_user_that_is_made_with_no_right_that_its_readme_leaves_out(
    daemon: str,
) -> None:
    found = settings(daemon)
    (user,) = found["User"]
    assert re.search(
        rf"^u {user} -:_wharfinger ", (UNITS / "sysusers.conf").read_text(), re.MULTILINE
    )
    given = found.get("AmbientCapabilities", [""])[0].split()
    assert found["CapabilityBoundingSet"][0].split() == given
    readme = (UNITS / "README.md").read_text()
    for capability in given:
        assert re.search(rf"^\| `{daemon}` \| `{capability}` \|", readme, re.MULTILINE)


def test_the_registrar_knows_the_user_that_its_unit_names() -> None:
    assert settings("registrar")["User"] == [hostlock.SERVICE_USER]


def test_users_and_folders_are_made_as_systemd_reads_them(tmp_path: Path) -> None:
    for name in ("etc", "usr/lib/sysusers.d", "usr/lib/tmpfiles.d"):
        (tmp_path / name).mkdir(parents=True)
    for kind in ("sysusers", "tmpfiles"):
        shutil.copy(UNITS / f"{kind}.conf", tmp_path / f"usr/lib/{kind}.d/wharfinger.conf")
    made = tmp_path / "run/wharfinger"
    made.mkdir(parents=True)
    os.mknod(made / "registrar.sock", 0o600 | stat.S_IFSOCK)  # as versions before have left it
    for program, *flags in (("systemd-sysusers",), ("systemd-tmpfiles", "--create")):
        command = [program, f"--root={tmp_path}", *flags, "wharfinger.conf"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    users = {line.split(":")[0] for line in (tmp_path / "etc/passwd").read_text().splitlines()}
    assert users >= {f"_wharfinger-{daemon}" for daemon in DAEMONS}
    # Nobody else may write there (`wharfinger.control`).
    assert (made.stat().st_mode & 0o7777, made.stat().st_uid) == (0o755, 0)
    own = (made / "registrar").stat()
    accounts = [(tmp_path / "etc" / name).read_text() for name in ("passwd", "group")]
    assert own.st_mode & 0o7777 == 0o2755  # what the registrar makes has the group
    assert re.search(rf"^_wharfinger-registrar:[^:]*:{own.st_uid}:", accounts[0], re.MULTILINE)
    assert re.search(rf"^wharfinger:[^:]*:{own.st_gid}:", accounts[1], re.MULTILINE)
    assert control.place(made / "registrar.sock") == made / "registrar/registrar.sock"
    assert (made / "nginx").stat().st_mode & 0o7777 == 0o700
