"""What Docker tells of a container's use of the machine, as far as it is read; pure."""

from typing import Final

import msgspec

from wharfinger.errors import Rejected

# Engine API 1.41: it does not wait a second for a sample to compare with.
ONE_LOOK: Final = {"stream": "false", "one-shot": "true"}


class _CpuUsage(msgspec.Struct):
    total_usage: int = 0


class _CpuStats(msgspec.Struct):
    cpu_usage: _CpuUsage = msgspec.field(default_factory=_CpuUsage)


class _Stats(msgspec.Struct):
    """The engine tells of a container that stands with zeros, or without these fields."""

    cpu_stats: _CpuStats = msgspec.field(default_factory=_CpuStats)


def parse_cpu_seconds(body: bytes) -> float:
    """The processor time that a container has used since its start, of all cores, in seconds.

    Raises:
        Rejected: it is no answer of `GET /containers/ID/stats` (Engine API 1.41).
    """
    try:
        used = msgspec.json.decode(body, type=_Stats).cpu_stats.cpu_usage.total_usage
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected(f"Docker's statistics cannot be read: {error}") from None
    if used < 0:
        raise Rejected(f"Docker's statistics cannot be read: {used} ns used")
    return used / 1e9
