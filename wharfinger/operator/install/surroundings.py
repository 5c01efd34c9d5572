"""Looks around on a host before anything is installed on it."""

import asyncio
import grp
import os
import pwd
import re
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import psutil

import wharfinger
from wharfinger.errors import WharfingerError
from wharfinger.etcd import Etcd
from wharfinger.operator.doctor import machine
from wharfinger.operator.doctor.diagnosis import of_clock, of_members
from wharfinger.operator.install import reservation
from wharfinger.operator.install.checks import Asked, Nginx, Surroundings
from wharfinger.operator.install.model import daemons
from wharfinger.operator.install.root import Root
from wharfinger.sections import DockerConfig, EtcdConfig

EPHEMERAL: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
SYSTEMD: Final = Path("/run/systemd/system")
# Never sent anything: connect(2) on a datagram socket only chooses the route (RFC 5737).
ANYWHERE: Final = ("192.0.2.1", 9)
COMMAND_SECONDS: Final = 10.0
ETCD_SECONDS: Final = 5.0
PACKAGED_TARGET: Final = "/usr/lib/systemd/system/wharfinger.target"
NGINX_PATH: Final = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
SYSCTL_FOLDERS: Final = (
    "/usr/lib/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/run/sysctl.d",
    "/etc/sysctl.d",
)


async def look(
    root: Root, asked: Asked, docker: DockerConfig, etcd: EtcdConfig, ours: frozenset[int]
) -> Surroundings:
    """What there is around; on a host that does not run, what its files tell.

    Args:
        root: of the host.
        asked: what is to be installed.
        docker: how the engine is reached.
        etcd: how etcd is reached.
        ours: the processes of our own units.
    """
    programs = [*daemons(asked.roles), "wharfinger"]
    missing = [each for each in programs if not root.has(f"{asked.programs}/{each}")]
    common = Surroundings(
        root=os.geteuid() == 0,
        live=root.live,
        python=sys.version_info[:2],
        places=places() if root.live else (),
        open=changeable([asked.programs, *places()]) if root.live else {},
        missing=tuple(missing),
        reserving=reserving(root),
        free_bytes=_free(root),
        package=root.has(PACKAGED_TARGET),
    )
    if not root.live:
        return common
    trouble, ahead = await machine.docker(docker) if "host" in asked.roles else ([], None)
    return Surroundings(
        **{name: getattr(common, name) for name in common.__slots__}
        | {
            "systemd": systemd(),
            "taken": taken(asked.ports, ours),
            "docker": trouble[0].problem if trouble else "",
            "nginx": nginx(root) if "edge" in asked.roles else None,
            "etcd": await _etcd(etcd) if asked.roles & {"host", "edge"} else "",
            "clock": tuple(of_clock(machine.clock(), ahead)),
            "address": address(),
            "ephemeral": ephemeral(),
        }
    )


def places() -> tuple[str, ...]:
    """Where all that a daemon runs by is: its interpreter, its packages, our code."""
    found = (
        sys.prefix,
        os.path.realpath(sys.executable),
        str(Path(wharfinger.__file__).resolve().parent),
    )
    return tuple(dict.fromkeys(found))


def changeable(paths: Iterable[str]) -> dict[str, str]:
    """What of these paths, links followed, somebody else than root may change or replace; and who.

    Args:
        paths: of programs, or of folders of them; what is not there is passed over.
    """
    found = {}
    for path in map(os.path.realpath, paths):
        # The nearest to the root alone: what is below it is in the same hands.
        for each in (*reversed(Path(path).parents), Path(path)):
            if who := _changes(each):
                found[str(each)] = who
                break
    return found


