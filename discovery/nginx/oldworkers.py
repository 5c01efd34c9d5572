"""Says when workers of Nginx pile up that serve old clients only: each reload can leave some."""

from typing import Final

from wharfinger.lifecycle import Scope

# A worker is a few megabytes, with a thousand upstreams some tens; this many are worth a word.
MANY: Final = 16
FEW: Final = 4


class OldWorkers:
    """Remembers whether it has been said.

    Args:
        scope: of the daemon.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._many = False

    def take(self, count: int) -> None:
        """Takes in how many there are."""
        if count >= MANY and not self._many:
            self._many = True
            self._scope.events.emit(
                "nginx workers pile up",
                "warning",
                count=count,
                why="each reload leaves its workers to clients that do not go",
                fix="write worker_shutdown_timeout 60s; in nginx.conf, or use push mode",
            )
        elif count <= FEW:
            self._many = False
