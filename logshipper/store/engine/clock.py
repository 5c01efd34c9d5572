"""The time that retention goes by: the machine's, until that leaps ahead; pure."""

from dataclasses import dataclass
from typing import Final

import msgspec

from logshipper.store.lines.times import DAY_NS
from wharfinger.text import quantity

HOUR_NS: Final = DAY_NS // 24
# A clock that is wrong by a year is noticed in that time, before it has cost a line.
DOUBT_NS: Final = DAY_NS


@dataclass(frozen=True, slots=True)
class Clock:
    """What is known of the time.

    Attributes:
        now_ns: what is believed.
        highest_ns: the highest that was ever believed.
        doubted_ns: for how long the machine's clock has been too far ahead; 0 if it is not.
    """

    now_ns: int
    highest_ns: int
    doubted_ns: int = 0


def first(machine_ns: int) -> Clock:
    """A clock of which nothing is known but what the machine says."""
    return Clock(machine_ns, machine_ns)


def advance(clock: Clock, machine_ns: int, elapsed_ns: int | None) -> Clock:
    """Takes what the machine's clock says now.

    A clock that goes back costs nothing, and one that was behind may catch up. One that leaps
    ahead is believed when it has stood by it for a day.

    Args:
        clock: what was known before.
        machine_ns: what the machine says.
        elapsed_ns: what has passed since, by a clock that nobody sets; None after a restart,
            when a day may have passed, or more.
    """
    expected_ns = clock.now_ns + (elapsed_ns or 0)
    doubted_ns = clock.doubted_ns + (elapsed_ns or 0)
    slack_ns = DAY_NS if elapsed_ns is None else HOUR_NS
    if machine_ns <= max(expected_ns, clock.highest_ns) + slack_ns or doubted_ns >= DOUBT_NS:
        return Clock(machine_ns, max(clock.highest_ns, machine_ns))
    return Clock(expected_ns, max(clock.highest_ns, expected_ns), max(1, doubted_ns))


def encode(clock: Clock) -> bytes:
    """As a line of JSON."""
    return msgspec.json.encode(clock) + b"\n"


def decode(data: bytes) -> Clock | None:
    """What `encode` wrote; None for anything else."""
    try:
        return msgspec.json.decode(data, type=Clock)
    except msgspec.DecodeError:
        return None


def doubt(clock: Clock, machine_ns: int, kept_days: int) -> str:
    """Why days are kept that are too old by the machine's clock; empty if none is."""
    if not clock.doubted_ns or not kept_days:
        return ""
    hours = (DOUBT_NS - clock.doubted_ns) // HOUR_NS + 1
    ahead = (machine_ns - clock.now_ns) / DAY_NS
    return (
        f"the clock is {ahead:.1f} days ahead of where it was:"
        f" {quantity(kept_days, 'day file')} too old by it stay for"
        f" {quantity(hours, 'more hour')}, in case it is set back"
    )
