"""The files that come with Wharfinger and belong on a host: units, accounts, folders."""

import re
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Final

from wharfinger.errors import Unavailable
from wharfinger.operator.install.model import ROLES, TARGET, File, unit
from wharfinger.operator.install.root import Root
from wharfinger.operator.manual import pages

PACKAGED: Final = "/usr/lib/wharfinger"
PROGRAMS: Final = "/usr/bin"
SYSUSERS: Final = "sysusers.conf"
TMPFILES: Final = "tmpfiles.conf"
UNIT: Final = re.compile(r"wharfinger[a-z-]*\.(service|target|socket|slice|timer|path)")
RUNTIME: Final = "runtime.conf"
RUNTIME_DROP_IN: Final = f"/etc/systemd/system/{unit('registrar')}.d/60-runtime.conf"
KERNEL: Final = "kernel.conf"
KERNEL_DROP_IN: Final = f"/etc/systemd/system/{unit('registrar')}.d/70-kernel.conf"
# Since then who may trace a process is told what it has open (proc(5), /proc/PID/fdinfo).
KERNEL_TELLS: Final = (5, 14)
PACKAGED_MANUAL: Final = "/usr/share/man/man8/wharfinger.8"
LOCAL_SHARE: Final = "/usr/local/share"
# Behind what systemd takes before a path (systemd.service(5), special executable prefixes).
CALL: Final = re.compile(
    r"^(Exec\w+=[-@:+!|]*)/usr/bin/((?:registrar|discovery|logshipper|logstore|wharfinger)\b)",
    re.MULTILINE,
)

# Where each goes, and where a package has it: then it is the package's.
UNITS: Final = ("/etc/systemd/system", "/usr/lib/systemd/system")
ACCOUNTS: Final = ("/etc/sysusers.d", "/usr/lib/sysusers.d")
FOLDERS: Final = ("/etc/tmpfiles.d", "/usr/lib/tmpfiles.d")


def programs() -> str:
    """The folder of programs that units shall call: that of the environment which runs this."""
    return PROGRAMS if sys.prefix == PACKAGED else str(Path(sys.prefix) / "bin")


def text(name: str) -> str:
    """A file of deploy/systemd.

    Raises:
        Unavailable: this installation does not have it.
    """
    try:
        return files("deploy").joinpath("systemd").joinpath(name).read_text(encoding="utf-8")
    except (OSError, ModuleNotFoundError) as error:
        raise Unavailable(f"deploy/systemd/{name} is not in this installation: {error}") from error


def wanted(roles: frozenset[str], folder: str, root: Root) -> list[File]:
    """What a host with these roles has of them.

    Args:
        roles: of the host.
        folder: of the programs.
        root: of the host; what a package has put there is left out.

    Raises:
        Unavailable: this installation has no units.
    """
    found = [
        File(f"{ACCOUNTS[0]}/wharfinger.conf", text(SYSUSERS).encode(), "the daemons' users"),
        File(f"{FOLDERS[0]}/wharfinger.conf", text(TMPFILES).encode(), "the daemons' folders"),
        *_units(roles, folder),
    ]
    return [file for file in found if not _has_package(file.path, root)] + [*_shared(root)]


def _shared(root: Root) -> Iterator[File]:
    """The manual and what completes commands, where no package has them."""
    if any(root.has(f"{PACKAGED_MANUAL}{packed}") for packed in ("", ".gz")):
        return
    for name, told in pages.shared().items():
        why = "the manual" if name.startswith("man/") else "completes commands in a shell"
        yield File(f"{LOCAL_SHARE}/{name}", told.encode(), why)


def beside_runtime() -> Iterator[File]:
    """What gives the registrar's unit the rights that its part of the runtime needs."""
    if files("deploy").joinpath("systemd").joinpath(RUNTIME).is_file():
        yield File(RUNTIME_DROP_IN, text(RUNTIME).encode(), "serves the runtime", role="host")


def for_kernel(release: str) -> Iterator[File]:
    """What gives the registrar's unit the right that it needs with an older kernel.

    Args:
        release: of the kernel, as uname(2) tells it.
    """
    version = re.match(r"([0-9]+)\.([0-9]+)", release)
    if version and (int(version[1]), int(version[2])) < KERNEL_TELLS:
        yield File(KERNEL_DROP_IN, text(KERNEL).encode(), "suits this kernel", role="host")


def _units(roles: frozenset[str], folder: str) -> Iterator[File]:
    own = {unit(name): role for role in ROLES for name in ROLES[role]}
    for name in _names():
        role = own.get(name, "")
        if role and role not in roles:
            continue
        data = CALL.sub(rf"\g<1>{folder}/\g<2>", text(name))
        why = "starts what belongs together" if name == TARGET else "runs the daemon"
        yield File(f"{UNITS[0]}/{name}", data.encode(), why, role=role)


def _names() -> list[str]:
    try:
        every = [each.name for each in files("deploy").joinpath("systemd").iterdir()]
    except (OSError, ModuleNotFoundError) as error:
        raise Unavailable(f"deploy/systemd is not in this installation: {error}") from error
    return sorted(name for name in every if UNIT.fullmatch(name))


def _has_package(path: str, root: Root) -> bool:
    for ours, theirs in (UNITS, ACCOUNTS, FOLDERS):
        folder, _, name = path.rpartition("/")
        if folder == ours:
            return root.has(f"{theirs}/{name}")
    return False


def users() -> tuple[str, ...]:
    """The names of the users and groups in sysusers.conf (sysusers.d(5))."""
    lines = (line.split() for line in text(SYSUSERS).splitlines())
    return tuple(words[1] for words in lines if words[:1] in (["u"], ["u!"], ["g"]))


def folders(*, live: bool) -> tuple[str, ...]:
    """The folders in tmpfiles.conf (tmpfiles.d(5)); those of /run where there is one."""
    lines = (line.split() for line in text(TMPFILES).splitlines())
    found = (words[1] for words in lines if words and words[0][0] in "dD" and "%" not in words[1])
    return tuple(each.rstrip("/") for each in found if live or not each.startswith("/run/"))
