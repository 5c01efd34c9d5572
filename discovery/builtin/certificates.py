"""Certificates for virtual hosts, found by name in a folder; a pair that does not fit is told."""

import hashlib
import ssl
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from discovery.builtin.nginxfile import Certificate

MAX_BYTES: Final = 2**20


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one look at a host's files has shown; `mark` tells whether they changed since."""

    mark: tuple[object, ...]
    certificate: Certificate | None
    problem: str = ""


class Certificates:
    """The pairs in one folder, as `HOST.crt` and `HOST.key`, or as certbot lays them out.

    Attributes:
        folder: None for no TLS at all.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._seen: dict[str, _Seen] = {}

    def of(self, hosts: Iterable[str]) -> Mapping[str, Certificate]:
        """The certificate of each of these hosts that has one."""
        found = {}
        for host in hosts if self.folder is not None else ():
            seen = self._seen.get(host)
            if seen is None:
                seen = self._seen[host] = self._look(host, None)
            if seen.certificate is not None:
                found[host] = seen.certificate
        return found

    def changed(self) -> bool:
        """Looks at all of them again; says whether any differs."""
        differs = False
        for host, seen in list(self._seen.items()):
            if _mark(self._pairs(host)) != seen.mark:
                self._seen[host] = self._look(host, seen.certificate)
                differs = True
        return differs

    @property
    def problems(self) -> tuple[str, ...]:
        """Of each pair that cannot be served, why."""
        return tuple(seen.problem for seen in self._seen.values() if seen.problem)

    @property
    def missing(self) -> tuple[str, ...]:
        """The hosts that are served without TLS, although there is a folder."""
        return tuple(sorted(host for host, seen in self._seen.items() if not seen.certificate))

    def _look(self, host: str, before: Certificate | None) -> _Seen:
        pairs = tuple(self._pairs(host))
        mark = _mark(pairs)
        for cert_file, key_file in pairs:
            if not cert_file.exists() and not key_file.exists():
                continue
            try:
                return _Seen(mark, _checked(cert_file, key_file))
            except (OSError, ValueError) as error:
                # What was good stays in the file: Nginx's own check judges it, and a host that
                # has TLS must not fall back to plain HTTP for a slip in its renewal.
                why = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
                return _Seen(mark, before, f"{host}: {cert_file} and {key_file.name}: {why}")
        return _Seen(mark, None)

    def _pairs(self, host: str) -> Iterator[tuple[Path, Path]]:
        """Where a host's pair may be, its own before a wildcard's."""
        if self.folder is None:
            return
        names = [host]
        if host.startswith("*."):
            names.append(f"_{host[1:]}")
        elif "." in host:
            parent = host.partition(".")[2]
            names += [f"*.{parent}", f"_.{parent}"]
        for name in names:
            yield self.folder / f"{name}.crt", self.folder / f"{name}.key"
            yield self.folder / name / "fullchain.pem", self.folder / name / "privkey.pem"


def _checked(cert_file: Path, key_file: Path) -> Certificate:
    """The pair, when certificate and key belong to each other.

    Raises:
        OSError: one cannot be read, or OpenSSL takes them for no pair.
        ValueError: a file is too large, or the key needs a password.
    """
    contents = [path.read_bytes() for path in (cert_file, key_file)]
    if any(len(content) > MAX_BYTES for content in contents):
        raise ValueError("too large")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file, password=_no_password)
    fingerprint = hashlib.sha256(b"\0".join(contents)).hexdigest()[:16]
    return Certificate(cert_file, key_file, fingerprint)


def _no_password() -> str:
    raise ValueError("the key needs a password")


def _mark(pairs: Iterable[tuple[Path, Path]]) -> tuple[object, ...]:
    marks: list[object] = []
    for pair in pairs:
        for path in pair:
            try:
                stat = path.stat()
            except OSError:
                marks.append(None)
            else:
                marks.append((stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return tuple(marks)
