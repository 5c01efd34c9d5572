"""The folder that the runtime is installed to: its programs, its settings, and what was before."""

import errno
import os
import py_compile
import stat
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec

from wharfinger.errors import Rejected
from wharfinger.files import write_atomically

PROGRAM: Final = "wharfinger-runtime"
SOURCES: Final = ("create.py", "stop.py")
SETTINGS: Final = "settings"
RECORD: Final = "installed.json"
EXECUTABLE_MODE: Final = 0o755
GROUP_OR_OTHERS_WRITE: Final = 0o022
MODULES: Final = "fcntl, posix, sys, time, _json, _signal, _socket, _thread"


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What daemon.json was before, and what we made of it.

    Attributes:
        before: its text; None when it was not there.
        after: its text, as we left it.
    """

    before: str | None
    after: str


def python() -> str:
    """The interpreter itself: a virtual environment may be gone one day.

    Raises:
        Rejected: it lacks what the programs import.
    """
    found = os.path.realpath(sys.executable)
    try:
        command = [found, "-I", "-S", "-B", "-c", f"import {MODULES}"]
        subprocess.run(command, check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        raise Rejected(f"{found} cannot run the runtime: {error}; nothing was changed") from error
    return found


def settings_text(wanted: Mapping[str, object]) -> str:
    """The settings as lines.

    Raises:
        Rejected: one of them would be read as something else.
    """
    lines = []
    for key, value in wanted.items():
        if not str(value).isprintable():
            raise Rejected(f"{key} {str(value)!a} cannot be written down; nothing was changed")
        lines.append(f"{key}={value}\n")
    return "".join(lines)


def setting(folder: Path, wanted: str) -> str | None:
    """One of the settings in a folder; None where there is none."""
    with suppress(OSError, UnicodeDecodeError):
        for line in (folder / SETTINGS).read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition("=")
            if key == wanted:
                return value
    return None


def put_in_place(folder: Path, settings: str) -> None:
    """Writes the programs, compiled beforehand, and their settings.

    Raises:
        OSError: something cannot be written; what is there still works, or is called by nobody.
    """
    if whose := _others_place(folder):
        raise OSError(
            errno.EPERM,
            "its owner or others may write to it, and what is here runs as root: name "
            "another --lib-dir, or have it belong to root with mode 755",
            os.fspath(whose),
        )
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(EXECUTABLE_MODE)  # whatever our umask is
    shipped = files("registrar.runtime")
    for name in SOURCES:
        source = folder / name
        write_atomically(source, shipped.joinpath(name).read_bytes())
        if (compiled := folder / f"{name}c").is_symlink():
            compiled.unlink()  # py_compile refuses one
        # Renamed into its place by py_compile itself; an older Python's form is replaced.
        py_compile.compile(str(source), cfile=str(compiled), doraise=True)
    write_atomically(folder / SETTINGS, settings.encode())
    program = shipped.joinpath(PROGRAM).read_bytes()
    write_atomically(folder / PROGRAM, program, mode=EXECUTABLE_MODE)


def _others_place(folder: Path) -> Path | None:
    """What of a folder and those above it belongs to somebody else, who could replace ours."""
    real = folder.resolve()
    for each in filter(Path.is_dir, (real, *real.parents)):
        found = each.stat()
        # Above it, a group is left alone (Debian's /usr/local belongs to one), and so is /tmp.
        shut = GROUP_OR_OTHERS_WRITE if each == real else stat.S_IWOTH
        open_to_others = found.st_mode & shut and (each == real or not found.st_mode & stat.S_ISVTX)
        if found.st_uid not in (0, os.geteuid()) or open_to_others:
            return each
    return None


def remove(folder: Path) -> None:
    """Removes what is ours, and the folder if nothing else is in it.

    Raises:
        OSError: something cannot be removed.
    """
    for name in (*SOURCES, *(f"{each}c" for each in SOURCES), SETTINGS, PROGRAM, RECORD):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):  # not empty: what is left is not ours
        folder.rmdir()
        if folder.parent.name == "wharfinger":
            folder.parent.rmdir()


def read_record(folder: Path) -> Record | None:
    """What was noted at the installation; None when there was none, or the note is damaged."""
    try:
        return msgspec.json.decode((folder / RECORD).read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def write_record(folder: Path, record: Record) -> None:
    """Notes what an uninstall needs to know.

    Raises:
        OSError: it cannot be written.
    """
    write_atomically(folder / RECORD, msgspec.json.format(msgspec.json.encode(record)))
