"""Instances on their way out: nobody is sent to them any more, and what they do is done."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from deploy.release.engines.compose.site import NotRunning, Site
from deploy.release.engines.facts import Facts
from deploy.release.engines.instances import Came, Outcome
from deploy.release.engines.registered import Instance, by_container
from wharfinger.errors import Rejected

# What etcd, the discoveries and registrars have to do beside the drain itself.
ORDER_SECONDS: Final = 60.0
ATTEMPTS: Final = 5
PAUSE_SECONDS: Final = 2.0


async def drained(
    site: Site,
    ids: Sequence[str],
    found: Mapping[str, Facts],
    known: Mapping[str, Sequence[Instance]],
) -> None:
    """Has traffic move away from containers.

    Args:
        site: where they are.
        ids: of them.
        found: all that there are.
        known: the instances that they had when somebody last looked, by id.

    Raises:
        NotRunning: it does not.
        Unavailable: etcd does not answer.
    """
    done: set[str] = set()
    failed: tuple[Outcome, ...] = ()
    for attempt in range(ATTEMPTS):
        if attempt:
            # A registrar that has lost its lease, as etcd was away, knows of nobody for a moment.
            await asyncio.sleep(PAUSE_SECONDS)
        left = [key for key in ids if key not in done]
        held = by_container(await site.instances.held())
        failed = await _ordered(site, [each for key in left for each in held.get(key, ())])
        bad = {each.key for each in failed}
        done |= {key for key in left if key in held and not bad & {i.key for i in held[key]}}
        unknown = [key for key in left if key not in held]
        if unknown and await _finished(site, [found[key].name for key in unknown]):
            done.update(unknown)
        if done.issuperset(ids):
            return
    if failed:
        raise NotRunning(f"{failed[0].key.address} cannot be drained: {failed[0].why}")
    # What nobody has ever seen in etcd, nobody is sent to.
    gone = [each for key in ids if key not in done for each in known.get(key, ())]
    if gone:
        site.progress.step(f"{gone[0].key.address} went with its registrar: taken out from here")
        await _removed_by_us(site, gone)


async def _ordered(site: Site, leaving: Sequence[Instance]) -> tuple[Outcome, ...]:
    """Orders the drain of these; gives those that failed."""
    timeout = site.app.drain_seconds + ORDER_SECONDS
    outcomes = await site.instances.drain(leaving, timeout_seconds=timeout)
    untaken = {each.key: each.why for each in outcomes if each.came == Came.UNTAKEN}
    if untaken:
        why = next(iter(untaken.values()))
        site.progress.step(f"{why}: its keys are deleted from here")
        await _removed_by_us(site, [each for each in leaving if each.key in untaken])
    return tuple(each for each in outcomes if each.came == Came.FAILED)


async def _finished(site: Site, names: Sequence[str]) -> bool:
    """Sees drains to their end that stand already; whether all of these were such."""
    timeout = site.app.drain_seconds + ORDER_SECONDS
    outcomes = await site.instances.drain_again(names, timeout_seconds=timeout)
    return len(outcomes) >= len(names) and all(each.came == Came.DONE for each in outcomes)


async def _removed_by_us(site: Site, leaving: Sequence[Instance]) -> None:
    """Takes out of etcd what no registrar does, and gives the traffic its time."""
    try:
        revision = await site.instances.removed(leaving)
    except Rejected as error:
        site.progress.step(f"etcd refuses that ({error}): the stop alone moves traffic")
        return
    if revision:
        behind = await site.instances.served(revision, on_waiting=site.waiting_for)
        if behind:
            raise NotRunning(f"the discovery on {', '.join(behind)} still sends requests there")
    await asyncio.sleep(site.app.drain_seconds)
