"""From what is on a host and what is wanted to the steps between."""

import stat
from collections.abc import Iterator
from dataclasses import replace

from wharfinger.errors import Finding, Rejected
from wharfinger.operator.install import reservation
from wharfinger.operator.install.merging import merged
from wharfinger.operator.install.model import (
    CONFIG,
    GROUP,
    RESERVED,
    TARGET,
    File,
    Found,
    Kept,
    Kernel,
    Plan,
    Present,
    Record,
    Remove,
    Rights,
    Run,
    Start,
    Step,
    Unit,
    Wish,
    Write,
    daemons,
    digest,
    unit,
)

CLOSED_MODE = 0o640
MASKED = "masked"
UNIT_FOLDER = "/etc/systemd/system/"
FOLDERS_FOLDER = "/etc/tmpfiles.d/"
SYSUSERS = "wharfinger.conf"


def plan(wish: Wish, found: Found) -> Plan:
    """The steps that make a host as it is wanted.

    Raises:
        Rejected: the configuration cannot be changed in place; nothing was planned.
    """
    record = found.record or Record(wish.version)
    remarks: list[Finding] = []
    writing: list[Step] = []
    held: dict[str, Kept] = {}
    wanted = _files(wish, found)
    for file in wanted:
        step = _placed(file, found.files.get(file.path), record.files.get(file.path), wish, remarks)
        writing += [step] if step else []
        if kept := _kept(file, step, record.files.get(file.path), found.files.get(file.path)):
            held[file.path] = kept
    writing += _outdated(record, found, {file.path for file in wanted}, held, remarks)
    written = {_path(step) for step in writing if isinstance(step, Write | Remove)}
    remarks += _left(wish, record)
    if wish.port_range:
        remarks += reservation.later(wish.port_range, found.reserving)
    starting = _starting(wish, found, record, written, remarks)
    steps = [*_ordered(wish, found, writing, written), *starting]
    after = Record(wish.version, wish.roles, wish.programs, held)
    during = _during(after, record, writing, starting)
    return Plan(tuple(steps), tuple(remarks), during, after)


def _files(wish: Wish, found: Found) -> list[File]:
    """Those that are wanted, and those that depend on what is there."""
    files = [*wish.files, _config(wish, found)]
    if wish.port_range:
        files.append(reservation.file(wish.port_range, found.reserving))
    return files


def _config(wish: Wish, found: Found) -> File:
    present = found.files.get(CONFIG)
    before = wish.sample
    if present and present.data is not None:
        try:
            before = present.data.decode()
        except UnicodeDecodeError as error:
            raise Rejected(f"{CONFIG} is not UTF-8: {error.reason}; nothing was changed") from error
    try:
        text = merged(before, wish.settings)
    except Rejected as error:
        raise Rejected(f"{CONFIG}: {error}; nothing was changed") from error
    file = File(CONFIG, text.encode(), "what the daemons are to do", "config")
    if present and not present.mode & stat.S_IROTH:
        # Somebody has closed it to others; the daemons, which are in the group, must read it.
        return replace(file, mode=CLOSED_MODE, group=GROUP)
    return file


def _placed(
    file: File, present: Present | None, kept: Kept | None, wish: Wish, remarks: list[Finding]
) -> Step | None:
    """What is to be done for one file."""
    if present is None:
        return Write(file, None, file.why if kept is None else f"{file.why}; it is gone")
    if present.data is None:
        remarks.append(_no_file(file, present))
        return None
    if present.data != file.data and not _may_replace(file, present, kept, wish):
        remarks.append(_edited(file))
        return None
    if present.data != file.data and file.kind != "token":
        return Write(file, present.data, file.why)
    if (present.mode, present.group) != (file.mode, file.group) and file.kind != "config":
        return Rights(
            file.path, file.mode, file.group, f"{file.why}; others had its rights changed"
        )
    return None


def _may_replace(file: File, present: Present, kept: Kept | None, wish: Wish) -> bool:
    if file.kind in ("config", "secret", "token"):
        return True  # merged, handed in anew, or left as it is
    return wish.overwrite or (kept is not None and present.digest in kept.digests)


def _no_file(file: File, present: Present) -> Finding:
    if present.what == "link" and file.path.startswith(UNIT_FOLDER):
        fix = "if it is masked, `systemctl unmask` it; else remove the link and install again"
    else:
        fix = "move it away and install again"
    return Finding(file.path, f"is a {present.what} and was left as it is", fix)


def _edited(file: File) -> Finding:
    name = file.path.rpartition("/")[2]
    fix = "--force writes it anew"
    if file.path.startswith(UNIT_FOLDER):
        fix = f"keep changes in a drop-in (`systemctl edit {name}`), then install with --force"
    return Finding(file.path, "was changed by hand and was left as it is", fix)


def _kept(file: File, step: Step | None, kept: Kept | None, present: Present | None) -> Kept | None:
    """What the record will say of it; None for what is not ours."""
    if isinstance(step, Write) or (present and present.data == file.data):
        return Kept((digest(file.data),), file.kind, file.role)
    if file.kind == "token" and present and present.data is not None:
        return Kept((present.digest,), file.kind, file.role)
    return kept


