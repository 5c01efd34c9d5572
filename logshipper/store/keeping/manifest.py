"""What a backup holds, as it says itself, and which days need not be copied again."""

import re
from typing import Final

import msgspec

from logshipper.store.model import TENANT
from wharfinger.errors import Rejected

VERSION: Final = 1
# A file may change twice within one tick of the clock that dates it.
_SETTLED_NS: Final = 2_000_000_000
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_STAMP: Final = re.compile(r"(\d{8}T\d{6}Z)(?:-(\d{3}))?", re.ASCII)


class State(msgspec.Struct, frozen=True):
    """What tells that a day's file is as it was: it and its write-ahead log.

    Attributes:
        inode: of the file.
        size: bytes of it.
        changed_ns: when it was written last.
        log_size: bytes of its log; 0 without one.
        log_changed_ns: when that was written last; 0 if it is empty.
    """

    inode: int
    size: int
    changed_ns: int
    log_size: int = 0
    log_changed_ns: int = 0


class Entry(msgspec.Struct, frozen=True):
    """One day of a backup.

    Attributes:
        tenant: whose.
        day: its name.
        size: bytes of the copy.
        sha256: of the copy, in hex.
        lines: that it holds by its own accounts.
        state: of the file that was copied.
    """

    tenant: str
    day: str
    size: int
    sha256: str
    lines: int
    state: State


class Manifest(msgspec.Struct, frozen=True):
    """A whole backup.

    Attributes:
        began_ns: all that was acknowledged before is in it.
        source: the folder that was copied.
        days: what is in it.
        failed: files that could not be copied, and why.
        version: of this form.
    """

    began_ns: int
    source: str
    days: tuple[Entry, ...]
    failed: dict[str, str] = {}
    version: int = VERSION


_decoder = msgspec.json.Decoder(Manifest)


def encode(manifest: Manifest) -> bytes:
    """Its text, for people and programs."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def decode(data: bytes) -> Manifest:
    """Reads it.

    Raises:
        Rejected: it is none, or names files that are not within the backup.
    """
    try:
        found = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Rejected(f"is no manifest of a backup: {str(error)[:120]}") from None
    if found.version != VERSION:
        raise Rejected(f"is of version {found.version}, known is {VERSION}")
    for entry in found.days:
        if not TENANT.fullmatch(entry.tenant) or not _DAY.fullmatch(entry.day):
            raise Rejected(f"names {entry.tenant[:80]!r} {entry.day[:20]!r}, which is no day")
    return found


def same(previous: Manifest | None, tenant: str, day: str, state: State) -> Entry | None:
    """The entry of an earlier backup that still holds for a file; None if it must be copied."""
    if previous is None:
        return None
    changed_ns = max(state.changed_ns, state.log_changed_ns)
    for entry in previous.days:
        if (entry.tenant, entry.day, entry.state) == (tenant, day, state):
            return entry if changed_ns < previous.began_ns - _SETTLED_NS else None
    return None


def is_stamp(name: str) -> bool:
    """Whether a folder may be that of a backup, by its name."""
    return _STAMP.fullmatch(name) is not None


def name_after(stamp: str, newest: str) -> str:
    """What to call a backup, so that it sorts behind the newest, also where a clock was set back.

    Raises:
        Rejected: there are a thousand of one second.
    """
    found = _STAMP.fullmatch(newest)
    if found is None or stamp > found[1]:
        return stamp
    number = int(found[2] or 1) + 1
    if number > 999:  # noqa: PLR2004 - three digits, so that they sort
        raise Rejected(f"no name comes after {newest}: is the clock right?")
    return f"{found[1]}-{number:03}"
