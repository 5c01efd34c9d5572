"""`wharfinger install --runtime` and `uninstall --runtime`: the runtime in front of runc."""

import asyncio
import difflib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wharfinger.container import EngineInfo
from wharfinger.dockerd import Docker
from wharfinger.errors import Conflict, Exit, Rejected, Unavailable
from wharfinger.files import DEFAULT_MODE, write_atomically
from wharfinger.logtext import harmless
from wharfinger.operator import settings, terminal
from wharfinger.operator.install import daemonfile, programs
from wharfinger.operator.install.daemonfile import DEFAULT, NAME, RUNTIMES
from wharfinger.operator.install.programs import PROGRAM, SOURCES, Record
from wharfinger.sections import DockerConfig, HostConfig
from wharfinger.text import quantity

DAEMON_JSON: Final = Path("/etc/docker/daemon.json")
LIB_DIR: Final = Path("/usr/local/lib/wharfinger/runtime")
# dockerd's own PATH has these; that of a user often lacks them.
MORE_PATH: Final = "/usr/local/sbin:/usr/sbin:/sbin"
# Those that dockerd always has (moby, daemon/config and daemon/runtime).
BUILT_IN: Final = ("runc", "io.containerd.")


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for on the command line.

    Attributes:
        config: the daemons' configuration file; None for the usual one.
        daemon_json: Docker's own.
        lib_dir: where the runtime lives.
        default: for all containers that ask for no other runtime.
        force: though containers were created for it, or the engine does not answer.
        dry_run: say what would change, and change nothing.
    """

    config: Path | None
    daemon_json: Path = DAEMON_JSON
    lib_dir: Path = LIB_DIR
    default: bool = False
    force: bool = False
    dry_run: bool = False

    @property
    def program(self) -> Path:
        """The runtime itself."""
        return self.lib_dir / PROGRAM


async def install(order: Order) -> Exit:
    """Puts the runtime in place and into daemon.json; dockerd takes it up when it is told to.

    Raises:
        Unavailable: the engine does not answer, or a file cannot be read or written.
        Rejected: what is there leaves no room for it; nothing was changed.
        ConfigError: the daemons' configuration has a fault.
    """
    docker: DockerConfig = settings.section("docker", DockerConfig, order.config)
    host: HostConfig = settings.section("host", HostConfig, order.config)
    async with Docker(docker) as engine:
        info = await engine.info()
    return await asyncio.to_thread(_install, order, host, info)


async def uninstall(order: Order) -> Exit:
    """Takes out of daemon.json what `install` put there; the program when dockerd is done with it.

    Raises:
        Unavailable: the engine does not answer, or a file cannot be read or written.
        Rejected: daemon.json cannot be understood; nothing was changed.
        Conflict: containers were created for the runtime; nothing was changed.
        ConfigError: the daemons' configuration has a fault.
    """
    docker: DockerConfig = settings.section("docker", DockerConfig, order.config)
    known = False
    try:
        async with Docker(docker) as engine:
            known = NAME in (await engine.info()).runtimes
            listed = await engine.containers(all=True)
    except Unavailable:
        if not order.force:
            raise
        listed = ()
    if (using := sorted(each.name for each in listed if each.runtime == NAME)) and not order.force:
        raise Conflict(
            f"{quantity(len(using), 'container')} created for the runtime {NAME!r} could not "
            f"start without it: {', '.join(using[:10])}; "
            "remove or recreate them first, or use --force"
        )
    return await asyncio.to_thread(_uninstall, order, known)


def _install(order: Order, host: HostConfig, info: EngineInfo) -> Exit:
    before = _read(order.daemon_json)
    try:
        document = daemonfile.parse(before or "")
        after_document = daemonfile.added(document, str(order.program), default=order.default)
    except Rejected as error:
        raise Rejected(f"{order.daemon_json} {error}; nothing was changed") from error
    _refuse_flags(order, info, document)
    text = programs.settings_text(_settings(order, host, info))
    changes = after_document != document
    after = daemonfile.written(after_document, before or "") if changes else before or ""
    if order.dry_run:
        _show_difference(order, before or "", after)
        terminal.write(f"{order.lib_dir}: {PROGRAM}, {', '.join(SOURCES)}, and settings:\n{text}")
        return Exit.OK
    try:
        programs.put_in_place(order.lib_dir, text)
        record = _next_record(programs.read_record(order.lib_dir), document, before, after)
        programs.write_record(order.lib_dir, record)
        if changes:
            _write(order.daemon_json, after)
    except OSError as error:
        why = error.strerror or str(error)
        raise Unavailable(f"{error.filename or order.lib_dir}: {why}") from error
    _tell_installed(order, info, changes=changes)
    if not _table(host).exists():
        terminal.write("containers start without a port until the registrar has run here once\n")
    return Exit.OK


def _table(host: HostConfig) -> Path:
    return host.state_dir / "registrar" / "ports"


def _settings(order: Order, host: HostConfig, info: EngineInfo) -> Mapping[str, object]:
    return {
        "runc": _runc(order, info),
        "python": programs.python(),
        "table": _table(host),
        "data_root": info.data_root,
        "socket": host.runtime_dir / "registrar.sock",
        "log": "/dev/log",
        "warm": host.runtime_dir / "create.fifo",
    }


def _uninstall(order: Order, known: bool) -> Exit:  # noqa: FBT001 - the engine's answer
    now = _read(order.daemon_json)
    after = _without_ours(order, now)
    present = order.program.exists()
    if order.dry_run:
        _show_difference(order, now or "", after or "")
        if present and not known:
            terminal.write(f"{order.lib_dir} would be removed\n")
        return Exit.OK
    try:
        if after is None and now is not None:
            order.daemon_json.unlink()
        elif after is not None and after != now:
            _write(order.daemon_json, after)
        if not known:
            programs.remove(order.lib_dir)
    except OSError as error:
        raise Unavailable(f"{error.filename or order.daemon_json}: {error.strerror}") from error
    _tell_uninstalled(order, known=known, present=present, changes=after != now)
    return Exit.OK


def _without_ours(order: Order, now: str | None) -> str | None:
    """What daemon.json becomes: to the byte what it was, if nobody else has changed it since."""
    record = programs.read_record(order.lib_dir)
    former = record.before if record else None
    if record and record.after and now == record.after:
        return former
    try:
        document = daemonfile.parse(now or "")
        without = daemonfile.removed(document, str(order.program), daemonfile.parse(former or ""))
    except Rejected as error:
        raise Rejected(f"{order.daemon_json} {error}; nothing was changed") from error
    return now if without == document else daemonfile.written(without, now or "")


def _next_record(
    record: Record | None, document: Mapping[str, object], before: str | None, after: str
) -> Record:
    """What an uninstall needs to know: to restore the bytes, if nobody changed them since."""
    if not daemonfile.entry(document):
        return Record(before=before, after=after)
    if record and record.after == before:
        return Record(before=record.before, after=after)
    # Others have changed the file since, or wrote our runtime there themselves.
    return Record(before=record.before if record else before, after="")


def _refuse_flags(order: Order, info: EngineInfo, document: Mapping[str, object]) -> None:
    """Refuses what would keep dockerd from starting: a directive both as a flag and in the file."""
    listed = document.get(RUNTIMES, {})
    named = set(listed) if isinstance(listed, dict) else set()
    if programs.read_record(
        order.lib_dir
    ):  # it was in the file, and dockerd forgets it only when it is restarted
        named.add(NAME)
    flags = [each for each in info.runtimes if not each.startswith(BUILT_IN) and each not in named]
    if flags:
        raise Rejected(
            f"dockerd knows the runtime {flags[0]!r}, which {order.daemon_json} does not name: "
            "this is not the file it reads, or it was started with --add-runtime, which belongs "
            "into the file (dockerd takes either of them); nothing was changed"
        )
    expected = document.get(DEFAULT, "runc")
    if order.default and expected != NAME and info.default_runtime not in (expected, NAME):
        raise Rejected(
            f"dockerd's default runtime is {info.default_runtime!r}, {order.daemon_json} says "
            f"{expected!r}: restart dockerd, or move its flag --default-runtime into the file; "
            "nothing was changed"
        )


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise Rejected(f"{path} is not valid JSON: {error}; nothing was changed") from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error.strerror}") from error


def _runc(order: Order, info: EngineInfo) -> str:
    """The program of the engine's default runtime, or the one that ours stands before already."""
    name = info.default_runtime
    program = info.programs.get("runc", "runc") if name == NAME else info.programs.get(name)
    if name == NAME:
        program = programs.setting(order.lib_dir, "runc") or program
    if not program:
        raise Rejected(
            f"dockerd's default runtime {name!r} is no program without arguments, in front of "
            "which ours could stand; nothing was changed"
        )
    found = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:{MORE_PATH}")
    if found is None or Path(found).resolve() == order.program.resolve():
        raise Rejected(f"the runtime {program!r} of dockerd is not found; nothing was changed")
    return str(Path(found).absolute())


