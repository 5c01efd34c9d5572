"""What a report says, before it is known of which image: figures, who looked, what was amiss."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

NAMED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The figures of a report.

    Attributes:
        tests: how many there were, of whatever the tool counts.
        failures: how many found what they look for.
        errors: how many could not find out.
        skipped: how many were left out.
        tool: what looked.
        tool_version: of that; empty where the report does not say.
        amiss: what failed, in words, the first few.
    """

    tests: int
    failures: int = 0
    errors: int = 0
    skipped: int = 0
    tool: str
    tool_version: str = ""
    amiss: Sequence[str] = ()
