"""What stands in the way of an installation, and what is only worth knowing; each with its fix."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from wharfinger.errors import Finding, Rejected
from wharfinger.operator.install import reservation

OLDEST_PYTHON: Final = (3, 11)
# ProtectHome= and PrivateTmp= show a daemon other folders in their place (systemd.exec(5)).
HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - refused here
MIN_FREE_BYTES: Final = 200 * 2**20
STORE_FREE_BYTES: Final = 2 * 2**30
PACKAGED_PROGRAMS: Final = "/usr/bin"
OLDEST_SYSTEMD: Final = 247
NOT_ROOT: Final = Finding("user", "is not root", "run it as root, or with sudo")


@dataclass(frozen=True, slots=True)
class Nginx:
    """The Nginx of a host.

    Attributes:
        version: `1.22.1`.
        lua: it has the Lua module, or loads it.
        includes: its configuration includes the folder that ours is written to.
    """

    version: str
    lua: bool
    includes: bool


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What there is around an installation.

    Attributes:
        root: we are root.
        live: it is the running host, and not the root folder of one.
        systemd: its version; 0 where it does not run.
        python: the version of the interpreter that the daemons run by.
        places: the folders that hold the programs, and what they import.
        open: files and folders of the programs that others than root may change, and who.
        missing: programs that are not where the units call them.
        taken: ports of ours on which something else listens, and what.
        docker: why the engine does not answer; empty where it does.
        nginx: None where there is none.
        etcd: why it cannot be reached; empty where it can.
        clock: what is wrong with it.
        address: that others would reach this host at; None where none is found.
        ephemeral: first and last port of outgoing connections.
        reserving: what each file below sysctl.d sets the list of reserved ports to.
        free_bytes: on the disk of the state.
        package: the units are there by a package, and call /usr/bin.
    """

    root: bool = True
    live: bool = True
    systemd: int = 252
    python: tuple[int, int] = OLDEST_PYTHON
    places: tuple[str, ...] = ()
    open: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    taken: Mapping[int, str] = field(default_factory=dict)
    docker: str = ""
    nginx: Nginx | None = None
    etcd: str = ""
    clock: tuple[Finding, ...] = ()
    address: str | None = None
    ephemeral: tuple[int, int] | None = None
    reserving: Mapping[str, str] = field(default_factory=dict)
    free_bytes: int = 2**40
    package: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What of the wish matters here.

    Attributes:
        roles: of the host.
        programs: the folder that the units call.
        ports: of the daemons, and whose they are.
        port_range: of the registrar.
        has_nginx_resource: discovery writes for Nginx.
        address: that is written down.
    """

    roles: frozenset[str]
    programs: str = "/usr/bin"
    ports: Mapping[int, str] = field(default_factory=dict)
    port_range: str = "20000-29999"
    has_nginx_resource: bool = True
    address: str | None = None


def refusals(asked: Asked, around: Surroundings) -> Iterator[Finding]:
    """What must be mended first."""
    if not around.root:
        yield NOT_ROOT
    if around.live:
        yield from _systemd(around.systemd)
        yield from _ports(asked, around.taken)
    if around.python < OLDEST_PYTHON:
        have, need = (".".join(map(str, each)) for each in (around.python, OLDEST_PYTHON))
        yield Finding("Python", f"is {have}", f"install it with Python {need} or newer")
    for place in around.places:
        if hidden := next((each for each in HIDDEN if _below(place, each)), None):
            yield Finding(
                place,
                f"lies below {hidden}, which systemd hides from the daemons",
                "make the environment elsewhere: python3 -m venv /opt/wharfinger",
            )
    # Units run them as root, if only for a moment, and with rights that are as good.
    for path, who in around.open.items():
        yield Finding(
            path,
            f"can be changed by {who}, who would be root by it",
            "make the environment as root: python3 -m venv /opt/wharfinger",
        )
    if around.package and asked.programs != PACKAGED_PROGRAMS:
        yield Finding(
            asked.programs,
            f"is not where the package's units find their programs, {PACKAGED_PROGRAMS}",
            f"call {PACKAGED_PROGRAMS}/wharfinger, or remove the package first",
        )
    if around.missing:
        fix = "name the folder of the programs with --programs"
        yield Finding(
            asked.programs if around.live else f"{asked.programs} in that root folder",
            f"has no {', '.join(around.missing)}",
            fix if around.live else f"install the package there first, or {fix}",
        )
    yield from _disk(asked, around.free_bytes)
    try:
        reservation.union([*around.reserving.values(), asked.port_range])
    except Rejected as error:
        yield Finding(
            reservation.KEY, f"cannot be added to: {error}", "mend it below /etc/sysctl.d"
        )


def warnings(asked: Asked, around: Surroundings) -> Iterator[Finding]:
    """What the daemons can wait for, or work without."""
    if not around.live:
        return
    if "host" in asked.roles:
        if around.docker:
            yield Finding("Docker", around.docker, "install it, or start it: the daemons wait")
        yield from _ephemeral(asked.port_range, around.ephemeral)
        yield from _address(asked, around)
    if "edge" in asked.roles and asked.has_nginx_resource:
        yield from _nginx(around.nginx)
    if around.etcd and asked.roles & {"host", "edge"}:
        yield Finding("etcd.endpoints", around.etcd, "start it, or mend --etcd: the daemons wait")
    yield from around.clock


def _systemd(version: int) -> Iterator[Finding]:
    if not version:
        fix = "install into its root folder instead: --root FOLDER"
        yield Finding("systemd", "does not run here", fix)
    elif version < OLDEST_SYSTEMD:
        fix = f"the units need {OLDEST_SYSTEMD} or newer"
        yield Finding("systemd", f"is version {version}", fix)


def _ports(asked: Asked, taken: Mapping[int, str]) -> Iterator[Finding]:
    for port, daemon in asked.ports.items():
        if port in taken:
            yield Finding(
                f"port {port}",
                f"is that of {daemon}, and {taken[port]} listens on it",
                f"stop that, or choose another: --set {daemon}.listen=ADDRESS:PORT",
            )


def _disk(asked: Asked, free: int) -> Iterator[Finding]:
    needed = STORE_FREE_BYTES if "store" in asked.roles else MIN_FREE_BYTES
    if free < needed:
        yield Finding(
            "/var/lib/wharfinger",
            f"has {free // 2**20} MiB free, {needed // 2**20} are needed",
            "make room there, or move it: --set host.state_dir=FOLDER",
        )


def _ephemeral(port_range: str, ephemeral: tuple[int, int] | None) -> Iterator[Finding]:
    first, _, last = port_range.partition("-")
    if ephemeral and int(first) <= ephemeral[1] and ephemeral[0] <= int(last):
        yield Finding(
            "registrar.port_range",
            f"{port_range} overlaps the kernel's ephemeral range {ephemeral[0]}-{ephemeral[1]}",
            f"choose a range below {ephemeral[0]}: --set registrar.port_range=FIRST-LAST",
        )


def _address(asked: Asked, around: Surroundings) -> Iterator[Finding]:
    if asked.address is None and around.address is None:
        yield Finding(
            "host.ip",
            "no default route tells the address that others reach this host at",
            "write it down: --address IP",
        )


def _nginx(nginx: Nginx | None) -> Iterator[Finding]:
    if nginx is None:
        yield Finding("Nginx", "is not there", "apt-get install nginx-light libnginx-mod-http-lua")
        return
    if not nginx.includes:
        yield Finding(
            "Nginx",
            "its configuration does not include the file that discovery writes",
            "put `include /etc/nginx/conf.d/*.conf;` into its http block",
        )
    if not nginx.lua:
        yield Finding(
            "Nginx",
            f"{nginx.version} has no Lua module: each change of peers is a reload",
            "apt-get install libnginx-mod-http-lua",
        )


def _below(place: str, folder: str) -> bool:
    return place == folder or place.startswith(f"{folder}/")
