"""The ports that the kernel gives to nobody who does not ask for them by number."""

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Final

RESERVED_PORTS: Final = Path("/proc/sys/net/ipv4/ip_local_reserved_ports")
# Below the kernel's ephemeral range, beside what a registrar of this machine's own has reserved.
POOLS: Final = range(20_000, 32_700, 100)


def ports() -> set[int]:
    """Those that are reserved now."""
    found: set[int] = set()
    for entry in RESERVED_PORTS.read_text(encoding="ascii").strip().split(","):
        first, _, last = entry.partition("-")
        if first:
            found |= set(range(int(first), int(last or first) + 1))
    return found


def give_back(some: Iterable[int]) -> None:
    """Takes ports from the reserved ones; the others stay."""
    RESERVED_PORTS.write_text(f"{ranges(ports() - set(some))}\n", encoding="ascii")


def free_pool() -> range:
    """A hundred ports that nobody has reserved, if there are any."""
    taken = ports()
    pools = [range(start, start + POOLS.step) for start in random.sample(POOLS, len(POOLS))]
    return next((pool for pool in pools if taken.isdisjoint(pool)), pools[0])


def ranges(some: Iterable[int]) -> str:
    """`1-3,7`: a write of all ports one by one could be longer than the kernel takes."""
    runs: list[list[int]] = []
    for port in sorted(some):
        if runs and port == runs[-1][1] + 1:
            runs[-1][1] = port
        else:
            runs.append([port, port])
    return ",".join(f"{first}-{last}" for first, last in runs)
