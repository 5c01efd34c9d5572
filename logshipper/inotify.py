"""Inotify as far as the kernel grants it: what is refused is asked for again, and said."""

import asyncio
import errno
from pathlib import Path
from typing import Final

from asyncinotify import Event, Inotify, Mask

from wharfinger.health import Check

_FIXES: Final = {
    errno.EMFILE: "raise fs.inotify.max_user_instances",
    errno.ENOSPC: "raise fs.inotify.max_user_watches",
}


class Watches:
    """Watches on folders and files, each with the container that it is about.

    Without them the poll serves: later, and too late for what is gone in between.

    Args:
        check: red while the kernel refuses any.

    Attributes:
        whole: the kernel has granted all that was asked for.
    """

    def __init__(self, check: Check) -> None:
        self._check = check
        self._inotify: Inotify | None = None
        self._granted = asyncio.Event()
        self._owners: dict[int, str] = {}
        self._refusal = ""
        self.whole = False

    @property
    def refused(self) -> bool:
        """Whether something was refused since `renew` was last called."""
        return bool(self._refusal)

    def renew(self) -> bool:
        """Asks for an instance if there is none; whether all watches must be added again."""
        self._refusal = ""
        if self._inotify is not None:
            return False
        try:
            self._inotify = Inotify()
        except OSError as error:
            self._refuse("no inotify instance", error)
            return False
        self._granted.set()
        return True

    def confirm(self) -> None:
        """Says that all that was wanted since `renew` was granted, if it was."""
        if not self._refusal:
            self.whole = True
            self._check.ok()

    def add(self, path: Path, mask: Mask, owner: str) -> bool:
        """Watches a path; whether it does."""
        if self._inotify is None:
            return False
        try:
            watch = self._inotify.add_watch(path, mask)
        except (FileNotFoundError, NotADirectoryError):
            return False  # gone meanwhile: no fault of the kernel's
        except OSError as error:
            self._refuse("watch refused", error)
            return False
        self._owners[watch.wd] = owner
        return True

    async def next(self) -> tuple[Event, str | None]:
        """What happened next, and whom it is about; None for what nobody watches any more."""
        while self._inotify is None:
            await self._granted.wait()
        event = await self._inotify.get()
        watch = event.watch
        if watch is None:
            return event, None
        ends = Mask.IGNORED in event or Mask.ONESHOT in watch.mask
        return event, (self._owners.pop if ends else self._owners.get)(watch.wd, None)

    def close(self) -> None:
        """Lets all of them go."""
        self._granted.clear()
        if self._inotify is not None:
            self._inotify.close()
        self._inotify = None

    def _refuse(self, what: str, error: OSError) -> None:
        fix = _FIXES.get(error.errno or 0, "the machine is short of something")
        self._refusal = f"{what} ({error.strerror}): {fix}; until then logs are only polled"
        self.whole = False
        self._check.fail(self._refusal)
