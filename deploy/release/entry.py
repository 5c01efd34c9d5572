"""Where the command begins: while it still loads, Ctrl-C ends it in a line."""

import os
import signal
from types import FrameType
from typing import NoReturn

from wharfinger.errors import Exit


def main() -> NoReturn:
    """Loads the command, which takes a second on a busy machine, and runs it."""
    # Python's own answer is a traceback of whatever was being imported; who calls us by a
    # shell's & has said that it shall not be ended so.
    own = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if own:
        signal.signal(signal.SIGINT, _leave)
    from deploy.release import cli  # noqa: PLC0415  that is what takes so long

    if own:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()


def _leave(_signal: int, _frame: FrameType | None) -> None:
    os.write(2, b"deploy: SIGINT: interrupted, nothing was begun\n")
    os._exit(Exit.TRY_LATER)