def _changes(path: Path) -> str:
    try:
        told = path.stat()
    except OSError:
        return ""
    if told.st_uid != 0:
        return f"user {_name(lambda: pwd.getpwuid(told.st_uid).pw_name, told.st_uid)}"
    if told.st_mode & stat.S_ISVTX and stat.S_ISDIR(told.st_mode):
        return ""  # what root has there, others cannot replace
    if told.st_mode & stat.S_IWOTH:
        return "everybody"
    if told.st_mode & stat.S_IWGRP and told.st_gid != 0:
        return f"group {_name(lambda: grp.getgrgid(told.st_gid).gr_name, told.st_gid)}"
    return ""


def _name(look_up: Callable[[], str], number: int) -> str:
    try:
        return look_up()
    except KeyError:
        return str(number)


def systemd() -> int:
    """The version of the systemd that runs; 0 where none does."""
    if not SYSTEMD.is_dir():
        return 0
    found = re.search(r"systemd (\d+)", _said("systemctl", "--version"))
    return int(found[1]) if found else 0


def taken(ports: Mapping[int, str], ours: frozenset[int]) -> dict[int, str]:
    """Which of these ports somebody else listens on, and who."""
    found = {}
    for each in psutil.net_connections("tcp"):
        port = each.laddr.port if each.laddr else 0
        if each.status == psutil.CONN_LISTEN and port in ports and each.pid not in ours:
            found[port] = _process(each.pid)
    return found


def _process(pid: int | None) -> str:
    try:
        return f"{psutil.Process(pid).name()} (process {pid})" if pid else "another process"
    except psutil.Error:
        return f"process {pid}"


def nginx(root: Root) -> Nginx | None:
    """What Nginx there is; None where there is none."""
    if shutil.which("nginx", path=NGINX_PATH) is None:
        return None
    told = _said(shutil.which("nginx", path=NGINX_PATH) or "nginx", "-V")
    version = re.search(r"nginx/([\d.]+)", told)
    modules = root.names("/etc/nginx/modules-enabled")
    lua = "lua" in told or any("http-lua" in each for each in modules)
    text = root.text("/etc/nginx/nginx.conf") or ""
    includes = re.search(r"^\s*include\s+(/etc/nginx/)?conf\.d/", text, re.MULTILINE) is not None
    return Nginx(version[1] if version else "", lua, includes)


async def _etcd(config: EtcdConfig) -> str:
    """Why no member answers; empty where one does."""
    etcd = Etcd(config)
    try:
        async with asyncio.timeout(ETCD_SECONDS):
            away = list(of_members(await etcd.status()))
    except TimeoutError:
        return f"{', '.join(config.endpoints)} does not answer"
    except (WharfingerError, OSError) as error:
        return str(error)
    finally:
        await etcd.close()
    return "; ".join(each.problem for each in away) if len(away) >= len(config.endpoints) else ""


def address() -> str | None:
    """The address that packets to far away leave with; None where it is loopback or docker0's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
        try:
            probe.connect(ANYWHERE)
        except OSError:
            return None
        found = str(probe.getsockname()[0])
    return None if found.startswith("127.") or found in machine.bridge_addresses() else found


def ephemeral() -> tuple[int, int] | None:
    """The ports that outgoing connections are given."""
    try:
        first, last = map(int, EPHEMERAL.read_text().split())
    except (OSError, ValueError):
        return None
    return first, last


def reserving(root: Root) -> dict[str, str]:
    """What each file below sysctl.d sets the list of reserved ports to, as they are read."""
    # One in /etc takes the place of its namesake elsewhere (sysctl.d(5)).
    names = {name: folder for folder in SYSCTL_FOLDERS for name in root.names(folder)}
    found = {}
    for name, folder in sorted(names.items()):
        text = root.text(f"{folder}/{name}") if name.endswith(".conf") else None
        if text and (value := reservation.setting(text)) is not None:
            found[f"{folder}/{name}"] = value
    return found


def _free(root: Root) -> int:
    for path in ("var/lib/wharfinger", "var/lib", "."):
        try:
            return shutil.disk_usage(root.path / path).free
        except OSError:
            continue
    return 0


def _said(*command: str) -> str:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            text=True,
            errors="replace",
            timeout=COMMAND_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
