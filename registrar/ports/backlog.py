"""Changes of the table of ports that nobody waits for: what is asked meanwhile goes in at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final

from registrar.model import Assign, Reassign, Release
from wharfinger.errors import WharfingerError

Change = Assign | Reassign | Release
Planned = Mapping[str, int | None]
"""The port that each container had when its change was planned."""

NOTHING: Final = ""


class Backlog:
    """Carries changes out, one lot after the other; at most one for each container.

    Args:
        carry_out: makes several changes; raises `WharfingerError` where it made none.
        settled: called when some were made.

    Attributes:
        trouble: why the last lot could not be made; empty when it could, or nothing is asked.
    """

    def __init__(
        self,
        carry_out: Callable[[Sequence[Change], Planned], Awaitable[None]],
        settled: Callable[[], None],
    ) -> None:
        self._carry_out = carry_out
        self._settled = settled
        self._waiting: dict[str, tuple[Change, int | None]] = {}
        self._under_way: frozenset[str] = frozenset()
        self._working: asyncio.Task[None] | None = None
        self.trouble = NOTHING

    def ask(self, changes: Iterable[Change], planned: Mapping[str, int]) -> None:
        """Has these made soon; who asks again for one that is under way is not heard.

        Raises:
            Exception: a lot before these met with what is no trouble of the host's: a bug.
        """
        if self._working is not None and self._working.done():
            self._working.result()
            self._working = None
        self._waiting = {
            each.container_id: (each, planned.get(each.container_id))
            for each in changes
            if each.container_id not in self._under_way
        }
        if self._working is not None:
            return
        if self._waiting:
            self._working = asyncio.create_task(self._work(), name="table of ports")
        else:
            self.trouble = NOTHING

    def is_about(self, container_id: str) -> bool:
        """Whether a change of a container's is under way or waits."""
        return container_id in self._under_way or container_id in self._waiting

    async def close(self) -> None:
        """Ends what is under way."""
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)

    async def _work(self) -> None:
        try:
            while self._waiting:
                lot, self._waiting = self._waiting, {}
                self._under_way = frozenset(lot)
                changes = [change for change, _ in lot.values()]
                await self._carry_out(changes, {each: port for each, (_, port) in lot.items()})
                self.trouble = NOTHING
                self._settled()
        except WharfingerError as error:
            # Whoever still wants it asks again.
            self._waiting = {}
            self.trouble = str(error)
        finally:
            self._under_way = frozenset()
