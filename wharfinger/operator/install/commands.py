"""Programs of the host that an installation calls."""

import subprocess
from collections.abc import Sequence
from typing import Final

ANSWER_SECONDS: Final = 30.0


def called(command: Sequence[str], timeout_seconds: float) -> subprocess.CompletedProcess[str]:
    """Runs one to its end, whatever its code.

    Raises:
        OSError: it cannot be run.
        TimeoutExpired: it took longer.
    """
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        errors="replace",
        timeout=timeout_seconds,
    )


def said(*command: str) -> str:
    """What one answers; nothing where it cannot be run."""
    try:
        return called(command, ANSWER_SECONDS).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
