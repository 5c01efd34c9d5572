"""What one execution of a template may take: steps, memory, output, depth and time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from discovery.gotemplate.errors import LimitExceeded

# Steps between two looks at the clock: some milliseconds of work.
_LOOK_EVERY_STEPS: Final = 10_000
# Printing, like Go's, follows the nesting of a value; Python's stack is the smaller one.
MAX_VALUE_DEPTH: Final = 100
MAX_TEMPLATE_DEPTH: Final = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one execution; all but the last are the same on every machine.

    Attributes:
        steps: nodes executed and elements handled by functions.
        held: characters and elements (64 each) that functions make, those let go included.
        output: characters written.
        seconds: by the clock that `Template.render` is given, if any.
    """

    steps: int = 10_000_000
    held: int = 256 * 2**20
    output: int = 64 * 2**20
    seconds: float = 10.0


class Budget:
    """What is left of the limits.

    Args:
        limits: the bounds.
        clock: monotonic seconds; None for no bound in time.
    """

    __slots__ = ("_clock", "_deadline", "_held", "_limits", "_look", "_output", "_steps")

    def __init__(self, limits: Limits, clock: Callable[[], float] | None = None) -> None:
        self._limits = limits
        self._steps = 0
        self._held = 0
        self._output = 0
        self._clock = clock
        self._deadline = clock() + limits.seconds if clock else 0.0
        self._look = min(_LOOK_EVERY_STEPS, limits.steps)

    def spend(self, steps: int) -> None:
        """Takes steps.

        Raises:
            LimitExceeded: there are no more, or time is up.
        """
        self._steps += steps
        if self._steps > self._look:
            self._check_clock()

    def hold(self, size: int) -> None:
        """Takes memory, before it is taken.

        Raises:
            LimitExceeded: there is no more.
        """
        self._held += size
        if self._held > self._limits.held:
            raise LimitExceeded(f"values of more than {self._limits.held:,} characters are made")
        self.spend((size >> 6) + 2)

    def write(self, characters: int) -> None:
        """Takes output, before it is kept.

        Raises:
            LimitExceeded: there is no more.
        """
        self._output += characters
        if self._output > self._limits.output:
            raise LimitExceeded(f"more than {self._limits.output:,} characters are written")

    def _check_clock(self) -> None:
        if self._steps > self._limits.steps:
            raise LimitExceeded(f"takes more than {self._limits.steps:,} steps")
        if self._clock and self._clock() > self._deadline:
            raise LimitExceeded(f"takes more than {self._limits.seconds:g} seconds")
        self._look = min(self._steps + _LOOK_EVERY_STEPS, self._limits.steps)
