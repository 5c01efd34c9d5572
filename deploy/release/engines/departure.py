"""Whether nothing of a service is left in etcd, when its engine has taken it away."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from deploy.release.engines.instances import Instances
from deploy.release.progress import Progress
from wharfinger.errors import Unavailable
from wharfinger.text import printable

LOOK_SECONDS: Final = 0.3
# A host that is gone leaves its keys for as long as its lease lives, 15 s unless somebody says so.
PATIENCE_SECONDS: Final = 30.0


async def until_gone(
    instances: Instances, progress: Progress, *, patience_seconds: float = PATIENCE_SECONDS
) -> None:
    """Waits until requests are sent to nothing of it.

    Args:
        instances: of the service.
        progress: is told how much is left.
        patience_seconds: how long something may be.

    Raises:
        Unavailable: something is left, which is not this engine's; or etcd does not answer.
    """
    deadline = time.monotonic() + patience_seconds
    of = 0
    while left := await instances.addresses():
        if time.monotonic() > deadline:
            raise Unavailable(f"requests are still sent to {shown(left)}")
        of = max(of, len(left))
        progress.waiting("addresses that etcd has no more", of - len(left), of)
        await asyncio.sleep(LOOK_SECONDS)


def shown(left: Mapping[str, str]) -> str:
    """Addresses, and what is known of them, in words."""
    return printable(", ".join(f"{at} ({what})" for at, what in sorted(left.items())))