def _outdated(
    record: Record,
    found: Found,
    wanted: set[str],
    held: dict[str, Kept],
    remarks: list[Finding],
) -> Iterator[Remove]:
    """What an older version put there and this one does not."""
    for path, kept in record.files.items():
        present = found.files.get(path)
        if path in wanted or present is None:
            continue
        if kept.kind in ("shipped", "written") and present.digest in kept.digests:
            yield Remove(path, f"version {record.version} put it there, and it is needed no more")
            continue
        held[path] = kept
        if kept.kind == "shipped":
            remarks.append(
                Finding(path, "is needed no more, but was changed by hand", "remove it yourself")
            )


def _left(wish: Wish, record: Record) -> Iterator[Finding]:
    if record.roles and record.version != wish.version:
        yield Finding("version", f"{record.version} was installed, {wish.version} takes its place")
    if record.roles and record.programs != wish.programs:
        problem = f"the units called programs in {record.programs}, and will in {wish.programs}"
        yield Finding("programs", problem, f"{record.programs} can be removed")


def _ordered(wish: Wish, found: Found, writing: list[Step], written: set[str]) -> Iterator[Step]:
    """The steps in an order in which each finds what it needs."""
    accounts = [step for step in writing if "/sysusers.d/" in _path(step)]
    yield from accounts
    if not set(wish.users) <= found.users:
        yield Run(("systemd-sysusers", SYSUSERS), "makes the users of the daemons", offline=True)
    yield from (step for step in writing if step not in accounts)
    if (
        any(path.startswith(FOLDERS_FOLDER) for path in written)
        or not set(wish.folders) <= found.folders
    ):
        command = ("systemd-tmpfiles", "--create", *_tmpfiles(wish))
        yield Run(command, "makes the folders of the daemons", offline=True)
    yield from _reserving(wish, found)
    units = [unit(each) for each in daemons(wish.roles)]
    stale = any(found.units.get(each, Unit()).stale for each in (*units, TARGET))
    if found.live and (stale or any(path.startswith(UNIT_FOLDER) for path in written)):
        yield Run(("systemctl", "daemon-reload"), "has systemd read its units")
    off = [
        each
        for each in (TARGET, *units)
        if found.units.get(each, Unit()).enabled not in ("enabled", MASKED)
    ]
    if off:
        yield Run(("systemctl", "enable", *off), "starts them at each boot", offline=True)


def _tmpfiles(wish: Wish) -> list[str]:
    """Ours by their names, which systemd finds in whichever folder they are."""
    local = [file.path for file in wish.files if file.path.startswith(FOLDERS_FOLDER)]
    return list(dict.fromkeys([SYSUSERS, *(each.rpartition("/")[2] for each in local)]))


def _reserving(wish: Wish, found: Found) -> Iterator[Kernel]:
    """What the kernel must be told now; the file tells it at the next boot."""
    if not (found.live and wish.port_range and found.reserved is not None):
        return
    if not reservation.covers(found.reserved, wish.port_range):
        value = reservation.union([found.reserved, wish.port_range])
        yield Kernel(RESERVED, value, f"reserves ports {wish.port_range} from now on")


def _path(step: Step) -> str:
    match step:
        case Write():
            return step.file.path
        case Rights() | Remove():
            return step.path
        case _:
            return ""


def _starting(
    wish: Wish, found: Found, record: Record, written: set[str], remarks: list[Finding]
) -> list[Step]:
    """What is started, and what must take up what was written for it."""
    if not (wish.start and found.live):
        return []
    names = []
    restart = set()
    for name in daemons(wish.roles):
        seen = found.units.get(unit(name), Unit())
        if seen.enabled == MASKED:
            fix = f"systemctl unmask {unit(name)}"
            remarks.append(Finding(unit(name), "is masked and was not started", fix))
            continue
        new = any(_concerns(path, name) for path in written) or name in record.unfinished
        if seen.state != "active" or new:
            names.append(name)
            # One that is not ready may wait by a configuration that was mended since.
            if seen.state == "activating" or (new and seen.state == "active"):
                restart.add(name)
    why = "starts them, and waits until they are ready"
    return [Start(tuple(names), frozenset(restart), why)] if names else []


def _concerns(path: str, daemon: str) -> bool:
    """Whether a daemon has to be started anew for a file."""
    if path.startswith(UNIT_FOLDER):
        return f"/{unit(daemon)}" in path
    return path.startswith("/etc/wharfinger/")


def _during(after: Record, record: Record, writing: list[Step], starting: list[Step]) -> Record:
    """What is true at each moment between: a file is as it was, or as it will be."""
    files: dict[str, Kept] = {**record.files, **after.files}
    for step in writing:
        if isinstance(step, Write):
            kept = after.files[step.file.path]
            before = record.files.get(step.file.path)
            digests = (*kept.digests, *(before.digests if before else ()))
            files[step.file.path] = replace(kept, digests=tuple(dict.fromkeys(digests)))
    unfinished = {name for step in starting if isinstance(step, Start) for name in step.daemons}
    return replace(
        after,
        roles=after.roles | record.roles,
        files=files,
        unfinished=tuple(sorted(unfinished | set(record.unfinished))),
    )
