"""Which commit a working copy is at, for labels and for the time of an image's files."""

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.release import programs
from wharfinger.errors import ConfigError, Finding, Unavailable

EPOCH: Final = "SOURCE_DATE_EPOCH"
_TIMEOUT_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Revision:
    """Where a working copy stands.

    Attributes:
        commit: its name, with `-dirty` where something in the folder is not committed; empty
            where there is no git.
        source: address of the repository, without a password; empty for none.
        epoch: in seconds since 1970: SOURCE_DATE_EPOCH, else the commit's time, else now, where
            something is not committed.
    """

    commit: str
    source: str
    epoch: int


async def of(folder: Path) -> Revision:
    """The revision of a folder.

    Raises:
        ConfigError: SOURCE_DATE_EPOCH is no number.
    """
    commit = await _git(folder, "rev-parse", "HEAD")
    changed = await _git(folder, "status", "--porcelain", "--", ".") if commit else ""
    when = await _time(folder) if commit and not changed else ""
    wished = _wished()
    return Revision(
        f"{commit}-dirty" if changed else commit,
        without_password(await _git(folder, "remote", "get-url", "origin")),
        int(when or time.time()) if wished is None else wished,
    )


def without_password(address: str) -> str:
    """An address without what stands before an @ in it; one of ssh keeps its user."""
    scheme, colon, rest = address.partition("://")
    if not colon:
        return address
    place, slash, path = rest.partition("/")
    before, _, host = place.rpartition("@")
    user = before.partition(":")[0]
    kept = f"{user}@" if scheme == "ssh" and user else ""
    return f"{scheme}://{kept}{host}{slash}{path}"


def _wished() -> int | None:
    text = os.environ.get(EPOCH, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise ConfigError([Finding(EPOCH, f"{text!r:.40} is no number of seconds", "unset it")])
    return int(text)


async def _time(folder: Path) -> str:
    # Whose signature it is would stand before it, where log.showSignature is on.
    return await _git(folder, "log", "-1", "--no-show-signature", "--format=%ct")


async def _git(folder: Path, *arguments: str) -> str:
    """What git prints; nothing where there is none, or no repository."""
    with contextlib.suppress(Unavailable):
        told = await programs.run("git", "-C", folder, *arguments, timeout_seconds=_TIMEOUT_SECONDS)
        return told.strip()
    return ""
