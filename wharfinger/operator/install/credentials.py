"""What `wharfinger pki` makes for a host, read from its folder or archive; and tokens made here."""

import secrets
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from wharfinger.errors import ConfigError, Finding
from wharfinger.files import write_atomically
from wharfinger.operator.install.model import GROUP, PKI, SECRETS, File, Kind
from wharfinger.sections import EtcdConfig

CERTIFICATES: Final = ("ca.crt", "host.crt", "host.key")
KINDS: Final = ("ingest", "read", "admin")
# What somebody shows to the log store, and the lists of what it knows.
TOKENS: Final = tuple(f"{kind}.token" for kind in KINDS)
LISTS: Final = tuple(f"{kind}.tokens" for kind in KINDS)
KNOWN: Final = (*CERTIFICATES, "etcd.password", *TOKENS, *LISTS)
MAX_BYTES: Final = 2**20
TOKEN_BYTES: Final = 32
PRIVATE_MODE: Final = 0o640
STAGED_MODE: Final = 0o600
WHAT: Final = {
    "ca.crt": "the certificate of the site's authority",
    "host.crt": "this host's certificate",
    "host.key": "its key",
    "etcd.password": "this host's password in etcd",
    "ingest.token": "may write to the log store",
    "read.token": "may read in the log store",
    "admin.token": "may give orders through the log store",
    "ingest.tokens": "who may write to the log store",
    "read.tokens": "who may read in it",
    "admin.tokens": "who may give orders through it",
}


def given(path: Path) -> dict[str, bytes]:
    """The files by name.

    Args:
        path: a folder, or an archive by tar.

    Raises:
        ConfigError: it cannot be read, or lacks what belongs together.
    """
    try:
        found = dict(_in_folder(path) if path.is_dir() else _in_archive(path))
    except (OSError, tarfile.TarError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigError([Finding(f"--pki {path}", f"cannot be read: {why}")]) from error
    if findings := list(_lacking(found, f"--pki {path}")):
        raise ConfigError(findings)
    return found


def file(name: str, data: bytes, kind: Kind = "secret") -> File:
    """One of them at its place."""
    folder = PKI if name in CERTIFICATES else SECRETS
    public = name.endswith(".crt")
    mode, group = (0o644, "root") if public else (PRIVATE_MODE, GROUP)
    return File(f"{folder}/{name}", data, WHAT[name], kind, mode=mode, group=group)


def place(name: str) -> str:
    """Where one of them is on a host."""
    return f"{PKI if name in CERTIFICATES else SECRETS}/{name}"


def token() -> bytes:
    """A new token, alone on its line."""
    return f"{secrets.token_urlsafe(TOKEN_BYTES)}\n".encode()


def settings(found: Mapping[str, bytes], host: str) -> dict[str, str]:
    """What the configuration says of them.

    Args:
        found: the files by name.
        host: the name of the host, which is that of its user in etcd.
    """
    told = {}
    if "ca.crt" in found:
        told["etcd.ca_file"] = place("ca.crt")
    if "host.crt" in found:
        told |= {"etcd.cert_file": place("host.crt"), "etcd.key_file": place("host.key")}
    if "etcd.password" in found:
        told |= {"etcd.username": host, "etcd.password_file": place("etcd.password")}
    return told


@contextmanager
def staged(config: EtcdConfig, found: Mapping[str, bytes]) -> Iterator[EtcdConfig]:
    """How etcd is reached before the files are in their places.

    Args:
        config: as it will be.
        found: the files by name.
    """
    with tempfile.TemporaryDirectory() as folder:
        moved = {}
        for key in ("ca_file", "cert_file", "key_file", "password_file"):
            path: Path | None = getattr(config, key)
            if path is not None and path.name in found and str(path) == place(path.name):
                moved[key] = Path(folder) / path.name
                write_atomically(moved[key], found[path.name], mode=STAGED_MODE)
        yield msgspec.structs.replace(config, **moved)


def _lacking(found: Mapping[str, bytes], where: str) -> Iterator[Finding]:
    if not found:
        yield Finding(where, f"holds none of {', '.join(KNOWN)}", "make it: wharfinger pki issue")
    if ("host.crt" in found) != ("host.key" in found):
        yield Finding(where, "holds one of host.crt and host.key", "they go together")
    if "host.crt" in found and "ca.crt" not in found:
        yield Finding(where, "holds host.crt without ca.crt", "they go together")


def _in_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    for name in KNOWN:
        path = folder / name
        if path.is_file():
            with path.open("rb") as opened:
                yield name, opened.read(MAX_BYTES)


def _in_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            name = member.name.rpartition("/")[2]
            # Nothing is unpacked to a path that the archive names, and no link is followed.
            if name in KNOWN and member.isreg() and member.size <= MAX_BYTES:
                opened = archive.extractfile(member)
                if opened is not None:
                    yield name, opened.read(MAX_BYTES)
