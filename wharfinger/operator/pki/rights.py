"""What each host may do in etcd, by its roles, and no more; pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from wharfinger.keys import DEPLOY, HOSTS, INSTANCES, ORDERS
from wharfinger.kv import KeyRange, Permission, ranges_of
from wharfinger.operator.pki.model import EVERY, ROOT, USERS, Issued

OWN: Final = "/wharfinger/"
# As they are called where they are made by hand (README, Security).
_PREFIXES: Final = {"host": "registrar", "edge": "discovery", "store": "store", "deploy": "deploy"}


@dataclass(frozen=True, slots=True)
class Standing:
    """Users and roles, as etcd has them or shall have them.

    Attributes:
        users: the roles of each.
        roles: what each may do.
    """

    users: dict[str, frozenset[str]]
    roles: dict[str, frozenset[Permission]]


@dataclass(frozen=True, slots=True)
class Ours:
    """What may be changed and removed: a user and a role may have one name, and be somebody else's.

    Attributes:
        users: names of users.
        roles: names of roles.
    """

    users: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()


def wanted(current: Iterable[Issued], site: str) -> Standing:
    """What etcd shall have for those that have a certificate.

    Args:
        current: the one in force of each name; those that are revoked get nothing.
        site: `etcd.prefix`.
    """
    # etcd wants a user of that name before users count; nobody can be it without a certificate.
    users, roles = {ROOT: frozenset({ROOT})}, {ROOT: frozenset[Permission]()}
    for one in current:
        if one.revoked is not None or not USERS & set(one.wish.roles):
            continue
        made = _roles(one)
        roles |= {name: _placed(may, site) for name, may in made.items()}
        may_all = {ROOT} if "admin" in one.wish.roles else set[str]()
        users[one.wish.name] = frozenset({*made, *may_all})
    return Standing(users, roles)


def ours(current: Iterable[Issued]) -> Ours:
    """Which users are this authority's, and which roles would be theirs.

    Args:
        current: the one in force of each name, revoked ones too.
    """
    names = frozenset(one.wish.name for one in current)
    roles = frozenset(f"{each}-{name}" for name in names for each in _PREFIXES.values())
    return Ours(names, roles)


def _roles(one: Issued) -> dict[str, frozenset[Permission]]:
    name = one.wish.name
    makers = {"host": _registrar, "edge": _discovery, "store": _store, "deploy": _deploy}
    return {
        f"{_PREFIXES[role]}-{name}": frozenset(makers[role](one))
        for role in one.wish.roles
        if role in makers
    }


def _registrar(one: Issued) -> list[Permission]:
    name = one.wish.name
    found = [
        Permission("readwrite", KeyRange.of_prefix(f"{HOSTS}{name}/")),
        Permission("readwrite", KeyRange.of_prefix(f"{ORDERS}{name}/")),
        Permission("read", KeyRange.of_prefix(HOSTS)),  # a drain waits for every discovery
    ]
    below = [_prefix_of(service) for service in one.services]
    keys = ranges_of([f"/{each}" for each in below], without=[OWN])
    metadata = ranges_of([f"{INSTANCES}{each}" for each in below])
    return [*found, *(Permission("readwrite", each) for each in (*keys, *metadata))]


def _discovery(one: Issued) -> list[Permission]:
    # Every key but what hosts and releases write: templates may ask for any.
    read = ranges_of(["/"], without=[DEPLOY, HOSTS])
    own = KeyRange.of_prefix(f"{HOSTS}{one.wish.name}/")
    return [Permission("readwrite", own), *(Permission("read", each) for each in read)]


def _store(_one: Issued) -> list[Permission]:
    # The fleet is shown from one watch of everything: what is no instance is shown as such.
    everything = Permission("read", KeyRange.of_prefix("/"))
    return [everything, Permission("readwrite", KeyRange.of_prefix(ORDERS))]


def _deploy(one: Issued) -> list[Permission]:
    # Locks and records of its services, numbers of their applications' releases; what runs is
    # looked at, and taken out by orders, which are the host's and not the service's.
    below = [_prefix_of(service) for service in one.services]
    pushes = [f"{each.rpartition('_')[0]}/pushes/" for each in below if "_" in each]
    writes = ranges_of(f"{DEPLOY}{each}" for each in (*below, *pushes))
    reads = [*ranges_of([f"/{each}" for each in below], without=[OWN])]
    reads += ranges_of(f"{INSTANCES}{each}" for each in below)
    # A promotion looks at where it comes from.
    reads += {KeyRange.of_prefix(HOSTS), KeyRange.of_prefix(DEPLOY)} - set(writes)
    return [
        Permission("readwrite", KeyRange.of_prefix(ORDERS)),
        *(Permission("readwrite", each) for each in writes),
        *(Permission("read", each) for each in reads),
    ]


def _prefix_of(service: str) -> str:
    return service[:-1] if service.endswith(EVERY) else f"{service}/"


def _placed(may: frozenset[Permission], site: str) -> frozenset[Permission]:
    if not site:
        return may
    return frozenset(
        Permission(each.kind, KeyRange(site + each.keys.start, _end(site, each.keys)))
        for each in may
    )


def _end(site: str, keys: KeyRange) -> str:
    # None of ours goes on to the end of all keys: each begins with a slash.
    return site + (keys.end or "0")
