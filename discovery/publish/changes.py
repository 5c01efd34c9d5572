"""What is published, who reads it, and what became of it."""

from dataclasses import dataclass
from typing import Protocol

from discovery.publish.commands import Ran
from discovery.resources.resources import Resource
from discovery.resources.views import Rendered
from wharfinger.errors import WharfingerError


class Reader(Protocol):
    """Who reads the files, and can be asked whether the new one serves."""

    async def confirm(self, rendered: Rendered, began: float) -> None:
        """Returns when nobody serves anything older.

        Args:
            rendered: what shall serve.
            began: when the reload began, seconds since boot.

        Raises:
            Rejected: the new file does not serve.
        """

    async def running(self) -> bool:
        """Whether anybody is there to read it."""


@dataclass(frozen=True, slots=True)
class Change:
    """A resource whose file shall hold something else."""

    resource: Resource
    rendered: Rendered


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a change.

    Attributes:
        resource: its name.
        error: why it does not serve; None when it does.
        swapped: the new file stays in place. With an error that means: it passed its check, but
            nobody runs who could serve it yet.
        commands: what was run, with its output.
    """

    resource: str
    error: WharfingerError | None = None
    swapped: bool = True
    commands: tuple[Ran, ...] = ()
