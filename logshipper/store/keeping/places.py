"""Which day files a command is about: of the data folder, or one that was moved elsewhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from logshipper.store.engine.folder import Folder
from logshipper.store.engine.schema import SUFFIX
from logshipper.store.lines import times
from wharfinger.errors import Rejected, Unavailable


class DayPlace(NamedTuple):
    """A day's file; tenant and day are None where nobody knows."""

    path: Path
    tenant: str | None
    day: int | None

    @property
    def name(self) -> str:
        """What to call it."""
        if self.tenant is None or self.day is None:
            return str(self.path)
        return f"{self.tenant} {times.day_name(self.day)}"


def names_file(words: Sequence[str]) -> bool:
    """Whether these words name a file, and not a tenant."""
    return len(words) == 1 and ("/" in words[0] or words[0].endswith(SUFFIX))


def is_inside(folder: Folder, path: Path) -> bool:
    """Whether a file is where the store's process may have it open."""
    return folder.root.resolve() in path.resolve().parents


def chosen(folder: Folder, words: Sequence[str]) -> list[DayPlace]:
    """The files that `[TENANT [DAY]]` or `FILE` means, oldest first; all of them for nothing.

    Raises:
        Rejected: there is none such.
    """
    if names_file(words):
        return [moved(Path(words[0]))]
    if len(words) > 2:  # noqa: PLR2004 - tenant and day
        raise Rejected("name a tenant and a day, or a file")
    there = stored(folder)
    tenant, day = (*words, None, None)[:2]
    if tenant is not None:
        tenants = sorted({str(place.tenant) for place in there})
        if tenant not in tenants:
            raise Rejected(f"no tenant {tenant!r:.80}; there are: {', '.join(tenants) or 'none'}")
        there = [place for place in there if place.tenant == tenant]
    if day is not None:
        number = times.parse_day(day)
        there = [place for place in there if place.day == number]
        if not there:
            raise Rejected(f"{tenant} has no day {day!r:.40}; write it as 2026-11-23")
    return there


def stored(folder: Folder) -> list[DayPlace]:
    """Every day of the data folder, oldest first.

    Raises:
        Unavailable: this process may not look.
    """
    try:
        files = folder.files() if folder.root.is_dir() else []
    except OSError as error:
        raise Unavailable(f"{error.filename} cannot be read: {error.strerror}") from None
    found = [DayPlace(folder.path(file.tenant, file.day), file.tenant, file.day) for file in files]
    return sorted(found, key=lambda place: (place.day or 0, place.tenant or ""))


def moved(path: Path) -> DayPlace:
    """A file that is not, or no more, in a data folder; its name may still tell its day."""
    if not path.is_file():
        raise Rejected(f"{path} is no file")
    return DayPlace(path, None, times.parse_day(path.name.partition(SUFFIX)[0]))


def total_bytes(folder: Folder) -> int:
    """Of all day files, with their logs."""
    try:
        return sum(file.size for file in folder.files())
    except OSError:
        return 0
