"""Where on the host a container's files are: its writable layer, its volumes and binds; pure."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from logshipper.globs import Globs
from wharfinger.container import Container

ID_DIGITS: Final = 16
HELD_ON_HOST: Final = frozenset({"bind", "volume"})


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of the host's that holds what is seen inside at `at`.

    Attributes:
        root: the folder; everything below it may have been planted.
        at: path inside, without a slash at its end; empty for the root.
        owner: what ids of its lines begin with: 16 hexadecimal digits.
        key: what the checkpoint's names of its logs begin with.
        lasting: it outlives the container.
        beyond: paths inside, below `at`, that are other places.
    """

    root: str
    at: str
    owner: str
    key: str
    lasting: bool
    beyond: frozenset[str] = frozenset()


def places_of(container: Container, host: str) -> tuple[tuple[Place, ...], tuple[str, ...]]:
    """The places of a container, and what of it cannot be read from outside, with reasons.

    A volume's lines belong to the volume: the container that comes after this one goes on where
    this one's ended, and sends nothing again under other ids.
    """
    mounts = {mount.destination.rstrip("/"): mount for mount in container.mounts}
    places: list[Place] = []
    problems: list[str] = []
    if container.upper_dir:
        owner = container.id[:ID_DIGITS]
        places.append(_place(container.upper_dir, "", owner, container.id, mounts, lasting=False))
    else:
        problems.append("its storage driver shows no writable layer (overlay2 does)")
    for at, mount in mounts.items():
        if mount.type in HELD_ON_HOST and mount.source.startswith("/"):
            key = f"volume:{mount.source}"
            owner = digest(host, mount.source)
            places.append(_place(mount.source, at, owner, key, mounts, lasting=True))
        else:
            problems.append(f"{at} is a {mount.type or 'mount'} that is not on the host's disk")
    return tuple(places), tuple(problems)


def host_places(host: str, globs: Globs) -> tuple[Place, ...]:
    """The folders of the host's own that globs begin in: mounts are crossed only up to there."""
    roots = dict.fromkeys("".join(f"/{name}" for name in names) for names in globs.prefixes())
    owner = digest(host, "/")
    return tuple(Place(root or "/", root, owner, f"host:{root}", lasting=True) for root in roots)


def digest(*words: str) -> str:
    """Sixteen hexadecimal digits that stand for these words."""
    text = "\0".join(words).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=ID_DIGITS // 2).hexdigest()


def _place(
    root: str, at: str, owner: str, key: str, mounted: Iterable[str], *, lasting: bool
) -> Place:
    beyond = frozenset(other for other in mounted if other != at and other.startswith(f"{at}/"))
    return Place(root, at, owner, key, lasting, beyond)
