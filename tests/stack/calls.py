"""The calls by which a process changes a disk, as a recording has them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Opened:
    """open(2), which gave `descriptor`."""

    descriptor: int
    path: str
    create: bool = False
    truncate: bool = False
    append: bool = False


@dataclass(frozen=True, slots=True)
class Closed:
    """close(2)."""

    descriptor: int


@dataclass(frozen=True, slots=True)
class Wrote:
    """pwrite(2), or write(2) where `offset` is None."""

    descriptor: int
    data: bytes
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Resized:
    """ftruncate(2), or fallocate(2) where the file can only `grow`."""

    descriptor: int
    size: int
    grow: bool = False


@dataclass(frozen=True, slots=True)
class Synced:
    """fsync(2) or fdatasync(2); one that `failed` has let go of what it could not write."""

    descriptor: int
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Unlinked:
    """unlink(2)."""

    path: str


@dataclass(frozen=True, slots=True)
class Renamed:
    """rename(2)."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Made:
    """mkdir(2)."""

    path: str


@dataclass(frozen=True, slots=True)
class Restarted:
    """The process was killed, another goes on: descriptors are gone, the page cache is not."""


Call = Opened | Closed | Wrote | Resized | Synced | Unlinked | Renamed | Made | Restarted
