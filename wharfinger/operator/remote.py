"""`wharfinger drain --remote`: an order to another host's registrar, by way of etcd, followed."""

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import Final

from wharfinger.errors import Exit, Rejected, Unavailable
from wharfinger.etcd import Etcd
from wharfinger.hostrecord import parse as parse_record
from wharfinger.keys import HOSTS, INSTANCES, HostKey, InstanceKey, OrderKey
from wharfinger.kv import Changed, KeyValue, Listed, Put, Snapshot, absent, ranges_of
from wharfinger.operator.services import entries
from wharfinger.orders import MAX_BY_LENGTH, REGISTRAR, Order, Verb, encode, parse
from wharfinger.text import printable
from wharfinger.watch import Watch

WAIT_SECONDS: Final = 30
MIN_ID_DIGITS: Final = 4
_ID_BYTES: Final = 8


async def give(
    etcd: Etcd,
    verb: Verb,
    name: str,
    *,
    by: str,
    timeout_seconds: float,
    show: Callable[[str], None],
) -> Exit:
    """Gives an order, and shows each step until it is over.

    Args:
        etcd: the session.
        verb: what to do.
        name: a host, or an instance in any way that people name it.
        by: who asks.
        timeout_seconds: for all of it.
        show: takes each step, in words.

    Returns:
        OK when it is done, TRY_LATER when it is under way still.

    Raises:
        Rejected: there is no such instance or host, there are several, or it failed.
        Unavailable: no registrar took it.
    """
    host, target = meant(name, await etcd.list_ranges(ranges_of([HOSTS, INSTANCES])))
    at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    order = Order(verb=verb, target=target, by=printable(by)[:MAX_BY_LENGTH], at=at)
    key = OrderKey(host, secrets.token_hex(_ID_BYTES))
    lease = await etcd.grant(WAIT_SECONDS)
    await etcd.transact([absent(key.key)], [Put(key.key, encode(order), lease.id)])
    show(f"order {key.id} to host {host}")
    try:
        async with asyncio.timeout(timeout_seconds + WAIT_SECONDS):
            return await _followed(etcd, key, show)
    except TimeoutError:
        show("it is under way still: see `wharfinger services`")
        return Exit.TRY_LATER


def meant(name: str, snapshot: Snapshot) -> tuple[str, str]:
    """The host that is to be asked, and the target of its order.

    Raises:
        Rejected: nobody is meant, or several are.
    """
    records = _registrars(snapshot)
    if name in records:
        return name, name
    found = {
        (entry.host, InstanceKey.parse(f"/{entry.service}/{_as_key(entry.endpoint)}").address)
        for entry in entries(snapshot.items)
        if entry.host in records and _is(name, entry.container, entry.endpoint, entry.container_id)
    }
    for host, kv in records.items():
        for each in _drained(kv):
            if name in (each[0], each[1], each[2]):
                found.add((host, each[0]))
    if len(found) == 1:
        return next(iter(found))
    if found:
        several = ", ".join(sorted(target for _, target in found)[:10])
        raise Rejected(f"{name!a} is not one but several: {several}")
    raise Rejected(f"no registrar tells of an instance or a host {name!a}")


def _registrars(snapshot: Snapshot) -> dict[str, KeyValue]:
    found = {}
    for key, kv in snapshot.items.items():
        if key.startswith(HOSTS):
            try:
                at = HostKey.parse(key)
            except Rejected:
                continue
            if at.daemon == REGISTRAR:
                found[at.host] = kv
    return found


def _drained(kv: KeyValue) -> list[tuple[str, str, str]]:
    found = []
    with suppress(Rejected):
        for each in parse_record(kv.value).drains:
            # One that had no key yet cannot be named in an order; the others can.
            with suppress(Rejected):
                found.append((InstanceKey.parse(each.key).address, each.endpoint, each.name))
    return found


def _is(name: str, container: str, endpoint: str, container_id: str) -> bool:
    with suppress(Rejected):
        name = InstanceKey.parse(name).endpoint.value
    by_id = len(name) >= MIN_ID_DIGITS and container_id.startswith(name)
    return name in (container, endpoint) or by_id


def _as_key(endpoint: str) -> str:
    host, _, port = endpoint.rpartition(":")
    return f"{host}-{port}"


async def _followed(etcd: Etcd, key: OrderKey, show: Callable[[str], None]) -> Exit:
    shown: tuple[str, ...] = ()
    began = time.monotonic()
    async with aclosing(Watch(etcd, [key.key]).updates()) as updates:
        async for update in updates:
            for kv in _values(update, key.key):
                if kv is None:
                    waited = time.monotonic() - began
                    raise Unavailable(
                        f"the registrar of {key.host} did not take the order within {waited:.0f} s"
                    )
                order = parse(kv.value, key.host)
                for step in order.news(shown):
                    show(printable(step))
                shown = order.steps
                if order.state == "done":
                    return Exit.OK
                if order.state == "failed":
                    raise Rejected(order.steps[-1] if order.steps else "it failed")
    raise AssertionError


def _values(update: Listed | Changed, key: str) -> list[KeyValue | None]:
    if isinstance(update, Listed):
        return [update.snapshot.items.get(key)]
    return [event.kv for event in update.events if event.key == key]
