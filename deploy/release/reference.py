"""How images are named: registry, repository, tag, digest, by the grammar that Docker reads.

Source: distribution/reference, regexp.go and normalize.go.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from wharfinger.address import parse_address
from wharfinger.errors import Rejected
from wharfinger.text import shortened

MAX_NAME_LENGTH: Final = 255
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST: Final = re.compile(
    rf"(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::(?P<port>[1-9][0-9]{{0,4}}))?"
)
_PART: Final = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH: Final = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_RELEASE: Final = re.compile(r"r([1-9][0-9]{0,8})")


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """Where the images of an application are.

    Attributes:
        registry: `HOST[:PORT]`, as `docker login` is given it.
        path: below it.
    """

    registry: str
    path: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}"


def repository(text: str) -> Repository:
    """Reads `HOST[:PORT]/PATH`, as wharf.yaml has it.

    A name without a registry is refused: Docker would take it for one of the public registry.

    Raises:
        Rejected: it is no such name, or more than that.
    """
    registry, _, path = text.partition("/")
    if "@" in text or ":" in path:
        raise Rejected(f"{_shown(text)} names one image: leave out its tag and its digest")
    if not names_registry(text):
        raise Rejected(f"{_shown(text)} names no registry: write HOST:PORT/{_shown_path(text)}")
    if _HOST.fullmatch(registry) is None or not _has_address(registry):
        raise Rejected(f"{_shown(registry)} is no address of a registry: write HOST or HOST:PORT")
    if _PATH.fullmatch(path) is None:
        raise Rejected(
            f"{_shown(text)} is no repository: write small letters and digits, with one of"
            " '.', '_' and '-' between them, and '/' between the parts"
        )
    if len(text) > MAX_NAME_LENGTH:
        raise Rejected(f"{_shown(text)} is longer than {MAX_NAME_LENGTH} characters")
    return Repository(registry, path)


def names_registry(text: str) -> bool:
    """Whether the name of an image begins with its registry.

    What comes first is part of a path in the public registry unless it looks like a host
    (normalize.go, splitDockerDomain).
    """
    host, slash, _ = text.partition("/")
    looks_so = "." in host or ":" in host or host == "localhost" or host.lower() != host
    return bool(slash) and looks_so


def is_tag(text: str) -> bool:
    """Whether registries take it as a tag."""
    return _TAG.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Whether it is a digest by SHA-256, which is what registries count by."""
    return _DIGEST.fullmatch(text) is not None


def by_digest(image: str, digest: str) -> str:
    """`IMAGE@sha256:...`.

    Raises:
        Rejected: one of the two is none.
    """
    if not is_digest(digest):
        raise Rejected(f"{_shown(digest)} is no digest: write sha256: and 64 digits of 0-9a-f")
    return f"{repository(image)}@{digest}"


def release_tag(number: int) -> str:
    """`r12`, which is also the release's name."""
    return f"r{number}"


def release_number(tag: str) -> int | None:
    """Of `r12`, 12; None of any other tag."""
    found = _RELEASE.fullmatch(tag)
    return int(found[1]) if found else None


def is_loopback(registry: str) -> bool:
    """Whether nobody is between us and that registry."""
    host = registry.rpartition(":")[0] if _has_port(registry) else registry
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _has_port(registry: str) -> bool:
    found = _HOST.fullmatch(registry)
    return found is not None and found["port"] is not None


def _has_address(registry: str) -> bool:
    try:
        parse_address(registry if _has_port(registry) else f"{registry}:1")
    except ValueError:
        return False
    return True


def _shown(text: str) -> str:
    return ascii(shortened(text, 80))


def _shown_path(text: str) -> str:
    return text if _PATH.fullmatch(text) and len(text) < MAX_NAME_LENGTH else "PATH"
