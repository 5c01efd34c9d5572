"""Tokens for the log store: one for each who needs it, and lists of their digests; pure."""

from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import Final

from wharfinger.operator.pki.model import Wish

# What the lists of digests are called, by what a token is good for.
KINDS: Final = {"ingest": "ingest.tokens", "read": "read.tokens", "admin": "admin.tokens"}
_TENANT: Final = "default"
# In a list that nobody is left on: the store takes an empty one for a mistake, and would go on with
# the one before. Nothing is known that has this digest.
NOBODY: Final = f"sha256:{'0' * 64} {_TENANT} name=nobody"
# The store has some of its own: it ships what its daemons say, and is asked on its own host.
_OF_ROLES: Final = {"host": ("ingest",), "store": ("ingest", "read"), "admin": ("read", "admin")}


def wanted(wish: Wish) -> tuple[str, ...]:
    """The kinds of token that somebody of these roles shows to the store."""
    found = {kind for role in wish.roles for kind in _OF_ROLES.get(role, ())}
    return tuple(kind for kind in KINDS if kind in found)


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
    return _text(_others(text, name) or [NOBODY])


def first(content: bytes) -> str:
    """The token that stands in plain at the head of a file; empty where there is none."""
    lines = content.decode("utf-8", "replace").splitlines()
    return "" if not lines or lines[0].startswith("sha256:") else lines[0].strip()


def known(lists: Mapping[str, str], own: Mapping[str, bytes]) -> dict[str, bytes]:
    """The lists of a store: its own token first, for who asks on its host, then all digests.

    Args:
        lists: of digests, by kind.
        own: the store's bundle, with its own tokens.
    """
    found = {}
    for kind, text in lists.items():
        token = first(own.get(file_of(kind), b""))
        # One that was taken back may still lie in the bundle.
        is_listed = token and digest(token) in text
        found[KINDS[kind]] = f"{token}\n{text}".encode() if is_listed else text.encode()
    return found


def provided(
    lists: Mapping[str, str], held: Mapping[str, bytes], wish: Wish, make: Callable[[], str]
) -> tuple[dict[str, str], dict[str, bytes]]:
    """The lists, and what is new in the bundle, when somebody has each token that they need.

    What they had for other roles, and need no more, is on no list then.

    Args:
        lists: of digests, by kind.
        held: what the bundle has already: a token that is on its list stays.
        wish: who.
        make: gives a token.
    """
    after, fresh = dict(lists), dict[str, bytes]()
    needed = wanted(wish)
    for kind, text in lists.items():
        if kind not in needed and len(_others(text, wish.name)) < len(text.splitlines()):
            after[kind] = without(text, wish.name)
    for kind in needed:
        had = first(held.get(file_of(kind), b""))
        if had and line(had, wish.name) in after.get(kind, "").splitlines():
            continue
        token = make()
        fresh[file_of(kind)] = f"{token}\n".encode()
        others = _others(after.get(kind, ""), wish.name)
        after[kind] = _text([*others, line(token, wish.name)])
    return after, fresh


def _others(text: str, name: str) -> list[str]:
    return [one for one in text.splitlines() if one != NOBODY and f"name={name}" not in one.split()]


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{one}\n" for one in lines)
