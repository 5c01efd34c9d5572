"""One change on its way into service, and how it ended."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from discovery.publish.changes import Change, Outcome
from discovery.publish.commands import Ran
from discovery.publish.swap import Swap
from discovery.resources.resources import Resource
from wharfinger.errors import Rejected, WharfingerError


@dataclass(slots=True)
class Work:
    """One change on its way.

    Attributes:
        change: which.
        ran: its commands so far.
    """

    change: Change
    ran: list[Ran] = field(default_factory=list)

    @property
    def resource(self) -> Resource:
        """Whose change it is."""
        return self.change.resource

    @property
    def file(self) -> Swap:
        """Its destination."""
        return Swap(self.change.resource.dest)

    def stage(self) -> None:
        """Writes the new content beside its destination.

        Raises:
            OSError: nothing was changed.
        """
        self.file.stage(self.change.rendered.content, self.resource)

    def failed(self, error: OSError | WharfingerError, *, swapped: bool = False) -> Outcome:
        """It did not get into service, and why."""
        told = error if isinstance(error, WharfingerError) else Rejected(self._unwritable(error))
        return Outcome(self.resource.name, told, swapped, tuple(self.ran))

    def _unwritable(self, error: OSError) -> str:
        # Names the folder: that of a staged file is another at each attempt, and tells nobody more.
        at = Path(error.filename) if error.filename else self.file.dest
        where = at if at == self.file.dest else at.parent
        return f"{where} cannot be written: {error.strerror or error}"


def leave(changes: Iterable[Change]) -> None:
    """Leaves what failed beside its destination, for people to look at."""
    for change in changes:
        with contextlib.suppress(OSError):
            Work(change).stage()
