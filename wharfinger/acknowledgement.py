"""Which discoveries serve a change already: what a drain and a release wait for."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from wharfinger.errors import Rejected, Unavailable
from wharfinger.etcd import Etcd
from wharfinger.keys import HOSTS, HostKey
from wharfinger.kv import Changed, Listed
from wharfinger.watch import Watch

DISCOVERY: Final = "discovery"


class _Record(msgspec.Struct, frozen=True):
    """What a discovery says of itself; the rest of its record is no matter here."""

    applied_revision: int


def applied(records: Mapping[str, bytes]) -> dict[str, int]:
    """The revision that each discovery serves, by host; -1 where its record cannot be read.

    Args:
        records: value by key, as they stand below /wharfinger/hosts/; other daemons' are left out.
    """
    found = {}
    for key, value in records.items():
        try:
            host = HostKey.parse(key)
        except Rejected:
            continue
        if host.daemon == DISCOVERY:
            try:
                found[host.host] = msgspec.json.decode(value, type=_Record).applied_revision
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                # It may serve anything: taken for one that has caught up, it would cost requests.
                found[host.host] = -1
    return found


def behind(records: Mapping[str, bytes], revision: int) -> tuple[str, ...]:
    """The hosts whose discovery does not serve `revision` yet, sorted.

    One whose record is gone is not among them: its lease has ended, and with it its say.
    """
    return tuple(sorted(host for host, at in applied(records).items() if at < revision))


async def acknowledged(
    etcd: Etcd,
    revision: int,
    *,
    timeout_seconds: float,
    on_waiting: Callable[[tuple[str, ...]], None] = lambda _hosts: None,
) -> tuple[str, ...]:
    """Waits until every discovery serves what etcd held at `revision`.

    Args:
        etcd: the session.
        revision: of a change below a prefix that every discovery watches: what they report grows
            with what they hear, and they hear nothing of other keys.
        timeout_seconds: how long to wait.
        on_waiting: told who is waited for, first and whenever that changes; at last nobody.

    Returns:
        Those that were behind to the end; nobody when all is well.

    Raises:
        Unavailable: etcd did not tell of them in time.
    """
    waiting: tuple[str, ...] | None = None
    why = "no answer"

    def trouble(text: str) -> None:
        nonlocal why
        why = text

    records: dict[str, bytes] = {}
    watch = Watch(etcd, [HOSTS], on_trouble=trouble)
    with contextlib.suppress(TimeoutError):
        async with (
            asyncio.timeout(timeout_seconds),
            contextlib.aclosing(watch.updates()) as updates,
        ):
            async for update in updates:
                _take(records, update)
                if (now := behind(records, revision)) != waiting:
                    waiting = now
                    on_waiting(now)
                if not now:
                    return ()
    if waiting is None:
        raise Unavailable(f"etcd tells of no discovery within {timeout_seconds:g} s: {why}")
    return waiting


def _take(records: dict[str, bytes], update: Listed | Changed) -> None:
    match update:
        case Listed(snapshot):
            records.clear()
            records.update((key, kv.value) for key, kv in snapshot.items.items())
        case Changed(events=events):
            for event in events:
                if event.kv is None:
                    records.pop(event.key, None)
                else:
                    records[event.key] = event.kv.value
