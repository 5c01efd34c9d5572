"""What holds a rollout until the edges serve a new instance, where engines ask a HEALTHCHECK."""

import math
from collections.abc import Mapping
from typing import Final

# The registrar writes the file into a container with this label (registrar/README.md).
FILE: Final = "/dev/shm/wharfinger.serving"  # noqa: S108 - in the container, by the registrar
LABELS: Final[Mapping[str, str]] = {"wharfinger.serving": "tell"}

# For so long after its drain with-port looks whether the file is gone (deploy/images/with-port).
HOLD_SECONDS: Final = 10

# A probe is a process of the engine's and of the container's: one in half a minute is cheap.
_REST_SECONDS: Final = 30
_MARGIN_SECONDS: Final = 10
# So long after an instance is ready the registrar waits for etcd and the edges, and a little more.
_EDGES_SECONDS: Final = 12
# On a host that stalls a probe that only sleeps may take too long: no reason to end what serves.
_RETRIES: Final = 3
# In a /dev/shm that was mounted from outside files outlive a start; /dev is new with each. What
# is amiss goes to the container's log, too: no manager tells what a probe on another node says.
_SCRIPT: Final = """\
f={file}; new() {{ [ -e "$1" ] && ! [ "$1" -ot /dev/full ]; }}; \
if new $f.seen; then exec sleep {rest}; fi; \
n=0; until new $f; do if new $f.late; then exit 1; fi; n=$((n+1)); \
if [ $n -gt {patience} ]; then : >$f.late; \
w="not served by the edges within {patience} s of its start"; echo "$w"; \
{{ echo "$w" >/proc/1/fd/2; }} 2>/dev/null; exit 1; fi; sleep 1; done; : >$f.seen"""


def healthcheck(start_seconds: float) -> dict[str, object]:
    """The block `healthcheck` of a service in a stack, its dollars doubled.

    The first probe waits until the instance is served; where it has waited in vain, the next ones
    fail at once. Those that follow a good one have nothing to find out, and sleep. So an old
    instance, which Swarm stops when the new one is healthy, goes only after requests have a new
    place to go.

    Args:
        start_seconds: how long a new instance may take until it could be served.
    """
    patience = math.ceil(start_seconds) + _EDGES_SECONDS
    script = _SCRIPT.format(file=FILE, rest=_REST_SECONDS, patience=patience)
    return {
        "test": ["CMD-SHELL", script.replace("$", "$$")],
        "interval": "1s",
        "timeout": f"{max(patience, _REST_SECONDS) + _MARGIN_SECONDS}s",
        "retries": _RETRIES,
    }
