"""Day files that cannot be used as they are: a repaired one in their place is another."""

import os
import threading
from pathlib import Path


class BrokenFiles:
    """Remembers them until something else has their names; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._why: dict[Path, tuple[int, str]] = {}

    def add(self, path: Path, why: str) -> None:
        """A file cannot be used."""
        with self._lock:
            self._forget(path)
            held = _hold(path)
            if held is not None:
                self._why[path] = (held, why)

    def clear(self, path: Path) -> None:
        """It can."""
        with self._lock:
            self._forget(path)

    def close(self) -> None:
        """Lets go of all."""
        with self._lock:
            for path in list(self._why):
                self._forget(path)

    def told(self) -> dict[str, str]:
        """Why each that is still in its place cannot be used."""
        with self._lock:
            for path, (held, _) in list(self._why.items()):
                if not _is_at(held, path):
                    self._forget(path)
            return {str(path): why for path, (_, why) in self._why.items()}

    def _forget(self, path: Path) -> None:
        if (known := self._why.pop(path, None)) is not None:
            os.close(known[0])


def _hold(path: Path) -> int | None:
    """A descriptor that keeps the file's inode from being used again, for the file after it.

    One that only names the file: to close any other would end SQLite's locks on it (fcntl(2)).
    """
    try:
        return os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return None


def _is_at(held: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(held), path.stat())
    except OSError:
        return False
