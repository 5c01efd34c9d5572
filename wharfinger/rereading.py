"""Files that are read again when they have changed; what cannot be used is refused."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from wharfinger.errors import ConfigError
from wharfinger.health import Check

T = TypeVar("T")

_Signature = tuple[tuple[int, ...] | None, ...]


class Rereading(Generic[T]):
    """Some files that are used together, a token file or a certificate and its key.

    Made before they are read for the first time, so that no change falls in between.

    Args:
        paths: the files.
        read: makes of them what is used; raises ConfigError. Runs in a thread.
        use: takes it; on the event loop.
        check: is red while the files cannot be used as they are; None for who tells it otherwise.

    Attributes:
        trouble: why they cannot be used as they are; empty while they can.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        read: Callable[[], T],
        use: Callable[[T], None],
        check: Check | None = None,
    ) -> None:
        self._paths = tuple(paths)
        self._read = read
        self._use = use
        self._check = check
        self._known = self._used = self._latest = self._signature()
        self.trouble = ""
        self._ended = False

    def end(self) -> None:
        """Takes up nothing more: others are used in the place of these files."""
        self._ended = True

    def first(self) -> T:
        """Reads them for the first time; blocks.

        Raises:
            ConfigError: they cannot be used.
        """
        value = self._read()
        self._told("")
        return value

    def again(self) -> bool:
        """Reads them at once, for who has reason to think that they have changed; blocks.

        Returns:
            Whether something new is in use; `use` and `check` were told in this thread.

        Raises:
            ConfigError: they cannot be used; what was read before is kept.
        """
        signature = self._signature()
        if signature == self._used or self._ended:
            return False
        value = self._read()
        self._known = self._used = signature
        self._use(value)
        self._told("")
        return True

    async def look(self) -> bool:
        """Takes up what has changed, once it has stayed the same between two looks.

        Who writes a file in place leaves it half written for a moment.

        Returns:
            Whether something new is in use.
        """
        signature = await asyncio.to_thread(self._signature)
        settled, self._latest = signature == self._latest, signature
        if not settled or signature == self._known:
            return False
        self._known = signature
        try:
            value = await asyncio.to_thread(self._read)
        except ConfigError as error:
            if self._is_still(signature):
                self._told(f"refused, what was read before is kept: {error.findings[0]}")
            return False
        if not self._is_still(signature):
            return False
        self._used = signature
        self._use(value)
        self._told("")
        return True

    def _is_still(self, signature: _Signature) -> bool:
        """Whether nobody has read something else meanwhile, or has taken over."""
        return self._known is signature and not self._ended

    def _told(self, trouble: str) -> None:
        self.trouble = trouble
        if self._check is not None:
            if trouble:
                self._check.fail(trouble)
            else:
                self._check.ok()

    def _signature(self) -> _Signature:
        return tuple(_of(path) for path in self._paths)


def _of(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
