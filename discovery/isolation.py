"""Decides whether the other hosts were out of reach, and whether they are back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from discovery.model import Service

Address = tuple[str, int]

# Whether a network is there shows as well by so many; each is asked once a second.
MOST_HOSTS: Final = 100


@dataclass(frozen=True, slots=True)
class Isolation:
    """What is known of the other hosts while etcd is silent, and until they answer again.

    Attributes:
        missed: those that did not answer, by the address that was asked; empty as long as most do.
        since: when that was first so, monotonic seconds.
    """

    missed: frozenset[Address] = frozenset()
    since: float = 0.0


def asked(services: Iterable[Service], own_host: str) -> tuple[Address, ...]:
    """An instance of each other host, always the same ones as long as they are served."""
    found: dict[str, Address] = {}
    for service in services:
        for instance in service.instances:
            host, address = instance.host or instance.ip, (instance.ip, instance.port)
            # What registers without saying where it runs may be here: another's reach shows
            # nothing of this host's.
            here = host == own_host or (not instance.host and ip_address(instance.ip).is_loopback)
            if instance.http and not here:
                found[host] = min(found.get(host, address), address)
    return tuple(found[host] for host in sorted(found)[:MOST_HOSTS])


def judged(
    before: Isolation, answers: Mapping[Address, bool], now: float, *, hears: bool
) -> tuple[Isolation, bool]:
    """What is known by these answers; and whether most of those that were missed are back.

    That not etcd but only others are silent is no isolation: they may be dead, and a Nginx that
    has left them out is right.

    Args:
        before: as it was.
        answers: whether each that was asked has answered; what is not served any more is not there.
        now: monotonic seconds.
        hears: whether etcd is heard.
    """
    missed = before.missed & answers.keys()
    back = {address for address in missed if answers[address]}
    if 2 * len(back) > len(missed):
        return Isolation(), True
    silent = frozenset(address for address, answered in answers.items() if not answered)
    if not hears and 2 * len(silent) > len(answers):
        return Isolation(missed | silent, before.since if before.missed else now), False
    return Isolation(missed, before.since if missed else 0.0), False
