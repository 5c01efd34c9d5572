"""Tokens for the log store: one for each who needs it, and lists of their digests; pure."""

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Final

from wharfinger.operator.pki.model import Wish

# What the store's lists are called, by what a token is called.
KINDS: Final = {"ingest": "ingest.tokens", "read": "read.tokens", "admin": "admin.tokens"}
_TENANT: Final = "default"


def wanted(wish: Wish) -> tuple[str, ...]:
    """The kinds of token that somebody of these roles shows to the store."""
    roles = set(wish.roles)
    found = ["ingest"] if "host" in roles else []
    return (*found, "read", "admin") if "admin" in roles else tuple(found)


def file_of(kind: str) -> str:
    """Where a bundle holds it."""
    return f"{kind}.token"


def line(token: str, name: str) -> str:
    """What the store keeps of a token (see `logstore token`)."""
    return f"{digest(token)} {_TENANT} name={name}"


def digest(token: str) -> str:
    """Of a token, which it does not give away."""
    return f"sha256:{sha256(token.strip().encode()).hexdigest()}"


def without(text: str, name: str) -> str:
    """A list without the tokens of a name."""
    left = [one for one in text.splitlines() if f"name={name}" not in one.split()]
    return "".join(f"{one}\n" for one in left)


def provided(
    lists: Mapping[str, str], held: Mapping[str, bytes], wish: Wish, make: Callable[[], str]
) -> tuple[dict[str, str], dict[str, bytes]]:
    """The lists, and what is new in the bundle, when somebody has each token that they need.

    Args:
        lists: of digests, by kind.
        held: what the bundle has already: a token that is on its list stays.
        wish: who.
        make: gives a token.
    """
    after, fresh = dict(lists), dict[str, bytes]()
    for kind in wanted(wish):
        had = held.get(file_of(kind), b"").decode("utf-8", "replace")
        if had.strip() and line(had, wish.name) in after.get(kind, "").splitlines():
            continue
        token = make()
        fresh[file_of(kind)] = f"{token}\n".encode()
        after[kind] = f"{without(after.get(kind, ''), wish.name)}{line(token, wish.name)}\n"
    return after, fresh
