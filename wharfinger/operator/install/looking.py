"""Looks at what of an installation is on a host."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psutil

from wharfinger.errors import Rejected, Unavailable
from wharfinger.operator.install import reservation, surroundings, units
from wharfinger.operator.install.model import (
    CONFIG,
    NGINX_FILE,
    RESERVED,
    ROLES,
    Found,
    Record,
    Reload,
    Wish,
)
from wharfinger.operator.install.root import Root

# As in a configuration that says nothing else.
NGINX_COMMANDS: Final = ("nginx -t", "nginx -s reload")
PROC_SYS: Final = Path("/proc/sys")


def found(root: Root, record: Record | None, wish: Wish | None) -> Found:
    """What is there, at the places that matter.

    Args:
        root: of the host.
        record: of the installation before.
        wish: what is wanted; None where things are to be removed.

    Raises:
        Unavailable: one of the places cannot be read.
    """
    paths = {CONFIG, reservation.PATH, *(record.files if record else ())}
    paths |= {file.path for file in wish.files} if wish else set()
    try:
        there = {path: present for path in sorted(paths) if (present := root.present(path))}
        accounts = root.accounts()
    except OSError as error:
        raise Unavailable(f"{error.filename or root.path}: {error.strerror}") from error
    return Found(
        files=there,
        record=record,
        users=accounts,
        folders=frozenset(each for each in (wish.folders if wish else ()) if root.has(each)),
        units=units.seen(root),
        reserved=_reserved() if root.live else None,
        reserving=surroundings.reserving(root),
        live=root.live,
    )


def _reserved() -> str | None:
    try:
        text = (PROC_SYS / RESERVED).read_text().strip()
        reservation.union([text])
    except (OSError, Rejected):
        return None
    return text


def data(root: Root, config: Any) -> Mapping[str, Sequence[str]]:
    """What each daemon has written that is there: the folders of its data, Nginx's file.

    Args:
        root: of the host.
        config: the sections of the configuration.
    """
    places: dict[str, list[str]] = {}
    for name in (each for role in ROLES.values() for each in role):
        own = [str(config.host.state_dir / name)]
        if name == "logstore" and config.logstore.data_dir:
            own.append(str(config.logstore.data_dir))
        if name == "discovery":
            # The configuration may be gone already; at its usual place the file is ours.
            nginx = config.discovery.nginx
            own.append(str(nginx.dest) if nginx else NGINX_FILE)
        places[name] = [each for each in dict.fromkeys(own) if root.has(each)]
    return places


def reload(root: Root, config: Any) -> Reload | None:
    """How the Nginx that runs reads its configuration again; None where none runs.

    Args:
        root: of the host.
        config: the sections of the configuration.
    """
    if not root.live or not any(map(_is_nginx, psutil.process_iter(["cmdline"]))):
        return None
    nginx = config.discovery.nginx
    check, command = (nginx.check_cmd, nginx.reload_cmd) if nginx else NGINX_COMMANDS
    # A check of one staged file has nothing to look at any more; Nginx itself refuses a bad whole.
    return Reload(
        () if "{{" in check else tuple(shlex.split(check)),
        tuple(shlex.split(command)),
        "has Nginx serve without what was removed",
    )


def _is_nginx(process: psutil.Process) -> bool:
    return " ".join(process.info["cmdline"] or ()).startswith("nginx: master process")


def processes(root: Root) -> frozenset[int]:
    """The processes of our own units, that may hold their ports."""
    if not root.live:
        return frozenset()
    pids = set()
    for pid in units.processes():
        try:
            pids |= {pid, *(each.pid for each in psutil.Process(pid).children(recursive=True))}
        except psutil.Error:
            continue
    return frozenset(pids)