def _write(path: Path, text: str) -> None:
    # An operator's own link stays one.
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    mode, owner = DEFAULT_MODE, None
    with suppress(FileNotFoundError):
        found = path.stat()
        mode, owner = found.st_mode & 0o7777, (found.st_uid, found.st_gid)
    write_atomically(path, text.encode(), mode=mode, owner=owner)


def _show_difference(order: Order, before: str, after: str) -> None:
    lines = list(_difference(before, after, str(order.daemon_json)))
    terminal.write("".join(lines) or f"{order.daemon_json} would stay as it is\n")


def _difference(before: str, after: str, name: str) -> Iterator[str]:
    for line in difflib.unified_diff(
        before.splitlines(), after.splitlines(), name, f"{name} (new)", lineterm=""
    ):
        yield f"{harmless(line, colours=False)}\n"


def _tell_installed(order: Order, info: EngineInfo, *, changes: bool) -> None:
    what = f"runtime {NAME!r} is in {order.daemon_json}" if changes else "program renewed"
    terminal.write(f"{what}, its program in {order.lib_dir}\n")
    if NAME not in info.runtimes or (order.default and info.default_runtime != NAME):
        terminal.write(
            "next: have dockerd read its file again, which stops no container: "
            "`systemctl reload docker`, or `kill -HUP` its process\n"
        )
    if not order.default:
        terminal.write(
            f"containers use it with `docker run --runtime {NAME} ...`; "
            "install with --default for all that are created from then on\n"
        )


def _tell_uninstalled(order: Order, *, known: bool, present: bool, changes: bool) -> None:
    if changes:
        terminal.write(f"runtime {NAME!r} is out of {order.daemon_json}\n")
    if known:
        terminal.write(
            f"dockerd forgets it at its next restart; until then {order.lib_dir} must stay: "
            "restart dockerd, then run this again\n"
        )
    elif present:
        terminal.write(f"{order.lib_dir} is removed\n")
    elif not changes:
        terminal.write(f"runtime {NAME!r} is not installed\n")
