"""Which capabilities this process has: a daemon may run as a user with just some of them."""

import re
from pathlib import Path
from typing import Final

STATUS: Final = Path("/proc/self/status")
# linux/capability.h; those that any of ours needs.
NUMBERS: Final = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_DAC_READ_SEARCH": 2,
    "CAP_FOWNER": 3,
    "CAP_KILL": 5,
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_SYS_PTRACE": 19,
}
# Who may override may read, too.
IMPLIED: Final = {"CAP_DAC_READ_SEARCH": "CAP_DAC_OVERRIDE"}
_EFFECTIVE: Final = re.compile(r"^CapEff:\s*([0-9a-f]{1,16})$", re.ASCII | re.MULTILINE)


def missing(*names: str, status: Path = STATUS) -> tuple[str, ...]:
    """Those of the capabilities that are not in effect, as they were given.

    None are where the kernel does not say: whatever is refused then is told where it happens.
    """
    try:
        found = _EFFECTIVE.search(status.read_text(encoding="ascii", errors="replace"))
    except OSError:
        return ()
    if found is None:
        return ()
    effective = int(found[1], 16)

    def holds(name: str) -> bool:
        implied = IMPLIED.get(name)
        return bool(effective >> NUMBERS[name] & 1) or (implied is not None and holds(implied))

    return tuple(name for name in names if not holds(name))
