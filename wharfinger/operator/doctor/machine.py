"""What the kernel and Docker say of this host."""

import ctypes
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import psutil

from wharfinger.container import Container
from wharfinger.dockerd import Docker
from wharfinger.errors import Finding, WharfingerError
from wharfinger.operator.doctor.diagnosis import Clock
from wharfinger.sections import DockerConfig

RESERVED: Final = Path("sys/net/ipv4/ip_local_reserved_ports")
STA_UNSYNC: Final = 0x40  # linux/timex.h
MICROSECONDS: Final = 1e6
UNREACHABLE: Final = "cannot be reached"
MAX_ENVIRONMENT_BYTES: Final = 2**21

_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class _Timex(ctypes.Structure):
    # adjtimex(2); what stands behind is of no use here. No mode is set: nothing is changed.
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def clock() -> Clock | None:
    """How the kernel keeps its time; None where it does not say."""
    told = _Timex()
    if _LIBC.adjtimex(ctypes.byref(told)) < 0:
        return None
    return Clock(not told.status & STA_UNSYNC, told.maxerror / MICROSECONDS)


def reserved(path: Path) -> str:
    """The kernel's list of reserved ports.

    Raises:
        OSError: it cannot be read.
    """
    return path.read_text()


def bridge_addresses() -> tuple[str, ...]:
    """The addresses of docker0; none where there is no such interface."""
    families = (socket.AF_INET, socket.AF_INET6)
    found = psutil.net_if_addrs().get("docker0", ())
    return tuple(each.address.partition("%")[0] for each in found if each.family in families)


async def docker(config: DockerConfig) -> tuple[list[Finding], float | None]:
    """What is wrong with the engine, and by how many seconds its clock is ahead of ours."""
    try:
        async with Docker(config) as engine:
            before = time.time()
            info = await engine.info()
            after = time.time()
            await engine.containers()
    except WharfingerError as error:
        return [of_engine(str(error))], None
    if not info.system_time_ns:
        return [], None
    # Somewhere between the question and the answer.
    told = info.system_time_ns / 1e9
    return [], told - min(max(told, before), after)


def of_engine(trouble: str) -> Finding:
    """The finding that an error of the engine's is; that it cannot be reached, with its fix."""
    problem, _, fix = trouble.rpartition(": ")
    if UNREACHABLE in problem:
        return Finding("docker.url", problem, fix)
    return Finding("docker.url", trouble, "look at its log: journalctl -u docker")


async def described(config: DockerConfig) -> dict[str, Container]:
    """The running containers by id; none where the engine does not tell (another finding says)."""
    try:
        async with Docker(config) as engine:
            return {each.id: each for each in await engine.containers()}
    except WharfingerError:
        return {}


def have_port(containers: Iterable[Container], proc: Path = Path("/proc")) -> frozenset[str]:
    """The ids of containers whose first process was started with PORT, by whatever gave it."""
    return frozenset(each.id for each in containers if each.pid and _has_port(proc / str(each.pid)))


def _has_port(process: Path) -> bool:
    try:
        with (process / "environ").open("rb") as file:
            return b"\0PORT=" in b"\0" + file.read(MAX_ENVIRONMENT_BYTES)
    except OSError:  # it has ended, or we are not root
        return False
