"""The data folder: TENANT/YYYY-MM-DD.db, one writer at a time, deletion by unlink."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from logshipper.store.engine import wal
from logshipper.store.engine.retention import DayFile
from logshipper.store.engine.schema import STAGED, SUFFIX
from logshipper.store.lines import times
from logshipper.store.model import TENANT
from wharfinger import lock
from wharfinger.errors import ConfigError, Finding, Unavailable
from wharfinger.files import make_folder, sync_folder

# A file that is being removed; its log goes before it, and only when this name is on disk.
_GONE: Final = ".gone"
_MODE: Final = 0o750
_ALONE: Final = "is without its day file: put that back beside it before the store starts"
_REPLACED: Final = (
    "is of a day file that was taken away: move it to where that is,"
    " or `logstore export --salvage` it"
)
_UNREADABLE: Final = (
    "holds acknowledged lines that could not be read in the usual way:"
    " `logstore export --salvage` it, import that, then delete it"
)
# What a disk says that somebody mends below a folder whose name is right.
_MENDED: Final = {
    errno.EROFS: "look why (dmesg), and mount it writable",
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there, or raise the quota",
    errno.EIO: "look at the disk (dmesg)",
    errno.ESTALE: "mount it again",
}


class DiskTrouble(Unavailable):
    """The folder cannot be written until somebody has mended what is below it."""


class Folder:
    """Where the day files are.

    Args:
        root: the folder; made if it is not there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._prepared: set[str] = set()

    def path(self, tenant: str, day: int) -> Path:
        """The file of a day."""
        return self.root / tenant / _name(day)

    def prepare(self, tenant: str) -> None:
        """Makes a tenant's folder, durably.

        Raises:
            OSError: it cannot be made.
        """
        if tenant in self._prepared:
            return
        # Also where it is there: another life may have made it and been killed before it synced.
        make_folder(self.root / tenant, _MODE)
        self._prepared.add(tenant)

    def days(self, tenant: str) -> list[int]:
        """A tenant's days, newest first."""
        try:
            names = [entry.name for entry in os.scandir(self.root / tenant)]
        except FileNotFoundError:
            return []
        found = ((name, times.parse_day(name.removesuffix(SUFFIX))) for name in names)
        # A day has one name: what is called after it in another way is no file of ours.
        return sorted(
            (day for name, day in found if day is not None and name == _name(day)), reverse=True
        )

    def files(self) -> list[DayFile]:
        """Every day of every tenant, with its size."""
        tenants = [entry.name for entry in os.scandir(self.root) if entry.is_dir()]
        return [
            DayFile(tenant, day, self._size(self.path(tenant, day)))
            for tenant in tenants
            if TENANT.fullmatch(tenant)
            for day in self.days(tenant)
        ]

    def remove(self, file: DayFile) -> None:
        """Deletes a day; readers that have it open finish undisturbed."""
        path = self.path(file.tenant, file.day)
        gone = path.with_name(path.name + _GONE)
        path.rename(gone)
        # A file whose log is gone before it may be torn: it must not come back without.
        sync_folder(path.parent)
        _finish(gone)

    def remove_leftovers(self, first_day: int) -> None:
        """Ends what a crash has interrupted: files half made, and half removed.

        Args:
            first_day: logs without a file of days before it are of no use to anybody.
        """
        for gone in self.root.glob(f"*/*{SUFFIX}{_GONE}"):
            _finish(gone)
        for staged in self.root.glob(f"*/*{SUFFIX}{STAGED}*"):
            staged.unlink(missing_ok=True)
        for path, log in self._logs_alone():
            day = times.parse_day(path.name.removesuffix(SUFFIX))
            if not log.stat().st_size or (day is not None and day < first_day):
                wal.discard(path)

    def strays(self) -> dict[str, str]:
        """Logs that nothing reads, and what to do about each; there are lines in them."""
        found = {str(log): _ALONE for _, log in self._logs_alone()}
        for suffix, why in ((wal.ORPHAN, _REPLACED), (wal.DAMAGED, _UNREADABLE)):
            found |= {str(log): why for log in self.root.glob(f"*/*{wal.SUFFIX}{suffix}*")}
        return found

    def _logs_alone(self) -> Iterator[tuple[Path, Path]]:
        for log in self.root.glob(f"*/*{SUFFIX}{wal.SUFFIX}"):
            path = log.with_name(log.name.removesuffix(wal.SUFFIX))
            if not path.exists():
                yield path, log

    def free_bytes(self) -> int:
        """What the file system has left for this process."""
        state = os.statvfs(self.root)
        return state.f_bavail * state.f_frsize

    def has_room(self, size: int) -> bool:
        """Whether so many bytes could be written now; quotas count, as they do not above."""
        try:
            with tempfile.TemporaryFile(dir=self.root) as probe:
                os.posix_fallocate(probe.fileno(), 0, size)
        except OSError:
            return False
        return True

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps every other writer out until the block ends.

        Raises:
            ConfigError: the folder cannot be made or written, and never will be.
            DiskTrouble: it cannot for now.
            Unavailable: another process has it, and which.
        """
        with ExitStack() as stack:
            try:
                make_folder(self.root, _MODE)
                stack.enter_context(lock.held(self.root / "lock", "logstore"))
            except OSError as error:
                why = f"{error.filename or self.root} cannot be written: {error.strerror}"
                if error.errno in _MENDED:
                    raise DiskTrouble(f"{why}; {_MENDED[error.errno]}") from None
                fix = "name another, or let the user of the store write there"
                raise ConfigError([Finding("logstore.data_dir", why, fix)]) from None
            yield

    def _size(self, path: Path) -> int:
        size = 0
        for beside in (path, path.with_name(f"{path.name}-wal")):
            try:
                size += beside.stat().st_size
            except FileNotFoundError:
                continue
        return size


def _name(day: int) -> str:
    return f"{times.day_name(day)}{SUFFIX}"


def _finish(gone: Path) -> None:
    path = gone.with_name(gone.name.removesuffix(_GONE))
    # Where the day has begun anew since, the log is its own.
    if not path.exists():
        wal.discard(path)
    gone.unlink(missing_ok=True)
    sync_folder(gone.parent)
