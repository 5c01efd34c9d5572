"""`logstore backup` and `restore`: a copy of every day, and the way back."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from logshipper.store.config import Config
from logshipper.store.engine import retention
from logshipper.store.engine.folder import Folder
from logshipper.store.keeping import backup, blocking, places, restore
from logshipper.store.keeping.backup import Made
from logshipper.store.keeping.progress import Progress
from logshipper.store.lines import times
from wharfinger import cli
from wharfinger.errors import Exit, Rejected
from wharfinger.jsontext import encode_line
from wharfinger.text import printable, quantity

_STAMP: Final = "%Y%m%dT%H%M%SZ"


def _backup_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="DEST", type=Path, help="the folder of all backups")
    parser.add_argument(
        "--verify", action="store_true", help="look at the newest one there (or at DEST) instead"
    )
    parser.add_argument("--keep", type=_count, metavar="N", help="remove the oldest beyond so many")
    parser.add_argument("--json", action="store_true", help="for programs")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 10**6:
        raise argparse.ArgumentTypeError("give a number from 1 on")
    return int(text)


async def _backup(parsed: argparse.Namespace, config: Config) -> Exit:
    if parsed.verify:
        return await _verify(parsed)
    folder = Folder(config.data_dir)
    if not folder.root.is_dir():
        raise Rejected(f"there is nothing to copy: {folder.root} is not there")

    def work() -> Made:
        progress = Progress("bytes", places.total_bytes(folder))
        now = time.time_ns()
        stamp = time.strftime(_STAMP, time.gmtime(now // times.SECOND_NS))
        try:
            return backup.make(
                folder, parsed.target, stamp, now, keep=parsed.keep, progress=progress
            )
        finally:
            progress.end()

    made = await blocking.run(work, "interrupted: no backup was made, older ones are as they were")
    if parsed.json:
        print(encode_line(_told(made)).decode())  # noqa: T201 - for programs
    else:
        days = made.manifest.days
        lines = sum(entry.lines for entry in days)
        _say(
            f"{made.path}: {quantity(len(days), 'day')}, {quantity(lines, 'line')};"
            f" {quantity(made.copied, 'byte')} copied,"
            f" {quantity(made.linked, 'day')} as in the backup before"
        )
        for old in made.removed:
            _say(f"removed {old}")
        for name, why in made.manifest.failed.items():
            _say(f"NOT in it: {name}: {why}; run `logstore repair`")
    return Exit.UNAVAILABLE if made.manifest.failed else Exit.OK


async def _verify(parsed: argparse.Namespace) -> Exit:
    path = backup.newest(parsed.target)
    progress = Progress("bytes", sum(entry.size for entry in backup.read(path).days))
    told, findings = await blocking.run(
        lambda: backup.verify(path, progress), "interrupted: not everything was looked at"
    )
    progress.end()
    if parsed.json:
        shown = {"backup": str(path), "days": len(told.days), "findings": findings}
        print(encode_line(shown).decode())  # noqa: T201 - for programs
    else:
        for finding in findings:
            _say(str(finding))
        if not findings:
            lines = sum(entry.lines for entry in told.days)
            said = f"{quantity(len(told.days), 'day')}, {quantity(lines, 'line')}"
            _say(f"{path}: {said}, nothing wrong found")
    return Exit.CONFIG if findings else Exit.OK


def _told(made: Made) -> dict[str, Any]:
    return {
        "backup": str(made.path),
        "days": made.manifest.days,
        "copied_bytes": made.copied,
        "linked_days": made.linked,
        "removed": [str(old) for old in made.removed],
        "failed": made.manifest.failed,
    }


def _restore_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="BACKUP", type=Path, help="one, or a folder of them")
    parser.add_argument("which", nargs="*", metavar="TENANT [DAY]", help="these alone")
    parser.add_argument(
        "--replace", action="store_true", help="put days out of the way that are there"
    )
    parser.add_argument("--json", action="store_true", help="for programs")


async def _restore(parsed: argparse.Namespace, config: Config) -> Exit:
    folder = Folder(config.data_dir)
    path = backup.newest(parsed.source)
    stamp = time.strftime(_STAMP, time.gmtime())

    def work() -> restore.Restored:
        progress = Progress("bytes", sum(entry.size for entry in backup.read(path).days))
        with folder.locked():
            try:
                return restore.restore(
                    path, folder, parsed.which, stamp, replace=parsed.replace, progress=progress
                )
            finally:
                progress.end()

    done = await blocking.run(work, "interrupted: each day is as it was, or brought back whole")
    if parsed.json:
        shown = {
            "backup": str(path),
            "restored": done.days,
            "present": done.present,
            "replaced": [str(old) for old in done.replaced],
        }
        print(encode_line(shown).decode())  # noqa: T201 - for programs
        return Exit.OK
    for name in done.present:
        _say(f"{name}: is there already, left as it is (--replace puts it out of the way)")
    for old in done.replaced:
        _say(f"kept: {old}")
    _say(f"{quantity(len(done.days), 'day')} brought back from {path}")
    for name in too_old(done.days, config, time.time_ns()):
        _say(f"{name} is older than retention_days: the store removes it as it starts")
    return Exit.OK


def too_old(names: Sequence[str], config: Config, now_ns: int) -> list[str]:
    """Those of `TENANT DAY` that retention will not leave."""
    first = retention.first_day(now_ns, config.logstore.retention_days)
    days = {name: times.parse_day(name.rpartition(" ")[2]) for name in names}
    return [name for name, day in days.items() if day is not None and day < first]


def _say(text: str) -> None:
    print(printable(text))  # noqa: T201 - this is the command's output


BACKUP: Final[cli.Verb[Config]] = cli.Verb(
    name="backup",
    summary="copy every day while the store runs; days as before are linked, not copied",
    arguments=_backup_arguments,
    run=_backup,
)
RESTORE: Final[cli.Verb[Config]] = cli.Verb(
    name="restore",
    summary="bring days of a backup back; the store must be stopped",
    arguments=_restore_arguments,
    run=_restore,
)
