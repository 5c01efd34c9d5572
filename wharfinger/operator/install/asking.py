"""The few questions of an installation at a terminal; without one nothing is asked."""

import sys
from collections.abc import Callable, Mapping
from typing import Final

from wharfinger.errors import Rejected
from wharfinger.operator.install.model import roles_of

ROLE: Final = "What is this host for: host (containers), edge (Nginx), store (logs), or all"
ETCD: Final = "etcd's members, HOST:PORT with commas between"
STORE: Final = "The address of the log store"
STORE_DEFAULT: Final = "http://127.0.0.1:7280"
ETCD_DEFAULT: Final = "127.0.0.1:2379"
MISSING: Final = (
    "what is this host for? --role host, edge, store, all, or several with commas between "
    "(or WHARFINGER_ROLE); --runtime alone for the runtime in front of runc"
)

Ask = Callable[[str, str], str]


def at_terminal() -> bool:
    """Whether there is a person to answer; one that was closed before we began is None."""
    return all(each is not None and each.isatty() for each in (sys.stdin, sys.stderr))


def ask(question: str, default: str) -> str:
    """Asks at the terminal; an empty answer is the default."""
    sys.stderr.write(f"{question} [{default}]: ")
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise Rejected("no answer: nothing was changed")
    return line.strip() or default


def roles(given: str | None, had: frozenset[str], asking: Ask | None) -> frozenset[str]:
    """The roles that were given, or asked for.

    Args:
        given: as they were written; None where they were not.
        had: those that the host has already.
        asking: asks; None where nobody is there.

    Raises:
        Rejected: there is no such role, or nobody says which.
    """
    try:
        if given is not None:
            return roles_of(given)
        if had:
            return had
        if asking is None:
            raise Rejected(MISSING)
        return roles_of(asking(ROLE, "all"))
    except ValueError as error:
        raise Rejected(f"--role: {error}") from error


def further(
    asked_roles: frozenset[str], known: Mapping[str, bool], asking: Ask | None
) -> tuple[dict[str, str], str | None]:
    """What else must be known: settings, and the log store's address.

    Args:
        asked_roles: of the host.
        known: whether `etcd` and `store` were said, by whichever way.
        asking: asks; None where nobody is there, and the defaults are taken.
    """
    settings: dict[str, str] = {}
    store = None
    if asking is None:
        return settings, store
    if asked_roles & {"host", "edge"} and not known["etcd"]:
        told = asking(ETCD, ETCD_DEFAULT)
        if told != ETCD_DEFAULT:
            settings["etcd.endpoints"] = told
    if "host" in asked_roles and "store" not in asked_roles and not known["store"]:
        told = asking(STORE, STORE_DEFAULT)
        store = told if told != STORE_DEFAULT else None
    return settings, store
