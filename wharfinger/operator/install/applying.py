"""Takes the steps of a plan, on this host or in a root folder."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, assert_never

import msgspec

from wharfinger.errors import Finding, Rejected, Unavailable
from wharfinger.operator.install.commands import called
from wharfinger.operator.install.model import (
    RECORD,
    File,
    Kept,
    Kernel,
    Plan,
    Record,
    Reload,
    Remove,
    Rights,
    Run,
    Start,
    Step,
    Write,
)
from wharfinger.operator.install.root import Root

PROC_SYS: Final = Path("/proc/sys")
# Where daemons' programs are; a user's PATH often lacks it.
SBIN: Final = "/usr/local/sbin:/usr/sbin:/sbin"
COMMAND_SECONDS: Final = 120.0
# It holds digests of secrets, and a password may be short.
RECORD_MODE: Final = 0o600
AGAIN: Final = "what was done until then stays: run it again when that is mended"


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """A record as it is on disk; fields of later versions are passed over."""

    version: str
    roles: frozenset[str] = frozenset()
    programs: str = "/usr/bin"
    files: dict[str, Kept] = {}
    unfinished: tuple[str, ...] = ()


def read_record(root: Root) -> Record | None:
    """What was noted at the installation before; None where there was none.

    Raises:
        Rejected: the note is damaged.
        Unavailable: it cannot be read.
    """
    with _said(RECORD):
        present = root.present(RECORD)
    if present is None:
        return None
    try:
        told = msgspec.json.decode(present.data or b"", type=_Record)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected(
            f"{RECORD} cannot be understood: {error}; remove it, and install again with --force"
        ) from error
    return Record(told.version, told.roles, told.programs, told.files, told.unfinished)


def apply(
    plan: Plan, root: Root, told: Callable[[Step], None], start: Callable[[Start], None]
) -> tuple[Finding, ...]:
    """Takes the steps, one after the other.

    Args:
        plan: what is to be done.
        root: where.
        told: hears of each step before it is taken.
        start: begins to start units, and does not wait for them.

    Returns:
        What is done, and has left something to be mended that no other run would.

    Raises:
        Unavailable: a step failed; those before it are done, and a plan made anew has the rest.
        Conflict: another installation is under way.
    """
    with _said(RECORD), root.alone(RECORD.rpartition("/")[0]):
        if plan.steps and plan.during:
            _write_record(root, plan.during)
        left: list[Finding] = []
        for step in plan.steps:
            told(step)
            if isinstance(step, Reload):
                left += _reload(step)
            else:
                _take(step, root, start)
        if plan.after is None:
            root.remove(RECORD)
        elif plan.after != read_record(root):
            _write_record(root, plan.after)
    return tuple(left)


def _take(
    step: Write | Rights | Remove | Run | Kernel | Start, root: Root, start: Callable[[Start], None]
) -> None:
    match step:
        case Write():
            with _said(step.file.path):
                root.write(step.file)
        case Rights():
            with _said(step.path):
                root.give(step.path, step.mode, step.group)
        case Remove():
            with _said(step.path):
                root.remove(step.path)
        case Run():
            _run(step, root)
        case Kernel():
            with _said(step.key):
                (PROC_SYS / step.key).write_text(step.value + "\n")
        case Start():
            start(step)
        case _:
            assert_never(step)


def words(step: Run, root: Root) -> list[str]:
    """The command of a step as it is called."""
    program, *rest = step.command
    return [program, *rest] if root.live else [program, f"--root={root.path}", *rest]


def _run(step: Run, root: Root) -> None:
    if why := _failure(words(step, root)):
        raise Unavailable(f"{why}; {AGAIN}")


def _reload(step: Reload) -> Iterator[Finding]:
    """Says what is wrong with a Nginx that does not take what is left to it."""
    again = shlex.join(step.command)
    if step.check and (why := _failure(step.check)):
        # It serves on by what it has read before, until it is restarted.
        fix = (
            f"mend what still names our upstreams, then {again}: until then it cannot be restarted"
        )
        yield Finding("nginx", f"was not reloaded: {why}", fix)
    elif why := _failure(step.command):
        yield Finding("nginx", f"was not reloaded: {why}", f"run {again} by hand")


def _failure(command: Sequence[str]) -> str:
    """Runs a command to its end; why it failed, or nothing."""
    shown = " ".join(command)
    path = f"{os.environ.get('PATH', os.defpath)}:{SBIN}"
    program = shutil.which(command[0], path=path)
    if program is None:
        return f"{shown}: there is no {command[0]} here"
    try:
        done = called([program, *command[1:]], COMMAND_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{shown}: {error}"
    if not done.returncode:
        return ""
    # Nginx gives its reason on the last line but one.
    said = (done.stderr or done.stdout).strip().splitlines()[-2:] or ["it said nothing"]
    return f"{shown} ended with {done.returncode}: {'; '.join(said)}"


def _write_record(root: Root, record: Record) -> None:
    data = msgspec.json.format(msgspec.json.encode(record, order="sorted"), indent=1)
    root.write(File(RECORD, data + b"\n", "what was installed", mode=RECORD_MODE))


@contextmanager
def _said(path: str) -> Iterator[None]:
    """Names the file in what the system says of it."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror or error}; {AGAIN}") from error
