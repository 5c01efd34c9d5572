"""What is on a host, what is wanted of it, and the steps between."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Literal, TypeAlias

from wharfinger.errors import Finding
from wharfinger.tomlfile import Place

# In the order in which they start: whoever takes lines or answers before those that send.
ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "store": ("logstore",),
    "host": ("registrar", "logshipper"),
    "edge": ("discovery",),
}
ALL: Final = "all"
TARGET: Final = "wharfinger.target"
CONFIG: Final = "/etc/wharfinger/wharfinger.toml"
SECRETS: Final = "/etc/wharfinger"
PKI: Final = "/etc/wharfinger/pki"
RECORD: Final = "/var/lib/wharfinger/install.json"
GROUP: Final = "_wharfinger"
NGINX_FILE: Final = "/etc/nginx/conf.d/wharfinger.conf"
RESERVED: Final = "net/ipv4/ip_local_reserved_ports"

# shipped: as it came with this version; written: made for this host; config: merged with what
# is there; secret: goes with the data.
Kind = Literal["shipped", "written", "config", "secret", "token"]


def daemons(roles: frozenset[str]) -> tuple[str, ...]:
    """The daemons of these roles, in the order in which they start."""
    return tuple(each for role in ROLES if role in roles for each in ROLES[role])


def roles_of(given: str) -> frozenset[str]:
    """The roles that a text names: `host,edge`, or `all`.

    Raises:
        ValueError: it names another one.
    """
    names = {each.strip() for each in given.split(",") if each.strip()}
    if unknown := names - {*ROLES, ALL}:
        raise ValueError(f"there is no role {min(unknown)!r}: use host, edge, store or all")
    if not names:
        raise ValueError("names no role: use host, edge, store or all")
    return frozenset(ROLES) if ALL in names else frozenset(names)


def unit(daemon: str) -> str:
    """The name of a daemon's unit."""
    return f"wharfinger-{daemon}.service"


@dataclass(frozen=True, slots=True)
class File:
    """A file that belongs on the host.

    Attributes:
        path: where.
        data: its content.
        why: what it is there for.
        kind: what is done with one that is there already.
        role: it goes with this role; empty where it goes with the last one.
        mode: permission bits.
        group: who may read it beside root, where that is not everybody.
    """

    path: str
    data: bytes
    why: str
    kind: Kind = "shipped"
    role: str = ""
    mode: int = 0o644
    group: str = "root"


@dataclass(frozen=True, slots=True)
class Present:
    """What is at a place.

    Attributes:
        data: its content; None where it is no plain file.
        mode: permission bits.
        group: its name, or the number of one without.
        what: `file`, `link`, `folder` or `other`.
    """

    data: bytes | None
    mode: int = 0o644
    group: str = "root"
    what: str = "file"

    @property
    def digest(self) -> str:
        """Of its content."""
        return digest(self.data or b"")


@dataclass(frozen=True, slots=True)
class Kept:
    """What a record says of a file that was put in place.

    Attributes:
        digests: of what it may hold; two while one takes the other's place.
        kind: see File.
        role: see File.
    """

    digests: tuple[str, ...]
    kind: Kind = "shipped"
    role: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """What was installed.

    Attributes:
        version: of Wharfinger.
        roles: that the host has.
        programs: the folder that the units call.
        files: each file that was put in place.
        unfinished: units that still have to take up what was written for them.
    """

    version: str
    roles: frozenset[str] = frozenset()
    programs: str = "/usr/bin"
    files: Mapping[str, Kept] = field(default_factory=dict)
    unfinished: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unit:
    """How systemd sees one.

    Attributes:
        state: `active`, `activating`, `failed`, `inactive`.
        enabled: `enabled`, `disabled`, `masked`, or empty for one that is not there.
        stale: its files have changed since systemd read them.
    """

    state: str = "inactive"
    enabled: str = ""
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What is on the host, of what matters here.

    Attributes:
        files: at the places of interest.
        record: of the installation before; None where there is none.
        users: the names of users and groups that are there.
        folders: of those that are wanted, the ones that are there.
        units: by name.
        reserved: the kernel's list of reserved ports; None where it is not ours to change.
        reserving: the files below sysctl.d that set it, in the order in which they are read.
        live: it runs, under systemd; else it is the root folder of one.
    """

    files: Mapping[str, Present] = field(default_factory=dict)
    record: Record | None = None
    users: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()
    units: Mapping[str, Unit] = field(default_factory=dict)
    reserved: str | None = None
    reserving: Mapping[str, str] = field(default_factory=dict)
    live: bool = True


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted.

    Attributes:
        roles: that the host is to have beside those that it has.
        version: of what installs.
        programs: the folder that the units shall call.
        files: that belong there, but for the configuration.
        settings: what the configuration must say, by place.
        sample: the configuration where there is none.
        port_range: to be kept from outgoing connections, FIRST-LAST; empty where it needs not.
        users: that the files are for.
        folders: that systemd-tmpfiles makes.
        overwrite: files that others have changed as well.
        start: begin and wait.
    """

    roles: frozenset[str]
    version: str
    programs: str = "/usr/bin"
    files: tuple[File, ...] = ()
    settings: Mapping[Place, object] = field(default_factory=dict)
    sample: str = ""
    port_range: str = ""
    users: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    overwrite: bool = False
    start: bool = True


@dataclass(frozen=True, slots=True)
class Write:
    """Put a file in place, whole or not at all."""

    file: File
    before: bytes | None
    why: str


@dataclass(frozen=True, slots=True)
class Rights:
    """Give a file its mode and group again."""

    path: str
    mode: int
    group: str
    why: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove a file; a folder with all that is in it."""

    path: str
    why: str


@dataclass(frozen=True, slots=True)
class Run:
    """Run a command.

    Attributes:
        command: its words.
        why: what for.
        offline: it has a flag --root, and does its work in a root folder as well.
    """

    command: tuple[str, ...]
    why: str
    offline: bool = False


@dataclass(frozen=True, slots=True)
class Kernel:
    """Set a value of the running kernel's, below /proc/sys."""

    key: str
    value: str
    why: str


@dataclass(frozen=True, slots=True)
class Start:
    """Start units, or have them take up what has changed, and wait until they are ready."""

    daemons: tuple[str, ...]
    restart: frozenset[str]
    why: str


@dataclass(frozen=True, slots=True)
class Reload:
    """Have a Nginx that runs read its configuration again, where that is sound.

    Attributes:
        check: the words of the command that judges it; empty for none.
        command: the words of the one that reloads.
        why: what for.
    """

    check: tuple[str, ...]
    command: tuple[str, ...]
    why: str


Step: TypeAlias = Write | Rights | Remove | Run | Kernel | Start | Reload


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done.

    Attributes:
        steps: in their order; none where all is as it should be.
        remarks: what is left as it is, and why.
        during: the record while the steps are taken.
        after: the record when they are done; None where nothing is left to record.
    """

    steps: tuple[Step, ...] = ()
    remarks: tuple[Finding, ...] = ()
    during: Record | None = None
    after: Record | None = None


def digest(data: bytes) -> str:
    """What a record knows a content by."""
    return sha256(data).hexdigest()
