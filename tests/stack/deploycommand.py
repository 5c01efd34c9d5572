"""What came of the command `deploy`."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that is over.

    Attributes:
        code: its exit code.
        out: what it printed on stdout.
        err: on stderr.
    """

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """Of --json."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def result(self) -> dict[str, Any]:
        """The last of them."""
        return self.events[-1]


async def ended(process: asyncio.subprocess.Process) -> Ended:
    """Waits for a command."""
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())
