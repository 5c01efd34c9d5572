"""How this host comes into etcd, and how it leaves."""

import asyncio

from registrar.host.claim import Claim
from registrar.registry.registry import Registry
from wharfinger.backoff import Backoff
from wharfinger.errors import WharfingerError
from wharfinger.events import Events
from wharfinger.health import Check
from wharfinger.lease import HostLease


async def take_up(claim: Claim, lease: HostLease, registry: Registry, check: Check) -> None:
    """Takes up the lease of the life before, or a new one, and reads what hangs on it.

    Args:
        claim: asked first, for nothing of another registrar's is touched.
        lease: to take up.
        registry: reads what is there.
        check: red while etcd does not answer.
    """
    backoff = Backoff(first_seconds=0.1, cap_seconds=1.0)
    while True:
        try:
            await claim.look()
            lease_id = await lease.ensure()
            await registry.load(lease_id)
        except WharfingerError as error:
            check.fail(str(error))
            await asyncio.sleep(backoff.next_delay_seconds())
        else:
            check.ok()
            return


async def leave(registry: Registry, lease: HostLease, events: Events) -> None:
    """Takes all of this host out, and ends its lease; neither must be kept by a task any more."""
    try:
        await registry.withdraw(lease.id)
    except WharfingerError as error:
        events.emit("host not withdrawn", "warning", why=str(error))
    try:
        await lease.revoke()
    except WharfingerError as error:
        events.emit("lease not revoked", "warning", why=str(error))
