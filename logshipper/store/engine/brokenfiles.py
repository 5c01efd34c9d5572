"""Day files that cannot be used as they are: a repaired one in their place is another."""

import threading
from pathlib import Path


class BrokenFiles:
    """Remembers them until something else has their names; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._why: dict[Path, tuple[int, str]] = {}

    def add(self, path: Path, why: str) -> None:
        """A file cannot be used."""
        inode = _inode(path)
        if inode is not None:
            with self._lock:
                self._why[path] = (inode, why)

    def clear(self, path: Path) -> None:
        """It can."""
        with self._lock:
            self._why.pop(path, None)

    def told(self) -> dict[str, str]:
        """Why each that is still in its place cannot be used."""
        with self._lock:
            for path, (inode, _) in list(self._why.items()):
                if _inode(path) != inode:
                    del self._why[path]
            return {str(path): why for path, (_, why) in self._why.items()}


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None
