"""The command `deploy` on virtual engines, killed before a write of its: nothing in it can say so.

`python -m tests.stack.dying VERB...`: WHARF_DIES_BEFORE says before which write to etcd, to the
registry or to the engine's file, from 1; what it was about is told in the file WHARF_DIED_AT.
"""

import functools
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from deploy.release import cli
from deploy.release.commands import opening
from deploy.release.registry.connection import Connection
from tests.stack import virtualengine
from wharfinger.etcd import Etcd

BEFORE = "WHARF_DIES_BEFORE"
AT = "WHARF_DIED_AT"


class Dying:
    """Counts writes, and dies before one."""

    def __init__(self, before: int, place: Path) -> None:
        self._left = before
        self._place = place

    def wrapped(
        self, name: str, work: Callable[..., Awaitable[Any]], *, reads: tuple[str, ...] = ()
    ) -> Callable[..., Awaitable[Any]]:
        """A method that is counted unless the method of its request only reads."""

        @functools.wraps(work)
        async def counted(*words: Any, **more: Any) -> Any:
            method = getattr(words[1], "method", "") if reads else ""
            if method not in reads or not reads:
                about = getattr(words[1], "path", words[1:]) if len(words) > 1 else ""
                self.write(f"{name} {method} {about}")
            return await work(*words, **more)

        return counted

    def write(self, about: str) -> None:
        """One write, about to be done."""
        self._left -= 1
        if not self._left:
            self._place.write_text(about[:100])
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Runs a verb."""
    dying = Dying(int(os.environ[BEFORE]), Path(os.environ[AT]))
    for name in ("transact", "grant", "revoke"):
        setattr(Etcd, name, dying.wrapped(f"etcd {name}", getattr(Etcd, name)))
    send = dying.wrapped("registry", Connection._send, reads=("GET", "HEAD"))
    setattr(Connection, "_send", send)  # noqa: B010 - it is a method
    put = virtualengine._put

    def written(path: Path, value: Any) -> None:
        dying.write(f"engine {path.name}")
        put(path, value)

    virtualengine._put = written
    opening.engine_of = virtualengine.engine_of  # type: ignore[assignment]
    cli.main()


if __name__ == "__main__":
    main()
