"""A clock of its own for one process, that a test can move; monotonic time goes on as it does."""

import os
from pathlib import Path


class FakeClock:
    """What a process must be started with, so that it tells the time from a file.

    Args:
        path: of the file with the offset.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.jump("+0")
        (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
        self.environment = {
            **os.environ,
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def jump(self, offset: str) -> None:
        """Moves it: `-1h`, `+1d`, `+0`."""
        self._path.write_text(f"{offset}\n")
