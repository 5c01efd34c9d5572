"""What stdout is: a terminal with colours and a width, a pipe, or a pager that was asked for."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final, Literal

from wharfinger.errors import Unavailable

Colour = Literal["auto", "always", "never"]
PAGER: Final = "less"
# As git has it: leave at once where all fits, colours as they are, the screen as it was.
LESS: Final = "FRX"


def has_colours(wish: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether to colour: as was asked, else on a terminal whose user has not said no.

    See https://no-color.org on NO_COLOR.
    """
    if wish != "auto":
        return wish == "always"
    refused = environment.get("NO_COLOR") or environment.get("TERM") == "dumb"
    return sys.stdout.isatty() and not refused


def has_blocks() -> bool:
    """Whether stdout takes the block elements of Unicode."""
    try:
        "█".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def size(*, people: bool) -> tuple[int, int]:
    """Columns and rows: the terminal's where people sit before it, else some that are usual."""
    if not people:
        return 100, 48
    found = shutil.get_terminal_size()
    return found.columns, found.lines


@contextmanager
def paged(environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Sends stdout through a pager for as long as the block runs, and waits for its end.

    Raises:
        Unavailable: there is no such program.
    """
    command = environment.get("PAGER") or PAGER
    try:
        pager = subprocess.Popen(
            shlex.split(command), stdin=subprocess.PIPE, env={"LESS": LESS, **environment}
        )
    except (OSError, ValueError) as error:
        raise Unavailable(f"the pager {command!r:.100} cannot be started: {error}") from error
    sys.stdout.flush()
    before = os.dup(1)
    assert pager.stdin is not None  # noqa: S101 - asked for above
    os.dup2(pager.stdin.fileno(), 1)
    pager.stdin.close()
    try:
        yield
    finally:
        _flush()
        os.dup2(before, 1)
        os.close(before)
        # Ctrl-C is the pager's until it ends.
        while pager.poll() is None:
            with suppress(KeyboardInterrupt):
                pager.wait()


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Who leaves the pager early has seen enough; what is left must not reach the terminal.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
        sys.stdout.flush()
