"""Files that survive a crash: written beside, synced, renamed over, the folder synced too."""

import contextlib
import errno
import os
import tempfile
from pathlib import Path

DEFAULT_MODE = 0o644
PRIVATE_MODE = 0o600


def write_atomically(
    path: Path,
    data: bytes,
    *,
    mode: int = DEFAULT_MODE,
    owner: tuple[int, int] | None = None,
    durable: bool = True,
) -> None:
    """Replaces `path` with `data` so that a reader, or a crash, sees the old or the new whole.

    A symbolic link at `path` is replaced itself: what it points to is never written to, so a
    link that somebody planted leads nowhere.

    Args:
        path: the file to replace; its folder must exist.
        data: the new content.
        mode: permission bits of the new file; the umask does not apply.
        owner: user and group id, where they shall differ from the process's own.
        durable: waits for the disk; without it a power cut may lose the file, old and new.

    Raises:
        OSError: nothing was changed, and no temporary file is left behind. (Only when the disk
            fails at the very last, as the folder is synced, is the new content there already.)
    """
    # A leading dot keeps it out of `include *`; a name of 255 bytes leaves no room for more.
    prefix = f".{path.name[:40]}."
    descriptor, staged = tempfile.mkstemp(prefix=prefix, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if owner is not None:
                os.fchown(file.fileno(), *owner)
            os.fchmod(file.fileno(), mode)
            if durable:
                os.fsync(file.fileno())
        # rename(2) is atomic; ext4 may still order it before the data without the fsync above.
        Path(staged).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(staged).unlink()
        raise
    if durable:
        sync_folder(path.parent)


def make_folder(path: Path, mode: int) -> None:
    """Makes a folder and those above it, durably; one that is there may be new to the disk, too.

    Raises:
        OSError: it cannot be made.
    """
    parent = path.parent
    if not parent.is_dir():
        make_folder(parent, mode)
    path.mkdir(mode=mode, exist_ok=True)
    # A parent that we may not read was not made by us.
    with contextlib.suppress(PermissionError):
        sync_folder(parent)


def sync_file(path: Path) -> None:
    """Makes the content of a file durable (fsync(2))."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Makes renames and deletions in `folder` durable (see fsync(2), on directories)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and FUSE file systems cannot sync a folder, and say so (fsync(2)).
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)
